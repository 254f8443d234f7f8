"""One epoch's way through the training set: rows of a permutation, gathered, made float, augmented."""

from collections.abc import Iterator
from dataclasses import replace
from itertools import pairwise
from typing import Any, NamedTuple

import numpy as np

from ..backends.device import CPU, Device
from ..config import Config
from ..data import SIDE
from ..data.letters import Examples
from ..nn.pixels import assemble
from ..nn.warps import about_centre, composed, moment_frames, rotations, wave_heights
from ..randomness import generator

WAVES = 5  # a side: the others would hold 0.7 % of the bends' mean square at elastic's default smoothness
PIECE = 8192  # rows held as floats at once: a larger batch goes through the network in pieces


class Part(NamedTuple):
    """Where a piece lies in an epoch: rows `start` to `stop` of each network's order, in batch number `number`.

    batch: how many rows the whole batch has. first, last: whether the batch begins and ends with this piece.
    """

    start: int
    stop: int
    number: int
    batch: int
    first: bool
    last: bool


class Piece(NamedTuple):
    """A batch, or a part of one that is too large for memory.

    x: (rows, 784) pixels in [0, 1]. labels: (rows,).
    For an ensemble x is (members, rows, 784) and labels (members * rows,): each member has a batch of its own.
    """

    x: Any
    labels: Any


class Batches:
    """The letters that are trained on, where the training lives, and the ways of its epochs through them.

    letters: of the host, and `rows` those of them to train on. Images go to the device as bytes, once; an epoch sends
    it nothing but the order of the rows and the maps of those that are moved. Images that it has no room for stay on
    the host: then each piece's are sent while it computes.
    parts: the pieces of every epoch. count: of the rows of all its networks.
    """

    def __init__(self, letters: Examples, rows: np.ndarray, config: Config, device: Device, dtype: Any):
        self.rows, self.config, self.device, self.dtype = rows, config, device, dtype
        self.frames = _frames(letters.images) if config.moment_norm else None  # they move images before all else
        self.images = device.put_if_it_fits(letters.images.reshape(-1, SIDE * SIDE))
        self.labels = device.put(letters.labels)
        self.parts = list(_parts(len(rows), config.batch_size or len(rows)))
        self.steps = self.parts[-1].number + 1
        self.count = config.ensemble * len(rows)
        self._streamed = isinstance(self.images, np.ndarray) and device.namespace is not CPU.namespace

    def draw(self, epoch: int) -> None:
        """Draw the order and the maps of an epoch, whose pieces are then to be had; the first one is 1."""
        members = self.config.ensemble
        each = (replace(self.config, seed=seed) for seed in self.config.seeds)
        drawn = zip(*(_draw(self.rows, config, epoch, self.frames) for config in each), strict=True)
        order, moves, maps = (_in_parts(kind, self.parts) for kind in drawn)
        # The order within a piece is of no consequence: with the moved rows in front, only they are warped.
        ends = [0]
        for part in self.parts:
            own = slice(members * part.start, members * part.stop)
            order[own] = order[own][np.argsort(~moves[own], kind="stable")]
            ends.append(ends[-1] + int(np.count_nonzero(moves[own])))
        self._moved, self._order = list(pairwise(ends)), order
        self._order_there = self.device.put(order)
        self._maps = self.device.namespace.astype(self.device.put(maps), self.dtype)

    def piece(self, number: int) -> Piece:
        """The piece of that number, in the epoch that was drawn last."""
        xp, members, (start, stop, *_) = self.device.namespace, self.config.ensemble, self.parts[number]
        own, (begin, end) = slice(members * start, members * stop), self._moved[number]
        source, taken = self.images, self._order_there[own]
        labels = xp.take(self.labels, taken)
        if self._streamed:
            source = self.device.put(self.images[self._order[own]])
            taken = xp.arange(own.stop - own.start, device=self.device.handle)
        x = assemble(source, taken, self._maps[begin:end, ...], self.dtype)
        if members > 1:
            x = xp.reshape(x, (members, stop - start, x.shape[1]))
        return Piece(x, labels)


def _frames(images: np.ndarray) -> np.ndarray:
    """The maps of `moment_frames` of images of any number, (n, 2, 3)."""
    starts = range(0, len(images), PIECE)  # all at once, they would take four times their room
    return np.concatenate([moment_frames(images[start : start + PIECE], np.float32) for start in starts])


def _parts(count: int, size: int) -> Iterator[Part]:
    """Each piece of each batch of `size` rows."""
    for number, begin in enumerate(range(0, count, size)):
        end = min(begin + size, count)
        for start in range(begin, end, PIECE):
            stop = min(start + PIECE, end)
            yield Part(start, stop, number, end - begin, start == begin, stop == end)


def _in_parts(arrays: tuple[np.ndarray, ...], parts: list[Part]) -> np.ndarray:
    """What each member has of the first part, member by member, then of the second, and so on."""
    if len(arrays) == 1:
        return arrays[0]
    return np.concatenate([array[part.start : part.stop] for part in parts for array in arrays])


def _draw(
    rows: np.ndarray, config: Config, epoch: int, frames: np.ndarray | None
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """The rows in one network's order of an epoch, which of them are moved, and the maps of those."""
    count = len(rows)
    if config.batch_size in (0, count):
        rows = np.sort(rows)  # their order is of no consequence but for the way through memory
    elif config.shuffle:
        rows = rows[generator(config.seed, "order", epoch).permutation(count)]
    else:
        rows = rows.copy()
    moves, maps = draw_maps(count, config, epoch)
    if frames is None and config.ensemble == 1:
        return rows, moves, maps
    every = np.broadcast_to(np.eye(2, maps.shape[2], dtype=maps.dtype), (count, 2, maps.shape[2])).copy()
    every[moves] = maps
    return rows, np.ones(count, bool), every if frames is None else composed(frames[rows], every)


def draw_maps(count: int, config: Config, epoch: int) -> tuple[np.ndarray, np.ndarray]:
    """Which rows are moved in this epoch, (count,) bool, and the maps of `moved` of those."""
    if config.augment == "rotate":
        angles = draw_angles(count, config, epoch)
        return angles != 0, rotations(angles[angles != 0], SIDE, SIDE)
    if config.augment in ("affine", "elastic"):
        maps = _affine_maps(count, config, generator(config.seed, "affine", epoch))
        if config.augment == "elastic":
            bends = _bends(count, config, generator(config.seed, "elastic", epoch))
            maps = np.concat([maps.astype(np.float32), bends], axis=-1)
        return np.ones(count, bool), maps
    return np.zeros(count, bool), np.empty((0, 2, 3))


def draw_angles(count: int, config: Config, epoch: int) -> np.ndarray:
    """Each row's rotation in this epoch, (count,) in radians; 0 where it is not turned."""
    rng = generator(config.seed, "rotation", epoch)
    least, most = config.rotation_degrees
    degrees = rng.uniform(least, most, count) * rng.choice((-1.0, 1.0), count)
    return np.radians(np.where(rng.random(count) < config.rotation_chance, degrees, 0.0))


def _affine_maps(count: int, config: Config, rng: np.random.Generator) -> np.ndarray:
    """Turned, sheared, stretched and shifted, each uniformly up to the most of `config.affine`, (count, 2, 3)."""
    degrees, pixels, log_scale, shear = config.affine
    linear = rotations(np.radians(rng.uniform(-degrees, degrees, count)), SIDE, SIDE)[:, :, :2]
    slant = np.zeros((count, 2, 2))
    slant[:, 0, 0] = slant[:, 1, 1] = 1
    slant[:, 1, 0] = rng.uniform(-shear, shear, count)  # a column moves with its row, as in slanted writing
    scales = np.exp(rng.uniform(-log_scale, log_scale, (count, 2)))
    return about_centre(linear @ slant * scales[:, :, None], rng.uniform(-pixels, pixels, (count, 2)), SIDE, SIDE)


def _bends(count: int, config: Config, rng: np.random.Generator) -> np.ndarray:
    """What bends each image, by `config.elastic`: root mean square and smoothness in pixels; (count, 2, WAVES^2)."""
    pixels, sigma = config.elastic
    most = (12**0.5 * pixels * np.ravel(wave_heights(sigma, WAVES, SIDE))).astype(np.float32)
    bends = rng.random((count, 2, WAVES * WAVES), np.float32)  # uniform: drawn in a third of a normal's time
    bends -= np.float32(0.5)
    bends *= most
    return bends
