"""What of a page is ink: a share of 0 to 1 for each pixel, whatever the light, the paper and the colours.

The paper is what closes over the strokes: a grey-level closing wider than they are. How wide they are is found by a
first, coarse look. Dividing by the paper takes shadows and gradients out (ink reflects a share of the light), and a
threshold on what is left, Otsu's or Sauvola's, tells ink from paper. Where the paper is all of one colour, as on a
screen, ink is what has another, however pale beside other ink. Elsewhere weak ink beside strong may be ink if it is as
large as letters are, and much beside what else is as weak: whoever reads tries both. A sensor's grain is ink in the
dark, until it is looked at through a blur: it falls apart there, which letters do not.
"""

from dataclasses import dataclass
from functools import cached_property
from typing import Any, NamedTuple

import numpy as np
from PIL import Image, ImageFilter
from scipy import ndimage
from skimage.filters import threshold_sauvola

from ..errors import LettergpuError
from .filters import (
    GREYS,
    THUMBNAIL,
    around,
    border_of,
    dark_on_light,
    evened,
    far_off,
    grain_of,
    labelled,
    mixed,
    of_letters,
    otsu,
    pieces_of,
    reduced,
    sizes_of,
    smoothed,
    stroke_width,
    varied,
)
from .page import is_drawing
from .rules import rules_of

THRESHOLDS = ("otsu", "sauvola")
FINE = 6.0  # pixels: strokes as wide as this are seen well enough, and what is between them
CLOSER = 384  # pixels of the long side of a second first look, where from farther off there is nothing
SOLID = 0.75  # of what is taken for strokes is ink in a closer look, or it is lines of small writing
NEAR = 12.0  # pixels: strokes as wide as this, and their surroundings, are enough to see the paper by
SMALL = 600  # pixels of the long side, up to which there is no time to be gained by it, and letters would be lost
LARGE = 1000  # pixels of the long side, up to which a picture of fine strokes is looked at enlarged
LEAST, SOFT, SHARPER = 0.6, 0.2, 0.1  # pixels, and strokes, the more, of the blur that is looked through,
SHARP = 0.3, 0.1  # and where no look is closer and the picture is not enlarged: small print runs together
FLAT, EVEN = 0.3, 0.3  # of a picture that has the colour of its border, and its grain at most, if it is no photo's
SEEN = 3.0  # pixels: strokes as wide as this are enough to look for weak ink beside strong,
WELL_OFF = 2.0  # strokes from it at least,
NOISE, WEAKEST, CLEARLY = 4.5, 0.05, 1.3  # whose contrast is so many times the paper's noise, so much, and above both
PART = 0.12  # and as much of it as this part of the strong
GRAINY = 3.0  # grey levels that pixels beside each other differ by, by chance,
CROWD = 20, 0.25  # and pieces of ink smaller than a letter, and for each that is not, from which on grain may be ink;
BLURS = 0.15, 0.25, 0.4  # pixels, for each level of grain, that it is looked at through
BOLD, TWO, MUCH, MOSTLY, SHARPLY = 64, 0.01, 0.05, 0.85, 0.1  # levels apart; of border, picture; in it as near to each
FAINTEST = 0.06  # contrast of ink against paper, below which a page counts as empty
EMPTY = "there is no letter in the picture"


@dataclass(frozen=True)
class Ink:
    """The ink of a page, seen as finely as its strokes need.

    share: float32 (height, width), 0 paper, 1 ink, in between at the edges. stroke: the width of a pen stroke in pixels
    of these. scale: pixels of the page to one of these. also: the share with weak ink beside the strong as dark as it,
    where there may be some.
    """

    share: np.ndarray
    stroke: float
    scale: float
    also: np.ndarray | None = None

    @property
    def mask(self) -> np.ndarray:
        """bool (height, width): what is ink rather than paper."""
        return self.share >= 0.5

    @cached_property
    def pieces(self) -> tuple[int, int]:
        """How many pieces of ink there are that are smaller than a letter, but no specks, and how many that are not."""
        return pieces_of(self.mask, self.stroke)


def find_ink(page: np.ndarray, binarize: str = "otsu", through: float = SOFT) -> Ink:
    """The ink of a page that has no end, uint8 RGB pixels (height, width, 3). binarize: one of THRESHOLDS.

    through: the blur to look through, in strokes; by SOFT bold print runs together, by SHARPER worn strokes fall apart.
    Paper is what the border is mostly made of: where a letter fills a picture, most of it may be ink.
    Raises LettergpuError where nothing stands out from the paper.
    """
    page, grain = (page, 0.0) if is_drawing(page) else (evened(page), grain_of(page))
    ink = _seen(page, binarize, grain, through)
    for blur in BLURS if grain > GRAINY * max(1.0, ink.scale) else ():
        crumbs, letters = ink.pieces
        if crumbs <= max(CROWD[0], CROWD[1] * letters):
            return ink
        softer = np.asarray(Image.fromarray(page).filter(ImageFilter.GaussianBlur(blur * grain)))
        blurred = _seen(softer, binarize, grain, through)
        ink = blurred if blurred.pieces[0] < crumbs / 2 else ink
    return ink


def two_toned(pixels: np.ndarray) -> list[Ink]:
    """What is dark, and what is light, in a picture (height, width, 3) whose border and most of whose pixels are both.

    Bold letters may fill a picture, so that they are wider than strokes are taken for: seen from afar they are large
    enough. None where there are more tones.
    """
    if np.ptp(border_of(pixels)) < BOLD:
        return []
    scale = -(-max(pixels.shape) // SMALL)
    grey = reduced(Image.fromarray(pixels), scale).mean(axis=2, dtype=np.float32)
    light = grey > otsu(grey)
    if not TWO < border_of(light).mean() < 1.0 - TWO or not MUCH < light.mean() < 1.0 - MUCH:
        return []
    low, high = (float(np.median(grey[tone])) for tone in (~light, light))
    if np.quantile(np.minimum(np.abs(grey - low), np.abs(grey - high)), MOSTLY) > SHARPLY * (high - low):
        return []
    dark = np.clip((high - grey) / (high - low), 0.0, 1.0)
    return [Ink(share, stroke_width(share >= 0.5), scale) for share in (dark, 1.0 - dark)]


def _seen(pixels: np.ndarray, binarize: str, grain: float, through: float) -> Ink:
    """The ink of such pixels as they are, of a picture of this grain."""
    if grain < EVEN and (off := _off_flat_paper(pixels)) is not None:
        return _ink(255 - off, GREYS, binarize, through, flat=True)
    mixture = dark_on_light(pixels)
    ink = _ink(pixels, mixture, binarize, through)
    if (of_border := border_of(ink.mask).mean()) > 0.5:
        try:
            inverse = _ink(pixels, -mixture, binarize, through)
        except LettergpuError:
            return ink
        return inverse if border_of(inverse.mask).mean() < of_border else ink
    return ink


def _off_flat_paper(pixels: np.ndarray) -> np.ndarray | None:
    """How far each of these pixels (height, width, 3) is from the one colour that the border and many of them have.

    As `far_off` has it; None where there is none.
    """
    border = border_of(pixels) // 8
    counts = np.bincount(border @ (1024, 32, 1))
    if counts.max() <= 0.5 * counts.sum():
        return None
    off = far_off(pixels, np.array(np.unravel_index(counts.argmax(), (32, 32, 32))).astype(np.uint8) * 8 + 4)
    step = -(-max(pixels.shape) // 500)  # enough to tell by
    return off if (off[::step, ::step] <= 4).mean() > FLAT else None


def _ink(pixels: np.ndarray, mixture: np.ndarray, binarize: str, through: float, flat: bool = False) -> Ink:
    """The ink, where the colours are mixed so that it is darker than paper."""
    for side in (THUMBNAIL, CLOSER):  # small writing in a large picture is seen but closely
        look = _first_look(pixels, mixture, through, flat, side)
        box = varied(look.seen, 2 * int(2.0 * look.stroke) + 3) if flat else np.s_[:, :]
        found = _shares(smoothed(look.seen[box], look.blur), look.near[box], look.stroke, binarize, flat)
        if found:
            share = np.zeros(look.seen.shape, np.float32)
            share[box], also = found
            return Ink(share, max(1.0, stroke_width(share >= 0.5)), look.scale, also)
        if max(pixels.shape) <= side:
            break
    raise LettergpuError(EMPTY)


class _Look(NamedTuple):
    """seen: grey values, ink the darker; near: where it may be, (height, width) both; blur: in pixels, to see it by."""

    seen: np.ndarray
    near: np.ndarray
    stroke: float
    scale: float
    blur: float


def _first_look(pixels: np.ndarray, mixture: np.ndarray, through: float, flat: bool, side: int) -> _Look:
    """From a thumbnail on, each look is twice as fine, and knows from the one before how wide the strokes are.

    From afar lines of small writing are strokes; a closer look, enlarged if they are fine now, finds little to be ink.
    """
    darkest = 255.0 * np.minimum(mixture, 0.0).sum() - 8.0  # 8, so that noise in the dark is no contrast
    scale: float = 1 << max(0, (max(pixels.shape) // side).bit_length() - 1)
    finest = 0.5 if max(pixels.shape) <= LARGE else 1.0
    long_side = max(pixels.shape) / scale
    width, stroke, smooth = max(9.0, long_side / 6), 0.0, max(0.6, long_side / 200)
    image = Image.fromarray(pixels)

    def look(scale: float, width: float, smooth: float) -> tuple[np.ndarray, np.ndarray]:
        seen = mixed(pixels if scale == 1 else reduced(image, scale), mixture) - darkest
        grey = smoothed(seen, smooth)
        contrast = 1.0 - grey / _paper(grey, width, flat)
        part = contrast[varied(contrast, 1)]  # where many pixels are alike, they are counted at once
        return seen, contrast > otsu(part, contrast.size - part.size)

    while True:
        seen, mask = look(scale, width, smooth)
        found = stroke_width(mask)
        stroke = max(1.0, found, 0.75 * stroke)
        if scale == finest:
            break
        if stroke >= FINE:
            closer = max(finest if found < FINE else 1.0, scale / 4)
            if closer >= scale:
                break
            _, ink = look(closer, 6.0 * stroke * scale / closer + 3.0, 0.6)
            within = np.asarray(Image.fromarray(mask).resize(ink.shape[::-1], Image.Resampling.NEAREST))
            if not within.any() or ink[within].mean() > SOLID:
                break
            scale, stroke = 2.0 * closer, stroke_width(ink & within) / 2
        scale /= 2
        stroke *= 2.0
        part = SHARP[1] if scale == finest == 1.0 else through
        width, smooth = 6.0 * stroke + 3.0, max(LEAST, part * stroke)
    near = around(np.maximum, mask, 2 * int(2.0 * stroke) + 3)
    smooth = max(SHARP[0], SHARP[1] * found) if scale == finest == 1.0 else max(LEAST, through * stroke)
    return _Look(seen, near, stroke, scale, smooth)


def _shares(
    seen: np.ndarray, near: np.ndarray, stroke: float, binarize: str, flat: bool
) -> tuple[np.ndarray, np.ndarray | None] | None:
    """How much of each pixel is ink, and also, as `Ink` has it; None where nothing stands out. near: where ink may be.

    flat: the paper has one colour, so that what is weak beside other ink is ink, too.
    """
    contrast = 1.0 - seen / _paper(seen, 6.0 * stroke + 3.0, flat)
    ink = contrast > otsu(contrast[near]) if near.any() else near
    if not ink.any() or not (near & ~ink).any():
        return None
    low, high = np.median(contrast[near & ~ink]), np.percentile(contrast[ink], 60)
    if high - low < FAINTEST:
        return None
    window = 2 * int(4.0 * stroke) + 3 if binarize == "sauvola" else 0
    if flat:
        high = np.maximum(around(np.maximum, contrast, 2 * int(stroke) + 1), low + 2 * FAINTEST)
        return _share(contrast, low, high, window), None
    weak = _high(contrast, low, high, stroke)
    return _share(contrast, low, high, window), None if weak is None else _share(contrast, low, weak, window)


def _share(contrast: np.ndarray, low: float, high: Any, window: int) -> np.ndarray:
    """The share between paper's contrast and ink's, float32 (height, width). window: of Sauvola's threshold, if any."""
    middle = (low + high) / 2
    if window:
        white = 1.0 - np.clip((contrast - low) / (high - low), 0.0, 1.0)
        middle = low + (high - low) * np.clip(1.0 - threshold_sauvola(white, window, k=0.4, r=0.5), 0.4, 0.7)
    return np.asarray(np.clip(0.5 + (contrast - middle) / (0.8 * (high - low)), 0.0, 1.0), np.float32)


def _high(contrast: np.ndarray, low: float, high: float, stroke: float) -> np.ndarray | None:
    """The contrast of ink at each place, where there may be weak ink, as a pencil's, beside the strong.

    That has letters' sizes, is much, and stands out from the paper, whose edges, folds and other side are less.
    """
    step = max(1, int(stroke / SEEN))
    seen, stroke = contrast[::step, ::step], stroke / step
    strong = seen > (low + high) / 2
    tall = sizes_of(ndimage.find_objects(labelled(strong)[0]))[0]
    far = ~around(np.maximum, strong, 2 * int(WELL_OFF * stroke) + 1)
    if not far.any() or not (tall > 2 * stroke).any():
        return None
    letter = float(np.median(tall[tall > 2 * stroke]))
    paper = np.median(seen[far])
    least = paper + max(NOISE * float(np.median(np.abs(seen[far] - paper))), WEAKEST / 2)
    weak = far & (seen > least)
    weak = of_letters(weak & ~rules_of(weak, stroke), letter, stroke, PART * strong.sum())
    weaker = np.percentile(seen[weak], 60) if weak.any() else 0.0
    if weaker - low < WEAKEST or weaker < CLEARLY * least:
        return None
    near = far & around(np.maximum, weak, 2 * int(2.0 * stroke) + 3)
    height, width = contrast.shape
    return np.where(near.repeat(step, axis=0).repeat(step, axis=1)[:height, :width], weaker, high)


def _paper(grey: np.ndarray, width: float, flat: bool) -> Any:
    """The page without its ink: closed over strokes up to this width, then smoothed. flat: it has one brightness.

    It is so smooth that where strokes are wide it is seen well enough from afar.
    """
    if flat:
        return grey.max()
    step = max(1, int(width / NEAR)) if max(grey.shape) > SMALL else 1
    image = Image.fromarray(np.float32(grey))
    seen = np.asarray(image.reduce(step)) if step > 1 else grey
    size = 2 * int(width / step / 2) + 1
    closed = around(np.minimum, around(np.maximum, seen, size), size)
    paper = np.maximum(ndimage.uniform_filter(closed, max(3, size // 2), mode="nearest"), 1.0)
    if step == 1:
        return paper
    box = 0, 0, image.width / step, image.height / step
    return np.asarray(Image.fromarray(paper).resize(image.size, Image.Resampling.BILINEAR, box))
