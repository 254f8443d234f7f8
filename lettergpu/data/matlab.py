"""EMNIST's official MATLAB files: a struct `dataset` with `train` and `test`, each of `images` and `labels`."""

import struct
import zlib
from collections.abc import Sequence
from pathlib import Path
from typing import IO, Any

import numpy as np

from ..errors import LettergpuError
from .tables import MOST, Table, damaged, labels_of, pixels_of

HEADER = 128  # bytes
COMPRESSED = 15  # the type of an element that is packed
CHUNK = 1 << 20  # bytes
# what SciPy raises for a file that is damaged
BROKEN = (
    *(ValueError, TypeError, KeyError, IndexError, AttributeError, EOFError, OverflowError, MemoryError),
    *(AssertionError, NotImplementedError, struct.error, zlib.error, RecursionError, ArithmeticError, NameError),
)


def variables(path: Path, names: Sequence[str]) -> dict[str, Any]:
    """Those variables of these names that a file has. Raises LettergpuError where it is something else."""
    from scipy.io import loadmat
    from scipy.io.matlab import MatReadError

    try:
        _check_sizes(path)
        found = loadmat(path, variable_names=names, simplify_cells=True)
    except (*BROKEN, OSError, MatReadError) as error:
        raise damaged(path, error, "MATLAB file of version 5 to 7") from error
    return {name: found[name] for name in names if name in found}


def read(path: Path) -> dict[str, Table]:
    """The two parts. Raises LettergpuError where the file is something else."""
    found = variables(path, ["dataset"])
    parts = {part: _member(found, "dataset", part) for part in ("train", "test")}
    if not isinstance(parts["train"], dict):
        raise LettergpuError(f"{path} has no dataset.train.images, as EMNIST's MATLAB files have")
    tables = {}
    for part, held in parts.items():
        if isinstance(held, dict):
            images, labels = (_member(held, name) for name in ("images", "labels"))
            if images is None or labels is None:
                raise LettergpuError(f"{path} has no dataset.{part}.images and dataset.{part}.labels")
            pixels = pixels_of([images] if np.ndim(images) == 1 else images, path)  # SciPy leaves out axes of one
            tables[part] = Table(pixels, labels_of(labels, len(pixels), path), path)
    return tables


def _member(held: Any, *names: str) -> Any:
    """What these names lead to, or None."""
    for name in names:
        held = held.get(name) if isinstance(held, dict) else None
    return held


def _check_sizes(path: Path) -> None:
    """Raises ValueError where elements would come to more than all letters: SciPy unpacks what there is."""
    left = 2 * MOST
    with path.open("rb") as file:
        header = file.read(HEADER)
        if header.startswith(b"MATLAB 7.3"):
            raise ValueError("it is of version 7.3; save it with -v7")
        order = ">" if header[-2:] == b"MI" else "<"
        while len(tag := file.read(8)) == 8:
            kind, size = struct.unpack(f"{order}II", tag)
            if kind == COMPRESSED:
                left = _unpacked(file, size, left)
            else:
                left -= size
                file.seek(size, 1)
            if left < 0:
                raise ValueError(f"it would come to more than {2 * MOST:,} bytes")


def _unpacked(file: IO[bytes], size: int, left: int) -> int:
    """What is left of so many bytes after what the next `size` of a file unpack to; less than 0 as soon as nothing."""
    unpacker, end = zlib.decompressobj(), file.tell() + size
    while file.tell() < end and (packed := file.read(min(CHUNK, end - file.tell()))):
        while packed and left >= 0 and not unpacker.eof:
            left -= len(unpacker.decompress(packed, CHUNK))
            packed = unpacker.unconsumed_tail
    return left
