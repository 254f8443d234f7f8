"""What of a page is ink: a share of 0 to 1 for each pixel, whatever the light, the paper and the colours.

The paper is what closes over the strokes: a grey-level closing wider than they are. How wide they are is found by a
first, coarse look. Dividing by the paper takes shadows and gradients out (ink reflects a share of the light), and a
threshold on what is left, Otsu's or Sauvola's, tells ink from paper.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
from PIL import Image
from scipy import ndimage
from skimage.filters import threshold_otsu, threshold_sauvola

from ..errors import LettergpuError
from .page import on_paper

THRESHOLDS = ("otsu", "sauvola")
THUMBNAIL = 96  # pixels of the long side, on which colours and polarity are decided and the first look is taken
FINE = 6.0  # pixels: strokes as wide as this are seen well enough, and what is between them
FAINTEST = 0.06  # contrast of ink against paper, below which a page counts as empty
EMPTY = "there is no letter in the picture"


@dataclass(frozen=True)
class Ink:
    """The ink of a page, seen as finely as its strokes need.

    share: float32 (height, width), 0 paper, 1 ink, in between at the edges. stroke: the width of a pen stroke in pixels
    of these. scale: pixels of the page to one of these.
    """

    share: np.ndarray
    stroke: float
    scale: int

    @property
    def mask(self) -> np.ndarray:
        """bool (height, width): what is ink rather than paper."""
        return self.share >= 0.5


def find_ink(pixels: np.ndarray, binarize: str = "otsu") -> Ink:
    """The ink of a page of uint8 RGB pixels (height, width, 3). binarize: otsu or sauvola.

    Paper is what the border is mostly made of: where a letter fills a picture, most of it may be ink.
    Raises LettergpuError where nothing stands out from the paper.
    """
    pixels = on_paper(pixels)
    mixture = _dark_on_light(pixels)
    ink = _ink(pixels, mixture, binarize)
    if (of_border := _along_border(ink)) > 0.5:
        try:
            inverse = _ink(pixels, -mixture, binarize)
        except LettergpuError:
            return ink
        return inverse if _along_border(inverse) < of_border else ink
    return ink


def _ink(pixels: np.ndarray, mixture: np.ndarray, binarize: str) -> Ink:
    """The ink, where the colours are mixed so that it is darker than paper."""
    seen, near, stroke, scale = _first_look(pixels, mixture)
    share = _share(seen, near, stroke, binarize)
    return Ink(share, max(1.0, stroke_width(share >= 0.5)), scale)


def _along_border(ink: Ink) -> float:
    """How much of the border is ink."""
    mask = ink.mask
    return float(np.concatenate([mask[0], mask[-1], mask[:, 0], mask[:, -1]]).mean())


def _first_look(pixels: np.ndarray, mixture: np.ndarray) -> tuple[np.ndarray, np.ndarray, float, int]:
    """Grey values, ink the darker, as finely as the strokes need; where ink may be, (height, width) both; Ink's rest.

    From a thumbnail on, each look is twice as fine, and knows from the one before how wide the strokes are.
    """
    darkest = 255.0 * np.minimum(mixture, 0.0).sum() - 8.0  # 8, so that noise in the dark is no contrast
    scale = 1 << max(0, (max(pixels.shape) // THUMBNAIL).bit_length() - 1)
    long_side = max(pixels.shape) / scale
    width, stroke, smooth = max(9.0, long_side / 6), 0.0, max(0.6, long_side / 200)
    while True:
        seen = _reduced(pixels, scale) @ mixture - darkest
        smoothed = ndimage.gaussian_filter(seen, smooth)
        contrast = 1.0 - smoothed / _paper(smoothed, width)
        mask = contrast > _threshold(contrast)
        stroke = max(1.0, stroke_width(mask), 0.75 * stroke)
        if scale == 1 or stroke >= FINE:
            break
        scale //= 2
        stroke *= 2.0
        width, smooth = 6.0 * stroke + 3.0, max(0.6, 0.2 * stroke)
    near = ndimage.uniform_filter(np.float32(mask), 2 * int(2.0 * stroke) + 3) > 1e-4
    return seen, near, stroke, scale


def _share(seen: np.ndarray, near: np.ndarray, stroke: float, binarize: str) -> np.ndarray:
    """How much of each pixel is ink, float32 (height, width). near: where ink may be, with some paper around it."""
    seen = ndimage.gaussian_filter(seen, max(0.6, 0.2 * stroke))
    contrast = 1.0 - seen / _paper(seen, 6.0 * stroke + 3.0)
    ink = contrast > threshold_otsu(contrast[near]) if near.any() else near
    if not ink.any() or not (near & ~ink).any():
        raise LettergpuError(EMPTY)
    low, high = np.median(contrast[near & ~ink]), np.percentile(contrast[ink], 60)
    if high - low < FAINTEST:
        raise LettergpuError(EMPTY)
    middle = (low + high) / 2
    if binarize == "sauvola":
        white = 1.0 - np.clip((contrast - low) / (high - low), 0.0, 1.0)
        window = 2 * int(4.0 * stroke) + 3
        middle = low + (high - low) * np.clip(1.0 - threshold_sauvola(white, window, k=0.4, r=0.5), 0.4, 0.7)
    return np.clip(0.5 + (contrast - middle) / (0.8 * (high - low)), 0.0, 1.0).astype(np.float32)


def _dark_on_light(pixels: np.ndarray) -> np.ndarray:
    """How to mix the colours (3,) so that ink and paper differ most, ink the darker.

    Paper is most of a page, so ink is to which side pixels stand out from what is around them.
    """
    small = _reduced(pixels, -(-max(pixels.shape) // THUMBNAIL)).astype(np.float32)
    window = max(small.shape) // 4 + 1
    off = small - ndimage.uniform_filter(small, (window, window, 0), mode="nearest")
    mixture = np.linalg.eigh(np.tensordot(off, off, ((0, 1), (0, 1))))[1][:, -1].astype(np.float32)
    mixture /= np.abs(mixture).sum()
    return -mixture if ((off @ mixture) ** 3).sum() > 0 else mixture


def _reduced(pixels: np.ndarray, factor: int) -> np.ndarray:
    """Means of factor x factor pixels."""
    return pixels if factor == 1 else np.asarray(Image.fromarray(pixels).reduce(factor))


def _paper(grey: np.ndarray, width: float) -> np.ndarray:
    """The page without its ink: closed over strokes up to this width, then smoothed."""
    size = 2 * int(width / 2) + 1
    closed = ndimage.grey_closing(grey, size=(size, size), mode="nearest")
    return np.maximum(ndimage.uniform_filter(closed, max(3, size // 2), mode="nearest"), 1.0)


def _threshold(contrast: np.ndarray) -> Any:
    return threshold_otsu(contrast) if np.ptp(contrast) > 0 else 1.0


def stroke_width(mask: np.ndarray) -> float:
    """The median width of the strokes: twice the distance to the paper along their middle."""
    distance = ndimage.distance_transform_cdt(np.pad(mask, 1))
    middle = (distance == ndimage.maximum_filter(distance, 3)) & (distance > 0)
    return 2.0 * float(np.median(distance[middle])) - 1.0 if middle.any() else 0.0
