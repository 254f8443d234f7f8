"""The IDX file format: a magic number, the sizes, then the bytes (LeCun's MNIST page), gzipped or plain."""

import gzip
import math
import zlib
from pathlib import Path

import numpy as np

from ..errors import LettergpuError

UNSIGNED_BYTE = 0x08  # the only element type that EMNIST uses


def read_idx(path: Path, dimensions: int) -> np.ndarray:
    """The array of unsigned bytes in an IDX file, with that many dimensions.

    Raises LettergpuError if it is missing, damaged, or something else.
    """
    try:
        content = path.read_bytes()
        if path.suffix == ".gz":
            content = gzip.decompress(content)
    except FileNotFoundError:
        raise LettergpuError(f"{path} is missing") from None
    except (EOFError, gzip.BadGzipFile, zlib.error) as error:
        raise LettergpuError(f"{path} is truncated or damaged ({error}): fetch it again") from error
    except OSError as error:
        raise LettergpuError(f"{path} cannot be read: {error.strerror}") from error

    magic = bytes((0, 0, UNSIGNED_BYTE, dimensions))
    start = 4 + 4 * dimensions
    if content[:4] != magic:
        raise LettergpuError(
            f"{path} begins with {content[:4].hex()}, not with {magic.hex()}: it is not an IDX file of "
            f"{'images' if dimensions == 3 else 'labels'}"
        )
    if len(content) < start:
        raise LettergpuError(f"{path} is truncated or damaged: it ends within its header: fetch it again")
    shape = tuple(int(n) for n in np.frombuffer(content[4:start], dtype=">u4"))
    if len(content) - start != math.prod(shape):
        raise LettergpuError(
            f"{path} is truncated or damaged: its header promises {' x '.join(map(str, shape))} bytes, "
            f"{len(content) - start:,} are there: fetch it again"
        )
    return np.frombuffer(content, dtype=np.uint8, offset=start).reshape(shape)
