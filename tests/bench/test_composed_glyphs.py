"""Where composed letters come from."""

import fonts
import glyphs
import numpy as np
import pytest

SANS = fonts.FACES[0]


def mark(character, height=70.0):
    other = glyphs.in_font(fonts.FACES[4], str.upper)
    return glyphs.with_marks(other, SANS)(character, height, 5.0, np.random.default_rng(0))


@pytest.mark.parametrize(("character", "low", "high"), [("7", 0, 0), (",", 5, 20), ("'", -60, -35), ("-", -35, -15)])
def test_a_mark_stands_where_its_font_has_it(character, low, high):
    ink, below, row = mark(character)
    assert low <= below <= high
    assert row == -1
    assert ink[-1].max() > 0.2


def test_a_mark_is_as_large_beside_the_letters_as_its_font_has_it():
    assert 65 <= len(mark("7")[0]) <= 75
    assert len(mark(".")[0]) <= 12


def test_letters_beside_marks_are_the_other_sources():
    ink, below, row = mark("A")
    expected = glyphs.in_font(fonts.FACES[4], str.upper)("A", 70.0, 5.0, np.random.default_rng(0))
    np.testing.assert_array_equal(ink, expected[0])
    assert (below, row) == expected[1:]
