"""The letters to train and test on, from a folder of IDX files, the downloaded EMNIST, or the built-in fonts."""

import hashlib
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np

from ..errors import LettergpuError
from . import emnist, glyphs
from .splits import SPLITS

SOURCES = "auto, builtin or a folder"


@dataclass(frozen=True)
class Examples:
    """images: (n, 28, 28) uint8, upright, light on dark. labels: (n,) int64, from 0."""

    images: np.ndarray
    labels: np.ndarray

    def __len__(self) -> int:
        return len(self.labels)

    def take(self, rows: np.ndarray) -> "Examples":
        return Examples(self.images[rows], self.labels[rows])


@dataclass(frozen=True)
class Letters:
    """source: "builtin" or the folder. description: one line that says what these letters are."""

    train: Examples
    test: Examples
    classes: tuple[str, ...]
    source: str
    description: str

    @cached_property
    def fingerprint(self) -> str:
        """sha256 of all training images and labels, whatever files they came from."""
        digest = hashlib.sha256(self.train.images.tobytes())
        digest.update(self.train.labels.tobytes())
        return digest.hexdigest()


def find_source(data: str, split: str) -> Path | None:
    """The folder that `data` means, or None for the built-in letters.

    data: "auto" (the downloaded EMNIST if it is there, else the built-in letters), "builtin", or a folder.
    """
    if split not in SPLITS:
        raise LettergpuError(f"--split {split}: choose one of {', '.join(SPLITS)}")
    if data == "auto":
        folder = emnist.download_folder(split)
        if folder.is_dir():
            return folder
    if data in ("auto", "builtin"):
        if split != "letters":
            raise LettergpuError(
                f"--split {split}: only letters are built in; lettergpu data download --split {split} gets EMNIST's"
            )
        return None
    folder = Path(data).expanduser()
    if not folder.is_dir():
        raise LettergpuError(f"--data {data}: there is no such folder; give {SOURCES}")
    return folder


def load_letters(data: str = "auto", split: str = "letters") -> Letters:
    """Training and test letters.

    data: "auto" (the downloaded EMNIST if it is there, else the built-in letters), "builtin", or a folder with
    the four IDX files of the split under their official names, gzipped or plain. split: letters, balanced,
    byclass, bymerge, digits or mnist.
    Raises LettergpuError if files are missing, damaged or do not belong together.
    """
    folder = find_source(data, split)
    classes = SPLITS[split].classes
    if folder is None:
        train, test = (Examples(*glyphs.load(part)) for part in ("train", "test"))
        return Letters(train, test, classes, "builtin", "built-in letters, drawn from fonts (not handwriting)")
    train, test = (Examples(*emnist.read(folder, split, part)) for part in ("train", "test"))
    return Letters(train, test, classes, str(folder), f"EMNIST {split} from {folder} ({emnist.verify(folder, split)})")


def load_test(data: str, split: str) -> tuple[Examples, str]:
    """The test letters alone, and what they are."""
    folder = find_source(data, split)
    if folder is None:
        return Examples(*glyphs.load("test")), "built-in letters, drawn from fonts (not handwriting)"
    return Examples(*emnist.read(folder, split, "test")), f"EMNIST {split} from {folder}"
