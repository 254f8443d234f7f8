"""CSV as Kaggle has EMNIST: a line an image, its label and then 784 pixels, with or without a line of names above."""

import gzip
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import islice
from pathlib import Path
from typing import IO

import numpy as np

from ..errors import LettergpuError, brief
from . import SIDE
from .tables import MOST, Table, check_text, pixels_of

PIXELS = SIDE * SIDE
LINE = 32 * PIXELS  # characters of a line, at most
BLOCK = 1000  # lines that are taken to pieces together


def read(path: Path) -> dict[str, Table]:
    """The one part that a file holds. Raises LettergpuError with the line where it is something else."""
    labels: list[str] = []
    blocks: list[np.ndarray] = []
    with _opened(path) as file:
        lines = _lines(file, path)
        first = next(lines, "")
        named = _is_heading(first)
        dtype = np.float32 if "." in (next(lines, "") if named else first) else np.uint8
    with _opened(path) as file:
        lines = islice(_lines(file, path), int(named), None)
        while block := list(islice(lines, BLOCK)):
            parted = [line.partition(",") for line in block]
            start = len(labels) + 1 + named
            blocks.append(_pixels([pixels for _, _, pixels in parted], dtype, path, start))
            labels += [label.strip().strip('"') for label, _, _ in parted]
            for number, label in enumerate(labels[-len(block) :], start):
                check_text(label, f"{path}, line {number:,}")
            if len(labels) * blocks[0][0].nbytes > MOST:
                raise LettergpuError(f"{path} has more than {MOST:,} bytes of images: no file of letters is as large")
    if not labels:
        raise LettergpuError(f"{path} holds no images: give a line for each, its label and then {PIXELS} pixels")
    images = pixels_of(np.concatenate(blocks), path)
    return {"": Table(images, np.array(labels), path, unit="line", start=1 + named)}


@contextmanager
def _opened(path: Path) -> Iterator[IO[str]]:
    """The text of a file, gzipped if its name says so; what goes wrong while it is read is a LettergpuError."""
    try:
        opened = gzip.open if path.suffix == ".gz" else open
        with opened(path, "rt", encoding="utf-8-sig") as file:
            yield file
    except UnicodeDecodeError:
        raise LettergpuError(f"{path} is no text in UTF-8, so no CSV") from None
    except (EOFError, gzip.BadGzipFile, zlib.error) as error:
        raise LettergpuError(f"{path} is truncated or damaged ({brief(error)}): fetch it again") from error
    except OSError as error:
        raise LettergpuError(f"{path} cannot be read: {error.strerror}") from error


def _lines(file: IO[str], path: Path) -> Iterator[str]:
    """The lines, without what ends them, up to an empty one at the end."""
    number, empty = 0, 0
    while line := file.readline(LINE):
        number += 1
        if len(line) == LINE:
            raise LettergpuError(f"{path}, line {number:,}: it is longer than {LINE:,} characters, so of no image")
        if not line.strip():
            empty = empty or number
        elif empty:
            raise LettergpuError(f"{path}, line {empty:,}: it is empty")
        else:
            yield line.rstrip("\r\n")


def _pixels(lines: list[str], dtype: type, path: Path, start: int) -> np.ndarray:
    """The pixels (n, 784) of these lines, the first of which has this number."""
    for number, line in enumerate(lines, start):
        if (count := line.count(",") + bool(line)) != PIXELS:
            raise LettergpuError(f"{path}, line {number:,}: {count} pixels follow the label, not {PIXELS}")
    try:
        return np.loadtxt(lines, dtype=dtype, delimiter=",", comments=None, ndmin=2)
    except ValueError as error:
        if len(lines) > 1:
            for number, line in enumerate(lines, start):
                _pixels([line], dtype, path, number)
        raise LettergpuError(f"{path}, line {start:,}: a pixel is no number from 0 to 255 ({_column(error)})") from None


def _column(error: ValueError) -> str:
    """What NumPy says of a value, without the row, which it counts otherwise."""
    return brief(str(error).partition(" at row")[0])


def _is_heading(line: str) -> bool:
    """Whether a line names columns: no pixel of it is a number, or they are counted."""
    pixels = line.split(",")[1:]
    return pixels == [*map(str, range(PIXELS))] or not any(map(_is_number, pixels))


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True
