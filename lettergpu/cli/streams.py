"""Standard input, output and error as a shell may leave them: closed, full, read by nobody, of few characters."""

import codecs
import errno
import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import TextIO

from ..errors import LettergpuError

LAST_WORDS = "import sys; sys.stderr.buffer.write(sys.stdin.buffer.read())"
CLOSED_PIPE = 1  # exit code where nobody reads on, as typer has it


def prepare() -> None:
    """Make the streams take all that may be written. Raises LettergpuError where standard output is closed."""
    while (spare := os.open(os.devnull, os.O_RDWR)) <= 2:  # no file that is opened later shall take a stream's place
        pass
    os.close(spare)
    sys.stdin = sys.stdin or os.fdopen(0)
    sys.stderr = sys.stderr or os.fdopen(2, "w")
    if sys.stdout is None:
        raise LettergpuError("standard output is closed: send it to a file, or to /dev/null")
    codecs.register_error("as given", _as_given)
    encoding = "utf-8" if sys.getfilesystemencoding() == "ascii" else None  # paths hold more than ASCII nevertheless
    for stream in (sys.stdout, sys.stderr):
        stream.reconfigure(encoding=encoding, errors="as given")  # type: ignore[union-attr]


def _as_given(error: UnicodeError) -> tuple[str | bytes, int]:
    """Bytes of a path that the locale has no letters for as they are; what else it lacks as an escape."""
    try:
        return codecs.lookup_error("surrogateescape")(error)
    except UnicodeError:
        return codecs.backslashreplace_errors(error)


def say(text: str) -> None:
    """A line to whoever sits there, if anybody does."""
    with suppress(OSError):
        print(" ".join(text.splitlines()), file=sys.stderr, flush=True)


@contextmanager
def said_if_killed(text: str) -> Iterator[None]:
    """Have a line said, should this process be killed meanwhile, by another one, which waits for its end."""
    waiting = subprocess.Popen([sys.executable, "-ISc", LAST_WORDS], stdin=subprocess.PIPE, start_new_session=True)
    assert waiting.stdin
    with waiting:
        waiting.stdin.write(f"{text}\n".encode(errors="surrogateescape"))
        waiting.stdin.flush()
        try:
            yield
        finally:
            waiting.kill()


def unwritten(stream: TextIO | None) -> OSError | None:
    """Why what was written to a stream is not out, if so: what it holds back fails each time."""
    try:
        if stream:
            stream.flush()
    except OSError as error:
        return error
    return None


def finished(code: int) -> int:
    """The exit code of a command that came to `code`, by whether all that it wrote is out."""
    error = unwritten(sys.__stdout__)
    if error and error.errno == errno.EPIPE:
        code = CLOSED_PIPE
    elif error:
        code = 2
        say(f"error: standard output cannot be written: {error.strerror}")
    for stream in (sys.__stdout__, sys.__stderr__):
        if stream and unwritten(stream):
            os.dup2(os.open(os.devnull, os.O_WRONLY), stream.fileno())  # Python would try once more, and complain
    return code
