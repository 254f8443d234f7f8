"""The command line where the shell has closed a stream, nobody reads on, the disk is full, or the locale is C."""

import json
import os
import subprocess
import sys

import pytest
from conftest import write_split
from PIL import Image, ImageDraw

COMMAND = f"{sys.executable} -m lettergpu"
C_LOCALE = {"LC_ALL": "C", "PYTHONUTF8": "0"}


@pytest.fixture(params=["", "1"], ids=["buffered", "unbuffered"])
def buffering(request):
    return {"PYTHONUNBUFFERED": request.param}


@pytest.fixture
def picture(tmp_path):
    image = Image.new("L", (120, 80), 255)
    ImageDraw.Draw(image).line([(60, 15), (60, 65)], 0, 6)
    image.save(tmp_path / "b\xfccher.png")
    return tmp_path / "b\xfccher.png"


def shell(words, cwd, **environment):
    """A command line, and what redirects it."""
    done = subprocess.run(
        ["sh", "-c", f"{COMMAND} {words}"], cwd=cwd, env=os.environ | environment, capture_output=True, timeout=120
    )
    return done.returncode, done.stdout.decode(), done.stderr.decode()


def complaint(code, said):
    assert code == 2, (code, said)
    (line,) = said.splitlines()
    assert line.startswith("error: ")
    return line


@pytest.mark.parametrize("words", ["--help", "info", "train --help", "predict *.png", "predict *.png --json"])
@pytest.mark.parametrize("where", [">&-", "> /dev/full"])
def test_what_cannot_be_written_is_told_in_a_line(where, words, picture, tmp_path, buffering):
    code, _, said = shell(f"{words} {where}", tmp_path, **buffering)
    assert ("standard output is closed" if "&" in where else "No space left on device") in complaint(code, said)


@pytest.mark.parametrize("words", ["--help", "info", "train --help", "predict *.png", "predict *.png --json"])
def test_it_ends_quietly_where_nobody_reads_on(words, picture, tmp_path, buffering):
    reading, writing = os.pipe()
    os.close(reading)
    command = ["sh", "-c", f"{COMMAND} {words}"]
    environment = os.environ | buffering
    done = subprocess.run(command, cwd=tmp_path, env=environment, stdout=writing, stderr=subprocess.PIPE, timeout=120)
    os.close(writing)
    assert (done.returncode, done.stderr) == (1, b"")


@pytest.mark.parametrize("where", ["2>&-", "2> /dev/full"])
def test_an_error_that_nobody_can_be_told_ends_with_its_code(where, tmp_path):
    assert shell(f"predict nowhere.png {where}", tmp_path)[:2] == (2, "")
    assert shell("predict nowhere.png >&- 2>&- <&-", tmp_path) == (2, "", "")


def test_where_no_errors_are_wanted_answers_are_written(picture, tmp_path):
    code, answer, _ = shell("predict *.png --single --json <&- 2>&-", tmp_path)
    assert code == 0
    assert json.loads(answer)[0]["text"]


def test_a_closed_input_is_an_empty_one(tmp_path):
    code, _, said = shell("predict - <&-", tmp_path)
    assert "the picture is empty" in complaint(code, said)


def test_no_file_takes_the_place_of_a_closed_stream(tmp_path):
    program = "from lettergpu.cli import streams; streams.prepare(); print(open('file', 'w').fileno())"
    command = ["sh", "-c", f'{sys.executable} -c "{program}" <&- 2>&-']
    assert int(subprocess.run(command, cwd=tmp_path, stdout=subprocess.PIPE, check=True).stdout) > 2


def test_an_error_is_one_line_whatever_a_path_holds(tmp_path):
    code, _, said = shell("predict 'two\nlines.png'", tmp_path)
    assert complaint(code, said) == "error: two lines.png: there is no such file"


@pytest.mark.parametrize("words", ["evaluate", "predict", "train --out", "train --resume"])
def test_a_path_that_the_system_refuses_is_told(words, tmp_path):
    name = "long" * 100
    code, _, said = shell(f"{words} {name}", tmp_path)
    assert name in complaint(code, said)


# Letters that the locale does not know


def test_a_path_is_told_as_it_was_given(picture, tmp_path):
    code, answer, said = shell("predict b\xfccher.png nowh\xe9re.png", tmp_path, **C_LOCALE)
    assert answer.startswith("b\xfccher.png: ")
    assert complaint(code, said) == "error: nowh\xe9re.png: there is no such file"
    found = json.loads(shell("predict b\xfccher.png --json", tmp_path, **C_LOCALE)[1])
    assert found[0]["file"] == "b\xfccher.png"
    (tmp_path / "truth.json").write_text('{"b\xfccher.png": "I"}', encoding="utf-8")
    code, answer, said = shell("predict b\xfccher.png --truth truth.json", tmp_path, **C_LOCALE)
    assert (code, said) == (0, "")
    assert "\nall " in answer


def test_letters_and_runs_may_lie_anywhere(few_letters, tmp_path):
    """A run made where the locale knows its letters is evaluated where it does not, and the other way round."""
    write_split(tmp_path / "d\xe4ta", few_letters)
    train = "train --data d\xe4ta --epochs 1 --hidden 8 --device cpu --out"
    for run, made, evaluated in (("r\xfcn", {}, C_LOCALE), ("r\xfcn C", C_LOCALE, {})):
        code, told, said = shell(f"{train} '{run}'", tmp_path, **made)
        assert (code, said) == (0, "")
        assert f"Run      {run}\n" in told
        assert f'data = "{tmp_path}/d\xe4ta"' in (tmp_path / run / "config.toml").read_text(encoding="utf-8")
        code, told, said = shell(f"evaluate '{run}' --json", tmp_path, **evaluated)
        assert (code, said) == (0, "")
        assert json.loads(told)["pictures"] == f"{run}/evaluation"
