"""One epoch's way through the training set: rows of a permutation, gathered, made float, augmented."""

from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

import numpy as np
from array_api_compat import array_namespace, device

from ..backends.device import CPU, Device
from ..backends.dispatch import dispatched
from ..backends.ranks import ALONE, Ranks
from ..config import Config
from ..data.idx import Images, Mapped
from ..data.letters import Examples
from ..nn.draws import shuffled, stream
from ..nn.pixels import assemble
from ..nn.warps import composed, moment_frames
from .distortions import draw_maps

PIECE = 8192  # rows held as floats at once: a larger batch goes through the network in pieces
STRETCH = 131_072  # rows whose maps are drawn at once, and that are read ahead of a file


class Part(NamedTuple):
    """What a piece is of its batch of `batch` rows: `whole` of them. Pieces alike are equal.

    rows: how many of them are this process's, after the `before` that it has of the batch's earlier pieces. first,
    last: whether the batch begins or ends with it.
    """

    before: int
    rows: int
    whole: int
    batch: int
    first: bool
    last: bool


class Stretch(NamedTuple):
    """What of an epoch is drawn at once: batches, or a part of one. rows, steps: which of one network's."""

    parts: list[Part]
    rows: slice
    steps: slice


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
    `streamed`: the order comes back, and each piece's images are sent while it computes. An epoch is drawn stretch by
    stretch, as all of its maps may take more room than the letters; of images that stay in their file those of a
    stretch are read then, in the order of the file, and go to the device.
    frames: the `moment_frames` of all letters, or None. parts: the pieces of every epoch. count: of the rows of all its
    networks. number: (1,) int64, on the device, how many batches of the stretch are done: who trains on one adds 1.
    ranks: the processes, each of which draws and gathers its share of every piece, and nothing of the others'.
    """

    def __init__(
        self, letters: Examples, rows: np.ndarray, config: Config, device: Device, dtype: Any, ranks: Ranks = ALONE
    ):
        self.config, self.device, self.dtype = config, device, dtype
        xp, count = device.namespace, len(rows)
        size = config.batch_size or count
        self._stretches = list(_stretches(count, size, STRETCH // config.ensemble, ranks))
        self.parts = [part for stretch in self._stretches for part in stretch.parts]
        self._begins = {part: parts[0].before for parts, _, _ in self._stretches for part in parts}
        end = next(part for part in self.parts if part.last)
        self.size = end.before + end.rows  # of this process's share of a batch of one network, but for the last one
        self.steps = sum(part.last for part in self.parts)
        self.count = config.ensemble * count
        self.images = device.put_if_it_fits(letters.flat)
        self.labels = device.put(letters.labels)
        self.weights = placed(letters.weights, device, dtype)
        self.streamed = isinstance(self.images, np.ndarray) and xp is not CPU.namespace
        self._file = self.images if isinstance(self.images, Mapped) else None
        if self._file is not None:
            longest = max(stretch.rows.stop - stretch.rows.start for stretch in self._stretches)
            shape = (config.ensemble * longest, self._file.shape[1])
            self.images = xp.empty(shape, dtype=xp.uint8, device=device.handle)
        self.number = xp.zeros(1, dtype=xp.int64, device=device.handle)
        whole = self.parts[0].batch == count
        # the order of a whole is of no consequence but for the way through memory
        self.rows, self._shuffled = device.put(np.sort(rows) if whole else rows), config.shuffle and not whole
        self.frames = device.put(_frames(letters.images)) if config.moment_norm else None
        own = [np.arange(begin, begin + part.rows) for begin, part in _parts(count, size, ranks)]
        self._own = device.put(np.concatenate(own)) if ranks.size > 1 else None
        self._places: dict[int, Any] = {}  # by the rows of a stretch
        if config.ensemble > 1:
            lengths = {sum(part.rows for part in parts): parts for parts, _, _ in self._stretches}
            self._places = {rows: device.put(_in_parts(config.ensemble, parts)) for rows, parts in lengths.items()}
        # a stretch's order, labels, rates and maps, and of a file where the images are; always the same arrays
        self._drawn: tuple[Any, ...] = ()

    def draw(self, epoch: int, rates: Any) -> None:
        """Draw the order of an epoch, and what its first stretch takes; the first epoch is 1.

        rates: (steps,), the learning rates of its batches, on the device.
        """
        self.device.use()
        self._orders = [self._order_of(seed, epoch) for seed in self.config.seeds]
        self._draw_stretch(self._stretches[0], epoch, rates)

    def stretches(self, epoch: int, rates: Any) -> Iterator[list[Part]]:
        """Draw an epoch; the parts of it whose pieces are to be had, again and again, until it has ended."""
        self.draw(epoch, rates)
        yield self._stretches[0].parts
        for stretch in self._stretches[1:]:
            self._draw_stretch(stretch, epoch, rates)
            yield stretch.parts

    def _draw_stretch(self, stretch: Stretch, epoch: int, rates: Any) -> None:
        xp, seeds = self.device.namespace, self.config.seeds
        orders = [order[stretch.rows] for order in self._orders]
        maps = [self._maps_of(order, seed, epoch) for order, seed in zip(orders, seeds, strict=True)]
        order, moves = xp.concat(orders), maps[0]
        if self._places:
            places = self._places[orders[0].shape[0]]
            order = xp.take(order, places)
            moves = xp.take(xp.concat(maps), places, axis=0) if moves.shape[0] else moves
        drawn = [order, xp.take(self.labels, order), xp.asarray(rates[stretch.steps], copy=True), moves]
        if self._file is not None:
            drawn.append(self._read(self._file, stretch, order))
        for kept, new in zip(self._drawn, drawn, strict=False):
            kept[: new.shape[0], ...] = new
        self._drawn = self._drawn or tuple(drawn)
        self.number[...] = 0
        if self.streamed:
            self._sent, self._order_here = 0, self.device.fetch(order)

    def _read(self, file: Mapped, stretch: Stretch, order: Any) -> Any:
        """Take the images of these rows from their file; where each is now. The next stretch's are read meanwhile."""
        fetch, xp = self.device.fetch, self.device.namespace
        rows, places = np.unique(fetch(order), return_inverse=True)
        if stretch.rows.start == 0:
            file.expect(rows)
        ahead = slice(stretch.rows.stop, min(stretch.rows.stop + STRETCH, self.rows.shape[0]))
        for begin in range(0, len(rows), PIECE):
            some = self.device.put(file[rows[begin : begin + PIECE]])
            self.images[begin : begin + some.shape[0], ...] = some
        file.expect(np.concatenate([fetch(order[ahead]) for order in self._orders]))
        return xp.reshape(self.device.put(places.astype(np.int64)), (-1,))

    def _order_of(self, seed: int, epoch: int) -> Any:
        """This process's rows in one network's order of an epoch."""
        order = shuffled(self.rows, stream(seed, "order", epoch)) if self._shuffled else self.rows
        return order if self._own is None else self.device.namespace.take(order, self._own)

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
        """That part of the batch whose number is reached, in the stretch that was drawn last."""
        xp, members = self.device.namespace, self.config.ensemble
        rows = Window(members * self.size, members * (part.before - self._begins[part]), members * part.rows)
        places = [rows, rows, Window(1, 0, 1), rows if self._drawn[3].shape[0] else Window(0, 0, 0), rows]
        order, labels, rate, maps, *here = windows(self.number, self._drawn, places[: len(self._drawn)])
        weights = None if self.weights is None else xp.take(self.weights, order)
        source = self.images
        if self.streamed:
            source = self.device.put(self.images[self._order_here[self._sent :][: rows.rows]])
            self._sent += rows.rows
            order = xp.arange(rows.rows, device=self.device.handle)
        x = assemble(source, here[0] if here else order, maps, self.dtype)
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


@dispatched
def count_batch(number: Any) -> None:
    """One batch more, (1,) int64."""
    number += 1


def placed(weights: np.ndarray | None, device: Device, dtype: Any) -> Any:
    """Weights of the host (n,), on the device in this dtype; None as it is."""
    return None if weights is None else device.namespace.astype(device.put(weights), dtype)


def _frames(images: Images) -> np.ndarray:
    """The maps of `moment_frames` of images of any number, (n, 2, 3)."""
    frames = np.empty((len(images), 2, 3), np.float32)
    for start in range(0, len(images), PIECE):  # all at once, they would take four times their room
        frames[start : start + PIECE] = moment_frames(images[start : start + PIECE], np.float32)
    return frames


def _stretches(count: int, size: int, most: int, ranks: Ranks) -> Iterator[Stretch]:
    """Batches of `size` rows, as many as have at most `most` rows, or the pieces of a larger one likewise."""
    several, each = max(1, most // size), max(1, most // PIECE)  # batches, or pieces of one, at a time
    taken = 0  # of this process's rows
    for begin in range(0, count, several * size):
        parts = [part for _, part in _parts(min(several * size, count - begin), size, ranks)]
        step = begin // size
        pieces = len(parts) if size <= most else each
        for first in range(0, len(parts), pieces):
            some = parts[first : first + pieces]
            end = taken + sum(part.rows for part in some)
            yield Stretch(some, slice(taken, end), slice(step, step + max(1, sum(part.last for part in some))))
            taken = end


def _parts(count: int, size: int, ranks: Ranks) -> Iterator[tuple[int, Part]]:
    """Each piece of each batch of `size` rows, and where in an epoch's order this process's rows of it begin."""
    for begin in range(0, count, size):
        batch, before = min(size, count - begin), 0
        for start in range(0, batch, PIECE):
            whole = min(PIECE, batch - start)
            first, end = ranks.share(whole)
            part = Part(before, end - first, whole, batch, first=start == 0, last=start + whole == batch)
            yield begin + start + first, part
            before += part.rows


def _in_parts(members: int, parts: Sequence[Part]) -> np.ndarray:
    """The places (members * rows,) of `members` rows of numbers one after another, as these parts take them.

    What each member has of the first part, member by member, then of the second, and so on.
    """
    count = sum(part.rows for part in parts)
    places, begin, found = np.arange(members * count).reshape(members, count), 0, []
    for part in parts:
        found.append(places[:, begin : begin + part.rows].ravel())
        begin += part.rows
    return np.concatenate(found)
