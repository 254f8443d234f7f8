"""The commands about many runs: what they tell of folders as trainings leave them, and of broken ones."""

import json
import os
import re
import shutil
from dataclasses import replace

import pytest
from PIL import Image

from lettergpu.backends.device import CPU
from lettergpu.cli import app, plots
from lettergpu.config import Config
from lettergpu.errors import LettergpuError
from lettergpu.files import held
from lettergpu.training.history import METRICS, read_metrics, write_metrics
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
    assert tables[str(folder / "b")]["summary"]["diverged"] == 3
    assert tables[str(folder / "a")]["validation_loss"] is None


@pytest.mark.parametrize(("name", "kept"), [("b", 0.25), ("c", 0.5)])
def test_of_a_run_with_patience_the_epoch_of_the_lowest_loss_counts_else_the_last(name, kept, folder, tmp_path, capsys):
    shutil.copytree(folder / name, tmp_path / "run")
    write_metrics(
        tmp_path / "run" / "metrics.csv", [dict.fromkeys(METRICS, epoch / 4) | {"epoch": epoch} for epoch in (1, 2)]
    )
    (table,) = json.loads(told(capsys, "runs", tmp_path, "--json"))
    assert (table["validation_loss"], table["validation_accuracy"]) == (kept, kept)


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


# Beside each other


def compared(capsys, *words):
    """The table of `compare`: the cells of each line by its title."""
    table = told(capsys, "compare", *words).split("\n\n")[1]
    return {(cells := re.split(r"  +", line.strip()))[0]: cells[1:] for line in table.splitlines()[1:]}


def test_runs_are_laid_beside_each_other_with_what_differs_alone(folder, tmp_path, capsys, monkeypatch):
    monkeypatch.chdir(tmp_path)
    cells = compared(capsys, folder / "c", folder / "d", folder / "b")
    summary = json.loads((folder / "d" / "summary.json").read_text())
    scores = summary["test"]
    assert cells.pop("test loss") == ["-", f"{scores['loss']:.4f}", "-"]
    for k in (1, 2, 5):
        assert cells.pop(f"test top-{k}") == ["-", f"{scores[f'top{k}']:.2%}", "-"]
    assert cells.pop("calibration error") == ["-", f"{scores['calibration_error']:.2%}", "-"]
    last = (folder / "c" / "metrics.csv").read_text().splitlines()[-1].split(",")
    assert cells.pop("validation loss")[0] == f"{float(last[3]):.4f}"
    assert cells.pop("validation accuracy")[0] == f"{float(last[4]):.2%}"
    assert cells.pop("seconds")[1] == f"{summary['seconds']:.0f}"
    assert cells == {
        "hidden": ["5,4", "6", "6"],
        "lr": ["0.1", "0.3", "0.3"],
        "split": ["balanced", "letters", "letters"],
        "ensemble": ["2", "1", "1"],
        "patience": ["0", "0", "1"],
        "epochs done": ["2 of 3", "3 of 3", "2 of 3"],
        "state": ["interrupted", "finished", "diverged"],
    }
    with Image.open("compare.png") as picture:
        assert len(set(picture.convert("L").tobytes())) > 20


def test_runs_are_laid_beside_each_other_for_programs(folder, tmp_path, capsys):
    words = "compare", folder / "b", folder / "d", "--plot", tmp_path / "curves.png", "--json"
    answer = json.loads(told(capsys, *words))
    listed = {table["run"]: table for table in json.loads(told(capsys, "runs", folder, "--json"))}
    assert answer["differing"] == {"patience": [1, 0]}
    assert answer["runs"] == [listed[str(folder / name)] for name in "bd"]
    assert answer["plot"] == str(tmp_path / "curves.png")
    assert (tmp_path / "curves.png").stat().st_size > 10_000


def test_curves_lie_over_each_other_and_are_told_apart_by_what_differs(folder, tmp_path, capsys, monkeypatch):
    figures = []
    monkeypatch.setattr(plots, "_save", lambda figure, path: figures.append(figure))
    for names in ("cd", "dd"):
        told(capsys, "compare", *(folder / name for name in names))
    figure = figures[0]
    for axes, quantity in zip(figure.axes, ("loss", "accuracy"), strict=True):
        lines = iter(axes.lines)
        for name in "cd":
            rows = read_metrics(folder / name / "metrics.csv", 3)
            for part, style in (("train", "--"), ("val", "-")):
                line = next(lines)
                assert line.get_linestyle() == style
                assert list(line.get_xdata()) == [row["epoch"] for row in rows]
                assert list(line.get_ydata()) == [row[f"{part}_{quantity}"] for row in rows]
    labels = [[text.get_text() for text in figure.legends[0].get_texts()] for figure in figures]
    assert labels[0] == [
        "split balanced, hidden 5,4, lr 0.1, ensemble 2",
        "split letters, hidden 6, lr 0.3, ensemble 1",
    ]
    assert labels[1] == ["d", "d"]


def test_what_cannot_be_compared_is_refused_before_anything_is_drawn(folder, tmp_path, capsys, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for names, message in (
        (["d"], "d: name another run to compare it with"),
        (["d", "a"], "a: it has done no epoch yet, so there is nothing to compare"),
        (["d", "e"], "e holds no config.toml, so it is no run"),
    ):
        with pytest.raises(LettergpuError, match=message):
            told(capsys, "compare", *(folder / name for name in names))
    assert list(tmp_path.iterdir()) == []
