"""How right answers are: an alignment with the truth, what is summed of it, and the table of all that."""

from collections import Counter
from dataclasses import dataclass, field
from string import ascii_uppercase
from typing import Any

import numpy as np
from camera import Box
from pictures import Picture

COMMONEST = 20  # errors listed
HEADS = {
    "words": ("letters", "extra", "words", "as many", "boxes", "overlap"),
    "letters": ("right", "extra", "boxes", "overlap"),
}

Answer = tuple[str, list[Box]]  # what was read, and where


def letters_of(text: str) -> str:
    """Without spaces, line feeds, marks and digits, which no reader is asked for."""
    return "".join(character for character in text if character in ascii_uppercase)


def align(true: str, read: str) -> list[tuple[str, str]]:
    """Pairs of letters of an alignment with the fewest edits and, of those, the most matches; "" where one has none."""
    best: list[list[tuple[int, int, int, int]]] = []  # edits, minus matches, and the step back in either word
    for i in range(len(true) + 1):
        best.append([])
        for j in range(len(read) + 1):
            ways = [(0, 0, 0, 0)] if i == j == 0 else []
            if i and j:
                same = true[i - 1] == read[j - 1]
                ways.append((best[i - 1][j - 1][0] + (not same), best[i - 1][j - 1][1] - same, 1, 1))
            if i:
                ways.append((best[i - 1][j][0] + 1, best[i - 1][j][1], 1, 0))
            if j:
                ways.append((best[i][j - 1][0] + 1, best[i][j - 1][1], 0, 1))
            best[i].append(min(ways))
    pairs = []
    i, j = len(true), len(read)
    while i or j:
        back, across = best[i][j][2:]
        pairs.append((true[i - back : i], read[j - across : j]))
        i, j = i - back, j - across
    return pairs[::-1]


def overlap(one: Box, other: Box) -> float:
    """Intersection over union."""
    width = min(one[2], other[2]) - max(one[0], other[0])
    height = min(one[3], other[3]) - max(one[1], other[1])
    both = max(0, width) * max(0, height)
    areas = ((box[2] - box[0]) * (box[3] - box[1]) for box in (one, other))
    return both / (sum(areas) - both)


@dataclass
class Score:
    """Sums over the pictures that one reader has seen of one set and kind."""

    seen: int = 0
    letters: int = 0
    matched: int = 0
    extra: int = 0
    right: int = 0
    as_many: int = 0
    more: int = 0
    boxes: list[float] = field(default_factory=list)
    seconds: float = 0.0
    errors: Counter[str] = field(default_factory=Counter)

    def add(self, picture: Picture, answer: Answer, seconds: float) -> None:
        text, boxes = answer
        true = letters_of(picture.text)
        pairs = align(true, text)
        self.seen += 1
        self.letters += len(true)
        self.right += text == true
        matched = sum(a == b for a, b in pairs)
        # one letter read as two would match one of them
        self.matched += text == true if len(true) == 1 else matched
        self.extra += len(text) - matched
        self.as_many += len(text) == len(true)
        self.more += len(text) > len(true)
        self.seconds += seconds
        self.errors.update(f"{a or 'nothing'} as {b or 'nothing'}" for a, b in pairs if a != b)
        if boxes:
            self.boxes += [max(overlap(box, found) for found in boxes) for box in picture.boxes]
        elif not text:
            self.boxes += [0.0] * len(picture.boxes)

    def row(self, has_boxes: bool) -> dict[str, Any]:
        row: dict[str, Any] = {"pictures": self.seen, "of": self.letters}
        row |= {"letters": self.matched / self.letters, "extra": self.extra / self.letters}
        row |= {"words": self.right / self.seen, "as_many": self.as_many / self.seen, "more": self.more / self.seen}
        if has_boxes:
            found = np.array(self.boxes)
            row |= {"boxes": float((found >= 0.5).mean()), "overlap": float(found.mean())}
        row["ms"] = 1000 * self.seconds / self.seen
        return row | {"errors": dict(self.errors.most_common(COMMONEST))}


def table(rows: dict[str, dict[str, dict[str, Any]]]) -> list[str]:
    """Lines of text; rows: by set, kind and reader, as Score's."""
    lines = []
    for kind, heads in HEADS.items():
        lines.append(f"  {kind:10}{'':18}" + "".join(f"{head:>10}" for head in heads) + f"{'ms':>8}{'pictures':>10}")
        for which, of in rows.items():
            for name, row in of.get(kind, {}).items():
                line = f"  {which if name == 'lettergpu' else '':10}{name:18}"
                for head in heads:
                    share = row.get({"right": "words", "as many": "as_many"}.get(head, head))
                    line += f"{'':10}" if share is None else f"{100 * share:8.2f} %"
                lines.append(line + f"{row['ms']:8.0f}{row['pictures']:10,}")
    return lines
