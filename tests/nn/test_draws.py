"""Numbers that follow from counters: those of the authors, everywhere the same, and as random as they must be."""

import numpy as np
import pytest
from conftest import numpy_by
from hypothesis import given
from hypothesis import strategies as st

from lettergpu.nn import draws
from lettergpu.nn.draws import Stream, permutation, philox, shuffled, sides, stream, uniforms

KNOWN = [  # kat_vectors of the authors' Random123: counter, key, words
    ("00000000 00000000 00000000 00000000", "00000000 00000000", "6627e8d5 e169c58d bc57ac4c 9b00dbd8"),
    ("ffffffff ffffffff ffffffff ffffffff", "ffffffff ffffffff", "408f276d 41c83b0e a20bc7c6 6d5451fd"),
    ("243f6a88 85a308d3 13198a2e 03707344", "a4093822 299f31d0", "d16cfe09 94fdcceb 5001e420 24126ea1"),
]


def numbers(text):
    return [int(word, 16) for word in text.split()]


@pytest.mark.parametrize(("counter", "key", "words"), KNOWN)
def test_the_words_are_the_authors(counter, key, words, device):
    there = tuple(device.put(np.asarray([word])) for word in numbers(counter))
    assert [int(device.fetch(word)[0]) for word in philox(there, tuple(numbers(key)))] == numbers(words)


@pytest.mark.parametrize("block", [0, 14])
def test_a_rows_numbers_are_the_upper_bits_of_its_words(block, device):
    row, epoch, purpose, low, high = 0x243F6A88, 0x13198A2E, 0x03707344, 0xA4093822, 0x299F31D0
    of = Stream(low, high, epoch, purpose)
    got = device.fetch(uniforms(device.put(np.asarray([3, row])), 60, of))[1, 4 * block : 4 * block + 4]
    words = philox(tuple(np.asarray([word]) for word in (row, block, epoch, purpose)), (low, high))
    np.testing.assert_array_equal(got * 2**24, [int(word[0]) >> 8 for word in words])


@pytest.mark.parametrize("count", [0, 1, 3, 4, 57])
def test_every_library_draws_the_same_bits(count, device):
    rows = np.asarray([0, 5, 92_787, 2**31, 3, 2**32 - 1])
    of = stream(2**40 + 3, "elastic", 600)
    got = device.fetch(uniforms(device.put(rows), count, of))
    assert got.dtype == np.float32
    np.testing.assert_array_equal(got, uniforms.__wrapped__(rows, count, of))


def test_they_are_uniform_and_no_two_streams_are_alike():
    rows = np.arange(200_000)
    drawn = uniforms(rows, 3, stream(0, "affine", 1))
    assert drawn.min() >= 0
    assert drawn.max() < 1
    counts = np.histogram(drawn[:, 0], 64, (0, 1))[0]
    assert ((counts - 3125) ** 2 / 3125).sum() < 120  # chi-square with 63 degrees: 120 once in 50,000
    others = [stream(1, "affine", 1), stream(0, "affine", 2), stream(0, "elastic", 1), stream(2**32, "affine", 1)]
    columns = [*drawn.T, *(uniforms(rows, 1, other)[:, 0] for other in others)]
    assert np.abs(np.corrcoef(columns) - np.eye(len(columns))).max() < 0.012


@given(count=st.integers(1, 3000), seed=st.integers(0, 2**64), epoch=st.integers(1, 2**31))
def test_a_permutation_has_each_number_once(count, seed, epoch):
    places = permutation(np.arange(count), stream(seed, "order", epoch))
    np.testing.assert_array_equal(np.sort(places), np.arange(count))


@pytest.mark.parametrize("count", [1, 2, 24_961, 92_788])
def test_every_library_permutes_alike(count, device):
    of = stream(3, "order", 7)
    got = device.fetch(permutation(device.put(np.arange(count)), of))
    with numpy_by(None):
        np.testing.assert_array_equal(got, permutation(np.arange(count), of))
    assert len(np.unique(got)) == count


def test_the_sides_leave_hardly_anything_over():
    left = [a * b - count for count in range(1, 5000) for a, b in [sides(count)]]
    assert min(left) >= 0
    assert max(left) <= 12


@pytest.mark.parametrize("count", [120, 500, 907])
def test_any_number_comes_to_any_place_and_neighbours_part(count):
    drawn = np.stack([permutation(np.arange(count), stream(seed, "order", 1)) for seed in range(2000)])
    hits = np.zeros((count, count))
    for places in drawn:
        hits[np.arange(count), places] += 1
    expected = len(drawn) / count
    cells = count * count
    chi = ((hits - expected) ** 2 / expected).sum()
    assert abs(chi - (count - 1) ** 2) < 6 * (2 * cells) ** 0.5
    apart = (drawn[:, 1:] - drawn[:, :-1]) % count  # each distance but 0 as often as the others
    distances = np.bincount(apart.ravel(), minlength=count)[1:]
    each = apart.size / (count - 1)
    assert abs(((distances - each) ** 2 / each).sum() - count) < 6 * (2 * count) ** 0.5
    assert (np.diff(drawn[0]) == 1).sum() < 10


@pytest.fixture
def in_blocks(monkeypatch):
    """Blocks of 8 and windows of 64 for all of more than 100."""
    for name, value in {"WHOLE": 100, "BLOCK": 8, "WINDOW": 64}.items():
        monkeypatch.setattr(draws, name, value)


@pytest.mark.parametrize("count", [101, 128, 1000, 1003])
def test_many_rows_are_shuffled_window_by_window_of_blocks_from_everywhere(count, in_blocks, device):
    of = stream(3, "order", 7)
    order = device.fetch(shuffled(device.put(np.arange(count) + 5), of)) - 5
    np.testing.assert_array_equal(np.sort(order), np.arange(count))
    for begin in range(0, count - count % 64, 64):  # each window has whole blocks alone, but for the last one
        blocks, rows = np.unique(order[begin : begin + 64] // 8, return_counts=True)
        assert (len(blocks), set(rows)) == (8, {8})
    with numpy_by(None):
        np.testing.assert_array_equal(order, shuffled(np.arange(count), of))
    windows = [(order[begin : begin + 64] % 8).tobytes() for begin in range(0, count - 63, 64)]
    assert len(set(windows)) == len(windows)  # none is shuffled as another
    assert (shuffled(np.arange(count), stream(3, "order", 8)) != order).any()


def test_a_row_of_many_may_come_anywhere(in_blocks):
    places = np.stack([np.argsort(shuffled(np.arange(1000), stream(seed, "order", 1))) for seed in range(300)])
    assert places.min(axis=0).max() < 100
    assert places[:, :1000].max(axis=0).min() > 900


def test_rows_that_are_few_enough_are_shuffled_all_at_once(in_blocks):
    of = stream(3, "order", 7)
    np.testing.assert_array_equal(shuffled(np.arange(100), of), permutation(np.arange(100), of))
