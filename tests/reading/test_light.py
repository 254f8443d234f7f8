"""Uneven light on paper and table, a lamp's, a lens's or a shadow's, changes nothing of what is read."""

import numpy as np
import pytest
from PIL import Image, ImageDraw, ImageFilter
from test_notes import grainy
from test_spans import font_of

from lettergpu.reading.filters import evened
from lettergpu.reading.page import on_paper
from lettergpu.reading.reader import Reader

LINES = ["HOPE THIS WORKS", "FINAL PROJECT"]


@pytest.fixture(scope="module")
def reader():
    return Reader.of()


def page_of(lines, size=(360, 260), table=0, height=26, ink=70):
    """Grey print on a page that fills the picture, but for a dark strip of the table on its left."""
    page = Image.new("L", size, 200)
    draw = ImageDraw.Draw(page)
    for row, line in enumerate(lines):
        draw.text((table + 30, 50 + 2 * height * row), line, ink, font_of("DejaVuSans", height))
    if table:
        draw.rectangle((0, 0, table - 1, size[1]), fill=25)
    return np.asarray(page.filter(ImageFilter.GaussianBlur(0.7)), np.float64)


def lit(grey, light):
    """The page, grey (height, width), in light told by where one is, 0 to 1 across and down, with grain."""
    y, x = (np.linspace(0.0, 1.0, length) for length in grey.shape)
    return grainy(np.repeat((grey * light(x, y[:, None]))[..., None], 3, axis=2))


LIGHTS = {
    "from the right": lambda x, y: 0.6 + 0.4 * x + 0 * y,
    "from the left": lambda x, y: 1.0 - 0.4 * x + 0 * y,
    "from above": lambda x, y: 1.0 - 0.5 * y + 0 * x,
    "shadow": lambda x, y: 0.65 + 0.35 / (1.0 + np.exp(-40.0 * (x + 0.5 * y - 0.6))),
}


@pytest.mark.parametrize("name", LIGHTS)
@pytest.mark.parametrize("table", [10, 18])
def test_a_strip_of_the_table_beside_a_page_is_left_out_in_any_light(name, table, reader):
    picture = lit(page_of(LINES, table=table), LIGHTS[name])
    page, *_ = on_paper(picture)
    assert page[:, :table].mean() > 90
    assert reader.read(picture).text == "\n".join(LINES)


@pytest.mark.parametrize("height", [26, 40])
def test_small_writing_on_a_sheet_in_a_large_picture_is_seen(height, reader):
    table, sheet = Image.new("L", (2000, 1400), 85), Image.new("L", (900, 620), 200)
    for row, line in enumerate(["SEND", "HOME"]):
        for column, letter in enumerate(line):
            place = 180 + 150 * column, 200 + 130 * row
            ImageDraw.Draw(sheet).text(place, letter, 120, font_of("DejaVuSans", height))
    table.paste(sheet, (600, 400))
    found = reader.read(lit(np.asarray(table.filter(ImageFilter.GaussianBlur(1.0)), np.float64), LIGHTS["from above"]))
    assert found.text.replace(" ", "") == "SEND\nHOME"


LAMPS = {
    "in a corner": lambda x, y: 1.0 - 0.6 * np.hypot(x - 0.3, y - 0.3),
    "above all": lambda x, y: np.exp(-1.2 * ((x - 0.5) ** 2 + (y - 0.5) ** 2)),
    "beside it": lambda x, y: np.exp(-0.9 * x - 0.2 * y),
}


@pytest.mark.parametrize("name", LAMPS)
def test_a_page_of_letters_far_apart_is_read_in_the_light_of_a_lamp(name, reader):
    page = Image.new("L", (1600, 1100), 200)
    rows = ["NEON", "WAGE", "TURK"]
    for row, line in enumerate(rows):
        for column, letter in enumerate(line):
            ImageDraw.Draw(page).text((250 + 320 * column, 200 + 300 * row), letter, 70, font_of("DejaVuSans", 44))
    found = reader.read(lit(np.asarray(page.filter(ImageFilter.GaussianBlur(1.0)), np.float64), LAMPS[name]))
    assert found.text.replace(" ", "") == "\n".join(rows)


@pytest.mark.parametrize("name", LAMPS)
def test_light_is_evened_and_ink_is_kept(name):
    page = page_of(LINES, size=(480, 260))
    picture = lit(page, LAMPS[name])
    even = evened(picture)
    paper, ink = page > 190, page < 100
    before, after = (np.ptp(np.percentile(seen[paper], (2, 98))) for seen in (picture, even))
    assert after < 0.4 * before
    assert np.median(even[ink]) < 0.5 * np.median(even[paper])


@pytest.mark.parametrize("size", [(1, 1), (1, 40), (2, 300), (6000, 80), (3, 3)])
def test_a_strip_is_too_narrow_for_some_of_the_lights_terms_and_stays_as_it_is(size):
    strip = np.uint8(np.random.default_rng(1).normal(200, 3, (*size, 3)))
    assert evened(strip) is strip


@pytest.mark.parametrize("light", [lambda x, y: 1.0 + 0 * x + 0 * y, lambda x, y: np.where(x < 0.5, 0.5, 1.0) + 0 * y])
def test_a_page_in_even_light_or_a_sharp_shadow_stays_as_it_is(light):
    picture = lit(page_of(LINES), light)
    assert evened(picture) is picture
