"""Pages of small print, as scanners make them: thousands of letters, strokes of one pixel or two."""

import difflib
from dataclasses import replace

import numpy as np
import pytest
from fonts import FACES
from PIL import Image, ImageDraw, ImageFilter, ImageFont

from lettergpu.reading import order
from lettergpu.reading import reader as reader_module
from lettergpu.reading.ink import find_ink
from lettergpu.reading.pictures import open_page
from lettergpu.reading.reader import Reader
from lettergpu.reading.sheet import Piece

TEXT = "the quick brown fox jumps over a lazy dog While many other people write Letters to each of their friends"
WORDS = TEXT.split()


@pytest.fixture(scope="module")
def reader():
    return Reader.of()


def scanned(face, points, dpi, noise):
    """An A4 page full of words of print, and these."""
    rng = np.random.default_rng([points, dpi])
    font = ImageFont.truetype(next(file for file in FACES if f"{face}.ttf" in str(file)), round(points * dpi / 72))
    page = Image.new("L", (round(8.27 * dpi), round(11.69 * dpi)), 250)
    pen, lines = ImageDraw.Draw(page), []
    for top in np.arange(dpi, page.height - 1.5 * dpi, 1.5 * points * dpi / 72):
        line = str(rng.choice(WORDS))
        while pen.textlength(longer := f"{line} {rng.choice(WORDS)}", font) < page.width - 2 * dpi:
            line = longer
        pen.text((dpi, top), line, 30, font)
        lines.append(line)
    grey = np.asarray(page.filter(ImageFilter.GaussianBlur(dpi / 300)), np.float64)
    grey += rng.normal(0, noise, grey.shape)
    return np.uint8(grey.clip(0, 255)), "\n".join(lines).upper()


@pytest.mark.parametrize(
    ("face", "points", "dpi", "noise"),
    [("DejaVuSans", 10, 200, 4), ("DejaVuSerif", 11, 200, 4), ("DejaVuSerif", 14, 300, 0), ("DejaVuSans", 11, 300, 8)],
)
def test_a_scanned_page_of_print_is_read(face, points, dpi, noise, reader):
    page, text = scanned(face, points, dpi, noise)
    true, read = ("".join(words.split()) for words in (text, reader.read(page).text))
    assert len(true) > 1000
    found = difflib.SequenceMatcher(None, true, read, autojunk=False).get_matching_blocks()
    assert sum(block.size for block in found) > 0.95 * max(len(true), len(read))


def photographed(page):
    noise = np.random.default_rng(0).normal(0, 3, page.size[::-1])
    return np.uint8((np.asarray(page.filter(ImageFilter.GaussianBlur(0.7))) + noise).clip(0, 255))


@pytest.mark.parametrize(("face", "size"), [("DejaVuSerif-Bold", 27), ("DejaVuSans-Bold", 24), ("STIXGeneralBol", 30)])
def test_bold_print_whose_holes_and_gaps_a_camera_blurs_is_looked_at_more_sharply(face, size, reader):
    font = ImageFont.truetype(next(file for file in FACES if f"{face}.ttf" in str(file)), size)
    text = "\n".join(" ".join(WORDS[first : first + 5]) for first in (0, 5, 10, 15))
    page = Image.new("L", (26 * size, 8 * size), 225)
    ImageDraw.Draw(page).multiline_text((size, size), text, 30, font, spacing=size / 3)
    true, read = ("".join(words.upper().split()) for words in (text, reader.read(photographed(page)).text))
    found = difflib.SequenceMatcher(None, true, read, autojunk=False).get_matching_blocks()
    assert sum(block.size for block in found) > 0.9 * max(len(true), len(read))


@pytest.mark.parametrize(
    ("limit", "value", "looks"),
    [
        ("ASKED", 2000, 2),
        ("ASKED", 20, 1),
        ("CLOSE", 1000, 1),
        ("LOOKED", 1e6, 2),
        ("LOOKED", 420 * 130, 1),
        ("MOST", 30, 2),
        ("MOST", 10, 1),
    ],
)
def test_what_is_large_or_full_or_was_looked_at_enough_is_not_looked_at_again(limit, value, looks, reader, monkeypatch):
    """If it leaves doubt, as anything does here."""
    monkeypatch.setattr(reader_module, "DOUBT", -1.0)
    font = ImageFont.truetype(next(file for file in FACES if "DejaVuSerif-Bold.ttf" in str(file)), 27)
    page = Image.new("L", (420, 130), 225)
    ImageDraw.Draw(page).multiline_text((27, 20), "their many\nwrite each", 30, font, spacing=9)
    seen = []
    find_ink = reader_module.find_ink
    monkeypatch.setattr(reader_module, "find_ink", lambda page, *how: seen.append(how) or find_ink(page, *how))
    monkeypatch.setattr(reader_module, limit, value)
    reader.read(photographed(page))
    assert len({blur for _, blur in seen}) == looks


@pytest.mark.parametrize(("full", "doubt", "looks"), [(15, 0.1, 1), (16, 0.1, 2), (15, 0.0, 2)])
def test_a_page_full_of_letters_without_doubt_is_not_looked_at_in_another_way(full, doubt, looks, reader, monkeypatch):
    font = ImageFont.truetype(next(file for file in FACES if "DejaVuSans.ttf" in str(file)), 40)
    page = Image.new("L", (420, 180), 250)
    ImageDraw.Draw(page).multiline_text((30, 30), "THE QUICK\nBROWN FOX", 30, font, spacing=20)
    seen = []
    find_letters = reader_module.find_letters
    monkeypatch.setattr(reader_module, "unruled", lambda share, stroke: [(share, stroke)] * 2)
    monkeypatch.setattr(reader_module, "find_letters", lambda *how: seen.append(how) or find_letters(*how))
    monkeypatch.setattr(reader_module, "FULL", full)
    monkeypatch.setattr(reader_module, "SURER", doubt)
    reading = reader.read(page)
    assert reading.text.replace(" ", "").replace("\n", "") == "THEQUICKBROWNFOX"
    assert len(seen) == looks


def titled(times):
    """A word in print, lines below it in letters so many times as small, and the text."""
    words = np.random.default_rng(times).permutation([word.upper() for word in WORDS])
    lines = ["HEADING", *(" ".join(words[first : first + 3]) for first in (0, 3, 6))]
    page = Image.new("L", (700 + 110 * times, 500 + 60 * times), 235)
    pen, top = ImageDraw.Draw(page), 40
    for line, size in zip(lines, (36 * times, 36, 36, 36), strict=True):
        font = ImageFont.truetype(next(file for file in FACES if "DejaVuSans.ttf" in str(file)), size)
        pen.text((40, top), line, 40, font)
        top += round(1.4 * size) + 20
    return photographed(page), "\n".join(lines)


@pytest.mark.parametrize("times", [1, 2, 3, 5, 8])
def test_a_heading_up_to_eight_times_as_large_is_read_and_what_stands_below_it(times, reader):
    page, text = titled(times)
    for polarity in (page, 255 - page):
        assert reader.read(polarity).text.replace(" ", "") == text.replace(" ", "")


@pytest.mark.parametrize("size", [24, 56])
@pytest.mark.parametrize("face", ["DejaVuSans", "DejaVuSerif", "STIXGeneral"])
@pytest.mark.parametrize("text", ["BLUE SKY", "Green Tree", "OCTOBER SIX\nrain"])
def test_words_of_a_short_line_of_print_are_parted(text, face, size, reader):
    page = Image.new("L", (10 * size, 4 * size), 225)
    font = ImageFont.truetype(next(file for file in FACES if f"{face}.ttf" in str(file)), size)
    ImageDraw.Draw(page).text((size, size), text, 40, font)
    noisy = np.asarray(page) + np.random.default_rng(0).normal(0, 3, page.size[::-1])
    assert reader.read(np.uint8(np.clip(noisy, 0, 255))).text == text.upper()


def test_words_of_capitals_are_parted_where_the_gaps_are_of_two_kinds(reader):
    page = Image.new("L", (1500, 700), "white")
    font = ImageFont.truetype(next(file for file in FACES if "STIXGeneral.ttf" in str(file)), 60)
    text = "THE QUICK BROWN FOX\nJUMPS OVER THE LAZY DOG\nAND WRITES A LETTER"
    ImageDraw.Draw(page).text((60, 60), text, "black", font, spacing=60)
    assert reader.read(page).text == text


@pytest.mark.parametrize(
    ("gaps", "words"),
    [
        ([3, 4, 5, 4, 15] * 6, 10.0),  # print, in letters of 40 pixels: about half-way
        ([1, 2, 1, 2, 9] * 6, 10.0),  # no nearer than letters may be
        ([3, 9, 15, 21, 27] * 6, 24.0),  # of one kind, as wide as it is
        ([3, 4, 5, 4, 15, 4], 10.0),  # of few, but alike
        ([3, 9, 5, 13, 12, 7], 24.0),  # of few, and no two kinds
        ([3, 4, 5, 15], 24.0),  # of too few to tell
        ([4] * 30, 24.0),
        ([], 24.0),
    ],
)
def test_the_gap_between_words_is_between_two_kinds_of_gaps_or_what_hands_leave(gaps, words):
    lefts = np.cumsum([0, *(20 + gap for gap in gaps)])
    line = [Piece((number,), left, 0, left + 20, 40) for number, left in enumerate(lefts)]
    assert order.word_gaps([line], 1.0) == pytest.approx([words], abs=0.5)
    larger = [replace(piece, bottom=80, left=2 * piece.left, right=2 * piece.right) for piece in line]
    assert order.word_gaps([larger, line[:1], []], 1.0) == pytest.approx([2 * words, words, 0.0], abs=0.5)
    wider = [replace(piece, left=2 * piece.left, right=2 * piece.right) for piece in line]
    assert order.word_gaps([wider], 2.0) == pytest.approx([2 * words], abs=0.5)


def test_a_page_that_is_a_little_too_large_is_made_no_smaller_than_need_be():
    page = open_page(Image.new("RGB", (1654, 2339), "white"))
    assert page.pixels.shape == (2000, 1414, 3)
    assert page.size == (1654, 2339)


def test_noise_is_no_reason_to_blur_a_page_whose_letters_are_many_more(monkeypatch):
    page, _ = scanned("DejaVuSans", 11, 150, 4)
    sharp = find_ink(np.repeat(page[..., None], 3, axis=2))
    monkeypatch.setattr("lettergpu.reading.ink.BLURS", ())
    np.testing.assert_array_equal(sharp.share, find_ink(np.repeat(page[..., None], 3, axis=2)).share)


def test_of_gaps_that_may_be_between_columns_a_few_are_looked_at(monkeypatch):
    asked = []
    monkeypatch.setattr(order, "_is_text", lambda pieces, height: asked.append(len(pieces)))
    pieces = [Piece((number,), 9 * number, 7 * number, 9 * number + 3, 7 * number + 3) for number in range(500)]
    assert sum(map(len, order.lines_of(pieces, 3.0))) == 500
    assert len(asked) == (1 + order.HEADINGS) * order.GUTTERS
