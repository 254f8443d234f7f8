from string import ascii_uppercase

import glyphs
import numpy as np
import pictures
import pytest
from glyphs import REAL, SOURCES
from levels import LEVELS
from scipy import ndimage

KINDS = {"word": pictures.word, "letter": pictures.letter}


@pytest.fixture(params=SOURCES)
def source(request):
    """Where the letters come from; real ones only where there are some."""
    if request.param in REAL:
        request.getfixturevalue("emnist")
    return request.param


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("level", LEVELS)
def test_a_picture_follows_from_seed_level_and_index_alone(kind, level, source):
    first = KINDS[kind](level, 3, 1, source)
    KINDS[kind](level, 4, 1, source)
    assert KINDS[kind](level, 3, 1, source) == first
    others = {KINDS[kind](*which, source).file for which in ((level, 4, 1), (level, 3, 2), ((level + 1) % 6, 3, 1))}
    assert len(others) == 3
    assert first.file not in others


@pytest.mark.parametrize("level", LEVELS)
def test_the_truth_names_every_letter_and_its_place(level, source):
    for index in range(4):
        for kind, make in KINDS.items():
            picture = make(level, index, 0, source)
            assert picture.text.isascii()
            assert picture.text.isupper()
            assert len(picture.text) == 1 if kind == "letter" else 3 <= len(picture.text) <= 9
            assert len(picture.boxes) == len(picture.rows) == len(picture.text)
            width, height = picture.image.size
            for left, top, right, bottom in picture.boxes:
                assert 0 <= left < right <= width
                assert 0 <= top < bottom <= height
            centres = [left + right for left, _, right, _ in picture.boxes]
            assert centres == sorted(centres)
            if source in REAL:
                labels = glyphs.test_letters().labels[list(picture.rows)]
                assert "".join(ascii_uppercase[label] for label in labels) == picture.text
            else:
                assert set(picture.rows) == {-1}


@pytest.mark.parametrize("level", [0, 1])  # where the ink is whatever differs from the paper
def test_the_boxes_hold_the_ink_and_nothing_but_the_ink(level, source):
    for index in range(6):
        picture = pictures.word(level, index, 0, source)
        grey = np.asarray(picture.image.convert("L"), float)
        paper = np.median(grey)
        ink = np.abs(grey - paper) > 0.5 * np.abs(grey - paper).max()
        inside = np.zeros(ink.shape, bool)
        for left, top, right, bottom in picture.boxes:
            inside[top:bottom, left:right] = True
            (down, across), *_ = ndimage.find_objects(ink[top:bottom, left:right].astype(int))
            assert down.start <= 3
            assert across.start <= 3
            assert down.stop >= bottom - top - 3
            assert across.stop >= right - left - 3
        assert (ink & ~ndimage.binary_dilation(inside, iterations=2)).sum() == 0


def test_levels_grow_harder(emnist):
    def some(level):
        return [pictures.word(level, index) for index in range(12)]

    def contrast(picture):
        grey = np.asarray(picture.image.convert("L"), float)
        return np.diff(np.percentile(ndimage.gaussian_filter(grey, 1), (2, 50)))[0]

    def unevenness(picture):
        grey = np.asarray(picture.image.convert("L").reduce(8), float)
        return np.percentile(grey, 98) - np.percentile(grey, 50)

    levels = {level: some(level) for level in (1, 3, 5)}
    for measured, sign in ((contrast, -1), (unevenness, 1)):
        means = [sign * np.median([measured(picture) for picture in levels[level]]) for level in levels]
        assert means == sorted(means), measured.__name__


def test_every_class_is_among_the_letters(emnist):
    texts = [pictures.some_text(np.random.default_rng([0, 1, index, 0])) for index in range(500)]
    assert set("".join(texts)) == set(ascii_uppercase)
    assert set("".join(pictures.WORDS)) == set(ascii_uppercase)
    assert all(3 <= len(text) <= 9 for text in texts)
    assert len({pictures.letter(1, index).rows for index in range(100)}) == 100


def test_a_photo_has_twelve_megapixels_and_lines(emnist):
    photo = pictures.photo(lines=2)
    assert photo.image.size == (4000, 3000)
    assert photo.text.count("\n") == 1
    assert len(photo.boxes) == len("".join(photo.text.split()))
    tops = [top for _, top, _, _ in photo.boxes]
    first = len(photo.text.split("\n")[0].replace(" ", ""))
    assert max(tops[:first]) < min(bottom for *_, bottom in photo.boxes[first:])
