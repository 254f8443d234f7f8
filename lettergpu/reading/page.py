"""Where in a picture there is paper: a sheet that lies on something darker, as people photograph one.

What lies around it would be taken for ink, or decide which of two is the paper. It is replaced by paper, that of the
nearest place on the sheet, so that whoever looks for ink sees a page that has no end. Of dark bars on a page the
writing is brought on its paper.
"""

from collections.abc import Iterator
from functools import reduce
from typing import NamedTuple

import numpy as np
from PIL import Image
from scipy import ndimage
from skimage.morphology import convex_hull_image

from .filters import (
    FAINT,
    around,
    border_of,
    brightest,
    enlarged,
    far_off,
    filled,
    grown,
    inked,
    inside,
    opened,
    otsu,
    outline,
    rectangular,
    smoothed,
    without_ink,
)

SIDE = 192  # pixels of the long side, on which the sheet is looked for
LETTER = 12  # a letter is narrower than the long side by at least this factor, or there is no room for a table
EDGE, CORE = 3, 5  # pixels of these left out within its edge, torn, bent or in shadow, and where ink is told
SEEN = 0.75  # of a sheet's edge that is in the picture where it lies within it; the border of a shadow seldom is
LEAST = 0.08, 0.3  # of the picture that is sheet, where it lies within it, and where not,
FALLS = 0.12, 0.33  # and by how much of its brightness all but a tenth of its edge falls off, within SIDE / 40 pixels
DARKER = 0.5  # of the paper's brightness: beside a sheet not seen all round there is less, and in a shadow more
PHOTO = 400  # pixels of the long side: what is small in a smaller picture is a letter, and no sheet
MOST, WIDE = 0.99, 3  # of the picture that is sheet; and that is as wide as what it is seen beside, this part
PART = 0.05  # of what looks like one sheet that another may be beside it
CONVEX = 0.8  # of its convex hull that a sheet fills; a torn one has less than 1
WRITTEN = 0.002  # of a sheet that is ink at least: a letter may fill a picture
CLOSE, LITTLE = 4, 0.0003  # times as closely as it is looked at where it seems empty, and how much has to be there
INKED = 0.3  # of a sheet that is ink at most; bright writing on the dark has as much dark between its strokes
COLOURS, KMEANS = 5, 1  # by which table, paper and what else there is are told apart, and how well,
SMALLEST, LARGEST, SAME = 0.012, 0.7, 0.004  # of the picture that a note of one of them is, and two that are one,
SOLID, PIECES = 0.75, 30  # of its convex hull that it fills, and how much lies on it at most, seen from here,
FULL, APART = 0.8, 16.0  # of it that is ink at most, swollen, and of 255, how much another colour there is around it,
NOTES = 3  # and how many are looked at, each of which costs a reading
RIM, ON_BAR = 2, (0.02, 0.5)  # pixels of these along a bar's edge that have no writing; and how much of it is writing
BOARD_LEAST, BOARD_INKED = 0.3, 0.6  # of a dark board,
BOARD, SIGN = 0.95, (0.85, 0.93)  # of the rectangle around it that a board fills, and a smaller one, by PHOTO


class _Seen(NamedTuple):
    """small: the picture, float32 (height, width, 3), or its negative. sheet: bool (height, width). dark: a board.

    whole: it is seen all round.
    """

    small: np.ndarray
    sheet: np.ndarray
    window: int
    dark: bool
    whole: bool = True


def is_drawing(pixels: np.ndarray) -> bool:
    """Whether all of the border and nearly all of a picture (height, width, 3) have one colour, exactly.

    Such a picture has no room for a sheet, and none of a sensor's grain.
    """
    if (border_of(pixels) != pixels[0, 0]).any():
        return False
    other = reduce(np.logical_or, np.moveaxis(pixels != pixels[0], 2, 0))
    least = LEAST[max(pixels.shape) < PHOTO]
    return bool(other.mean() < min(least * (1.0 - INKED), BOARD_LEAST * (1.0 - BOARD_INKED)))


def on_paper(pixels: np.ndarray) -> list[np.ndarray]:
    """The picture (height, width, 3), uint8, with paper for what is around its sheet; as it is without one, or drawn.

    Also as it is where the sheet is not seen all round: it may lie in a shadow, or be marked, where it seems to end.
    A dark board or window with bright writing on it is a sheet, too, if it is a rectangle.
    """
    if is_drawing(pixels):
        return [pixels]
    if seen := _sheet(pixels, dark=False):
        return [_endless(pixels, seen)] + [pixels] * (not seen.whole)
    if (pixels[::8, ::8] < 160).mean() < BOARD_LEAST * (1.0 - BOARD_INKED):
        return [pixels]  # so little of it is dark that there is no board, which need not be looked for
    seen = _sheet(pixels, dark=True)
    return [_endless(pixels, seen) if seen and rectangular(seen.sheet) > BOARD else pixels]


def perhaps_on_paper(pixels: np.ndarray, signs: bool = True) -> list[np.ndarray]:
    """Pages likewise, (height, width, 3), of each patch of a colour that may be a note or bold letter, larger first.

    signs: whether a dark one with bright writing on it, that is about a rectangle, may be one, too.
    """
    found = _notes(pixels, dark=False)
    small = max(pixels.shape) < PHOTO  # where it may be a bold letter, which has round corners, or is cut off
    for sign in _notes(pixels, dark=True) if signs else ():
        if rectangular(sign.sheet) > SIGN[small] and not (small and border_of(sign.sheet).any()):
            found.append(sign)
    found.sort(key=lambda seen: seen.sheet.sum(), reverse=True)
    return [_endless(pixels, seen) for seen in found[:NOTES]]


def turned_over(pixels: np.ndarray) -> list[np.ndarray]:
    """The picture (height, width, 3), uint8, with what is written on bars as if on its paper; none without bars.

    Bars are rectangles that are darker than the paper: a heading is set on one, or a word on what one is to press.
    What is brighter may be a sheet on a table.
    """
    small, _ = _small(pixels, dark=False)
    bins = (small.astype(np.uint8) // 32).astype(np.float32) @ np.array((64, 8, 1), np.float32)  # no other is as fast
    paper = np.median(small[bins == np.bincount(bins.ravel().astype(int)).argmax()], axis=0)
    page = pixels
    for bar in _bars(far_off(small, paper)):
        own = small[inside(bar, RIM)]
        colour = np.median(own, axis=0)
        off = np.abs(own - colour).max(axis=1)
        written = off > 2 * APART
        clear = ON_BAR[0] < written.mean() < ON_BAR[1] and np.median(off[written]) > 4 * APART  # unlike folds of cloth
        if clear and colour.sum() < paper.sum():
            ink = np.clip(paper - far_off(pixels, colour)[..., None], 0, 255)
            parts = inside(bar, RIM), around(np.maximum, bar, 2 * RIM + 1)
            inner, outer = (enlarged(255 * part, pixels)[..., None] > 127 for part in parts)
            page = np.where(outer, np.where(inner, ink, paper).astype(np.uint8), page)
    return [] if page is pixels else [page]


def _bars(apart: np.ndarray) -> Iterator[np.ndarray]:
    """The rectangles of what is not paper, each bool (height, width). apart: how far each pixel is from it, of 255."""
    solid = inside(apart > max(otsu(apart), 2 * APART), RIM)
    regions, _ = ndimage.label(grown(solid, RIM))
    places = ndimage.find_objects(regions)
    for i in np.flatnonzero(np.bincount(regions.ravel())[1:] > SMALLEST / 4 * regions.size):
        here = tuple(slice(max(part.start - 1, 0), part.stop + 1) for part in places[i])
        own = filled(regions[here] == i + 1)
        thick = inside(own, RIM + EDGE).any()  # enough for writing
        if thick and SMALLEST / 2 <= own.sum() / apart.size <= LARGEST and rectangular(own) > SIGN[0]:
            bar = np.zeros(apart.shape, bool)
            bar[here] = own
            yield bar


def _notes(pixels: np.ndarray, dark: bool) -> list[_Seen]:
    """What may be a note for all of its form, larger first; the same but once."""
    small, window = _small(pixels, dark)
    if min(small.shape[:2]) < 4 * EDGE:
        return []
    bright = smoothed(small.mean(axis=2), 1.0)
    light = without_ink(bright, window)
    paper = np.stack([without_ink(smoothed(colour, 1.0), window) for colour in np.moveaxis(small, 2, 0)], axis=-1)
    found = []
    for region in (*_patches(paper), _largest(light > (threshold := otsu(light)))):
        sheet = _written(filled(region), bright, threshold, window)
        core = inside(sheet, EDGE)
        if (
            border_of(sheet).sum() <= outline(sheet).sum() / 2
            and WRITTEN <= inked(bright, light, core) <= FULL
            and ndimage.label(core & (bright < (1.0 - FAINT) * light))[1] <= PIECES
            and _stands_out(paper, core, sheet)
            and sheet.sum() >= SOLID * convex_hull_image(sheet).sum()
        ):
            found.append(sheet)
    found.sort(key=np.sum, reverse=True)
    found = [sheet for i, sheet in enumerate(found) if not any((sheet ^ other).mean() < SAME for other in found[:i])]
    return [_Seen(small, sheet, window, dark) for sheet in found]


def _patches(paper: np.ndarray) -> Iterator[np.ndarray]:
    """The regions of a few colours of (height, width, 3) in which a note may lie, each bool (height, width)."""
    nearest = np.asarray(Image.fromarray(paper.astype(np.uint8)).quantize(COLOURS, kmeans=KMEANS))
    for colour in range(COLOURS):
        regions, count = ndimage.label(opened(nearest == colour, EDGE))
        areas = np.bincount(regions.ravel(), minlength=count + 1) / regions.size
        yield from (regions == number for number in range(1, count + 1) if SMALLEST <= areas[number] <= LARGEST)


def _stands_out(paper: np.ndarray, core: np.ndarray, sheet: np.ndarray) -> bool:
    """Whether the paper (height, width, 3) within a sheet has another colour than what lies around it."""
    beside = grown(sheet, 4 * EDGE) & ~grown(sheet, 2 * EDGE)
    if not beside.any():
        return True
    return bool(np.abs(np.median(paper[core], axis=0) - np.median(paper[beside], axis=0)).max() >= APART)


def _endless(pixels: np.ndarray, seen: _Seen) -> np.ndarray:
    """The picture with the sheet's paper for all that is not on it."""
    inner = inside(seen.sheet, EDGE)
    if not inner.any():
        return pixels
    paper = _mean_within(seen.small, inner, seen.window)
    nearest = ndimage.distance_transform_edt(~inner, return_distances=False, return_indices=True)
    paper, kept = (enlarged(part, pixels) for part in (paper[tuple(nearest)], 255.0 * inner))
    return np.where(kept[..., None] > 127, pixels, 255 - paper if seen.dark else paper)


def _small(pixels: np.ndarray, dark: bool, side: int = SIDE) -> tuple[np.ndarray, int]:
    """The picture as a sheet is looked for in it, float32 (height, width, 3), and the window that letters fit in.

    dark: where the sheet is, whose negative is looked at. side: pixels of its long side at most.
    """
    small = np.asarray(Image.fromarray(pixels).reduce(-(-max(pixels.shape) // side)), np.float32)
    return 255.0 - small if dark else small, 2 * (max(small.shape) // (2 * LETTER)) + 1


def _sheet(pixels: np.ndarray, dark: bool) -> _Seen | None:
    """The bright, compact region with a sharp edge, ink included; None if there is none. dark: of the negative.

    Wood may be as bright as paper in one colour, but is not in all. Where the light falls off across the picture, the
    sheet's dark half may be no brighter than the table is elsewhere: each is seen beside what is brightest around it.
    """
    small, window = _small(pixels, dark)
    red, green, blue = np.moveaxis(small, 2, 0)
    bright = smoothed(np.minimum(np.minimum(red, green), blue), 1.0)
    paper = without_ink(bright, window)
    if min(paper.shape) < 4 * EDGE or np.ptp(paper) < 16:
        return None
    even = paper / np.maximum(brightest(paper, max(paper.shape) // WIDE), 1.0)
    for seen, threshold in ((paper, otsu(paper)), (even, otsu(even)), (even, DARKER)):
        sheet = filled(_largest(seen > threshold))
        whole = _is_sheet(sheet, bright, paper, dark, pixels)
        if whole is not None:
            return _Seen(small, sheet, window, dark, whole)
    return None


def _is_sheet(sheet: np.ndarray, bright: np.ndarray, paper: np.ndarray, dark: bool, pixels: np.ndarray) -> bool | None:
    """Whether a sheet (height, width) is seen all round, and surely written on; None where it is none."""
    least, most = (BOARD_LEAST, BOARD_INKED) if dark else (LEAST[0], INKED)
    core = inside(sheet, CORE)
    if not least <= sheet.mean() <= MOST or not core.any():
        return None
    written = inked(bright, paper, core)
    if written > most or sheet.sum() < CONVEX * convex_hull_image(sheet).sum():
        return None
    edge = sheet & ~inside(sheet, 1)
    falls, open_ = _falls(paper, sheet), int(edge.sum() < SEEN * outline(sheet).sum())
    shaded = open_ and np.median(paper[~sheet]) >= DARKER * np.median(paper[sheet])
    large = sheet.mean() >= LEAST[open_ or max(pixels.shape) < PHOTO]
    if not large or falls <= FALLS[open_] or shaded:
        return None
    small = written < WRITTEN  # or no writing, which is seen but closely
    return None if small and _closely_inked(pixels, core, dark) < LITTLE else not (open_ or small)


def _closely_inked(pixels: np.ndarray, core: np.ndarray, dark: bool) -> float:
    """How much is ink where a mask of the small picture says, seen CLOSE times as closely."""
    near, window = _small(pixels, dark, CLOSE * SIDE)
    bright = smoothed(near.min(axis=2), 1.0)
    where = np.asarray(Image.fromarray(core).resize(bright.shape[::-1], Image.Resampling.NEAREST))
    return inked(bright, without_ink(bright, window), where)


def _written(sheet: np.ndarray, bright: np.ndarray, threshold: float, window: int) -> np.ndarray:
    """A sheet (height, width) without another, unwritten one beside it, less than a letter away."""
    parts, _ = ndimage.label(sheet & (bright > threshold))
    large = 1 + np.flatnonzero(np.bincount(parts.ravel())[1:] > PART * sheet.sum())
    kept = np.zeros_like(sheet)
    for number in large if len(large) > 1 else ():
        part = filled(without_ink((parts == number).astype(np.float32), window) > 0.5)
        paper = without_ink(np.where(part, bright, 0.0), window)
        if inked(bright, paper, inside(part, CORE)) >= WRITTEN:
            kept |= part
    return kept if kept.any() else sheet


def _largest(mask: np.ndarray) -> np.ndarray:
    """The largest region of a mask (height, width), without what is narrow; nothing of nothing."""
    regions, _ = ndimage.label(opened(mask, EDGE))
    areas = np.bincount(regions.ravel())
    areas[0] = 0
    return np.asarray((regions == areas.argmax()) & (regions > 0))


def _falls(paper: np.ndarray, sheet: np.ndarray) -> float:
    """By how much of its brightness a sheet, bool (height, width), stands out, along all but a tenth of its edge."""
    inner = inside(sheet, EDGE)
    away, nearest = ndimage.distance_transform_edt(~inner, return_indices=True)
    beside = ~sheet & (away > 2 * EDGE - 1) & (away < 2.5 * EDGE)
    if not beside.any():
        return 0.0
    falls = (paper[tuple(nearest)] - paper)[beside]
    return float(np.percentile(falls, 10) / max(np.median(paper[sheet]), 1.0))


def _mean_within(small: np.ndarray, inner: np.ndarray, window: int) -> np.ndarray:
    """The paper's colour around each place, (height, width, 3), of what is inner alone."""
    weight = np.maximum(ndimage.uniform_filter(inner.astype(np.float32), window), 1e-6)
    colours = [np.where(inner, without_ink(small[..., i], window), 0.0) for i in range(3)]
    return np.stack([ndimage.uniform_filter(colour, window) / weight for colour in colours], axis=-1)
