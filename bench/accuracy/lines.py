"""How a line of ink becomes letters: fits the numbers in lettergpu/reading/spans.py to composed lines.

    python bench/accuracy/lines.py --data EMNIST [--count 4400] [--fonts FOLDER ...] [--results FILE]

Lines of EMNIST's training letters and of the fonts in the folders, by default the system's (but for those that
pictures.py sets its pictures in): hands that write narrow, mix large letters and small ones, or set letters far apart;
letters that touch; stops and figures among them; photographed as pictures.py does, a quarter of them 11 to 30 pixels
high. Of each line the text is known, not the cuts. Maximised is the log likelihood of the texts, summed over all ways
to cut (Sarawagi and Cohen 2004, with the right cuts as what is hidden), less a small penalty on large numbers. On two
cores that takes eight minutes.
"""

import argparse
import json
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from dataclasses import replace
from functools import partial
from pathlib import Path
from string import ascii_uppercase
from typing import NamedTuple

import fonts
import levels
import numpy as np
from camera import Box, encoded, photograph
from glyphs import Glyph, Source, cropped, handwritten
from pictures import some_text
from PIL import Image
from printed import SEEDS
from scipy.optimize import minimize
from scipy.special import logsumexp
from sheet import set_lines

from lettergpu.data.letters import Examples, load_letters
from lettergpu.errors import LettergpuError
from lettergpu.reading import layout, spans
from lettergpu.reading.ink import find_ink
from lettergpu.reading.page import on_paper
from lettergpu.reading.pictures import open_page
from lettergpu.reading.reader import Reader

MARKS = ".,:;!?-/()'+=&0123456789"
LEVELS = {0: 0.08, 1: 0.12, 2: 0.15, 3: 0.3, 4: 0.25, 5: 0.1}  # of levels.py, and how many lines of each
NEAR, FAR = 0.75, 0.3  # of a letter's box and a piece's, what both have of what one has: a letter's; no letter's
PENALTY, HOPELESS = 0.003, -40.0  # on squares; a log likelihood to start with, below which a line is left out
CAUTION = -0.5  # added to what speaks for no letter: one lost is worse than one too many; at -1.5 marks became letters
FREELY = len(spans.LETTER) + list(spans.NONE).index("each")  # the place of what it is added to


class Line(NamedTuple):
    """A line's lattice. ways: (spans, 2), start and stop; values, named: as spans.seen; text: letters' numbers."""

    ways: np.ndarray
    values: dict[str, np.ndarray]
    named: np.ndarray
    text: list[int]


def printed_glyph(character: str, file: str, height: float, case: Callable[[str], str]) -> Glyph:
    sheet, below = fonts.drawn(case(character), file, fonts.LARGE)
    scale = height / (fonts.CAPITAL * fonts.LARGE)
    how = Image.Resampling.BOX if scale < 1 else Image.Resampling.BICUBIC
    sheet = sheet.resize([max(3, round(side * scale)) for side in sheet.size], how)
    return cropped(fonts.opacity(sheet)), round(below * scale), -1


def in_print(files: list[str], rng: np.random.Generator) -> Source:
    file, case = files[rng.integers(len(files))], str.lower if rng.random() < 0.4 else str.upper
    return lambda character, height, pen, rng: printed_glyph(character, file, height, case)


def by_hand(letters: Examples, files: list[str], rng: np.random.Generator) -> Source:
    """A hand that writes capitals alone or large and small letters, some of them below the line, narrow or not."""
    narrow = rng.uniform(0.45, 1.1) if rng.random() < 0.5 else 1.0
    small = rng.uniform(0.4, 0.75) if rng.random() < 0.6 else 1.0
    deep = rng.uniform(0.2, 0.4) if small < 1 else 0.0

    def glyph(character: str, height: float, pen: float, rng: np.random.Generator) -> Glyph:
        if character in MARKS:
            return printed_glyph(character, files[rng.integers(len(files))], height * rng.uniform(0.8, 1.1), str)
        rows = np.flatnonzero(letters.labels == ascii_uppercase.index(character))
        tall = height * np.exp(rng.normal(0, 0.08)) * (small if character in "ACEMNORSUVWXZI" else 1.0)
        ink = handwritten(letters.images[rng.choice(rows)].reshape(28, 28), tall, pen, rng)
        if narrow != 1.0:
            size = max(2, round(ink.shape[1] * narrow)), ink.shape[0]
            ink = np.asarray(Image.fromarray(ink).resize(size, Image.Resampling.BILINEAR))
            ink = cropped(ink / ink.max())
        below = rng.normal(0, 0.03) + (deep if character in "GQYPJ" else 0.0)
        return ink, round(below * height), -1

    return glyph


def picture(letters: Examples, files: list[str], rng: np.random.Generator) -> tuple[bytes, str, list[Box]]:
    """A photograph of a line, its text, and where its letters and marks are."""
    number = int(rng.choice(list(LEVELS), p=list(LEVELS.values())))
    level, low = levels.LEVELS[number], rng.random() < 0.25
    height = float(np.exp(rng.uniform(*np.log((11, 30) if low else level.height))))
    if low:
        level = replace(level, noise=(level.noise[0], level.noise[1] / 2))
    text = some_text(rng) + (" " + some_text(rng) if rng.random() < 0.3 else "")
    least = rng.choice([-0.03, 0.0, 0.05, 0.1])
    gaps = least * height, (least + rng.choice([0.06, 0.12, 0.25])) * height
    kind = rng.random()
    if kind < 0.3:
        text, gaps = text.replace(" ", "")[: rng.integers(1, 9)], (0.3 * height, rng.choice([0.5, 1.0, 2.0]) * height)
    elif kind < 0.6:
        text += (" " if rng.random() < 0.2 else "") + "".join(rng.choice(list(MARKS), rng.integers(1, 4)))
    source = in_print(files, rng) if rng.random() < 0.35 else by_hand(letters, files, rng)
    pen = max(height * rng.uniform(*level.pen), 1.3 if low else 1.8)
    sheet = set_lines(text, height, gaps, lambda c: source(c, height, pen, rng), 0.0, rng)
    photo, boxes = photograph(sheet, height, level, (0.4, 1.2), rng)
    return encoded(photo, level.jpeg, rng), text.replace(" ", ""), boxes


def in_common(one: Box, other: Box) -> float:
    """What two boxes share, of what either has."""
    wide, high = min(one[2], other[2]) - max(one[0], other[0]), min(one[3], other[3]) - max(one[1], other[1])
    shared = max(wide, 0) * max(high, 0)
    area = sum((box[2] - box[0]) * (box[3] - box[1]) for box in (one, other))
    return shared / (area - shared)


def lines_of(file: bytes, text: str, boxes: list[Box], reader: Reader) -> list[Line]:
    """The lattices of a picture, if one line of it has the text and all others have no letter."""
    letters = [box for box, character in zip(boxes, text, strict=True) if character not in MARKS]
    seen, near = [], []

    def look(sheet, fragments, height, judge, spread):  # type: ignore[no-untyped-def]
        found = spans.spans_of(fragments, height)
        values, images, named = spans.seen(sheet, fragments, found, height, judge, spread)
        ways = np.array([(span.start, span.stop) for span in found])
        seen.append(Line(ways, values, np.clip(named, spans.LEAST, 1.0), []))
        pieces = [sheet.glyph(span.piece).box for span in found]
        near.append(np.array([max((in_common(piece, letter) for letter in letters), default=0.0) for piece in pieces]))
        return spans.Lattice(found, *spans.scores(found, values, named), images, named)

    usual = layout.lattice_of, layout.WIDER
    layout.lattice_of, layout.WIDER = look, ()  # each line once, as wide as it is
    try:
        layout.find_letters(find_ink(on_paper(open_page(file).pixels)[0]), reader.judge)
    except LettergpuError:
        return []
    finally:
        layout.lattice_of, layout.WIDER = usual
    if not seen:  # one fragment alone, which is not judged
        return []
    main = int(np.argmax([(share >= NEAR).sum() for share in near]))
    if any(share.max() >= FAR for number, share in enumerate(near) if number != main):
        return []
    numbers = [ascii_uppercase.index(character) for character in text if character not in MARKS]
    return [line._replace(text=numbers if number == main else []) for number, line in enumerate(seen)]


def compose(data: str, files: list[str], count: int, seed: int) -> list[Line]:
    letters, reader = load_letters(data).train, Reader.of()
    rng, lines = np.random.default_rng(seed + 300), []
    for _ in range(count):
        try:
            file, text, boxes = picture(letters, files, rng)
        except (IndexError, TypeError, ValueError):  # a letter without ink
            continue
        if len(boxes) == len(text):  # else one covers another
            lines += lines_of(file, text, boxes, reader)
    return lines


def likelihood(weights: np.ndarray, line: Line) -> tuple[float, np.ndarray]:
    """The log likelihood of a line's text, and its gradient by the weights: LETTER's, then NONE's, in their order."""
    start, stop = line.ways.T
    count, length = int(stop.max()), len(line.text)
    surest = line.named.max(axis=1)
    of_letter = np.stack([line.values[name] for name in spans.LETTER if name != "named"], axis=1)
    of_none = np.stack([{**line.values, "named": surest}[name] for name in spans.NONE], axis=1)
    sure, rest, none = weights[0], weights[1 : len(spans.LETTER)], weights[len(spans.LETTER) :]
    logs = np.log(line.named)
    letter, nothing = of_letter @ rest, np.where(stop - start == 1, of_none @ none, -np.inf)
    any_name = logsumexp(sure * logs, axis=1)
    name_mean = (np.exp(sure * logs - any_name[:, None]) * logs).sum(axis=1)
    both = np.logaddexp(letter + any_name, nothing)
    spelt = letter[:, None] + sure * logs[:, line.text]  # (spans, length)
    free, free_back = np.full(count + 1, -np.inf), np.full(count + 1, -np.inf)
    bound, bound_back = np.full((count + 1, length + 1), -np.inf), np.full((count + 1, length + 1), -np.inf)
    free[0] = free_back[count] = bound[0, 0] = bound_back[count, length] = 0.0
    for i, (a, b) in enumerate(line.ways):
        free[b] = np.logaddexp(free[b], free[a] + both[i])
        bound[b, 1:] = np.logaddexp(bound[b, 1:], bound[a, :-1] + spelt[i])
        bound[b] = np.logaddexp(bound[b], bound[a] + nothing[i])
    for i, (a, b) in reversed(list(enumerate(line.ways))):
        free_back[a] = np.logaddexp(free_back[a], free_back[b] + both[i])
        bound_back[a, :-1] = np.logaddexp(bound_back[a, :-1], bound_back[b, 1:] + spelt[i])
        bound_back[a] = np.logaddexp(bound_back[a], bound_back[b] + nothing[i])
    total, right = free[count], bound[count, length]
    if not np.isfinite(right):
        return -np.inf, np.zeros_like(weights)
    outside = free[start] + free_back[stop] - total
    expected, expected_none = np.exp(outside + letter + any_name), np.exp(outside + nothing)
    told = np.exp(bound[start, :-1] + spelt + bound_back[stop, 1:] - right)
    told_none = np.exp(bound[start] + nothing[:, None] + bound_back[stop] - right).sum(axis=1)
    gradient = [
        [(told * logs[:, line.text]).sum() - (expected * name_mean).sum()],
        of_letter.T @ (told.sum(axis=1) - expected),
        of_none.T @ (told_none - expected_none),
    ]
    return float(right - total), np.concatenate(gradient)


def fit(lines: list[Line], weights: np.ndarray) -> np.ndarray:
    def loss(weights: np.ndarray) -> tuple[float, np.ndarray]:
        found = [likelihood(weights, line) for line in lines]
        value = np.mean([value for value, _ in found]) - PENALTY * (weights[1:] ** 2).sum()
        gradient = np.mean([gradient for _, gradient in found], axis=0)
        gradient[1:] -= 2 * PENALTY * weights[1:]
        return -value, -gradient

    return minimize(loss, weights, jac=True, method="L-BFGS-B", options={"maxiter": 80}).x


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", required=True, metavar="EMNIST")
    parser.add_argument("--count", type=int, default=4400)
    parser.add_argument("--fonts", nargs="+", default=[], metavar="FOLDER")
    parser.add_argument("--results", type=Path, metavar="FILE", help="write the numbers as JSON")
    options = parser.parse_args()
    files = fonts.of_system(options.fonts)
    share = [options.count // len(SEEDS)] * len(SEEDS)
    with ProcessPoolExecutor(len(SEEDS)) as pool:
        lines = [line for part in pool.map(partial(compose, options.data, files), share, SEEDS) for line in part]
    weights = np.array([*spans.LETTER.values(), *spans.NONE.values()])
    lines = [line for line in lines if likelihood(weights, line)[0] > HOPELESS]
    learned, held = lines[::2], lines[1::2]
    weights[FREELY] -= CAUTION
    before = np.mean([likelihood(weights, line)[0] for line in held])
    weights = fit(learned, weights)
    after = np.mean([likelihood(weights, line)[0] for line in held])
    print(f"log likelihood of a line held out: {after:.3f}, by the numbers there were {before:.3f}")
    weights[FREELY] += CAUTION
    numbers = [round(float(weight), 2) for weight in weights]
    table = {
        "LETTER": dict(zip(spans.LETTER, numbers, strict=False)),
        "NONE": dict(zip(spans.NONE, numbers[len(spans.LETTER) :], strict=True)),
        "lines": len(learned),
    }
    print(json.dumps(table, indent=4))
    if options.results:
        options.results.write_text(json.dumps(table, indent=4) + "\n")


if __name__ == "__main__":
    main()
