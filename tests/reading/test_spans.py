"""Letters out of ink: cuts lose nothing, of all ways through a line the best is taken, marks are no letters."""

from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
from fonts import FACES
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image, ImageDraw, ImageFilter, ImageFont

from lettergpu.reading import layout
from lettergpu.reading.cuts import fragments_of
from lettergpu.reading.ink import find_ink
from lettergpu.reading.reader import Reader
from lettergpu.reading.sheet import Piece, joined, level_sheet
from lettergpu.reading.spans import LEAST, LETTER, Judge, Lattice, Span, as_on_a_page, lattice_of, letters_of, spans_of


@pytest.fixture(scope="module")
def reader():
    return Reader.of()


def font_of(face, size):
    return ImageFont.truetype(next(file for file in FACES if Path(file).stem == face), size)


def set_in_print(text, size=60, ink="black", paper="white", apart=0.1, face="DejaVuSans"):
    """A line, each letter `apart` heights from the next; inks are given letter by letter or for all."""
    font = font_of(face, size)
    inks = ink if isinstance(ink, list) else [ink] * len(text)
    width = int(sum(font.getlength(c) for c in text) + (len(text) + 2) * abs(apart) * size) + 2 * size
    image = Image.new("RGB", (width, 3 * size), paper)
    x = float(size)
    for character, colour in zip(text, inks, strict=True):
        ImageDraw.Draw(image).text((x, 2 * size), character, colour, font, anchor="ls")
        x += font.getlength(character) + apart * size
    return image


def touching(text="HOME", size=60):
    """One piece of ink: letters with a bar through all of them where they meet."""
    image = set_in_print(text, size, apart=-0.12)
    return level_sheet(find_ink(np.asarray(image)))


def test_fragments_share_out_the_ink_of_a_piece():
    sheet = touching()
    piece = max(sheet.pieces, key=lambda piece: piece.width)
    before = np.isin(sheet.labels, piece.labels)
    fragments = fragments_of(sheet, piece, 45.0)
    assert len(fragments) >= 4
    masks = [np.isin(sheet.labels, fragment.labels) for fragment in fragments]
    assert (np.sum(masks, axis=0) == before).all()  # each pixel is of one of them
    for fragment, mask in zip(fragments, masks, strict=True):
        rows, columns = np.flatnonzero(mask.any(axis=1)), np.flatnonzero(mask.any(axis=0))
        box = columns[0], rows[0], columns[-1] + 1, rows[-1] + 1
        assert box == (fragment.left, fragment.top, fragment.right, fragment.bottom)
        assert fragment.whole == piece.width
    assert fragments[0].cut == 0
    assert all(fragment.cut > 0 for fragment in fragments[1:])
    assert joined(fragments).width == piece.width


def test_a_narrow_piece_is_not_cut():
    sheet = touching("I")
    assert fragments_of(sheet, sheet.pieces[0], 45.0) == sheet.pieces


def every_way(spans, count, start=0):
    """All ways through a line, as the numbers of spans."""
    if start == count:
        yield ()
    for number, span in enumerate(spans):
        if span.start == start:
            for rest in every_way(spans, count, span.stop):
                yield number, *rest


@settings(max_examples=30, deadline=None)
@given(st.integers(0, 10**6), st.booleans())
def test_of_all_ways_through_a_line_the_best_is_taken(seed, all_of_it):
    sheet = touching("MIX")
    fragments = [part for piece in sheet.pieces for part in fragments_of(sheet, piece, 45.0)][:7]
    rng = np.random.default_rng(seed)
    judge = Judge(
        lambda images: rng.dirichlet(np.full(26, 0.1), len(images)),
        lambda images: rng.dirichlet((0.5, 0.5), len(images)),
    )
    lattice = lattice_of(sheet, fragments, 45.0, judge)
    spans, letter, none, *_ = lattice
    if all_of_it:
        none = np.full_like(none, -np.inf)
    ways = {way: sum(max(letter[i], none[i]) for i in way) for way in every_way(spans, len(fragments))}
    best = max(ways, key=lambda way: ways[way])
    expected = [i for i in best if letter[i] >= none[i]]
    found, score = letters_of(lattice, all_of_it)
    assert found == expected
    assert score == pytest.approx(ways[best])
    assert not all_of_it or {label for i in expected for label in spans[i].piece.labels} == {
        label for part in fragments for label in part.labels
    }


@settings(max_examples=30, deadline=None)
@given(st.integers(0, 10**6))
def test_a_lattice_told_how_often_letters_are_is_as_of_a_network_that_knows(seed):
    rng = np.random.default_rng(seed)
    sheet = touching("MIX")
    fragments = [part for piece in sheet.pieces for part in fragments_of(sheet, piece, 45.0)][:7]
    spans = spans_of(fragments, 45.0)
    named, like = rng.dirichlet(np.full(26, 0.3), len(spans)).clip(LEAST), rng.dirichlet((0.5, 0.5), len(spans))
    often = rng.dirichlet(np.full(26, 0.5))
    knows = named * often / (named @ often)[:, None]
    told = lattice_of(sheet, fragments, 45.0, Judge(lambda _: named, lambda _: like)).told(often)
    expected = lattice_of(sheet, fragments, 45.0, Judge(lambda _: knows, lambda _: like))
    for got, wanted in zip(told[1:], expected[1:], strict=True):
        np.testing.assert_allclose(got, wanted, atol=1e-9)


def test_what_is_higher_than_letters_are_is_a_pattern_and_not_cut():
    sheet = touching("MIX")
    piece = joined(sheet.pieces)
    for heights, cut in (1.0, True), (4.9, True), (5.1, False):
        ((_, parts),) = layout._parted(sheet, [[piece]], piece.height / heights, 0.0)
        assert (len(parts) > 1) == cut


def page_of(*rows):
    """A line of letters that stand apart, by the probabilities of A, B and C; no ink is none."""
    spans = [Span(i, i + 1, Piece((i,), 9 * i, 0, 9 * i + 5, 9)) for i in range(len(rows))]
    named = np.array(rows)
    return Lattice(spans, np.log(named.max(axis=1)), np.full(len(rows), -9.0), np.zeros((len(rows), 28, 28)), named)


def test_a_name_is_likelier_the_more_of_a_page_has_it():
    doubt, sure = (0.4, 0.6, 0.0), (0.99, 0.005, 0.005)
    names = [line.named.argmax(axis=1).tolist() for line in as_on_a_page([page_of(*[sure] * 9), page_of(sure, doubt)])]
    assert names == [[0] * 9, [0, 0]]
    both = as_on_a_page([page_of(*[sure] * 9), page_of(*[(0.0, 1.0, 0.0)] * 9, doubt)])
    assert both[1].named.argmax(axis=1).tolist() == [1] * 10
    (alone,) = as_on_a_page([page_of(doubt)])
    assert alone.named.argmax() == 1
    (certain,) = as_on_a_page([page_of(*[sure] * 99, (0.0, 1.0, 0.0))])
    assert certain.named[-1].argmax() == 1


@pytest.mark.parametrize("text", ["MAX", "BREAD", "CAMERA", "TABLE"])
def test_letters_that_touch_are_cut(text, reader):
    image = set_in_print(text, apart=-0.1)
    sheet = level_sheet(find_ink(np.asarray(image)))
    assert len(sheet.pieces) < len(text)  # else there is nothing to cut
    assert reader.read(image).text == text


@pytest.mark.parametrize("text", ["to", "is", "he", "of", "an", "in", "up", "am"])
def test_two_letters_that_touch_are_two_though_they_are_all_there_is(text, reader):
    assert reader.read(set_in_print(text, apart=-0.12)).text == text.upper()


def test_words_of_two_letters_that_touch_a_little_are_read(reader):
    words = "to", "it", "is", "he", "if", "of", "or", "an", "me", "my", "we", "go", "do", "by", "as", "at", "no", "us"
    assert [word for word in words if reader.read(set_in_print(word, apart=-0.08)).text != word.upper()] == []


def test_nothing_but_a_letter_is_no_sheet_but_likelier_one_than_two():
    sheet = touching("MIX")
    fragments = fragments_of(sheet, sheet.pieces[0], 45.0)
    judge = Judge(lambda images: np.full((len(images), 26), 1 / 26), lambda images: np.full((len(images), 2), 0.5))
    usual, alone = (lattice_of(sheet, fragments, 45.0, judge, spread) for spread in (0.0, 0.5))
    parted = np.array([span.piece.cut > 0 for span in usual.spans])
    np.testing.assert_allclose(alone.letter - usual.letter, np.where(parted, 0.5 * LETTER["spread"], 0.0))
    assert parted.any()


@pytest.mark.parametrize("text", ["HOUSE.", "BREAD,", "RED.GREEN"])
def test_stops_are_no_letters(text, reader):
    reading = reader.read(set_in_print(text))
    assert reading.text.replace(" ", "") == text.replace(".", "").replace(",", "")


def test_rings_for_dots_belong_to_their_stems(reader):
    image = Image.new("L", (900, 400), 235)
    pen = ImageDraw.Draw(image)
    for number in range(12):
        x, y = 80 + 140 * (number % 6), 60 + 180 * (number // 6)
        lean = 4 * (number % 4)
        pen.ellipse((x - 11, y, x + 11, y + 22), outline=30, width=4)
        pen.line([(x + 2, y + 50), (x + 2 + lean, y + 100)], 30, 7)
    reading = reader.read(image)
    assert [len(line.replace(" ", "")) for line in reading.text.split("\n")] == [6, 6]
    assert all(letter.box[3] - letter.box[1] > 80 for letter in reading.letters)  # dot and stem
    assert set(reading.text) == set("I\n")


@pytest.mark.parametrize("lean", [0, 4, 8])
def test_a_ring_for_a_dot_may_be_large(lean, reader):
    image = Image.new("L", (200, 200), 255)
    ImageDraw.Draw(image).ellipse((70, 40, 104 - lean, 72 - lean // 2), outline=0, width=6)
    ImageDraw.Draw(image).line([(92, 84), (96 + lean, 140)], 0, 7)
    before = find_ink(pixels := np.array(image.convert("RGB")))
    reading = reader.read(pixels)
    assert len(reading.letters) == 1
    assert reading.text in "IJ"
    np.testing.assert_array_equal(find_ink(pixels).share, before.share)


@pytest.mark.parametrize(("height", "apart", "blur"), [(10, 0.06, 0.3), (12, 0.02, 0.6), (20, 0.06, 0.6)])
def test_letters_of_a_few_pixels_stay_apart(height, apart, blur, reader):
    """height: of the type, in pixels; of a capital 0.7 of that."""
    ground = (180, 182, 185)
    large = set_in_print("FOUND HOME", 20 * height, ink=(90, 90, 95), paper=ground, apart=apart)
    small = large.resize((large.width // 20, large.height // 20), Image.Resampling.BOX)
    page = Image.new("RGB", (320, 240), ground)
    page.paste(small.filter(ImageFilter.GaussianBlur(blur)), (10, 60))
    noise = np.random.default_rng(0).normal(0, 2, (240, 320, 3))
    reading = reader.read(np.uint8(np.clip(np.asarray(page) + noise, 0, 255)))
    assert reading.text.replace(" ", "") == "FOUNDHOME"


def test_writing_whose_strokes_run_together_from_afar_is_enlarged(reader):
    page = Image.new("RGB", (700, 420), (200, 198, 190))
    lines = ["evaluation of", "performance", "handwritten", "good example"]
    for number, line in enumerate(lines):
        ImageDraw.Draw(page).text((60, 40 + 90 * number), line, (40, 40, 60), font_of("DejaVuSans", 28))
    noise = np.random.default_rng(0).normal(0, 2, (420, 700, 3))
    blurred = np.asarray(page.filter(ImageFilter.GaussianBlur(1.2)))
    reading = reader.read(np.uint8(np.clip(blurred + noise, 0, 255)))
    assert reading.text == "\n".join(lines).upper()


@pytest.mark.parametrize("text", ["HOUSEBREAD", "THEREDBOAT", "CAMERATABLE"])
def test_narrow_letters_that_touch_are_looked_at_wider(text, reader):
    wide = set_in_print(text, 120, apart=-0.05)
    reading = reader.read(wide.resize((wide.width // 5, wide.height // 2), Image.Resampling.BOX))
    assert reading.text.replace(" ", "") == text
    boxes = np.array([letter.box for letter in reading.letters])
    ink = np.flatnonzero((np.asarray(wide) < 128).any(axis=(0, 2))) / 5
    assert abs(boxes[0, 0] - ink[0]) <= 2  # in the picture as it was given
    assert abs(boxes[-1, 2] - ink[-1]) <= 2
    assert (np.diff(boxes[:, 0]) > 0).all()


def test_a_sheets_dark_edge_is_no_ink_of_letters_however_thick():
    image = set_in_print("GARDEN HOUSE", 60)
    ImageDraw.Draw(image).polygon([(40, 140), (image.width - 40, 136), (image.width - 40, 166), (40, 176)], "black")
    sheet = level_sheet(find_ink(np.asarray(image)))
    height = 44.0  # of these letters
    assert max(piece.width for piece in sheet.pieces) > 12 * height
    kept = layout._cleaned(sheet, height)
    assert len(kept) == len(sheet.pieces) - 1
    assert max(piece.width for piece in kept) < 2 * height


PALE = ["black", "gold", "#d8d8d8", "red", "pink", "#d0e8d0", "navy"]


@pytest.mark.parametrize("paper", ["white", "black"])
def test_pale_colours_beside_strong_ones_are_ink(paper, reader):
    inks = PALE if paper == "white" else ["white", "#404040", "darkred", "gold", "#503090", "white", "#406040"]
    assert reader.read(set_in_print("BRACKET", ink=inks, paper=paper, face="DejaVuSans-Bold")).text == "BRACKET"


def test_letters_of_many_colours_are_read_on_a_photo(reader):
    """Whose paper has no one colour; pink and yellow are nearly as bright as it."""
    inks = ["#80199a", "#1a4dcc", "#80199a", "#f280b3", "#f2cc19", "#1a9933"]
    pixels = np.asarray(set_in_print("COFFEE", ink=inks))
    light = np.linspace(0.95, 0.7, pixels.shape[1])[:, None] + np.random.default_rng(0).normal(0, 0.01, pixels.shape)
    assert reader.read(np.uint8(np.clip(pixels * light, 0, 255))).text == "COFFEE"


def test_a_board_on_a_white_page_is_what_is_written_on(reader):
    board = set_in_print("BOARD", ink="white", paper="black", face="DejaVuSans-Bold")
    page = Image.new("RGB", (board.width + 60, board.height + 60), "white")
    page.paste(board, (30, 30))
    assert reader.read(page).text == "BOARD"


def test_words_from_left_to_right(reader):
    reading = reader.read(set_in_print("ZEBRA"))
    assert all(a.box[0] < b.box[0] for a, b in pairwise(reading.letters))


@pytest.mark.parametrize(("letter", "where"), [("A", 0.5), ("M", 0.35)])
def test_a_letter_that_is_in_two_parts_is_one_where_the_parts_are_less_likely_letters(letter, where, reader):
    pixels = np.array(set_in_print(letter, 120))
    columns = np.flatnonzero((pixels < 128).any(axis=(0, 2)))
    middle = int(columns[0] + where * (columns[-1] - columns[0]))
    pixels[:, middle - 7 : middle + 7] = 255
    assert reader.read(pixels).text == letter
    assert len(reader.read(pixels, form="text").text) == 2  # who says that it is text is believed
    assert reader.read(set_in_print("MA", 120)).text == "MA"
