"""One epoch's way through the training set: rows of a permutation, gathered, made float, augmented."""

from collections.abc import Iterator
from typing import Any, NamedTuple

import numpy as np

from ..backends.device import CPU, Device
from ..config import Config
from ..data import SIDE
from ..data.letters import Examples
from ..nn.draws import permutation, stream
from ..nn.pixels import assemble
from ..nn.warps import composed, moment_frames
from .distortions import draw_maps

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

    letters: of the host, and `rows` those of them to train on. Images go to the device as bytes, once; the order of an
    epoch and its maps are drawn there, and nothing is sent. Images that it has no room for stay on the host: then the
    order comes back once an epoch, and each piece's images are sent while it computes.
    parts: the pieces of every epoch. count: of the rows of all its networks.
    """

    def __init__(self, letters: Examples, rows: np.ndarray, config: Config, device: Device, dtype: Any):
        self.config, self.device, self.dtype = config, device, dtype
        self.images = device.put_if_it_fits(letters.images.reshape(-1, SIDE * SIDE))
        self.labels = device.put(letters.labels)
        self.parts = list(_parts(len(rows), config.batch_size or len(rows)))
        self.steps = self.parts[-1].number + 1
        self.count = config.ensemble * len(rows)
        self._streamed = isinstance(self.images, np.ndarray) and device.namespace is not CPU.namespace
        whole = self.parts[0].batch == len(rows)
        # the order of a whole is of no consequence but for the way through memory
        self.rows, self._shuffled = device.put(np.sort(rows) if whole else rows), config.shuffle and not whole
        self._numbers = device.namespace.arange(len(rows), dtype=device.namespace.int64, device=device.handle)
        self._frames = device.put(_frames(letters.images)) if config.moment_norm else None
        self._places = device.put(_in_parts(config.ensemble, len(rows), self.parts)) if config.ensemble > 1 else None

    def draw(self, epoch: int) -> None:
        """Draw the order and the maps of an epoch, whose pieces are then to be had; the first one is 1."""
        xp, seeds = self.device.namespace, self.config.seeds
        self.device.use()
        orders = [self._order_of(seed, epoch) for seed in seeds]
        maps = [self._maps_of(order, seed, epoch) for order, seed in zip(orders, seeds, strict=True)]
        if self._places is None:
            (self._order,), (self._maps,) = orders, maps
        else:
            self._order = xp.take(xp.concat(orders), self._places)
            self._maps = xp.take(xp.concat(maps), self._places, axis=0) if maps[0].shape[0] else maps[0]
        self._order_here = self.device.fetch(self._order) if self._streamed else None

    def _order_of(self, seed: int, epoch: int) -> Any:
        """The rows in one network's order of an epoch."""
        if not self._shuffled:
            return self.rows
        return self.device.namespace.take(self.rows, permutation(self._numbers, stream(seed, "order", epoch)))

    def _maps_of(self, order: Any, seed: int, epoch: int) -> Any:
        """The maps of `moved` of these rows, (n, 2, 3) or with bends; of none if nothing moves them."""
        xp = self.device.namespace
        if self.config.augment == "none":
            if self._frames is None:
                return xp.zeros((0, 2, 3), dtype=self.dtype, device=self.device.handle)
            maps = xp.take(self._frames, order, axis=0)
        else:
            maps = draw_maps(order, self.config, seed, epoch)
            if self._frames is not None:  # letters are moved by their moments before all else
                maps = composed(xp.take(self._frames, order, axis=0), maps)
        return xp.astype(maps, self.dtype, copy=False)

    def piece(self, number: int) -> Piece:
        """The piece of that number, in the epoch that was drawn last."""
        xp, members, (start, stop, *_) = self.device.namespace, self.config.ensemble, self.parts[number]
        own = slice(members * start, members * stop)
        source, taken = self.images, self._order[own]
        labels = xp.take(self.labels, taken)
        if self._order_here is not None:
            source = self.device.put(self.images[self._order_here[own]])
            taken = xp.arange(own.stop - own.start, device=self.device.handle)
        maps = self._maps[own, ...] if self._maps.shape[0] else self._maps
        x = assemble(source, taken, maps, self.dtype)
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


def _in_parts(members: int, count: int, parts: list[Part]) -> np.ndarray:
    """The places (members * count,) of `members` rows of numbers one after another, as an epoch takes them.

    What each member has of the first part, member by member, then of the second, and so on.
    """
    places = np.arange(members * count).reshape(members, count)
    return np.concatenate([places[:, part.start : part.stop].ravel() for part in parts])
