"""The order in which a page is read: its columns from the left, in each the lines from the top, and in these the words.

Before that it is parted where letters become far larger or smaller, as below a heading.
Columns are found by cutting the page along its widest white strips (Nagy and Seth 1984, "Hierarchical representation of
optically scanned documents"), but only where text stands on both sides: single letters in rows stand in columns, too.
"""

from collections.abc import Iterator, Sequence
from itertools import pairwise

import numpy as np
from scipy import ndimage
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components

from .filters import SPECK, half_way, labelled, otsu, sizes_of
from .ink import Ink
from .sheet import Piece

GAPS = 5.0, 1.5, 0.75  # heights of a letter: pieces farther apart do not show by themselves that they are of one line;
PILED = 0.15  # of a line's pieces stand above others of it: several bent ones, taken for one by all but the next gap
GUTTER = 2.0  # heights: columns are so far apart at least,
ROWS = 3  # have so many lines, half of them
WIDE = 4.0  # heights wide
WORDS, CLOSEST = 0.6, 0.25  # heights: letters farther apart are of two words, or, if the page's gaps are of two kinds,
FEW, STEP, FEWER = 6, 0.06, 0.3  # so many, with a step between them, in heights, and at most this part of them wide,
MANY, SOME = 16, 0.05  # or many, and some of them wide,
TWO = 4.0, 6.0  # and so many deviations of the narrow ones apart, either way, those
TIMES, SECTIONS = 2.0, 6  # larger or smaller: letters of parts of a page, of which there are so many at most,
ABREAST, SOLID, SLENDER = 2, 0.7, 6.0  # if so many are in a row, mostly no dots, dashes or rules
FAINT, LEFT = 0.2, 3  # of ink, of which so many pieces that are no specks may be letters
HEADINGS, GUTTERS = 3, 12  # lines that stand above columns at most, and gaps between columns that are looked at


def sections_of(ink: Ink) -> list[tuple[int, int]]:
    """The rows of a page's parts, in its pixels, where its letters become so many times as large or as small.

    None where it is all one part. To a heading what stands below it is specks, and the other way about: each is read by
    itself.
    """
    cuts, size, end = [0], 0.0, 0
    for top, bottom, letter in _bands(ink):
        if size and not size / TIMES < letter < size * TIMES:
            cuts.append((end + top) // 2)
            size = 0.0
        size, end = max(size, letter), bottom
    rows = pairwise(round(cut * ink.scale) for cut in (*cuts, len(ink.share)))
    return list(rows) if 2 <= len(cuts) <= SECTIONS else []


def left_over(ink: Ink, letters: np.ndarray) -> list[tuple[int, int]]:
    """The rows of a page, in its pixels, that these of letters, (letters, 2), leave, where some ink stands in them.

    Faint ink, too: writing so much smaller is, seen as coarsely as the other may be, or writing as weak. Where there
    are more than SECTIONS of them it is a pattern, and none is told.
    """
    labels, count = labelled(ink.share >= FAINT)
    large = np.bincount(labels.ravel(), minlength=count + 1)[1:] > SPECK * ink.stroke**2
    ends = np.array([(box[0].start, box[0].stop) for box in ndimage.find_objects(labels)]).reshape(-1, 2)[large]
    used = np.ones(round(len(ink.share) * ink.scale) + 2, bool)
    used[1:-1] = False
    for top, bottom in letters:
        used[1 + max(0, int(top)) : 1 + int(np.ceil(bottom))] = True
    rows = np.flatnonzero(np.diff(used)).reshape(-1, 2)
    inside = (rows[:, None, 0] <= ends[:, 0] * ink.scale) & (ends[:, 1] * ink.scale <= rows[:, None, 1])
    found = rows[inside.sum(axis=1) >= LEFT].tolist()
    return [(top, bottom) for top, bottom in found] if len(found) <= SECTIONS else []


def _bands(ink: Ink) -> Iterator[tuple[int, int, float]]:
    """Between white strips across the page, what may be lines of letters: top, bottom, a letter's height, in pixels."""
    step = -(-max(ink.share.shape) // 1000)  # seen well enough for a letter's height
    labels, count = labelled(ink.mask[::step, ::step])
    boxes = ndimage.find_objects(labels)
    tall, wide = sizes_of(boxes)
    top, left = np.array([[part.start for part in box] for box in boxes]).reshape(-1, 2).T
    bottom, filled = top + tall, np.bincount(labels.ravel(), minlength=count + 1)[1:] / (tall * wide)
    inner = (top > 0) & (left > 0) & (bottom < labels.shape[0]) & (left + wide < labels.shape[1])
    short = (np.maximum(tall, wide) < SLENDER * np.minimum(tall, wide)) & (tall * step > ink.stroke)
    found = np.flatnonzero(inner & short)
    found = found[np.argsort(top[found], kind="stable")]
    ends = np.maximum.accumulate(bottom[found])
    for band in np.split(found, 1 + np.flatnonzero(top[found][1:] > ends[:-1])):
        if len(band) >= ABREAST and np.median(filled[band]) < SOLID:
            yield step * int(top[band[0]]), step * int(bottom[band].max()), step * half_way(tall[band])


def lines_of(pieces: Sequence[Piece], height: float) -> list[list[Piece]]:
    """Lines in reading order, the pieces of each from the left. height: of a letter, in pixels."""
    return [line for column in _columns(list(pieces), height) for line in _rows(column, height)]


def parts_of(pieces: Sequence[Piece], wide: float) -> list[tuple[int, int]]:
    """A line parted at gaps of more pixels than these: the number of each part's first piece, and of the next one's."""
    gaps = [number for number, (a, b) in enumerate(pairwise(pieces), 1) if b.left - a.right > wide]
    return list(pairwise([0, *gaps, len(pieces)]))


def word_gaps(lines: Sequence[Sequence[Piece]], stretch: float) -> list[float]:
    """The pixels by which words are apart at least, in each of these lines of letters, told by the gaps in all of them.

    stretch: how many times as wide as the page has them they are. In print the gaps are of two kinds, however few.
    """
    heights = [stretch * float(np.median([letter.height for letter in line] or [0])) for line in lines]
    gaps = [(b.left - a.right) / high for line, high in zip(lines, heights, strict=True) for a, b in pairwise(line)]
    apart = _apart(np.sort(np.clip(gaps, 0.0, 2.0 * WORDS)))
    return [apart * high for high in heights]


def _apart(gaps: np.ndarray) -> float:
    """The heights by which words are apart at least, told by the gaps between letters, likewise, in their order."""
    if len(gaps) < FEW:
        return WORDS
    steps = 1 + np.flatnonzero((np.diff(gaps) >= STEP) & (gaps[1:] >= CLOSEST))
    for wide in steps[steps >= (1.0 - FEWER) * len(gaps)]:
        if gaps[wide:].mean() - gaps[:wide].mean() >= TWO[0] * max(STEP, gaps[:wide].std()):
            return min(WORDS, float(gaps[wide - 1] + gaps[wide]) / 2)
    wide = np.searchsorted(gaps, otsu(gaps), "right")
    if len(gaps) < MANY or len(gaps) - wide < SOME * len(gaps):
        return WORDS
    narrow, off = gaps[:wide].mean(), gaps[wide:].mean() - gaps[:wide].mean()
    return float(np.clip(narrow + off / 2, CLOSEST, WORDS)) if off >= TWO[1] * gaps[:wide].std() else WORDS


def boxes_of(pieces: Sequence[Piece]) -> np.ndarray:
    """Left, top, right and bottom of each, (4, pieces)."""
    return np.array([(p.left, p.top, p.right, p.bottom) for p in pieces]).reshape(-1, 4).T


def distances(one: np.ndarray, other: np.ndarray) -> np.ndarray:
    """Pixels between boxes as `boxes_of` has them, (4, ...) both, which are broadcast; 0 where they overlap."""
    across = np.maximum(one[0], other[0]) - np.minimum(one[2], other[2])
    down = np.maximum(one[1], other[1]) - np.minimum(one[3], other[3])
    return np.hypot(np.maximum(across, 0), np.maximum(down, 0))


def _columns(pieces: list[Piece], height: float) -> list[list[Piece]]:
    """The page in columns, from the left; what stands above some, as a heading, before them."""
    for above, left, right in _cuts(pieces, height):
        if all(_is_text(column, height) for column in (left, right)):
            parts = [above] if above else []
            return [*parts, *_columns(left, height), *_columns(right, height)]
    return [pieces]


def _cuts(pieces: list[Piece], height: float) -> Iterator[tuple[list[Piece], list[Piece], list[Piece]]]:
    """Ways to part a page in a heading and two columns below it, that without a heading first."""
    for start in [0, *_white([(p.top, p.bottom) for p in pieces], 0.3 * height)[:HEADINGS]]:
        below = [piece for piece in pieces if piece.top >= start]
        for gutter in _white([(p.left, p.right) for p in below], GUTTER * height)[:GUTTERS]:
            left, right = ([p for p in below if (p.left < gutter) == first] for first in (True, False))
            yield [piece for piece in pieces if piece.top < start], left, right


def _white(spans: Sequence[tuple[int, int]], least: float) -> list[int]:
    """Where the gaps between these spans that are as wide as this end."""
    ends, found, reached = sorted(spans), [], min((start for start, _ in spans), default=0)
    for start, stop in ends:
        if start - reached >= least:
            found.append(start)
        reached = max(reached, stop)
    return found


def _is_text(pieces: list[Piece], height: float) -> bool:
    """Whether this is several lines, most of them long, of pieces closer to each other than columns are, in words.

    A word a line makes a column of a table, which is read by its rows.
    """
    rows = _rows(pieces, height)
    lengths = [row[-1].right - row[0].left for row in rows]
    gaps = [b.left - a.right for row in rows for a, b in pairwise(row)]
    several = [len(parts_of(row, gap)) > 1 for row, gap in zip(rows, word_gaps(rows, 1.0), strict=True)]
    long = len(rows) >= ROWS and float(np.median(lengths)) >= WIDE * height and 2 * sum(several) >= len(rows)
    return long and (not gaps or float(np.median(gaps)) < GUTTER / 2 * height)


def _rows(pieces: list[Piece], height: float) -> list[list[Piece]]:
    """Pieces that stand beside each other, line by line from the top, each from the left.

    Small ones (dots, broken strokes) belong to the nearest line.
    """
    tall = [piece for piece in pieces if piece.height > 0.45 * height]
    small = [piece for piece in pieces if piece.height <= 0.45 * height]
    if not tall:
        tall, small = small, []
    boxes = boxes_of(tall)
    for gap in GAPS:
        line = _beside(boxes, 0.4, (-np.inf, gap * height))
        if not _piled(boxes, line):
            break
    extents = [boxes[:, line == number] for number in range(line.max() + 1)]
    rows = np.array([(one[0].min(), np.median(one[1]), one[2].max(), np.median(one[3])) for one in extents]).T
    row = _beside(rows, 0.6, (0, np.inf))[line]
    found: dict[int, list[Piece]] = {}
    for piece, number in zip(tall, row, strict=True):
        found.setdefault(int(number), []).append(piece)
    if small:
        apart = distances(boxes_of(small)[:, :, None], boxes[:, None])  # (small, tall)
        for piece, distance in zip(small, apart, strict=True):
            if distance.min() < 0.7 * height:
                found[int(row[distance.argmin()])].append(piece)
    ordered = sorted(found.values(), key=lambda line: float(np.median([(p.top + p.bottom) / 2 for p in line])))
    return [sorted(line, key=lambda piece: piece.left) for line in ordered]


def _piled(boxes: np.ndarray, line: np.ndarray) -> bool:
    """Whether of these boxes (4, n) many are above others of their lines, so that several were taken for one."""
    order = np.lexsort((boxes[0] + boxes[2], line))
    left, _, right, _ = boxes[:, order]
    shared = np.minimum(right[1:], right[:-1]) - np.maximum(left[1:], left[:-1])
    least = np.minimum((right - left)[1:], (right - left)[:-1])
    above = (shared > 0.5 * least) & (line[order][1:] == line[order][:-1])
    return bool(above.sum() > PILED * len(line))


def _beside(boxes: np.ndarray, share: float, gap: tuple[float, float]) -> np.ndarray:
    """Numbers the lines of these boxes (4, n), of which any two share so much of the lower one's height.

    gap: how many pixels are between two of a line, at least and at most.
    """
    left, top, right, bottom = boxes.astype(np.float32)  # in half the time and memory: thousands by thousands
    shared = np.minimum(bottom[:, None], bottom) - np.maximum(top[:, None], top)
    apart = np.maximum(left[:, None], left) - np.minimum(right[:, None], right)
    least = np.minimum((bottom - top)[:, None], bottom - top)
    return connected_components(coo_array((shared > share * least) & (gap[0] <= apart) & (apart < gap[1])))[1]


def box_back(box: tuple[int, int, int, int], size: tuple[int, ...], quarters: int) -> tuple[int, int, int, int]:
    """A box of a page that was turned so, in the page of this size (width, height) before."""
    left, top, right, bottom = box
    width, height = size
    if quarters == 1:
        return width - bottom, left, width - top, right
    if quarters == 2:
        return width - right, height - bottom, width - left, height - top
    return top, height - right, bottom, height - left
