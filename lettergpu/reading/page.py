"""Where in a picture there is paper: a sheet that lies on something darker, as people photograph one.

What lies around it would be taken for ink, or decide which of two is the paper. It is replaced by paper, that of the
nearest place on the sheet, so that whoever looks for ink sees a page that has no end.
"""

from typing import NamedTuple

import numpy as np
from PIL import Image
from scipy import ndimage
from skimage.filters import threshold_otsu
from skimage.morphology import convex_hull_image

SIDE = 192  # pixels of the long side, on which the sheet is looked for
LETTER = 12  # a letter is narrower than the long side by at least this factor, or there is no room for a table
EDGE = 3  # pixels of these that are left out within the sheet's edge, which is torn, bent or in shadow
DARKER = 0.5  # of the paper's brightness: what surrounds a sheet has less, a shadow on it has more
STEP = 0.35  # of it: how much falls off right at the edge; along a shadow it falls off slowly
LEAST, MOST = 0.3, 0.98  # of the picture that is sheet
CONVEX = 0.75  # of its convex hull that a sheet fills; a torn one has less than 1
FAINT, WRITTEN = 0.08, 0.002  # contrast of ink on it, and how much of it is ink at least: a letter may fill a picture
INKED = 0.25  # of a sheet that is ink at most; bright writing on the dark has as much dark between its strokes
BOARD_INKED, RECTANGLE = 0.5, 0.95  # of a dark board; of its bounding box that it fills, where a letter does not


class _Seen(NamedTuple):
    """small: the picture, float (height, width, 3), a pixel for factor x factor. sheet: bool (height, width)."""

    small: np.ndarray
    sheet: np.ndarray
    window: int


def on_paper(pixels: np.ndarray) -> np.ndarray:
    """The picture (height, width, 3), uint8, with paper for what is around its sheet; or as it is without one.

    A dark board or window with bright writing on it is a sheet, too, if it is a rectangle.
    """
    if seen := _sheet(pixels, INKED):
        return _endless(pixels, seen)
    if (pixels[::8, ::8] < 160).mean() < LEAST * (1.0 - BOARD_INKED):
        return pixels  # so little of it is dark that there is no board, which need not be looked for
    negative = 255 - pixels
    if (seen := _sheet(negative, BOARD_INKED)) and _box_filled(seen.sheet) > RECTANGLE:
        return 255 - _endless(negative, seen)
    return pixels


def _endless(pixels: np.ndarray, seen: _Seen) -> np.ndarray:
    """The picture with the sheet's paper for all that is not on it."""
    inner = ndimage.binary_erosion(seen.sheet, iterations=EDGE, border_value=1)
    if not inner.any():
        return pixels
    paper = _mean_within(seen.small, inner, seen.window)
    nearest = ndimage.distance_transform_edt(~inner, return_distances=False, return_indices=True)
    paper, kept = (_enlarged(part, pixels) for part in (paper[tuple(nearest)], 255.0 * inner))
    return np.where(kept[..., None] > 127, pixels, paper)


def _box_filled(sheet: np.ndarray) -> float:
    """How much of its bounding box a sheet, bool (height, width), is."""
    rows, columns = sheet.any(axis=1).sum(), sheet.any(axis=0).sum()
    return float(sheet.sum() / (rows * columns))


def _sheet(pixels: np.ndarray, inked: float) -> _Seen | None:
    """The bright, compact region with a sharp edge and dark surroundings, ink included; None if there is none."""
    factor = -(-max(pixels.shape) // SIDE)
    small = np.asarray(Image.fromarray(pixels).reduce(factor), np.float32)
    bright = ndimage.gaussian_filter((small.max(axis=2) + small.mean(axis=2)) / 2, 1.0)  # white before colours
    window = 2 * (max(bright.shape) // (2 * LETTER)) + 1
    paper = _without_ink(bright, window)
    if min(paper.shape) < 4 * EDGE or np.ptp(paper) < 16:
        return None
    threshold = threshold_otsu(paper)
    regions, count = ndimage.label(ndimage.binary_opening(paper > threshold, iterations=EDGE))
    if not count:
        return None
    sheet = ndimage.binary_fill_holes(regions == 1 + np.argmax(np.bincount(regions.ravel())[1:]))
    if not LEAST <= sheet.mean() <= MOST:
        return None
    within = sheet & ~ndimage.binary_erosion(sheet, iterations=5, border_value=1)
    beside = ndimage.binary_dilation(sheet, iterations=5) & ~sheet
    inside, outside = np.median(paper[sheet]), np.median(paper[~sheet])
    falls = np.median(paper[within]) - np.median(paper[beside])
    core = ndimage.binary_erosion(sheet, iterations=5, border_value=1)
    written = (bright[core] < (1.0 - FAINT) * paper[core]).mean() >= WRITTEN if core.any() else False
    lies = outside < DARKER * inside and falls > STEP * inside and (bright[sheet] < threshold).mean() <= inked
    compact = sheet.sum() >= CONVEX * convex_hull_image(sheet).sum()
    return _Seen(small, sheet, window) if lies and compact and written else None


def _without_ink(grey: np.ndarray, window: int) -> np.ndarray:
    """Closed over what is dark and narrower than the window; a dark strip along the border is the end of more."""
    wide = np.pad(grey, window, mode="edge")
    return ndimage.grey_closing(wide, size=(window, window))[window:-window, window:-window]


def _mean_within(small: np.ndarray, inner: np.ndarray, window: int) -> np.ndarray:
    """The paper's colour around each place, (height, width, 3), of what is inner alone."""
    weight = np.maximum(ndimage.uniform_filter(inner.astype(np.float32), window), 1e-6)
    colours = [np.where(inner, _without_ink(small[..., i], window), 0.0) for i in range(3)]
    return np.stack([ndimage.uniform_filter(colour, window) / weight for colour in colours], axis=-1)


def _enlarged(small: np.ndarray, pixels: np.ndarray) -> np.ndarray:
    """To the size of the picture, uint8."""
    image = Image.fromarray(np.clip(small, 0, 255).astype(np.uint8))
    return np.asarray(image.resize(pixels.shape[1::-1], Image.Resampling.BILINEAR))
