"""What is around a picture, even and of another colour, is left out; what is as square as a frame is a letter."""

import numpy as np
import pytest
from PIL import Image, ImageDraw, ImageOps
from test_paper import on_table, written
from test_spans import set_in_print

from lettergpu.reading import pictures
from lettergpu.reading.pictures import within_frame
from lettergpu.reading.reader import Reader


@pytest.fixture(scope="module")
def reader():
    return Reader.of()


@pytest.mark.parametrize("colour", ["white", "black", "gray"])
@pytest.mark.parametrize("sides", [(90, 90, 90, 90), (0, 120, 0, 40)])
def test_a_photo_is_read_as_without_its_frame_and_boxes_are_those_of_all(colour, sides, reader):
    photo = Image.fromarray(on_table(written(1)[0]))
    alone = reader.read(photo)
    framed = reader.read(ImageOps.expand(photo, sides, colour))
    assert framed.text == alone.text == written(1)[1]
    boxes = [np.array([letter.box for letter in reading.letters]) for reading in (alone, framed)]
    np.testing.assert_allclose(boxes[1], boxes[0] + np.tile(sides[:2], 2), atol=3)


def test_a_large_frame_is_left_out_in_the_pictures_own_pixels(reader):
    photo = Image.fromarray(on_table(written(1)[0]))
    large = photo.resize((4 * photo.width, 4 * photo.height))
    framed = ImageOps.expand(large, (800, 400), "white")
    alone, found = (reader.read(picture) for picture in (large, framed))
    assert found.text == alone.text == written(1)[1]
    boxes = [np.array([letter.box for letter in reading.letters]) for reading in (alone, found)]
    np.testing.assert_allclose(boxes[1], boxes[0] + [800, 400, 800, 400], atol=16)


def test_of_frames_around_each_other_three_are_left_out_as_each_costs_a_look(reader, monkeypatch):
    photo = framed = Image.fromarray(on_table(written(1)[0]))
    for width, colour in ((30, "white"), (40, "black"), (50, "white")):
        framed = ImageOps.expand(framed, width, colour)
    assert reader.read(framed).text == reader.read(photo).text == written(1)[1]
    asked = []

    def within(pixels):
        asked.append(pixels.shape)
        return np.s_[2 : len(pixels) - 2, 2 : pixels.shape[1] - 2]

    monkeypatch.setattr(pictures, "within_frame", within)
    reader.read(np.asarray(photo))
    assert len(asked) == 3


@pytest.mark.parametrize(("noise", "found"), [(2, True), (20, False)])
def test_a_frame_may_be_as_uneven_as_jpeg_leaves_it_but_no_more(noise, found):
    rng = np.random.default_rng(0)
    framed = np.uint8(np.clip(rng.normal(200, noise, (400, 500, 3)), 0, 255))
    framed[50:-50, 50:-50] = rng.integers(0, 80, (300, 400, 3))
    assert within_frame(framed) == (np.s_[52:348, 52:448] if found else None)


def square(character):
    """As a display of few pixels has it, 40 thick, in a picture of 360x360."""
    page = Image.new("RGB", (360, 360), "white")
    pen = ImageDraw.Draw(page)
    pen.rectangle((80, 60, 280, 300), outline="black", width=40)
    if character == "B":
        pen.rectangle((80, 160, 280, 200), "black")
    elif character == "I":
        pen.rectangle((80, 60, 280, 300), "black")
    return np.asarray(page)


@pytest.mark.parametrize("character", "OBI")
def test_a_letter_as_square_as_a_frame_is_none(character):
    assert within_frame(square(character)) is None


@pytest.mark.parametrize("text", ["ILLINOIS", "HE", "MMMM"])
def test_margins_of_a_text_are_no_frame(text):
    page = np.asarray(set_in_print(text, 120))
    assert within_frame(page) is None
    rows, columns = ((page < 128).any(axis=(axis, 2)).nonzero()[0] for axis in (1, 0))
    tight = page[rows[0] - 3 : rows[-1] + 4, columns[0] - 3 : columns[-1] + 4]
    assert within_frame(tight) is None


@pytest.mark.parametrize(("tilt", "framed"), [(0, True), (10, False)])
def test_the_table_around_a_sheet_that_is_not_level_is_no_frame(tilt, framed):
    sheet, _ = written(2)
    turned = sheet.rotate(tilt, expand=True, fillcolor=60)
    assert (within_frame(np.asarray(ImageOps.expand(turned, 80, 60).convert("RGB"))) is not None) is framed
