"""Images and their labels as a file holds them, whatever its format, and what they come to as letters."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from ..errors import LettergpuError, brief
from . import SIDE
from .idx import Images
from .splits import Split

MOST_IMAGES = 1_000_000  # the largest of EMNIST's files, byclass's, has 697,932
MOST = MOST_IMAGES * SIDE * SIDE  # bytes of images in a file
LONG = 100  # characters of a label
FAR = 1e15  # no label is as large
SHAPES = ((SIDE * SIDE,), (SIDE, SIDE), (SIDE, SIDE, 1), (1, SIDE, SIDE))  # of an image


@dataclass(frozen=True)
class Table:
    """A part of the letters in a file or a folder.

    images: uint8 (n, 28, 28) as they lie there, or left there, or for each a picture: its path, or what its file holds.
    labels: (n,) as they stand there, int64 or text. path: of the file. unit, start: how rows are called and counted.
    names: of the labels 0, 1, ..., where the file tells them.
    """

    images: Images | Sequence[Path | bytes]
    labels: np.ndarray
    path: Path
    unit: str = "row"
    start: int = 1
    names: tuple[str, ...] = ()

    def where(self, row: int) -> str:
        """How a message names a row, counted from 0: a picture by its path."""
        if isinstance(self.images[row], Path):
            return str(self.images[row])
        return f"{self.path}, {self.unit} {row + self.start:,}"


def damaged(path: Path, error: Exception, kind: str) -> LettergpuError:
    """What to tell of a file that could not be read, as it is no file of its kind."""
    if isinstance(error, OSError) and error.strerror:
        return LettergpuError(f"{path} cannot be read: {error.strerror}")
    return LettergpuError(f"{path} is damaged, or no {kind} ({brief(error)})")


def pixels_of(array: Any, path: Path) -> np.ndarray:
    """Images as uint8 (n, 28, 28): of (n, 784) or (n, 28, 28), 0 to 255, or floating and all of them 0 to 1.

    Raises LettergpuError for all else.
    """
    array = np.asarray(array)
    if array.ndim == 0 or array.shape[1:] not in SHAPES or array.dtype.kind not in "buif":
        raise LettergpuError(
            f"{path} holds images of {array.dtype}, {' x '.join(map(str, array.shape))}; "
            "give numbers, n x 784 or n x 28 x 28"
        )
    if len(array) == 0:
        raise LettergpuError(f"{path} holds no images")
    array = array.reshape(len(array), SIDE, SIDE)
    wrong = ~((array >= 0) & (array <= 255)).all(axis=(1, 2)) if array.dtype != np.uint8 else np.zeros(1, bool)
    if wrong.any():
        raise LettergpuError(f"{path}, row {wrong.argmax() + 1:,}: a pixel is not from 0 to 255, or no number")
    scale = 255 if array.max() <= 1 else 1  # shares, or black and white
    if array.dtype.kind == "f":
        return np.rint(array * array.dtype.type(scale)).astype(np.uint8)
    return array.astype(np.uint8) * np.uint8(scale)


def check_text(label: Any, where: str) -> None:
    """Raises LettergpuError where a label is longer than a name: in an array each takes as much as the longest."""
    if isinstance(label, str) and len(label) > LONG:
        raise LettergpuError(f"{where}: the label {brief(label, 20)} is longer than {LONG} characters")


def labels_of(array: Any, count: int, path: Path) -> np.ndarray:
    """Labels (count,), int64 or text. Raises LettergpuError where they are something else, or not as many."""
    array = np.asarray(array)
    if array.size != count or array.size != max(array.shape, default=1):
        shape = " x ".join(map(str, array.shape))
        raise LettergpuError(f"{path} holds {count:,} images and {shape} labels: give one for each image")
    array = array.ravel()
    if array.dtype.kind == "S":
        return np.char.decode(array, "utf-8", "replace")
    if array.dtype.kind == "U":
        return array
    if array.dtype.kind not in "buif" or not np.array_equal(array, np.rint(array)):
        raise LettergpuError(f"{path} holds labels of {array.dtype}: give whole numbers or text")
    return np.clip(array, -FAR, FAR).astype(np.int64)


def numbered(tables: Sequence[Table], split: Split, name: str) -> list[np.ndarray]:
    """The labels of tables that belong together as int64 (n,), from 0, of the split of this name.

    They may be the classes' names, or numbers from the official first label on, or from 0: where there is a 0, from it.
    Raises LettergpuError at the first label that is none of these.
    """
    called = [_called(table, split.classes) for table in tables]
    if all(labels is not None for labels in called):
        return [labels for labels in called if labels is not None]
    whole = [_whole(table) for table in tables]
    first = 0 if min(labels.min() for labels in whole) == 0 else split.first_label
    for table, labels in zip(tables, whole, strict=True):
        wrong = (labels < first) | (labels >= first + len(split.classes))
        if wrong.any():
            strange = wrong & ~np.isin(table.labels, split.classes) if table.labels.dtype.kind == "U" else wrong
            raise _beyond(table, int((strange if strange.any() else wrong).argmax()), split, name)
    return [labels - first for labels in whole]


def _called(table: Table, classes: tuple[str, ...]) -> np.ndarray | None:
    """The labels where all of them are names of classes, in capitals if need be; else None."""
    labels = _by_name(table)
    if labels.dtype.kind != "U":
        return None
    found, rows = np.unique(labels, return_inverse=True)
    for named in (str.strip, lambda name: name.strip().upper()):
        numbers = {name: number for number, name in enumerate(classes)}
        if all(named(name) in numbers for name in found):
            return np.array([numbers[named(name)] for name in found])[rows]
    return None


def _by_name(table: Table) -> np.ndarray:
    """The labels as the file calls them, where it calls all of them something."""
    labels = table.labels
    if labels.dtype.kind == "U" or not 0 <= labels.min() <= labels.max() < len(table.names):
        return labels
    return np.array(table.names)[labels]


def _whole(table: Table) -> np.ndarray:
    """The labels as whole numbers, int64 (n,); -1, which none has, for what is no number."""
    labels = _by_name(table) if all(name.isdecimal() for name in table.names) else table.labels
    if labels.dtype.kind != "U":
        return labels
    found, rows = np.unique(labels, return_inverse=True)
    return np.array([_number(text) for text in found], np.int64)[rows]


def _number(text: str) -> int:
    try:
        value = float(text)
    except ValueError:
        return -1
    return int(value) if value.is_integer() and abs(value) < FAR else -1


def _beyond(table: Table, row: int, split: Split, name: str) -> LettergpuError:
    first, last = split.first_label, split.first_label + len(split.classes) - 1
    also = f", or 0 to {last - first} where one is 0" if first else ""
    return LettergpuError(
        f"{table.where(row)}: the label {brief(table.labels[row])}; the split {name} has {first} to {last}{also}, or "
        f"{split.classes[0]} to {split.classes[-1]}; name another with --split"
    )
