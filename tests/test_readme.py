"""What the README and docs/ tell of the command line is there."""

import re
from pathlib import Path

import pytest
from typer.main import get_command

from lettergpu.cli import app

ROOT = Path(__file__).parents[1]
TOLD = "\n".join(path.read_text("utf-8") for path in [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))])
COMMANDS = (
    r"lettergpu (?:train|runs|compare|evaluate|export|import|predict|serve|study|sweep|bench|info|data \w+)[^\n|`#]*"
)


@pytest.mark.parametrize("line", sorted(set(re.findall(COMMANDS, TOLD))))
def test_every_command_and_option_exists(line):
    command = get_command(app)
    words = line.split()[1:]
    while words and hasattr(command, "commands"):
        command = command.commands[words.pop(0)]
    known = {name for parameter in command.params for name in parameter.opts} | {"--help"}
    options = {word for word in words if word.startswith("--")}
    assert options <= known, options - known


SCRIPTS = r"python\s(bench/[\w/]+\.py)([^`\n]*)"


@pytest.mark.parametrize(("script", "words"), sorted(set(re.findall(SCRIPTS, TOLD))))
def test_every_script_has_the_options_that_are_told(script, words):
    text = (ROOT / script).read_text("utf-8")
    for option in re.findall(r"--[\w-]+", words):
        assert f'"{option}"' in text, option
