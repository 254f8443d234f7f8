"""What letters are written on: paper, its rules and specks, and the table that it lies on."""

from typing import NamedTuple

import numpy as np
from levels import Level
from PIL import Image
from scipy import ndimage
from sheet import Sheet, View

INKS = [(0.07, 0.13, 0.5), (0.1, 0.2, 0.65), (0.65, 0.08, 0.12), (0.05, 0.4, 0.2), (0.35, 0.12, 0.45), (0.4, 0.2, 0.1)]
PAPERS = [(0.97, 0.97, 0.96), (0.96, 0.94, 0.89), (0.95, 0.9, 0.75), (0.9, 0.92, 0.95), (0.82, 0.75, 0.63)]
DARK_PAPERS = [(0.13, 0.14, 0.15), (0.1, 0.24, 0.18), (0.12, 0.16, 0.3)]
LINES = [(0.62, 0.75, 0.9), (0.72, 0.76, 0.8), (0.75, 0.68, 0.8), (0.9, 0.65, 0.65)]
TABLES = [(0.45, 0.3, 0.18), (0.6, 0.45, 0.3), (0.25, 0.22, 0.2), (0.4, 0.42, 0.45), (0.8, 0.8, 0.78)]


class Colours(NamedTuple):
    """Of paper and pen, float32 (3,), 0 to 1; and whether the paper is the darker."""

    paper: np.ndarray
    pen: np.ndarray
    dark: bool


def colours(level: Level, rng: np.random.Generator) -> Colours:
    dark = rng.random() < level.light_on_dark
    coloured = rng.random() < level.colours
    pen = np.array(INKS[rng.integers(len(INKS))]) if coloured else np.full(3, rng.uniform(0.03, 0.2))
    paper = np.array(PAPERS[rng.integers(len(PAPERS) if coloured or level.texture[1] else 2)])
    if dark:
        paper = np.array(DARK_PAPERS[rng.integers(len(DARK_PAPERS))])
        pen = 1 - 0.5 * np.array(INKS[rng.integers(len(INKS))]) if coloured else np.full(3, rng.uniform(0.85, 0.98))
    if not level.gradient[1]:
        paper, pen = np.full(3, 0.0 if dark else 1.0), (pen if coloured else np.full(3, 1.0 if dark else 0.0))
    contrast = rng.uniform(*level.contrast)
    return Colours(paper.astype(np.float32), (paper + contrast * (pen - paper)).astype(np.float32), dark)


def clouds(shape: tuple[int, ...], cell: float, rng: np.random.Generator) -> np.ndarray:
    """Smooth noise (h, w) of variance about 1, its lumps `cell` pixels."""
    coarse = rng.standard_normal((int(shape[0] / cell) + 3, int(shape[1] / cell) + 3), np.float32)
    return np.asarray(Image.fromarray(coarse).resize(shape[::-1], Image.Resampling.BICUBIC))


def written(
    ink: np.ndarray, covered: np.ndarray, view: View, sheet: Sheet, level: Level, rng: np.random.Generator
) -> np.ndarray:
    """The colours that paper with ink on it reflects, float32 (h, w, 3).

    ink: its opacity (h, w). covered: where letters are, bool (h, w).
    """
    seen = colours(level, rng)
    ink = _flowed(ink, covered, view.height, level, rng)
    reflected = np.broadcast_to(seen.paper, (*ink.shape, 3)).astype(np.float32)
    if strength := rng.uniform(*level.texture):
        grain = clouds(ink.shape, 1.5, rng) + clouds(ink.shape, 5, rng) + clouds(ink.shape, 0.8 * view.height, rng)
        reflected += (0.5 * strength * grain)[..., None]
    if rng.random() < level.lines:
        _rule(reflected, seen, view, sheet, rng)
    if rng.random() < level.shows_through:
        behind = np.roll(ndimage.gaussian_filter(ink[:, ::-1], 0.03 * view.height), round(0.4 * view.height), axis=0)
        reflected += (rng.uniform(0.05, 0.12) * behind)[..., None] * (seen.pen - reflected)
    _speckle(reflected, seen.pen, view, level, rng)
    return reflected + ink[..., None] * (seen.pen - reflected)


def _flowed(ink: np.ndarray, covered: np.ndarray, height: float, level: Level, rng: np.random.Generator) -> np.ndarray:
    """Ink that has run into the paper, and of which the pen gave now more, now less."""
    if rng.random() < level.runs:
        ink = ndimage.gaussian_filter(ink, 0.025 * height) + 0.25 * clouds(ink.shape, 0.06 * height, rng)
        ink = np.clip((ink - 0.35) * 3 + 0.5, 0, 1) * ndimage.maximum_filter(covered, round(0.08 * height) + 1)
    if level.texture[1]:
        ink = ink * np.clip(0.9 + 0.12 * clouds(ink.shape, 0.4 * height, rng), 0.6, 1)
    return ink


def _rule(reflected: np.ndarray, seen: Colours, view: View, sheet: Sheet, rng: np.random.Generator) -> None:
    """Print lines on the paper. Who has ruled paper writes on its lines."""
    height = view.height
    wide = max(1.0, height * rng.uniform(0.012, 0.03))
    squared = rng.random() < 0.4
    step = height * rng.uniform(0.35, 0.8) if squared else sheet.leading or height * rng.uniform(1.3, 1.8)
    start = sheet.baseline + height * rng.normal(0.03, 0.05)

    def lines(where: np.ndarray) -> np.ndarray:
        return np.clip((wide + 1) / 2 - np.abs((where + step / 2) % step - step / 2), 0, 1)

    ink = lines(view.v - start)
    if squared:
        ink = np.maximum(ink, lines(view.u - height * rng.uniform(0, 1)))
    line = seen.pen * 0.3 + seen.paper * 0.7 if seen.dark else np.array(LINES[rng.integers(len(LINES))]) * seen.paper
    reflected += (ink * rng.uniform(0.5, 1))[..., None] * (line.astype(np.float32) - reflected)


def _speckle(reflected: np.ndarray, pen: np.ndarray, view: View, level: Level, rng: np.random.Generator) -> None:
    """Dots of the pen's colour."""
    tall, width = view.x.shape
    count = rng.poisson(level.specks * rng.uniform(0, 1) * tall * width / view.height**2)
    specks = [rng.uniform((0, 0, 0.5), (tall, width, max(1.0, 0.025 * view.height))) for _ in range(count)]
    for cy, cx, r in specks:
        there = np.s_[max(0, int(cy - r) - 1) : int(cy + r) + 2, max(0, int(cx - r) - 1) : int(cx + r) + 2]
        distance = np.hypot(view.y[there] - cy, view.x[there] - cx)
        dot = np.clip(r + 0.5 - distance, 0, 1) * rng.uniform(0.3, 0.9)
        reflected[there] += dot[..., None] * (pen - reflected[there])


def beside(view: View, shape: tuple[int, int], rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """A table on one or two sides of a sheet of this shape: how many pixels from the paper's edge, outwards, (h, w);
    and its colours (h, w, 3)."""
    height, (u, v) = view.height, view[2:4]
    margin = height * rng.uniform(0.35, 0.7, 2)
    sides = [v - shape[0] - margin[0], -margin[0] - v, u - shape[1] - margin[1], -margin[1] - u]
    one, other = rng.permutation(4)[:2]
    away = np.maximum(sides[one], sides[other]) if rng.random() < 0.4 else sides[one]
    table = np.array(TABLES[rng.integers(len(TABLES))], np.float32)
    wood = 1 + 0.12 * clouds(u.shape, height, rng) + 0.05 * clouds(u.shape, 2, rng)
    return away, table * wood[..., None]
