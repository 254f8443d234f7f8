"""What was read beside what stands there, counted: how good a reader is on pictures of one's own.

A room of its own: who reads pictures needs no truth.
"""

import re
from collections.abc import Iterable
from dataclasses import asdict, astuple, dataclass
from pathlib import Path

from ..errors import LettergpuError
from ..files import read_json

MOST = 10_000_000  # bytes of a file of truths
MOST_TEXT = 10_000  # characters of one: an alignment takes as long as they are, times the answer's


@dataclass(frozen=True)
class Truth:
    """What stands in a picture, and of what kind it is, for tables."""

    text: str
    kind: str = ""


@dataclass(frozen=True)
class Count:
    """Of how many pictures the letters that stand there, those read rightly, and those read that are not there; words.

    Case and all but the letters A to Z are left out of account. right: in an alignment of the fewest differences.
    whole: the words that stand in the answer, in their order.
    """

    pictures: int = 0
    letters: int = 0
    right: int = 0
    extra: int = 0
    words: int = 0
    whole: int = 0

    def __add__(self, other: "Count") -> "Count":
        return Count(*(a + b for a, b in zip(astuple(self), astuple(other), strict=True)))

    def table(self) -> dict[str, int]:
        return asdict(self)


def read_truth(path: Path) -> dict[str, Truth]:
    """By the names of pictures, from a JSON file: {"a.png": "HELLO", "b.png": {"truth": "HI", "kind": "photo"}}.

    Raises LettergpuError for any other content.
    """
    try:
        table = read_json(path, MOST)
        rows = {name: row if isinstance(row, dict) else {"truth": row} for name, row in table.items()}
        found = {name: Truth(row["truth"], row.get("kind", "")) for name, row in rows.items()}
        parts = [part for truth in found.values() for part in (truth.text, truth.kind)]
        if all(isinstance(part, str) and len(part) <= MOST_TEXT for part in parts):
            return found
    except OSError as error:
        raise LettergpuError(f"{path} cannot be read: {error.strerror}") from error
    except (ValueError, AttributeError, KeyError):
        pass
    raise LettergpuError(
        f'{path} is no truth: it must be JSON like {{"a.png": "HELLO", "b.png": {{"truth": "HI", "kind": "photo"}}}}, '
        f"of at most {MOST:,} bytes, {MOST_TEXT:,} characters a text"
    )


def count(truth: str, answer: str) -> Count:
    """One picture's."""
    letters, read = _letters(truth), _letters(answer)
    right = _matched(letters, read)
    words = truth.upper().split()
    return Count(1, len(letters), right, len(read) - right, len(words), _in_order(words, answer.upper().split()))


def _letters(text: str) -> str:
    return re.sub("[^A-Z]", "", text.upper())


def _matched(truth: str, answer: str) -> int:
    """The letters that are the same in an alignment of least edit distance: of several, in the one with the most."""
    row = [(j, 0) for j in range(len(answer) + 1)]  # the distance, and less the letters that are the same
    for i, letter in enumerate(truth, 1):
        above, row = row, [(i, 0)]
        for j, other in enumerate(answer, 1):
            same = letter == other
            ways = [(above[j][0] + 1, above[j][1]), (row[j - 1][0] + 1, row[j - 1][1])]
            row.append(min(*ways, (above[j - 1][0] + (not same), above[j - 1][1] - same)))
    return -row[-1][1]


def _in_order(words: Iterable[str], answered: list[str]) -> int:
    """How many of the words are in the answer, in their order: the longest common subsequence."""
    row = [0] * (len(answered) + 1)
    for word in words:
        above, row = row, [0]
        for j, other in enumerate(answered, 1):
            row.append(above[j - 1] + 1 if word == other else max(above[j], row[j - 1]))
    return row[-1]
