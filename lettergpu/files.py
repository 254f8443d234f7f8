"""Files that appear whole or not at all, of which no more is read than their kind holds; whose they are, and where."""

import json
import math
import os
import tempfile
import time
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from typing import Any

import platformdirs
from safetensors import SafetensorError, safe_open

from .errors import LettergpuError, brief

try:
    import fcntl
except ImportError:  # on Windows
    fcntl = None  # type: ignore[assignment]

MOST_HEADER = 1 << 20  # bytes of a .safetensors file's header; those of a thousand layers take a tenth


@contextmanager
def replacing(path: Path, mode: int = 0o666) -> Iterator[Path]:
    """A name beside `path` to write to; it takes the name `path` once the block has ended without an error.

    mode: what the users of the system may do with it, less what the umask takes away.
    """
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        handle, name = tempfile.mkstemp(prefix=f".{path.name}.", suffix=".part", dir=path.parent)
    except OSError as error:
        raise unwritable(path, error) from error
    os.close(handle)
    try:
        yield Path(name)
        os.chmod(name, mode & ~_umask())
        with open(name, "r+b") as written:
            os.fsync(written.fileno())  # else after a power cut the name may stand and the content not
        os.replace(name, path)
    except OSError as error:
        raise unwritable(path, error) from error
    finally:
        Path(name).unlink(missing_ok=True)


@contextmanager
def held(folder: Path) -> Iterator[None]:
    """Be the only one that holds a folder. The lock is the system's and leaves no file: who is killed lets go.

    Where there are no such locks, on Windows and some network drives, nobody is kept out. Raises LettergpuError if
    another process holds it.
    """
    if fcntl is None:
        yield
        return
    try:
        handle = os.open(folder, os.O_RDONLY)
    except OSError as error:
        raise unwritable(folder, error) from error
    try:
        if not any(_locked(handle, pause) for pause in (0.0, 0.2)):  # who only asks, as is_held does, lets go at once
            raise LettergpuError(f"{folder}: another lettergpu writes to it; wait until that has ended, or stop it")
        yield
    finally:
        os.close(handle)


def is_held(folder: Path) -> bool:
    """Whether a process holds a folder, as far as can be known. Raises OSError where it cannot be opened."""
    if fcntl is None:
        return False
    handle = os.open(folder, os.O_RDONLY)
    try:
        return not _locked(handle, shared=True)
    finally:
        os.close(handle)


def _locked(handle: int, pause: float = 0.0, *, shared: bool = False) -> bool:
    """Whether it could be locked, after so many seconds."""
    time.sleep(pause)
    try:
        fcntl.flock(handle, (fcntl.LOCK_SH if shared else fcntl.LOCK_EX) | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    except OSError:  # there are no locks
        pass
    return True


def read_text(path: Path, most: int) -> str:
    """The text of a file of at most `most` bytes: a larger one is of another kind, and might fill the memory.

    Raises OSError as `open` does, and ValueError if it is larger or not UTF-8.
    """
    with path.open("rb") as file:
        content = file.read(most + 1)
    if len(content) > most:
        raise ValueError(f"it is larger than {most:,} bytes")
    return content.decode("utf-8-sig")


def read_json(path: Path, most: int) -> Any:
    """What a JSON file of at most `most` bytes holds. Raises OSError, and ValueError for all else that is wrong."""
    try:
        return json.loads(read_text(path, most), parse_float=_number, parse_constant=_number)
    except RecursionError:
        raise ValueError("it is nested too deeply") from None


def _number(text: str) -> float:
    if not math.isfinite(value := float(text)):
        raise ValueError(f"{brief(text)} is no number")
    return value


def read_tensors(path: Path) -> tuple[dict[str, Any], dict[str, str]]:
    """The NumPy arrays in a .safetensors file, and the texts in its header.

    Raises OSError as `open` does, and ValueError for all else that is wrong.
    """
    with path.open("rb") as content:
        if int.from_bytes(content.read(8), "little") > MOST_HEADER:
            raise ValueError(f"its header is longer than {MOST_HEADER:,} bytes")
    try:
        with safe_open(path, framework="np") as file:
            return {name: file.get_tensor(name) for name in file.keys()}, file.metadata() or {}  # noqa: SIM118
    except (SafetensorError, TypeError, AttributeError) as error:  # the latter two of a dtype that NumPy lacks
        raise ValueError(brief(error)) from error


def unwritable(path: Path, error: OSError) -> LettergpuError:
    """What to tell the user when `path` could not be written."""
    advice = "name another place with --out, or for the cache with the variable LETTERGPU_CACHE"
    return LettergpuError(f"{path} cannot be written ({error.strerror}): {advice}")


def _umask() -> int:
    mask = os.umask(0)
    os.umask(mask)
    return mask


def user() -> int | None:
    """The number of whoever runs this; None on a system that has none."""
    return os.getuid() if hasattr(os, "getuid") else None


def is_own(status: os.stat_result) -> bool:
    """Whether what this is the status of belongs to the user, and nobody else may write to it."""
    return user() is None or (status.st_uid == user() and not status.st_mode & 0o022)


def make_private(folder: Path) -> None:
    """Make a folder, and what is missing above it, that only the user may enter, whatever the umask.

    One that is there stays as it is. Raises LettergpuError where that cannot be.
    """
    try:
        if not folder.is_dir():
            make_private(folder.parent)
            folder.mkdir(0o700, exist_ok=True)
    except OSError as error:
        raise unwritable(folder, error) from error


def cache_folder() -> Path:
    """Where downloaded and generated letters, and compiled kernels, are kept.

    $LETTERGPU_CACHE, else the user's cache folder. Who has no home has one for temporary files, and is warned; raises
    LettergpuError where that is somebody else's.
    """
    if named := os.environ.get("LETTERGPU_CACHE"):
        return Path(named)
    try:
        folder = Path(platformdirs.user_cache_dir("lettergpu"))
    except RuntimeError:  # older versions give ~/.cache as it is
        folder = Path("~")
    return folder if folder.is_absolute() else _homeless_folder()


@cache
def _homeless_folder() -> Path:
    folder = Path(tempfile.gettempdir()) / f"lettergpu-{user()}"
    advice = "name a place with the variable LETTERGPU_CACHE"
    make_private(folder)
    if not is_own(folder.lstat()):
        raise LettergpuError(f"there is no home folder to keep things in, and {folder} is not yours alone: {advice}")
    warnings.warn(f"there is no home folder, so things are kept in {folder}: {advice}", stacklevel=1)
    return folder


def as_path(name: str) -> Path:
    """The path of a name that a file may tell: letters that the locale's encoding of paths lacks are UTF-8 in it."""
    try:
        os.fsencode(name)
    except UnicodeEncodeError:
        name = os.fsdecode(name.encode(errors="surrogateescape"))
    return Path(name)


def as_text(path: str | Path) -> str:
    """A path as a name that a file can tell, the other way round."""
    name = str(path)
    try:
        name.encode()
    except UnicodeEncodeError:
        name = os.fsencode(name).decode(errors="surrogateescape")
    return name
