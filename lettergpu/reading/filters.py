"""What page, ink and sheet alike do to an image first; of what SciPy has too, three to 20 times as fast as there."""

from collections.abc import Iterable
from functools import reduce
from typing import Any

import numpy as np
from PIL import Image
from scipy import ndimage
from skimage.filters import threshold_otsu

THUMBNAIL = 96  # pixels of the long side, on which colours and polarity are decided, and ink is looked for first
SPECK, LETTER = 0.4, 6.0  # squares of a stroke's width: what is less is none, and of a letter there is as much ink
LIT, STEADY = 0.1, 0.8  # how far paper is from its light, in logarithms, and how much of a page is paper
UNEVEN = 0.45  # and by how much, likewise, the light falls off, from which on it is evened
FAINT = 0.08  # contrast of ink on paper
SURPLUS, BROAD = 1.5, 0.25  # times as much as what else is as weak, weak letters are; and as wide as long
ALL = 0.9  # of the ink, but for specks, that one piece is where it hangs together
COLOURFUL = 0.1  # of the variance of ink's colours that those across its main one have where it has several
GREYS = np.arange(256, dtype=np.uint8).repeat(3).reshape(-1, 3) @ np.full(3, np.float32(1 / 3))  # each mixed


def varied(values: np.ndarray, margin: int) -> tuple[slice, slice]:
    """The rows and columns of what is not as the first row is, all of which is alike, and so many around; else all.

    Around a letter on a screen there is but one value, and most of (height, width) need not be gone through.
    """
    other = values != values[0, 0] if (values[0] == values[0, 0]).all() else values[:0]
    if not other.any():
        return slice(None), slice(None)
    rows, columns = (np.flatnonzero(other.any(axis=axis)) for axis in (1, 0))
    top, left = (max(places[0] - margin, 0) for places in (rows, columns))
    return slice(top, rows[-1] + margin + 1), slice(left, columns[-1] + margin + 1)


def border_of(values: np.ndarray) -> np.ndarray:
    """The outermost rows and columns of (height, width, ...), one after the other, (n, ...)."""
    return np.concatenate([values[0], values[-1], values[:, 0], values[:, -1]])


def smoothed(grey: np.ndarray, sigma: float) -> np.ndarray:
    """What SciPy's Gaussian filter makes of float32 (height, width)."""
    box = varied(grey, int(4.0 * sigma + 0.5))  # as far as it reaches
    found = np.full_like(grey, grey[0, 0])
    found[box] = ndimage.gaussian_filter(grey[box], sigma)
    return found


def otsu(values: np.ndarray, more: int = 0) -> float:
    """Otsu's threshold between these, and so many more that are as the first one; the largest, where all are alike."""
    least, most = float(values.min()), float(values.max())
    if not most > least:
        return most
    width = (most - least) / 256
    # NumPy's histogram, whose bins may be of any width, takes three times as long
    bins = np.minimum((values.ravel() - least) / width, 255.0).astype(np.uint8)
    counts = np.bincount(bins, minlength=256)
    counts[bins[0]] += more
    return float(threshold_otsu(hist=(counts, least + width * (np.arange(256) + 0.5))))


def of_squares(choose: np.ufunc, values: np.ndarray, size: int) -> np.ndarray:
    """The largest or the least (choose: np.maximum, np.minimum) in each square of this size that lies within values.

    (height, width) to (height - size + 1, width - size + 1). SciPy's filters take four times as long or more.
    """
    for _ in range(2):
        seen = 1
        while seen < size:
            step = min(seen, size - seen)
            values = choose(values[:-step], values[step:])
            seen += step
        values = values.T
    return values


def around(choose: np.ufunc, values: np.ndarray, size: int) -> np.ndarray:
    """As `of_squares`, for the square around each place, (height, width); beyond the edge there is what is at it."""
    return of_squares(choose, np.pad(values, size // 2, mode="edge"), size)


def brightest(grey: np.ndarray, size: int) -> np.ndarray:
    """The brightest of what is around each place of float32 (height, width), within size / 2, and smooth."""
    return np.asarray(ndimage.uniform_filter(around(np.maximum, grey, size | 1), size // 2 + 1, mode="nearest"))


def grown(mask: np.ndarray, steps: int) -> np.ndarray:
    """A mask (height, width) and what is above, below or beside it, that many times: SciPy's takes 20 times as long."""
    for _ in range(steps):
        inner, mask = mask, mask.copy()
        mask[1:] |= inner[:-1]
        mask[:-1] |= inner[1:]
        mask[:, 1:] |= inner[:, :-1]
        mask[:, :-1] |= inner[:, 1:]
    return mask


def inside(mask: np.ndarray, steps: int) -> np.ndarray:
    """What of a mask (height, width) is more than so many steps within it."""
    return ~grown(~mask, steps)


def outline(mask: np.ndarray) -> np.ndarray:
    """What of a mask (height, width) is at its edge, or at the picture's."""
    return np.asarray(mask & ~inside(np.pad(mask, 1), 1)[1:-1, 1:-1])


def opened(mask: np.ndarray, steps: int) -> np.ndarray:
    """A mask (height, width) without what is narrower than so many steps to each side."""
    return grown(inside(np.pad(mask, 1), steps)[1:-1, 1:-1], steps)


def filled(mask: np.ndarray) -> np.ndarray:
    """A mask (height, width) and what it encloses, bool, as SciPy's binary_fill_holes has it."""
    regions, count = ndimage.label(~mask)
    enclosed = np.ones(count + 1, bool)
    enclosed[border_of(regions)] = False
    enclosed[0] = True  # the mask itself
    return enclosed[regions]


def far_off(pixels: np.ndarray, colour: np.ndarray) -> np.ndarray:
    """How far each of these (height, width, 3) is from this colour (3,), in the channel that differs most.

    (height, width), of the dtype that both have together: of uint8 nothing wraps.
    """
    channels = zip(np.moveaxis(pixels, 2, 0), colour, strict=True)  # along so short an axis all is slow
    return reduce(np.maximum, (np.maximum(part, level) - np.minimum(part, level) for part, level in channels))


def rectangular(sheet: np.ndarray) -> float:
    """How much of the smallest rectangle around it, turned by any angle, a sheet, bool (height, width), is."""
    turns = np.deg2rad(np.arange(0.0, 180.0, 1.0))
    across = 1.0 + np.ptp(np.argwhere(outline(sheet)) @ np.stack([np.cos(turns), np.sin(turns)]), axis=0)
    return float(sheet.sum() / (across[:90] * across[90:]).min())


def inked(bright: np.ndarray, paper: np.ndarray, where: np.ndarray) -> float:
    """How much is ink where a mask says; all of them (height, width)."""
    return float((bright[where] < (1.0 - FAINT) * paper[where]).mean()) if where.any() else 0.0


def without_ink(grey: np.ndarray, window: int) -> np.ndarray:
    """Closed over what is dark and narrower than the window; a dark strip along the border is the end of more."""
    wide = np.pad(grey, window - 1, mode="edge")
    return of_squares(np.minimum, of_squares(np.maximum, wide, window), window)


def sizes_of(boxes: Iterable[tuple[slice, slice]]) -> np.ndarray:
    """Heights and widths of these rows and columns, (2, n)."""
    return np.array([[part.stop - part.start for part in box] for box in boxes]).reshape(-1, 2).T


def reduced(image: Image.Image, factor: float) -> np.ndarray:
    """Means of factor x factor pixels; where it is a half, four for one."""
    if factor < 1:
        size = round(image.width / factor), round(image.height / factor)
        return np.asarray(image.resize(size, Image.Resampling.BICUBIC))
    return np.asarray(image.reduce(int(factor)))


def enlarged(small: np.ndarray, pixels: np.ndarray) -> np.ndarray:
    """To the size of the picture, uint8."""
    image = Image.fromarray(np.clip(small, 0, 255).astype(np.uint8))
    return np.asarray(image.resize(pixels.shape[1::-1], Image.Resampling.BILINEAR))


def mixed(pixels: np.ndarray, mixture: np.ndarray) -> Any:
    """One number for each pixel, of its three colours or, (height, width), of its grey, which means one of GREYS."""
    return pixels @ mixture if pixels.ndim == 3 else mixture.take(pixels)


def half_way(sizes: np.ndarray) -> float:
    """The median of these, half-way by their sum: of many dots and a few letters it is a letter's."""
    ordered = np.sort(sizes)
    total = np.cumsum(ordered)
    return float(ordered[np.searchsorted(total, total[-1] / 2)])


def stroke_width(mask: np.ndarray) -> float:
    """The median width of the strokes: twice the distance to the paper along their middle."""
    rows, columns = (np.flatnonzero(mask.any(axis=axis)) for axis in (1, 0))
    if not len(rows):
        return 0.0
    inked = mask[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1]
    around_it = ndimage.distance_transform_cdt(np.pad(inked, 1)).astype(np.int16)
    distance = around_it[1:-1, 1:-1]
    return 2.0 * float(np.median(distance[(distance == of_squares(np.maximum, around_it, 3)) & inked])) - 1.0


def labelled(mask: np.ndarray) -> tuple[np.ndarray, int]:
    """The number of the piece that each place of a mask (height, width) is of, 0 for none, and how many there are.

    What touches at its corners hangs together.
    """
    labels, count = ndimage.label(mask, np.ones((3, 3)))
    return labels, count


def pieces_of(mask: np.ndarray, stroke: float) -> tuple[int, int]:
    """How many pieces of ink, bool (height, width), but specks, are smaller than a letter, and how many are not.

    stroke: the width of a pen stroke in pixels.
    """
    areas = np.bincount(labelled(mask)[0].ravel())[1:] / stroke**2
    return int(((areas > SPECK) & (areas < LETTER)).sum()), int((areas >= LETTER).sum())


def of_letters(mask: np.ndarray, letter: float, stroke: float, least: float) -> np.ndarray:
    """What of a mask may be letters of about this height, if it is as much as this; else nothing."""
    labels, _ = labelled(mask)
    (tall, wide), areas = sizes_of(ndimage.find_objects(labels)), np.bincount(labels.ravel())[1:]
    long = np.maximum(tall, wide)
    likely = (long > 0.4 * letter) & (tall < 3 * letter) & (wide < 6 * letter) & (areas > stroke * long / 4)
    cut = border_of(labels)
    likely[cut[cut > 0] - 1] = False
    broad = likely & (np.minimum(tall, wide) > BROAD * long)  # others are I, or sides of boxes
    much = areas[broad].sum() >= max(SURPLUS * areas[~likely].sum(), least)
    return np.append(False, likely & much)[labels]


def grain_of(pixels: np.ndarray) -> float:
    """How much pixels two apart, uint8 (height, width, 3), differ by chance, in grey levels.

    Light that changes and straight edges cancel out.
    """
    step, height, width = 1 + max(pixels.shape) // 300, len(pixels) - 2, pixels.shape[1] - 2
    if min(height, width) < 1:
        return 0.0
    seen = (pixels[y : y + height : step, x : x + width : step] for y in (0, 2) for x in (0, 2))
    one, right, below, across = (part[..., 0].astype(np.int16) + part[..., 1] + part[..., 2] for part in seen)
    return float(np.median(np.abs(one - right - below + across))) / (3 * 2 * 0.6745)


def off_around(pixels: np.ndarray) -> np.ndarray:
    """How far each pixel is from what is around it, float32 (height, width, 3), in a thumbnail of the picture."""
    small = reduced(Image.fromarray(pixels), -(-max(pixels.shape) // THUMBNAIL)).astype(np.float32)
    window = max(small.shape) // 4 + 1
    return small - ndimage.uniform_filter(small, (window, window, 0), mode="nearest")


def evened(pixels: np.ndarray) -> np.ndarray:
    """A page (height, width, 3) of one paper, whose light falls off as a lens's or a lamp's does, in even light.

    Its logarithm is a polynomial of the second degree in height and width, fitted to what is paper by it, again and
    again. What has no such paper, or no such light, stays as it is.
    """
    small = reduced(Image.fromarray(pixels), -(-max(pixels.shape) // THUMBNAIL)).mean(axis=2, dtype=np.float32)
    y, x = np.meshgrid(*(np.linspace(-1.0, 1.0, length) for length in small.shape), indexing="ij")
    terms = np.stack([np.ones_like(x), x, y, x * x, x * y, y * y], axis=-1).reshape(-1, 6)
    seen, paper = np.log(small + 1.0).ravel(), np.ones(small.size, bool)
    for _ in range(6):
        kept = terms[paper].T  # by its normal equations: LAPACK on all of it would hold up other threads
        off = seen - terms @ np.linalg.lstsq(kept @ kept.T, kept @ seen[paper], rcond=1e-9)[0]
        paper = np.abs(off - np.median(off[paper])) < LIT
        if paper.mean() < STEADY:
            return pixels
    light = np.exp(seen - off).reshape(small.shape)
    if light.max() < np.exp(UNEVEN) * light.min():
        return pixels
    more = Image.fromarray(np.float32(light.max() / light)).resize(pixels.shape[1::-1], Image.Resampling.BILINEAR)
    return np.clip(pixels * np.asarray(more)[..., None], 0, 255).astype(np.uint8)


def in_one_piece(labels: np.ndarray) -> bool:
    """Whether nearly all ink, (height, width), 0 for paper, has one of these numbers."""
    areas = np.bincount(labels.ravel())[1:]
    return bool(areas.max(initial=0) > ALL * areas.sum())


def dark_on_light(pixels: np.ndarray) -> np.ndarray:
    """How to mix the colours (3,) so that ink and paper differ most, ink the darker.

    Paper is most of a page, so ink is to which side pixels stand out from what is around them.
    """
    off = off_around(pixels)
    mixture = np.linalg.eigh(np.tensordot(off, off, ((0, 1), (0, 1))))[1][:, -1].astype(np.float32)
    mixture /= np.abs(mixture).sum()
    return -mixture if ((off @ mixture) ** 3).sum() > 0 else mixture


def darkest(pixels: np.ndarray) -> np.ndarray | None:
    """A page of grey, (height, width, 3), on which ink of any colour is dark; None where it has one, or dark paper.

    Pale red and yellow are as bright as paper in one of the three, but not in all.
    """
    off = off_around(pixels)
    values, vectors = np.linalg.eigh(np.tensordot(off, off, ((0, 1), (0, 1))))
    one_sided = (vectors[:, -1] > 0).all() or (vectors[:, -1] < 0).all()
    if values[1] < COLOURFUL * values[2] or not one_sided:
        return None
    return np.repeat(pixels.min(axis=2, keepdims=True), 3, axis=2)
