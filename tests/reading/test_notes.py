"""One letter on a note is read, wherever the note lies; what only looks like a note stays as it is."""

import numpy as np
import pictures
import pytest
from PIL import Image, ImageDraw
from test_spans import font_of

from lettergpu.reading import reader as reader_module
from lettergpu.reading.page import on_paper, perhaps_on_paper
from lettergpu.reading.reader import Reader

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
    assert on_paper(picture) is picture  # a bold letter may look so
    assert perhaps_on_paper(picture)[:9].min() > 150
    assert reader.read(picture).text == text


@pytest.mark.parametrize("face", ["DejaVuSans-Bold", "DejaVuSerif-Bold"])
@pytest.mark.parametrize("character", "BDOPQRA")
def test_a_bold_letter_in_a_small_picture_is_no_note(character, face, reader):
    picture = Image.new("RGB", (190, 190), (40, 40, 40))
    ImageDraw.Draw(picture).text((95, 95), character, PAPER, font_of(face, 120), anchor="mm")
    assert reader.read(grainy(np.asarray(picture))).text == character


def test_a_yellow_note_is_told_from_a_table_as_bright_as_its_blue(reader):
    note, text = letter(0, paper=(228, 214, 150))
    picture = lying(note, 0.4, 150)
    np.testing.assert_allclose(on_paper(picture)[:9].mean(axis=(0, 1)), (228, 214, 150), atol=4)
    assert reader.read(picture).text == text


@pytest.mark.parametrize("index", [1, 4, 7])
def test_an_empty_sheet_beside_the_note_is_no_part_of_it(index, reader):
    note, text = letter(index, around=0.9)
    gap = np.full((note.shape[0], round(0.05 * note.shape[1]), 3), 50, np.uint8)
    other = np.full((note.shape[0], round(0.3 * note.shape[1]), 3), PAPER, np.uint8)
    both = np.concatenate([other, gap, note], axis=1)
    picture = grainy(np.pad(both, ((60, 60), (0, 60), (0, 0)), constant_values=50))
    page = on_paper(picture)
    assert page[:, : other.shape[1] + gap.shape[1]].min() > 150  # neither the gap nor the edge
    assert reader.read(picture).text == text


def test_what_is_read_for_sure_is_not_looked_at_again(reader, monkeypatch):
    asked = []
    monkeypatch.setattr(reader_module, "perhaps_on_paper", lambda page: asked.append(page))
    drawn, _ = letter(0)
    large = np.asarray(Image.fromarray(drawn).resize((420, 420 * drawn.shape[0] // drawn.shape[1])))
    assert reader.read(large).letters
    assert not asked
    assert reader.read(lying(drawn, 0.22, 40)).letters
    assert len(asked) == 1
