"""The ink of a page as pieces that hang together, and what a piece looks like alone."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from PIL import Image
from scipy import ndimage

from ..errors import LettergpuError
from .filters import SPECK, filled, grown, half_way, labelled, varied
from .ink import EMPTY, Ink
from .normalise import to_emnist

EDGE = 2  # pixels: around a letter its ink ends softly
MOST = 4000  # pieces on a page: of more, which are noise, the largest
LAYERS = 4.0  # pages that the boxes of all pieces cover: of more, which are patterns, the smaller
TILT = 25  # degrees at most that lines are turned back by
Box = tuple[float, float, float, float]


@dataclass
class Piece:
    """Ink of a letter or of a part of one: the components `labels`, and the box around them.

    cut: how many strokes were cut through at its left edge. whole: the width of what it was cut from, in pixels.
    """

    labels: tuple[int, ...]
    left: int
    top: int
    right: int
    bottom: int
    cut: float = 0.0
    whole: int = 0

    @property
    def height(self) -> int:
        return self.bottom - self.top

    @property
    def width(self) -> int:
        return self.right - self.left

    @property
    def box(self) -> tuple[slice, slice]:
        """Its rows and columns."""
        return slice(self.top, self.bottom), slice(self.left, self.right)


@dataclass(frozen=True)
class Glyph:
    """A letter found. image: as EMNIST would hold it, uint8 (28, 28). box: left, top, right, bottom in the page.

    named: the probabilities of its names (classes,), where a network was asked. name: what it is as a part of a word.
    """

    image: np.ndarray
    box: Box
    named: np.ndarray | None = None
    name: str = ""

    @classmethod
    def whole(cls, image: np.ndarray, shape: tuple[int, ...]) -> "Glyph":
        """A page of this height and width as one letter, with its image."""
        return cls(image, (0.0, 0.0, float(shape[1]), float(shape[0])))

    def box_in(self, shape: tuple[int, ...], size: tuple[int, ...]) -> tuple[int, int, int, int]:
        """Its box in the original, inside it, not empty. shape: height and width of the page; size: width, height."""
        wide, high = size
        across, down = wide / shape[1], high / shape[0]
        left, top, right, bottom = self.box
        left, top = min(max(int(left * across), 0), wide - 1), min(max(int(top * down), 0), high - 1)
        return left, top, min(max(round(right * across), left + 1), wide), min(max(round(bottom * down), top + 1), high)


@dataclass
class Sheet:
    """The ink of a page, turned so that its lines are level.

    share, labels: (height, width), ink and the number of the component of each pixel, 0 for none. back: 2x3, from
    these pixels (x, y, 1) to the page's. pieces: its components, but for specks. last: the highest number of one.
    """

    share: np.ndarray
    labels: np.ndarray
    stroke: float
    back: np.ndarray
    pieces: list[Piece]
    last: int

    def crop(self, piece: Piece) -> np.ndarray:
        """The ink of this piece alone, float32 (height, width)."""
        around = _around(piece)
        labels = self.labels[around]
        is_own = np.zeros(self.last + 1, bool)
        is_own[list(piece.labels)] = True
        own = is_own.take(labels)
        # what is no component's is the soft edge of one, if it is beside it
        own |= (labels == 0) & grown(own, EDGE)
        return self.share[around] * own

    def dotted(self, piece: Piece) -> bool:
        """Whether this was a ring; it is a dot now, of what is inside it."""
        own = np.isin(self.labels[piece.box], piece.labels)
        inside = filled(own) & ~own
        if inside.sum() <= self.stroke**2 / 2:
            return False
        if not self.share.flags.writeable:
            self.share = self.share.copy()
        labels = self.labels[piece.box]
        free = own | (labels == 0)
        self.share[piece.box][free] = inside[free]
        labels[free] = inside[free] * piece.labels[0]
        return True

    def widened(self, line: Sequence[Piece], by: float) -> "tuple[Sheet, list[Piece]]":
        """The part of the sheet that holds these pieces, so many times as wide, and these pieces in it."""
        around = _around(joined(line))
        top, left = around[0].start, around[1].start
        share, labels = self.share[around], self.labels[around].copy()
        if by != 1.0:
            image = Image.fromarray(share)
            wide = round(by * image.width)
            share = np.asarray(image.resize((wide, image.height), Image.Resampling.BICUBIC)).clip(0.0, 1.0)
            labels = labels[:, ((np.arange(wide) + 0.5) * image.width / wide).astype(int)]
            share = np.where(labels > 0, np.maximum(share, 0.5), share)  # what was ink stays ink, however thin
        back = self.back @ [[1.0 / by, 0.0, left], [0.0, 1.0, top], [0.0, 0.0, 1.0]]
        pieces = [
            replace(piece, left=round(by * (piece.left - left)), right=round(by * (piece.right - left)),
                    top=piece.top - top, bottom=piece.bottom - top)
            for piece in line
        ]  # fmt: skip
        return Sheet(share, labels, self.stroke * by**0.5, back, pieces, self.last), pieces

    def glyph(self, piece: Piece, image: np.ndarray | None = None, *known: Any) -> Glyph:
        """The piece as a letter, with its box in the page. image: as EMNIST would hold it, where that is known."""
        corners = np.array([(x, y, 1.0) for x in (piece.left, piece.right) for y in (piece.top, piece.bottom)])
        points = corners @ self.back.T
        (left, top), (right, bottom) = points.min(axis=0), points.max(axis=0)
        image = to_emnist(self.crop(piece), self.stroke) if image is None else image
        return Glyph(image, (left, top, right, bottom), *known)


def _around(piece: Piece) -> tuple[slice, slice]:
    """The rows and columns of a piece and its soft edge."""
    rows = slice(max(0, piece.top - EDGE), piece.bottom + EDGE)
    return rows, slice(max(0, piece.left - EDGE), piece.right + EDGE)


def level_sheet(ink: Ink, tilt: float = 0.0, apart: int = 0) -> Sheet:
    """The page turned by `tilt` degrees counter-clockwise, with its components; specks are no pieces.

    apart: ink that is no more than twice as many pixels from other ink hangs together with it.
    """
    share, back = ink.share.view(), np.array([[1.0, 0.0, 0.0], [0.0, 1.0, 0.0]])
    share.flags.writeable = False  # it is the page's
    if tilt:
        image = Image.fromarray(share)
        turned = image.rotate(tilt, Image.Resampling.BILINEAR, expand=True)
        angle = np.radians(tilt)
        linear = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
        centre, new = np.array(image.size) / 2, np.array(turned.size) / 2
        share, back = np.asarray(turned), np.column_stack([linear, centre - linear @ new])
    mask = share >= 0.5
    box = varied(mask, 2 + apart)
    labels = np.zeros(mask.shape, np.int32)
    labels[box], count = labelled(grown(mask[box], apart))
    if apart:
        labels *= mask
    areas = np.bincount(labels[mask])  # but for the paper's: it is most of a page, and nobody asks for it
    speck = max(SPECK * ink.stroke**2, np.sort(areas[1:])[-MOST] if len(areas) > MOST else 0)
    pieces = []
    for number, (rows, columns) in enumerate(ndimage.find_objects(labels), 1):
        if areas[number] > speck:
            pieces.append(Piece((number,), columns.start, rows.start, columns.stop, rows.stop))
    if not pieces:
        raise LettergpuError(EMPTY)
    boxes = np.array([piece.height * piece.width for piece in pieces])
    largest = (ranked := np.sort(boxes))[np.cumsum(ranked) <= LAYERS * share.size][-1]
    pieces = [piece for piece, box in zip(pieces, boxes, strict=True) if box <= largest]
    return Sheet(share, labels, ink.stroke, back * ink.scale, pieces, count)


def letter_height(pieces: Sequence[Piece], shape: tuple[int, ...]) -> float:
    """The height of a letter in this writing: the median, half-way by ink, of those that the edge does not cut."""
    inner = [piece for piece in pieces if not at_edge(piece, shape)] or list(pieces)
    return half_way(np.array([piece.height for piece in inner]))


def tilt_of(pieces: Sequence[Piece], height: float) -> float:
    """Degrees by which the lines fall to the right: those for which their rows of ink stand out most."""
    pieces = [p for p in pieces if 0.4 * height < p.height < 2.5 * height]
    if len(pieces) < 3 or max(p.right for p in pieces) - min(p.left for p in pieces) < 3.0 * height:
        return 0.0
    middles = np.array([((p.left + p.right) / 2, p.top, p.bottom) for p in pieces])
    unit = height / 24.0

    def sharpness(degrees: float) -> float:
        slope = np.tan(np.radians(degrees))
        edges = np.round((middles[:, 1:] - slope * middles[:, :1]) / unit).astype(int)
        edges -= edges.min()
        count = edges.max() + 1
        steps = np.bincount(edges[:, 0], minlength=count) - np.bincount(edges[:, 1], minlength=count)
        return float((np.cumsum(steps).astype(float) ** 2).sum()) * (1.0 - 0.002 * abs(degrees))

    angles = np.arange(-2 * TILT, 2 * TILT + 1) / 2
    best = max(angles, key=sharpness)
    return float(best) if abs(best) >= 1.0 else 0.0


def joined(pieces: Sequence[Piece]) -> Piece:
    """All of these as one piece, cut where the first one is."""
    return Piece(
        tuple({label for piece in pieces for label in piece.labels}),
        min(piece.left for piece in pieces),
        min(piece.top for piece in pieces),
        max(piece.right for piece in pieces),
        max(piece.bottom for piece in pieces),
        pieces[0].cut,
        pieces[0].whole,
    )


def at_edge(piece: Piece, shape: tuple[int, ...]) -> bool:
    """Whether a piece touches the edge of a page of this shape (height, width), which may have cut it."""
    return piece.left == 0 or piece.top == 0 or piece.right == shape[1] or piece.bottom == shape[0]


def stacked(one: Piece, other: Piece) -> bool:
    """Whether one is above the other, as the dot of an i, or inside it, so that both are of one letter."""
    across = min(one.right, other.right) - max(one.left, other.left)
    down = min(one.bottom, other.bottom) - max(one.top, other.top)
    narrow, low = min(one.width, other.width), min(one.height, other.height)
    return (across > 0.5 * narrow and down < 0.5 * low) or (across > 0.8 * narrow and down > 0.8 * low)
