"""Which letters follow each other, in English or in the alphabet, by which one in doubt is told from those beside it.

A hidden Markov model of the second order: each letter of a word is as likely as after the two before it, times how much
its ink looks like it (Jelinek 1976, "Continuous speech recognition by statistical methods"). How a word begins tells
nothing, so that a letter alone, or a sheet of letters, is read as it stands; so is a word whose letters do not follow
each other as English ones do, unless its ink is in doubt. No word has to be in a list, as lexicon.py demands. A sheet
of single letters, though, is often the alphabet, or some of it.
"""

from collections.abc import Mapping, Sequence
from functools import lru_cache
from string import ascii_uppercase

import numpy as np

from ..training.checkpoint import BOXED
from .spans import LEAST, LETTER, ROUNDS, Lattice, letters_of

ENGLISH = BOXED.with_name("english.npy")
WEIGHT = 0.65  # of what a letter is after two others, beside its ink
STRANGE = 1.7  # by which a word that is to stay as it is scores higher so than as English
SURE = 0.98  # probability of a word's letters, from which on no context is asked
UNLIKELY = 5.0  # below the score of a span's likeliest name: what is less likely is not tried
STEPS = 24.0  # a file's unit is one by so many of a natural logarithm
FEW = 1e-4, 1e-3  # share of all letters: of what follows two, or one, that are rarer, the one letter, or none, is asked
ORDERED = 0.3  # of a sheet's letters that follow the one before them, from which on it is an alphabet
NONE = len(ascii_uppercase)  # what is before a word's first letter


class Language:
    """after: for the letter before last, the last (NONE for none), and each class, (27, 27, classes), what it adds."""

    def __init__(self, after: np.ndarray):
        self.after = after

    def read(self, lattice: Lattice) -> tuple[list[int], np.ndarray]:
        """The letters of a word, by the numbers of their spans, and their probabilities, (letters, classes)."""
        letters, as_it_is = letters_of(lattice)
        if letters and lattice.named[letters].max(axis=1).min() > SURE:
            return letters, lattice.named[letters]
        path, score = self._best(lattice)
        if score < as_it_is - STRANGE:
            return letters, lattice.named[letters]
        numbers = [number for number, _ in path]
        return numbers, self._named(lattice.named[numbers], [name for _, name in path])

    def _best(self, lattice: Lattice) -> tuple[list[tuple[int, int]], float]:
        """The spans and names that score highest together, and how high."""
        spans, none = lattice.spans, lattice.none
        logs = LETTER["named"] * np.log(np.maximum(lattice.named, LEAST))
        logs -= logs.max(axis=1, keepdims=True)
        count, width = max(span.stop for span in spans) + 1, NONE + 1
        best = np.full((count, width, width), -np.inf)  # by the letters before last and last, up to each fragment
        best[0, NONE, NONE] = 0.0
        came = np.full((count, width, width, 2), -1)  # by which span, after which letter
        for number, span in enumerate(spans):
            before, here = best[span.start], best[span.stop]
            names = np.flatnonzero(logs[number] > -UNLIKELY)
            ways = before[:, :, None] + self.after[:, :, names] + (lattice.letter[number] + logs[number, names])
            first = ways.argmax(axis=0)  # (27, names)
            score = np.take_along_axis(ways, first[None], axis=0)[0]
            rows, columns = np.nonzero(score > here[:, names])
            here[rows, names[columns]] = score[rows, columns]
            came[span.stop, rows, names[columns], 0] = number
            came[span.stop, rows, names[columns], 1] = first[rows, columns]
            better = before + none[number] > here
            here[better] = before[better] + none[number]
            came[span.stop, better] = number, -1
        path, stop = list[tuple[int, int]](), count - 1
        last, name = divmod(int(best[stop].argmax()), width)
        highest = float(best[stop, last, name])
        while stop:
            number, one_before = came[stop, last, name].tolist()
            if one_before >= 0:
                path.append((number, name))
                last, name = one_before, last
            stop = spans[number].start
        return path[::-1], highest

    def _named(self, named: np.ndarray, names: list[int]) -> np.ndarray:
        """Probabilities (letters, classes) after what is beside each letter, that being what it is named."""
        around = [NONE, NONE, *names]
        likely = LETTER["named"] * np.log(np.maximum(named, LEAST))
        for i, row in enumerate(likely):
            two, one = around[i : i + 2]
            row += self.after[two, one]
            if i + 1 < len(names):
                row += self.after[one, : len(row), names[i + 1]]
            if i + 2 < len(names):
                row += self.after[: len(row), names[i + 1], names[i + 2]]
        likely = np.exp(likely - likely.max(axis=1, keepdims=True))
        return np.asarray(likely / likely.sum(axis=1, keepdims=True))


def in_alphabetical_order(lines: Sequence[Lattice]) -> list[Lattice]:
    """The lines of a page of letters that belong to no words, each name likelier where it follows the one before it.

    In the alphabet, that is, A after Z; the more so the more of the page does, which is learned from it, as in any
    hidden Markov model (Rabiner 1989, "A tutorial on hidden Markov models", section III), with two pairs more that do
    not. Where few do, it is no alphabet: i that could be j would follow each other by turns.
    """
    letters = [letters_of(line)[0] for line in lines]
    ink = np.concatenate([line.named[found] for line, found in zip(lines, letters, strict=True)])
    share = 0.5
    for _ in range(ROUNDS):
        beside, following = of_neighbours(ink, share)
        share = following / (len(ink) + 1)
    if share < ORDERED:
        return list(lines)
    told = []
    for line, found in zip(lines, letters, strict=True):
        often = np.ones_like(line.named)
        often[found], beside = np.split(beside, [len(found)])
        told.append(line.told(often))
    return told


def of_neighbours(ink: np.ndarray, share: float) -> tuple[np.ndarray, float]:
    """What the letters beside each say of it, (letters, classes), and how many follow the one before them.

    ink: how likely each is by its own, (letters, classes). share: of the letters that follow as in the alphabet; the
    others do so by chance.
    """
    chance, ordered = 1.0 - share, share * ink.shape[1]
    one_before, one_after = (np.roll(np.arange(ink.shape[1]), step) for step in (1, -1))
    before, after, following = np.ones_like(ink), np.ones_like(ink), 0.0
    for i in range(len(ink) - 1, 0, -1):
        told = after[i] * ink[i]
        after[i - 1] = chance + (ordered / told.sum()) * told[one_after]
    for i in range(1, len(ink)):
        told = before[i - 1] * ink[i - 1]
        next_ = (ordered / told.sum()) * told[one_before]
        before[i] = chance + next_
        here = after[i] * ink[i]
        following += float(next_ @ here / (before[i] @ here))
    return before * after, following


@lru_cache(maxsize=4)
def english(classes: Sequence[str]) -> Language | None:
    """English, for a network of these classes, in this order; None where they are not the letters A to Z."""
    if tuple(classes) != tuple(ascii_uppercase):
        return None
    return Language(WEIGHT * np.load(ENGLISH, allow_pickle=False) / STEPS)


def table_of(often: Mapping[str, float]) -> np.ndarray:
    """What a file holds of words and each one's share of all that is written: int8 (27, 27, 26).

    The logarithm, in STEPS, of how often a letter follows the letter before last and the last, against one in 26. Of
    a word's first letter 0. Rare pairs are smoothed by what follows the last letter alone, and that by how frequent a
    letter is (Bell, Cleary and Witten 1990, "Text Compression", for the idea).
    """
    counts = np.zeros((NONE + 1, NONE + 1, NONE))
    for word, share in often.items():
        if set(word.upper()) <= set(ascii_uppercase):
            numbers = [NONE, NONE, *(ascii_uppercase.index(letter) for letter in word.upper())]
            for before, last, letter in zip(numbers, numbers[1:], numbers[2:], strict=False):
                counts[before, last, letter] += share
    counts /= counts.sum()
    of_pair, of_one = FEW
    alone = counts.sum(axis=0)
    alone = (alone + of_one * counts.sum(axis=(0, 1))) / (alone.sum(axis=1, keepdims=True) + of_one)
    after = (counts + of_pair * alone) / (counts.sum(axis=2, keepdims=True) + of_pair)
    steps = np.round(STEPS * np.log(np.maximum(26.0 * after, LEAST))).clip(-128, 127)
    steps[:, NONE] = 0.0
    return np.asarray(steps, np.int8)
