"""Which ink of a page belongs to which letter, and the letters in reading order: lines, words, letters.

Strokes that hang together are fragments; fragments above each other are one letter (the dot of an i). Whether two that
stand side by side are one broken letter, or a wide one is two that touch, nobody can say by their shapes alone: the
network judges each possible letter, and of all ways to cut a line the likeliest one is taken.
"""

from collections.abc import Callable, Sequence
from dataclasses import replace
from itertools import pairwise
from typing import NamedTuple

import numpy as np
from scipy import ndimage
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components

from ..errors import LettergpuError
from .ink import EMPTY, Ink
from .normalise import to_emnist
from .sheet import Glyph, Piece, Sheet, at_edge, joined, level_sheet

TILT = 12  # degrees at most that lines are turned back by
CRUMB = 0.35  # of a letter's height: what is smaller is a dot or a part of a broken stroke, never a letter
MERGE = 1.0  # what it costs, in log probability, to take two strokes that stand apart for one letter
CUT = 0.8  # and to cut through a stroke's width of ink
EACH = 0.1  # and every letter, so that fewer are the likelier
GAP = 5.0  # heights of a letter: what is farther apart is not of one line
TOGETHER = 4  # fragments of a letter at most
JOINED = 2.5  # heights of a letter: ink as wide as this that hangs together is of several
Judge = Callable[[np.ndarray], np.ndarray]


class Found(NamedTuple):
    """What is on a page: lines of words of letters, and how much of all their width hangs together over several."""

    lines: list[list[list[Glyph]]]
    joined: float


def single_letter(ink: Ink) -> Glyph:
    """All ink of a page, but for specks, as one letter."""
    sheet = level_sheet(ink)
    big = max(piece.height + piece.width for piece in sheet.pieces)
    kept = [piece for piece in sheet.pieces if piece.height + piece.width > 0.15 * big]
    inner = [piece for piece in kept if not at_edge(piece, sheet.share.shape)]
    return sheet.glyph(joined(inner or kept))


def find_letters(ink: Ink, judge: Judge) -> Found:
    """The letters of a page. judge: probabilities (n, classes) of images (n, 28, 28).

    Raises LettergpuError where there is none.
    """
    sheet = level_sheet(ink)
    height = _letter_height(sheet.pieces, sheet.share.shape)
    kept = _cleaned(sheet, height)
    if tilt := _tilt(kept, height):
        labels = [label for piece in kept for label in piece.labels]
        share = np.where(np.isin(sheet.labels, labels) | (sheet.labels == 0), ink.share, 0.0)
        sheet = level_sheet(replace(ink, share=share), tilt)
        kept = sheet.pieces
        height = _letter_height(kept, sheet.share.shape)
    lines = [_whole(line, height) for line in _lines(kept, height)]
    widths = np.array([piece.width for line in lines for piece in line])
    found = []
    for line in lines:
        fragments = [part for piece in line for part in _cuts(sheet, piece, height)]
        letters = _letters(sheet, fragments, height, judge)
        found.append([[sheet.glyph(piece) for piece in word] for word in _words(letters, height)])
    if not found:
        raise LettergpuError(EMPTY)
    return Found(found, float(widths[widths > JOINED * height].sum() / widths.sum()))


def _letter_height(pieces: Sequence[Piece], shape: tuple[int, ...]) -> float:
    """The height of a letter in this writing: the median, half-way by ink, of those that the edge does not cut."""
    inner = [piece for piece in pieces if not at_edge(piece, shape)] or list(pieces)
    heights = np.sort([piece.height for piece in inner])
    total = np.cumsum(heights)
    return float(heights[np.searchsorted(total, total[-1] / 2)])


def _tilt(pieces: Sequence[Piece], height: float) -> float:
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


def _cleaned(sheet: Sheet, height: float) -> list[Piece]:
    """The pieces without rules, shadows and specks."""
    kept = []
    for piece in sheet.pieces:
        long, short = max(piece.width, piece.height), min(piece.width, piece.height)
        ruled = piece.width > 3.0 * height and piece.height < 0.35 * height
        outside = at_edge(piece, sheet.share.shape) and (long > 3.0 * height or short < 0.3 * height)
        if not (ruled or outside or piece.height > 3.0 * height or long < 0.1 * height):
            kept.append(piece)
    return kept or sheet.pieces


def _lines(pieces: list[Piece], height: float) -> list[list[Piece]]:
    """Pieces that stand beside each other, line by line from the top, each from the left.

    Two pieces are of a line if they overlap in height and no more than GAP letters' heights lie between them; small
    ones (dots, broken strokes) belong to the nearest line.
    """
    tall = [piece for piece in pieces if piece.height > 0.45 * height]
    small = [piece for piece in pieces if piece.height <= 0.45 * height]
    if not tall:
        tall, small = small, []
    top, bottom, left, right = np.array([(p.top, p.bottom, p.left, p.right) for p in tall]).T
    shared = np.minimum(bottom[:, None], bottom) - np.maximum(top[:, None], top)
    apart = np.maximum(left[:, None], left) - np.minimum(right[:, None], right)
    least = np.minimum((bottom - top)[:, None], bottom - top)
    _, group = connected_components(coo_array((shared > 0.4 * least) & (apart < GAP * height)))
    lines: dict[int, list[Piece]] = {}
    for piece, number in zip(tall, group, strict=True):
        lines.setdefault(int(number), []).append(piece)
    for piece in small:
        nearest, distance = min(
            ((number, min(_distance(piece, other) for other in line)) for number, line in lines.items()),
            key=lambda pair: pair[1],
        )
        if distance < 0.7 * height:
            lines[nearest].append(piece)
    ordered = sorted(lines.values(), key=lambda line: float(np.median([(p.top + p.bottom) / 2 for p in line])))
    return [sorted(line, key=lambda p: p.left) for line in ordered]


def _distance(one: Piece, other: Piece) -> float:
    across = max(one.left, other.left) - min(one.right, other.right)
    down = max(one.top, other.top) - min(one.bottom, other.bottom)
    return float(np.hypot(max(across, 0), max(down, 0)))


def _whole(line: list[Piece], height: float) -> list[Piece]:
    """A line's pieces from the left, those above each other joined, dots to what they belong to."""
    whole = [piece for piece in line if max(piece.height, piece.width) > CRUMB * height]
    crumbs = [piece for piece in line if max(piece.height, piece.width) <= CRUMB * height]
    if not whole:
        whole, crumbs = crumbs, []
    for crumb in crumbs:
        distances = [_distance(piece, crumb) for piece in whole]
        nearest = distances.index(min(distances))
        if distances[nearest] < 0.5 * height:
            whole[nearest] = joined([whole[nearest], crumb])
    parts: list[Piece] = []
    for piece in sorted(whole, key=lambda piece: piece.left):
        for other in parts[-3:]:
            if _stacked(other, piece):
                parts.remove(other)
                piece = joined([other, piece])
        parts.append(piece)
    return parts


def _stacked(one: Piece, other: Piece) -> bool:
    """Whether one is above the other, as the dot of an i, or inside it, so that both are of one letter."""
    across = min(one.right, other.right) - max(one.left, other.left)
    down = min(one.bottom, other.bottom) - max(one.top, other.top)
    narrow, low = min(one.width, other.width), min(one.height, other.height)
    return (across > 0.5 * narrow and down < 0.5 * low) or (across > 0.8 * narrow and down > 0.8 * low)


def _cuts(sheet: Sheet, piece: Piece, height: float) -> list[Piece]:
    """A piece wider than most letters, cut at the columns with least ink."""
    if piece.width < 1.25 * height:
        return [piece]
    own = np.isin(sheet.labels[piece.top : piece.bottom, piece.left : piece.right], piece.labels)
    ink = own.sum(axis=0) / sheet.stroke
    reach = max(2, int(0.25 * height))
    smooth = ndimage.uniform_filter1d(ink, 3)
    lowest = ndimage.minimum_filter1d(smooth, 2 * reach + 1)
    places = [
        int(x)
        for x in np.flatnonzero((smooth <= lowest) & (smooth < 2.2))
        if 0.2 * height < x < piece.width - 0.2 * height
    ]
    places = [x for i, x in enumerate(places) if i == 0 or x - places[i - 1] > 0.15 * height]
    parts = []
    for start, stop in pairwise([0, *places, piece.width]):
        rows = np.flatnonzero(own[:, start:stop].any(axis=1))
        if len(rows):
            columns = piece.left + start, piece.left + stop
            cut = float(ink[start]) if start else 0.0
            inside = np.unique(sheet.labels[piece.top : piece.bottom, columns[0] : columns[1]])
            labels = tuple(label for label in piece.labels if label in inside)
            parts.append(Piece(labels, columns[0], piece.top + rows[0], columns[1], piece.top + rows[-1] + 1, cut))
    return parts


def _letters(sheet: Sheet, fragments: list[Piece], height: float, judge: Judge) -> list[Piece]:
    """The likeliest way to make letters of the fragments of a line."""
    count = len(fragments)
    # beside others a letter this wide is two that touch; alone it is likelier an M
    widest = (2.4 if all(part.cut for part in fragments[1:]) else 1.6) * height
    spans, pieces = [], []
    for start in range(count):
        for stop in range(start + 1, min(start + TOGETHER, count) + 1):
            piece = joined(fragments[start:stop])
            gaps = [b.left - a.right for a, b in pairwise(fragments[start:stop])]
            seams = [gap for gap, part in zip(gaps, fragments[start + 1 : stop], strict=True) if not part.cut]
            if stop > start + 1 and (piece.width > widest or max(gaps) > 0.2 * height):
                break
            apart = sum(MERGE + 2.0 * max(gap, 0) / height for gap in seams)
            spans.append((start, stop, apart))
            pieces.append(piece)
    if len(pieces) == count:
        return fragments
    surest = judge(np.stack([to_emnist(sheet.crop(piece), sheet.stroke) for piece in pieces])).max(axis=1)
    surest = np.maximum(surest, 1e-6)  # separate sigmoids may all be 0
    best: list[tuple[float, int, int]] = [(0.0, -1, -1)] + [(np.inf, -1, -1)] * count
    for number, (start, stop, apart) in enumerate(spans):
        cost = best[start][0] - np.log(surest[number]) * (stop - start) + apart
        cost += CUT * fragments[start].cut + EACH
        if cost < best[stop][0]:
            best[stop] = (cost, start, number)
    chosen, stop = [], count
    while stop:
        _, stop, number = best[stop]
        chosen.append(pieces[number])
    return chosen[::-1]


def _words(letters: list[Piece], height: float) -> list[list[Piece]]:
    """Letters of a line, parted where the gap is wide, for this writing and beside the other gaps."""
    gaps = np.array([max(0, b.left - a.right) for a, b in pairwise(letters)])
    wide = max(0.6 * height, 2.0 * float(np.median(gaps))) if len(gaps) else 0.0
    words = [letters[:1]]
    for gap, letter in zip(gaps, letters[1:], strict=True):
        if gap > wide:
            words.append([])
        words[-1].append(letter)
    return words
