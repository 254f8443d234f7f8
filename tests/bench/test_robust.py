"""The scripts of bench/robust, with the least work: what they find, and that they find what is broken."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

ROBUST = Path(__file__).parents[2] / "bench" / "robust"
UNDRAWN = """
import sys
import time
from dataclasses import replace
from lettergpu.cli import main, plots
from lettergpu.training.loop import Trainer
plots.draw_run = lambda *answered: None
begin, train = Trainer.begin, Trainer.train
if sys.argv[-2] == "--out" and sys.argv[-1].endswith("/0"):  # to be killed, in its third epoch
    Trainer.train = lambda self, epoch, *rest: train(self, epoch, *rest) if epoch < 3 else time.sleep(600)
if LOSES:
    Trainer.begin = lambda self, state: begin(self, state and replace(state, velocity=0 * state.velocity))
main()
"""
KILLS = """
import kills
kills.COMMAND = [kills.sys.executable, COMMAND]
kills.TRAININGS = {"one network": []}
kills.moments = lambda rng: [kills.Moment(2, "training", 0.0, "SIGKILL")]
kills.main()
"""
FUZZ = """
import dataclasses
import time
import formats
truth = formats.FORMATS["truth"]

def raises(path):
    if b"HELLO" not in path.read_bytes():
        raise KeyError("HELLO")
    truth.read(path)

def dawdles(path):
    until = time.process_time() + 0.3 * (b"HELLO" not in path.read_bytes())
    while time.process_time() < until:
        pass
    truth.read(path)

formats.FORMATS["truth"] = dataclasses.replace(truth, read=READ)
import fuzz
fuzz.SECONDS = 0.2
if __name__ == "__main__":
    fuzz.main()
"""
SIEGE = """
import siege
siege.CALM = 0.5
if __name__ == "__main__":
    siege.main()
"""


def ran(tmp_path, script, *options):
    """The exit code of a script of bench/robust, what it prints, and the JSON that it writes."""
    (path := tmp_path / "script.py").write_text(script)
    environment = os.environ | {"PYTHONPATH": str(ROBUST)}
    (another := tmp_path / "found").mkdir()  # called as the results, but not theirs
    command = [sys.executable, path, *options, "--json", tmp_path / "found.json"]
    done = subprocess.run(command, env=environment, capture_output=True, text=True)
    assert not done.stderr
    assert another.is_dir()
    return done.returncode, done.stdout, json.loads((tmp_path / "found.json").read_text())


@pytest.mark.parametrize("loses", [False, True])
def test_kills_tells_whether_a_killed_training_ends_as_another(loses, tmp_path):
    (command := tmp_path / "command.py").write_text(UNDRAWN.replace("LOSES", str(loses)))
    code, table, found = ran(tmp_path, KILLS.replace("COMMAND]", f"{str(command)!r}]"), "--kills", "1")
    equal = int(not loses)
    row = {"kind": "SIGKILL", "place": "training", "kills": 1, "resumed": 0, "ensemble": 0, "equal": equal}
    assert found["rows"] == [row], found["faults"]
    assert f"{equal} of 1 kills ended bit for bit" in table
    assert [("last.safetensors" in fault, "metrics.csv" in fault) for fault in found["faults"]] == loses * [
        (True, True)
    ]
    assert (code, (tmp_path / "found-faults/0").is_dir()) == (int(loses), loses)


@pytest.mark.parametrize(
    ("read", "fault"),
    [("truth.read", None), ("raises", "KeyError in script.py, raises"), ("dawdles", "more than 0.2 s")],
)
def test_fuzz_tells_and_keeps_what_a_reader_fails_at(read, fault, tmp_path):
    options = "--format", "truth", "--seconds", "0.5", "--seed", "1"
    code, table, found = ran(tmp_path, FUZZ.replace("READ", read), *options)
    row = found["rows"]["truth"]
    faults = sum(fault["times"] for fault in row["faults"])
    assert row["ran"] == row["answered"] + row["refused"] + faults > 0
    assert (code, bool(faults)) == (int(fault is not None), fault is not None)
    assert "truth" in table
    for each in row["faults"]:
        assert each["fault"] == fault
        assert b"HELLO" not in (tmp_path / "found-faults" / each["input"]).read_bytes()


def test_siege_tells_what_an_honest_client_gets(tmp_path):
    code, table, found = ran(tmp_path, SIEGE, "--seconds", "1", "--connections", "6")
    assert (code, found["settings"]["connections"]) == (0, 6)
    assert found["attackers"]["held"] >= 6
    assert 0 < found["letter"]["answered"] <= found["letter"]["asked"] <= 4
    assert found["megabytes"]["most"] >= found["megabytes"]["first"] > 0
    assert "the attackers' requests: " in table
