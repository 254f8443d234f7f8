"""The benchmark of what is read out of composed pictures."""

import json
import os
import subprocess
import sys
from pathlib import Path

import kinds
from reading import SETS
from scores import letters_of

BENCH = Path(__file__).parents[2] / "bench" / "accuracy"


def test_the_benchmark_measures_every_reader(emnist, tmp_path):
    options = "--sets 1,screen,pencil,marks --count 2 --tesseract-count 0 --squares 5 --rounds 0 --jobs 1 --json -"
    command = [sys.executable, BENCH / "reading.py", "--show", tmp_path, *options.split()]
    env = os.environ | {"LETTERGPU_EMNIST": str(emnist)}
    result = json.loads(subprocess.run(command, check=True, stdout=subprocess.PIPE, env=env).stdout)
    found = {which: ["words", "letters"] for which in ("1", "screen", "pencil")} | {"marks": ["words"]}
    assert {which: list(of) for which, of in result["rows"].items()} == found
    usual = {"lettergpu", "lettergpu, told", "kmeans"}
    for kind in ("words", "letters"):
        assert result["rows"]["1"][kind].keys() == usual | {"network"}
        assert result["rows"]["screen"][kind].keys() == usual
        assert all(row["pictures"] == 2 for row in result["rows"]["1"][kind].values())
        assert all(0 <= row["letters"] <= 1 for row in result["rows"]["1"][kind].values())
    marked = result["rows"]["marks"]["words"]["lettergpu"]
    assert marked["of"] == sum(
        len(letters_of(marks.text)) for marks in (kinds.words("marks", 0), kinds.words("marks", 1))
    )
    assert marked["extra"] >= 0
    assert result["squares"]["images"] == 5
    names = {f"{which}-{kind}.png" for which, of in found.items() for kind in of}
    assert {path.name for path in tmp_path.iterdir()} == names


def test_a_set_that_there_is_not_is_refused_with_those_that_there_are(tmp_path):
    command = [sys.executable, BENCH / "reading.py", "--sets", "1,table"]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 2
    assert "--sets: table: there are 1, 2, 3, 4, 5, enlarged, screen, printed, strokes, note, far, crop" in done.stderr


def test_the_scripts_own_words_name_every_set():
    reading = (BENCH / "reading.py").read_text(encoding="utf-8")
    assert f"[--sets {','.join(SETS)}]" in reading
    assert [line.split()[0] for line in kinds.__doc__.splitlines() if line.startswith("    ")] == list(kinds.KINDS)
