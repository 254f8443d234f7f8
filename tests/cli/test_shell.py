"""Manners in a shell: what is said to who types nothing yet, versions, completion, colours, exit codes."""

import os
import pty
import re
import shutil
import subprocess
import sys
from importlib.metadata import version
from pathlib import Path

import pytest

COMMAND = [sys.executable, "-m", "lettergpu"]
COLOUR = re.compile(rb"\x1b\[(?:\d+;)*[349]\d(?:;\d+)*m")


def lettergpu_(*words, **environment):
    done = subprocess.run([*COMMAND, *words], capture_output=True, text=True, env=os.environ | environment, timeout=60)
    return done.returncode, done.stdout, done.stderr


def test_the_version_is_told():
    assert lettergpu_("--version") == (0, f"lettergpu {version('lettergpu')}\n", "")


@pytest.mark.parametrize("words", [(), ("data",)])
def test_who_gives_no_command_is_shown_what_there_is_and_no_error(words):
    code, told, said = lettergpu_(*words, COLUMNS="80")
    assert (code, said) == (2, "")
    assert told.strip() == lettergpu_(*words, "--help", COLUMNS="80")[1].strip()


def test_help_says_what_to_type_first_and_what_exit_codes_mean():
    lines = [line.strip() for line in lettergpu_("--help", COLUMNS="80")[1].splitlines()]
    first = lines.index("lettergpu train                trains on built-in letters, in a minute or two")
    assert lines[first + 1].startswith("lettergpu predict photo.jpg ")
    assert lines[first + 2].startswith("lettergpu serve ")
    assert first < 7
    epilog = " ".join(lines).partition("Exit codes: ")[2]
    assert [part.split()[0] for part in epilog.split(";")] == ["0", "1", "2", "130"]


@pytest.mark.skipif(not shutil.which("bash"), reason="there is no bash")
def test_bash_completes_commands_and_options():
    script = """source <(lettergpu --show-completion)
    complete -p lettergpu
    for line in "tr" "train --lab" "data in" "evaluate runs/"; do
        COMP_WORDS=(lettergpu $line) COMP_CWORD=$(set -- $line; echo $#)
        _lettergpu_completion lettergpu
        echo "$line: ${COMPREPLY[*]}"
    done
    """
    path = os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]])
    done = subprocess.run(["bash", "-c", script], capture_output=True, text=True, env=os.environ | {"PATH": path})
    assert done.stdout.splitlines() == [
        "complete -o default -F _lettergpu_completion lettergpu",
        "tr: train",
        "train --lab: --label-smoothing",
        "data in: info",
        "evaluate runs/: ",  # so bash takes it for a file
    ]


@pytest.mark.parametrize("colours", [True, False])
def test_who_wants_no_colours_gets_none(colours):
    ours, theirs = pty.openpty()
    asked = {"TERM": "xterm-256color", "NO_COLOR": "" if colours else "1"}
    with subprocess.Popen([*COMMAND, "--help"], stdout=theirs, stderr=theirs, env=os.environ | asked) as process:
        os.close(theirs)
        shown = b""
        while True:
            try:
                shown += os.read(ours, 65536)
            except OSError:  # the other end is closed
                break
    os.close(ours)
    assert process.returncode == 0
    assert b"lettergpu predict photo.jpg" in re.sub(rb"\x1b\[[\d;]*m", b"", shown)
    assert bool(COLOUR.search(shown)) == colours
