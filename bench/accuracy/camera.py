"""The photograph: a sheet on its paper, in some light, through a camera."""

import io
import math
from collections.abc import Callable

import numpy as np
from levels import Level, Range
from paper import beside, written
from PIL import Image
from scipy import ndimage
from sheet import Sheet, View

Box = tuple[int, int, int, int]  # left, top, right, bottom, in pixels; the last two are not part of it
Table = Callable[[View, tuple[int, int], np.random.Generator], tuple[np.ndarray, np.ndarray]]  # as paper.beside


def photograph(
    sheet: Sheet,
    height: float,
    level: Level,
    margin: Range,
    rng: np.random.Generator,
    frame: tuple[int, int] | None = None,
    table: Table | None = None,
) -> tuple[np.ndarray, list[Box]]:
    """The sheet on paper, seen by a camera: float32 (h, w, 3) from 0 to 1, and where its letters are.

    margin: of the picture around them, in heights of a letter. frame: width and height of the picture, else as they
    need. table: what lies around the paper, else as often as the level has it, on a side or two.
    """
    view = _view(sheet, height, level, margin, rng, frame)
    owner = ndimage.map_coordinates(sheet.owner, (view.v, view.u), order=0)
    ink = ndimage.map_coordinates(sheet.ink, (view.v, view.u), order=1, output=np.float32)
    reflected = written(ink, owner > 0, view, sheet, level, rng)
    light = _light(view, level, rng)
    if table or rng.random() < level.table:
        away, seen = (table or beside)(view, sheet.ink.shape, rng)
        reflected += np.clip(away, 0, 1)[..., None] * (seen - reflected)
        light *= 1 - 0.3 * np.exp(-np.clip(away, 0, None) / (0.08 * height)) * (away > 0)  # the paper's own shadow
    # light is linear, a picture's numbers are about its square root
    picture = np.clip(reflected, 0.02, 1) * np.sqrt(np.clip(light, 0.02, None))[..., None]
    return _exposed(picture, height, level, rng), boxes_of(owner)


def boxes_of(owner: np.ndarray) -> list[Box]:
    """Where each letter is, of the number of the letter that each pixel is of, from 1."""
    return [(across.start, down.start, across.stop, down.stop) for down, across in ndimage.find_objects(owner)]


def _view(
    sheet: Sheet, height: float, level: Level, margin: Range, rng: np.random.Generator, frame: tuple[int, int] | None
) -> View:
    """Where the camera looks; the arguments are photograph's."""
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
    u, v = u / scale, v / scale
    if level.waves:
        deep, long = height * level.waves * rng.uniform(0, 1), height * rng.uniform(0.8, 3)
        v = v + deep * np.sin(u / long + rng.uniform(0, 6))
    return View(x, y, u, v, height)


def _light(view: View, level: Level, rng: np.random.Generator) -> np.ndarray:
    """How much light falls on each pixel, about 1 where it is brightest."""
    x, y, height = view.x, view.y, view.height
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


def _exposed(picture: np.ndarray, height: float, level: Level, rng: np.random.Generator) -> np.ndarray:
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


def encoded(picture: np.ndarray, quality: tuple[int, int] | None, rng: np.random.Generator) -> bytes:
    """The bytes of a JPEG of some quality of these, or else of a PNG."""
    file = io.BytesIO()
    options = (
        {"format": "JPEG", "quality": int(rng.integers(*quality, endpoint=True))} if quality else {"format": "PNG"}
    )
    Image.fromarray((np.clip(picture, 0, 1) * 255 + 0.5).astype(np.uint8)).save(file, **options)
    return file.getvalue()
