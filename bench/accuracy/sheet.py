"""Letters side by side, flat, before they are photographed; and where on them a picture looks."""

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from glyphs import Glyph
from levels import Range
from scipy import ndimage


@dataclass
class Sheet:
    """ink: opacity (h, w). owner: which letter a pixel is of, from 1; 0: none. rows: as a Picture's.

    baseline: of the first line; leading: from a line to the next, 0 where there is one only; both in pixels.
    """

    ink: np.ndarray
    owner: np.ndarray
    rows: list[int]
    baseline: float
    leading: float


class View(NamedTuple):
    """x, y: of a picture's pixels, float32 (h, w). u, v: where on the sheet they look, in the sheet's pixels, likewise.

    height: of a letter, in pixels of either.
    """

    x: np.ndarray
    y: np.ndarray
    u: np.ndarray
    v: np.ndarray
    height: float


def set_lines(
    text: str, height: float, gaps: Range, draw: Callable[[str], Glyph], leading: float, rng: np.random.Generator
) -> Sheet:
    """Set text on a sheet. gaps: between letters' ink, in pixels. draw: a letter. leading: as Sheet's."""
    placed: list[tuple[np.ndarray, int, int]] = []
    rows = []
    reach = math.ceil(2.2 * height)
    for number, line in enumerate(text.split("\n")):
        edge = np.full(3 * reach, -np.inf)  # how far right this line's ink reaches, by row; its baseline: 2 * reach
        right, space = 0.0, 0.0
        for character in line:
            if character == " ":
                space = height * rng.uniform(0.6, 0.9)
                continue
            ink, below, row = draw(character)
            rise = 2 * reach + below - len(ink)
            gap = rng.uniform(*gaps)
            dark = ink > 0.4
            left = np.where(dark.any(axis=1), dark.argmax(axis=1), np.inf)
            # ink above and below counts as well, else letters touch at a slant
            near = ndimage.maximum_filter1d(edge, 2 * max(1, round(gap)) + 1)[rise : rise + len(ink)]
            x = np.max(near - left) + 1 + gap if right else 0.0
            x = round(max(x, right - 0.12 * height, right + space if space else -np.inf))
            reached = np.where(dark.any(axis=1), ink.shape[1] - 1 - dark[:, ::-1].argmax(axis=1), -np.inf) + x
            edge[rise : rise + len(ink)] = np.maximum(edge[rise : rise + len(ink)], reached)
            placed.append((ink, x, rise + round(number * leading)))
            rows.append(row)
            right, space = max(right, x + ink.shape[1]), 0.0
    first = min(x for _, x, _ in placed), min(y for _, _, y in placed)
    shape = (max(y + len(i) for i, _, y in placed) - first[1], max(x + i.shape[1] for i, x, _ in placed) - first[0])
    sheet, owner = np.zeros(shape, np.float32), np.zeros(shape, np.int16)
    for number, (ink, x, y) in enumerate(placed, 1):
        there = np.s_[y - first[1] : y - first[1] + len(ink), x - first[0] : x - first[0] + ink.shape[1]]
        sheet[there] = np.maximum(sheet[there], ink)
        owner[there][ink > 0.4] = number
    return Sheet(sheet, owner, rows, 2 * reach - first[1], leading)


def stacked(upper: Sheet, lower: Sheet, gap: int) -> Sheet:
    """A sheet above another, `gap` pixels apart, both from the left; the baseline is the lower one's."""
    start = len(upper.ink) + gap
    shape = (start + len(lower.ink), max(upper.ink.shape[1], lower.ink.shape[1]))
    ink, owner = np.zeros(shape, np.float32), np.zeros(shape, np.int16)
    for sheet, y, before in ((upper, 0, 0), (lower, start, len(upper.rows))):
        there = np.s_[y : y + len(sheet.ink), : sheet.ink.shape[1]]
        ink[there] = sheet.ink
        owner[there] = np.where(sheet.owner, sheet.owner + before, 0)
    return Sheet(ink, owner, [*upper.rows, *lower.rows], start + lower.baseline, lower.leading)
