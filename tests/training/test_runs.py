"""Run folders: what they hold, how they are gone on with, who may write to them."""

import csv
import json
import shutil
from contextlib import contextmanager, suppress
from dataclasses import replace
from importlib import import_module
from itertools import count

import pytest
from safetensors.numpy import load_file

from lettergpu import files
from lettergpu.backends.device import CPU
from lettergpu.config import Config
from lettergpu.errors import LettergpuError
from lettergpu.training import checkpoint, history, runs
from lettergpu.training.loop import fit
from lettergpu.training.runs import Run

# Going on


SMALL = {"hidden": (6,), "batch_size": 80, "augment": "none", "moment_norm": False}
CONFIG = Config(data="test", device="cpu", epochs=4, **SMALL)


def train(run, letters, until=None):
    """To its end, or as if it were killed after that epoch."""
    if run.state is None or run.state.epoch != until:
        for report in fit(run.config, letters, device=CPU, state=run.state):
            run.record(report)
            if report.epoch == until:
                return run
    run.finish(letters, CPU)
    return run


def begun(folder, letters, config=CONFIG, until=None):
    with Run.create(folder, config, letters) as run:
        return train(run, letters, until)


def resumed(folder, letters, until=None, *, warm_restart=False, **changes):
    with Run.resume(folder, changes, warm_restart=warm_restart) as run:
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
    return begun(tmp_path / "planned", few_letters).folder


@pytest.mark.parametrize("warm_restart", [False, True])
@pytest.mark.parametrize("killed", [1, 2, 4, 5, 6])
def test_a_longer_run_that_was_killed_is_the_one_that_was_not(killed, warm_restart, planned, few_letters, tmp_path):
    """Killed within what was planned, at its end, and within what came on top, it comes to the same bits."""
    asked = {"epochs": 7, "warm_restart": warm_restart}
    halves = shutil.copytree(planned, tmp_path / "halves")
    whole = resumed(planned, few_letters, **asked).folder
    if killed < 4:
        shutil.rmtree(halves)
        begun(halves, few_letters, until=killed)
        resumed(halves, few_letters, **asked)
    else:
        resumed(halves, few_letters, until=killed, **asked)
        resumed(halves, few_letters)
    assert content(halves) == content(whole)
    anew = begun(tmp_path / "anew", few_letters, Config.from_file(whole / "config.toml"))
    assert content(anew.folder) == content(whole)


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
    begun(tmp_path / "run", few_letters, until=2)
    run = resumed(tmp_path / "run", few_letters, epochs=3)
    assert json.loads((run.folder / "summary.json").read_text())["epochs"] == 3
    assert content(run.folder)[0] == content(planned)[0][:4]


def test_patience_that_has_run_out_is_said_when_more_epochs_are_asked_for(few_letters, tmp_path):
    impatient = replace(CONFIG, patience=1, epochs=50, learning_rate=1e-9)
    run = begun(tmp_path / "run", few_letters, impatient)
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


# Other logs


def steps(folder):
    """Those of the losses in a run's event file."""
    accumulator = import_module("tensorboard.backend.event_processing.event_accumulator")
    follower = accumulator.EventAccumulator(str(folder)).Reload()
    return [event.step for event in follower.Scalars("loss/validation")]


def test_a_run_that_goes_on_logs_each_step_once(planned, few_letters, tmp_path):
    import_module("tensorboard")
    config = replace(CONFIG, log="tensorboard")
    folder = begun(tmp_path / "run", few_letters, config, until=2).folder
    assert steps(folder) == [1, 2]
    assert resumed(folder, few_letters).config.log == "tensorboard"
    assert steps(folder) == [1, 2, 3, 4]
    resumed(planned, few_letters, epochs=6, log="tensorboard")
    assert steps(planned) == [1, 2, 3, 4, 5, 6]


def test_a_log_that_cannot_be_written_is_refused_before_all_else(planned, few_letters, tmp_path, monkeypatch):
    monkeypatch.setattr(history, "find_spec", lambda name: None)
    before = {path: path.read_bytes() for path in planned.iterdir()}
    with pytest.raises(LettergpuError, match="--log tensorboard: it needs TensorBoard: pip install"):
        begun(tmp_path / "run", few_letters, replace(CONFIG, log="tensorboard"))
    with pytest.raises(LettergpuError, match="--log tensorboard: it needs TensorBoard: pip install"):
        resumed(planned, few_letters, epochs=6, log="tensorboard")
    assert not (tmp_path / "run").exists()
    assert {path: path.read_bytes() for path in planned.iterdir()} == before


# Killed before the first epoch


class Killed(BaseException):
    """Nobody is there to tidy up."""


@pytest.fixture
def killed(tmp_path, few_letters):
    """A folder whose run was killed before its first epoch, within a write."""
    with Run.create(tmp_path / "killed", CONFIG, few_letters) as run:
        (run.folder / ".metrics.csv.abc.part").write_text("epoch,")
    return run.folder


def test_a_run_that_was_killed_before_its_first_epoch_begins(killed, planned, few_letters):
    assert content(resumed(killed, few_letters).folder) == content(planned)
    assert not list(killed.glob(".*"))


def test_what_a_run_that_begins_is_told_is_what_it_does(killed, planned, few_letters, tmp_path):
    with pytest.raises(LettergpuError, match=r"--warm-restart: .*killed has not begun yet; leave it out"):
        resumed(killed, few_letters, epochs=9, warm_restart=True)
    plain = begun(tmp_path / "plain", few_letters, replace(CONFIG, epochs=6))
    assert content(resumed(killed, few_letters, epochs=6).folder) == content(plain.folder)


def test_a_run_killed_at_any_write_ends_as_if_it_were_not(planned, few_letters, tmp_path, monkeypatch):
    ends = []
    for number in count():
        folder, writes = tmp_path / f"run-{number}", count()

        @contextmanager
        def until_killed(path, number=number, writes=writes):
            if next(writes) == number:
                raise Killed
            with files.replacing(path) as partial:
                yield partial

        for module in (runs, history, checkpoint):
            monkeypatch.setattr(module, "replacing", until_killed)
        with suppress(Killed):
            begun(folder, few_letters, until=2)
            break
        monkeypatch.undo()
        ends.append(sorted(path.name for path in folder.iterdir()))
        if ends[-1]:  # its settings were written
            assert content(resumed(folder, few_letters).folder) == content(planned)
        else:
            assert content(begun(folder, few_letters).folder) == content(planned)
    assert len(ends) == 1 + 2 * 3


def test_discarding_leaves_what_was_there(killed, few_letters):
    before = {path: path.read_bytes() for path in killed.glob("[a-z]*")}
    with Run.resume(killed, {}) as run:
        run.go_on_with(few_letters)
        run.discard()
    assert {path: path.read_bytes() for path in killed.iterdir()} == before


@pytest.mark.parametrize("name", [checkpoint.BEST, "summary.json"])
def test_what_was_trained_is_not_begun_anew(name, planned, few_letters):
    for path in planned.iterdir():
        if path.name not in (name, "config.toml"):
            path.unlink()
    before = {path: path.read_bytes() for path in planned.iterdir()}
    with pytest.raises(LettergpuError, match=r"--resume .*planned: it holds no last.safetensors"):
        resumed(planned, few_letters)
    assert {path: path.read_bytes() for path in planned.iterdir()} == before


def test_only_a_run_is_to_be_gone_on_with(planned, few_letters, tmp_path):
    (tmp_path / "other").mkdir()
    (tmp_path / "other" / "file").write_text("")
    for folder, message in ((planned, "another, or go on with --resume"), (tmp_path / "other", "another$")):
        with pytest.raises(LettergpuError, match=f"it exists already; choose {message}"):
            begun(folder, few_letters)
    (tmp_path / "leftovers").mkdir()
    (tmp_path / "leftovers" / ".config.toml.abc.part").write_text("")
    assert content(begun(tmp_path / "leftovers", few_letters).folder) == content(planned)
    assert not list((tmp_path / "leftovers").glob(".*"))


# One writer


def test_a_folder_has_one_writer(planned, few_letters):
    before = {path: path.read_bytes() for path in planned.iterdir()}
    with Run.resume(planned, {"epochs": 9}):
        with pytest.raises(LettergpuError, match="planned: another lettergpu writes to it; wait until that has ended"):
            resumed(planned, few_letters, epochs=8)
        assert {path: path.read_bytes() for path in planned.iterdir()} == before
    assert resumed(planned, few_letters, epochs=5).state.epoch == 5


def test_a_new_folder_has_one_writer_too(few_letters, tmp_path):
    (tmp_path / "run").mkdir()
    with files.held(tmp_path / "run"), pytest.raises(LettergpuError, match="another lettergpu writes to it"):
        begun(tmp_path / "run", few_letters)
    assert list((tmp_path / "run").iterdir()) == []
    with Run.create(tmp_path / "run", CONFIG, few_letters):
        with pytest.raises(LettergpuError, match="another lettergpu writes to it"):
            resumed(tmp_path / "run", few_letters)
        assert [path.name for path in (tmp_path / "run").iterdir()] == ["config.toml"]
