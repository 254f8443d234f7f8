"""Characters of fonts, which composed pictures and what networks learn from are made of."""

import string

import fonts
import numpy as np
import pytest

SANS = fonts.FACES[0]


def ink(character, file=SANS, size=60, **how):
    return fonts.opacity(fonts.drawn(character, file, size, **how)[0])


@pytest.mark.parametrize("file", fonts.FACES, ids=fonts.NAMES.split())
def test_a_letter_stands_on_its_baseline_and_fills_its_image_but_for_what_is_around(file):
    for letter in string.ascii_letters:
        image, below = fonts.drawn(letter, file, 60, around=6)
        found = fonts.opacity(image)
        core = found[6:-6, 6:-6]
        assert found.max() > 0.9
        assert found.sum() - core.sum() <= 0.05 * found.sum()  # slanted ones lean out
        assert core[:3].max() > 0.1
        assert core[-3:].max() > 0.1
        if letter in "AEFHIKLMNTXZ":
            assert -2 <= below <= 2
        assert (below > 8) == (letter in "gpqyjJQ") or letter in "fJQ"  # slanted f, and a J or Q of some fonts


def test_capitals_are_as_tall_as_they_claim():
    for file in fonts.FACES:
        tall = (ink("H", file, 100) > 0.5).any(axis=1).sum()
        assert 100 * fonts.CAPITAL - 9 <= tall <= 100 * fonts.CAPITAL + 5


def test_thicker_strokes_hold_the_thin_ones_in_the_same_place():
    thin, thick = ink("A", around=8), ink("A", around=8, thicker=3)
    assert thin.shape == thick.shape
    assert (thick >= thin - 0.01).all()
    assert thick.sum() > 1.5 * thin.sum()
    assert thick[3:5].max() == 0
    assert thick[5:8].max() > 0.5


def test_nothing_learns_from_the_fonts_that_pictures_are_set_in(tmp_path):
    for name in ("DejaVuSans.ttf", "STIXGeneral.ttf", "cmr10.ttf", "Own.ttf", "OwnEmoji.ttf"):
        (tmp_path / name).symlink_to(SANS)
    assert fonts.of_system([str(tmp_path)]) == [str(tmp_path / "Own.ttf")]


def test_an_ink_is_a_share():
    shares = np.unique(ink("O"))
    assert shares.dtype == np.float32
    assert shares[0] == 0.0
    assert shares[-1] == 1.0
    assert len(shares) > 20
