"""One epoch's way through the training set: rows of a permutation, gathered, made float, augmented."""

from collections.abc import Iterator
from typing import Any, NamedTuple

import numpy as np

from .augment import rotate
from .config import Config
from .data import SIDE
from .device import Device
from .pixels import to_floats
from .randomness import generator

PIECE = 8192  # rows held as floats at once: a larger batch goes through the network in pieces


class Piece(NamedTuple):
    """A batch, or a part of one that is too large for memory.

    x: (rows, 784) pixels in [0, 1]. labels: (rows,). batch: how many rows the whole batch has.
    first, last: whether the batch begins and ends with this piece.
    """

    x: Any
    labels: Any
    batch: int
    first: bool
    last: bool


def draw_angles(count: int, config: Config, epoch: int) -> np.ndarray:
    """Each row's rotation in this epoch, (count,) float32 in radians; 0 where it is not turned."""
    rng = generator(config.seed, "rotation", epoch)
    least, most = config.rotation_degrees
    degrees = rng.uniform(least, most, count) * rng.choice((-1.0, 1.0), count)
    return np.radians(np.where(rng.random(count) < config.rotation_chance, degrees, 0.0)).astype(np.float32)


def batches(
    images: Any, labels: Any, rows: np.ndarray, config: Config, epoch: int, device: Device, dtype: Any
) -> Iterator[Piece]:
    """The pieces of one epoch, in order.

    images: (n, 784) uint8 and labels: (n,), both on the device. rows: those to train on, on the host.
    The only thing that goes to the device is the order of the rows and their angles, once.
    """
    xp = device.namespace
    count = len(rows)
    pieces = list(_pieces(count, config.batch_size or count))
    rows = rows[generator(config.seed, "order", epoch).permutation(count)]
    angles = draw_angles(count, config, epoch) if config.augment == "rotate" else np.zeros(count, np.float32)
    # The order within a piece is of no consequence: with the turned rows in front, only they are warped.
    turned = []
    for start, stop, *_ in pieces:
        front = np.argsort(angles[start:stop] == 0, kind="stable")
        rows[start:stop], angles[start:stop] = rows[start:stop][front], angles[start:stop][front]
        turned.append(int(np.count_nonzero(angles[start:stop])))
    rows_there, angles_there = device.put(rows), xp.astype(device.put(angles), dtype)

    for (start, stop, batch, first, last), k in zip(pieces, turned, strict=True):
        taken = rows_there[start:stop]
        x = to_floats(xp.take(images, taken, axis=0), dtype)  # (rows, 784)
        if k:
            squares = xp.reshape(x[:k, :], (k, SIDE, SIDE))
            x[:k, :] = xp.reshape(rotate(squares, angles_there[start : start + k]), (k, SIDE * SIDE))
        yield Piece(x, xp.take(labels, taken), batch, first, last)


def _pieces(count: int, size: int) -> Iterator[tuple[int, int, int, bool, bool]]:
    """(start, stop, rows in the whole batch, first, last) for each piece of each batch of `size` rows."""
    for begin in range(0, count, size):
        end = min(begin + size, count)
        for start in range(begin, end, PIECE):
            stop = min(start + PIECE, end)
            yield start, stop, end - begin, start == begin, stop == end
