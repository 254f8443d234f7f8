"""Where ink that hangs together may be cut into letters: along seams from top to bottom that cross little of it.

A seam bends around strokes, so that slanted letters and such as lean over each other are parted, too (seam carving:
Avidan and Shamir 2007, "Seam carving for content-aware image resizing"). Too many are cut; whoever reads joins again.
"""

from itertools import pairwise

import numpy as np
from scipy import ndimage

from .sheet import Piece, Sheet

NARROW = 0.6  # of a letter's height: ink narrower than this is not cut
DEEPEST = 2.6  # strokes that are cut through at most
REACH = 0.12  # of a letter's height: of seams so near to each other the shallowest; a fragment is as wide at least
BEND = 0.25  # pixels of ink that a seam crosses rather than turn aside by one


def fragments_of(sheet: Sheet, piece: Piece, height: float) -> list[Piece]:
    """The piece in fragments from the left, each of which gets a number of its own in the sheet's labels.

    height: of a letter, in pixels.
    """
    if piece.width < NARROW * height:
        return [piece]
    labels = sheet.labels[piece.box]
    own = np.isin(labels, piece.labels)
    seams, depths = _seams(own, height, sheet.stroke)
    if not seams:
        return [piece]
    part = (np.arange(piece.width) >= np.stack(seams)[..., None]).sum(axis=0)
    first = sheet.last + 1
    sheet.last += len(seams) + 1
    labels[own] = first + part[own]
    fragments = []
    for number, found in enumerate(ndimage.find_objects(np.where(own, part + 1, 0))):
        if found is not None:  # seams that run into each other leave nothing between them
            top, left = piece.top + found[0].start, piece.left + found[1].start
            bottom, right = piece.top + found[0].stop, piece.left + found[1].stop
            cut = depths[number - 1] if number else 0.0
            fragments.append(Piece((first + number,), left, top, right, bottom, cut, piece.width))
    return fragments


def _seams(own: np.ndarray, height: float, stroke: float) -> tuple[list[np.ndarray], list[float]]:
    """From the left, the column of each seam in each row of this ink, and how many strokes it crosses."""
    ink = own.astype(np.float32)
    down, up = _least(ink), _least(ink[::-1])[::-1]
    middle, least = len(ink) // 2, REACH * height
    crossed = (down + up - ink)[middle] / stroke
    depth = ndimage.uniform_filter1d(crossed, 3, mode="nearest")
    lowest = ndimage.minimum_filter1d(depth, 2 * max(1, round(least)) + 1, mode="nearest")
    flat, count = ndimage.label((depth <= lowest + 0.05) & (depth < DEEPEST))
    seams, depths, edge = [], [], least
    for number in range(1, count + 1):
        place = int(np.median(np.flatnonzero(flat == number)))
        if edge <= place <= own.shape[1] - least:
            seams.append(_seam(down, up, middle, place))
            depths.append(float(crossed[place]))
            edge = place + least
    return seams, depths


def _least(ink: np.ndarray) -> np.ndarray:
    """The least ink that a way from the first row to each place crosses, with a column aside at most for each row."""
    least = np.pad(ink, ((0, 0), (1, 1)), constant_values=np.inf)
    for before, row in pairwise(least):
        row[1:-1] += np.minimum(before[1:-1], np.minimum(before[:-2], before[2:]) + BEND)
    return least[:, 1:-1]


def _seam(down: np.ndarray, up: np.ndarray, middle: int, place: int) -> np.ndarray:
    """The best way through this place in the middle row: its column in each row."""
    seam = np.full(len(down), place)
    for ways, rows in ((down, range(middle - 1, -1, -1)), (up, range(middle + 1, len(down)))):
        column = place
        for row in rows:
            first = max(0, column - 1)
            near = ways[row, first : column + 2].copy()
            near[np.arange(first, first + len(near)) != column] += BEND
            column = first + int(near.argmin())
            seam[row] = column
    return seam
