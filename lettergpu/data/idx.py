"""The IDX file format: a magic number, the sizes, then the bytes (LeCun's MNIST page), gzipped or plain.

Of a large file the images stay in it, and are mapped into memory: see `Mapped`.
"""

import gzip
import hashlib
import math
import mmap
import os
import shutil
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from io import BufferedIOBase
from pathlib import Path
from typing import Any

import numpy as np

from ..errors import LettergpuError
from ..files import as_text, cache_folder, is_own, make_private, replacing

UNSIGNED_BYTE = 0x08  # the only element type that EMNIST uses
MOST = 100_000_000  # rows; the largest of EMNIST's files, byclass's, has 697,932
PIXELS = 1024  # of an image
LARGE = 256_000_000  # bytes of images, from which on they are left in their file
FEW = 64_000_000  # bytes of some of those that are held in memory
NEAR = 1 << 16  # bytes between two stretches of a file that are read as one
GROUP = 128  # images that are read at once
AROUND = 1 << 21  # bytes that the system may map around one of them
CHUNK = 1 << 20  # bytes that are unpacked at once


@dataclass(frozen=True, eq=False)
class Mapped:
    """uint8 images (n, ...) that stay in their file. What is asked for by rows is read, and comes as an array.

    What of the file is in memory is the system's affair, which takes it back where it needs the room. There is as much
    of NumPy's arrays as is used: shape, dtype, nbytes, [rows], swapaxes, reshape and 255 - it, which are done to what
    is read. path: of the file. memory: all of it. offset, whole: where the images of the file begin, and their shape.
    form: of one of these images. rows: those of the file that these are, None for all.
    Another process, to which it is sent, maps the file itself.
    Raises LettergpuError where the file has been cut short meanwhile, or another process finds another file.
    """

    path: Path
    memory: mmap.mmap
    offset: int
    whole: tuple[int, ...]
    form: tuple[int, ...]
    rows: np.ndarray | None = None
    swapped: bool = False
    inverted: bool = False

    dtype = np.dtype(np.uint8)

    @classmethod
    def of(cls, path: Path, offset: int, shape: tuple[int, ...]) -> "Mapped":
        """The images of a file from a byte on. Raises OSError where it cannot be mapped."""
        with path.open("rb") as file:
            memory = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)
        mapped = cls(path, memory, offset, shape, shape[1:])
        mapped._advise("MADV_RANDOM", 0, len(memory))  # or a row would bring megabytes along; what follows is told
        return mapped

    def __reduce__(self) -> Any:
        kept = self.form, self.rows, self.swapped, self.inverted
        return _mapped_again, (self.path, len(self.memory), self.offset, self.whole, *kept)

    def __len__(self) -> int:
        return self.whole[0] if self.rows is None else len(self.rows)

    @property
    def shape(self) -> tuple[int, ...]:
        return (len(self), *self.form)

    @property
    def ndim(self) -> int:
        return len(self.shape)

    @property
    def nbytes(self) -> int:
        return math.prod(self.shape)

    def __getitem__(self, index: Any) -> np.ndarray:
        if isinstance(index, tuple):  # with an ellipsis behind
            index = index[0]
        if not isinstance(index, slice):
            index = np.asarray(index)
            return self._read(np.flatnonzero(index) if index.dtype == bool else index)
        begin, end, step = index.indices(len(self))
        self.expect(np.arange(begin, min(2 * end - begin, len(self)), step))  # the next one is read meanwhile
        return self._read(np.arange(begin, end, step))

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> np.ndarray:
        return self._read(np.arange(len(self))).astype(dtype or self.dtype, copy=False)

    def __rsub__(self, most: int) -> "Mapped":
        assert most == 255
        return replace(self, inverted=not self.inverted)

    def swapaxes(self, first: int, second: int) -> "Mapped":
        """Each image transposed."""
        assert {first, second} == {1, 2}
        return replace(self, swapped=not self.swapped)

    def reshape(self, *shape: Any) -> "Mapped":
        """Each image in another form; there stay as many."""
        count, *form = shape[0] if isinstance(shape[0], tuple) else shape
        assert (count, math.prod(form)) == (len(self), math.prod(self.form))
        return replace(self, form=tuple(form))

    def chosen(self, rows: np.ndarray) -> "np.ndarray | Mapped":
        """Those of some rows: few of them as an array, many of them in the file still."""
        few = replace(self, rows=self._of_file(rows))
        return few if few.nbytes > FEW else few._read(np.arange(len(few)))

    def expect(self, rows: np.ndarray) -> None:
        """Have rows that will soon be asked for read meanwhile, in the order of the file."""
        self._check()
        if not len(rows):
            return
        size = math.prod(self.whole[1:])
        begin = np.sort(self._of_file(rows)) * size + self.offset
        end = begin + size
        apart = np.flatnonzero(begin[1:] > end[:-1] + NEAR)
        for first, last in zip(begin[[0, *(apart + 1)]].tolist(), end[[*apart, -1]].tolist(), strict=True):
            self._advise("MADV_WILLNEED", first, last)

    def _advise(self, advice: str, begin: int, end: int) -> None:
        begin -= begin % mmap.PAGESIZE
        if hasattr(mmap, advice) and begin < end:  # not on Windows
            self.memory.madvise(getattr(mmap, advice), begin, end - begin)

    def _of_file(self, rows: np.ndarray) -> np.ndarray:
        return rows if self.rows is None else self.rows[rows]

    def _read(self, rows: np.ndarray) -> np.ndarray:
        self._check()
        images = np.frombuffer(self.memory, np.uint8, math.prod(self.whole), self.offset).reshape(self.whole)
        own, size = self._of_file(rows).ravel(), math.prod(self.whole[1:])
        found = np.empty((own.size, *self.whole[1:]), np.uint8)
        for at in range(0, own.size, GROUP):  # what was mapped is let go: it would count as the process's
            some = own[at : at + GROUP]
            found[at : at + GROUP] = images[some]
            begin, end = (self.offset + int(row) * size for row in (some.min(), some.max()))
            self._advise("MADV_DONTNEED", begin - begin % AROUND, min(end + AROUND, len(self.memory)))
        if self.swapped:
            found = np.ascontiguousarray(found.swapaxes(-1, -2))
        if self.inverted:
            np.subtract(255, found, out=found)
        return found.reshape(*rows.shape, *self.form)

    def _check(self) -> None:
        """What is not there any more must not be touched: the system would end the process."""
        if (size := self.memory.size()) < len(self.memory):
            raise LettergpuError(
                f"{self.path} was cut short while it was in use, to {size:,} of {len(self.memory):,} bytes: "
                "put the whole file there again, and start anew"
            )


def _mapped_again(path: Path, length: int, offset: int, whole: tuple[int, ...], *kept: Any) -> Mapped:
    """What another process has mapped of a file of `length` bytes."""
    try:
        there = Mapped.of(path, offset, whole)
    except (OSError, ValueError) as error:  # the latter where it is empty
        raise LettergpuError(f"{path} cannot be mapped by each process: {error}") from error
    if len(there.memory) != length:
        raise LettergpuError(f"{path} has {len(there.memory):,} bytes for one process, and {length:,} for another")
    return Mapped(path, there.memory, offset, whole, *kept)


Images = np.ndarray | Mapped


def settled(images: Images) -> Images:
    """The same images, contiguous if they are in memory."""
    return images if isinstance(images, Mapped) else np.ascontiguousarray(images)


def read_idx(path: Path, dimensions: int) -> Images:
    """The array of unsigned bytes in an IDX file, with that many dimensions; large ones of images are Mapped.

    No more is unpacked than the header promises, however much a few bytes of gzip would come to. A large gzipped file
    is unpacked into the cache, once. Raises LettergpuError if it is missing, damaged, or something else.
    """
    with _opened(path) as file:
        shape = _read_header(path, file, dimensions)
        promised = math.prod(shape)
        if dimensions == 3 and promised >= LARGE:
            return _mapped(_unpacked(path, shape) if path.suffix == ".gz" else path, shape)
        content = file.read(promised + 1)
        _check_length(path, shape, len(content))
    return np.frombuffer(content, dtype=np.uint8).reshape(shape)


@contextmanager
def _opened(path: Path) -> Iterator[Any]:
    """The file, unpacked as it is read. Raises LettergpuError for what goes wrong, then or in the block."""
    try:
        with gzip.open(path) if path.suffix == ".gz" else path.open("rb") as file:
            yield file
    except FileNotFoundError:
        raise LettergpuError(f"{path} is missing") from None
    except (EOFError, gzip.BadGzipFile, zlib.error) as error:
        raise LettergpuError(f"{path} is truncated or damaged ({error}): fetch it again") from error
    except OSError as error:
        raise LettergpuError(f"{path} cannot be read: {error.strerror}") from error


def _read_header(path: Path, file: BufferedIOBase, dimensions: int) -> tuple[int, ...]:
    """The sizes, of an array that letters could fill."""
    header = file.read(_header_length(dimensions))
    magic = bytes((0, 0, UNSIGNED_BYTE, dimensions))
    if header[:4] != magic:
        raise LettergpuError(
            f"{path} begins with {header[:4].hex()}, not with {magic.hex()}: it is not an IDX file of "
            f"{'images' if dimensions == 3 else 'labels'}"
        )
    if len(header) < _header_length(dimensions):
        raise LettergpuError(f"{path} is truncated or damaged: it ends within its header: fetch it again")
    shape = tuple(int(n) for n in np.frombuffer(header[4:], dtype=">u4"))
    if shape[0] > MOST or math.prod(filter(None, shape[1:])) > PIXELS:  # sizes beside a 0 have to be sane, too
        raise LettergpuError(
            f"{path} promises {' x '.join(map(str, shape))} bytes: no file of letters has more than {MOST:,} rows, or "
            f"{PIXELS:,} bytes a row"
        )
    return shape


def _header_length(dimensions: int) -> int:
    return 4 + 4 * dimensions


def _check_length(path: Path, shape: tuple[int, ...], found: int) -> None:
    """found: how many bytes there are behind the header."""
    promised = math.prod(shape)
    if found != promised:
        raise LettergpuError(
            f"{path} is truncated or damaged: its header promises {' x '.join(map(str, shape))} bytes, "
            f"{'more' if found > promised else f'{found:,}'} are there: fetch it again"
        )


def _mapped(path: Path, shape: tuple[int, ...]) -> Mapped:
    offset = _header_length(len(shape))
    _check_length(path, shape, path.stat().st_size - offset)
    return Mapped.of(path, offset, shape)


def _unpacked(path: Path, shape: tuple[int, ...]) -> Path:
    """A gzipped file as a plain one in the cache, which is made if it is not there yet."""
    status, folder = path.stat(), cache_folder() / "unpacked"
    stem = f"{path.stem}-{_digest(as_text(os.path.realpath(path)))}"
    kept = folder / f"{stem}-{_digest(f'{status.st_size} {status.st_mtime_ns}')}"
    whole = _header_length(len(shape)) + math.prod(shape)
    if kept.is_file() and is_own(kept.lstat()) and kept.lstat().st_size == whole:
        return kept
    make_private(folder)
    if (free := shutil.disk_usage(folder).free) < whole:
        raise LettergpuError(
            f"{path} comes to {whole:,} bytes, and {folder} has room for {free:,}: unpack it yourself, or name another "
            "place for the cache with the variable LETTERGPU_CACHE"
        )
    with replacing(kept, 0o600) as partial, _opened(path) as packed, partial.open("wb") as plain:
        left = whole + 1
        while left and (content := packed.read(min(left, CHUNK))):
            left -= plain.write(content)
        _check_length(path, shape, math.prod(shape) + 1 - left)
    for old in folder.glob(f"{stem}-*"):
        if old != kept:
            old.unlink(missing_ok=True)  # of the file as it was before
    return kept


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode(errors="surrogateescape")).hexdigest()[:16]
