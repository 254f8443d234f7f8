"""Writing on bars and buttons of another colour is read together with what is beside them."""

import numpy as np
import pytest
from PIL import Image, ImageDraw
from test_notes import grainy
from test_spans import font_of

from lettergpu.reading.page import turned_over
from lettergpu.reading.reader import Reader

WHITE, INK, RED, BLUE, YELLOW = (244, 243, 240), (30, 30, 35), (200, 25, 30), (25, 65, 165), (240, 205, 40)


@pytest.fixture(scope="module")
def reader():
    return Reader.of()


def page_with(bars, paper=WHITE, size=(520, 360), margin=40, radius=0, slope=0.0):
    """A page with rows of print, top to bottom, each on a bar of some colour, or on none."""
    page = Image.new("RGB", size, paper)
    draw, font = ImageDraw.Draw(page), font_of("DejaVuSans-Bold", 38)
    for row, (text, colour, ink) in enumerate(bars):
        box = margin, 25 + 110 * row, size[0] - margin, 105 + 110 * row
        if colour:
            draw.rounded_rectangle(box, radius, fill=colour)
        draw.text(((box[0] + box[2]) / 2, (box[1] + box[3]) / 2), text, ink, font, anchor="mm")
    return grainy(np.asarray(page.rotate(slope, Image.Resampling.BICUBIC, fillcolor=paper)))


@pytest.mark.parametrize("slope", [0.0, 2.0, -4.0])
@pytest.mark.parametrize("colour", [RED, BLUE, INK])
def test_a_heading_on_a_bar_is_read_and_what_stands_below_it(colour, slope, reader):
    picture = page_with([("HEADING", colour, "white"), ("SNOW GLASS", None, INK), ("RIVER", None, INK)], slope=slope)
    assert reader.read(picture).text == "HEADING\nSNOW GLASS\nRIVER"


def test_buttons_of_many_colours_are_read(reader):
    bars = [("DINNER", RED, "white"), ("PLAY", YELLOW, INK), ("GARDEN", BLUE, "white")]
    assert reader.read(page_with(bars, radius=20)).text == "DINNER\nPLAY\nGARDEN"


def test_a_bar_as_wide_as_the_page_is_one_too(reader):
    bars = [("HEADING", RED, "white"), ("SNOW GLASS", None, INK), ("RIVER", None, INK)]
    picture = page_with(bars, margin=-1)[25:]
    assert reader.read(picture).text == "HEADING\nSNOW GLASS\nRIVER"


def test_what_is_brighter_than_what_it_lies_on_is_a_sheet():
    assert turned_over(page_with([("DINNER", YELLOW, INK), ("GARDEN", WHITE, INK)], paper=(20, 20, 20))) == []


@pytest.mark.parametrize("text", ["HEADING", "O"])
def test_a_page_without_bars_stays_as_it_is(text):
    assert turned_over(page_with([(text, None, INK)])) == []


@pytest.mark.parametrize("text", ["", "HEADING"])
def test_a_bar_on_which_nothing_is_written_stays(text):
    assert turned_over(page_with([(text, RED, RED)])) == []


@pytest.mark.parametrize("fold", [5.0, 11.0, 23.0])
def test_cloth_in_folds_is_no_bar(fold):
    picture = page_with([("", INK, INK), ("SNOW GLASS", None, INK)], margin=-1).astype(np.float64)
    across = np.arange(picture.shape[1])
    picture[25:105] += 45 * np.sin(across / fold)[:, None] ** 8
    assert turned_over(picture.astype(np.uint8)) == []


def test_what_is_on_a_bar_becomes_dark_on_paper_and_the_rest_stays():
    picture = page_with([("HEADING", RED, "white"), ("SNOW GLASS", None, INK)])
    (page,) = turned_over(picture)
    np.testing.assert_array_equal(page[130:], picture[130:])
    assert page.dtype == np.uint8
    corners = page[20:110, 30:100], page[20:110, -100:-30]
    assert min(corner.min() for corner in corners) > 200
    assert page[25:105].min() < 60
    assert np.median(page[25:105]) > 230


@pytest.mark.parametrize("colour", [RED, BLUE])
def test_a_bar_along_the_edge_of_a_sheet_is_of_it(colour, reader):
    bars = [("HELLO", colour, "white"), ("SNOW GLASS", None, INK), ("WINDOW", None, INK)]
    tag = page_with(bars, size=(420, 350), margin=-1)[25:]
    table = np.full((tag.shape[0] + 60, tag.shape[1] + 60, 3), (176, 170, 162), np.uint8)
    table[30:-30, 30:-30] = tag
    assert reader.read(grainy(table)).text == "HELLO\nSNOW GLASS\nWINDOW"
