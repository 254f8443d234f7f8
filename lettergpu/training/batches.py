"""One epoch's way through the training set: rows of a permutation, gathered, made float, augmented."""

from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

import numpy as np
from array_api_compat import array_namespace, device

from ..backends.device import CPU, Device
from ..backends.dispatch import dispatched
from ..config import Config
from ..data.letters import Examples
from ..nn.draws import permutation, stream
from ..nn.pixels import assemble
from ..nn.warps import composed, moment_frames
from .distortions import draw_maps

PIECE = 8192  # rows held as floats at once: a larger batch goes through the network in pieces


class Part(NamedTuple):
    """What a piece is of its batch: `rows` rows of `batch`, after the `before` first ones. Pieces alike are equal."""

    before: int
    rows: int
    batch: int

    @property
    def first(self) -> bool:
        """Whether the batch begins with this piece."""
        return self.before == 0

    @property
    def last(self) -> bool:
        """Whether it ends with this piece."""
        return self.before + self.rows == self.batch


class Window(NamedTuple):
    """Which rows of an array that comes in batches of `size` rows: of a batch `rows`, after the `before` first ones."""

    size: int
    before: int
    rows: int


class Piece(NamedTuple):
    """A batch, or a part of one that is too large for memory.

    x: (rows, 784) pixels in [0, 1]. labels: (rows,). rate: (1,), the learning rate of the batch. weights: (rows,), how
    many times each row counts, or None.
    For an ensemble x is (members, rows, 784) and labels (members * rows,): each member has a batch of its own.
    """

    x: Any
    labels: Any
    rate: Any
    weights: Any


class Batches:
    """The letters that are trained on, where the training lives, and the ways of its epochs through them.

    letters: of the host, and `rows` those of them to train on. Images go to the device as bytes, once; the order of an
    epoch and its maps are drawn there, and nothing is sent. Images that it has no room for stay on the host, and are
    `streamed`: the order comes back once an epoch, and each piece's images are sent while it computes.
    frames: the `moment_frames` of all letters, or None. parts: the pieces of every epoch. count: of the rows of all its
    networks. number: (1,) int64, on the device, how many batches of the epoch are done: who trains on one adds 1.
    """

    def __init__(self, letters: Examples, rows: np.ndarray, config: Config, device: Device, dtype: Any):
        self.config, self.device, self.dtype = config, device, dtype
        xp, count = device.namespace, len(rows)
        self.size = config.batch_size or count  # of a batch of one network, but for the last one
        self.parts = list(_parts(count, self.size))
        self.steps = sum(part.last for part in self.parts)
        self.count = config.ensemble * count
        self.images = device.put_if_it_fits(letters.flat)
        self.labels = device.put(letters.labels)
        self.weights = placed(letters.weights, device, dtype)
        self.streamed = isinstance(self.images, np.ndarray) and xp is not CPU.namespace
        self.number = xp.zeros(1, dtype=xp.int64, device=device.handle)
        whole = self.parts[0].batch == count
        # the order of a whole is of no consequence but for the way through memory
        self.rows, self._shuffled = device.put(np.sort(rows) if whole else rows), config.shuffle and not whole
        self._numbers = xp.arange(count, dtype=xp.int64, device=device.handle)
        self.frames = device.put(_frames(letters.images)) if config.moment_norm else None
        self._places = device.put(_in_parts(config.ensemble, count, self.size)) if config.ensemble > 1 else None
        self._drawn: tuple[Any, ...] = ()  # an epoch's order, labels, rates and maps, always the same arrays

    def draw(self, epoch: int, rates: Any) -> None:
        """Draw the order and the maps of an epoch, whose pieces are then to be had; the first one is 1.

        rates: (steps,), the learning rates of its batches, on the device.
        """
        xp, seeds = self.device.namespace, self.config.seeds
        self.device.use()
        orders = [self._order_of(seed, epoch) for seed in seeds]
        maps = [self._maps_of(order, seed, epoch) for order, seed in zip(orders, seeds, strict=True)]
        order, moves = orders[0], maps[0]
        if self._places is not None:
            order = xp.take(xp.concat(orders), self._places)
            moves = xp.take(xp.concat(maps), self._places, axis=0) if moves.shape[0] else moves
        drawn = order, xp.take(self.labels, order), rates, moves
        for kept, new in zip(self._drawn, drawn, strict=False):
            kept[...] = new
        self._drawn = self._drawn or (*drawn[:2], xp.asarray(rates, copy=True), moves)
        self.number[...] = 0
        if self.streamed:
            self._sent, self._order_here = 0, self.device.fetch(order)

    def _order_of(self, seed: int, epoch: int) -> Any:
        """The rows in one network's order of an epoch."""
        if not self._shuffled:
            return self.rows
        return self.device.namespace.take(self.rows, permutation(self._numbers, stream(seed, "order", epoch)))

    def _maps_of(self, order: Any, seed: int, epoch: int) -> Any:
        """The maps of `moved` of these rows, (n, 2, 3) or with bends; of none if nothing moves them."""
        xp = self.device.namespace
        if self.config.augment == "none":
            if self.frames is None:
                return xp.zeros((0, 2, 3), dtype=self.dtype, device=self.device.handle)
            maps = xp.take(self.frames, order, axis=0)
        else:
            maps = draw_maps(order, self.config, seed, epoch)
            if self.frames is not None:  # letters are moved by their moments before all else
                maps = composed(xp.take(self.frames, order, axis=0), maps)
        return xp.astype(maps, self.dtype, copy=False)

    def piece(self, part: Part) -> Piece:
        """That part of the batch whose number is reached, in the epoch that was drawn last."""
        xp, members = self.device.namespace, self.config.ensemble
        rows = Window(members * self.size, members * part.before, members * part.rows)
        places = [rows, rows, Window(1, 0, 1), rows if self._drawn[3].shape[0] else Window(0, 0, 0)]
        order, labels, rate, maps = windows(self.number, self._drawn, places)
        weights = None if self.weights is None else xp.take(self.weights, order)
        source = self.images
        if self.streamed:
            source = self.device.put(self.images[self._order_here[self._sent :][: rows.rows]])
            self._sent += rows.rows
            order = xp.arange(rows.rows, device=self.device.handle)
        x = assemble(source, order, maps, self.dtype)
        if members > 1:
            x = xp.reshape(x, (members, part.rows, x.shape[1]))
        return Piece(x, labels, rate, weights)


@dispatched
def windows(number: Any, arrays: Sequence[Any], places: Sequence[Window]) -> list[Any]:
    """Of each array (n, ...) the rows that its Window tells, of batch `number`, (1,) int64.

    The number lies where the arrays do, so that nobody waits for it; what is returned may be views.
    """
    xp, there = array_namespace(number), device(number)
    places_of = (number * at.size + at.before + xp.arange(at.rows, dtype=number.dtype, device=there) for at in places)
    return [xp.take(array, rows, axis=0) for array, rows in zip(arrays, places_of, strict=True)]


def placed(weights: np.ndarray | None, device: Device, dtype: Any) -> Any:
    """Weights of the host (n,), on the device in this dtype; None as it is."""
    return None if weights is None else device.namespace.astype(device.put(weights), dtype)


def _frames(images: np.ndarray) -> np.ndarray:
    """The maps of `moment_frames` of images of any number, (n, 2, 3)."""
    starts = range(0, len(images), PIECE)  # all at once, they would take four times their room
    return np.concatenate([moment_frames(images[start : start + PIECE], np.float32) for start in starts])


def _parts(count: int, size: int) -> Iterator[Part]:
    """Each piece of each batch of `size` rows."""
    for begin in range(0, count, size):
        batch = min(size, count - begin)
        for before in range(0, batch, PIECE):
            yield Part(before, min(PIECE, batch - before), batch)


def _in_parts(members: int, count: int, size: int) -> np.ndarray:
    """The places (members * count,) of `members` rows of numbers one after another, as an epoch takes them.

    What each member has of the first part, member by member, then of the second, and so on.
    """
    places, begin, found = np.arange(members * count).reshape(members, count), 0, []
    for part in _parts(count, size):
        found.append(places[:, begin : begin + part.rows].ravel())
        begin += part.rows
    return np.concatenate(found)
