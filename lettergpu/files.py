"""Files that appear whole or not at all."""

import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import platformdirs

from .errors import LettergpuError


@contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """A name beside `path` to write to; it takes the name `path` once the block has ended without an error."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        handle, name = tempfile.mkstemp(prefix=f".{path.name}.", suffix=".part", dir=path.parent)
    except OSError as error:
        raise unwritable(path, error) from error
    os.close(handle)
    try:
        yield Path(name)
        os.chmod(name, 0o666 & ~_umask())
        os.replace(name, path)
    except OSError as error:
        raise unwritable(path, error) from error
    finally:
        Path(name).unlink(missing_ok=True)


def unwritable(path: Path, error: OSError) -> LettergpuError:
    """What to tell the user when `path` could not be written."""
    advice = "name another place with --out, or for the cache with the variable LETTERGPU_CACHE"
    return LettergpuError(f"{path} cannot be written ({error.strerror}): {advice}")


def _umask() -> int:
    mask = os.umask(0)
    os.umask(mask)
    return mask


def cache_folder() -> Path:
    """Where downloaded and generated letters are kept: $LETTERGPU_CACHE, else the user's cache folder."""
    return Path(os.environ.get("LETTERGPU_CACHE") or platformdirs.user_cache_dir("lettergpu"))
