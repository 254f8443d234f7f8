"""Kinds of pictures as people take them, which the levels do not have: each is a row of the benchmark's table.

    note     a note, torn or cut, on a grey, wooden or dark table or by a keyboard, photographed with that around it
    far      likewise from farther off, so that the note is a small part of the picture
    crop     cut off where the ink ends, so that letters touch the border of the picture
    pencil   a pencil's grey and grainy strokes, half of the time under a heading in bold print
    pale     pale colours on white, light and dim ones on black, of one colour or each letter of its own; no camera
    camera   a sheet with the table round it, by a camera of 160x120 to 320x240 pixels, JPEG of low quality
    marks    punctuation and digits between the letters
    label    a printed label full of close lines on a table, half of the time a dark sign with bright print
    lit      one of two or three lines marked by a highlighter, across most of the paper or all of it
    title    a word, and below it one to four lines, two to five times as small, by hand or in print, often bold
    page     a scanned page of print of 10 to 16 points, 150 to 400 pixels an inch, lines of eight words

A picture is a function of (seed, kind, index) alone.
"""

import math
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from string import ascii_uppercase
from typing import NamedTuple

import fonts
import numpy as np
import paper
from camera import Box, boxes_of, encoded, photograph
from glyphs import Source, from_emnist, in_font, source_of, with_marks
from levels import LEVELS, Range
from pictures import Picture, some_text
from PIL import Image, ImageDraw, ImageFilter, ImageFont
from scipy import ndimage
from sheet import Sheet, set_lines, stacked

BOLD = [file for file in fonts.FACES if "Bol" in file or "cmb" in file]
MARKS = ".,:;!?-/()'&+=23456789"  # of digits those that no letter is drawn like
NOTE = replace(LEVELS[3], height=(24, 70), turn=8, pen=(0.06, 0.13), light_on_dark=0, lines=0.25, contrast=(0.75, 1))
PENCIL = replace(LEVELS[2], pen=(0.04, 0.09), colours=0, light_on_dark=0, lines=0.3, contrast=(0.9, 1))
CAMERA = replace(LEVELS[3], turn=3, pen=(0.07, 0.12), light_on_dark=0, lines=0, contrast=(0.5, 0.9), vignette=0.4)
LABEL = replace(LEVELS[2], turn=6, colours=0, light_on_dark=0, lines=0, contrast=(0.8, 1))
LIT = replace(LEVELS[2], turn=2, colours=0, light_on_dark=0, lines=0, contrast=(0.8, 1))
HIGHLIGHTERS = [(1, 1, 0.2), (0.4, 1, 0.5), (1, 0.5, 0.7), (0.5, 0.95, 1), (1, 0.7, 0.2)]
# colours on white and on black: weak ones, and such as stand beside them
PALE = [(1, 0.85, 0.1), (0.86,) * 3, (0.95, 0.65, 0.75), (0.65, 0.8, 0.95), (0.7, 0.88, 0.65), (0.72,) * 3]
STRONG = [(0, 0, 0), (0.75, 0, 0.1), (0, 0.1, 0.8), (0, 0.45, 0.1), (0.35, 0.2, 0.05)]
DIM = [(0.25,) * 3, (0.6, 0.46, 0.5), (0.35, 0.47, 0.38), (0.7, 0.15, 0.18), (0.4, 0.33, 0.67)]
LIGHT = [(0.9,) * 3, (1, 0.95, 0.7), (0.93, 0.83, 0.83)]


class Kind(NamedTuple):
    """compose: a picture of a text. lines: how few and how many a picture has. single: whether a letter alone may.

    words: how many a line has.
    """

    compose: Callable[[str, np.random.Generator], Picture]
    lines: tuple[int, int]
    single: bool = True
    words: int = 1


def _set(text: str, source: Source, height: float, pens: Range, rng: np.random.Generator) -> Sheet:
    """The text by one pen, at least as wide as a camera can see, its letters well apart."""
    pen = max(height * rng.uniform(*pens), 1.8)
    leading = height * rng.uniform(1.5, 1.9) if "\n" in text else 0.0
    gaps = 0.1 * height, 0.3 * height
    return set_lines(text, height, gaps, lambda character: source(character, height, pen, rng), leading, rng)


def _height(heights: Range, rng: np.random.Generator) -> float:
    return math.exp(rng.uniform(*np.log(heights)))


def _picture(file: bytes, text: str, boxes: list[Box], sheet: Sheet) -> Picture:
    """Of marks and digits, which no reader is asked for, the boxes are left out."""
    marked = list(zip("".join(text.split()), boxes, sheet.rows, strict=True))
    letters = [(box, row) for character, box, row in marked if character in ascii_uppercase]
    return Picture(file, text, tuple(box for box, _ in letters), tuple(row for _, row in letters))


def note(text: str, rng: np.random.Generator, heights: Range = NOTE.height, margins: Range = (1.2, 3.5)) -> Picture:
    """heights: of its letters, pixels; margins: how much of the table is seen around it, in heights of a letter."""
    height = _height(heights, rng)
    sheet = _set(text, from_emnist, height, NOTE.pen, rng)
    look = str(rng.choice(list(paper.LOOKS)))
    torn = rng.uniform(0.05, 0.25) if rng.random() < 0.6 else 0.0
    table = partial(paper.around, look=look, paper=((0.5, 2), (0.5, 2)), torn=torn, other=0.3)
    photo, boxes = photograph(sheet, height, NOTE, margins, rng, table=table)
    return _picture(encoded(photo, NOTE.jpeg, rng), text, boxes, sheet)


def crop(text: str, rng: np.random.Generator) -> Picture:
    level = LEVELS[int(rng.integers(4))]
    height = _height(level.height, rng)
    source = source_of("font" if rng.random() < 0.5 else "emnist", rng)
    sheet = _set(text, source, height, level.pen, rng)
    photo, boxes = photograph(sheet, height, level, (0.3, 0.6), rng)
    photo, boxes = _cut(photo, boxes, height, rng)
    return _picture(encoded(photo, level.jpeg, rng), text, boxes, sheet)


def _cut(photo: np.ndarray, boxes: list[Box], height: float, rng: np.random.Generator) -> tuple[np.ndarray, list[Box]]:
    """At least one side touches, or takes a pixel of the ink; one that does not has a little paper."""
    touches = rng.random(4) < 0.75
    touches[rng.integers(4)] = True
    edges = np.array(boxes)
    first, last = edges[:, :2].min(axis=0), edges[:, 2:].max(axis=0)
    if (last - first)[0] < 0.4 * (last - first)[1]:  # an I without paper beside it would be a picture of nothing
        touches[:] = False, True, False, True
    paper = np.where(touches, -rng.integers(0, 2, 4), np.ceil(height * rng.uniform(0.02, 0.1, 4))).astype(int)
    left, top = np.maximum(first - paper[:2], 0)
    right, bottom = np.minimum(last + paper[2:], photo.shape[1::-1])
    edges = np.clip(edges, (left, top) * 2, (right, bottom) * 2) - (left, top) * 2
    return photo[top:bottom, left:right], [tuple(box) for box in edges.tolist()]


def pencil(text: str, rng: np.random.Generator) -> Picture:
    """Of a text of two lines the first is the heading."""
    *heading, written = text.split("\n")
    height = _height((28, 110), rng)
    sheet = _set(written, from_emnist, height, PENCIL.pen, rng)
    tooth = np.clip(0.6 + 0.4 * paper.clouds(sheet.ink.shape, max(1.2, 0.03 * height), rng), 0.1, 1)
    sheet = replace(sheet, ink=sheet.ink * tooth * np.float32(rng.uniform(0.2, 0.5)))
    if heading:
        print_ = in_font(str(rng.choice(BOLD)), str.upper)
        above = _set(heading[0], print_, height * rng.uniform(0.5, 1.1), PENCIL.pen, rng)
        sheet = stacked(above, sheet, round(height * rng.uniform(0.5, 1.2)))
    photo, boxes = photograph(sheet, height, PENCIL, (0.4, 1.2), rng)
    return _picture(encoded(photo, PENCIL.jpeg, rng), text, boxes, sheet)


def pale(text: str, rng: np.random.Generator) -> Picture:
    """On black, sometimes, a white border runs around it."""
    height = _height((40, 120), rng)
    source = source_of(str(rng.choice(["font", "emnist", "strokes"])), rng)
    sheet = _set(text, source, height, (0.04, 0.12), rng)
    black = rng.random() < 0.5
    edge = round(height * rng.uniform(0.3, 0.9))
    border = edge // 2 if black and rng.random() < 0.4 else 0
    picture = _painted(sheet, _inks(len(sheet.rows), black, rng), black, edge)
    picture = np.pad(picture, ((border, border), (border, border), (0, 0)), constant_values=1.0)
    boxes = boxes_of(np.pad(sheet.owner, edge + border))
    return _picture(encoded(picture, (75, 95) if rng.random() < 0.5 else None, rng), text, boxes, sheet)


def _inks(count: int, black: bool, rng: np.random.Generator) -> np.ndarray:
    """Colours of so many letters, float32 (count, 3): a weak one for all, or one for each, weak or strong."""
    weak, strong = (DIM, LIGHT) if black else (PALE, STRONG)
    if rng.random() < 0.5:
        return np.tile(np.array(weak[rng.integers(len(weak))], np.float32), (count, 1))
    some = [weak if rng.random() < 0.6 else strong for _ in range(count)]
    return np.array([colours[rng.integers(len(colours))] for colours in some], np.float32)


def _painted(sheet: Sheet, inks: np.ndarray, black: bool, edge: int) -> np.ndarray:
    """The letters in their inks on black or white, with `edge` pixels around them: float32 (h, w, 3), 0 to 1."""
    ground = np.float32(not black)
    nearest = ndimage.distance_transform_edt(sheet.owner == 0, return_distances=False, return_indices=True)
    colours = inks[sheet.owner[tuple(nearest)] - 1]
    picture = ground + sheet.ink[..., None] * (colours - ground)
    return np.pad(picture, ((edge, edge), (edge, edge), (0, 0)), constant_values=ground)


def camera(text: str, rng: np.random.Generator) -> Picture:
    """Composed at twice its size, as a camera's pixels see what falls on all of them."""
    wide = int(rng.choice([160, 240, 320]))
    frame = 2 * wide, 2 * wide * 3 // 4
    lines = text.split("\n")
    height = min(0.9 * frame[0] / max(map(len, lines)), frame[1] / (1.8 * len(lines) + 1), 0.3 * frame[1])
    height *= rng.uniform(0.7, 1)
    sheet = _set(text, from_emnist, height, CAMERA.pen, rng)
    free = (frame[0] - sheet.ink.shape[1]) / 2 / height
    sides = (0.4, max(0.5, 0.95 * free))
    table = partial(paper.around, look=str(rng.choice(["dark", "wood"])), paper=((0.5, 4), sides))
    photo, boxes = photograph(sheet, height, CAMERA, (0, 0), rng, frame, table)
    small = photo.reshape(frame[1] // 2, 2, wide, 2, 3).mean(axis=(1, 3))
    small = ndimage.gaussian_filter(small, (*[rng.uniform(0.3, 0.7)] * 2, 0)) * rng.uniform(0.5, 1)
    halved = [(left // 2, top // 2, -(-right // 2), -(-bottom // 2)) for left, top, right, bottom in boxes]
    return _picture(encoded(small, (15, 40), rng), text, halved, sheet)


def marks(text: str, rng: np.random.Generator) -> Picture:
    """A mark or a digit after one letter in four, and at the end; sometimes several."""
    level = LEVELS[int(rng.integers(4))]
    height = _height((28, 120), rng)
    ends = {i for i, letter in enumerate(text, 1) if letter != "\n" and (i == len(text) or rng.random() < 0.25)}
    some = {i: "".join(rng.choice(list(MARKS), 2 if rng.random() < 0.2 else 1)) for i in sorted(ends)}
    text = "".join(letter + some.get(i, "") for i, letter in enumerate(text, 1))
    file = str(rng.choice(fonts.FACES))
    source = in_font(file, str.lower if rng.random() < 0.4 else str.upper) if rng.random() < 0.5 else from_emnist
    sheet = _set(text, with_marks(source, file), height, level.pen, rng)
    photo, boxes = photograph(sheet, height, level, (0.4, 1.2), rng)
    return _picture(encoded(photo, level.jpeg, rng), text, boxes, sheet)


def label(text: str, rng: np.random.Generator) -> Picture:
    """A sign is the negative of a label."""
    height = _height((24, 90), rng)
    source = in_font(str(rng.choice(fonts.FACES)), str.lower if rng.random() < 0.3 else str.upper)
    leading = height * rng.uniform(1.4, 1.9) if "\n" in text else 0.0
    gaps = 0.08 * height, 0.15 * height
    sheet = set_lines(text, height, gaps, lambda character: source(character, height, 0.0, rng), leading, rng)
    sides = (0.2, 0.8)
    table = partial(paper.around, look=str(rng.choice(["dark", "wood"])), paper=(sides, sides))
    photo, boxes = photograph(sheet, height, LABEL, (1.5, 6), rng, table=table)
    photo = 1 - photo if rng.random() < 0.5 else photo
    return _picture(encoded(photo, LABEL.jpeg, rng), text, boxes, sheet)


def lit(text: str, rng: np.random.Generator) -> Picture:
    """The highlighter takes away from the light what its ink does; it is wider than the line that it marks."""
    height = _height((28, 110), rng)
    sheet = _set(text, from_emnist, height, NOTE.pen, rng)
    photo, boxes = photograph(sheet, height, LIT, (0.4, 1), rng)
    lines = text.split("\n")
    number = int(rng.integers(len(lines)))
    first = sum(map(len, lines[:number]))
    left, top, right, bottom = np.array(boxes[first : first + len(lines[number])]).T
    rows = slice(max(0, int(top.min() - 0.2 * height)), int(bottom.max() + 0.2 * height))
    ends = rng.uniform(0, height, 2) if rng.random() < 0.5 else (photo.shape[1],) * 2
    columns = slice(max(0, int(left.min() - ends[0])), int(right.max() + ends[1]))
    colour = np.ones_like(photo)
    colour[rows, columns] = HIGHLIGHTERS[rng.integers(len(HIGHLIGHTERS))]
    photo = photo * ndimage.gaussian_filter(colour, (1, 1, 0))
    return _picture(encoded(photo, LIT.jpeg, rng), text, boxes, sheet)


def title(text: str, rng: np.random.Generator) -> Picture:
    heading, *lines = text.split("\n")
    height = _height((24, 40), rng)
    faces = BOLD if rng.random() < 0.5 else fonts.FACES
    source = from_emnist if rng.random() < 0.5 else in_font(str(rng.choice(faces)), str.upper)
    large = _set(heading, source, height * rng.uniform(2, 5), NOTE.pen, rng)
    small = _set("\n".join(lines), source, height, NOTE.pen, rng)
    sheet = stacked(large, small, round(height * rng.uniform(0.8, 2)))
    photo, boxes = photograph(sheet, height, LIT, (0.8, 2), rng)
    return _picture(encoded(photo, LIT.jpeg, rng), text, boxes, sheet)


def page(text: str, rng: np.random.Generator) -> Picture:
    """Set by Pillow, so that letters are as near to each other as their face has them."""
    inch = int(rng.choice([150, 200, 300, 400]))
    size = round(rng.uniform(10, 16) * inch / 72)
    font = ImageFont.truetype(str(rng.choice(fonts.FACES)), size)
    case = [str.lower, str.title, str.upper][int(rng.integers(3))]
    longest = max(font.getlength(case(line)) for line in text.split("\n"))
    font = font.font_variant(size=int(size * min(1.0, 7.2 * inch / longest)))
    sheet = Image.new("L", (round(8.27 * inch), round(11.69 * inch)), int(rng.integers(235, 256)))
    pen, ink, boxes = ImageDraw.Draw(sheet), int(rng.integers(20, 80)), list[Box]()
    for number, line in enumerate(text.split("\n")):
        left, top = 0.5 * inch, inch + 1.5 * size * number
        pen.text((left, top), case(line), ink, font)
        for at, letter in enumerate(case(line)):
            if letter != " ":
                box = pen.textbbox((left + font.getlength(case(line)[:at]), top), letter, font)
                boxes.append((round(box[0]), round(box[1]), round(box[2]), round(box[3])))
    grey = np.asarray(sheet.filter(ImageFilter.GaussianBlur(rng.uniform(0.6, 1.2) * inch / 300)), float)
    grey += rng.normal(0, rng.uniform(0, 6), grey.shape)
    return Picture(encoded(grey / 255, (75, 95), rng), text, tuple(boxes), (-1,) * len(boxes))


KINDS = {
    "note": Kind(note, (1, 3)),
    "far": Kind(partial(note, heights=(30, 110), margins=(3, 9)), (1, 3)),
    "crop": Kind(crop, (1, 1)),
    "pencil": Kind(pencil, (1, 2)),
    "pale": Kind(pale, (1, 2)),
    "camera": Kind(camera, (1, 3)),
    "marks": Kind(marks, (1, 2), single=False),
    "label": Kind(label, (1, 4), single=False),
    "lit": Kind(lit, (2, 3), single=False),
    "title": Kind(title, (2, 5), single=False),
    "page": Kind(page, (6, 14), single=False, words=8),
}


def words(kind: str, index: int, seed: int = 0) -> Picture:
    """Lines of words as of pictures.some_text."""
    rng = np.random.default_rng([seed, *kind.encode(), index, 0])
    count = rng.integers(*KINDS[kind].lines, endpoint=True)
    lines = [" ".join(some_text(rng) for _ in range(KINDS[kind].words)) for _ in range(count)]
    return KINDS[kind].compose("\n".join(lines), rng)


def letter(kind: str, index: int, seed: int = 0) -> Picture:
    """A single letter."""
    rng = np.random.default_rng([seed, *kind.encode(), index, 1])
    return KINDS[kind].compose(ascii_uppercase[index % 26], rng)
