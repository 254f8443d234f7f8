"""The table around a note."""

import numpy as np
import paper
import pytest
from scipy import ndimage
from sheet import View

SHAPE = 60, 200  # of a sheet of letters 40 pixels high
Y, X = np.mgrid[:300, :480].astype(np.float32)
VIEW = View(X, Y, X - 140, Y - 120, 40.0)
LETTERS = np.s_[120:180, 140:340]


def around(seed, **how):
    how = {"look": "grey", "paper": ((0.5, 2), (0.5, 2))} | how
    return paper.around(VIEW, SHAPE, np.random.default_rng(seed), **how)


@pytest.mark.parametrize("torn", [0.0, 0.25])
@pytest.mark.parametrize("other", [0, 1])
def test_letters_are_on_the_paper_and_the_table_is_all_around_it(torn, other):
    for seed in range(30):
        away, seen = around(seed, torn=torn, other=other)
        assert away[LETTERS].max() < 0
        border = np.concatenate([away[0], away[-1], away[:, 0], away[:, -1]])
        assert (border > 0).mean() > 0.3
        assert seen.shape == (300, 480, 3)


def test_a_torn_edge_is_ragged_and_a_cut_one_straight():
    def raggedness(torn):
        tops = [(around(seed, torn=torn)[0][:120] > 0).argmin(axis=0)[140:340] for seed in range(5)]
        return np.mean([np.abs(np.diff(top, 2)).mean() for top in tops])

    assert raggedness(0.0) == 0
    assert raggedness(0.25) > 0.3


def test_another_note_may_lie_beside_with_some_table_between():
    for other, most in ((0, 1), (1, 2)):
        notes = [ndimage.label(around(seed, other=other)[0] <= 0)[1] for seed in range(20)]
        assert max(notes) == most
        assert np.mean(notes) > 0.7 * most


def test_tables_look_as_they_are_called():
    looks = {look: [around(seed, look=look)[1] for seed in range(10)] for look in paper.LOOKS}
    assert all(np.isfinite(seen).all() and seen.dtype == np.float32 for some in looks.values() for seen in some)

    def brightness(look):
        return np.median([seen.mean() for seen in looks[look]])

    def colour(look):
        return np.median([np.ptp(seen.mean(axis=(0, 1))) for seen in looks[look]])

    def clutter(look):
        return np.median([np.abs(np.diff(seen.mean(axis=2), axis=1)).max() for seen in looks[look]])

    assert brightness("dark") < 0.3 < 0.45 < brightness("grey")
    assert colour("wood") > 3 * colour("grey")
    assert clutter("keys") > 2 * max(clutter("grey"), clutter("dark"))


def test_keys_bear_letters():
    tiles = paper._legends()
    assert tiles.shape == (26, paper.TILE, paper.TILE)
    assert (tiles.max(axis=(1, 2)) > 0.9).all()
    assert tiles[:, [0, -1]].max() == tiles[:, :, [0, -1]].max() == 0
