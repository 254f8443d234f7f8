"""Run folders: what they hold, how they are gone on with, who may write to them."""

import csv
import json
import shutil
from dataclasses import replace

import numpy as np
import pytest
from safetensors.numpy import load_file

from lettergpu.backends.device import CPU
from lettergpu.config import Config
from lettergpu.errors import LettergpuError
from lettergpu.training import checkpoint
from lettergpu.training.loop import fit
from lettergpu.training.runs import METRICS, Run, read_metrics


def metrics_csv(path, epochs):
    """What `Run.write` makes of so many epochs."""
    values = np.random.default_rng(40).uniform(size=(epochs, len(METRICS) - 1))
    lines = [",".join(METRICS), *(f"{i + 1}," + ",".join(f"{v:.8g}" for v in row) for i, row in enumerate(values))]
    path.write_bytes("".join(f"{line}\r\n" for line in lines).encode())
    return [dict(zip(METRICS, (i + 1, *row), strict=True)) for i, row in enumerate(values)]


@pytest.mark.parametrize("cut", range(1, 40))
def test_a_last_line_that_was_cut_is_left_out(cut, tmp_path):
    rows = metrics_csv(path := tmp_path / "metrics.csv", 4)
    path.write_bytes(path.read_bytes()[:-cut])
    for epochs, left in ((4, 3), (3, 3), (2, 2)):  # a crash may have left a line more than the state has epochs
        assert read_metrics(path, epochs) == [pytest.approx(row, rel=1e-7) for row in rows[:left]]


def test_a_line_that_was_left_out_does_not_stop_a_later_run(tmp_path):
    metrics_csv(path := tmp_path / "metrics.csv", 6)
    lines = path.read_bytes().splitlines(keepends=True)
    path.write_bytes(b"".join(lines[:3] + lines[4:]))
    assert [row["epoch"] for row in read_metrics(path, 6)] == [1, 2, 4, 5, 6]


@pytest.mark.parametrize(
    "change",
    [
        lambda lines: [],
        lambda lines: lines[1:],
        lambda lines: [lines[0].replace(b"val_loss", b"loss"), *lines[1:]],
        lambda lines: [*lines[:2], lines[1], *lines[2:]],
        lambda lines: [lines[0], *reversed(lines[1:])],
        lambda lines: [*lines[:2], lines[2].rsplit(b",", 2)[0] + b"\r\n", *lines[3:]],
        lambda lines: [*lines[:2], b"2,nan,1,1,1,1,1\r\n", *lines[3:]],
        lambda lines: [*lines[:2], b"2,inf,1,1,1,1,1\r\n", *lines[3:]],
        lambda lines: [*lines[:2], b"2," + b"x" * 400 + b",1,1,1,1,1\r\n", *lines[3:]],
        lambda lines: [*lines[:2], b'2,"1\n', *lines[3:]],
        lambda lines: [*lines[:2], b"2,\xff,1,1,1,1,1\r\n", *lines[3:]],
        lambda lines: [lines[0], b"0" + lines[1][1:]],
    ],
)
def test_other_lines_are_refused(change, tmp_path):
    metrics_csv(path := tmp_path / "metrics.csv", 6)
    path.write_bytes(b"".join(change(path.read_bytes().splitlines(keepends=True))))
    with pytest.raises(LettergpuError, match=r"metrics.csv is missing or damaged: .*; copy it anew, or") as error:
        read_metrics(path, 6)
    assert len(str(error.value)) < 500 + len(str(path))


def test_no_more_is_read_than_the_epochs_have(tmp_path):
    metrics_csv(path := tmp_path / "metrics.csv", 6)
    with path.open("ab") as file:
        file.truncate(10**8)  # of nothing, which takes no space
    assert [row["epoch"] for row in read_metrics(path, 6)] == [1, 2, 3, 4, 5, 6]


# Going on


CONFIG = Config(
    hidden=(6,), epochs=4, batch_size=80, schedule="cosine", augment="none", moment_norm=False, device="cpu"
)


def train(run, letters, until=None):
    """To its end, or as if it were killed after that epoch."""
    if run.state is None or run.state.epoch != until:
        for report in fit(run.config, letters, device=CPU, state=run.state):
            run.record(report)
            if report.epoch == until:
                return run
    run.finish(letters, CPU)
    return run


def resumed(folder, letters, until=None, *, warm_restart=False, **changes):
    run = Run.resume(folder, changes, warm_restart=warm_restart)
    run.go_on_with(letters)
    return train(run, letters, until)


def content(folder):
    """What two runs must have in common, but for how long they took."""
    with (folder / "metrics.csv").open(newline="") as file:
        lines = [line[:-1] for line in csv.reader(file)]
    tensors = {name: load_file(folder / name) for name in (checkpoint.BEST, checkpoint.LAST)}
    flat = {(file, name): tensor.tolist() for file, held in tensors.items() for name, tensor in held.items()}
    return lines, flat, (folder / "config.toml").read_text()


@pytest.fixture
def planned(tmp_path, few_letters):
    """A folder that has come to its end."""
    return train(Run.create(tmp_path / "planned", CONFIG, few_letters), few_letters).folder


@pytest.mark.parametrize("warm_restart", [False, True])
@pytest.mark.parametrize("killed", [1, 2, 4, 5, 6])
def test_a_longer_run_that_was_killed_is_the_one_that_was_not(killed, warm_restart, planned, few_letters, tmp_path):
    """Killed within what was planned, at its end, and within what came on top, it comes to the same bits."""
    asked = {"epochs": 7, "warm_restart": warm_restart}
    halves = shutil.copytree(planned, tmp_path / "halves")
    whole = resumed(planned, few_letters, **asked).folder
    if killed < 4:
        shutil.rmtree(halves)
        train(Run.create(halves, CONFIG, few_letters), few_letters, until=killed)
        resumed(halves, few_letters, **asked)
    else:
        resumed(halves, few_letters, until=killed, **asked)
        resumed(halves, few_letters)
    assert content(halves) == content(whole)
    anew = Run.create(tmp_path / "anew", Config.from_file(whole / "config.toml"), few_letters)
    assert content(train(anew, few_letters).folder) == content(whole)


def test_a_longer_run_goes_on_at_the_rate_that_it_had_come_to(planned, few_letters):
    rates = [row["learning_rate"] for row in resumed(planned, few_letters, epochs=6).rows]
    assert rates[3:] == [pytest.approx(min(rates))] * 3
    rates = [row["learning_rate"] for row in resumed(planned, few_letters, epochs=9, warm_restart=True).rows]
    assert max(rates[6:]) > 50 * rates[5]


@pytest.mark.parametrize(
    ("changes", "warm_restart", "message"),
    [
        ({"epochs": 3}, False, "--epochs 3: .*planned has done 4 already; give more, or leave"),
        ({}, True, "--warm-restart: say how far with --epochs, beyond the 4 of .*planned"),
        ({"epochs": 4}, True, "--warm-restart: say how far with --epochs, beyond the 4"),
        ({"epochs": 2}, True, "--epochs 2: .*planned has done 4 already"),
    ],
)
def test_what_a_run_cannot_do_is_refused_and_changes_nothing(changes, warm_restart, message, planned, few_letters):
    before = {path: path.read_bytes() for path in planned.iterdir()}
    with pytest.raises(LettergpuError, match=message):
        resumed(planned, few_letters, warm_restart=warm_restart, **changes)
    assert {path: path.read_bytes() for path in planned.iterdir()} == before


def test_a_run_that_was_stopped_may_end_before_it_was_planned_to(few_letters, tmp_path, planned):
    train(Run.create(tmp_path / "run", CONFIG, few_letters), few_letters, until=2)
    run = resumed(tmp_path / "run", few_letters, epochs=3)
    assert json.loads((run.folder / "summary.json").read_text())["epochs"] == 3
    assert content(run.folder)[0] == content(planned)[0][:4]


def test_patience_that_has_run_out_is_said_when_more_epochs_are_asked_for(few_letters, tmp_path):
    impatient = replace(CONFIG, patience=1, epochs=50, learning_rate=1e-9)
    run = train(Run.create(tmp_path / "run", impatient, few_letters), few_letters)
    assert run.state.epoch < 50
    with pytest.raises(LettergpuError, match=r"--epochs 60: .*run has ended by its patience, 1 epochs after"):
        resumed(run.folder, few_letters, epochs=60)
    assert resumed(run.folder, few_letters, until=run.state.epoch + 1, epochs=60, patience=0).config.epochs == 60


def test_a_run_that_goes_on_has_not_ended(planned, few_letters):
    resumed(planned, few_letters, until=5, epochs=6)
    assert not (planned / "summary.json").exists()
    resumed(planned, few_letters)
    assert json.loads((planned / "summary.json").read_text())["epochs"] == 6


def test_a_run_whose_metrics_were_cut_goes_on_and_on(planned, few_letters):
    (planned / "metrics.csv").write_bytes((planned / "metrics.csv").read_bytes()[:-5])
    resumed(planned, few_letters, epochs=5)
    run = resumed(planned, few_letters, epochs=6)
    assert [row["epoch"] for row in run.rows] == [1, 2, 3, 5, 6]
