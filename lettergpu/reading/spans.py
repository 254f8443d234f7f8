"""Which fragments of a line make a letter together, and which are none: marks, figures, blots.

No shape tells this by itself. Each row of neighbouring fragments has a score as a letter, and each fragment one as no
letter: how surely the network names it, how like a letter a second network finds it, how large it is beside the others,
what was cut and joined for it. The way through the line with the highest sum is taken (a semi-Markov conditional random
field: Sarawagi and Cohen 2004, "Semi-Markov conditional random fields for information extraction"). Of which lines the
second network and these numbers were learned, bench/accuracy/scraps.py and bench/accuracy/lines.py tell. Of what is
named as letters then, a third network takes numbers away.
"""

from collections.abc import Callable, Sequence
from itertools import pairwise
from typing import NamedTuple

import numpy as np

from ..nn.network import Network
from ..training import checkpoint
from .normalise import all_to_emnist
from .sheet import Piece, Sheet, joined

TOGETHER = 6  # fragments of a letter at most
WIDEST = 1.9  # heights of a letter that is made of several
APART = 0.3  # of its height: what is farther apart is of two letters
NARROW = 1.2  # heights: ink narrower than this is likely one letter
ROUNDS = 8  # of telling what a page of single letters holds by what it holds
LEAST, MOST = 1e-6, 0.9999  # probabilities: where a network is surer than this, it is not
HIGH = 0.6  # of a word's median height, from which on what is no letter may be a figure
SURE, LIKELY = 3.0, 0.5  # log odds that it is one, at most (that it is none: twice that), and what is taken off them;
ENTERS, LEAVES = (4.6, 2.5), (3.0, 0.0)  # what a number costs that begins, or ends, within a word, or with one

LETTER = {  # what it adds to the log likelihood of a letter,
    "named": 0.83,  # the log probability of its likeliest name
    "each": 0.26,  # that there is one
    "cut": -0.2,  # strokes cut through at its left edge
    "parted": -0.5,  # that one cut there at all
    "tight": -2.29,  # by how many heights the ink that was cut is narrower than NARROW
    "inside": 1.04,  # places inside it where one could have cut
    "apart": -1.44,  # pieces in it that stand apart
    "wide": -0.19,  # the logarithm of its width in letters' heights
    "high": -0.41,  # and of its height
    "alone": 0.83,  # heights to what is beside it, the nearer, at most 1
    "spread": -1.97,  # that one cut it from a line whose letters stand apart: heights between these, the median
    "like": 0.42,  # the log odds that it is a letter at all
}
NONE = {  # and of a fragment that is none
    "each": -0.36,
    "parted": -0.54,
    "high": -0.34,
    "named": -1.61,  # the probability, not its logarithm
    "like": -0.16,
    "few": 0.65,  # one by the number of fragments in the line
}


class Judge(NamedTuple):
    """Networks, of images (n, 28, 28). names: to probabilities (n, classes); like: to those of no letter and of one.

    figure: to the log odds (n,) that one is a figure rather than a letter; None: nothing is one.
    """

    names: Callable[[np.ndarray], np.ndarray]
    like: Callable[[np.ndarray], np.ndarray]
    figure: Callable[[np.ndarray], np.ndarray] | None = None

    @classmethod
    def of(cls, network: Network, like: Network | None = None) -> "Judge":
        """With this one to name letters, and those in the package, but for `like`, where it is given."""
        knows = checkpoint.load(checkpoint.BOXED)
        figure = checkpoint.load(checkpoint.FIGURES, inputs=knows.sizes[-2])
        like = like or checkpoint.load(checkpoint.LETTERLIKE)

        def odds(images: np.ndarray) -> np.ndarray:
            logits: np.ndarray = figure.forward(knows.hidden(images)[-1])
            return logits[:, 1] - logits[:, 0]

        return cls(network.predict_proba, like.predict_proba, odds)

    def likely(self, images: np.ndarray) -> np.ndarray:
        """How likely each of these (n, 28, 28) is a letter by its ink alone, (n,); what is none is below 0."""
        named = np.log(np.maximum(self.names(images).max(axis=1), LEAST))
        like = np.clip(self.like(images)[:, 1], 1.0 - MOST, MOST)
        return np.asarray(LETTER["named"] * named + LETTER["like"] * np.log(like / (1.0 - like)))


class Span(NamedTuple):
    """The fragments from start on, without stop, as one piece."""

    start: int
    stop: int
    piece: Piece


class Lattice(NamedTuple):
    """All ways to part a line. letter, none: the spans' scores as such, (spans,).

    images: the spans in EMNIST's form, uint8 (spans, 28, 28); named: the probabilities of their names (spans, classes).
    """

    spans: list[Span]
    letter: np.ndarray
    none: np.ndarray
    images: np.ndarray
    named: np.ndarray

    def between(self, first: int, last: int) -> list[int]:
        """The spans of these fragments alone, without the last, by their numbers."""
        return [number for number, span in enumerate(self.spans) if first <= span.start and span.stop <= last]

    def of(self, numbers: Sequence[int]) -> "Lattice":
        """These spans alone, which are of fragments side by side; the first of them gets the number 0."""
        kept = [self.spans[number] for number in numbers]
        first = kept[0].start
        spans = [Span(span.start - first, span.stop - first, span.piece) for span in kept]
        return Lattice(spans, *(part[numbers] for part in self[1:]))

    def told(self, often: np.ndarray) -> "Lattice":
        """This, where classes are as frequent as these shares of all, (classes,) or, by the span, (spans, classes)."""
        named = np.maximum(self.named, LEAST) * often
        named /= named.sum(axis=1, keepdims=True)
        before, after = (np.clip(names.max(axis=1), LEAST, 1.0) for names in (self.named, named))
        letter = self.letter + LETTER["named"] * np.log(after / before)
        return self._replace(letter=letter, none=self.none + NONE["named"] * (after - before), named=named)


def of_numbers(words: Sequence[tuple[Lattice, list[int]]], judge: Judge) -> list[list[bool]]:
    """Which letters of a line's words are figures of numbers, for each word in their order.

    words: of each its lattice, and which of its spans were read as letters. What is no letter, but as high as one,
    tells of a number, too.
    """
    if not words or judge.figure is None:
        return [[False] * len(letters) for _, letters in words]
    held = [_high_in(word, letters) for word, letters in words]
    images = np.concatenate([word.images[high] for (word, _), high in zip(words, held, strict=True)])
    begins = [not i for high in held for i in range(len(high))]
    found = iter(in_numbers(judge.figure(images), begins) if len(images) else [])
    figures = [dict(zip(high, found, strict=False)) for high in held]
    return [[known[number] for number in letters] for (_, letters), known in zip(words, figures, strict=True)]


def _high_in(word: Lattice, letters: Sequence[int]) -> list[int]:
    """The spans of a word's letters, and of what else in it is as high, in their order."""
    read = {place for number in letters for place in range(word.spans[number].start, word.spans[number].stop)}
    single = [i for i, span in enumerate(word.spans) if span.stop == span.start + 1]
    high = HIGH * np.median([word.spans[i].piece.height for i in letters or single])
    lost = [i for i in single if word.spans[i].start not in read and word.spans[i].piece.height >= high]
    return sorted([*letters, *lost], key=lambda number: word.spans[number].start)


def in_numbers(odds: np.ndarray, begins: Sequence[bool]) -> list[bool]:
    """Which characters of a line are of numbers: the likeliest way through the line (Viterbi's algorithm).

    odds: the log odds of each that it is a figure rather than a letter, (n,). begins: whether it is a word's first. A
    number is no part of a word but for strong reasons, and one figure alone is none, as it may be a letter.
    """
    figure = odds.clip(-2.0 * SURE, SURE) - LIKELY
    letters, numbers, came = 0.0, -np.inf, list[tuple[bool, bool]]()
    for here, first in zip(figure, begins, strict=True):
        left, entered = numbers - LEAVES[first], letters - ENTERS[first]
        came.append((left > letters, numbers >= entered))
        letters, numbers = max(letters, left), max(numbers, entered) + here
    is_figure, found = bool(numbers > letters), list[bool]()
    for of_letter, of_number in reversed(came):
        found.append(is_figure)
        is_figure = of_number if is_figure else of_letter
    return found[::-1]


def lattice_of(sheet: Sheet, fragments: Sequence[Piece], height: float, judge: Judge, spread: float = 0.0) -> Lattice:
    """The lattice of a line's fragments from the left. height: of a letter, in pixels; spread: as `seen` takes it."""
    spans = spans_of(fragments, height)
    values, images, named = seen(sheet, fragments, spans, height, judge, spread)
    return Lattice(spans, *scores(spans, values, named), images, named)


def letters_of(lattice: Lattice, all_of_it: bool = False) -> tuple[list[int], float]:
    """The letters of a line, from the left, by the numbers of their spans, and the score of it all.

    all_of_it: nothing is no letter.
    """
    spans, letter, none = lattice.spans, lattice.letter, lattice.none
    none = np.full_like(none, -np.inf) if all_of_it else none
    best = [(0.0, -1)] + [(-np.inf, -1)] * max(span.stop for span in spans)  # up to each fragment; what ends there
    for number, span in enumerate(spans):
        score = best[span.start][0] + max(letter[number], none[number])
        if score > best[span.stop][0]:
            best[span.stop] = (score, number)
    letters, stop = [], len(best) - 1
    while stop:
        number = best[stop][1]
        if letter[number] >= none[number]:
            letters.append(number)
        stop = spans[number].start
    return letters[::-1], float(best[-1][0])


def as_on_a_page(lines: Sequence[Lattice]) -> list[Lattice]:
    """The lines of a page of letters that belong to no words, each name likelier the more of the page has it.

    As many letters of each class are expected as were found, and one (Laplace's rule of succession); what is found
    by that tells what is expected the next time (Saerens, Latinne and Decaestecker 2002, "Adjusting the outputs of a
    classifier to new a priori probabilities: a simple procedure").
    """
    told = list(lines)
    for _ in range(ROUNDS):
        found = np.concatenate([line.named[letters_of(line)[0]] for line in told])
        often = found.sum(axis=0) + 1.0
        told = [line.told(often / often.sum()) for line in lines]
    return told


def spans_of(fragments: Sequence[Piece], height: float) -> list[Span]:
    """Each fragment, and all that stand together and are no wider than a letter may be."""
    spans = []
    for start in range(len(fragments)):
        for stop in range(start + 1, min(start + TOGETHER, len(fragments)) + 1):
            parts = fragments[start:stop]
            piece = joined(parts)
            apart = max((b.left - a.right for a, b in pairwise(parts)), default=0)
            if stop > start + 1 and (piece.width > WIDEST * height or apart > APART * height):
                break
            spans.append(Span(start, stop, piece))
    return spans


def seen(
    sheet: Sheet, fragments: Sequence[Piece], spans: Sequence[Span], height: float, judge: Judge, spread: float = 0.0
) -> tuple[dict[str, np.ndarray], np.ndarray, np.ndarray]:
    """What the scores are made of, by name, each (spans,); and images and named as a lattice has them.

    spread: heights that letters stand apart by, where that is not to be seen.
    """
    images = all_to_emnist((sheet.crop(span.piece) for span in spans), sheet.stroke)
    like = np.clip(judge.like(images)[:, 1], 1.0 - MOST, MOST)
    gaps = [min(1.0, max(0, b.left - a.right) / height) for a, b in pairwise(fragments)]
    between = [gap for gap, part in zip(gaps, fragments[1:], strict=True) if not part.cut]
    spread = float(np.median(between)) if len(between) > 1 else spread
    gaps = [1.0, *gaps, 1.0]
    first = [fragments[span.start] for span in spans]
    later = [fragments[span.start + 1 : span.stop] for span in spans]
    parted = np.array([float(part.cut > 0) for part in first])
    values = {
        "each": np.ones(len(spans)),
        "cut": np.array([part.cut for part in first]),
        "parted": parted,
        "tight": parted * [max(0.0, NARROW - part.whole / height) for part in first],
        "inside": np.array([sum(part.cut > 0 for part in parts) for parts in later], float),
        "apart": np.array([sum(part.cut == 0 for part in parts) for parts in later], float),
        "wide": np.log([span.piece.width / height for span in spans]),
        "high": np.log([span.piece.height / height for span in spans]),
        "alone": np.array([min(gaps[span.start], gaps[span.stop]) for span in spans]),
        "spread": parted * spread,
        "like": np.log(like / (1.0 - like)),
        "few": np.full(len(spans), 1.0 / len(fragments)),
    }
    return values, images, judge.names(images)


def scores(spans: Sequence[Span], values: dict[str, np.ndarray], named: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Of each span as a letter and as none, (spans,) both."""
    surest = np.clip(named.max(axis=1), LEAST, 1.0)
    letter = sum(weight * {**values, "named": np.log(surest)}[name] for name, weight in LETTER.items())
    none = sum(weight * {**values, "named": surest}[name] for name, weight in NONE.items())
    single = np.array([span.stop - span.start == 1 for span in spans])
    return np.asarray(letter), np.where(single, none, -np.inf)
