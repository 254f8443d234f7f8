"""Which ink of a page belongs to which letter: lines, words, letters.

Strokes that hang together are pieces; pieces above each other are of one letter (the dot of an i). Which of those that
stand side by side make a letter, and where one is two that touch, spans.py says.
"""

from dataclasses import replace
from itertools import chain, pairwise
from typing import NamedTuple

import numpy as np

from ..errors import LettergpuError
from .cuts import fragments_of
from .filters import in_one_piece
from .ink import EMPTY, Ink
from .language import Language, in_alphabetical_order
from .lexicon import Lexicon
from .order import WORDS, boxes_of, distances, lines_of, parts_of, word_gaps
from .sheet import Glyph, Piece, Sheet, at_edge, joined, letter_height, level_sheet, stacked, tilt_of
from .spans import LEAST, Judge, Lattice, as_on_a_page, lattice_of, letters_of, of_numbers

DOT = 0.5, 1.5  # of a letter's height: a dot is no larger, and what it stands on is higher than it by this;
RING = 0.7, 1.3  # likewise a ring that is drawn for one
SLIM = 0.6  # of its height: what a dot stands on is no wider
ABOVE = 0.7  # of the stem's height: a dot is no farther above it, and little less aside
CRUMB = 0.35  # of a letter's height: what is smaller is a dot, a mark or a part of a broken stroke
SLENDER = 12  # times as wide as high, from which on ink is a rule, a shadow or a sheet's edge
LONGEST = 25.0  # heights: ink that hangs together over more than this is a rule, a frame or a pattern, and not cut;
TALLEST = 5.0  # heights: likewise what stands above each other over more than this
CUTS = 600  # on a page: where there are more, what is left is no writing
WIDER = 1.5, 2.2  # times: narrow writing is cut and named better where it is made as wide as others'
DOUBT = 0.9  # a fragment's score, below which that is tried,
FEW = 4  # letters, by which one sees how wide they are meant to be,
MANY = 300  # and no more fragments than these: each costs its reader some time
DARK = 0.85  # of ink: a letter is as dark somewhere,
WRITING = 4  # or beside so many as weak: an edge, a shadow or the other side's print is neither
LONE = 1.5  # heights: what stands alone and is no wider is one letter, where most do,
SHEET = 3  # and there are so many; fewer are likely one, as if letters stood apart by
LONELY = 0.1  # heights
SURE = 3, -0.25, 0.2  # letters, their mean log probability and a fragment's score: what is more is writing
SINGLE, STROKES = 2.5, 8  # heights: what is no wider may be one letter, such as an m, in so many parts
JOINED = 2.5  # heights of a letter: ink as wide as this that hangs together is of several

Letters = list[tuple[int, np.ndarray]]  # of a line, by the numbers of their spans, with their probabilities (classes,)


class Judged(NamedTuple):
    """The lines of a page as lattices, each on its sheet; how many letters they make; the score of a fragment.

    surety: the mean log probability of what the letters are named.
    """

    lines: list[tuple[Sheet, Lattice]]
    letters: int
    score: float
    surety: float


class Found(NamedTuple):
    """What is on a page: lines of words of letters, and how much of all their width hangs together over several.

    sure: whether these are letters without doubt.
    """

    lines: list[list[list[Glyph]]]
    joined: float
    sure: bool = False


def single_letter(ink: Ink) -> Glyph:
    """All ink of a page, but for specks, as one letter."""
    sheet = level_sheet(ink)
    sheet = (len(sheet.pieces) > 1 and _undashed(ink)) or sheet
    big = max(piece.height + piece.width for piece in sheet.pieces)
    kept = [piece for piece in sheet.pieces if piece.height + piece.width > 0.15 * big]
    inner = [piece for piece in kept if not at_edge(piece, sheet.share.shape)]
    return sheet.glyph(joined(inner or kept))


def _undashed(ink: Ink) -> Sheet | None:
    """The page with strokes that are broken into dashes in one piece, if nearly all of its ink hangs together then."""
    sheet = level_sheet(ink, apart=round(ink.stroke / 2))
    return sheet if in_one_piece(sheet.labels) else None


def may_be_one(boxes: np.ndarray, ink: Ink) -> bool:
    """Whether letters (n, 4) stand where one may that was taken for several: few of them, or broken strokes of one."""
    left, top, right, bottom = boxes.T
    wide, high, count = right.max() - left.min(), bottom.max() - top.min(), len(left)
    if wide > SINGLE * high:
        return False
    return 2 <= count < STROKES or (STROKES <= count <= MANY and _undashed(ink) is not None)


def find_letters(ink: Ink, judge: Judge, lexicon: Lexicon | None = None, language: Language | None = None) -> Found:
    """The letters of a page, or, if there are none that the judge takes for such, what is the most like them.

    lexicon: words that what is read is likely to be. language: likewise, which letters follow each other; with one,
    those that stand alone may follow as the alphabet has them.
    Raises LettergpuError where there is no ink.
    """
    sheet, pieces, height = _levelled(ink)
    lines = _strong(sheet, [_whole(line, height) for line in lines_of(_dotted(sheet, pieces, height), height)])
    widths = np.array([piece.width for line in lines for piece in line])
    joined_up = float(widths[widths > JOINED * height].sum() / widths.sum())
    alone = _alone(lines, height)
    whole, spread = (LONE * height, 0.0) if alone >= SHEET else (0.0, LONELY if alone else 0.0)
    parted = _parted(sheet, lines, height, whole)
    count = sum(len(fragments) for _, fragments in parted)
    if count == 1:  # there is nothing to tell it from
        ((only, (letter,)),) = parted
        return Found([[[only.glyph(letter)]]], joined_up)
    read, wide = (plain := _judged(parted, height, judge, spread)), 1.0
    for by in WIDER if read.letters >= FEW and count <= MANY and read.score < DOUBT else ():
        wider = _judged(_parted(sheet, lines, height, whole, by), height, judge, spread)
        if wider.score <= read.score or wider.surety < plain.surety:
            break
        read, wide = wider, by
    if alone:
        judge = judge._replace(figure=None)
        sheets, lattices = zip(*read.lines, strict=True)
        told = as_on_a_page(lattices)
        told = in_alphabetical_order(told) if language else told
        read = read._replace(lines=list(zip(sheets, told, strict=True)))
    letters = [[line.spans[number].piece for number in letters_of(line)[0]] for _, line in read.lines]
    parted_at = list(zip(read.lines, word_gaps(letters, wide), strict=True))
    found: list[tuple[Sheet, Lattice, float, Letters]] = []
    for all_of_it in (False, True):
        named = ((*line, gap, _named(line[1], gap, judge, language, all_of_it)) for line, gap in parted_at)
        found = found or [line for line in named if line[3]]
    if not found:
        raise LettergpuError(EMPTY)
    sure = read.letters >= SURE[0] and read.surety > SURE[1] and read.score > SURE[2]
    return Found([_words(*line, lexicon) for line in found], joined_up, sure)


def _strong(sheet: Sheet, lines: list[list[Piece]]) -> list[list[Piece]]:
    """The lines up to what in them is dark, from both ends; weak writing as it is, and all where nothing is dark."""
    dark = set(np.unique(sheet.labels[sheet.share >= DARK]).tolist())
    kept = []
    for line in lines:
        at = [number for number, piece in enumerate(line) if not dark.isdisjoint(piece.labels)]
        weak = len(line) - len(at) >= WRITING
        kept.append(line if weak else line[at[0] : at[-1] + 1] if at else [])
    return [line for line in kept if line] or lines


def _levelled(ink: Ink) -> tuple[Sheet, list[Piece], float]:
    """The page with its lines level, what on it may be of letters, and the height of one."""
    sheet = level_sheet(ink)
    height = letter_height(sheet.pieces, sheet.share.shape)
    kept = _cleaned(sheet, height)
    if tilt := tilt_of(kept, height):
        labels = [label for piece in kept for label in piece.labels]
        share = np.where(np.isin(sheet.labels, labels) | (sheet.labels == 0), ink.share, 0.0)
        sheet = level_sheet(replace(ink, share=share), tilt)
        kept = sheet.pieces
        height = letter_height(kept, sheet.share.shape)
    return sheet, kept, height


def _alone(lines: list[list[Piece]], height: float) -> int:
    """How many stand alone and are as narrow as a letter, if they are most of these by their width and not words."""
    widths = [joined(line[start:stop]).width for line in lines for start, stop in parts_of(line, WORDS * height)]
    narrow = [width for width in widths if width <= LONE * height]
    return len(narrow) if 2 * sum(narrow) > sum(widths) else 0


def _parted(
    sheet: Sheet, lines: list[list[Piece]], height: float, whole: float, by: float = 1.0
) -> list[tuple[Sheet, list[Piece]]]:
    """Each line in fragments, on a sheet of its own, so many times as wide as it was.

    whole: pixels; what is no wider is not cut. Of fragments there are only so many on a page: each costs some time.
    """
    left, parted = CUTS, []
    for line in lines:
        own, pieces = sheet.widened(line, by)
        parts = list[Piece]()
        for piece in pieces:
            cut = left > 0 and piece.height <= TALLEST * height and whole * by < piece.width <= LONGEST * height
            parts += fragments_of(own, piece, height) if cut else [piece]
        left -= len(parts) - len(line)
        parted.append((own, parts))
    return parted


def _judged(parted: list[tuple[Sheet, list[Piece]]], height: float, judge: Judge, spread: float) -> Judged:
    lines = [(sheet, lattice_of(sheet, fragments, height, judge, spread)) for sheet, fragments in parted]
    letters, scores = zip(*(letters_of(lattice) for _, lattice in lines), strict=True)
    named = [lattice.named[found].max(axis=1) for (_, lattice), found in zip(lines, letters, strict=True) if found]
    surety = float(np.log(np.concatenate(named).clip(LEAST)).mean()) if named else -np.inf
    score = sum(scores) / sum(len(fragments) for _, fragments in parted)
    return Judged(lines, sum(map(len, letters)), score, surety)


def _named(lattice: Lattice, gap: float, judge: Judge, language: Language | None, all_of_it: bool) -> Letters:
    """A line's letters, but for numbers. gap: as `word_gaps` has it. all_of_it: nothing is no letter."""
    if language is None:
        letters, _ = letters_of(lattice, all_of_it)
        return [(number, lattice.named[number]) for number in letters]
    pieces = [span.piece for span in lattice.spans if span.stop == span.start + 1]
    if all_of_it:
        lattice = lattice._replace(none=np.full_like(lattice.none, -np.inf))
    words, named = list[tuple[Lattice, list[int]]](), Letters()
    for first, last in parts_of(pieces, gap):
        within = lattice.between(first, last)
        letters, probabilities = language.read(word := lattice.of(within))
        words.append((word, letters))
        named += zip([within[number] for number in letters], probabilities, strict=True)
    return [letter for letter, figure in zip(named, chain(*of_numbers(words, judge)), strict=True) if not figure]


def _words(sheet: Sheet, lattice: Lattice, gap: float, letters: Letters, lexicon: Lexicon | None) -> list[list[Glyph]]:
    """A line's words, parted where the gap is wide, for this writing and beside the other gaps."""
    pieces = [lattice.spans[number].piece for number, _ in letters]
    gaps = [max(0, b.left - a.right) for a, b in pairwise(pieces)] or [0]
    parts = parts_of(pieces, max(gap, 2.0 * float(np.median(gaps))))
    return [_spelt(sheet, lattice, letters[first:last], lexicon) for first, last in parts]


def _spelt(sheet: Sheet, lattice: Lattice, word: Letters, lexicon: Lexicon | None) -> list[Glyph]:
    """The glyphs of a word; where it is one of the lexicon, with their names."""
    named = [(number, probabilities, "") for number, probabilities in word]
    if lexicon:
        within = lattice.between(lattice.spans[word[0][0]].start, lattice.spans[word[-1][0]].stop)
        if spelt := lexicon.spelt(lattice.of(within)):
            named = [(within[number], lattice.named[within[number]], name) for number, name in spelt]
    return [sheet.glyph(lattice.spans[i].piece, lattice.images[i], *known) for i, *known in named]


def _cleaned(sheet: Sheet, height: float) -> list[Piece]:
    """The pieces without rules, shadows and specks."""
    kept = []
    for piece in sheet.pieces:
        long, short = max(piece.width, piece.height), min(piece.width, piece.height)
        ruled = piece.width > 3.0 * height and piece.height < max(0.35 * height, piece.width / SLENDER)
        outside = at_edge(piece, sheet.share.shape) and (long > 3.0 * height or short < 0.3 * height)
        if not (ruled or outside or piece.height > 3.0 * height or long < 0.1 * height):
            kept.append(piece)
    return kept or sheet.pieces


def _dotted(sheet: Sheet, pieces: list[Piece], height: float) -> list[Piece]:
    """The pieces, with dots joined to the stem of the i or j below them; rings that some write for them become dots."""
    dotted, boxes = dict(enumerate(pieces)), boxes_of(pieces)
    stems = boxes.astype(float)
    for number, dot in sorted(dotted.items(), key=lambda item: item[1].height):
        size = max(dot.width, dot.height) / height
        if size > RING[0] or dotted[number] is not dot:  # as it has got a smaller one itself
            continue
        off = _off(dot, stems)
        off[number] = np.inf
        stem = int(off.argmin())
        others = boxes[:, (boxes[1] < dot.bottom) & (np.arange(len(pieces)) != number)]
        nearest = distances(boxes_of([dot]), others).min(initial=np.inf)
        if not off[stem] < min(2.0 * nearest, np.inf):
            continue
        small = size <= DOT[0] and dotted[stem].height > DOT[1] * dot.height
        if sheet.dotted(dot) or small:
            dotted[stem] = joined([dotted[stem], dotted.pop(number)])
            stems[:, stem], stems[:, number] = boxes_of([dotted[stem]])[:, 0], np.nan
    return list(dotted.values())


def _off(dot: Piece, stems: np.ndarray) -> np.ndarray:
    """How far a dot is from where each of these (4, n) ends, in pixels, down and aside; inf from what is no stem."""
    left, top, right, bottom = stems
    tall, over, aside = bottom - top, top - dot.bottom, np.abs(dot.left + dot.right - left - right) / 2
    is_stem = (right - left < SLIM * tall) & (tall > RING[1] * dot.height) & (aside < 0.6 * tall)
    return np.where(is_stem & (-0.1 * tall < over) & (over < ABOVE * tall), over + aside, np.inf)


def _whole(line: list[Piece], height: float) -> list[Piece]:
    """A line's pieces from the left, those above each other joined, and crumbs to what they are part of.

    A crumb low at the right of a letter is a full stop.
    """
    whole = [piece for piece in line if max(piece.height, piece.width) > CRUMB * height]
    crumbs = [piece for piece in line if max(piece.height, piece.width) <= CRUMB * height]
    whole, crumbs = (whole, crumbs) if whole else (crumbs, [])
    boxes = boxes_of(whole)
    for crumb in crumbs:
        apart = distances(boxes_of([crumb]), boxes)
        nearest = int(apart.argmin())
        near = whole[nearest]
        stop = crumb.left > near.right + 0.05 * height and crumb.top > near.top + 0.6 * near.height
        if apart[nearest] < 0.5 * height and not stop:
            whole[nearest] = joined([near, crumb])
            boxes[:, nearest] = boxes_of(whole[nearest : nearest + 1])[:, 0]
    parts: list[Piece] = []
    for piece in sorted(whole, key=lambda piece: piece.left):
        for other in parts[-3:]:
            if stacked(other, piece):
                parts.remove(other)
                piece = joined([other, piece])
        parts.append(piece)
    return parts
