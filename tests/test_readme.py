import re
from pathlib import Path

import pytest
from typer.main import get_command

from lettergpu.cli import app

README = (Path(__file__).parent.parent / "README.md").read_text(encoding="utf-8")


def test_the_python_examples_run_one_after_the_other(capsys):
    names = {}
    for code in re.findall(r"```python\n(.*?)```", README, re.DOTALL):
        exec(code, names)
    assert names["probabilities"].shape == (len(names["letters"].test), 26)
    assert names["network"].layers[0].weight.shape == (784, 128)
    assert len(capsys.readouterr().out.splitlines()) == 3
    assert names["search"].best_score_ > 0.85


COMMANDS = r"lettergpu (?:train|runs|compare|evaluate|export|import|predict|serve|study|bench|info|data \w+)[^\n|`#]*"


@pytest.mark.parametrize("line", sorted(set(re.findall(COMMANDS, README))))
def test_every_command_and_option_exists(line):
    command = get_command(app)
    words = line.split()[1:]
    while words and hasattr(command, "commands"):
        command = command.commands[words.pop(0)]
    known = {name for parameter in command.params for name in parameter.opts} | {"--help"}
    options = {word for word in words if word.startswith("--")}
    assert options <= known, options - known
