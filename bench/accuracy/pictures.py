"""Pictures of letters whose truth is known: composed, because no collection of photos with their truth can be had.

Real letters of EMNIST's test file are set as words onto paper and photographed, at five levels of difficulty; so are
letters of fonts and letters drawn in strokes. A picture is a function of (seed, level, index) and its source alone.

    python bench/accuracy/pictures.py DIR [--source emnist|enlarged|font|strokes] [--count 12]    # contact sheets

Levels, each with what the ones before it have:
    0  a canvas or a screenshot: one ink, one ground, no camera, PNG
    1  clean paper, even light, dark ink, letters well apart, turned by 2 degrees at most
    2  paper with texture, a gradient of light, small and large letters, coloured inks, sometimes light on dark
    3  ruled or squared paper, soft shadows, perspective, thin and thick pens, blur, noise, JPEG 40 to 70
    4  edges of shadows, letters that nearly touch, weak ink, specks, wavy paper, the table beside it, JPEG 30
    5  letters that touch, creases, dark corners, movement, ink that runs and shows through
"""

import argparse
import io
import math
import os
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache, partial
from pathlib import Path
from string import ascii_uppercase

import fonts
import numpy as np
from PIL import Image, ImageDraw, ImageFont
from scipy import ndimage

from lettergpu.data.letters import Examples, load_test

Box = tuple[int, int, int, int]  # left, top, right, bottom, in pixels; the last two are not part of it
Range = tuple[float, float]

COMMON = """
ABOUT AFTER AGAIN ANIMAL APPLE AUTUMN BECAUSE BLACK BOX BREAD BRIDGE BROWN CALL CHILDREN CITY CLOCK COFFEE COUNTRY
CROWD DANCE DAY DINNER DOOR DREAM EARTH EVENING EXAMPLE EYE FAMILY FATHER FIELD FISH FLOWER FRIEND GARDEN GIVE GLASS
GREEN HAND HAPPY HOUSE HUNDRED ICE IMAGE INK ISLAND JACKET JAZZ JOURNEY JUDGE JUMP KEY KING KITCHEN KNIFE LANGUAGE
LAZY LETTER LIGHT LINE LOVE MACHINE MARKET MILK MONEY MOTHER MUSIC NAME NETWORK NIGHT NUMBER OCEAN OFFICE ORANGE
PAPER PEN PHOTO PICTURE PLANE PUZZLE QUEEN QUESTION QUICK QUIZ RAIN READ RIVER ROAD SCHOOL SEVEN SIX SNOW STREET SUMMER
TABLE TEACHER THE THINK THREE TIME TRAIN TREE UNCLE UNDER VALLEY VILLAGE VOICE VOYAGE WATER WINDOW WINTER WOMAN WORD
WRITE XYLOPHONE YEAR YELLOW YESTERDAY YOUNG ZEBRA ZERO ZONE
"""
WORDS = COMMON.split()
REAL = ("emnist", "enlarged")  # sources of test letters, written by one pen or as they are
SOURCES = (*REAL, "font", "strokes")
RANDOM = 0.3  # of the words are random letters instead, so that rare letters count too and no dictionary reads them


@dataclass(frozen=True)
class Picture:
    """file: the bytes of a JPEG (of a PNG at level 0). text: upper case, words apart by " ", lines by a line feed.
    boxes: where each letter's ink is, in pixels, in the order of the text. rows: which test image each letter is, -1
    where it is none."""

    file: bytes
    text: str
    boxes: tuple[Box, ...]
    rows: tuple[int, ...]

    @property
    def image(self) -> Image.Image:
        return Image.open(io.BytesIO(self.file))


@dataclass(frozen=True)
class Level:
    """What pictures of a level are drawn from: a Range uniformly, a share as the chance that a picture has it."""

    height: Range  # of letters, pixels
    turn: float  # degrees at most
    gap: Range  # between the ink of neighbours, in heights of a letter
    pen: Range  # width of a stroke, in heights of a letter
    blur: Range  # sigma, pixels, though no more than a fortieth of a letter's height
    jpeg: tuple[int, int]
    noise: Range = (0.0, 0.0)  # of the sensor, of the full range
    texture: Range = (0.0, 0.0)  # of the paper
    gradient: Range = (0.0, 0.05)  # of the light
    contrast: Range = (0.85, 1.0)  # of the ink
    colours: float = 0.0
    light_on_dark: float = 0.0
    perspective: float = 0.0  # how much larger the near end may be
    lines: float = 0.0
    shadow: float = 0.0
    hard_edge: float = 0.0  # of those shadows
    specks: float = 0.0  # a square of a letter's height
    waves: float = 0.0  # in heights of a letter
    table: float = 0.0
    creases: float = 0.0
    vignette: float = 0.0
    movement: float = 0.0  # in heights of a letter
    runs: float = 0.0
    shows_through: float = 0.0


LEVELS = {
    0: Level((40, 120), 0, (0.12, 0.4), (0.07, 0.14), (0, 0), (95, 95), gradient=(0, 0), contrast=(1, 1), colours=0.2,
             light_on_dark=0.2),
    1: Level((40, 120), 2, (0.2, 0.5), (0.08, 0.13), (0.5, 0.9), (88, 95), noise=(0, 0.008)),
    2: Level((28, 140), 4, (0.14, 0.4), (0.07, 0.14), (0.5, 1.1), (75, 95), noise=(0, 0.015), texture=(0, 0.03),
             gradient=(0, 0.25), contrast=(0.75, 1), colours=0.5, light_on_dark=0.1),
    3: Level((28, 140), 6, (0.09, 0.32), (0.05, 0.16), (0.6, 1.8), (40, 70), noise=(0.005, 0.03), texture=(0, 0.04),
             gradient=(0.05, 0.45), contrast=(0.65, 1), colours=0.5, light_on_dark=0.1, perspective=0.08, lines=0.7,
             shadow=0.5),
    4: Level((26, 140), 9, (0.02, 0.16), (0.045, 0.17), (0.6, 2.2), (30, 60), noise=(0.01, 0.04), texture=(0, 0.05),
             gradient=(0.1, 0.6), contrast=(0.4, 0.9), colours=0.5, light_on_dark=0.1, perspective=0.14, lines=0.7,
             shadow=0.8, hard_edge=0.6, specks=0.4, waves=0.05, table=0.15),
    5: Level((26, 120), 10, (-0.02, 0.1), (0.04, 0.18), (0.7, 2.6), (25, 50), noise=(0.015, 0.055),
             texture=(0.01, 0.06), gradient=(0.1, 0.7), contrast=(0.33, 0.8), colours=0.5, light_on_dark=0.1,
             perspective=0.2, lines=0.8, shadow=0.9, hard_edge=0.6, specks=0.8, waves=0.1, table=0.2, creases=0.5,
             vignette=0.5, movement=0.06, runs=0.3, shows_through=0.25),
}  # fmt: skip

INKS = [(0.07, 0.13, 0.5), (0.1, 0.2, 0.65), (0.65, 0.08, 0.12), (0.05, 0.4, 0.2), (0.35, 0.12, 0.45), (0.4, 0.2, 0.1)]
PAPERS = [(0.97, 0.97, 0.96), (0.96, 0.94, 0.89), (0.95, 0.9, 0.75), (0.9, 0.92, 0.95), (0.82, 0.75, 0.63)]
DARK_PAPERS = [(0.13, 0.14, 0.15), (0.1, 0.24, 0.18), (0.12, 0.16, 0.3)]
LINES = [(0.62, 0.75, 0.9), (0.72, 0.76, 0.8), (0.75, 0.68, 0.8), (0.9, 0.65, 0.65)]
TABLES = [(0.45, 0.3, 0.18), (0.6, 0.45, 0.3), (0.25, 0.22, 0.2), (0.4, 0.42, 0.45), (0.8, 0.8, 0.78)]


# Letters. A source draws one: (character, height, pen, rng) -> opacity of its ink (h, w), cropped to it; how far it
# hangs below the baseline; and the row of the test image that it is.
Glyph = tuple[np.ndarray, int, int]


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
    ink = _cropped(ndimage.affine_transform(ink, matrix, centre - matrix @ centre, order=1))
    scale = height / max(ink.shape)
    size = tuple(max(1, round(side * scale)) for side in ink.shape[::-1])
    return _cropped(np.asarray(Image.fromarray(ink).resize(size, Image.Resampling.BOX)))


def _cropped(ink: np.ndarray) -> np.ndarray:
    rows, columns = (np.flatnonzero((ink > 0.2).any(axis=axis)) for axis in (1, 0))
    return ink[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1]


def from_emnist(character: str, height: float, pen: float, rng: np.random.Generator, as_it_is: bool = False) -> Glyph:
    return from_row(int(rng.choice(rows_of(character))), as_it_is)(character, height, pen, rng)


def from_row(row: int, as_it_is: bool = False) -> Callable[..., Glyph]:
    """A source whose only letter is this test image, written with the pen, or else only enlarged."""

    def glyph(character: str, height: float, pen: float, rng: np.random.Generator) -> Glyph:
        height *= math.exp(rng.normal(0, 0.08))
        image = test_letters().images[row]
        ink = enlarged(image, height) if as_it_is else handwritten(image, height, pen, rng)
        return ink, round(rng.normal(0, 0.03) * height), row

    return glyph


def in_font(face: str, case: Callable[[str], str]) -> Callable[..., Glyph]:
    """A source whose letters are of this font's file, their capitals about `height` pixels."""

    def glyph(character: str, height: float, pen: float, rng: np.random.Generator) -> Glyph:
        image, below = fonts.drawn(case(character), face, round(height / fonts.CAPITAL))
        return _cropped(fonts.opacity(image)), below, -1

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
    from scipy.interpolate import make_interp_spline

    return make_interp_spline(np.arange(len(values)), values, order)(where)


# Setting letters side by side, flat, before they are photographed.


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


# The photograph.


def photograph(
    sheet: Sheet,
    height: float,
    level: Level,
    margin: Range,
    rng: np.random.Generator,
    frame: tuple[int, int] | None = None,
) -> tuple[np.ndarray, list[Box]]:
    """The sheet on paper, seen by a camera: float32 (h, w, 3) from 0 to 1, and where its letters are.

    margin: of paper around them, in heights of a letter. frame: width and height of the picture, else as they need.
    """
    h, w = sheet.ink.shape
    half = max(h, w) / 2
    a = math.radians(rng.uniform(-level.turn, level.turn))
    near = rng.uniform(-level.perspective, level.perspective, 2) / 2 / half
    turned = np.array([[math.cos(a), -math.sin(a), 0], [math.sin(a), math.cos(a), 0], [*near, 1]])
    to_picture = turned @ np.array([[1, 0, -w / 2], [0, 1, -h / 2], [0, 0, 1.0]])
    corners = to_picture @ np.array([[0, w, 0, w], [0, 0, h, h], [1, 1, 1, 1.0]])
    corners = corners[:2] / corners[2]
    before, after = rng.uniform(*margin, (2, 2)) * height + 2 * level.waves * height
    first = np.floor(corners.min(axis=1) - before)
    width, tall = np.ceil(corners.max(axis=1) + after - first).astype(int)
    if frame:
        width, tall = frame
        first = np.floor(corners.mean(axis=1) - np.array(frame) / 2)
    y, x = np.mgrid[:tall, :width].astype(np.float32)
    back = np.linalg.inv(to_picture).astype(np.float32)
    px, py = x + np.float32(first[0]), y + np.float32(first[1])
    u, v, scale = (row[0] * px + row[1] * py + row[2] for row in back)
    u, v = u / scale, v / scale  # where on the sheet a pixel of the picture looks
    if level.waves:
        deep, long = height * level.waves * rng.uniform(0, 1), height * rng.uniform(0.8, 3)
        v = v + deep * np.sin(u / long + rng.uniform(0, 6))
    owner = ndimage.map_coordinates(sheet.owner, (v, u), order=0)
    boxes = [(across.start, down.start, across.stop, down.stop) for down, across in ndimage.find_objects(owner)]
    ink = ndimage.map_coordinates(sheet.ink, (v, u), order=1, output=np.float32)

    paper, pen, dark = _colours(level, rng)
    if rng.random() < level.runs:
        ink = ndimage.gaussian_filter(ink, 0.025 * height) + 0.25 * _clouds(ink.shape, 0.06 * height, rng)
        ink = np.clip((ink - 0.35) * 3 + 0.5, 0, 1) * ndimage.maximum_filter(owner > 0, round(0.08 * height) + 1)
    if level.texture[1]:
        ink = ink * np.clip(0.9 + 0.12 * _clouds(ink.shape, 0.4 * height, rng), 0.6, 1)  # the pen gives more or less
    reflected = np.broadcast_to(paper, (tall, width, 3)).astype(np.float32)
    if strength := rng.uniform(*level.texture):
        grain = _clouds(ink.shape, 1.5, rng) + _clouds(ink.shape, 5, rng) + _clouds(ink.shape, 0.8 * height, rng)
        reflected += (0.5 * strength * grain)[..., None]
    if rng.random() < level.lines:
        lines = _ruled(u, v, sheet, height, rng)
        line = pen * 0.3 + paper * 0.7 if dark else np.array(LINES[rng.integers(len(LINES))]) * paper
        reflected += (lines * rng.uniform(0.5, 1))[..., None] * (line.astype(np.float32) - reflected)
    if rng.random() < level.shows_through:
        behind = np.roll(ndimage.gaussian_filter(ink[:, ::-1], 0.03 * height), round(0.4 * height), axis=0)
        reflected += (rng.uniform(0.05, 0.12) * behind)[..., None] * (pen - reflected)
    for cy, cx, r in _specks(level, ink.shape, height, rng):
        there = np.s_[max(0, int(cy - r) - 1) : int(cy + r) + 2, max(0, int(cx - r) - 1) : int(cx + r) + 2]
        dot = np.clip(r + 0.5 - np.hypot(y[there] - cy, x[there] - cx), 0, 1) * rng.uniform(0.3, 0.9)
        reflected[there] += dot[..., None] * (pen - reflected[there])
    reflected += ink[..., None] * (pen - reflected)
    light = _light(x, y, height, level, rng)
    if rng.random() < level.table:
        away = _beside(u, v, sheet.ink.shape, height, rng)
        table = np.array(TABLES[rng.integers(len(TABLES))], np.float32)
        wood = table * (1 + 0.12 * _clouds(ink.shape, height, rng) + 0.05 * _clouds(ink.shape, 2, rng))[..., None]
        reflected += np.clip(away, 0, 1)[..., None] * (wood - reflected)
        light *= 1 - 0.3 * np.exp(-np.clip(away, 0, None) / (0.08 * height)) * (away > 0)  # the paper's own shadow
    # light is linear, a picture's numbers are about its square root
    picture = np.clip(reflected, 0.02, 1) * np.sqrt(np.clip(light, 0.02, None))[..., None]
    return _camera(picture, height, level, rng), boxes


def _colours(level: Level, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray, bool]:
    """Of the paper and of the ink, and whether the paper is the darker."""
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
    return paper.astype(np.float32), (paper + contrast * (pen - paper)).astype(np.float32), dark


def _clouds(shape: tuple[int, ...], cell: float, rng: np.random.Generator) -> np.ndarray:
    """Smooth noise (h, w) of variance about 1, its lumps `cell` pixels."""
    coarse = rng.standard_normal((int(shape[0] / cell) + 3, int(shape[1] / cell) + 3), np.float32)
    return np.asarray(Image.fromarray(coarse).resize(shape[::-1], Image.Resampling.BICUBIC))


def _ruled(u: np.ndarray, v: np.ndarray, sheet: Sheet, height: float, rng: np.random.Generator) -> np.ndarray:
    """Opacity of the lines printed on the paper. Who has ruled paper writes on its lines."""
    wide = max(1.0, height * rng.uniform(0.012, 0.03))
    squared = rng.random() < 0.4
    step = height * rng.uniform(0.35, 0.8) if squared else sheet.leading or height * rng.uniform(1.3, 1.8)
    start = sheet.baseline + height * rng.normal(0.03, 0.05)

    def lines(where: np.ndarray) -> np.ndarray:
        return np.clip((wide + 1) / 2 - np.abs((where + step / 2) % step - step / 2), 0, 1)

    ink = lines(v - start)
    return np.maximum(ink, lines(u - height * rng.uniform(0, 1))) if squared else ink


def _specks(level: Level, shape: tuple[int, ...], height: float, rng: np.random.Generator) -> list[np.ndarray]:
    count = rng.poisson(level.specks * rng.uniform(0, 1) * shape[0] * shape[1] / height**2)
    return [rng.uniform((0, 0, 0.5), (*shape, max(1.0, 0.025 * height))) for _ in range(count)]


def _beside(
    u: np.ndarray, v: np.ndarray, shape: tuple[int, ...], height: float, rng: np.random.Generator
) -> np.ndarray:
    """How many pixels from the paper's edge, outwards, on one or two sides of the sheet."""
    margin = height * rng.uniform(0.35, 0.7, 2)
    sides = [v - shape[0] - margin[0], -margin[0] - v, u - shape[1] - margin[1], -margin[1] - u]
    one, other = rng.permutation(4)[:2]
    return np.maximum(sides[one], sides[other]) if rng.random() < 0.4 else sides[one]


def _light(x: np.ndarray, y: np.ndarray, height: float, level: Level, rng: np.random.Generator) -> np.ndarray:
    """How much light falls on each pixel, about 1 where it is brightest."""
    tall, width = x.shape
    across, down = x / width - np.float32(0.5), y / tall - np.float32(0.5)

    def along(angle: float) -> np.ndarray:
        return np.float32(math.cos(angle)) * across + np.float32(math.sin(angle)) * down

    strength = rng.uniform(*level.gradient)
    light = 1 - strength * (0.5 + along(rng.uniform(0, 2 * math.pi)))
    if rng.random() < level.shadow:
        angle = rng.uniform(0, 2 * math.pi)
        hard = rng.random() < level.hard_edge
        size = math.hypot(tall, width)
        bend = 0.06 * np.sin(4 * along(angle + math.pi / 2) + rng.uniform(0, 6))
        distance = (along(angle) + bend - np.float32(rng.uniform(-0.3, 0.3))) * size
        edge = height * (rng.uniform(0.02, 0.08) if hard else rng.uniform(0.4, 1.5))
        light *= 1 - np.float32(rng.uniform(0.25, 0.6)) / (1 + np.exp(-np.clip(distance / edge, -30, 30)))
    if rng.random() < level.creases:
        for _ in range(rng.integers(1, 3)):
            angle, w = rng.uniform(0, 2 * math.pi), height * rng.uniform(0.03, 0.1)
            slope = np.array([math.cos(angle), math.sin(angle)], np.float32)
            where = slope[0] * (x - rng.uniform(0, width)) + slope[1] * (y - rng.uniform(0, tall))
            light *= 1 + rng.uniform(0.5, 1.0) * (where / w) * np.exp(-((where / w) ** 2))
    if rng.random() < level.vignette:
        light *= 1 - rng.uniform(0.6, 1.4) * (across**2 + down**2)
    return light


def _camera(picture: np.ndarray, height: float, level: Level, rng: np.random.Generator) -> np.ndarray:
    """Blur, movement, the colour of the light, exposure and the sensor's noise."""
    if level.blur[1]:
        sigma = min(rng.uniform(*level.blur), height / 40)
        picture = ndimage.gaussian_filter(picture, (sigma, sigma, 0), truncate=3)
    if (length := round(level.movement * rng.uniform(0, 1) * height)) > 1:
        angle = rng.uniform(0, math.pi)
        steps = np.round(np.outer(np.arange(length) - length // 2, (math.sin(angle), math.cos(angle)))).astype(int)
        wide = np.pad(picture, ((length, length), (length, length), (0, 0)), mode="edge")
        tall, width = picture.shape[:2]
        shifted = [wide[length + i : length + i + tall, length + j : length + j + width] for i, j in steps]
        picture = sum(shifted[1:], shifted[0]) / len(shifted)
    if level.gradient[1]:
        warm = np.array((1, 0, -1)) * rng.uniform(-0.03, 0.04) + np.array((0, 1, 0)) * rng.uniform(-0.015, 0.015)
        exposure = rng.uniform(0.75, 0.96) / np.percentile(picture[::3, ::3], 95)
        picture = picture * (1 + warm.astype(np.float32)) * np.float32(np.clip(exposure, 0.6, 1.8))
    if noise := rng.uniform(*level.noise):
        grain = rng.standard_normal(picture.shape, np.float32)
        picture = picture + noise * (0.7 * grain.mean(axis=2, keepdims=True) * 1.7 + 0.5 * grain)
    return picture


def _encoded(picture: np.ndarray, level: int, rng: np.random.Generator) -> bytes:
    file = io.BytesIO()
    low, high = LEVELS[level].jpeg
    options = {"format": "JPEG", "quality": int(rng.integers(low, high + 1))} if level else {"format": "PNG"}
    Image.fromarray((np.clip(picture, 0, 1) * 255 + 0.5).astype(np.uint8)).save(file, **options)
    return file.getvalue()


# What is asked for.


def _text(rng: np.random.Generator) -> str:
    if rng.random() < RANDOM:
        return "".join(rng.choice(list(ascii_uppercase), rng.integers(3, 10)))
    return str(rng.choice(WORDS))


def _source(name: str, rng: np.random.Generator) -> Callable[..., Glyph]:
    if name == "font":
        return in_font(str(rng.choice(fonts.FACES)), str.lower if rng.random() < 0.4 else str.upper)
    return {"emnist": from_emnist, "enlarged": partial(from_emnist, as_it_is=True), "strokes": in_strokes}[name]


def _draw(
    source: Callable[..., Glyph], height: float, level: Level, rng: np.random.Generator
) -> Callable[[str], Glyph]:
    """Letters of this source by one pen, at least as wide as a camera can see."""
    pen = max(height * rng.uniform(*level.pen), 1.8)
    return lambda character: source(character, height, pen, rng)


def word(level: int, index: int, seed: int = 0, source: str = "emnist") -> Picture:
    """A word of 3 to 9 letters, most from WORDS. source: one of SOURCES."""
    rng = np.random.default_rng([seed, level, index, 0])
    text = _text(rng)
    gaps = (0.05, 0.15) if source == "font" else LEVELS[level].gap
    return _compose(text, level, _source(source, rng), gaps, (0.4, 1.2), rng)


def letter(level: int, index: int, seed: int = 0, source: str = "emnist") -> Picture:
    """A single letter in the middle of its own small paper. No test image comes twice before all have come."""
    rng = np.random.default_rng([seed, level, index, 1])
    if source not in REAL:
        return _compose(ascii_uppercase[index % 26], level, _source(source, rng), (0, 0), (0.3, 0.9), rng)
    row = int(_order(seed, level)[index % len(test_letters())])
    text = ascii_uppercase[test_letters().labels[row]]
    return _compose(text, level, from_row(row, source == "enlarged"), (0, 0), (0.3, 0.9), rng)


@cache
def _order(seed: int, level: int) -> np.ndarray:
    return np.random.default_rng([seed, level]).permutation(len(test_letters()))


def _compose(
    text: str, level: int, source: Callable[..., Glyph], gaps: Range, margin: Range, rng: np.random.Generator
) -> Picture:
    how = LEVELS[level]
    height = math.exp(rng.uniform(*np.log(how.height)))
    gaps = gaps[0] * height, gaps[1] * height
    sheet = set_lines(text, height, gaps, _draw(source, height, how, rng), 0, rng)
    picture, boxes = photograph(sheet, height, how, margin, rng)
    return Picture(_encoded(picture, level, rng), text, tuple(boxes), tuple(sheet.rows))


def photo(index: int = 0, seed: int = 0, level: int = 3, lines: int = 6) -> Picture:
    """A photo of 12 megapixels, 4000 x 3000, of a note of some lines of words."""
    rng = np.random.default_rng([seed, level, index, 2])
    how = LEVELS[level]
    text = "\n".join(" ".join(rng.choice([w for w in WORDS if len(w) < 8], 2)) for _ in range(lines))
    height = min(2000 / (1.8 * lines + 1), 2600 / max(len(line) for line in text.split("\n")))
    draw = _draw(from_emnist, height, how, rng)
    sheet = set_lines(text, height, (how.gap[0] * height, how.gap[1] * height), draw, 1.6 * height, rng)
    picture, boxes = photograph(sheet, height, how, (0.5, 1), rng, (4000, 3000))
    return Picture(_encoded(picture, level, rng), text, tuple(boxes), tuple(sheet.rows))


def contact_sheet(pictures: list[tuple[Picture, str]]) -> Image.Image:
    """Pictures side by side, their true boxes drawn in, each with a line under it."""
    single = all(len(picture.text) == 1 for picture, _ in pictures)
    columns, width, tall = (8, 170, 170) if single else (3, 460, 190)
    sheet = Image.new("RGB", (columns * width, -(-len(pictures) // columns) * tall), "white")
    brush = ImageDraw.Draw(sheet)
    for place, (picture, caption) in enumerate(pictures):
        x, y = place % columns * width, place // columns * tall
        image = picture.image.convert("RGB")
        scale = min((width - 6) / image.width, (tall - 22) / image.height, 1.5)
        image = image.resize((round(image.width * scale), round(image.height * scale)), Image.Resampling.LANCZOS)
        sheet.paste(image, (x, y))
        for box in picture.boxes:
            brush.rectangle([(x + i * scale, y + j * scale) for i, j in (box[:2], box[2:])], outline="#0c0")
        brush.text((x + 2, y + tall - 20), caption, "black", ImageFont.load_default(14))
    return sheet


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--source", choices=SOURCES, default="emnist")
    parser.add_argument("--count", type=int, default=12)
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    options.folder.mkdir(parents=True, exist_ok=True)
    for level in LEVELS:
        for kind in (word, letter):
            some = [kind(level, index, options.seed, options.source) for index in range(options.count)]
            sheet = contact_sheet([(picture, picture.text) for picture in some])
            sheet.save(options.folder / f"{options.source}-{kind.__name__}-{level}.png")


if __name__ == "__main__":
    main()
