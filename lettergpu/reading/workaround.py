"""What the report does with a picture of a letter ("Our workaround"), step by step."""

import numpy as np
from PIL import Image
from scipy import ndimage
from scipy.cluster.vq import kmeans2

from ..data import SIDE
from ..errors import LettergpuError
from .ink import EMPTY
from .pictures import Page
from .sheet import Glyph

FIXED = 300  # pixels a side
BLUR = 0.7  # pixels; the report does not give its own


def as_the_report_did(page: Page) -> Glyph:
    """The whole picture as one letter: 300 x 300, K-means of its colours with K = 2, 28 x 28, Gaussian blur.

    The larger cluster is background, 0, the other foreground, 1. Raises LettergpuError where there is one colour only.
    """
    fixed = Image.fromarray(page.pixels).resize((FIXED, FIXED), Image.Resampling.BICUBIC)
    colours = np.asarray(fixed, np.float64).reshape(-1, 3)
    sums = colours.sum(axis=1)
    start = colours[[sums.argmin(), sums.argmax()]]  # not by chance, so that an answer can be had again
    if (start[0] == start[1]).all():
        raise LettergpuError(EMPTY)
    _, cluster = kmeans2(colours, start, minit="matrix", iter=20)
    foreground = cluster == (cluster.mean() < 0.5)
    binary = Image.fromarray(np.float32(foreground.reshape(FIXED, FIXED)))
    small = np.asarray(binary.resize((SIDE, SIDE), Image.Resampling.BICUBIC))
    blurred = np.clip(ndimage.gaussian_filter(small, BLUR), 0.0, 1.0)
    height, width = page.pixels.shape[:2]
    return Glyph((blurred * 255).astype(np.uint8), (0.0, 0.0, float(width), float(height)))
