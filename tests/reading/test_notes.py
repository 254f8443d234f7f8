"""One letter on a note is read, wherever the note lies; what only looks like a note stays as it is."""

import numpy as np
import pictures
import pytest
from PIL import Image, ImageDraw
from test_spans import font_of

from lettergpu.reading import reader as reader_module
from lettergpu.reading.page import on_paper, perhaps_on_paper
from lettergpu.reading.reader import Reader
from lettergpu.reading.reading import Letter, Reading

PAPER = 224, 220, 208


@pytest.fixture(scope="module")
def reader():
    return Reader.of()


def letter(index, paper=PAPER, around=0.6):
    """A note with one letter drawn on it, uint8 (height, width, 3), and the letter."""
    drawn = pictures.letter(0, index, source="strokes")
    strokes = np.asarray(drawn.image.convert("L"), np.float32)
    strokes = np.abs(strokes - np.median(strokes))
    note = np.pad(strokes / strokes.max(), round(around * max(strokes.shape) / 2))[..., None]
    return np.uint8(np.array(paper) * (1 - note) + 45 * note), drawn.text


def grainy(picture, seed=0):
    return np.uint8(np.clip(picture + np.random.default_rng(seed).normal(0, 3, picture.shape), 0, 255))


def lying(note, share, table):
    """The note in the middle of a table of this colour that it is so much of, at most 300 pixels wide."""
    height, width = (round(side / share**0.5) for side in note.shape[:2])
    picture = np.full((height, width, 3), table, np.uint8)
    top, left = (height - note.shape[0]) // 2, (width - note.shape[1]) // 2
    picture[top : top + note.shape[0], left : left + note.shape[1]] = note
    image = Image.fromarray(picture)
    image.thumbnail((300, 300))
    return grainy(np.asarray(image))


@pytest.mark.parametrize("index", [0, 4, 7, 10])
def test_a_small_note_in_a_small_picture_is_no_letter(index, reader):
    note, text = letter(index)
    picture = lying(note, 0.22, 40)
    assert on_paper(picture)[0] is picture  # a bold letter may look so
    assert any(page[:9].min() > 150 for page in perhaps_on_paper(picture))
    assert reader.read(picture).text == text


@pytest.mark.parametrize(("paper", "table", "ink"), [(224, 55, 45), (240, 190, 90), (50, 200, 235)])
@pytest.mark.parametrize(("size", "leading"), [(60, 1.7), (80, 1.1), (95, 1.1)])
def test_a_label_or_sign_full_of_bold_lines_is_found(size, leading, paper, table, ink, reader):
    lines = ["COUNTRY", "NUMBER", "STREET"]
    picture = Image.new("RGB", (1366, 1126), (table,) * 3)
    draw, font = ImageDraw.Draw(picture), font_of("DejaVuSans-Bold", size)
    wide, high = max(font.getlength(line) for line in lines), leading * size
    draw.rectangle((300, 480, 340 + wide, 520 + 3 * high), (paper,) * 3)
    for number, line in enumerate(lines):
        draw.text((320, 500 + number * high), line, (ink,) * 3, font)
    assert reader.read(grainy(np.asarray(picture))).text.split() == lines


@pytest.mark.parametrize("size", [24, 32])
def test_a_small_sign_on_a_pattern_is_read(size, reader):
    lines, side = ["FIELD", "STREET"], 300
    waves = 128 + 70 * np.sin((np.arange(side) + 12 * np.cos(np.arange(side) / 25)[:, None]) / 5)
    picture = Image.fromarray(np.uint8(waves[..., None] * (0.8, 1, 1.3)).clip(0, 255))
    draw, font = ImageDraw.Draw(picture), font_of("DejaVuSans", size)
    wide, high = font.getlength("STREET") + size, 1.3 * size * len(lines) + size
    draw.rectangle((90, 100, 90 + wide, 100 + high), (25, 25, 45))
    draw.multiline_text((90 + size / 2, 100 + size / 2), "\n".join(lines), (220, 220, 225), font)
    assert reader.read(grainy(np.asarray(picture))).text.split() == lines


@pytest.mark.parametrize("farther", [0, 20, 34])
def test_a_sign_may_be_seen_aslant(farther, reader):
    """Its far side is lower than the near one."""
    picture = Image.new("RGB", (640, 400), (150, 178, 215))
    corners = [(110, 80), (530, 80 + farther), (530, 310 - farther), (110, 310)]
    ImageDraw.Draw(picture).polygon(corners, (190, 25, 25))
    ImageDraw.Draw(picture).text((320, 195), "SCHOOL\nROAD", "white", font_of("DejaVuSans", 60), "mm", align="center")
    pages = perhaps_on_paper(grainy(np.asarray(picture)))
    assert any(page[:9].mean() < 128 and page.max() > 200 for page in pages)
    assert reader.read(grainy(np.asarray(picture))).text == "SCHOOL\nROAD"


@pytest.mark.parametrize(("character", "side"), [("O", 700), ("Q", 700), ("B", 300)])
def test_a_bold_letter_is_no_sign(character, side, reader):
    picture = Image.new("RGB", (side, side), (235, 235, 235))
    font = font_of("DejaVuSans-Bold", round(0.75 * side))
    ImageDraw.Draw(picture).text((side / 2, side / 2), character, (40, 40, 40), font, anchor="mm")
    pages = perhaps_on_paper(grainy(np.asarray(picture)))
    assert not any(page.mean() < 128 and page.max() > 180 for page in pages)  # bright writing on the dark
    assert reader.read(grainy(np.asarray(picture))).text == character


@pytest.mark.parametrize("width", [1, 2])
def test_what_is_between_thin_strokes_is_no_note(width, reader):
    page = Image.new("RGB", (804, 504), "white")
    draw = ImageDraw.Draw(page)
    draw.rectangle((0, 0, 803, 503), outline=(240, 240, 240), width=2)
    for line in ((390, 165, 364, 323), (390, 165, 451, 331), (312, 228, 527, 229)):
        draw.line(line, "black", width)
    assert reader.read(np.asarray(page)).text == "A"


@pytest.mark.parametrize("face", ["DejaVuSans-Bold", "DejaVuSerif-Bold"])
@pytest.mark.parametrize("character", "BDOPQRA")
def test_a_bold_letter_in_a_small_picture_is_no_note(character, face, reader):
    picture = Image.new("RGB", (190, 190), (40, 40, 40))
    ImageDraw.Draw(picture).text((95, 95), character, PAPER, font_of(face, 120), anchor="mm")
    assert reader.read(grainy(np.asarray(picture))).text == character


def test_a_yellow_note_is_told_from_a_table_as_bright_as_its_blue(reader):
    note, text = letter(0, paper=(228, 214, 150))
    picture = lying(note, 0.4, 150)
    colours = [page[:9].mean(axis=(0, 1)) for page in perhaps_on_paper(picture)]
    assert any(np.allclose(colour, (228, 214, 150), atol=4) for colour in colours)
    assert reader.read(picture).text == text


@pytest.mark.parametrize("paper", [PAPER, (150, 190, 120)])
@pytest.mark.parametrize("index", [0, 4, 7, 10])
def test_a_note_that_is_little_of_a_photo_is_found(index, paper, reader):
    """On wood, half of it in the shade; the second one's paper is no brighter than that."""
    note, text = letter(index, paper)
    side = round((note.shape[0] * note.shape[1] / 0.04) ** 0.5)
    grain = 1 + 0.1 * np.sin((np.arange(side) + 20 * np.cos(np.arange(side) / 40)[:, None]) / 9)
    picture = grain[..., None] * np.array([190, 130, 80]) * np.linspace(0.8, 1, side)[:, None]
    top, left = side // 3, side // 2
    picture[top : top + note.shape[0], left : left + note.shape[1]] = note
    picture = grainy(picture)
    assert on_paper(picture)[0] is picture
    assert reader.read(picture).text == text


def test_where_no_note_can_be_none_is_looked_for():
    assert perhaps_on_paper(np.full((90, 70, 3), 128, np.uint8)) == []
    assert perhaps_on_paper(np.full((9, 700, 3), 128, np.uint8)) == []
    assert perhaps_on_paper(grainy(np.full((300, 300, 3), 128))) == []


@pytest.mark.parametrize(("across", "notes"), [(5, 2), (6, 0)])
def test_a_pattern_of_many_pieces_is_no_note(across, notes):
    """Each would cost a reading, which of a pattern takes long."""
    picture = np.full((192, 192, 3), 40, np.uint8)
    picture[40:150, 40:150] = PAPER
    for row, column in np.ndindex(across, across):
        y, x = (52 + place * 90 // across for place in (row, column))
        picture[y : y + 5, x : x + 5] = 40
    assert len(perhaps_on_paper(grainy(picture))) == notes


@pytest.mark.parametrize("index", [1, 7])
def test_an_empty_sheet_beside_the_note_is_no_part_of_it(index, reader):
    note, text = letter(index, around=0.9)
    gap = np.full((note.shape[0], round(0.05 * note.shape[1]), 3), 50, np.uint8)
    other = np.full((note.shape[0], round(0.3 * note.shape[1]), 3), PAPER, np.uint8)
    both = np.concatenate([other, gap, note], axis=1)
    picture = grainy(np.pad(both, ((60, 60), (0, 60), (0, 0)), constant_values=50))
    beside = [page[:, : other.shape[1] + gap.shape[1]].min() for page in perhaps_on_paper(picture)]
    assert max(beside) > 150  # neither the gap nor the edge
    assert reader.read(picture).text == text


def test_a_text_is_not_given_up_for_a_patch_of_it(reader, monkeypatch):
    """Many letters, some of which are hard to tell, say more than a few, which are not."""
    image = Image.new("RGB", (1000, 160), "white")
    ImageDraw.Draw(image).text((20, 30), "LONG  AND  PLAIN", "black", font_of("DejaVuSans", 90))
    pixels = grainy(np.asarray(image))
    few = pixels.copy()
    few[:, 310:] = 255
    likely = {12: np.repeat([1.0, 0.4, -5.0], [6, 2, 4]), 4: np.full(4, 0.5)}
    monkeypatch.setattr(reader_module, "perhaps_on_paper", lambda pixels, signs: [few])
    monkeypatch.setattr(Reader, "_sure", lambda self, reading: False)
    monkeypatch.setattr(Reader, "_likely", lambda self, reading: likely[12 if len(reading.letters) > 9 else 4])
    assert reader.read(pixels).text == "LONG AND PLAIN"
    likely[4] *= 4
    assert reader.read(pixels).text == "LONG"


def test_what_is_read_for_sure_is_not_looked_at_again(reader, monkeypatch):
    asked = []
    monkeypatch.setattr(reader_module, "perhaps_on_paper", lambda page, signs: asked.append(page) or [])
    drawn, _ = letter(0)
    large = np.asarray(Image.fromarray(drawn).resize((420, 420 * drawn.shape[0] // drawn.shape[1])))
    assert reader.read(large).letters
    assert not asked
    assert reader.read(lying(drawn, 0.22, 40)).letters
    assert len(asked) == 2  # as it leaves doubt, it is looked at again, more sharply


def drawn_letter(name, *strokes):
    image = np.zeros((28, 28), np.uint8)
    for rows, columns in strokes:
        image[slice(*rows), slice(*columns)] = 255
    return Letter((0, 0, 9, 9), ((name, 0.99),), image, image)


def test_many_letters_named_for_sure_say_more_than_one_that_looks_like_one(reader):
    """A bar is as like a rule as like an I: a sheet of 40 was given up for the strip of table that was like an L."""
    bar, corner = ((5, 23), (13, 16)), (((5, 23), (6, 9)), ((20, 23), (6, 20)))
    many = Reading("\n".join(["I" * 10] * 4), (drawn_letter("I", bar),) * 40)
    other = Reading("L", (drawn_letter("L", *corner),))
    assert reader._likely(many).sum() < 0 < reader._likely(other).sum()
    assert reader._fullest([many, other], None) is many
    assert reader._fullest([other, many], None) is many
