"""Where composed letters come from: test images of EMNIST, fonts, strokes of a mouse.

A source draws a letter: (character, height, pen, rng) -> Glyph. The height and the pen's width are in pixels.
"""

import math
import os
from collections.abc import Callable
from functools import cache, partial
from string import ascii_uppercase

import fonts
import numpy as np
from PIL import Image, ImageDraw
from scipy import ndimage
from scipy.interpolate import make_interp_spline

from lettergpu.data.letters import Examples, load_test

# opacity of its ink (h, w), cropped to it; how far it hangs below the baseline; the row of the test image that it is,
# -1 where it is none
Glyph = tuple[np.ndarray, int, int]
Source = Callable[[str, float, float, np.random.Generator], Glyph]

REAL = ("emnist", "enlarged")  # sources of test letters, written by one pen or as they are
SOURCES = (*REAL, "font", "strokes")
AROUND = 4  # pixels about a mark, as it is drawn


@cache
def test_letters() -> Examples:
    return load_test(os.environ["LETTERGPU_EMNIST"], "letters")[0]


@cache
def rows_of(character: str) -> np.ndarray:
    return np.flatnonzero(test_letters().labels == ascii_uppercase.index(character))


def _outlined(image: np.ndarray, height: float) -> tuple[np.ndarray, int, int]:
    """What is ink of a letter of EMNIST, bool; the longer side of the letter in EMNIST's pixels; how many to one."""
    fine = 6 if height < 130 else math.ceil(height / 20)  # drawn larger, to be made smaller: no steps in the strokes
    bright = image > 0.35 * image.max()
    (top, bottom), (left, right) = ((i.min(), i.max() + 1) for i in np.nonzero(bright))
    letter = np.pad(image[top:bottom, left:right].astype(np.float32) / image.max(), 4)
    size = (letter.shape[1] * fine, letter.shape[0] * fine)
    large = np.asarray(Image.fromarray(letter).resize(size, Image.Resampling.BICUBIC))
    # without its pixels' steps along slanted strokes
    return ndimage.gaussian_filter(large, 0.6 * fine) > 0.42, max(bottom - top, right - left), fine


def enlarged(image: np.ndarray, height: float) -> np.ndarray:
    """Ink (h, w) of a letter of EMNIST (28, 28) as it is, its longer side `height` pixels."""
    return _slanted(np.float32(_outlined(image, height)[0]), height, 0, 0)


def handwritten(image: np.ndarray, height: float, pen: float, rng: np.random.Generator) -> np.ndarray:
    """Ink (h, w) of a letter of EMNIST (28, 28), its longer side `height` pixels, nearly as thick as the pen is."""
    inside, side, fine = _outlined(image, height)
    depth = ndimage.distance_transform_edt(inside) - ndimage.distance_transform_edt(~inside)
    depth = ndimage.gaussian_filter(depth.astype(np.float32), fine / 6)
    # one pen writes all letters, but EMNIST made small ones larger and their strokes with them; a stroke's width is
    # taken where it is, else thin ones break
    half = ndimage.gaussian_filter(ndimage.maximum_filter(depth, 3 * fine + 1), 1.5 * fine)
    target = pen / height * side * fine / 2
    depth += np.clip(0.8 * (target - half), -0.5 * half, 1.2 * fine)
    return _slanted(np.clip(depth + 0.5, 0, 1), height, rng.normal(0, 0.05), rng.normal(0, 2.0))


def _slanted(ink: np.ndarray, height: float, slant: float, turn: float) -> np.ndarray:
    """Ink slanted, turned by some degrees, and made so small that its longer side is `height` pixels."""
    pad = round(0.2 * max(ink.shape))
    ink = np.pad(ink, pad)
    c, s = math.cos(math.radians(turn)), math.sin(math.radians(turn))
    matrix = np.array([[c, -s], [s, c]]) @ np.array([[1, 0], [slant, 1]])
    centre = np.array(ink.shape) / 2
    ink = cropped(ndimage.affine_transform(ink, matrix, centre - matrix @ centre, order=1))
    scale = height / max(ink.shape)
    size = tuple(max(1, round(side * scale)) for side in ink.shape[::-1])
    return cropped(np.asarray(Image.fromarray(ink).resize(size, Image.Resampling.BOX)))


def cropped(ink: np.ndarray) -> np.ndarray:
    rows, columns = (np.flatnonzero((ink > 0.2).any(axis=axis)) for axis in (1, 0))
    return ink[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1]


def from_emnist(character: str, height: float, pen: float, rng: np.random.Generator, as_it_is: bool = False) -> Glyph:
    return from_row(int(rng.choice(rows_of(character))), as_it_is)(character, height, pen, rng)


def from_row(row: int, as_it_is: bool = False) -> Source:
    """A source whose only letter is this test image, written with the pen, or else only enlarged."""

    def glyph(character: str, height: float, pen: float, rng: np.random.Generator) -> Glyph:
        height *= math.exp(rng.normal(0, 0.08))
        image = test_letters().images[row]
        ink = enlarged(image, height) if as_it_is else handwritten(image, height, pen, rng)
        return ink, round(rng.normal(0, 0.03) * height), row

    return glyph


def in_font(face: str, case: Callable[[str], str]) -> Source:
    """A source whose letters are of this font's file, their capitals about `height` pixels."""

    def glyph(character: str, height: float, pen: float, rng: np.random.Generator) -> Glyph:
        image, below = fonts.drawn(case(character), face, round(height / fonts.CAPITAL))
        return cropped(fonts.opacity(image)), below, -1

    return glyph


def with_marks(source: Source, file: str) -> Source:
    """A source whose letters are another's, and whose marks and digits are of this font."""

    def glyph(character: str, height: float, pen: float, rng: np.random.Generator) -> Glyph:
        if character in ascii_uppercase:
            return source(character, height, pen, rng)
        image, below = fonts.drawn(character, file, round(height / fonts.CAPITAL), AROUND)
        ink = fonts.opacity(image)
        lowest = np.flatnonzero((ink > 0.2).any(axis=1))[-1]
        return cropped(ink), below + AROUND - (len(ink) - 1 - int(lowest)), -1

    return glyph


# Strokes from (0, 0), top left, to (1, 1), as a hand would draw them; ~ means a curve through the points.
STROKES = {
    "A": "0,1 .5,0 1,1|.2,.62 .8,.62", "B": "0,0 0,1|~0,0 .7,.05 .75,.35 .5,.47 0,.48|~0,.48 .7,.5 .9,.75 .6,.97 0,1",
    "C": "~.95,.2 .6,0 .15,.2 0,.5 .15,.82 .6,1 .95,.82", "D": "0,0 0,1|~0,0 .6,.05 .95,.4 .85,.75 .5,.97 0,1",
    "E": "1,0 0,0 0,1 1,1|0,.5 .75,.5", "F": "0,1 0,0 1,0|0,.5 .7,.5",
    "G": "~.95,.18 .6,0 .15,.2 0,.5 .15,.85 .6,1 .95,.8 .97,.55|.97,.55 .6,.55", "H": "0,0 0,1|1,0 1,1|0,.5 1,.5",
    "I": "0,0 .6,0|.3,0 .3,1|0,1 .6,1", "J": "~.8,0 .8,.7 .6,.97 .3,1 0,.8", "K": "0,0 0,1|.95,0 0,.55|.25,.42 1,1",
    "L": "0,0 0,1 .9,1", "M": "0,1 .08,0 .5,.7 .92,0 1,1", "N": "0,1 0,0 1,1 1,0",
    "O": "~.5,0 .12,.17 0,.5 .12,.85 .5,1 .88,.85 1,.5 .88,.17 .5,0", "P": "0,0 0,1|~0,0 .7,.03 .9,.28 .7,.52 0,.55",
    "Q": "~.5,0 .12,.17 0,.5 .12,.85 .5,1 .88,.85 1,.5 .88,.17 .5,0|.6,.7 1,1.05",
    "R": "0,0 0,1|~0,0 .7,.03 .9,.26 .7,.48 0,.52|.35,.52 1,1",
    "S": "~.92,.15 .6,0 .2,.06 .08,.25 .3,.44 .7,.56 .93,.75 .75,.96 .4,1 0,.85", "T": "0,0 1,0|.5,0 .5,1",
    "U": "~0,0 .02,.65 .2,.95 .5,1 .8,.95 .98,.65 1,0", "V": "0,0 .5,1 1,0", "W": "0,0 .25,1 .5,.25 .75,1 1,0",
    "X": "0,0 1,1|1,0 0,1", "Y": "0,0 .5,.5 1,0|.5,.5 .5,1", "Z": "0,0 1,0 0,1 1,1",
}  # fmt: skip


def in_strokes(character: str, height: float, pen: float, rng: np.random.Generator) -> Glyph:
    """A letter drawn with a mouse and a round brush."""
    fine = 4
    height *= math.exp(rng.normal(0, 0.08))
    wide = height * rng.uniform(0.6, 0.9)
    pad = pen * fine + 0.15 * height * fine
    sheet = Image.new("L", (math.ceil(wide * fine + 2 * pad), math.ceil(height * fine + 2 * pad)))
    brush, radius = ImageDraw.Draw(sheet), pen * fine / 2
    for stroke in STROKES[character].split("|"):
        points = np.array([point.split(",") for point in stroke.lstrip("~").split()], float)
        points = (points + rng.normal(0, 0.025, points.shape)) * (wide * fine, height * fine) + pad
        where = np.linspace(0, len(points) - 1, 60 * len(points))
        order = min(3, len(points) - 1) if stroke[0] == "~" else 1
        path = np.stack([_through(values, where, order) for values in points.T], axis=1)
        path += ndimage.gaussian_filter1d(rng.normal(0, 0.05 * height * fine, path.shape), 20, axis=0)  # a shaky hand
        for x, y in path:
            brush.ellipse((x - radius, y - radius, x + radius, y + radius), 255)
    ink = _slanted(np.asarray(sheet, np.float32) / 255, height, rng.normal(0, 0.08), rng.normal(0, 3.0))
    return ink, round(rng.normal(0, 0.03) * height), -1


def _through(values: np.ndarray, where: np.ndarray, order: int) -> np.ndarray:
    return make_interp_spline(np.arange(len(values)), values, order)(where)


def source_of(name: str, rng: np.random.Generator) -> Source:
    """One of SOURCES; a font and its case are drawn."""
    if name == "font":
        return in_font(str(rng.choice(fonts.FACES)), str.lower if rng.random() < 0.4 else str.upper)
    return {"emnist": from_emnist, "enlarged": partial(from_emnist, as_it_is=True), "strokes": in_strokes}[name]
