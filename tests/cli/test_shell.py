"""Manners in a shell: what is said to who types nothing yet, versions, completion, colours, exit codes."""

import json
import os
import re
import shutil
import subprocess
import sys
from importlib.metadata import version
from pathlib import Path

import pytest
from PIL import Image
from terminal import on_a_terminal

from lettergpu.cli import app, progress

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
    shown = on_a_terminal("--help", TERM="xterm-256color", NO_COLOR="" if colours else "1")
    assert b"lettergpu predict photo.jpg" in re.sub(rb"\x1b\[[\d;]*m", b"", shown)
    assert bool(COLOUR.search(shown)) == colours


# The answer alone, or for programs

QUICK = ("--hidden", "8", "--epochs", "2", "--batch-size", "32", "--device", "cpu")


@pytest.fixture
def told(capsys, monkeypatch):
    """What a command writes to standard output, where it writes nothing to standard error."""
    monkeypatch.setitem(progress.BARS, "disable", None)

    def told(*words):
        app([str(word) for word in words], standalone_mode=False)
        out, said = capsys.readouterr()
        assert said == ""
        return out

    return told


def test_who_wants_it_quiet_is_told_the_folder_alone_on_a_terminal_too(folder, tmp_path):
    shown = on_a_terminal("train", "--data", str(folder), *QUICK, "--out", str(tmp_path / "run"), "--quiet")
    assert shown.decode() == f"{tmp_path}/run\r\n"


def test_a_training_is_told_to_programs_as_its_summary(told, folder, tmp_path):
    out = told("train", "--data", folder, *QUICK, "--out", tmp_path / "run", "--json")
    summary = json.loads((tmp_path / "run" / "summary.json").read_text())
    assert json.loads(out) == {"run": f"{tmp_path}/run"} | summary
    assert told("evaluate", tmp_path / "run", "--quiet") == f"{summary['test']['top1']:.2%}\n"


def test_what_is_read_is_told_alone(told, few_letters, tmp_path):
    names = [tmp_path / "a.png", tmp_path / "b.png"]
    for name in names:
        Image.fromarray(few_letters.test.images[0]).save(name)
    texts = [row["text"] for row in json.loads(told("predict", *names, "--single", "--json"))]
    assert told("predict", names[0], "--single", "--quiet") == f"{texts[0]}\n"
    every = "".join(f"{name}: {text}\n" for name, text in zip(names, texts, strict=True))
    assert told("predict", *names, "--single", "--quiet") == every
    (tmp_path / "truth.json").write_text(json.dumps({"a.png": texts[0]}))
    score = told("predict", *names, "--single", "--quiet", "--truth", tmp_path / "truth.json")
    assert score.splitlines()[1].split()[:2] == ["pictures", "letters"]


def test_letters_are_counted_for_programs(told, few_letters, folder, tmp_path):
    table = json.loads(told("data", "info", "--data", folder, "--json"))
    assert (table["train"], table["test"], table["source"]) == (400, 80, str(folder))
    counts = {
        name: {part: int((getattr(few_letters, part).labels == label).sum()) for part in ("train", "test")}
        for label, name in enumerate(few_letters.classes)
    }
    assert table["classes"] == counts
    assert table["found"]["kind"] == "IDX"
    assert {Path(name).parent for name in table["files"]} == {folder}
    assert {file["verdict"] for file in table["files"].values()} == {"not the official file"}
    assert (
        told("data", "preview", "--data", folder, "--out", tmp_path / "sheet.png", "--quiet")
        == f"{tmp_path}/sheet.png\n"
    )


def test_versions_and_devices_are_told_to_programs(told):
    table = json.loads(told("info", "--json"))
    assert table["lettergpu"] == version("lettergpu")
    assert table["packages"]["numpy"] == version("numpy")
    assert (table["devices"][0]["name"], table["devices"][0]["usable"]) == ("cpu", True)
    shown = told("info")
    for device in table["devices"]:
        assert f"   {device['name']:14}{'' if device['usable'] else 'not '}usable: {device['about']}\n" in shown
