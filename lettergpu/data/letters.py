"""The letters to train and test on, from a folder of IDX files, the downloaded EMNIST, or the built-in fonts."""

import hashlib
import os
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np

from ..errors import LettergpuError, brief
from ..files import as_path, as_text
from ..randomness import generator
from . import emnist, glyphs
from .splits import find_split

BUILTIN = "built-in letters, drawn from fonts (not handwriting)"


@dataclass(frozen=True)
class Examples:
    """images: (n, 28, 28) uint8, upright, light on dark. labels: (n,) int64, from 0."""

    images: np.ndarray
    labels: np.ndarray

    def __len__(self) -> int:
        return len(self.labels)

    def take(self, rows: np.ndarray) -> "Examples":
        """Copies of these rows (k,)."""
        return Examples(self.images[rows], self.labels[rows])


@dataclass(frozen=True)
class Letters:
    """source: "builtin" or the folder's full path. description: one line that says what these letters are."""

    train: Examples
    test: Examples
    classes: tuple[str, ...]
    source: str
    description: str

    @cached_property
    def fingerprint(self) -> str:
        """sha256 of all training images and labels, whatever files they came from."""
        digest = hashlib.sha256(np.ascontiguousarray(self.train.images).data)
        digest.update(self.train.labels.tobytes())
        return digest.hexdigest()

    def hold_out(self, validation: float | str, seed: int) -> tuple[np.ndarray, np.ndarray]:
        """The rows of `train` to train on, and those to validate on.

        validation: a share of a permutation drawn from the seed, or "last": as many as the test set has, from the
        end of the train file, as in Cohen et al. 2017 (20,800 for letters).
        Raises LettergpuError if that leaves nothing to train on or nothing to validate on.
        """
        count = len(self.train)
        if validation == "last":
            held = len(self.test)
            rows = np.roll(np.arange(count), held)
        else:
            held = round(count * float(validation))
            rows = generator(seed, "split").permutation(count)
        if not 0 < held < count:
            raise LettergpuError(
                f"--validation {validation}: of {count:,} images that leaves {max(count - held, 0):,} to train on and "
                f"{min(held, count):,} to validate on"
            )
        return rows[held:], rows[:held]


def find_source(data: str, split: str) -> Path | None:
    """The folder that `data` means, or None for the built-in letters.

    data: "auto" (the downloaded EMNIST if it is there, else the built-in letters), "builtin", or a folder.
    """
    find_split(split)
    if data == "auto":
        folder = emnist.download_folder(split)
        if os.path.isdir(folder):  # unlike Path.is_dir, not an error where it may not be looked for
            return folder
    if data in ("auto", "builtin"):
        if split != "letters":
            raise LettergpuError(
                f"--split {split}: only letters are built in; lettergpu data download --split {split} gets EMNIST's"
            )
        return None
    try:
        folder = Path(os.path.realpath(as_path(os.path.expanduser(data))))
        if os.path.isdir(folder):
            return folder
    except (OSError, RuntimeError):  # a name that is too long, or nobody's home
        pass
    raise LettergpuError(f"--data {brief(data, 300)}: there is no such folder; give auto, builtin or a folder")


def load_letters(data: str = "auto", split: str = "letters", progress: glyphs.Progress = iter) -> Letters:
    """Training and test letters.

    data: "auto" (the downloaded EMNIST if it is there, else the built-in letters), "builtin", or a folder with
    the four IDX files of the split under their official names, gzipped or plain. split: letters, balanced,
    byclass, bymerge, digits or mnist. progress: as `glyphs.load` takes it, for built-in letters not drawn before.
    Raises LettergpuError if files are missing, damaged or do not belong together.
    """
    folder = find_source(data, split)
    classes = find_split(split).classes
    if folder is None:
        train, test = (Examples(*glyphs.load(part, progress)) for part in ("train", "test"))
        return Letters(train, test, classes, "builtin", BUILTIN)
    train, test = (Examples(*emnist.read(folder, split, part)) for part in ("train", "test"))
    source = as_text(folder)
    return Letters(train, test, classes, source, f"EMNIST {split} from {source} ({emnist.verify(folder, split)})")


def load_test(data: str, split: str, progress: glyphs.Progress = iter) -> tuple[Examples, str]:
    """The test letters alone, and what they are; all as `load_letters` takes it."""
    folder = find_source(data, split)
    if folder is None:
        return Examples(*glyphs.load("test", progress)), BUILTIN
    return Examples(*emnist.read(folder, split, "test")), f"EMNIST {split} from {as_text(folder)}"
