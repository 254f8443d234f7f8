"""NumPy's .npz archives: images and labels, or those to train and to test on, as Keras and others call them.

Nothing in them is run: pickled objects are refused. No more is unpacked than letters can come to. Many images that are
not packed stay in the archive, as those of a large IDX file do; NumPy itself maps no member of an archive.
"""

import math
import struct
import zipfile
import zlib
from collections.abc import Collection
from pathlib import Path
from tokenize import TokenError

import numpy as np

from ..errors import LettergpuError, brief
from . import SIDE, idx
from .tables import MOST, SHAPES, Table, damaged, labels_of, pixels_of

NAMES = {  # of a part's arrays, in the archives that are about
    "": (("images", "labels"), ("x", "y"), ("X", "y"), ("data", "labels"), ("arr_0", "arr_1")),
    "train": (("x_train", "y_train"), ("X_train", "y_train"), ("train_images", "train_labels")),
    "test": (("x_test", "y_test"), ("X_test", "y_test"), ("test_images", "test_labels")),
}
METHODS = (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED)
SLACK = 1_000_000  # bytes of labels' text and headers beside images
LOCAL = struct.Struct("<26xHH")  # before a member: how long its name is, and what else stands between it and the data
# what zipfile and NumPy, which takes a header for Python's own text, raise for an archive that is damaged
BROKEN = (
    *(KeyError, ValueError, TypeError, EOFError, RuntimeError, MemoryError, ArithmeticError, SyntaxError, TokenError),
    *(struct.error, zlib.error, zipfile.BadZipFile),
)


def read(path: Path) -> dict[str, Table]:
    """The parts that an archive holds. Raises LettergpuError where it is something else."""
    try:
        large = _large(path)
        _check_sizes(path, large)
        with np.load(path, allow_pickle=False) as archive:
            parts = {part: _pair(archive.files, names) for part, names in NAMES.items()}
            wanted = {part: pair for part, pair in parts.items() if pair}
            arrays = {
                part: (large[images] if images in large else archive[images], archive[labels])
                for part, (images, labels) in wanted.items()
            }
            found = archive.files
    except (*BROKEN, OSError) as error:
        raise damaged(path, error, ".npz of plain arrays") from error
    if not arrays:
        known = " or ".join(f"{images} and {labels}" for names in NAMES.values() for images, labels in names[:1])
        raise LettergpuError(f"{path} holds {brief(', '.join(found) or 'nothing')}; name its arrays {known}")
    tables = {}
    for part, (pixels, labels) in arrays.items():
        images = pixels if isinstance(pixels, idx.Mapped) else pixels_of(pixels, path)
        tables[part] = Table(images, labels_of(labels, len(images), path), path)
    return tables


def _large(path: Path) -> dict[str, idx.Mapped]:
    """The arrays, by their names, of many images that can stay in the archive."""
    names = {images for pairs in NAMES.values() for images, _ in pairs}
    with path.open("rb") as file, zipfile.ZipFile(file) as archive:
        found = {}
        for name in names & {name.removesuffix(".npy") for name in archive.namelist() if name.endswith(".npy")}:
            entry = archive.getinfo(f"{name}.npy")
            if entry.compress_type == zipfile.ZIP_STORED and (place := _images_in(archive, entry)):
                file.seek(entry.header_offset)
                data = entry.header_offset + LOCAL.size + sum(LOCAL.unpack(file.read(LOCAL.size)))
                found[name] = idx.Mapped.of(path, data + place[0], (place[1], SIDE, SIDE))
    return found


def _images_in(archive: zipfile.ZipFile, entry: zipfile.ZipInfo) -> tuple[int, int] | None:
    """Where in a member images begin, and how many there are; None where they are few or not taken as they lie there.

    Its checksum is compared. Raises BadZipFile where that or its length is wrong.
    """
    with archive.open(entry) as member:
        if np.lib.format.read_magic(member) != (1, 0):
            return None
        shape, by_columns, dtype = np.lib.format.read_array_header_1_0(member)
        begin, promised = member.tell(), math.prod(shape)
        if by_columns or dtype != np.uint8 or shape[1:] not in SHAPES:
            return None
        if promised < idx.LARGE or shape[0] > idx.MOST:
            return None
        length, most = 0, 0
        while content := member.read(idx.CHUNK):
            length, most = length + len(content), max(most, np.frombuffer(content, np.uint8).max())
    if length < promised:
        raise zipfile.BadZipFile(f"{entry.filename} promises {promised:,} bytes, {length:,} are there")
    return (begin, shape[0]) if most > 1 else None  # black and white has to be stretched


def _check_sizes(path: Path, large: Collection[str]) -> None:
    """Raises BadZipFile where the members would come to more than all letters, or need more than unpacking.

    large: names of those that stay in the archive, which do not count.
    """
    with zipfile.ZipFile(path) as archive:
        entries = [entry for entry in archive.infolist() if entry.filename.removesuffix(".npy") not in large]
    total = sum(entry.file_size for entry in entries)
    if total > 2 * MOST + SLACK or any(entry.compress_type not in METHODS for entry in entries):
        raise zipfile.BadZipFile(f"its arrays would come to {total:,} bytes")


def _pair(found: list[str], names: tuple[tuple[str, str], ...]) -> tuple[str, str] | None:
    return next((pair for pair in names if set(pair) <= set(found)), None)
