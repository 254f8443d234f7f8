"""C++ of kernels/ as a loaded library: compiled for this processor when first needed, and kept in the cache.

What is loaded is run. So the folder and its files are the user's alone, and the name of each ends with a digest of its
content: what is damaged, or may be somebody else's, is compiled anew.
"""

import ctypes
import hashlib
import os
import platform
import shlex
import shutil
import subprocess
import tempfile
import warnings
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from ..errors import LettergpuError
from ..files import cache_folder, is_own, make_private, replacing, user
from ..kernels import source

FLAGS = ["-std=c++17", "-O3", "-march=native", "-fno-math-errno", "-fno-trapping-math"]
FLAGS += ["-fopenmp-simd", "-pthread", "-shared", "-fPIC"]


def load(name: str) -> tuple[Any, str]:
    """A file of kernels/ as a library, and the compiler's command; or None, and why not.

    Warns where a library cannot be kept.
    """
    try:
        command = _compiler()
        if not command:
            return None, "there is no C++ compiler (c++, g++, clang++, or $CXX)"
        text = source(name)
        key = "\0".join([text, *command, *FLAGS, platform.machine(), _processor()])
        stem = f"{Path(name).stem}-{_digest(key.encode(errors='surrogateescape'))}"
        return _kept(stem) or _made(stem, command, text), shlex.join(command)
    except (OSError, ValueError, subprocess.SubprocessError) as error:
        compiler = os.environ.get("CXX") or "the C++ compiler"
        return None, f"{compiler} could not compile the CPU's kernels: {_reason(error)}"


def _compiler() -> list[str]:
    """The words of the command, which are $CXX's if it has any; none where there is no compiler."""
    named = os.environ.get("CXX", "")
    if shutil.which(named):  # as it is: there may be blanks in its path
        return [named]
    return shlex.split(named) or list(filter(shutil.which, ("c++", "g++", "clang++")))[:1]


def _processor() -> str:
    """What the processor can do, as far as the system says: code for it may not run on another."""
    try:
        lines = Path("/proc/cpuinfo").read_text(errors="replace").splitlines()
    except OSError:
        return platform.processor()
    return next((line for line in lines if line.startswith(("flags", "Features"))), "")


def _folder() -> Path:
    """A folder for each user of a cache that several share."""
    return cache_folder() / ("compiled" if user() is None else f"compiled-{user()}")


def _digest(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()[:16]


def _kept(stem: str) -> Any:
    """The library of that name in the cache, if it is whole, the user's alone, and can be loaded; else None."""
    with suppress(OSError, LettergpuError), _held(_folder()) as folder:
        for path in sorted(folder.glob(f"{stem}-*.so")):
            with suppress(OSError):
                if is_own(path.lstat()) and path.stem == f"{stem}-{_digest(path.read_bytes())}":
                    return ctypes.CDLL(str(path))
    return None


@contextmanager
def _held(folder: Path) -> Iterator[Path]:
    """A path that stays this folder, where the system has such, should anybody put another one in its place.

    Raises OSError where it is not there or not the user's alone.
    """
    if user() is None:
        yield folder
        return
    handle = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW)
    try:
        if not is_own(os.fstat(handle)):
            raise PermissionError(f"{folder} is not the user's alone")
        held = Path(f"/proc/self/fd/{handle}")
        yield held if held.exists() else folder
    finally:
        os.close(handle)


def _made(stem: str, command: list[str], text: str) -> Any:
    """The library, compiled, and kept if that can be."""
    with tempfile.TemporaryDirectory(prefix="lettergpu-", ignore_cleanup_errors=True) as scratch:
        library = _compile(command, text, Path(scratch))
        try:
            _keep(stem, library.read_bytes())
            if host := _kept(stem):
                return host
            trouble = f"{_folder()} is not yours alone, or nothing in it may run: name another with LETTERGPU_CACHE"
        except LettergpuError as error:
            trouble = str(error)
        warnings.warn(f"the CPU's kernels are compiled at each start, as none can be kept: {trouble}", stacklevel=2)
        return ctypes.CDLL(str(library))


def _keep(stem: str, content: bytes) -> None:
    make_private(_folder())
    with replacing(_folder() / f"{stem}-{_digest(content)}.so", mode=0o600) as partial:
        partial.write_bytes(content)


def _compile(command: list[str], text: str, folder: Path) -> Path:
    code, library = folder / "kernels.cpp", folder / "kernels.so"
    code.write_text(text, encoding="utf-8")
    command = [*command, *FLAGS, str(code), "-o", str(library)]
    subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, timeout=120, check=True)
    return library


def _reason(error: Exception) -> str:
    """The first line that the compiler said, in whatever encoding; if none, what else is known."""
    said = (getattr(error, "stderr", None) or b"").decode(errors="replace").strip()
    return (said or str(error).strip() or type(error).__name__).splitlines()[0]
