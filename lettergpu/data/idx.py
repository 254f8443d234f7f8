"""The IDX file format: a magic number, the sizes, then the bytes (LeCun's MNIST page), gzipped or plain."""

import gzip
import math
import zlib
from io import BufferedIOBase
from pathlib import Path

import numpy as np

from ..errors import LettergpuError

UNSIGNED_BYTE = 0x08  # the only element type that EMNIST uses
MOST = 1_000_000 * 28 * 28  # bytes: the largest of EMNIST's files, byclass's, has 697,932 images


def read_idx(path: Path, dimensions: int) -> np.ndarray:
    """The array of unsigned bytes in an IDX file, with that many dimensions.

    No more is unpacked than the header promises, however much a few bytes of gzip would come to.
    Raises LettergpuError if it is missing, damaged, or something else.
    """
    try:
        with gzip.open(path) if path.suffix == ".gz" else path.open("rb") as file:
            shape = _read_header(path, file, dimensions)
            promised = math.prod(shape)
            content = file.read(promised + 1)
    except FileNotFoundError:
        raise LettergpuError(f"{path} is missing") from None
    except (EOFError, gzip.BadGzipFile, zlib.error) as error:
        raise LettergpuError(f"{path} is truncated or damaged ({error}): fetch it again") from error
    except OSError as error:
        raise LettergpuError(f"{path} cannot be read: {error.strerror}") from error
    if len(content) != promised:
        raise LettergpuError(
            f"{path} is truncated or damaged: its header promises {' x '.join(map(str, shape))} bytes, "
            f"{'more' if len(content) > promised else f'{len(content):,}'} are there: fetch it again"
        )
    return np.frombuffer(content, dtype=np.uint8).reshape(shape)


def _read_header(path: Path, file: BufferedIOBase, dimensions: int) -> tuple[int, ...]:
    """The sizes, of an array that letters could fill."""
    header = file.read(4 + 4 * dimensions)
    magic = bytes((0, 0, UNSIGNED_BYTE, dimensions))
    if header[:4] != magic:
        raise LettergpuError(
            f"{path} begins with {header[:4].hex()}, not with {magic.hex()}: it is not an IDX file of "
            f"{'images' if dimensions == 3 else 'labels'}"
        )
    if len(header) < 4 + 4 * dimensions:
        raise LettergpuError(f"{path} is truncated or damaged: it ends within its header: fetch it again")
    shape = tuple(int(n) for n in np.frombuffer(header[4:], dtype=">u4"))
    if math.prod(filter(None, shape)) > MOST:  # sizes beside a 0 have to be sane, too
        raise LettergpuError(
            f"{path} promises {' x '.join(map(str, shape))} bytes, more than {MOST:,}: no file of letters is as large"
        )
    return shape
