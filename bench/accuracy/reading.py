"""How well letters are read out of pictures whose truth is known (pictures.py), by lettergpu and by others.

python bench/accuracy/reading.py
    [--sets 1,2,3,4,5,enlarged,screen,printed,strokes,note,far,crop,pencil,pale,camera,marks,label,lit,title,page]
    [--count 1000] [--tesseract-count 200] [--seed 0] [--squares 20800] [--rounds 5]
    [--jobs N] [--run RUN] [--show DIR] [--json FILE|-]

Needs EMNIST's test letters in the folder that LETTERGPU_EMNIST names. Every set has `count` pictures of words and as
many of single letters. Sets 1 to 5 are handwriting at these levels, the letters written anew by one pen; enlarged is
level 1 with the letters as they are; screen and printed are fonts, clean and at level 3; strokes are drawn on a canvas.
The others are pictures as people take them, most of up to four words (kinds.py): a note on a table or far, letters
that touch the border, pencil, pale colours, a small camera, marks and digits among the letters, which are not to be
answered, a printed label or a dark sign, a line that is marked by a highlighter, a word above lines of far smaller
ones, and a scanned page of print; of the last five there are no single letters.
The readers:

    lettergpu           as it comes: it finds out itself whether there is one letter, and which are ink
    lettergpu, told     that this is a single letter, or that it is text, as Tesseract is told
    kmeans              the report's own workaround, binarize="kmeans": single letters as they are; of words each letter
                        alone, cut out along its true box, which is generous to it
    network             the network alone, on the test images that the letters were made of: what no picture changed;
                        of pictures whose letters all are test images
    tesseract           Debian's tesseract-ocr, --psm 8 for a word, 6 for lines, 10 for a letter, only letters allowed,
                        one thread; on the first --tesseract-count pictures, as it is slow; left out where there is none

letters: matches of a Levenshtein alignment with the truth, as a share of the true letters, upper and lower case alike;
of single letters, answers that are this letter and nothing else. extra: letters answered that are not there, thus also
those answered for others, as a share of the true letters too. words: answers without a mistake. as many: answers with
as many letters as there are. boxes: true letters of whose box some answered box covers 0.5 (intersection over union),
and the mean of the best one's. ms: a picture's mean, in `jobs` processes at a time.

Then: how many of EMNIST's test images, as pictures of 28x28 pixels, are read as the network reads them directly, and
the median seconds from a 12-megapixel JPEG to its letters.
"""

import argparse
import os
import shutil
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor
from contextlib import nullcontext
from functools import cache, partial
from importlib.metadata import version
from pathlib import Path
from string import ascii_letters, ascii_uppercase
from typing import Any

import kinds
import numpy as np
import pictures
from glyphs import test_letters
from pictures import Picture
from scores import Answer, Score, align, table
from tqdm import tqdm

from lettergpu.errors import LettergpuError
from lettergpu.reading.reader import Reader

sys.path.append(str(Path(__file__).parents[1] / "speed"))

from rounds import publish, usable_cores  # of speed/

Set = dict[str, Callable[..., Picture]]  # makes a picture of words, or of a letter: (index=, seed=)


def composed(level: int, source: str) -> Set:
    make = {"words": pictures.word, "letters": pictures.letter}
    return {kind: partial(one, level, source=source) for kind, one in make.items()}


def taken(kind: str) -> Set:
    single = {"letters": partial(kinds.letter, kind)} if kinds.KINDS[kind].single else {}
    return {"words": partial(kinds.words, kind), **single}


SETS = {str(level): composed(level, "emnist") for level in range(1, 6)}
SETS |= {"enlarged": composed(1, "enlarged"), "screen": composed(0, "font")}
SETS |= {"printed": composed(3, "font"), "strokes": composed(0, "strokes")}
SETS |= {kind: taken(kind) for kind in kinds.KINDS}
SHOWN = 24  # pictures of a set and kind on a contact sheet
ROOT = Path(__file__).resolve().parents[2]


@cache
def reader_of(run: str | None) -> Reader:
    return Reader.of(run)


def by_lettergpu(picture: Picture, single: bool, run: str | None, told: bool) -> Answer:
    form = ("single" if single else "text") if told else "auto"
    return _read(reader_of(run), picture.file, form=form)


def by_kmeans(picture: Picture, single: bool, run: str | None) -> Answer:
    reader = reader_of(run)
    if single:
        return _read(reader, picture.file, form="single", binarize="kmeans")
    image = picture.image.convert("RGB")
    cuts = []
    for left, top, right, bottom in picture.boxes:
        around = max(2, round(0.1 * max(right - left, bottom - top)))  # some paper, without which there is no ink
        corner = min(right + around, image.width), min(bottom + around, image.height)
        cut = image.crop((max(left - around, 0), max(top - around, 0), *corner))
        cuts.append(_read(reader, cut, form="single", binarize="kmeans")[0][:1])
    return "".join(cuts), []


def _read(reader: Reader, source: Any, **how: str) -> Answer:
    try:
        reading = reader.read(source, **how)
    except LettergpuError:  # no letter in it
        return "", []
    return "".join(letter.top[0][0] for letter in reading.letters).upper(), [letter.box for letter in reading.letters]


def by_network(picture: Picture, single: bool, run: str | None) -> Answer:
    images = test_letters().images[list(picture.rows)]
    return "".join(ascii_uppercase[i] for i in reader_of(run).network.predict_proba(images).argmax(axis=1)), []


def by_tesseract(picture: Picture, single: bool, run: str | None) -> Answer:
    form = "10" if single else "6" if "\n" in picture.text else "8"
    command = ["tesseract", "stdin", "stdout", "--psm", form]
    command += ["-c", f"tessedit_char_whitelist={ascii_letters}"]
    alone = os.environ | {"OMP_THREAD_LIMIT": "1"}
    result = subprocess.run(command, input=picture.file, capture_output=True, check=True, env=alone)
    return "".join(result.stdout.decode().split()).upper(), []


READERS: dict[str, Callable[[Picture, bool, str | None], Answer]] = {
    "lettergpu": partial(by_lettergpu, told=False),
    "lettergpu, told": partial(by_lettergpu, told=True),
    "kmeans": by_kmeans,
    "network": by_network,
    "tesseract": by_tesseract,
}


Answers = dict[str, tuple[Answer, float]]  # by reader, and the seconds it took


def measure(index: int, which: str, kind: str, seed: int, tesseract: int, run: str | None) -> tuple[Picture, Answers]:
    """One picture, read by all readers."""
    picture = SETS[which][kind](index=index, seed=seed)
    answers = {}
    for name, read in READERS.items():
        if (name == "tesseract" and index >= tesseract) or (name == "network" and min(picture.rows) < 0):
            continue
        began = time.perf_counter()
        answer = read(picture, kind == "letters", run)
        answers[name] = answer, time.perf_counter() - began
    return picture, answers


def of_set(which: str, kind: str, options: argparse.Namespace, every: Callable[..., Iterator]) -> dict[str, Score]:
    scores: dict[str, Score] = {}
    shown = []
    task = partial(
        measure, which=which, kind=kind, seed=options.seed, tesseract=options.tesseract_count, run=options.run
    )
    results = every(task, range(options.count))
    for picture, answers in tqdm(results, f"{which} {kind}", options.count, disable=None, leave=False):
        for name, (answer, seconds) in answers.items():
            scores.setdefault(name, Score()).add(picture, answer, seconds)
        if len(shown) < SHOWN:
            shown.append((picture, f"{' '.join(picture.text.split())}: {answers['lettergpu'][0][0]}"))
    if options.show:
        pictures.contact_sheet(shown).save(options.show / f"{which}-{kind}.png")
    return scores


def squares(count: int, run: str | None) -> dict[str, Any]:
    """Test images as pictures of 28x28 pixels, read as the network reads them directly."""
    reader = reader_of(run)
    examples = test_letters()
    rows = np.random.default_rng(0).permutation(len(examples))[:count]
    direct = [ascii_uppercase[i] for i in reader.network.predict_proba(examples.images[rows]).argmax(axis=1)]
    true = [ascii_uppercase[label] for label in examples.labels[rows]]
    bar = tqdm(examples.images[rows], "squares", disable=None, leave=False)
    read = [_read(reader, image)[0] for image in bar]
    return {
        "images": len(rows),
        "same": float(np.mean([a == b for a, b in zip(direct, read, strict=True)])),
        "several": float(np.mean([len(text) > 1 for text in read])),
        "none": float(np.mean([not text for text in read])),
        "right": float(np.mean([a == b for a, b in zip(true, read, strict=True)])),
        "network": float(np.mean([a == b for a, b in zip(true, direct, strict=True)])),
    }


def of_photo(rounds: int, seed: int, run: str | None) -> dict[str, Any]:
    """Seconds from the bytes of a photo of 12 megapixels to its letters."""
    reader, photo = reader_of(run), pictures.photo(0, seed)
    seconds = []
    text = ""
    for _ in range(rounds + 1):  # the first does not count
        began = time.perf_counter()
        text, _ = _read(reader, photo.file)
        seconds.append(time.perf_counter() - began)
    true = "".join(photo.text.split())
    letters = sum(a == b for a, b in align(true, text)) / len(true)
    return {"seconds": statistics.median(seconds[1:]), "rounds": seconds[1:], "letters": letters}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--sets", "--levels", default=",".join(SETS), help="some of them, by commas")
    parser.add_argument("--count", type=int, default=1000)
    parser.add_argument("--tesseract-count", type=int, default=200)
    parser.add_argument("--squares", type=int, default=20_800, help="test images to read as pictures of 28x28")
    parser.add_argument("--rounds", type=int, default=5, help="of the photo of 12 megapixels")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--jobs", type=int, default=len(usable_cores()), help="pictures at a time")
    parser.add_argument("--run", help="a run folder or .safetensors file instead of the network in the box")
    parser.add_argument("--show", type=Path, metavar="DIR", help="contact sheets of pictures, truth: answer")
    parser.add_argument("--json", metavar="FILE|-")
    options = parser.parse_args()
    chosen = options.sets.split(",")
    if unknown := set(chosen) - SETS.keys():
        parser.error(f"--sets: {', '.join(sorted(unknown))}: there are {', '.join(SETS)}")
    if "LETTERGPU_EMNIST" not in os.environ:
        parser.error("LETTERGPU_EMNIST names no folder with EMNIST's letters, of which the pictures are made")
    if options.show:
        if options.show.resolve().is_relative_to(ROOT):
            parser.error(f"--show {options.show}: pictures stay out of the repository; give another folder")
        options.show.mkdir(parents=True, exist_ok=True)
    if not shutil.which("tesseract"):
        options.tesseract_count = 0

    settings: dict[str, Any] = {"count": options.count, "seed": options.seed, "jobs": options.jobs}
    settings |= {"network": options.run or "in the box", "numpy": version("numpy"), "scipy": version("scipy")}
    if options.tesseract_count:
        said = subprocess.run(["tesseract", "--version"], capture_output=True, check=True).stdout.decode()
        settings["tesseract"] = said.split()[1]
    rows: dict[str, dict[str, dict[str, Any]]] = {}
    with ProcessPoolExecutor(options.jobs) if options.jobs > 1 else nullcontext() as pool:
        every = partial(pool.map, chunksize=4) if pool else map
        for which in chosen if options.count else ():
            rows[which] = {}
            for kind in SETS[which]:
                scores = of_set(which, kind, options, every)
                rows[which][kind] = {name: score.row(name.startswith("lettergpu")) for name, score in scores.items()}
    lines = table(rows) if rows else []
    numbers: dict[str, Any] = {"rows": rows}
    if options.squares:
        numbers["squares"] = found = squares(options.squares, options.run)
        lines.append(
            f"  28x28 pixels: {100 * found['same']:.2f} % of {found['images']:,} test images are read as the network "
            f"reads them directly; right are {100 * found['right']:.2f} % and {100 * found['network']:.2f} %"
        )
    if options.rounds:
        numbers["photo"] = found = of_photo(options.rounds, options.seed, options.run)
        right = f"{100 * found['letters']:.0f} % of them right"
        lines.append(f"  12 megapixels: {found['seconds']:.2f} s from a JPEG to its letters, {right}")
    publish("reading", settings, lines, numbers, options.json)


if __name__ == "__main__":
    main()
