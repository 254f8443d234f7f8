"""Folders of pictures, one for each class and called as it, perhaps below train/ and test/.

What sees a picture stands above this, in reading/, and is handed down as `Eyes`.
"""

import re
import unicodedata
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from ..errors import LettergpuError, brief
from ..files import as_text
from ..randomness import generator
from . import SIDE
from .idx import Images
from .tables import MOST_IMAGES, Table

MOST_CLASSES = 1000
AS_THEY_ARE = "pictures of 28 x 28, as they are"
NORMALISED = "each picture brought to EMNIST's form"
PARTS = {"train": "train", "training": "train", "test": "test", "testing": "test"}
SYSTEMS = {"thumbs.db", "desktop.ini"}  # files that are put into folders of pictures

Progress = Callable[[range], Iterable[int]]


@dataclass(frozen=True)
class Eyes:
    """open: the uint8 (height, width, 3) of a picture's path or content. normalise: the (28, 28) that comes of it.

    recognise: the letter in each of uint8 (n, 28, 28), as text (n,). The first two raise LettergpuError.
    """

    open: Callable[[Path | bytes], np.ndarray]
    normalise: Callable[[np.ndarray], np.ndarray]
    recognise: Callable[[np.ndarray], np.ndarray]


def read(folder: Path) -> tuple[dict[str, Table], tuple[str, ...]]:
    """The parts, with the paths of their pictures, and the classes, sorted as people count."""
    folders = _folders(folder)
    parts = {PARTS[name.lower()]: path for name, path in folders.items() if name.lower() in PARTS}
    if parts and len(parts) < len(folders):
        raise LettergpuError(
            f"{folder} holds {brief(', '.join(folders))}: give train and test with a folder for each class in them, "
            "or a folder for each class"
        )
    found = {part: _classes(path) for part, path in (parts or {"": folder}).items()}
    classes = tuple(sorted(found.get("train", found.get("test", found.get("", {}))), key=_natural))
    if not 1 < len(classes) <= MOST_CLASSES:
        raise LettergpuError(
            f"{folder}: {len(classes):,} of its folders hold pictures; give one for each class, 2 to {MOST_CLASSES:,}"
        )
    return {part: _table(folder, pictures, classes) for part, pictures in found.items()}, classes


def _table(folder: Path, pictures: dict[str, list[Path]], classes: tuple[str, ...]) -> Table:
    if strange := pictures.keys() - set(classes):
        raise LettergpuError(f"{folder}: there is nothing to train on of the class {brief(min(strange))}, only to test")
    paths = [path for name in classes for path in pictures.get(name, ())]
    if not 0 < len(paths) <= MOST_IMAGES:
        raise LettergpuError(f"{folder}: a part of it has {len(paths):,} pictures; give 1 to {MOST_IMAGES:,}")
    labels = np.repeat(np.arange(len(classes)), [len(pictures.get(name, ())) for name in classes])
    order = generator(0, "pictures").permutation(len(paths))  # the end of them is not of the last class alone
    return Table([paths[row] for row in order], labels[order], folder)


def _classes(folder: Path) -> dict[str, list[Path]]:
    """The pictures of each class. Folders without any are no classes."""
    found = {name: [path for _, path in _entries(path) if path.is_file()] for name, path in _folders(folder).items()}
    if any(not name.isprintable() for name in found):
        raise LettergpuError(f"{folder}: the folder {brief(min(found, key=str.isprintable))} has no name to be printed")
    return {name: pictures for name, pictures in found.items() if pictures}


def _folders(folder: Path) -> dict[str, Path]:
    return {name: path for name, path in _entries(folder) if path.is_dir()}


def _entries(folder: Path) -> list[tuple[str, Path]]:
    """What is in a folder, but for what systems hide or put there: names, composed alike everywhere, and paths."""
    try:
        paths = sorted(folder.iterdir())
    except OSError as error:
        raise LettergpuError(f"{folder} cannot be read: {error.strerror}") from error
    names = [(unicodedata.normalize("NFC", as_text(path.name)), path) for path in paths]
    return [(name, path) for name, path in names if not name.startswith(".") and name.lower() not in SYSTEMS]


def _natural(name: str) -> tuple[list[str | int], str]:
    """Sorts 2 before 10, and a beside A."""
    parts = re.split(r"(\d+)", name.casefold())
    return [int(part) if number % 2 else part for number, part in enumerate(parts)], name


def seen(table: Table, eyes: Eyes | None, progress: Progress) -> tuple[Images, str]:
    """A table's images, uint8 (n, 28, 28), also where it has pictures, and what was done to those.

    Where all of them are grey and of 28 x 28 pixels they stay as they are; else each is brought to EMNIST's form.
    Raises LettergpuError with the path, or the row, of what is no picture or holds no letter.
    """
    if isinstance(table.images, Images):
        return table.images, ""
    if eyes is None:
        raise LettergpuError(f"{table.path} holds pictures, which lettergpu.load_letters reads")
    images: list[np.ndarray] = []
    made = True  # as data sets are
    for row in progress(range(len(table.images))):
        pixels = _told(table, row, eyes.open, table.images[row])
        if made and not (pixels.shape == (SIDE, SIDE, 3) and not np.ptp(pixels, axis=2).any()):
            made = False
            images = [_told(table, number, eyes.normalise, _coloured(image)) for number, image in enumerate(images)]
        images.append(pixels[..., 0] if made else _told(table, row, eyes.normalise, pixels))
    return np.stack(images), AS_THEY_ARE if made else NORMALISED


def _coloured(image: np.ndarray) -> np.ndarray:
    return np.repeat(image[..., None], 3, axis=2)


def _told(table: Table, row: int, step: Callable, of: object) -> np.ndarray:
    """A step's outcome; what it complains of, with the picture's path or row."""
    try:
        return step(of)
    except LettergpuError as error:
        where = table.where(row)
        raise LettergpuError(str(error) if where in str(error) else f"{where}: {error}") from error
