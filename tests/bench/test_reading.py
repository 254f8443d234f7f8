"""The benchmark of what is read out of composed pictures."""

import json
import os
import subprocess
import sys
from pathlib import Path

BENCH = Path(__file__).parents[2] / "bench" / "accuracy"


def test_the_benchmark_measures_every_reader(emnist, tmp_path):
    options = "--sets 1,screen --count 2 --tesseract-count 0 --squares 5 --rounds 0 --jobs 1 --json -"
    command = [sys.executable, BENCH / "reading.py", "--show", tmp_path, *options.split()]
    env = os.environ | {"LETTERGPU_EMNIST": str(emnist)}
    result = json.loads(subprocess.run(command, check=True, stdout=subprocess.PIPE, env=env).stdout)
    assert result["rows"].keys() == {"1", "screen"}
    for kind in ("words", "letters"):
        assert result["rows"]["1"][kind].keys() == {"lettergpu", "lettergpu, told", "kmeans", "network"}
        assert result["rows"]["screen"][kind].keys() == {"lettergpu", "lettergpu, told", "kmeans"}
        assert all(row["pictures"] == 2 for row in result["rows"]["1"][kind].values())
        assert all(0 <= row["letters"] <= 1 for row in result["rows"]["1"][kind].values())
    assert result["squares"]["images"] == 5
    names = {f"{which}-{kind}.png" for which in ("1", "screen") for kind in ("words", "letters")}
    assert {path.name for path in tmp_path.iterdir()} == names
