"""The hand that bench/learning has a network learn."""

import sys
from pathlib import Path

import numpy as np
import pytest

from lettergpu.data.letters import Examples

sys.path.append(str(Path(__file__).parents[2] / "bench" / "learning"))

import hand


@pytest.fixture(scope="module")
def letters():
    """Two blots of each letter."""
    images = np.zeros((52, 28, 28), np.uint8)
    for row, image in enumerate(images):
        image[6 : 12 + row % 10, 8:20] = 200
    return Examples(images, np.arange(52) % 26)


def test_a_hand_writes_each_letter_in_one_shape_and_no_two_alike(letters):
    written = hand.hand(letters, 3).astype(float)
    assert written.shape == (26, hand.WRITTEN, 28, 28)
    assert len({image.tobytes() for letter in written for image in letter}) == 26 * hand.WRITTEN
    ink = written.reshape(26, hand.WRITTEN, -1)
    middles = ink.mean(axis=1)
    own = np.abs(ink - middles[:, None]).mean()
    others = np.abs(ink - np.roll(middles, 1, axis=0)[:, None]).mean()
    assert own < others
    assert np.array_equal(hand.hand(letters, 3), written)


def test_its_examples_are_labelled_by_their_letters(letters):
    some = hand.examples(hand.hand(letters, 0)[:, -2:])
    assert some.labels.tolist() == [label for label in range(26) for _ in range(2)]
