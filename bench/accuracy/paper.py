"""What letters are written on: paper, its rules and specks; and the table that it lies on."""

from functools import cache
from string import ascii_uppercase
from typing import NamedTuple

import fonts
import numpy as np
from levels import Level, Range
from PIL import Image
from scipy import ndimage
from sheet import Sheet, View

INKS = [(0.07, 0.13, 0.5), (0.1, 0.2, 0.65), (0.65, 0.08, 0.12), (0.05, 0.4, 0.2), (0.35, 0.12, 0.45), (0.4, 0.2, 0.1)]
PAPERS = [(0.97, 0.97, 0.96), (0.96, 0.94, 0.89), (0.95, 0.9, 0.75), (0.9, 0.92, 0.95), (0.82, 0.75, 0.63)]
DARK_PAPERS = [(0.13, 0.14, 0.15), (0.1, 0.24, 0.18), (0.12, 0.16, 0.3)]
LINES = [(0.62, 0.75, 0.9), (0.72, 0.76, 0.8), (0.75, 0.68, 0.8), (0.9, 0.65, 0.65)]
LEGENDS, TILE = ascii_uppercase, 24  # of a keyboard's keys, and pixels of a side of one
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


def around(
    view: View,
    shape: tuple[int, int],
    rng: np.random.Generator,
    *,
    look: str,
    paper: tuple[Range, Range],
    torn: float = 0.0,
    other: float = 0.0,
) -> tuple[np.ndarray, np.ndarray]:
    """As beside, a table on all sides of a note.

    look: one of LOOKS. paper: above and below the letters, and left and right of them, in heights of a letter. torn:
    how far its edges stray, in those too. other: how often a part of another note is seen.
    """
    height, (u, v), (tall, wide) = view.height, view[2:4], shape
    above, below, before, after = height * np.ravel([rng.uniform(*sides, 2) for sides in paper])
    sides = [(-above - v, u, wide), (v - tall - below, u, wide), (-before - u, v, tall), (u - wide - after, v, tall)]
    away = np.max([side - _strays(along, long, height, torn, rng) for side, along, long in sides], axis=0)
    if rng.random() < other:
        gap = height * rng.uniform(0.4, 1.0)
        start = wide + after + gap if rng.random() < 0.5 else -np.inf
        stop = np.inf if np.isfinite(start) else -before - gap
        away = np.minimum(away, np.maximum(np.maximum(start - u, u - stop), height * rng.uniform(-2, 1) - v))
    return away, LOOKS[look](view, shape, rng)


def _strays(along: np.ndarray, long: float, height: float, torn: float, rng: np.random.Generator) -> np.ndarray | float:
    """How far outwards a torn edge runs from a straight one, in pixels: ragged, and wider to one end."""
    if not torn:
        return 0.0
    rough = ndimage.gaussian_filter1d(rng.standard_normal(400), 8) * 3 + 0.1 * rng.standard_normal(400)
    ragged = np.interp(along / height * 12 + 100, np.arange(400), np.clip(rough, -1, 1))
    slope = rng.uniform(0, 0.4) * (rng.random() < 0.3)
    grows = np.clip(along if rng.random() < 0.5 else long - along, 0, None)
    return torn * height * ragged + slope * grows


def _plain(view: View, colour: np.ndarray, rough: float, rng: np.random.Generator) -> np.ndarray:
    shape = view.u.shape
    return colour * (1 + 0.04 * clouds(shape, view.height, rng) + rough * clouds(shape, 2, rng))[..., None]


def _grey(view: View, shape: tuple[int, int], rng: np.random.Generator) -> np.ndarray:
    return _plain(view, np.float32(rng.uniform(0.45, 0.82) + rng.normal(0, 0.015, 3)), 0.02, rng)


def _dark(view: View, shape: tuple[int, int], rng: np.random.Generator) -> np.ndarray:
    return _plain(view, np.float32(rng.uniform(0.06, 0.25) + rng.normal(0, 0.015, 3)), 0.1, rng)


def _wood(view: View, shape: tuple[int, int], rng: np.random.Generator) -> np.ndarray:
    turn, fine = rng.uniform(0, np.pi), view.height * rng.uniform(0.03, 0.1)
    across = np.cos(turn) * view.u + np.sin(turn) * view.v
    across = across + 0.4 * view.height * clouds(across.shape, 4 * view.height, rng)
    rings = ndimage.gaussian_filter1d(rng.standard_normal(512), 1.5, mode="wrap")
    grain = np.float32(np.interp(across / fine % 512, np.arange(512), rings / rings.std()))
    plank = _plain(view, np.array(TABLES[rng.integers(3)], np.float32), 0.04, rng)
    return plank * (1 + rng.uniform(0.08, 0.25) * grain)[..., None]


def _keys(view: View, shape: tuple[int, int], rng: np.random.Generator) -> np.ndarray:
    """A keyboard that begins under the paper, on one side of it; beyond the others the table is grey or dark."""
    table = (_grey if rng.random() < 0.6 else _dark)(view, shape, rng)
    turn, pitch = rng.normal(0, 0.05), view.height * rng.uniform(0.8, 1.6)
    across = (np.cos(turn) * view.u + np.sin(turn) * view.v) / pitch
    down = (np.cos(turn) * view.v - np.sin(turn) * view.u) / pitch
    row = np.floor(down).astype(int)
    across = across + rng.uniform(0, 1, 16)[row % 16]
    column = np.floor(across).astype(int)
    x, y = across - column, down - row  # in a key, from 0 to 1
    inside = np.minimum(np.minimum(x, 1 - x), np.minimum(y, 1 - y)) / 0.05 - 1  # of a key's top, from its edge
    deck, key, legend = rng.uniform(0.03, 0.4), rng.uniform(0.03, 0.2), rng.uniform(0.5, 0.9)
    grey = np.where(inside > 0, key + 0.15 * np.exp(-np.clip(inside, 0, None)), deck)
    character = rng.integers(len(LEGENDS), size=(16, 16))[row % 16, column % 16]
    place = (np.clip((i - 0.2) / 0.35 * TILE, 0, TILE - 1).astype(int) for i in (y, x))
    grey += _legends()[character, *place] * (legend - key)
    sides = -view.v, view.v - shape[0], -view.u, view.u - shape[1]
    there = sides[rng.integers(4)] > 0.2 * view.height
    return np.where(there[..., None], np.float32(grey)[..., None], table)


@cache
def _legends() -> np.ndarray:
    """What is printed on keys: opacity (26, TILE, TILE), none at their borders."""
    tiles = np.zeros((len(LEGENDS), TILE, TILE), np.float32)
    for tile, character in zip(tiles, LEGENDS, strict=True):
        letter = fonts.opacity(fonts.drawn(character, fonts.FACES[0], TILE - 2, around=1)[0])[: TILE - 2, : TILE - 2]
        tile[1 : 1 + letter.shape[0], 1 : 1 + letter.shape[1]] = letter
    return tiles


LOOKS = {"grey": _grey, "wood": _wood, "dark": _dark, "keys": _keys}
