"""The commands about many runs: what they tell of folders as trainings leave them, and of broken ones."""

import json
import os
import re
import shutil
from dataclasses import replace

import pytest

from lettergpu.backends.device import CPU
from lettergpu.cli import app
from lettergpu.config import Config
from lettergpu.errors import LettergpuError
from lettergpu.files import held
from lettergpu.training.loop import fit
from lettergpu.training.runs import Run

CONFIG = Config(device="cpu", epochs=3, hidden=(6,), batch_size=80, augment="none", moment_norm=False)


def trained(folder, letters, until=3, **settings):
    """A run folder, as it is after so many epochs."""
    with Run.create(folder, replace(CONFIG, **settings), letters) as run:
        for report in fit(run.config, letters, device=CPU) if until else ():
            run.record(report)
            if report.epoch == until:
                break
        if until == 3:
            run.finish(letters, CPU)
    return run


@pytest.fixture(scope="module")
def folder(few_letters, tmp_path_factory):
    """Runs of all kinds, of which the later in the alphabet are the older; and what is none."""
    folder = tmp_path_factory.mktemp("runs")
    trained(folder / "d", few_letters)
    trained(folder / "c", few_letters, until=2, learning_rate=0.1, hidden=(5, 4), split="balanced", ensemble=2)
    trained(folder / "b", few_letters, until=2, patience=1).diverged()
    trained(folder / "a", few_letters, until=0, data="/letters/mine.npz", hidden=())
    for age, name in enumerate("abcd"):
        for path in (folder / name).iterdir():
            os.utime(path, (1_700_000_000 - 3600 * age,) * 2)
    (folder / "file").write_text("")
    (folder / ".hidden").mkdir()
    return folder


def told(capsys, *words):
    app([str(word) for word in words], standalone_mode=False)
    return capsys.readouterr().out


def test_runs_are_listed_from_the_oldest_to_the_newest(folder, capsys):
    title, *lines = told(capsys, "runs", folder).splitlines()
    assert title.split() == ["run", "changed", "network", "letters", "epochs", "right"]
    cells = [re.split(r"  +", line) for line in lines]
    accuracy = json.loads((folder / "d" / "summary.json").read_text())["test"]["top1"]
    when = [cell.pop(1) for cell in cells]
    assert when == sorted(when)
    assert [cell[:4] for cell in cells] == [
        ["d", "6 tanhexp", "auto", "3 of 3"],
        ["c", "2 x 5-4 tanhexp", "auto, balanced", "2 of 3"],
        ["b", "6 tanhexp", "auto", "2 of 3"],
        ["a", "perceptron", "mine.npz", "0 of 3"],
    ]
    assert cells[0][4:] == [f"{accuracy:.2%} of test", "finished"]
    assert re.fullmatch(r"\d+\.\d\d% of validation", cells[1][4])
    assert [cell[-1] for cell in cells] == ["finished", "interrupted", "diverged", "interrupted"]


def test_runs_are_listed_for_programs(folder, capsys):
    tables = {table["run"]: table for table in json.loads(told(capsys, "runs", folder, "--json"))}
    assert list(tables) == [str(folder / name) for name in "dcba"]
    table = tables[str(folder / "c")]
    lines = (folder / "c" / "metrics.csv").read_text().splitlines()
    assert table["validation_accuracy"] == float(lines[-1].split(",")[4])
    assert (table["epochs"], table["planned_epochs"], table["summary"]) == (2, 3, {})
    assert table["settings"]["hidden"] == [5, 4]
    best = min(
        (line.split(",") for line in (folder / "b" / "metrics.csv").read_text().splitlines()[1:]), key=lambda c: c[3]
    )
    assert tables[str(folder / "b")]["validation_loss"] == float(best[3])
    assert tables[str(folder / "b")]["summary"]["diverged"] == 3
    assert tables[str(folder / "a")]["validation_loss"] is None


def test_a_run_that_another_process_writes_to_is_running(folder, capsys):
    with held(folder / "c"):
        (line,) = told(capsys, "runs", folder / "c").splitlines()[1:]
        assert line.endswith(" running")
    assert told(capsys, "runs", folder / "c").endswith(" interrupted\n")


def test_a_run_that_is_to_go_on_has_not_finished(few_letters, tmp_path, capsys):
    trained(tmp_path / "run", few_letters)
    with Run.resume(tmp_path / "run", {"epochs": 9}) as run:
        run.go_on_with(few_letters)
    assert told(capsys, "runs", tmp_path).endswith(" interrupted\n")


@pytest.mark.parametrize(("patience", "status"), [(1, "finished"), (2, "interrupted"), (0, "interrupted")])
def test_a_run_that_its_patience_ended_has_finished(patience, status, folder, tmp_path, capsys):
    shutil.copytree(folder / "d", tmp_path / "run")
    for name, old, new in (
        ("config.toml", "epochs = 3", "epochs = 90"),
        ("config.toml", "patience = 0", f"patience = {patience}"),
        ("summary.json", '"best_epoch": 3', '"best_epoch": 2'),
    ):
        text = (tmp_path / "run" / name).read_text()
        assert old in text
        (tmp_path / "run" / name).write_text(text.replace(old, new))
    assert told(capsys, "runs", tmp_path).endswith(f" {status}\n")


BROKEN = {
    "config.toml": ["learning_rate = 'much'", "[", "\xff", "no = 1"],
    "metrics.csv": ["", "epoch,loss\n", "epoch\n1,2,3"],
    "summary.json": [
        "[]",
        "{}",
        "{",
        '{"data": {"fingerprint": ""}, "test": 3}',
        '{"data": {"fingerprint": ""}, "epochs": "three"}',
        '{"data": {"fingerprint": 3}}',
    ],
}


@pytest.mark.parametrize(("name", "text"), [(name, text) for name, texts in BROKEN.items() for text in texts])
def test_a_broken_run_is_told_in_a_line(name, text, folder, tmp_path, capsys):
    shutil.copytree(folder / "d", tmp_path / "broken")
    (tmp_path / "broken" / name).write_bytes(text.encode("latin-1"))
    (tmp_path / "none").mkdir()
    lines = told(capsys, "runs", tmp_path).splitlines()[1:]
    (line,) = (line for line in lines if line.startswith("broken  "))
    assert f"broken/{name}" in line
    assert set(lines) == {line, f"none    {tmp_path}/none holds no config.toml, so it is no run"}
    errors = {table["run"]: table["error"] for table in json.loads(told(capsys, "runs", tmp_path, "--json"))}
    assert line == f"broken  {errors[str(tmp_path / 'broken')]}"


def test_where_there_are_no_runs_that_is_said(tmp_path, capsys):
    assert told(capsys, "runs", tmp_path) == f"{tmp_path}: there is no run in it yet\n"
    assert json.loads(told(capsys, "runs", tmp_path, "--json")) == []
    with pytest.raises(LettergpuError, match="nowhere: there is no such folder; lettergpu train makes one"):
        told(capsys, "runs", tmp_path / "nowhere")
