"""The lines of what was read: others come between them by where they stand, and the numbers of a list are left out."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image, ImageDraw
from test_spans import font_of

from lettergpu.reading.reader import Reader
from lettergpu.reading.reading import Letter, Reading


def reading_of(text, top=0, lefts=None, turned=0):
    """Each letter 10 pixels wide, and a line 20; lefts: of each line."""
    letters = []
    for number, line in enumerate(text.split("\n")):
        left = lefts[number] if lefts else 0
        for column, name in enumerate(line):
            if name != " ":
                box = left + 10 * column, top + 20 * number, left + 10 * column + 9, top + 20 * number + 15
                letters.append(Letter(box, ((name, 0.9),), np.zeros((28, 28), np.uint8), np.zeros(784, np.float32)))
    return Reading(text, tuple(letters), turned, "a warning")


texts = st.lists(st.text("AB ", min_size=1).map(lambda line: " ".join(line.split())).filter(bool), min_size=1)


@given(texts, texts, st.data())
def test_what_stands_between_lines_is_read_between_them(one, other, data):
    at = data.draw(st.integers(0, len(one)))
    both = reading_of("\n".join([*one[:at], *other, *one[at:]]))
    ends = np.cumsum([0, *(len(letters) for _, letters in both.lines)])
    within = both.letters[ends[at] : ends[at + len(other)]]
    without = tuple(letter for letter in both.letters if not any(letter is each for each in within))
    around = Reading("\n".join(one), without).around(Reading("\n".join(other), within))
    assert around.text == both.text
    assert all(a is b for a, b in zip(around.letters, both.letters, strict=True))
    assert [text for text, _ in both.lines] == both.text.split("\n")
    assert all(len(letters) == len(text.replace(" ", "")) for text, letters in both.lines)


@pytest.mark.parametrize(
    ("text", "left"),
    [
        ("L JUDGE\nZ APPLE\nKING\nA SEVEN", "JUDGE\nAPPLE\nKING\nSEVEN"),  # of a 3 nothing was left
        ("SHOPPING\nI A PEAR\nZ BREAD", "SHOPPING\nA PEAR\nBREAD"),
        ("A RED\nB BLUE\nC GREEN", None),  # to choose from
        ("I AM\nA MAN", None),
        ("I\nZ", None),  # letters that stand below each other
        ("IZ WORD\nZ WORD", None),
        ("D MILK\nBREAD\nG HONEY\nO FISH", "MILK\nBREAD\nHONEY\nFISH"),  # boxes to tick, one of them not seen
        ("T MILK\nT BREAD\nT FISH", "MILK\nBREAD\nFISH"),
        ("D MILK\nD BREAD", None),
        ("I AM\nI SEE\nI TELL", None),
        ("A DOG\nA CAT\nA COW", None),
        ("D O G\nD O T\nO D D", None),  # of a sheet of letters
        ("B BALL\nC CAT\nD DOG", None),
    ],
)
def test_the_numbers_and_marks_of_a_list_are_none_of_its_letters(text, left):
    given = reading_of(text)
    found = given.unnumbered()
    assert found.text == (left or text)
    assert [letter.top[0][0] for letter in found.letters] == list(found.text.replace("\n", "").replace(" ", ""))
    assert found.warning == given.warning


def test_only_what_stands_in_the_column_of_the_numbers_is_one():
    text = "L TWO PEARS\nZ SEVEN\nA DOG\nS HATS"
    assert reading_of(text, lefts=[0, 2, 20, 1]).unnumbered().text == "TWO PEARS\nSEVEN\nA DOG\nHATS"
    assert reading_of(text, turned=90).unnumbered().text == text


def test_a_list_in_print_is_read_without_its_numbers():
    page = Image.new("L", (560, 420), 235)
    lines = ["1. BREAD", "2. MILK", "3. HONEY", "4. FISH"]
    ImageDraw.Draw(page).multiline_text((40, 30), "\n".join(lines), 30, font_of("DejaVuSans", 60), spacing=24)
    assert Reader.of().read(page).text == "BREAD\nMILK\nHONEY\nFISH"
