"""Words, where one asks for them: of all ways to cut and name a word's ink, the likeliest that a list of words has.

A noisy channel (Kernighan, Church and Gale 1990, "A spelling correction program based on a noisy channel model"): how
often a word is written, times how much its ink looks like it; against a word that is in no list. The scores of spans.py
hold for letters drawn at random, so that each letter of a word first gives back the chance that it was just this one.
What is read surely stays, names too.
"""

from collections.abc import Mapping, Sequence
from functools import lru_cache
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from ..errors import LettergpuError
from ..files import read_text
from .spans import LEAST, LETTER, Lattice, letters_of

ENGLISH = "english"
LARGEST = 50_000_000  # bytes of a file of words
STRANGE = 0.05  # of the words that are written are in no list,
OF_STRANGE = 1 / 18  # and each letter of one has this probability: English letters are as uncertain as so many,
AT_RANDOM = 1 / 26  # and those that spans.py was fitted to as so many
LISTED = 1e-4  # of what is written is a word of a file, or less, where there are many
WAYS = 200  # beginnings of words that are kept up to each fragment
UNLIKELY = 9.0  # below the log probability of the likeliest name: what is less likely is not tried


class Node(NamedTuple):
    """A beginning of words. after: by the number of the letter that follows. ends: its log probability as a word."""

    after: "dict[int, Node]"
    ends: float


class Way(NamedTuple):
    """A beginning, what its ink scores, and its letters, the last first: (number of its span, of it, those before)."""

    score: float
    node: Node
    letters: Any


class Lexicon:
    """Words of these letters. often: each one's share of all words that are written."""

    def __init__(self, often: Mapping[str, float], letters: Sequence[str]):
        self.letters = tuple(letters)
        numbers = {letter: number for number, letter in enumerate(letters)}
        self.root = Node({}, -np.inf)
        for word, share in often.items():
            if word and all(letter in numbers for letter in word):
                self._add([numbers[letter] for letter in word], float(np.log(share)))

    def _add(self, word: list[int], ends: float) -> None:
        after = self.root.after
        for number in word[:-1]:
            after = after.setdefault(number, Node({}, -np.inf)).after
        after[word[-1]] = Node(after[word[-1]].after if word[-1] in after else {}, ends)

    def spelt(self, lattice: Lattice) -> list[tuple[int, str]] | None:
        """The likeliest word of this ink, its spans by their numbers; None where one that is in no list is likelier."""
        as_it_is, score = letters_of(lattice)
        begun: dict[int, list[Way]] = {0: [Way(0.0, self.root, None)]}
        kept: dict[int, list[Way]] = {}
        for number, span in enumerate(lattice.spans):
            if span.start not in kept:
                kept[span.start] = _likeliest(begun.get(span.start, []))
            begun.setdefault(span.stop, []).extend(_longer(kept[span.start], lattice, number))
        whole = [way._replace(score=way.score + way.node.ends) for way in begun[lattice.spans[-1].stop]]
        best = max(whole, key=lambda way: way.score)
        if best.score <= score + np.log(STRANGE) + len(as_it_is) * np.log(OF_STRANGE / AT_RANDOM):
            return None
        word, letters = [], best.letters
        while letters:
            number, name, letters = letters
            word.append((number, self.letters[name]))
        return word[::-1]


def _longer(ways: list[Way], lattice: Lattice, number: int) -> list[Way]:
    """The ways with this span of the lattice as well: as each letter that may follow, or as none."""
    logs = LETTER["named"] * np.log(np.maximum(lattice.named[number], LEAST))
    scores, none = lattice.letter[number] - logs.max() + logs - np.log(AT_RANDOM), float(lattice.none[number])
    likely = set(np.flatnonzero(logs > logs.max() - UNLIKELY).tolist())
    longer = [way._replace(score=way.score + none) for way in ways if none > -np.inf]
    for score, node, letters in ways:
        for name in likely & node.after.keys():
            longer.append(Way(score + float(scores[name]), node.after[name], (number, name, letters)))
    return longer


def _likeliest(ways: list[Way]) -> list[Way]:
    """The best way to each beginning, of as many as are kept."""
    best: dict[int, Way] = {}
    for way in sorted(ways, key=lambda way: -way.score):
        best.setdefault(id(way.node), way)
        if len(best) == WAYS:
            break
    return list(best.values())


@lru_cache(maxsize=4)
def lexicon_of(source: str, letters: Sequence[str]) -> Lexicon:
    """The lexicon of English, or of a file in UTF-8 with a word a line, all of them as likely.

    Raises LettergpuError where there is no such file or no word in it, or wordfreq, which knows English, is missing.
    """
    lexicon = Lexicon(_english() if source == ENGLISH else _listed(Path(source)), letters)
    if not lexicon.root.after:
        raise LettergpuError(f"{source} has no word of the letters {''.join(letters)}: it must have a word a line")
    return lexicon


def _english() -> dict[str, float]:
    try:
        from wordfreq import get_frequency_dict
    except ImportError:
        raise LettergpuError(
            "the lexicon of English needs wordfreq (pip install 'lettergpu[lexicon]'); or name a file of words"
        ) from None
    return {word.upper(): often for word, often in get_frequency_dict("en", wordlist="small").items()}


def _listed(path: Path) -> dict[str, float]:
    try:
        words = {line.strip().upper() for line in read_text(path, LARGEST).splitlines()}
    except OSError as error:
        raise LettergpuError(f"the lexicon {path} cannot be read ({error.strerror}): name english or a file") from error
    except UnicodeDecodeError as error:
        raise LettergpuError(f"the lexicon {path} is no text in UTF-8: it must have a word a line") from error
    except ValueError as error:
        most = f"{LARGEST // 10**6} MB"
        raise LettergpuError(f"{path} is larger than {most}: a file of words has a word a line") from error
    return dict.fromkeys(words, min(LISTED, 1.0 / len(words)) if words else 0.0)
