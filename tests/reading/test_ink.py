"""Ink is told from what only looks like it: grain, and what is weak all over."""

import numpy as np
import pytest
from PIL import Image, ImageDraw, ImageFilter
from scipy import ndimage
from skimage.filters import threshold_otsu
from test_spans import font_of

from lettergpu.reading import filters as filters_module
from lettergpu.reading import ink as ink_module
from lettergpu.reading.filters import far_off, filled, of_squares, otsu, smoothed, stroke_width
from lettergpu.reading.ink import find_ink
from lettergpu.reading.reader import Reader


@pytest.fixture(scope="module")
def reader():
    return Reader.of()


def in_the_dark(text, grain=20):
    """Bold print on paper that gets darker to the right, seen by a sensor with so many levels of grain."""
    height, width = 160, 90 + 60 * len(text)
    sheet = Image.new("L", (width, height), 255)
    ImageDraw.Draw(sheet).text((width / 2, height / 2), text, 150, font_of("DejaVuSans-Bold", 60), anchor="mm")
    light = np.linspace(0.8, 0.25, width)
    grains = np.random.default_rng(0).normal(0, grain, (height, width, 3))
    return np.uint8(np.clip((np.asarray(sheet) * light)[..., None] + grains, 0, 255))


@pytest.mark.parametrize("text", ["R", "K", "X"])
def test_grain_in_the_dark_is_no_ink(text, reader):
    assert reader.read(in_the_dark(text)).text == text


def test_small_print_in_grain_is_seen_as_sharply_as_without_a_crowd(monkeypatch):
    page = np.asarray(Image.new("L", (900, 400), 200))
    sheet = Image.fromarray(page)
    for line in range(4):
        ImageDraw.Draw(sheet).text((40, 40 + 80 * line), "A CROWD OF LETTERS", 40, font_of("DejaVuSans", 50))
    grains = np.random.default_rng(1).normal(0, 8, (*page.shape, 3))
    picture = np.uint8(np.clip(np.asarray(sheet)[..., None] + grains, 0, 255))
    found = find_ink(picture)
    monkeypatch.setattr(ink_module, "BLURS", ())
    np.testing.assert_array_equal(found.share, find_ink(picture).share)


def under_print(dark, below=""):
    """Print, and below it, as dark as this, a word and an arc, as the edge of a note on a table of its colour casts."""
    page = Image.new("L", (700, 420), 205)
    draw = ImageDraw.Draw(page)
    draw.text((60, 40), "EDGE", 40, font_of("DejaVuSans", 80))
    draw.arc((420, 220, 520, 340), 60, 190, dark, 8)
    draw.text((60, 200), below, dark, font_of("DejaVuSans", 80))
    light = np.linspace(1, 0.8, 700) + np.random.default_rng(2).normal(0, 0.007, (420, 700))
    return np.uint8(np.clip(np.asarray(page.filter(ImageFilter.GaussianBlur(2))) * light, 0, 255))


@pytest.mark.parametrize(("dark", "read"), [(90, "EDGE\nC"), (115, "EDGE"), (130, "EDGE")])
def test_what_is_weak_all_over_is_no_letter(dark, read, reader):
    assert reader.read(under_print(dark)).text == read


def test_weak_writing_is_letters(reader):
    assert reader.read(under_print(115, "NOTES")).text == "EDGE\nNOTES\nC"


def test_faint_pencil_under_bold_print_is_read(reader):
    page = Image.new("L", (520, 260), 225)
    draw = ImageDraw.Draw(page)
    draw.text((50, 100), "HOUSE", 0, font_of("DejaVuSans-Bold", 80), anchor="ls")
    draw.text((50, 200), "NOTES", 207, font_of("DejaVuSans", 70), anchor="ls")
    light = np.linspace(1, 0.75, 520) + np.random.default_rng(0).normal(0, 0.007, (260, 520))
    assert reader.read(np.uint8(np.clip(np.asarray(page) * light, 0, 255))).text == "HOUSE\nNOTES"


@pytest.mark.parametrize("size", [1, 3, 7, 12, 31])
@pytest.mark.parametrize("dtype", [np.float32, np.int16, bool])
def test_the_extremes_of_squares_are_scipys(size, dtype):
    values = (np.random.default_rng(3).random((31, 44)) * 400 - 200).astype(dtype)
    before, after = size // 2, (size - 1) // 2  # of a square, the place that SciPy takes for its middle
    within = np.s_[before : 31 - after, before : 44 - after]
    np.testing.assert_array_equal(of_squares(np.maximum, values, size), ndimage.maximum_filter(values, size)[within])
    np.testing.assert_array_equal(of_squares(np.minimum, values, size), ndimage.minimum_filter(values, size)[within])


@pytest.mark.parametrize("shape", [(1, 1), (1, 9), (7, 3), (40, 50)])
def test_what_a_mask_encloses_is_scipys(shape):
    rng = np.random.default_rng(0)
    for ink in (0.3, 0.6, 0.8, 1.0):
        mask = rng.random(shape) < ink
        np.testing.assert_array_equal(filled(mask), ndimage.binary_fill_holes(mask))


@pytest.mark.parametrize("dtype", [np.uint8, np.float32])
def test_how_far_off_a_colour_is_does_not_wrap(dtype):
    pixels = np.random.default_rng(0).integers(0, 256, (9, 7, 3)).astype(dtype)
    colour = np.array([0, 128, 255], dtype)
    np.testing.assert_array_equal(far_off(pixels, colour), np.abs(pixels.astype(int) - colour.astype(int)).max(axis=2))


@pytest.mark.parametrize("more", [0, 1, 5000])
@pytest.mark.parametrize("share", [0.02, 0.3, 0.5])
def test_a_threshold_is_otsus_whatever_is_counted_at_once(share, more):
    rng = np.random.default_rng(4)
    values = (rng.normal(0.1, 0.15, (60, 50)) + 0.4 * (rng.random((60, 50)) < share)).astype(np.float32)
    of_all = threshold_otsu(np.append(values, np.repeat(values[0, 0], more)))
    assert otsu(values, more) == pytest.approx(of_all, abs=float(np.ptp(values)) / 256)
    assert otsu(np.full(7, 0.25, np.float32), more) == 0.25


@pytest.mark.parametrize("corner", [(0, 0), (13, 5), (81, 50)])
def test_a_strokes_width_is_told_wherever_it_lies(corner):
    page = np.zeros((90, 80), bool)
    top, left = corner
    page[top : top + 9, left : left + 30] = True
    assert stroke_width(page) == stroke_width(page.T) == 9
    assert stroke_width(np.zeros((9, 8), bool)) == 0


@pytest.mark.parametrize("paper", [255, 250, 20])
@pytest.mark.parametrize("place", [(70, 90), (2, 2), (0, 150)])
def test_what_is_all_alike_is_left_out_without_a_difference(monkeypatch, paper, place):
    sheet = Image.new("RGB", (260, 300), (paper,) * 3)
    ImageDraw.Draw(sheet).text(place, "B", (200, 60, 90), font_of("DejaVuSans", 90))
    found = find_ink(np.asarray(sheet))
    for module in ink_module, filters_module:
        monkeypatch.setattr(module, "varied", lambda values, margin: np.s_[:, :])
    of_all = find_ink(np.asarray(sheet))
    np.testing.assert_array_equal(found.share, of_all.share)
    assert found.stroke == of_all.stroke


@pytest.mark.parametrize("sigma", [0.6, 1.0, 3.3])
def test_a_grey_is_smoothed_as_by_scipy(sigma):
    grey = np.full((60, 70), 252.3, np.float32)
    np.testing.assert_array_equal(smoothed(grey, sigma), grey)
    for box in (np.s_[20:31, 30:44], np.s_[1:5, 60:], np.s_[:, :]):
        grey[box] = np.random.default_rng(5).random(grey[box].shape) * 255
        np.testing.assert_array_equal(smoothed(grey, sigma), ndimage.gaussian_filter(grey, sigma))
