"""EMNIST's letters with printed ones among them, as pictures have them: what the network in the package is trained on.

    python bench/accuracy/printed.py DIR --data EMNIST [--count 70000] [--fonts FOLDER ...]
    lettergpu train --data DIR --recipe small --hidden 600,300,150 --epochs 600 --precision bf16

DIR gets four IDX files: EMNIST's training letters and COUNT more, and EMNIST's test letters. Six of ten of those more
are capitals and small letters of the fonts in the folders, by default the system's, but for those that
bench/accuracy/pictures.py sets its pictures in; the others are EMNIST's own, two of three written anew with a thinner
or a thicker pen. Each is turned, slanted and stretched a little, made 10 to 70 pixels large, blurred, made noisy, told
from its paper by a threshold, and brought to EMNIST's form as the reader does it. On two cores that takes two minutes.
"""

import argparse
import gzip
import struct
from concurrent.futures import ProcessPoolExecutor
from functools import partial
from pathlib import Path
from string import ascii_lowercase, ascii_uppercase

import fonts
import numpy as np
from glyphs import handwritten
from PIL import Image
from scipy import ndimage

from lettergpu.data import SIDE
from lettergpu.data.letters import Letters, load_letters
from lettergpu.reading.filters import stroke_width
from lettergpu.reading.normalise import to_emnist

SEEDS = 21, 22  # of the halves, each a process's
REAL = 0.4  # of those more are EMNIST's own
PENNED = 0.67  # of these are written anew
PENS = 0.05, 0.17  # width of a stroke, in heights of a letter
UP = 3 * SIDE  # pixels of a side before a letter is made as large as it is to be
AROUND = 4  # pixels about a printed character
SIZES = 10.0, 70.0  # pixels of the longer side


def printed(character: str, files: list[str], rng: np.random.Generator) -> np.ndarray:
    """A character of any of the fonts that has it: ink, float32 (height, width)."""
    while True:
        image, _ = fonts.drawn(character, files[rng.integers(len(files))], fonts.LARGE, AROUND)
        if min(image.size) >= 2 + 2 * AROUND:
            return fonts.opacity(image)


def written(image: np.ndarray) -> np.ndarray:
    """A letter of EMNIST, likewise."""
    large = Image.fromarray(image).resize((UP, UP), Image.Resampling.BICUBIC)
    return np.pad(np.asarray(large, np.float32) / 255, 2)


def pictured(
    ink: np.ndarray, rng: np.random.Generator, strength: float, sizes: tuple[float, float] = SIZES
) -> np.ndarray | None:
    """A letter as a picture would have it, in EMNIST's form; None if nothing is left of it."""
    turn, slant = rng.normal(0, 0.05 * strength), rng.normal(0, 0.09 * strength)
    stretch, long = np.exp(rng.normal(0, 0.08 * strength)), np.exp(rng.uniform(*np.log(sizes)))
    scale, image = long / max(ink.shape), Image.fromarray(ink)
    if scale < 0.7:
        image = image.resize([max(3, round(side * scale)) for side in image.size], Image.Resampling.BOX)
    ink = np.asarray(image, np.float32)
    scale = long / max(ink.shape)
    turned = np.array([[np.cos(turn), -np.sin(turn)], [np.sin(turn), np.cos(turn)]])
    back = turned @ np.array([[1, 0], [slant, stretch]]) / scale
    side = int(max(ink.shape) * 1.5 * scale) + 8
    offset = np.array(ink.shape) / 2 - back @ np.full(2, side / 2) + rng.uniform(-0.5, 0.5, 2)
    ink = ndimage.affine_transform(ink, back, offset, (side, side), order=1)
    ink = ndimage.gaussian_filter(ink, rng.uniform(0.2, 0.9) * (1 + 0.02 * long))
    if rng.random() < 0.6:
        ink = ink + rng.normal(size=ink.shape) * rng.uniform(0, 0.12)
    ink = ndimage.gaussian_filter(ink, 0.6)
    if ink.max() < 0.15:
        return None
    high = np.percentile(ink[ink > 0.5 * ink.max()], 60)
    ink = np.clip(0.5 + (ink - high * rng.uniform(0.42, 0.58)) / (0.8 * high), 0, 1)
    labels, count = ndimage.label(ink >= 0.5, np.ones((3, 3)))
    if count == 0:
        return None
    if count > 1:  # specks are none of it
        areas = np.bincount(labels.ravel())
        kept = areas > 0.4 * max(1.0, stroke_width(ink >= 0.5)) ** 2
        kept[0] = False
        near = ndimage.binary_dilation(kept[labels], iterations=2)
        ink = np.where(kept[labels] | ((labels == 0) & near), ink, 0)
    mask = ink >= 0.5
    rows, columns = np.flatnonzero(mask.any(axis=1)), np.flatnonzero(mask.any(axis=0))
    if len(rows) < 3:
        return None
    ink = ink[max(0, rows[0] - 1) : rows[-1] + 2, max(0, columns[0] - 1) : columns[-1] + 2]
    return to_emnist(ink, max(1.0, stroke_width(ink >= 0.5)))


def pictures_of(letters: Letters, files: list[str], count: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Images (count, 28, 28) and labels (count,)."""
    rng, real, images, labels = np.random.default_rng(seed), letters.train, [], []
    while len(images) < count:
        if rng.random() < REAL:
            row = rng.integers(len(real.labels))
            label = int(real.labels[row])
            letter = real.images[row].reshape(SIDE, SIDE)
            anew = rng.random() < PENNED
            ink = handwritten(letter, UP, UP * rng.uniform(*PENS), rng) if anew else written(letter)
            image = pictured(ink, rng, 0.6)
        else:
            label = int(rng.integers(26))
            case = ascii_uppercase if rng.random() < 0.5 else ascii_lowercase
            image = pictured(printed(case[label], files, rng), rng, 1.0)
        if image is not None:
            images.append(image)
            labels.append(label)
    return np.stack(images), np.array(labels)


def write(folder: Path, part: str, images: np.ndarray, labels: np.ndarray) -> None:
    """As EMNIST does: images on their side, labels from 1 on."""
    count = len(labels)
    on_side = images.reshape(count, SIDE, SIDE).swapaxes(1, 2)
    for kind, header, content in (
        ("images-idx3", (2051, count, SIDE, SIDE), on_side.tobytes()),
        ("labels-idx1", (2049, count), (labels + 1).astype(np.uint8).tobytes()),
    ):
        with gzip.open(folder / f"emnist-letters-{part}-{kind}-ubyte.gz", "wb", 1) as file:
            file.write(struct.pack(f">{len(header)}i", *header) + content)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path, metavar="DIR")
    parser.add_argument("--data", required=True, metavar="EMNIST")
    parser.add_argument("--count", type=int, default=70_000)
    parser.add_argument("--fonts", nargs="+", default=[], metavar="FOLDER")
    options = parser.parse_args()
    letters, files = load_letters(options.data), fonts.of_system(options.fonts)
    with ProcessPoolExecutor(len(SEEDS)) as pool:
        parts = list(pool.map(partial(pictures_of, letters, files, options.count // 2), SEEDS))
    images = np.concatenate([letters.train.images.reshape(-1, SIDE, SIDE), *(part[0] for part in parts)])
    labels = np.concatenate([letters.train.labels, *(part[1] for part in parts)])
    order = np.random.default_rng(0).permutation(len(labels))
    options.folder.mkdir(parents=True, exist_ok=True)
    write(options.folder, "train", images[order], labels[order])
    write(options.folder, "test", letters.test.images, letters.test.labels)
    print(f"{len(labels):,} letters, {2 * (options.count // 2):,} of them as pictures have them, of {len(files)} fonts")


if __name__ == "__main__":
    main()
