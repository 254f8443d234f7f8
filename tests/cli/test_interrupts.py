"""Ctrl-C at any time of a command, and once more while it stops."""

import signal
import subprocess
import sys

import pytest

SCRIPT = """
import atexit, os, signal, sys
from lettergpu import __main__, cli
from lettergpu.cli.progress import interruptible

def interrupt():
    os.kill(os.getpid(), signal.SIGINT)

def command():
    {}

cli.main = command
__main__.main()
"""
TIDYING = """
        print("tidying up", flush=True)
        try:
            interrupt()
        except BaseException:
            sys.exit(1)  # such as an error's, of a file that is half written
        print("not at once")
"""
WHEN = {
    "once": ("interrupt()", "", ""),
    "while it stops": (f"try:\n        interrupt()\n    finally:{TIDYING}", "tidying up\n", ""),
    "as Python ends": ("atexit.register(interrupt)\n    interrupt()", "", ""),
    "after it has ended": ("atexit.register(interrupt)\n    sys.exit(0)", "", ""),
    "a third time": (
        f"with interruptible('Stopping'):\n      try:\n        interrupt(), interrupt()\n      finally:{TIDYING}",
        "tidying up\n",
        "Stopping (Ctrl-C again: at once)\n",
    ),
}


def ran(command, interrupts=signal.SIG_DFL):
    """Exit code, output and errors. interrupts: what a shell has set, that ignores them for jobs in the background."""
    line, before = [sys.executable, "-c", SCRIPT.format(command)], lambda: signal.signal(signal.SIGINT, interrupts)
    done = subprocess.run(line, capture_output=True, text=True, preexec_fn=before)
    return done.returncode, done.stdout, done.stderr


@pytest.mark.parametrize("when", WHEN)
def test_a_command_that_is_interrupted_ends_with_130(when):
    command, *said = WHEN[when]
    assert ran(command) == (130, *said)


def test_where_a_shell_has_interrupts_ignored_they_are():
    assert ran("interrupt()\n    sys.exit(7)", signal.SIG_IGN) == (7, "", "")
