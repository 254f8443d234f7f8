"""What lies on its side or on its head is turned to be read, and what stands upright is not."""

from dataclasses import replace

import numpy as np
import pytest
from PIL import Image, ImageDraw
from test_paper import written
from test_spans import set_in_print

from lettergpu.reading import reader as reader_module
from lettergpu.reading.reader import Reader
from lettergpu.reading.reading import Letter, Reading


@pytest.fixture(scope="module")
def reader():
    return Reader.of()


@pytest.mark.parametrize("quarters", [1, 2, 3])
def test_a_note_on_its_side_or_head_is_turned_and_its_boxes_are_not(quarters, reader):
    upright = np.concatenate([np.pad(written(i)[0], ((0, 0), (0, 900)), "edge")[:, :900] for i in (0, 1, 3)])
    expected = reader.read(upright, form="text")
    found = reader.read(np.ascontiguousarray(np.rot90(upright, -quarters)), form="text")
    assert (found.text, found.turned, expected.turned) == (expected.text, 90 * quarters, 0)
    assert found.table()["turned"] == 90 * quarters
    corners = np.zeros(upright.shape)
    for left, top, right, bottom in (letter.box for letter in expected.letters):
        corners[top:bottom, left:right] += 1
    again = np.zeros(upright.shape if quarters == 2 else upright.shape[::-1])
    for left, top, right, bottom in (letter.box for letter in found.letters):
        again[top:bottom, left:right] += 1
    assert np.abs(np.rot90(corners, -quarters) - again).mean() < 0.02


@pytest.mark.parametrize("quarters", [1, 3])
def test_a_short_word_on_its_side_has_a_line_a_letter(quarters, reader):
    upright, text = written(3)
    found = reader.read(np.ascontiguousarray(np.rot90(upright, -quarters)), form="text")
    assert (found.text, found.turned) == (text, 90 * quarters)


@pytest.mark.parametrize("word", ["BREAD", "FIGHT", "kitchen", "JOURNEY"])
@pytest.mark.parametrize("quarters", [1, 2, 3])
def test_one_printed_word_is_turned_upright(word, quarters, reader):
    upright = np.asarray(set_in_print(word))
    found = reader.read(np.ascontiguousarray(np.rot90(upright, -quarters)), form="text")
    assert (found.text, found.turned) == (word.upper(), 90 * quarters)


@pytest.mark.parametrize("word", ["DAY", "JAR", "KEY", "MAY"])
@pytest.mark.parametrize("quarters", [1, 3])
def test_a_word_of_three_letters_is_not_one_letter_on_its_side(word, quarters, reader):
    upright = np.asarray(set_in_print(word, apart=0.0, face="DejaVuSerif"))
    found = reader.read(np.ascontiguousarray(np.rot90(upright, -quarters)))
    assert (found.text, found.turned) == (word, 90 * quarters)


@pytest.mark.parametrize(("pieces", "ways"), [(30, (1, 2, 3)), (999, (1, 2, 3)), (1000, ()), (4000, ())])
def test_what_is_drawn_and_no_writing_is_not_turned(pieces, ways):
    letter = Letter((0, 0, 9, 9), (("I", 1.0),), np.zeros((28, 28), np.uint8), np.zeros((28, 28), np.uint8))
    letters = [replace(letter, box=(0, 20 * line, 9, 20 * line + 9)) for line in range(30)]
    assert Reading("\n".join("I" * 30), tuple(letters)).turns(pieces) == ways


@pytest.mark.parametrize(("asked", "turned"), [(2000, 180), (3, 0)])
def test_what_took_long_to_read_is_not_turned(asked, turned, reader, monkeypatch):
    monkeypatch.setattr(reader_module, "ASKED", asked)
    upright = np.asarray(set_in_print("BREAD"))
    assert reader.read(np.ascontiguousarray(np.rot90(upright, 2)), form="text").turned == turned


def test_what_is_read_with_little_doubt_is_not_turned(reader):
    assert reader.read(np.asarray(written(0)[0].convert("RGB")), form="text").turned == 0


def test_round_letters_are_laid_on_their_side_only_where_many_more_stand_beside_each_other_then(reader):
    """They are read as surely so; how they stand tells which way is up."""
    for across, down, turned in ((3, 4, {0}), (1, 8, {90, 270})):
        image = Image.new("L", (160 + 150 * across, 60 + 130 * down), "white")
        for column, row in np.ndindex(across, down):
            x, y = 60 + 150 * column, 50 + 130 * row
            ImageDraw.Draw(image).ellipse((x, y, x + 50, y + 60), outline=0, width=6)
        assert reader.read(image).turned in turned
