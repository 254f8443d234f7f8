"""Letters side by side, and sheets above one another."""

import numpy as np
import sheet


def square(character):
    return np.ones((10, 6 if character == "I" else 8), np.float32), 0, ord(character)


def lines(text):
    return sheet.set_lines(text, 10.0, (2.0, 2.0), square, 0.0, np.random.default_rng(0))


def test_a_sheet_above_another_keeps_both_their_letters_apart():
    upper, lower = lines("ABC"), lines("IO")
    both = sheet.stacked(upper, lower, 5)
    assert both.rows == [*b"ABCIO"]
    assert both.ink.shape == both.owner.shape == (25, 28)
    np.testing.assert_array_equal(both.owner[:10], upper.owner)
    assert (both.owner[10:15] == 0).all()
    assert sorted(np.unique(both.owner[15:])) == [0, 4, 5]
    np.testing.assert_array_equal(both.ink > 0, both.owner > 0)
    assert both.baseline == 15 + lower.baseline
