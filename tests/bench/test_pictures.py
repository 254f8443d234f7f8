import json
import os
import subprocess
import sys
from pathlib import Path
from string import ascii_uppercase

import glyphs
import numpy as np
import pictures
import pytest
from glyphs import REAL, SOURCES
from levels import LEVELS
from scipy import ndimage

BENCH = Path(__file__).parents[2] / "bench" / "accuracy"
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


@pytest.mark.parametrize(
    ("true", "read", "edits", "matches"),
    [
        ("SNOW", "SNOW", 0, 4),
        ("SNOW", "SMW", 2, 2),
        ("LINE", "UNE", 2, 2),
        ("ABC", "BCA", 2, 2),
        ("K", "LC", 2, 0),
        ("AB", "BA", 2, 1),  # two substitutions are as few edits, but match nothing
        ("", "A", 1, 0),
        ("A", "", 1, 0),
    ],
)
def test_letters_are_aligned_with_the_fewest_edits_and_then_the_most_matches(true, read, edits, matches):
    reading = pytest.importorskip("reading")
    pairs = reading.align(true, read)
    assert ("".join(a for a, _ in pairs), "".join(b for _, b in pairs)) == (true, read)
    assert (sum(a != b for a, b in pairs), sum(a == b for a, b in pairs)) == (edits, matches)


def test_boxes_overlap_by_intersection_over_union():
    reading = pytest.importorskip("reading")
    assert reading.overlap((0, 0, 2, 2), (0, 0, 2, 2)) == 1
    assert reading.overlap((0, 0, 2, 2), (1, 0, 3, 2)) == pytest.approx(1 / 3)
    assert reading.overlap((0, 0, 2, 2), (2, 2, 3, 3)) == 0


def test_the_benchmark_measures_every_reader(emnist, tmp_path):
    pytest.importorskip("lettergpu.reading")
    options = "--sets 1,screen --count 2 --tesseract-count 0 --squares 5 --rounds 0 --jobs 1 --json -"
    command = [sys.executable, BENCH / "reading.py", "--show", tmp_path, *options.split()]
    env = os.environ | {"LETTERGPU_EMNIST": str(emnist)}
    result = json.loads(subprocess.run(command, check=True, stdout=subprocess.PIPE, env=env).stdout)
    assert result["rows"].keys() == {"1", "screen"}
    for kind in ("words", "letters"):
        assert result["rows"]["1"][kind].keys() == {"lettergpu", "lettergpu, told", "kmeans", "network"}
        assert result["rows"]["screen"][kind].keys() == {"lettergpu", "lettergpu, told", "kmeans"}
        assert all(row["pictures"] == 2 for row in result["rows"]["1"][kind].values())
        assert all(0 <= row["letters"] <= 1 for row in result["rows"]["1"][kind].values())
    assert result["squares"]["images"] == 5
    names = {f"{which}-{kind}.png" for which in ("1", "screen") for kind in ("words", "letters")}
    assert {path.name for path in tmp_path.iterdir()} == names
