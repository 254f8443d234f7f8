"""A letter's ink as the image that EMNIST would hold of it (Cohen et al. 2017, arXiv:1702.05373, section II-B).

EMNIST blurs the binary scan, crops it to the letter, centres it in a square with its aspect kept, leaves a border of
2 pixels and resizes it to 28x28. Pens differ more than NIST's did, so strokes too thin or too thick for it are brought
to the width of its own. The report's own way ("Our workaround") is another.
"""

import math
from collections.abc import Iterable
from typing import Any

import numpy as np
from PIL import Image
from scipy import ndimage
from scipy.cluster.vq import kmeans2

from ..data import SIDE
from ..errors import LettergpuError
from .filters import border_of
from .ink import EMPTY

LONG = 23.0  # pixels between the outer edges of a letter, half-way up, along its longer side
STROKES = (1.5, 4.0)  # pixels: the widths that EMNIST's strokes have, most of them
BLUR = 0.55  # pixels
LARGE = 400  # pixels: of what is longer every second, third... is enough to make 28 of
REPORTS_SIDE = 300  # pixels a side of what the report clusters
REPORTS_BLUR = 0.7  # pixels; the report does not give its own


def to_emnist(share: np.ndarray, stroke: float) -> np.ndarray:
    """uint8 (28, 28), light on dark. share: ink (height, width) of this letter alone, 0 to 1; stroke: its width."""
    image: np.ndarray = all_to_emnist([share], stroke)[0]
    return image


def all_to_emnist(shares: Iterable[np.ndarray], stroke: float) -> np.ndarray:
    """uint8 (letters, 28, 28), each as by `to_emnist`; all at once, as SciPy's filter takes a while to begin."""
    squares = np.stack([_squared(share, stroke) for share in shares])
    blurred = ndimage.gaussian_filter(squares, (0, BLUR, BLUR))
    darkest = np.maximum(blurred.max(axis=(1, 2), keepdims=True), 1e-6)
    return (np.clip(blurred / darkest, 0.0, 1.0) * 255).astype(np.uint8)


def _squared(share: np.ndarray, stroke: float) -> np.ndarray:
    """A letter in the middle of float32 (28, 28), its strokes as wide as EMNIST's may be."""
    if (factor := max(share.shape) // (LARGE // 2)) > 1 and max(share.shape) > LARGE:
        share, stroke = np.asarray(Image.fromarray(np.float32(share)).reduce(factor)), max(stroke / factor, 1.0)
        share = share / max(share.max(), 1e-6)  # what is thinner than a pixel of these stays ink
    mask = share >= 0.5
    rows, columns = np.flatnonzero(mask.any(axis=1)), np.flatnonzero(mask.any(axis=0))
    share = share[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1]
    height, width = share.shape
    long = max(height, width)
    scale = LONG / long
    wanted = min(max(stroke * scale, STROKES[0]), STROKES[1])
    # strokes that grow by `more` on each side make the letter longer too, so that its scale falls
    more = (wanted * long - LONG * stroke) / (2.0 * (LONG - wanted))
    side = (long + 2.0 * max(more, -long / 4)) * SIDE / LONG
    close = int(abs(more)) + 2  # beside the ink: distances farther away are of no account, and take most of the time
    down, across = (max(close, math.ceil((side - length) / 2)) for length in (height, width))
    paper = np.zeros((height + 2 * down, width + 2 * across), np.float32)
    paper[down : down + height, across : across + width] = share
    if abs(more) > 0.25:
        near = paper[down - close : down + height + close, across - close : across + width + close]
        near[...] = _evened(near >= 0.5, more)
    image = Image.fromarray(paper)
    middle = image.width / 2, image.height / 2
    box = middle[0] - side / 2, middle[1] - side / 2, middle[0] + side / 2, middle[1] + side / 2
    return np.asarray(image.resize((SIDE, SIDE), Image.Resampling.BICUBIC, box=box))


def _evened(mask: np.ndarray, more: float) -> Any:
    """The ink (height, width) of strokes that grow by so many pixels on each side, or shrink."""
    # what of the ink is dark and of the paper light already stays so, however far from the edge
    to_edge = ndimage.distance_transform_edt
    distance = mask - to_edge(~mask) if more > 0 else to_edge(mask) - ~mask
    return np.clip(0.5 + distance - np.sign(distance) * 0.5 + more, 0.0, 1.0)


def as_the_report_did(pixels: np.ndarray) -> np.ndarray:
    """uint8 (28, 28), light on dark, of a whole picture, uint8 (height, width, 3), as one letter.

    300 x 300, K-means of its colours with K = 2, 28 x 28, Gaussian blur. The larger cluster is background, 0, the other
    foreground, 1. Raises LettergpuError where there is one colour only.
    """
    fixed = Image.fromarray(pixels).resize((REPORTS_SIDE, REPORTS_SIDE), Image.Resampling.BICUBIC)
    colours = np.asarray(fixed, np.float64).reshape(-1, 3)
    sums = colours.sum(axis=1)
    start = colours[[sums.argmin(), sums.argmax()]]  # not by chance, so that an answer can be had again
    if (start[0] == start[1]).all():
        raise LettergpuError(EMPTY)
    _, cluster = kmeans2(colours, start, minit="matrix", iter=20)
    foreground = cluster == (cluster.mean() < 0.5)
    binary = Image.fromarray(np.float32(foreground.reshape(REPORTS_SIDE, REPORTS_SIDE)))
    small = np.asarray(binary.resize((SIDE, SIDE), Image.Resampling.BICUBIC))
    blurred = np.clip(ndimage.gaussian_filter(small, REPORTS_BLUR), 0.0, 1.0)
    return (blurred * 255).astype(np.uint8)


def has_emnists_form(pixels: np.ndarray) -> bool:
    """Whether uint8 (height, width, 3) are 28x28, grey, light on dark, most of the border dark."""
    if pixels.shape != (SIDE, SIDE, 3) or np.ptp(pixels, axis=2).any():
        return False
    grey = pixels[..., 0]
    return bool((border_of(grey) > 32).mean() <= 0.1 and grey.max() >= 128)
