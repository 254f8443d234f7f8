"""Rules and squares that paper has, and letters through them."""

import numpy as np
import pytest
from fonts import FACES
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image, ImageDraw, ImageFont
from test_spans import font_of

from lettergpu.reading.ink import Ink
from lettergpu.reading.reader import Reader
from lettergpu.reading.rules import boxes_of, rules_of, unruled
from lettergpu.reading.sheet import level_sheet

STROKE = 7


@pytest.fixture(scope="module")
def reader():
    return Reader.of()


def ruled(text, slope=0.0, apart=45, upright=True, ink="black"):
    """A word written through squares of `apart` pixels, and which pixels are of it."""
    image, alone = (Image.new("RGB", (560, 200), "white") for _ in range(2))
    for page in (image, alone):
        font = ImageFont.truetype(next(file for file in FACES if "DejaVuSans.ttf" in str(file)), 70)
        ImageDraw.Draw(page).text((60, 130), text, ink, font, anchor="ls")
    draw = ImageDraw.Draw(image)
    for at in range(-60, 700, apart):
        draw.line((0, at, 560, at + slope * 560), ink, 3)
        if upright:
            draw.line((at, 0, at - slope * 200, 200), ink, 3)
    return image, np.asarray(alone)[..., 0] < 128


@pytest.mark.parametrize("slope", [0.0, 0.03, -0.05, 0.1])
@pytest.mark.parametrize("upright", [False, True])
def test_rules_are_found_and_what_crosses_them_stays(slope, upright):
    image, letters = ruled("HAND", slope, upright=upright)
    mask = np.asarray(image)[..., 0] < 128
    rules = rules_of(mask, STROKE)
    assert not (rules & ~mask).any()
    assert (rules & ~letters).sum() > 0.97 * (mask & ~letters)[20:-20, 20:-20].sum()
    assert (rules & letters).sum() < 0.02 * letters.sum()


@pytest.mark.parametrize("text", ["HAND", "BLUE", "QUICK"])
@pytest.mark.parametrize("slope", [0.0, 0.04])
def test_a_word_is_read_through_squares(text, slope, reader):
    assert reader.read(ruled(text, slope)[0]).text == text


def test_a_single_letter_is_read_through_squares(reader):
    assert reader.read(ruled("R")[0], form="single").text == "R"


@pytest.mark.parametrize("text", ["E", "H", "N", "T", "Z"])
def test_bars_across_the_page_are_a_letter_where_that_says_more(text, reader):
    image = Image.new("RGB", (500, 500), "white")
    bars = {
        "E": [(40, 40, 40, 460), (40, 40, 460, 40), (40, 250, 460, 250), (40, 460, 460, 460)],
        "H": [(60, 40, 60, 460), (440, 40, 440, 460), (60, 250, 440, 250)],
        "N": [(60, 460, 60, 40), (60, 40, 440, 460), (440, 460, 440, 40)],
        "T": [(40, 40, 460, 40), (250, 40, 250, 460)],
        "Z": [(60, 40, 440, 40), (440, 40, 60, 460), (60, 460, 440, 460)],
    }
    for bar in bars[text]:
        ImageDraw.Draw(image).line(bar, "black", 9)
    noise = np.random.default_rng(0).normal(0, 1.0, (500, 500, 1))
    assert reader.read((np.asarray(image) * 0.9 + 10 + noise).astype(np.uint8)).text == text


def boxed(text, width, tilt=0.0, apart=90):
    """Each letter in a box of its own."""
    image = Image.new("RGB", (40 + apart * len(text), 150), "white")
    draw = ImageDraw.Draw(image)
    font = ImageFont.truetype(next(file for file in FACES if "DejaVuSans.ttf" in str(file)), 50)
    for number, letter in enumerate(text):
        left = 30 + apart * number
        draw.rectangle((left, 30, left + 70, 110), outline=(60, 60, 60), width=width)
        draw.text((left + 35, 70), letter, "black", font, anchor="mm")
    return image.rotate(tilt, expand=True, fillcolor="white")


@pytest.mark.parametrize("width", [1, 3, 6])
@pytest.mark.parametrize(("text", "tilt"), [("K", 0.0), ("G", 3.0), ("FORMS", 0.0), ("BLUE", -2.0)])
def test_letters_in_boxes_are_read_without_them(text, tilt, width, reader):
    assert reader.read(boxed(text, width, tilt)).text.replace(" ", "") == text


@pytest.mark.parametrize("apart", [70, 73])
def test_boxes_may_share_their_sides(apart, reader):
    assert reader.read(boxed("HAND", 3, apart=apart)).text.replace(" ", "") == "HAND"


@pytest.mark.parametrize("text", ["K", "Q", "DAY"])
def test_what_is_in_a_circle_is_read_without_it(text, reader):
    image = Image.new("RGB", (300, 220), "white")
    draw = ImageDraw.Draw(image)
    font = ImageFont.truetype(next(file for file in FACES if "DejaVuSans.ttf" in str(file)), 80)
    draw.text((150, 110), text, "black", font, anchor="mm")
    left, top, right, bottom = draw.textbbox((150, 110), text, font, anchor="mm")
    wide, high = 0.8 * (right - left), 0.8 * (bottom - top)
    draw.ellipse((150 - wide, 110 - high, 150 + wide, 110 + high), outline=(60, 60, 60), width=4)
    assert reader.read(image).text == text


@pytest.mark.parametrize("gap", [0, 8, 20])
def test_what_a_hand_draws_around_a_word_need_not_be_closed(gap, reader):
    image = Image.new("RGB", (640, 320), "white")
    draw = ImageDraw.Draw(image)
    draw.arc((60, 80, 580, 240), 10 + gap / 2, 370 - gap / 2, (60, 60, 60), 5)
    font = ImageFont.truetype(next(file for file in FACES if "DejaVuSans.ttf" in str(file)), 90)
    draw.text((320, 160), "KITE", "black", font, anchor="mm")
    assert reader.read(image).text == "KITE"


def test_a_round_letter_with_a_tail_in_it_stays():
    image = Image.new("L", (120, 120), 0)
    draw = ImageDraw.Draw(image)
    draw.ellipse((20, 20, 100, 100), outline=255, width=6)
    draw.line((64, 66, 80, 82), 255, 6)  # a Q's, apart from its ring
    assert not boxes_of(np.asarray(image) > 127, 6.0).any()


@pytest.mark.parametrize("inside", ["", "bar", "speck"])
def test_a_letter_as_square_as_a_box_stays(inside):
    mask = np.zeros((120, 120), bool)
    mask[20:100, 25:95] = True
    mask[25:95, 30:90] = False  # an O of a display
    mask[{"bar": np.s_[56:61, 30:90], "speck": np.s_[58:66, 50:58], "": np.s_[:0]}[inside]] = True  # or a B, or dotted
    assert not boxes_of(mask, 5.0).any()


def test_a_page_without_ink_has_neither_rules_nor_boxes():
    page = np.zeros((90, 70), bool)
    assert not rules_of(page, 2.0).any()
    assert not boxes_of(page, 2.0).any()


def test_a_word_has_no_rules():
    assert not rules_of(ruled("HAND")[1], STROKE).any()


@settings(max_examples=60, deadline=None)
@given(st.integers(0, 2**32 - 1), st.integers(1, 90), st.integers(1, 90), st.floats(0, 1), st.floats(1, 9))
def test_whatever_the_ink_its_rules_are_of_it(seed, height, width, share, stroke):
    mask = np.random.default_rng(seed).random((height, width)) < share
    rules = rules_of(mask, stroke)
    assert rules.shape == mask.shape
    assert not (rules & ~mask).any()
    np.testing.assert_array_equal(rules_of(mask, stroke), rules)


def test_of_frames_within_each_other_no_more_are_pieces_than_would_cover_four_pages():
    page = Image.new("L", (400, 400))
    pen = ImageDraw.Draw(page)
    for step in range(0, 180, 6):
        pen.rectangle((step, step, 399 - step, 399 - step), outline=255, width=2)
    pen.text((190, 190), "I", 255)
    pieces = level_sheet(Ink(np.asarray(page, np.float32) / 255, 2.0, 1.0)).pieces
    kept = [piece.height * piece.width for piece in pieces]
    assert 3.0 < sum(kept) / 400**2 <= 4.0
    assert {(400 - 2 * step) ** 2 for step in range(174, 90, -6)} < set(kept)
    assert min(kept) < 100  # the letter


@pytest.mark.parametrize("apart", [7, 10])
@pytest.mark.parametrize("text", ["SNOW", "LIGHT", "HUNDRED"])
def test_letters_of_dots_are_read(text, apart, reader):
    font = ImageFont.truetype(next(file for file in FACES if "DejaVuSans.ttf" in str(file)), 10)
    grid = Image.new("1", (9 * len(text) + 8, 18))
    ImageDraw.Draw(grid).text((4, 3), text, 1, font)
    page = Image.new("RGB", (grid.width * apart, grid.height * apart), (20, 20, 24))
    for row, column in np.argwhere(grid):
        x, y = (column + 0.5) * apart, (row + 0.5) * apart
        ImageDraw.Draw(page).ellipse(
            (x - 0.4 * apart, y - 0.4 * apart, x + 0.4 * apart, y + 0.4 * apart), (255, 120, 30)
        )
    noisy = np.clip(np.asarray(page) + np.random.default_rng(0).normal(0, 3, (*page.size[::-1], 3)), 0, 255)
    for picture in (noisy, 255 - noisy):
        assert reader.read(np.uint8(picture)).text.replace(" ", "") == text


def test_specks_beside_letters_are_not_strung_together():
    share = np.zeros((160, 700), np.float32)
    share[20:80, 20:30] = share[20:80, 50:60] = 1.0
    for row, left in np.ndindex(2, 10):
        share[100 + 20 * row : 108 + 20 * row, 80 + 30 * left : 88 + 30 * left] = 1.0
    assert [(seen is share, stroke) for seen, stroke in unruled(share, 8.0)] == [(True, 8.0)]
    share[20:80, 20:30] = 0.0  # now they are most of what there is
    ((strung, _),) = unruled(share, 8.0)
    assert strung is not share
    assert strung.dtype == np.float32
    share[100:108, 80:140] = 0.0  # and now too few
    assert all(seen is share for seen, _ in unruled(share, 8.0))


@pytest.mark.parametrize("face", ["DejaVuSans-Bold", "DejaVuSerif-Bold"])
@pytest.mark.parametrize("text", ["SNOW", "VALLEY", "BOARD"])
def test_hollow_letters_are_read(text, face, reader):
    page = Image.new("L", (100 + 75 * len(text), 160), 220)
    ImageDraw.Draw(page).text((40, 30), text, 220, font_of(face, 80), stroke_width=3, stroke_fill=40)
    noisy = np.clip(np.asarray(page) + np.random.default_rng(0).normal(0, 3, page.size[::-1]), 0, 255)
    for picture in (noisy, 255 - noisy):
        assert reader.read(np.uint8(picture)).text == text


@pytest.mark.parametrize("place", [0, 1, 2])
def test_a_hollow_line_is_read_among_solid_ones(place, reader):
    lines = ["RIVER BANK", "OCTOBER"]
    lines.insert(place, "MUSIC")
    page = Image.new("L", (520, 340), 225)
    for i, text in enumerate(lines):
        hollow = {"stroke_width": 3, "stroke_fill": 40} if i == place else {}
        font = font_of("DejaVuSans-Bold", 80) if hollow else font_of("DejaVuSans", 56)
        ImageDraw.Draw(page).text((40, 70 + 100 * i), text, 225 if hollow else 50, font, "lm", **hollow)
    noisy = np.asarray(page) + np.random.default_rng(0).normal(0, 3, page.size[::-1])
    assert reader.read(np.uint8(np.clip(noisy, 0, 255))).text == "\n".join(lines)


def test_strokes_are_within_outlines_but_not_what_they_surround():
    ring = np.ones((120, 400), bool)
    for left in (20, 140, 260):  # a hollow O: an outline, a stroke, an outline, and paper in its middle
        for step, inked in ((0, False), (4, True), (20, False), (24, True)):
            ring[10 + step : 110 - step, left + step : left + 100 - step] = inked
    share = np.float32(~ring)
    (first, _), (filled, stroke), *_ = unruled(share, 4.0)
    assert first is share
    assert stroke == pytest.approx(16.0, abs=1.0)
    assert filled[60, [32, 152, 272]].all()
    assert not filled[60, [10, 70, 190, 310]].any()
    solid = np.float32(ruled("BOARD")[1])
    assert all(seen is solid for seen, _ in unruled(solid, STROKE))  # the holes of letters are not strokes
