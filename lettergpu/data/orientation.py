"""Which way images lie, and whether their ink is light or dark, found rather than assumed.

EMNIST's own files hold each image transposed, many copies do not, and a network trained on the wrong ones reads
A D E F H I as D O M M T H. So letters are read both ways; where there are none, a 1 stands upright.
"""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from .folders import Eyes
from .idx import Images

ORIENTATIONS = ("auto", "upright", "transposed")
EACH = 20  # images of a class to tell by
SURE = 0.5  # of the letters that have to be read right, the better way
MANY = 100_000  # ones to tell by
SIGMAS = 3.0  # by which one way has to be better: of letters that are read right one way only
STANDING = 1.5  # times as far up and down as from side to side goes the ink of ones


class Orientation(NamedTuple):
    """transposed: whether rows and columns have to be swapped. why: in a few words, from what this is known."""

    transposed: bool
    why: str

    @property
    def name(self) -> str:
        return ORIENTATIONS[1 + self.transposed]


def is_dark(images: Images) -> bool:
    """Whether the ink of uint8 (n, 28, 28) is dark on light: three quarters of the border are light."""
    some = images[:: len(images) // 1000 + 1]
    border = np.concatenate([some[:, 0], some[:, -1], some[:, :, 0], some[:, :, -1]])
    return bool(np.quantile(border, 0.25) > 127)


def find(
    images: Images, labels: np.ndarray, classes: Sequence[str], eyes: Eyes | None, usual: Orientation
) -> Orientation:
    """How images, uint8 (n, 28, 28), light on dark, with labels (n,) from 0, lie. usual: where that cannot be seen."""
    letters = {label: name.upper() for label, name in enumerate(classes) if len(name) == 1 and name.upper().isalpha()}
    if letters and eyes:
        return _by_reading(*_some(images, labels, letters), eyes, usual)
    if "1" in classes:
        return _by_ones(images[np.flatnonzero(labels == list(classes).index("1"))[:MANY]], usual)
    return usual


def _some(images: Images, labels: np.ndarray, letters: dict[int, str]) -> tuple[np.ndarray, np.ndarray]:
    """The first few images of each of these classes, and what they are."""
    rows = [np.flatnonzero(labels == label)[:EACH] for label in letters]
    return images[np.concatenate(rows)], np.repeat([*letters.values()], [len(row) for row in rows])


def _by_reading(images: np.ndarray, names: np.ndarray, eyes: Eyes, usual: Orientation) -> Orientation:
    if not len(names):
        return usual
    upright, transposed = (eyes.recognise(way) == names for way in (images, np.swapaxes(images, 1, 2)))
    only, count = int(transposed.sum()) - int(upright.sum()), int((upright != transposed).sum())
    read = f"boxed reads {upright.mean():.0%} of {len(names)} letters as they lie, {transposed.mean():.0%} transposed"
    if abs(only) > SIGMAS * count**0.5 and max(upright.mean(), transposed.mean()) > SURE:
        return Orientation(only > 0, read)
    return Orientation(usual.transposed, f"{usual.why}; {read}")


def _by_ones(images: np.ndarray, usual: Orientation) -> Orientation:
    down, across = (_spread(images.sum(axis=axis, dtype=np.int64)) for axis in (2, 1))
    if max(down, across) > STANDING**2 * min(down, across):
        return Orientation(down < across, "as the ones stand")
    return usual


def _spread(ink: np.ndarray) -> float:
    """The mean variance of the places of ink (n, 28) along an axis."""
    places, total = np.arange(ink.shape[1]), np.maximum(ink.sum(axis=1), 1)
    middle = (ink * places).sum(axis=1) / total
    return float((((places - middle[:, None]) ** 2 * ink).sum(axis=1) / total).mean()) if len(ink) else 0.0
