import numpy as np
import pytest

from lettergpu.data import glyphs
from lettergpu.data.folders import Eyes
from lettergpu.data.orientation import Orientation, find, is_dark
from lettergpu.reading.eyes import EYES

LETTERS = tuple("ABCDEFGHIJKLMNOPQRSTUVWXYZ")
USUAL = Orientation(True, "as usual")


def eyes(*answers):
    """What answers so, of the images as they lie and then of the transposed ones."""
    said = iter(answers)
    return Eyes(lambda source: None, lambda pixels: None, lambda images: np.array(list(next(said))))


@pytest.mark.parametrize("way", [lambda images: images, lambda images: images.swapaxes(1, 2)])
def test_printed_letters_are_seen_to_lie(way):
    upright, labels = glyphs.draw(each=20, seed=0)
    images = way(upright)
    found = find(images, labels, LETTERS, EYES, USUAL)
    assert found.transposed == (images is not upright)
    assert "of 520 letters as they lie" in found.why


@pytest.mark.parametrize(
    ("lying", "transposed", "expected", "why"),
    [
        ("A" * 20, "B" * 20, False, "boxed reads 100% of 20 letters as they lie, 0% transposed"),
        ("B" * 20, "A" * 20, True, "boxed reads 0% of 20 letters as they lie, 100% transposed"),
        ("A" * 20, "A" * 20, True, "as usual; boxed reads 100% of 20"),  # as of H, I, O and X alone
        ("A" * 9 + "B" * 11, "B" * 20, True, "as usual; boxed reads 45% of 20"),  # a hand that boxed cannot read
        ("A" * 16 + "B" * 4, "B" * 8 + "A" * 12, True, "as usual; boxed reads 80% of 20"),  # 16 against 12: chance
    ],
)
def test_it_takes_a_clear_difference(lying, transposed, expected, why):
    images, labels = np.zeros((500, 28, 28), np.uint8), np.zeros(500, np.int64)
    found = find(images, labels, ("a", "9", "other"), eyes(lying, transposed), USUAL)
    assert found.transposed == expected
    assert found.why.startswith(why)


@pytest.mark.parametrize("transposed", [False, True])
def test_ones_stand_where_there_are_no_letters(transposed):
    images = np.zeros((40, 28, 28), np.uint8)
    images[:20, 4:24, 13:16] = 255  # ones
    images[20:, 13:16, 4:24] = 255  # others, which may lie
    labels = np.repeat([1, 0], 20)
    images = images.swapaxes(1, 2) if transposed else images
    found = find(images, labels, ("0", "1"), None, Orientation(not transposed, "as usual"))
    assert found == Orientation(transposed, "as the ones stand")


def test_what_nothing_tells_is_as_usual():
    rng = np.random.default_rng(0)
    images, labels = rng.integers(0, 256, (40, 28, 28)).astype(np.uint8), np.zeros(40, np.int64)
    for classes in (("1", "2"), ("2", "3"), ("alpha", "beta")):
        assert find(images, labels, classes, None, USUAL) == USUAL
        assert find(images, labels + 1, classes, None, USUAL) == USUAL


@pytest.mark.parametrize(("paper", "ink", "dark"), [(255, 0, True), (0, 255, False), (190, 90, True), (100, 10, False)])
def test_ink_is_dark_where_the_border_is_light(paper, ink, dark):
    images = np.full((2500, 28, 28), paper, np.uint8)
    images[:, 3:25, 3:25] = ink  # more than the paper
    assert is_dark(images) == dark


def test_noise_is_not_dark(few_letters):
    assert not is_dark(few_letters.train.images)
