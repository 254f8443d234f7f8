"""A terminal for a command that shows other things there than in a pipe."""

import os
import pty
import subprocess
import sys
import termios


def on_a_terminal(*words, cwd=None, **environment):
    """What a command shows there, a pseudo-terminal standing for the user's."""
    ours, theirs = pty.openpty()
    termios.tcsetwinsize(theirs, (40, 160))
    command, settings = [sys.executable, "-m", "lettergpu", *words], os.environ | environment
    with subprocess.Popen(command, stdout=theirs, stderr=theirs, cwd=cwd, env=settings) as process:
        os.close(theirs)
        shown = b""
        while True:
            try:
                shown += os.read(ours, 65536)
            except OSError:  # the other end is closed
                break
    os.close(ours)
    assert process.returncode == 0, shown
    return shown
