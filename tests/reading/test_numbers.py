"""Numbers on a page are no letters, though 0, 1 and 5 look like some: a word is told by all that it holds."""

import numpy as np
import pytest
from PIL import Image, ImageDraw
from test_spans import font_of

from lettergpu.errors import LettergpuError
from lettergpu.reading.reader import Reader
from lettergpu.reading.sheet import Piece
from lettergpu.reading.spans import Judge, Lattice, Span, in_numbers, of_numbers

FACES = "DejaVuSans", "DejaVuSans-Bold", "DejaVuSerif", "STIXGeneralBol"  # the network has seen others


@pytest.fixture(scope="module")
def reader():
    return Reader.of()


def page_of(text, face, size):
    """Print on paper with some noise."""
    image = Image.new("L", (16 * size, 5 * size), 225)
    ImageDraw.Draw(image).text((size, size), text, 40, font_of(face, size), spacing=size // 2)
    noisy = np.asarray(image) + np.random.default_rng(0).normal(0, 3, image.size[::-1])
    return np.uint8(np.clip(noisy, 0, 255))


@pytest.mark.parametrize("size", [30, 50])
@pytest.mark.parametrize("face", FACES)
@pytest.mark.parametrize(
    ("text", "letters"),
    [
        ("MAIN STREET 1850", "MAIN STREET"),
        ("BREAD 2.99\n6.50 BUTTER", "BREAD\nBUTTER"),
        ("JUNE 1969 TO MARCH", "JUNE TO MARCH"),
    ],
)
def test_numbers_among_words_are_left_out(text, letters, face, size, reader):
    assert reader.read(page_of(text, face, size)).text == letters


@pytest.mark.parametrize("face", FACES)
@pytest.mark.parametrize("word", ["SOS", "ZOO", "GOOD", "BIG", "LOGO", "SIZE"])
def test_words_whose_letters_figures_look_like_are_words(word, face, reader):
    assert reader.read(page_of(word, face, 50)).text == word


def test_a_page_of_numbers_has_no_letter(reader):
    with pytest.raises(LettergpuError, match="there is no letter in the picture"):
        reader.read(page_of("90210\n1968", "DejaVuSans", 50))


def test_each_number_is_read_as_letters_by_its_ink_alone(reader):
    assert len(reader.read(page_of("MAIN STREET 1850", "DejaVuSans", 50), context=False).letters) > 10


@pytest.mark.parametrize(
    ("odds", "begins", "numbers"),
    [
        ("999", "1..", "111"),
        ("9", "1", "0"),  # one alone may be a letter,
        ("999", "111", "111"),  # but several that stand by themselves are none
        ("-9-99-", "11.1.1", "000110"),
        ("-99-", "1...", "0000"),  # within a word
        ("---999", "1.....", "000111"),
        ("999---", "1.....", "111000"),
        ("9-9", "1..", "000"),
        ("----", "1...", "0000"),
        ("", "", ""),
    ],
)
def test_numbers_are_words_or_long(odds, begins, numbers):
    known = np.array([9.0 if one == "9" else -9.0 for one in odds])
    assert in_numbers(known, [one == "1" for one in begins]) == [one == "1" for one in numbers]


@pytest.mark.parametrize(
    ("odds", "heights", "letters", "figures"),
    [
        ([5, 5, 5], [40, 40, 40], [0, 1, 2], [True] * 3),
        ([-5, -5, 5], [40, 40, 40], [0, 1, 2], [False] * 3),
        ([2, 5, 5], [40, 40, 40], [0], [True]),  # what was no letter counts as well,
        ([2, 5, 5], [40, 10, 10], [0], [False]),  # but not what is low
        ([5, 5], [40, 40], [], []),
    ],
)
def test_a_word_is_a_number_by_all_that_it_holds(odds, heights, letters, figures):
    spans = [Span(i, i + 1, Piece((i,), 30 * i, 0, 30 * i + 20, high)) for i, high in enumerate(heights)]
    images = np.zeros((len(odds), 28, 28), np.uint8)
    images[:, 0, 0] = np.arange(len(odds))
    word = Lattice(spans, *(np.zeros(len(odds)) for _ in range(2)), images, np.full((len(odds), 26), 1 / 26))
    judge = Judge(None, None, lambda seen: np.array(odds, np.float32)[seen[:, 0, 0]])
    assert of_numbers([(word, letters)], judge) == [figures]
    assert of_numbers([(word, letters)], judge._replace(figure=None)) == [[False] * len(letters)]
