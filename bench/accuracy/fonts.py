"""Fonts: which there are, and a character drawn in one."""

from collections.abc import Sequence
from functools import cache
from pathlib import Path

import matplotlib
import numpy as np
from matplotlib.font_manager import findSystemFonts
from PIL import Image, ImageDraw, ImageFont

NAMES = """
DejaVuSans DejaVuSans-Bold DejaVuSans-Oblique DejaVuSerif DejaVuSerif-Bold DejaVuSerif-Italic DejaVuSansMono
STIXGeneral STIXGeneralBol STIXGeneralItalic cmr10 cmb10 cmss10 cmtt10
"""
FACES = [str(Path(matplotlib.get_data_path()) / "fonts" / "ttf" / f"{name}.ttf") for name in NAMES.split()]
# of FACES, which nothing learns from, and such as have no letters or strange ones
OTHERS = "dejavu", "stix", "cmr", "awesome", "symbol", "dingbat", "emoji", "d050000l", "texgyre", "math"
LARGE = 90  # a size in pixels, of which a character is to be made smaller
CAPITAL = 0.7  # the height of a capital, of a font's size


def of_system(folders: Sequence[str] = ()) -> list[str]:
    """The files of fonts in these folders, or of the system, but for those that pictures.py sets its pictures in.

    Raises SystemExit where there are no others: nothing can be learned from them.
    """
    found = {Path(file) for file in findSystemFonts(list(folders) or None)}
    files = sorted(str(file) for file in found if not any(word in str(file).lower() for word in OTHERS))
    if not files:
        raise SystemExit("there are no fonts but those of pictures.py: install some, or name --fonts FOLDER")
    return files


@cache
def _face(file: str, size: int) -> ImageFont.FreeTypeFont:
    return ImageFont.truetype(file, size)


def drawn(character: str, file: str, size: int, around: int = 4, thicker: int = 0) -> tuple[Image.Image, int]:
    """A character of a font, and how far it hangs below the baseline, in pixels.

    The image has 8 bits a pixel, ink 255, and `around` pixels without any on each side of where the font says that the
    character is, of which strokes that are `thicker` pixels wider take some.
    """
    font = _face(file, size)
    left, top, right, bottom = (int(side) for side in font.getbbox(character, anchor="ls"))
    image = Image.new("L", (right - left + 2 * around, bottom - top + 2 * around))
    ImageDraw.Draw(image).text((around - left, around - top), character, 255, font, anchor="ls", stroke_width=thicker)
    return image, bottom


def opacity(image: Image.Image) -> np.ndarray:
    """Of an image's ink: float32 (height, width), 0 to 1."""
    return np.asarray(image, np.float32) / 255
