"""Pictures of letters whose truth is known: composed, because no collection of photos with their truth can be had.

Letters (glyphs.py: real ones of EMNIST's test file, of fonts, drawn in strokes) are set as words (sheet.py) onto paper
(paper.py) and photographed (camera.py), at five levels of difficulty (levels.py). A picture is a function of (seed,
level, index) and its source alone.

    python bench/accuracy/pictures.py DIR [--source emnist|enlarged|font|strokes] [--count 12]    # contact sheets
"""

import argparse
import io
import math
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from string import ascii_uppercase

import numpy as np
from camera import Box, encoded, photograph
from glyphs import REAL, SOURCES, Glyph, Source, from_emnist, from_row, source_of, test_letters
from levels import LEVELS, Level, Range
from PIL import Image, ImageDraw, ImageFont
from sheet import set_lines

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


def some_text(rng: np.random.Generator) -> str:
    """A word of 3 to 9 letters, most from WORDS."""
    if rng.random() < RANDOM:
        return "".join(rng.choice(list(ascii_uppercase), rng.integers(3, 10)))
    return str(rng.choice(WORDS))


def _draw(source: Source, height: float, level: Level, rng: np.random.Generator) -> Callable[[str], Glyph]:
    """Letters of this source by one pen, at least as wide as a camera can see."""
    pen = max(height * rng.uniform(*level.pen), 1.8)
    return lambda character: source(character, height, pen, rng)


def word(level: int, index: int, seed: int = 0, source: str = "emnist") -> Picture:
    """A word of some_text. source: one of SOURCES."""
    rng = np.random.default_rng([seed, level, index, 0])
    text = some_text(rng)
    gaps = (0.05, 0.15) if source == "font" else LEVELS[level].gap
    return _compose(text, level, source_of(source, rng), gaps, (0.4, 1.2), rng)


def letter(level: int, index: int, seed: int = 0, source: str = "emnist") -> Picture:
    """A single letter in the middle of its own small paper. No test image comes twice before all have come."""
    rng = np.random.default_rng([seed, level, index, 1])
    if source not in REAL:
        return _compose(ascii_uppercase[index % 26], level, source_of(source, rng), (0, 0), (0.3, 0.9), rng)
    row = int(_order(seed, level)[index % len(test_letters())])
    text = ascii_uppercase[test_letters().labels[row]]
    return _compose(text, level, from_row(row, source == "enlarged"), (0, 0), (0.3, 0.9), rng)


@cache
def _order(seed: int, level: int) -> np.ndarray:
    return np.random.default_rng([seed, level]).permutation(len(test_letters()))


def _compose(text: str, level: int, source: Source, gaps: Range, margin: Range, rng: np.random.Generator) -> Picture:
    how = LEVELS[level]
    height = math.exp(rng.uniform(*np.log(how.height)))
    gaps = gaps[0] * height, gaps[1] * height
    sheet = set_lines(text, height, gaps, _draw(source, height, how, rng), 0, rng)
    picture, boxes = photograph(sheet, height, how, margin, rng)
    return Picture(encoded(picture, how.jpeg, rng), text, tuple(boxes), tuple(sheet.rows))


def photo(index: int = 0, seed: int = 0, level: int = 3, lines: int = 6) -> Picture:
    """A photo of 12 megapixels, 4000 x 3000, of a note of some lines of words."""
    rng = np.random.default_rng([seed, level, index, 2])
    how = LEVELS[level]
    text = "\n".join(" ".join(rng.choice([w for w in WORDS if len(w) < 8], 2)) for _ in range(lines))
    height = min(2000 / (1.8 * lines + 1), 2600 / max(len(line) for line in text.split("\n")))
    draw = _draw(from_emnist, height, how, rng)
    sheet = set_lines(text, height, (how.gap[0] * height, how.gap[1] * height), draw, 1.6 * height, rng)
    picture, boxes = photograph(sheet, height, how, (0.5, 1), rng, (4000, 3000))
    return Picture(encoded(picture, how.jpeg, rng), text, tuple(boxes), tuple(sheet.rows))


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
