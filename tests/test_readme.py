"""What the README and docs/ tell of the command line is run: each command in a folder that has what it names.

In this process, and cut short: few letters, small networks, an epoch.
"""

import re
import shlex
import shutil
import tomllib
from pathlib import Path

import numpy as np
import pytest
import scipy.io
from conftest import write_split
from PIL import Image

from lettergpu.cli import app, benchmark, plots
from lettergpu.data import emnist, glyphs
from lettergpu.nn.network import Network
from lettergpu.web import app as server

ROOT = Path(__file__).parents[1]
TOLD = "\n".join(path.read_text("utf-8") for path in [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))])
COMMANDS = (
    r"lettergpu (?:--help|train|runs|compare|evaluate|export|import|predict|serve|study|sweep|bench|info|data \w+)\b"
)
LINES = sorted({line.strip() for line in re.findall(rf"{COMMANDS}(?: (?![|#])[^\s`#]+)*", TOLD)})
NEW, TUNED = "--hidden 16 --batch-size 64 --epochs 1", "--epochs 1 --old-letters 52"
SHORTER = {  # what is put after the words that a command begins with, those of the first that it does begin with
    "train --help": "",
    "train --resume": "",
    "train --from": TUNED,
    "train": NEW,
    "study": "--only Perceptron_softmax",
    "sweep": "--trials 1 --space SPACE",
    "serve": "--port 0",
    "import weights.mat|": "--activation tanh",  # as is said there
}
SPACE = "[settings]\nepochs = 1\nbatch_size = 64\n[space]\nhidden = [[8]]\nactivation = ['relu', 'mish']\n"


def words_of(line):
    """The words of a command; of alternatives, such as RUN|FILE|boxed, the first."""
    line = line.removeprefix("lettergpu ")
    shorter = next((more for first, more in SHORTER.items() if line.startswith(first)), "")
    return tuple(shlex.split(re.sub(r"\|\S+", "", f"{line} {shorter}")))


@pytest.fixture(scope="module")
def place(few_letters, tmp_path_factory):
    """A folder with all that the commands name."""
    place = tmp_path_factory.mktemp("told")
    for name in ("DIR", "PATH"):
        write_split(place / name, few_letters)
    page = np.full((80, 80), 255, np.uint8)
    page[10:70, 20:28] = page[62:70, 20:60] = 0
    for name in ("photo.jpg", "a.png", "DIR/a.png"):
        Image.fromarray(page).save(place / name)
    (place / "truth.json").write_text('{"a.png": "L"}')
    (place / "SPACE").write_text(SPACE)
    layers = enumerate(Network((784, 16, 26)).layers, 1)
    scipy.io.savemat(place / "weights.mat", {f"Theta{i}": np.vstack([each.bias, each.weight]).T for i, each in layers})
    run = place / "runs" / "NAME"
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("LETTERGPU_CACHE", str(place / "cache"))
        patch.setattr(plots, "draw_run", lambda *given: None)
        app(shlex.split(f"train --recipe report --data {place / 'DIR'} --out {run} {NEW}"), standalone_mode=False)
    shutil.copytree(run, place / "RUN")
    shutil.copy(run / "config.toml", place / "FILE")
    return place


@pytest.fixture
def short(place, tmp_path, monkeypatch):
    """A copy of that folder is the current one, and what would take long, listen or download does not."""
    monkeypatch.chdir(shutil.copytree(place, tmp_path / "told", ignore=shutil.ignore_patterns("cache")))
    monkeypatch.setenv("LETTERGPU_CACHE", str(place / "cache"))
    for name in ("draw_run", "draw_evaluation", "draw_study", "draw_sweep"):
        monkeypatch.setattr(plots, name, lambda *given: None)
    monkeypatch.setattr(glyphs, "EACH", {"train": 8, "test": 4})
    monkeypatch.setattr(benchmark, "COUNT", 512)
    monkeypatch.setattr(benchmark, "CALLS", (1,))
    monkeypatch.setattr(emnist, "download", lambda *given, **how: place / "cache")
    monkeypatch.setattr(server, "serve", lambda *given: None)


@pytest.mark.parametrize("words", sorted({words_of(line) for line in LINES}), ids=" ".join)
def test_every_command_runs(words, short):
    assert not app(words, standalone_mode=False)


@pytest.mark.parametrize(
    "extra", sorted({extra for found in re.findall(r"'\.\[(.+?)\]'", TOLD) for extra in found.split(",")})
)
def test_every_extra_is_there(extra):
    assert extra in tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]["optional-dependencies"]


SCRIPTS = r"python\s(bench/[\w/]+\.py)([^`\n]*)"


@pytest.mark.parametrize(("script", "words"), sorted(set(re.findall(SCRIPTS, TOLD))))
def test_every_script_has_the_options_that_are_told(script, words):
    text = (ROOT / script).read_text("utf-8")
    for option in re.findall(r"--[\w-]+", words):
        assert f'"{option}"' in text, option
