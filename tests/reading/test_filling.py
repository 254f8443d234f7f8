"""A letter so bold, or cut out so tightly, that it fills its picture is read; and not a word that does."""

import numpy as np
import pytest
from PIL import Image, ImageDraw, ImageFilter
from test_spans import font_of

from lettergpu.reading.ink import two_toned
from lettergpu.reading.reader import Reader


@pytest.fixture(scope="module")
def reader():
    return Reader.of()


def cut_out(text, size=(300, 300), bolder=1, colours=(0, 255), noise=6.0):
    """A bold text from border to border, its strokes as much wider, (height, width, 3), with a sensor's noise."""
    font = font_of("DejaVuSans-Bold", 400)
    image = Image.new("L", (round(font.getlength(text)) + 200, 700), 0)
    ImageDraw.Draw(image).text((100, 100), text, 255, font)
    image = image.filter(ImageFilter.MaxFilter(bolder))
    share = np.asarray(image.crop(image.getbbox()).resize(size).filter(ImageFilter.GaussianBlur(1))) / 255.0
    ink, paper = colours
    grey = paper + (ink - paper) * share[..., None] + np.random.default_rng(1).normal(0, noise, (*share.shape, 3))
    return np.uint8(np.clip(grey, 0, 255))


@pytest.mark.parametrize("form", ["auto", "single"])
@pytest.mark.parametrize("bolder", [1, 15])
@pytest.mark.parametrize("letter", "DENBRPKU")
def test_a_letter_that_fills_a_picture_is_read(letter, bolder, form, reader):
    assert reader.read(cut_out(letter, bolder=bolder), form=form).text == letter


@pytest.mark.parametrize("letter", "DNRKAM")
def test_it_may_be_light_on_the_dark(letter, reader):
    assert reader.read(cut_out(letter, colours=(240, 20))).text == letter


@pytest.mark.parametrize("word", ["DAY", "HAPPY", "HOME", "BLUE"])
def test_a_word_that_fills_a_picture_is_none_of_its_letters(word, reader):
    assert reader.read(cut_out(word, size=(130 * len(word), 150))).text == word


def test_a_large_picture_is_seen_from_afar_and_its_letter_stands_where_it_is(reader):
    large = cut_out("E", size=(1500, 1800), bolder=15)
    assert all(max(ink.share.shape) <= 600 for ink in two_toned(large))
    (letter,) = reader.read(large).letters
    assert letter.top[0][0] == "E"
    assert np.abs(np.array(letter.box) - (0, 0, 1500, 1800)).max() < 20


def test_what_is_in_one_tone_or_three_or_has_a_plain_border_is_not_looked_at():
    letter = cut_out("E")
    assert [round(float(ink.share.mean()), 1) for ink in two_toned(letter)] == [0.7, 0.3]
    assert two_toned(np.full((90, 70, 3), 128, np.uint8)) == []
    assert two_toned(np.pad(letter, ((9, 9), (9, 9), (0, 0)), constant_values=255)) == []
    grey = np.broadcast_to(np.linspace(0, 255, 300, dtype=np.uint8)[:, None], (300, 300, 3))
    assert two_toned(grey) == []


def test_a_chequered_picture_is_not_taken_for_one(reader):
    squares = np.uint8(np.indices((240, 240)).sum(axis=0) // 40 % 2 * 255)
    assert all(letter.top[0][1] < 0.9 for letter in reader.read(np.repeat(squares[..., None], 3, axis=2)).letters)
