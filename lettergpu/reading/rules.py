"""Rules that paper has, and squares: straight, thin, across most of a page. What they cross hangs together by them.

They are found by the Hough transform (Duda and Hart 1972, "Use of the Hough transformation to detect lines and curves
in pictures") of what is thin, and taken away where no stroke crosses them, as staff lines are out of music (Dalitz et
al. 2008, "A comparative study of staff removal algorithms"). A crossbar may look like one: whoever reads tries both.
Boxes and circles that are drawn around letters are found, too: by themselves they are an I or O. What a display or a
printer sets as dots has no strokes, until it is blurred; hollow letters have theirs within their outlines.
"""

from collections.abc import Iterator

import numpy as np
from scipy import ndimage
from skimage.transform import hough_line, hough_line_peaks

from .filters import border_of, grown, labelled, sizes_of, smoothed, stroke_width

THICK = 1.5  # strokes: what is thicker is no rule
ANGLES = np.deg2rad(90.0 + np.arange(-10.0, 10.25, 0.25))  # of what is across a rule that is about level
LONG = 25.0  # strokes of a rule at least,
COVERED = 0.5  # and of the page's width or height; of the page itself less
STROKES = 1.6  # times as thick as a rule is where no stroke crosses it
MOST = 100  # rules each way
ENOUGH = 400  # places across a page to see a rule by
ROOM, SIDE = 4.0, 0.08  # strokes: a box is as wide and high at least; and how far within it, of that, a side may lean
ROUND, TALL = 0.6, 0.4  # of its box that an open circle fills; and of its height or width what it holds: a Q less
CLOSED, THIN = 0.9, 0.35  # of each of its sides that there is at least; and of all the box that its lines are at most
DOTS, DARK, MOSTLY = (20, 2000), 0.9, 0.6  # pieces as dark as this are dots, if they are so many and of most ink,
NECKS = 0, 1, 2  # with so many pixels taken off all around them, for they may touch;
EVEN, ALIKE = 1.3, 0.25  # times as high as wide, and how far from the others' size, they are at most
THREAD = 0.5, 0.2, 0.1  # their widths, of the blur that strings them, into strokes where so much is ink, and how softly
OUTLINED, REGIONS, ACROSS = 0.8, 3, 1.5  # of the ink outlines strokes, so many and as large; strokes that one is wide
LOOKED = 4.0  # pages of boxes within each other that are looked at, the largest first


def unruled(share: np.ndarray, stroke: float) -> Iterator[tuple[np.ndarray, float]]:
    """The share of ink, float32 (height, width), and the width of its strokes, without boxes around letters.

    Then, of lines of hollow letters, that within their outlines; and without rules, too, where there are some. Letters
    of dots are strung together, and that is all.
    """
    if wide := _dots(share):
        blur, ink, soft = THREAD
        yield np.clip(0.5 + (smoothed(share, blur * wide) - ink) / (2 * soft), 0.0, 1.0), stroke
        return
    boxes = boxes_of(share >= 0.5, stroke)
    hollow = _within_outlines(share, boxes)
    if hollow is share and boxes.any():
        hollow = share = np.where(boxes, np.float32(0.0), share)
        stroke = max(1.0, stroke_width(share >= 0.5))
    yield share, stroke
    if hollow is not share:
        yield hollow, stroke_width(hollow >= 0.5)
    if (rules := rules_of(share >= 0.5, stroke)).any():
        yield np.where(rules, np.float32(0.0), share), stroke


def _dots(share: np.ndarray) -> float:
    """How many pixels wide the dots are that most of the ink, (height, width), is of: alike and round; or 0.0."""
    apart = share < DARK
    for steps in NECKS:
        labels, count = ndimage.label(~grown(apart, steps))
        if DOTS[0] <= count <= DOTS[1]:
            high, wide = sizes_of(ndimage.find_objects(labels))
            areas = np.bincount(labels.ravel())[1:]
            size = float(np.median(np.sqrt(areas)))
            even = (np.maximum(high, wide) <= 1.0 + EVEN * np.minimum(high, wide)) & (areas > ROUND * high * wide)
            alike = even & (np.abs(np.sqrt(areas) - size) < ALIKE * size + 0.5)
            if size > 2.0 and areas[alike].sum() > MOSTLY * areas.sum():
                return size + 2.0 * steps
    return 0.0


def _within_outlines(share: np.ndarray, boxes: np.ndarray) -> np.ndarray:
    """The share of ink, with what outlines are around for them, on all the page or in lines of it; itself without."""
    mask = share >= 0.5
    paper, count = ndimage.label(~mask)
    within = np.ones(count + 1, bool)
    within[border_of(paper)] = within[0] = False
    ink, enclosed = mask.sum(axis=1), within[paper].sum(axis=1)
    lines = np.flatnonzero(np.diff(ink > 0, prepend=False, append=False)).reshape(-1, 2)
    found = share
    for top, bottom in ((0, len(mask)), *lines):
        rows = slice(max(top - 1, 0), bottom + 1)
        if enclosed[rows].sum() > OUTLINED * ink[rows].sum():  # as in few pictures
            hollow = _outlined(mask[rows], boxes[rows], paper[rows], within)
            if hollow.any():
                found = share.copy() if found is share else found
                found[rows] = np.where(grown(hollow, 1), np.float32(1.0) - share[rows], np.float32(0.0))
            if found is not share and bottom - top == len(mask):
                break
    return found


def _outlined(mask: np.ndarray, boxes: np.ndarray, paper: np.ndarray, within: np.ndarray) -> np.ndarray:
    """The paper within strokes of which ink, also off boxes, is but the outlines; all (height, width).

    paper: of what number its regions are. within: whether, by number, one is within ink.
    """
    beside = np.zeros_like(within)
    wide, least, none = round(ACROSS * stroke_width(mask)) + 1, OUTLINED * np.count_nonzero(mask), np.zeros_like(mask)
    beside[paper[grown(~within[paper] & ~mask, wide)]] = True
    within = within & beside
    inside = within[paper]
    outlines = grown(inside, wide) & grown(~inside & ~mask, wide)  # a letter in a box has paper of one side
    if any(outlines[ink].mean() <= OUTLINED for ink in (mask, mask & ~boxes) if ink.any()):
        return none
    many = np.count_nonzero(np.bincount(paper[inside], minlength=1)) >= REGIONS
    return np.asarray(inside if many and np.count_nonzero(inside) > least else none)


def rules_of(mask: np.ndarray, stroke: float) -> np.ndarray:
    """What of the ink, bool (height, width), is of rules, level or upright. stroke: its width in pixels."""
    level = _level(mask, stroke)
    return np.asarray(level | _level((mask & ~level).T, stroke).T)


def _level(mask: np.ndarray, stroke: float) -> np.ndarray:
    """What of the ink, bool (height, width), is of rules that are about level."""
    height, width = mask.shape
    found, thick, least = np.zeros_like(mask), int(THICK * stroke + 1.0), max(COVERED * width, LONG * stroke)
    if least > width or np.count_nonzero(mask.any(axis=0)) < least:
        return found
    runs = _runs(mask)
    runs[runs > thick] = 0
    near = ndimage.maximum_filter1d(runs > 0, thick | 1, axis=0)
    if near.mean() > COVERED:
        return found
    columns, across = np.arange(width), np.arange(-(thick // 2) - 1, thick // 2 + 2)[:, None]
    step = 1 + width // ENOUGH
    votes, angles, distances = hough_line((runs > 0) & (columns % step == 0), ANGLES)
    least_votes = least / step / (thick + 1)  # a rule that lies between two angles, or is thick, shares its own
    apart = 2 * thick, len(ANGLES) // 8
    lines = hough_line_peaks(votes, angles, distances, *apart, threshold=least_votes, num_peaks=MOST)
    for _, angle, distance in zip(*lines, strict=True):
        rows = np.rint((distance - columns * np.cos(angle)) / np.sin(angle)).astype(int)
        seen = (rows >= thick) & (rows < height - thick)  # and not the border of the picture
        if np.count_nonzero(near[rows[seen], columns[seen]]) >= least:
            here = rows[seen] + across, columns[seen]
            own = runs[here]
            found[here] |= (own > 0) & (own <= STROKES * np.median(own[own > 0]))
    return found


def _runs(mask: np.ndarray) -> np.ndarray:
    """How many pixels of ink are on end, from above to below, where each is, (height, width); 0 where there is none."""
    columns = np.pad(mask.T, ((0, 0), (1, 0))).ravel()  # a pixel of paper between the last of one and the first of next
    number = np.cumsum(np.diff(columns, prepend=False) & columns)
    lengths = np.bincount(number * columns)[number] * columns
    return np.asarray(lengths.reshape(mask.shape[1], -1)[:, 1:].T)


def boxes_of(mask: np.ndarray, stroke: float) -> np.ndarray:
    """What of the ink, bool (height, width), is of thin boxes and circles around some of it, soft edges too."""
    labels, count = labelled(mask)
    if count < 2:
        return np.zeros_like(mask)
    places = ndimage.find_objects(labels)
    high, wide = sizes_of(places)
    largest = np.argsort(-high * wide, kind="stable")
    largest = largest[np.cumsum((high * wide)[largest]) < LOOKED * labels.size]
    boxes = np.zeros(count + 1, bool)
    for number in largest[np.minimum(high, wide)[largest] >= ROOM * stroke]:
        here, own = labels[places[number]], number + 1
        boxes[own] = _surrounds(here == own, (here > 0) & (here != own), stroke)
    return grown(boxes[labels], 2) if boxes.any() else np.zeros_like(mask)


def _surrounds(own: np.ndarray, other: np.ndarray, stroke: float) -> bool:
    """Whether one piece of ink is a box or circle around some of the other, bool (height, width) where the one is."""
    letter = (ROOM * stroke) ** 2 / 4.0  # pixels of ink
    if own.mean() > THIN or other.sum() < letter:
        return False
    sides = _sides(own)
    inside = (sides >= 3) & other
    high, wide = (max(1, round(SIDE * length)) for length in own.shape)
    edges = own[:high].any(axis=0), own[-high:].any(axis=0), own[:, :wide].any(axis=1), own[:, -wide:].any(axis=1)
    if min(edge.mean() for edge in edges) > CLOSED:
        return bool(inside.sum() > letter)
    return bool((sides == 4).mean() > ROUND and max(inside.any(axis=axis).mean() for axis in (0, 1)) > TALL)


def _sides(own: np.ndarray) -> np.ndarray:
    """On how many of its four sides a pixel has ink, bool (height, width): on all in a ring, but where that is open."""
    before = [np.logical_or.accumulate(own, axis=axis) for axis in (0, 1)]
    after = [np.flip(np.logical_or.accumulate(np.flip(own, axis), axis=axis), axis) for axis in (0, 1)]
    return np.asarray(np.sum([*before, *after], axis=0, dtype=np.int8))
