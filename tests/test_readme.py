import re
from pathlib import Path

import numpy as np
import pytest
from conftest import drawn
from typer.main import get_command

from lettergpu.cli import app
from lettergpu.config import Config
from lettergpu.nn.network import Network
from lettergpu.training import checkpoint

README = (Path(__file__).parent.parent / "README.md").read_text(encoding="utf-8")


def test_the_python_examples_run_one_after_the_other(capsys):
    names = {}
    for code in re.findall(r"```python\n((?!import json).*?)```", README, re.DOTALL):
        exec(code, names)
    assert names["probabilities"].shape == (len(names["letters"].test), 26)
    assert names["network"].layers[0].weight.shape == (784, 128)
    assert len(capsys.readouterr().out.splitlines()) == 3
    assert names["search"].best_score_ > 0.85


def test_the_script_without_lettergpu_answers_as_the_network_that_it_reads(few_letters, tmp_path, monkeypatch):
    (code,) = re.findall(r"```python\n(import json\n.*?)```", README, re.DOTALL)
    assert len(code.splitlines()) <= 14
    network = drawn(Network((784, 24, 16, 26), activation="tanhexp"), 3)
    checkpoint.save(tmp_path / "network.safetensors", network, Config.recipe("report"), "abc")
    monkeypatch.chdir(tmp_path)
    exec(code, names := {"images": few_letters.test.images})
    expected = network.predict_proba(few_letters.test.images)
    assert expected.std() > 0.02
    np.testing.assert_allclose(names["probabilities"], expected, rtol=0, atol=1e-6)
    assert names["probabilities"].dtype == np.float32


COMMANDS = (
    r"lettergpu (?:train|runs|compare|evaluate|export|import|predict|serve|study|sweep|bench|info|data \w+)[^\n|`#]*"
)


@pytest.mark.parametrize("line", sorted(set(re.findall(COMMANDS, README))))
def test_every_command_and_option_exists(line):
    command = get_command(app)
    words = line.split()[1:]
    while words and hasattr(command, "commands"):
        command = command.commands[words.pop(0)]
    known = {name for parameter in command.params for name in parameter.opts} | {"--help"}
    options = {word for word in words if word.startswith("--")}
    assert options <= known, options - known
