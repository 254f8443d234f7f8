"""What the reader's letters were learned from: scraps of ink, and lines whose text is known."""

from pathlib import Path

import lines
import matplotlib
import numpy as np
import pytest
import scraps

from lettergpu.data.letters import load_letters
from lettergpu.reading import spans

FONTS = [str(Path(matplotlib.get_data_path()) / "fonts" / "ttf" / f"{name}.ttf") for name in ("DejaVuSans", "cmr10")]


def a_line(rng, fragments=5, classes=26):
    ways = [(a, b) for a in range(fragments) for b in range(a + 1, min(a + 3, fragments) + 1)]
    names = {*spans.LETTER, *spans.NONE} - {"named"}
    values = {name: rng.normal(size=len(ways)) for name in names}
    return lines.Line(np.array(ways), values, rng.dirichlet(np.ones(classes), len(ways)), [3, 17, 3])


def test_the_gradient_of_a_texts_likelihood():
    rng = np.random.default_rng(0)
    line, weights = a_line(rng), rng.normal(0, 0.5, len(spans.LETTER) + len(spans.NONE))
    value, gradient = lines.likelihood(weights, line)
    assert value < 0
    for i, step in enumerate(1e-5 * np.eye(len(weights))):
        more, less = lines.likelihood(weights + step, line)[0], lines.likelihood(weights - step, line)[0]
        assert gradient[i] == pytest.approx((more - less) / 2e-5, rel=1e-5, abs=1e-7)


def test_all_texts_of_a_line_are_likely_by_one_together():
    rng = np.random.default_rng(1)
    line, weights = a_line(rng, fragments=2, classes=2), rng.normal(0, 0.5, len(spans.LETTER) + len(spans.NONE))
    texts = [[], [0], [1], [0, 0], [0, 1], [1, 0], [1, 1]]
    chances = [np.exp(lines.likelihood(weights, line._replace(text=text))[0]) for text in texts]
    assert sum(chances) == pytest.approx(1.0)


def test_fitting_finds_what_the_lines_were_drawn_from():
    rng = np.random.default_rng(2)
    sample = [a_line(rng)._replace(text=[0] * int(rng.integers(2, 5))) for _ in range(40)]
    for line in sample:
        line.values["each"][:] = 1.0
    start = np.zeros(len(spans.LETTER) + len(spans.NONE))
    start[0] = 1.0
    found = lines.fit(sample, start)
    before, after = (np.mean([lines.likelihood(w, line)[0] for line in sample]) for w in (start, found))
    assert after > before + 0.5


def test_scraps_are_letters_and_others_in_emnists_form():
    images = load_letters("builtin").train.images.reshape(-1, 28, 28)
    made, labels = scraps.scraps_of(images, FONTS, 300, 0)
    assert made.shape == (300, 28, 28)
    assert made.dtype == np.uint8
    assert (made.max(axis=(1, 2)) == 255).all()
    assert 0.4 < labels.mean() < 0.6


@pytest.mark.parametrize("kind", scraps.KINDS)
def test_each_kind_of_scrap_has_ink(kind):
    images = load_letters("builtin").train.images.reshape(-1, 28, 28)
    for seed in range(5):
        ink = scraps.scrap(kind, images, FONTS, np.random.default_rng(seed))
        assert ink.ndim == 2
        assert ink.max() > 0.5


def test_composed_lines_have_a_way_to_their_text():
    found = lines.compose("builtin", FONTS, 24, 0)
    written = [line for line in found if line.text]
    assert 8 <= len(written) <= 24
    weights = np.array([*spans.LETTER.values(), *spans.NONE.values()])
    likely = [lines.likelihood(weights, line)[0] for line in written]
    assert np.isfinite(likely).mean() > 0.7
    assert np.median(likely) > -10


def test_a_line_whose_last_letter_another_covers_is_left_out(monkeypatch):
    whole = lines.picture

    def covered(*of):
        file, text, boxes = whole(*of)
        return file, text, boxes[:-1]

    monkeypatch.setattr(lines, "picture", covered)
    assert lines.compose("builtin", FONTS, 3, 0) == []


@pytest.mark.parametrize("script", [lines, scraps])
def test_without_fonts_there_is_no_print_to_learn_from(script, monkeypatch, tmp_path):
    file = [str(tmp_path / "file")] if script is scraps else []
    monkeypatch.setattr("sys.argv", ["script", *file, "--data", "builtin", "--fonts", str(tmp_path)])
    with pytest.raises(SystemExit, match="--fonts FOLDER"):
        script.main()
