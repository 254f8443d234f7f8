"""One epoch's way through the training set: rows of a permutation, gathered, made float, augmented."""

from collections.abc import Iterator
from dataclasses import replace
from itertools import pairwise
from typing import Any, NamedTuple

import numpy as np
from array_api_compat import array_namespace

from .augment import about_centre, composed, moved, rotations, wave_heights
from .config import Config
from .data import SIDE
from .device import CPU, Device
from .dispatch import dispatched
from .pixels import to_floats
from .randomness import generator

WAVES = 5  # a side: the others would hold 0.7 % of the bends' mean square at elastic's default smoothness
PIECE = 8192  # rows held as floats at once: a larger batch goes through the network in pieces


class Piece(NamedTuple):
    """A batch, or a part of one that is too large for memory.

    x: (rows, 784) pixels in [0, 1]. labels: (rows,). batch: how many rows the whole batch has.
    first, last: whether the batch begins and ends with this piece.
    For an ensemble x is (members, rows, 784) and labels (members * rows,): each member has a batch of its own.
    """

    x: Any
    labels: Any
    batch: int
    first: bool
    last: bool


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


def steps_an_epoch(count: int, config: Config) -> int:
    """How many batches an epoch of that many rows has."""
    return -(-count // (config.batch_size or count))


def draw_angles(count: int, config: Config, epoch: int) -> np.ndarray:
    """Each row's rotation in this epoch, (count,) in radians; 0 where it is not turned."""
    rng = generator(config.seed, "rotation", epoch)
    least, most = config.rotation_degrees
    degrees = rng.uniform(least, most, count) * rng.choice((-1.0, 1.0), count)
    return np.radians(np.where(rng.random(count) < config.rotation_chance, degrees, 0.0))


def batches(
    images: Any,
    labels: Any,
    rows: np.ndarray,
    config: Config,
    epoch: int,
    device: Device,
    dtype: Any,
    frames: np.ndarray | None = None,
) -> Iterator[Piece]:
    """The pieces of one epoch, in order.

    images: (n, 784) uint8 and labels: (n,), both on the device. rows: those to train on, on the host. frames: the
    maps (n, 2, 3) of `moment_frames` for all images, by which they are moved before they are augmented, on the host.
    The only thing that goes to the device is the order of the rows and the maps of those that are turned, once.
    Images that the device has no room for may stay on the host: then each piece's are sent while it computes.
    """
    xp, members, count = device.namespace, config.ensemble, len(rows)
    pieces = list(_pieces(count, config.batch_size or count))
    drawn = zip(*(_draw(rows, replace(config, seed=seed), epoch, frames) for seed in config.seeds), strict=True)
    order, moves, maps = (_in_pieces(part, pieces) for part in drawn)
    # The order within a piece is of no consequence: with the moved rows in front, only they are warped.
    ends = [0]
    for start, stop, *_ in pieces:
        part = slice(members * start, members * stop)
        order[part] = order[part][np.argsort(~moves[part], kind="stable")]
        ends.append(ends[-1] + int(np.count_nonzero(moves[part])))
    order_there, maps_there = device.put(order), xp.astype(device.put(maps), dtype)
    streamed = isinstance(images, np.ndarray) and device.namespace is not CPU.namespace

    for (start, stop, batch, first, last), (begin, end) in zip(pieces, pairwise(ends), strict=True):
        part = slice(members * start, members * stop)
        taken = order_there[part]
        y = xp.take(labels, taken)
        if streamed:
            source, taken = device.put(images[order[part]]), xp.arange(part.stop - part.start, device=device.handle)
        else:
            source = images
        x = assemble(source, taken, maps_there[begin:end, ...], dtype)
        if members > 1:
            x = xp.reshape(x, (members, stop - start, x.shape[1]))
        yield Piece(x, y, batch, first, last)


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


def _in_pieces(arrays: tuple[np.ndarray, ...], pieces: list[Any]) -> np.ndarray:
    """What each member has of the first piece, member by member, then of the second, and so on."""
    if len(arrays) == 1:
        return arrays[0]
    return np.concatenate([array[start:stop] for start, stop, *_ in pieces for array in arrays])


@dispatched
def assemble(images: Any, rows: Any, maps: Any, dtype: Any) -> Any:
    """Pixels in [0, 1], (batch, 784), of some rows (batch,) of uint8 images (n, 784).

    maps: of `moved`, for the first k of the batch; the others stay as they are.
    """
    xp = array_namespace(images)
    x = to_floats(xp.take(images, rows, axis=0), dtype)
    if k := maps.shape[0]:
        squares = xp.reshape(x[:k, :], (k, SIDE, SIDE))
        x[:k, :] = xp.reshape(moved(squares, maps), (k, SIDE * SIDE))
    return x


def _pieces(count: int, size: int) -> Iterator[tuple[int, int, int, bool, bool]]:
    """(start, stop, rows in the whole batch, first, last) for each piece of each batch of `size` rows."""
    for begin in range(0, count, size):
        end = min(begin + size, count)
        for start in range(begin, end, PIECE):
            stop = min(start + PIECE, end)
            yield start, stop, end - begin, start == begin, stop == end
