"""NumPy's .npz archives: images and labels, or those to train and to test on, as Keras and others call them.

Nothing in them is run: pickled objects are refused. No more is unpacked than letters can come to.
"""

import struct
import zipfile
import zlib
from pathlib import Path
from tokenize import TokenError

import numpy as np

from ..errors import LettergpuError, brief
from .tables import MOST, Table, damaged, labels_of, pixels_of

NAMES = {  # of a part's arrays, in the archives that are about
    "": (("images", "labels"), ("x", "y"), ("X", "y"), ("data", "labels"), ("arr_0", "arr_1")),
    "train": (("x_train", "y_train"), ("X_train", "y_train"), ("train_images", "train_labels")),
    "test": (("x_test", "y_test"), ("X_test", "y_test"), ("test_images", "test_labels")),
}
METHODS = (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED)
SLACK = 1_000_000  # bytes of labels' text and headers beside images
# what zipfile and NumPy, which takes a header for Python's own text, raise for an archive that is damaged
BROKEN = (
    *(KeyError, ValueError, TypeError, EOFError, RuntimeError, MemoryError, ArithmeticError, SyntaxError, TokenError),
    *(struct.error, zlib.error, zipfile.BadZipFile),
)


def read(path: Path) -> dict[str, Table]:
    """The parts that an archive holds. Raises LettergpuError where it is something else."""
    try:
        _check_sizes(path)
        with np.load(path, allow_pickle=False) as archive:
            parts = {part: _pair(archive.files, names) for part, names in NAMES.items()}
            wanted = {part: pair for part, pair in parts.items() if pair}
            arrays = {part: (archive[images], archive[labels]) for part, (images, labels) in wanted.items()}
            found = archive.files
    except (*BROKEN, OSError) as error:
        raise damaged(path, error, ".npz of plain arrays") from error
    if not arrays:
        known = " or ".join(f"{images} and {labels}" for names in NAMES.values() for images, labels in names[:1])
        raise LettergpuError(f"{path} holds {brief(', '.join(found) or 'nothing')}; name its arrays {known}")
    tables = {}
    for part, (pixels, labels) in arrays.items():
        images = pixels_of(pixels, path)
        tables[part] = Table(images, labels_of(labels, len(images), path), path)
    return tables


def _check_sizes(path: Path) -> None:
    """Raises BadZipFile where the members would come to more than all letters, or need more than unpacking."""
    with zipfile.ZipFile(path) as archive:
        entries = archive.infolist()
    total = sum(entry.file_size for entry in entries)
    if total > 2 * MOST + SLACK or any(entry.compress_type not in METHODS for entry in entries):
        raise zipfile.BadZipFile(f"its arrays would come to {total:,} bytes")


def _pair(found: list[str], names: tuple[tuple[str, str], ...]) -> tuple[str, str] | None:
    return next((pair for pair in names if set(pair) <= set(found)), None)
