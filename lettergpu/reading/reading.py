"""What was read of a picture, or of several looks at it: letters, places, and how sure; as Python has it and JSON."""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from itertools import chain, pairwise, product
from operator import add
from typing import Any

import numpy as np

from ..errors import LettergpuError

ONE_TWO = tuple(product("IJL", "Z"))  # what the numbers of a list's first lines look like
SURER = 0.1  # mean log probability by which one way to see letters has to be better: any ink looks like letters
MANY, LINED = 300, 4.0  # letters of a page that is not turned, and side by side of one that does not lie on its side,
WORD = 3  # and, or more, that do where but one is read as it is
DRAWN = 1000, 0.1  # pieces of ink, or more, of which fewer are letters than so many: that is no writing, turned or not
FILLED = 0.8  # of a picture's width and height that bold letters reach across where they fill it
MARKED, BOXES, WORDS = 3, set("DGOQ"), set("AI")  # lines with a mark, at least; what boxes look like; and no mark


@dataclass(frozen=True)
class Letter:
    """A letter read.

    box: left, top, right, bottom in pixels of the picture, upright. top: the likeliest letters with their
    probabilities, likeliest first. image: uint8 (28, 28), in EMNIST's form. seen: likewise, what the network saw of it.
    """

    box: tuple[int, int, int, int]
    top: tuple[tuple[str, float], ...]
    image: np.ndarray
    seen: np.ndarray


@dataclass(frozen=True)
class Reading:
    """What stands in a picture. text: the likeliest letters, words apart by a space, lines by a line feed.

    turned: by how many degrees counter-clockwise the picture was turned to read it, 0, 90, 180 or 270. The boxes are
    the picture's as it was given. warning: a sentence that says why not to believe it, or nothing.
    """

    text: str
    letters: tuple[Letter, ...]
    turned: int = 0
    warning: str = ""

    @property
    def surety(self) -> float:
        """The mean log probability of what was answered."""
        return float(np.mean([np.log(max(letter.top[0][1], 1e-6)) for letter in self.letters]))

    @property
    def named(self) -> float:
        """How many letters are named: all if that is certain, and the fewer, the less sure; none from some doubt on."""
        return len(self.letters) * max(0.0, 1.0 + self.surety / (2.0 * SURER))

    @property
    def abreast(self) -> float:
        """How many letters stand side by side, in the mean."""
        return len(self.letters) / (1 + self.text.count("\n"))

    def fills(self, size: Sequence[int]) -> bool:
        """Whether the letters reach across a picture of this width and height, but for little."""
        boxes = np.array([letter.box for letter in self.letters])
        return bool((boxes[:, 2:].max(axis=0) - boxes[:, :2].min(axis=0) > FILLED * np.asarray(size)).all())

    def turns(self, pieces: int) -> tuple[int, ...]:
        """The quarters by which the picture may have to be turned. pieces: of its ink, as large as letters."""
        count, (many, few) = len(self.letters), DRAWN
        if count > MANY or (count == 1 and pieces < WORD) or (pieces >= many and count < few * pieces):
            return ()
        return (1, 2, 3) if self.abreast < LINED else (2,) if self.surety < -SURER else ()

    def moved(self, left: int, top: int) -> "Reading":
        """The same, of a picture that has so many pixels more on its left and above."""
        by = left, top, left, top
        letters = [replace(letter, box=tuple(map(add, letter.box, by))) for letter in self.letters]
        return replace(self, letters=tuple(letters))

    @property
    def lines(self) -> list[tuple[str, tuple[Letter, ...]]]:
        """The text of each line, and its letters."""
        ends = np.cumsum([len(line.replace(" ", "")) for line in self.text.split("\n")]).tolist()
        return [(line, self.letters[i:j]) for line, i, j in zip(self.text.split("\n"), [0, *ends], ends, strict=False)]

    def around(self, other: "Reading") -> "Reading":
        """The same with what else was read between its lines, above or below them."""
        parts = [letters for _, letters in self.lines]
        own, *middles = (np.mean([letter.box[1::2] for letter in part]) for part in [other.letters, *parts])
        above = [line for line, middle in zip(self.lines, middles, strict=True) if middle < own]
        below = [line for line, middle in zip(self.lines, middles, strict=True) if middle >= own]
        return self._of([*above, *other.lines, *below])

    def unnumbered(self) -> "Reading":
        """The same without a list's numbers, or the same mark before each of three words, in a column of their own.

        1 and 2 look like I and Z, a box to tick like O or D. What is a word by itself is no mark.
        """
        lines = self.lines
        lone = [text[0] if text[1:2] == " " and not self.turned else "" for text, _ in lines]
        starts = (i for i, (one, two) in enumerate(pairwise(lone)) if (one, two) in ONE_TWO)
        marked = [i for i, (text, _) in enumerate(lines) if lone[i] and len(text.split()[1]) > 1]
        marks = {lone[i] for i in marked}
        alike = marks <= BOXES or (len(marks) == 1 and not marks <= WORDS)
        first = marked[0] if alike and len(marked) >= MARKED else next(starts, len(lines))
        heads = [letters[0] for name, (_, letters) in zip(lone[first:], lines[first:], strict=True) if name]
        right = max((letter.box[2] for letter in heads[:2]), default=0)
        for i, (text, letters) in enumerate(lines[first:], first):
            if lone[i] and letters[0].box[0] < right:
                lines[i] = text[2:], letters[1:]
        return self._of(lines)

    def _of(self, lines: Sequence[tuple[str, tuple[Letter, ...]]]) -> "Reading":
        texts, letters = zip(*lines, strict=True)
        return replace(self, text="\n".join(texts), letters=tuple(chain.from_iterable(letters)))

    def table(self) -> dict[str, Any]:
        """The reading as JSON holds it, without images."""
        return {
            "text": self.text,
            "turned": self.turned,
            "warning": self.warning,
            "letters": [
                {"box": list(letter.box), "top": [{"letter": name, "probability": p} for name, p in letter.top]}
                for letter in self.letters
            ],
        }


def tried(
    look: Callable[[Any], Reading], things: Iterable[Any], enough: Callable[[Reading], bool] = lambda reading: False
) -> tuple[list[Reading], LettergpuError | None]:
    """What is read of these, up to what is enough, and why the first could not be that could not."""
    known, empty = list[Reading](), None
    for thing in things:
        try:
            known.append(look(thing))
            if enough(known[-1]):
                break
        except LettergpuError as error:
            empty = empty or error
    return known, empty
