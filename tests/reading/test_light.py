"""Uneven light on paper and table, a lamp's, a lens's or a shadow's, changes nothing of what is read."""

import numpy as np
import pytest
from PIL import Image, ImageDraw, ImageFilter
from test_notes import grainy
from test_spans import font_of

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
