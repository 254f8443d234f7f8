"""The command line as a user types it: a process of its own, what it prints, what it leaves behind."""

import csv
import json
import os
import re
import resource
import shutil
import signal
import subprocess
import sys
import time
import tomllib
from dataclasses import replace

import numpy as np
import pytest
from conftest import write_idx, write_split
from PIL import Image
from safetensors import safe_open
from safetensors.numpy import load_file, save_file
from terminal import on_a_terminal

import lettergpu
from lettergpu.backends.libraries import LIBRARIES
from lettergpu.cli.plots import plot_confusion
from lettergpu.config import CHOICES, Config
from lettergpu.data.letters import Examples, load_letters
from lettergpu.training import checkpoint
from lettergpu.training.checkpoint import BOXED, FIGURES, LETTERLIKE
from lettergpu.training.history import METRICS
from lettergpu.training.runs import _claim_folder

SMALL = ("--hidden", "24,16", "--batch-size", "32", "--epochs", "3", "--device", "cpu")
QUICK = ("--recipe", "report", *SMALL, "--lr", "0.03")
SUMMARY_KEYS = {"train", "validation", "test", "parameters", "epochs", "best_epoch", "seconds", "device", "data"}


def lettergpu_(*words, cwd, **kwargs):
    command = [sys.executable, "-m", "lettergpu", *map(str, words)]
    return subprocess.run(command, cwd=cwd, capture_output=True, text=True, timeout=300, **kwargs)


@pytest.fixture
def run(folder, tmp_path):
    """A finished quick run."""
    done = lettergpu_("train", "--data", folder, *QUICK, "--out", "run", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    return tmp_path / "run"


def test_help_names_every_setting_with_its_default(tmp_path):
    text = lettergpu_("train", "--help", cwd=tmp_path, env=os.environ | {"COLUMNS": "200"}).stdout
    for name in [
        "data",
        "split",
        "device",
        "hidden",
        "activation",
        "loss",
        "class-weight",
        "init",
        "lr",
        "momentum",
        "nesterov",
        "l2",
        "batch-size",
    ]:
        assert f"--{name} " in text, name
    for name in ["epochs", "patience", "augment", "validation", "seed", "shuffle", "out", "recipe", "resume"]:
        assert f"--{name} " in text, name
    for choices in CHOICES.values():
        assert ", ".join(choices) in " ".join(text.replace("│", " ").split())
    assert "[default: (512,256,128)]" in text


def test_import_and_help_stay_light(tmp_path):
    heavy = ["numpy", "scipy", "matplotlib", "cupy"]
    code = f"import sys, lettergpu, lettergpu.cli; print([name for name in {heavy} if name in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=tmp_path, check=True)
    assert done.stdout.strip() == "[]"


def test_pictures_are_read_without_what_draws(few_letters, tmp_path):
    Image.fromarray(few_letters.test.images[0]).save(tmp_path / "letter.png")
    code = "import sys, lettergpu.cli as cli; cli.app(['predict', 'letter.png', '--quiet'], standalone_mode=False)"
    code += "; print('matplotlib' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=tmp_path, check=True)
    assert done.stdout.endswith("\nFalse\n")


def test_a_run_leaves_all_that_it_promises(run, folder):
    config = tomllib.loads((run / "config.toml").read_text())
    changes = {"data": str(folder), "hidden": (24, 16), "batch_size": 32, "learning_rate": 0.03, "epochs": 3}
    changes["orientation"] = "transposed"  # what auto came to
    assert Config.from_table(config, "") == replace(Config.recipe("report"), device="cpu", **changes)
    with (run / "metrics.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert tuple(rows[0]) == METRICS
    assert [row["epoch"] for row in rows] == ["1", "2", "3"]
    summary = json.loads((run / "summary.json").read_text())
    assert summary.keys() >= SUMMARY_KEYS
    for part in ("train", "validation", "test"):
        assert summary[part].keys() == {"loss", "top1", "top2", "top5", "calibration_error"}
        assert 0 < summary[part]["top1"] <= summary[part]["top2"] <= summary[part]["top5"] <= 1
    assert summary["parameters"] == 784 * 24 + 24 + 24 * 16 + 16 + 16 * 26 + 26
    assert summary["data"]["source"] == str(folder)
    best = min(rows, key=lambda row: float(row["val_loss"]))
    assert summary["validation"]["loss"] == pytest.approx(float(best["val_loss"]), rel=1e-5)
    for name in ("loss.png", "confusion.png", "misclassified.png"):
        with Image.open(run / name) as picture:
            assert picture.size[0] > 300
            assert len(set(picture.convert("L").tobytes())) > 20, f"{name} is blank"
    assert sorted(path.name for path in run.iterdir() if path.name.startswith(".")) == []


def test_an_ensemble_is_trained_and_answers_as_one_network(folder, tmp_path):
    words = "train", "--data", folder, *SMALL, "--ensemble", 3, "--validation", "last", "--views", 3
    done = lettergpu_(*words, "--out", "three", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert f"3 of 784-24-16-26, tanhexp, softmax: {3 * 19682:,} parameters" in done.stdout
    summary = json.loads((tmp_path / "three" / "summary.json").read_text())
    alone = [member["top1"] for member in summary["members"]]
    for number, top1 in enumerate(alone):  # but for its temperature, which is the ensemble's
        one = "train", "--data", folder, *SMALL, "--seed", number, "--validation", "last", "--views", 3
        assert lettergpu_(*one, "--out", number, cwd=tmp_path).returncode == 0
        assert json.loads((tmp_path / str(number) / "summary.json").read_text())["test"]["top1"] == top1
    assert f"Each of the 3 networks alone: {np.mean(alone):.2%} of the test letters" in done.stdout
    told = json.loads(lettergpu_("evaluate", "three", "--json", cwd=tmp_path).stdout)
    assert told["top1"] == summary["test"]["top1"]


@pytest.mark.parametrize("name", ["torch:cpu", "sycl:cpu"])
def test_a_run_by_another_library_is_anybodys(name, run, folder, few_letters, tmp_path):
    if trouble := LIBRARIES[name.partition(":")[0]].devices()[1]:
        pytest.skip(trouble)
    done = lettergpu_("train", "--data", folder, *QUICK, "--device", name, "--out", "there", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert f"Device   {name} (" in done.stdout
    assert done.stderr == ""
    ours, theirs = (json.loads((tmp_path / it / "summary.json").read_text()) for it in ("run", "there"))
    assert theirs["test"]["loss"] == pytest.approx(ours["test"]["loss"], rel=1e-3)
    Image.fromarray(few_letters.test.images[0]).save(tmp_path / "letter.png")
    words = "predict", "letter.png", "--single", "--model", "there", "--json"
    found = [json.loads(lettergpu_(*words, "--device", place, cwd=tmp_path).stdout) for place in ("cpu", name)]
    assert [read[0]["text"] for read in found] == [found[0][0]["text"]] * 2


def test_python_reads_the_run(run, few_letters):
    network = lettergpu.load(run)
    p = network.predict_proba(few_letters.test.images)
    top1 = json.loads((run / "summary.json").read_text())["test"]["top1"]
    assert (p.argmax(axis=1) == few_letters.test.labels).mean() == pytest.approx(top1)


def test_evaluate_says_the_same_as_train(run, folder, few_letters, tmp_path):
    summary = json.loads((run / "summary.json").read_text())["test"]
    for target in ("run", "run/best.safetensors", "run/last.safetensors"):
        done = lettergpu_("evaluate", target, "--data", folder, "--device", "cpu", "--json", cwd=tmp_path)
        assert done.returncode == 0, done.stderr
        table = json.loads(done.stdout)
        if "last" not in target:
            assert {key: table[key] for key in summary} == summary
        assert list(table["per_class"]) == list("ABCDEFGHIJKLMNOPQRSTUVWXYZ")
        assert table["per_class"]["Z"] is None
        if target == "run":
            right = lettergpu.load(run).predict_proba(few_letters.test.images).argmax(axis=1) == few_letters.test.labels
            expected = [right[few_letters.test.labels == label].mean() for label in range(4)]
            assert [table["per_class"][name] for name in "ABCD"] == pytest.approx(expected)
        assert (run / "evaluation" / "confusion.png").stat().st_size > 10_000
    tables = [
        json.loads(lettergpu_("evaluate", "run", "--views", views, "--json", cwd=tmp_path).stdout) for views in (1, 9)
    ]
    assert tables[0]["loss"] == summary["loss"] != tables[1]["loss"]
    few = json.loads(lettergpu_("evaluate", "run", "--first", 30, "--json", cwd=tmp_path).stdout)
    right = lettergpu.load(run).predict_proba(few_letters.test.images).argmax(axis=1) == few_letters.test.labels
    assert (few["images"], few["top1"]) == (30, pytest.approx(right[:30].mean()))
    assert "--views 5: choose one of 1, 3, 9, 27" in complaint(
        lettergpu_("evaluate", "run", "--views", 5, cwd=tmp_path)
    )
    text = lettergpu_("evaluate", "run", cwd=tmp_path).stdout
    assert f"top-1 {summary['top1']:.2%}" in text


def test_a_run_by_default_is_calibrated_once_it_has_ended(folder, tmp_path):
    best, command = tmp_path / "run" / "best.safetensors", ["train", "--data", folder, *SMALL]
    for out, extra in (("plain", ("--no-calibrate",)), ("run", ())):
        done = lettergpu_(*command, *extra, "--epochs", 8, "--label-smoothing", 0.3, "--out", out, cwd=tmp_path)
        assert done.returncode == 0, done.stderr
    before, after = (json.loads((tmp_path / out / "summary.json").read_text()) for out in ("plain", "run"))
    assert after["validation"]["loss"] < 0.9 * before["validation"]["loss"]
    assert after["validation"]["top1"] == before["validation"]["top1"]
    assert not lettergpu.load(best).batch_norm
    written = load_file(best)["parameters"]
    assert lettergpu_("train", "--resume", "run", cwd=tmp_path).returncode == 0
    np.testing.assert_array_equal(load_file(best)["parameters"], written)
    assert lettergpu_("evaluate", "run", "--json", cwd=tmp_path).returncode == 0


def test_the_network_in_the_package_is_evaluated_where_one_stands(folder, tmp_path):
    done = lettergpu_("evaluate", "boxed", "--data", folder, "--json", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["images"] == 80
    assert (tmp_path / "evaluation" / "confusion.png").stat().st_size > 10_000
    networks = {path.name for path in (BOXED, LETTERLIKE, FIGURES)}
    assert {path.name for path in BOXED.parent.iterdir()} == {"README.md", "english.npy", *networks}
    (tmp_path / "boxed").mkdir()  # a run of that name is meant, if there is one
    assert "there is no such file" in complaint(lettergpu_("evaluate", "boxed", cwd=tmp_path))


def test_a_runs_config_trains_the_same_network_again(run, tmp_path):
    done = lettergpu_("train", "--recipe", run / "config.toml", "--out", "again", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    for name, vector in parameters(run).items():
        np.testing.assert_array_equal(parameters(tmp_path / "again")[name], vector)


def test_default_folder_and_auto_letters(tmp_path, folder):
    for _ in range(2):
        assert lettergpu_("train", "--data", "data", *QUICK, "--epochs", "1", cwd=tmp_path).returncode == 0
    folders = list((tmp_path / "runs").iterdir())
    assert len(folders) == 2
    assert all("24-16-tanhexp" in folder.name for folder in folders)


def test_builtin_letters_are_trained_on_and_named(tmp_path):
    done = lettergpu_("train", "--hidden", "none", "--epochs", "1", "--out", "run", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert "built-in letters, drawn from fonts (not handwriting)" in done.stdout
    assert "lettergpu data download" in done.stdout
    summary = json.loads((tmp_path / "run" / "summary.json").read_text())
    assert summary["parameters"] == 20_410
    assert summary["data"]["source"] == "builtin"
    assert tomllib.loads((tmp_path / "run" / "config.toml").read_text())["data"] == "builtin"  # what auto came to
    assert summary["test"]["top1"] > 0.5
    info = lettergpu_("data", "info", cwd=tmp_path).stdout
    assert "26,000" in info
    assert lettergpu_("data", "preview", "--out", "sheet.png", cwd=tmp_path).returncode == 0
    with Image.open(tmp_path / "sheet.png") as sheet:
        assert len(set(sheet.convert("L").tobytes())) > 100


def test_letters_of_ones_own_are_understood_and_found_again(few_letters, tmp_path):
    """A file without a test part, whose images lie as was said, not as auto would take them."""
    train = few_letters.train
    np.savez(tmp_path / "own.npz", images=train.images.swapaxes(1, 2), labels=train.labels)
    words = "train", "--data", "own.npz", "--orientation", "transposed", "--test", 0.1, *QUICK, "--out", "run"
    done = lettergpu_(*words, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    summary = json.loads((tmp_path / "run" / "summary.json").read_text())
    assert summary["data"]["source"] == str(tmp_path / "own.npz")
    images = {part: summary["data"][f"{part}_images"] for part in ("train", "validation", "test")}
    assert sum(images.values()) == 400
    assert images["test"] == sum(np.rint(np.bincount(train.labels) * 0.1))
    again = lettergpu_("evaluate", "run", "--json", cwd=tmp_path)
    assert again.returncode == 0, again.stderr
    assert json.loads(again.stdout)["top1"] == summary["test"]["top1"]
    every = lettergpu_("evaluate", "run", "--test", 1, "--json", cwd=tmp_path)
    assert json.loads(every.stdout)["images"] == 400
    assert lettergpu_("train", "--resume", "run", "--epochs", 4, cwd=tmp_path).returncode == 0
    assert "other letters" in complaint(
        lettergpu_("train", "--resume", "run", "--orientation", "upright", cwd=tmp_path)
    )
    info = lettergpu_("data", "info", "--data", "own.npz", "--orientation", "upright", cwd=tmp_path).stdout
    assert "orientation  upright: as it was set" in info
    assert "test part    20% of each class, held out here (--test)" in info


def test_the_confusion_of_many_classes_stays_a_picture_that_can_be_opened(tmp_path):
    classes = [str(number) for number in range(300)]
    plot_confusion(tmp_path / "confusion.png", np.eye(300, dtype=int), classes)
    with Image.open(tmp_path / "confusion.png") as picture:
        assert max(picture.size) < 4000
        assert len(set(picture.convert("L").tobytes())) > 20


# Stopping and going on


def parameters(folder):
    return load_file(folder / "last.safetensors")


def start(folder, *words):
    command = [sys.executable, "-u", "-m", "lettergpu", "train", "--data", str(folder), *QUICK, *words]
    return subprocess.Popen(command, cwd=folder.parent, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def wait_for(process, text):
    for line in process.stdout:
        if text in line:
            return
    raise AssertionError(f"{text!r} was not printed: {process.stderr.read()}")


def test_killed_and_resumed_is_bit_for_bit_the_same(folder, tmp_path):
    epochs = ("--epochs", "40", "--patience", "0")
    whole = lettergpu_("train", "--data", folder, *QUICK, *epochs, "--out", "whole", cwd=tmp_path)
    assert whole.returncode == 0, whole.stderr
    with start(folder, *epochs, "--out", "killed") as process:
        wait_for(process, "epoch   5 ")
        process.send_signal(signal.SIGKILL)
    assert not (tmp_path / "killed" / "summary.json").exists()
    resumed = lettergpu_("train", "--resume", "killed", cwd=tmp_path)
    assert resumed.returncode == 0, resumed.stderr
    assert "epoch   4 " not in resumed.stdout
    assert "epoch  40 " in resumed.stdout
    for name, vector in parameters(tmp_path / "whole").items():
        np.testing.assert_array_equal(vector, parameters(tmp_path / "killed")[name])
    assert load_file(tmp_path / "whole/best.safetensors")["parameters"].tolist() == (
        load_file(tmp_path / "killed/best.safetensors")["parameters"].tolist()
    )
    lines = [(tmp_path / name / "metrics.csv").read_text().splitlines() for name in ("whole", "killed")]
    assert [line.rsplit(",", 1)[0] for line in lines[0]] == [line.rsplit(",", 1)[0] for line in lines[1]]


@pytest.fixture
def strange(tmp_path, few_letters):
    """A folder of a few of the letters, upside down."""
    few = [Examples(each.images[:40, ::-1], each.labels[:40]) for each in (few_letters.train, few_letters.test)]
    return write_split(tmp_path / "strange", replace(few_letters, train=few[0], test=few[1]))


def test_a_run_goes_on_to_another_hand_killed_or_not(run, strange, tmp_path):
    words = ("train", "--from", "run", "--data", strange, "--epochs", "30", "--old-letters", "300", "--device", "cpu")
    whole = lettergpu_(*words, "--out", "whole", cwd=tmp_path)
    assert whole.returncode == 0, whole.stderr
    assert re.search(r"40 your test letters: [\d.]+% right before, [\d.]+% now", whole.stdout)
    assert re.search(r"80 letters of the old kind: [\d.]+% right before, [\d.]+% now", whole.stdout)
    with subprocess.Popen(
        [sys.executable, "-m", "lettergpu", *map(str, words), "--out", "killed"],
        cwd=tmp_path,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        wait_for(process, "epoch   3 ")
        process.send_signal(signal.SIGKILL)
    shutil.rmtree(run)  # a run keeps what it began with
    resumed = lettergpu_("train", "--resume", "killed", "--old", tmp_path / "data", cwd=tmp_path)
    assert resumed.returncode == 0, resumed.stderr
    assert "epoch   2 " not in resumed.stdout
    both = [load_file(tmp_path / name / "best.safetensors")["parameters"] for name in ("whole", "killed")]
    assert both[0].tolist() == both[1].tolist()
    summaries = [json.loads((tmp_path / name / "summary.json").read_text()) for name in ("whole", "killed")]
    for summary in summaries:
        del summary["seconds"], summary["data"]["description"]  # which says how it knows how the letters lie
    assert summaries[0] == summaries[1]
    assert summaries[0]["test"]["top1"] > summaries[0]["test_before"]["top1"]


def test_a_run_goes_on_with_its_own_letters(run, tmp_path):
    done = lettergpu_("train", "--from", "run", "--epochs", "2", "--out", "more", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    config = tomllib.loads((tmp_path / "more" / "config.toml").read_text())
    assert (config["data"], config["old"], config["parent"]) == (str(tmp_path / "data"), "none", str(run))
    again = lettergpu_("train", "--recipe", "more/config.toml", "--out", "again", cwd=tmp_path)
    assert again.returncode == 0, again.stderr
    both = [load_file(tmp_path / name / "best.safetensors")["parameters"] for name in ("more", "again")]
    assert both[0].tolist() == both[1].tolist()


def test_a_run_that_is_being_written_is_not_gone_on_with(folder, tmp_path):
    with start(folder, "--epochs", "5000", "--patience", "0", "--out", "run") as process:
        wait_for(process, "epoch   1 ")
        message = complaint(lettergpu_("train", "--resume", "run", cwd=tmp_path))
        assert "run: another lettergpu writes to it; wait until that has ended, or stop it" in message
        process.kill()
    done = checkpoint.read(tmp_path / "run/last.safetensors").state.epoch
    resumed = lettergpu_("train", "--resume", "run", "--epochs", done + 1, cwd=tmp_path)
    assert resumed.returncode == 0, resumed.stderr


def test_interrupt_finishes_the_epoch_and_says_how_to_go_on(folder, tmp_path):
    with start(folder, "--epochs", "5000", "--patience", "0", "--out", "run") as process:
        wait_for(process, "epoch   2 ")
        process.send_signal(signal.SIGINT)
        rest, errors = process.communicate(timeout=60)
    assert process.returncode == 130
    assert "go on with: lettergpu train --resume run" in errors
    assert "Traceback" not in errors
    epoch = int(rest.strip().splitlines()[-1].split()[1]) if rest.strip() else 2
    assert checkpoint.read(tmp_path / "run/last.safetensors").state.epoch == epoch
    done = lettergpu_("train", "--resume", "run", "--epochs", epoch + 1, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert done.stdout.count("\nepoch ") == 1


def test_a_second_interrupt_stops_at_once(folder, tmp_path):
    slow = ("--hidden", "2048,2048", "--batch-size", "1", "--lr", "0.001")
    with start(folder, *slow, "--epochs", "5000", "--patience", "0", "--out", "run") as process:
        wait_for(process, "epoch   1 ")
        time.sleep(0.3)  # into the second one: before it begins, one interrupt stops the run
        for _ in range(2):
            process.send_signal(signal.SIGINT)
            time.sleep(0.1)  # two at once would be one
        rest, errors = process.communicate(timeout=60)
    assert process.returncode == 130
    assert "epoch   2" not in rest
    assert "Stopped after epoch 1; go on with: lettergpu train --resume run" in errors
    assert "Traceback" not in errors
    assert checkpoint.read(tmp_path / "run/last.safetensors").state.epoch == 1


def test_the_best_network_is_kept_not_the_last(folder, few_letters, tmp_path):
    noise = np.random.default_rng(21).permutation(few_letters.train.labels) + 1  # nothing to learn, all to overfit
    write_idx(folder / "emnist-letters-train-labels-idx1-ubyte.gz", noise)
    words = ("--epochs", "30", "--patience", "30", "--augment", "none", "--out", "run")
    done = lettergpu_("train", "--data", folder, *QUICK, *words, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    summary = json.loads((tmp_path / "run" / "summary.json").read_text())
    with (tmp_path / "run" / "metrics.csv").open() as file:
        losses = [float(row["val_loss"]) for row in csv.DictReader(file)]
    assert summary["best_epoch"] == np.argmin(losses) + 1 < 30
    assert summary["validation"]["loss"] == pytest.approx(min(losses), rel=1e-4)
    best = load_file(tmp_path / "run" / "best.safetensors")["parameters"]
    np.testing.assert_array_equal(best, parameters(tmp_path / "run")["best_parameters"])
    assert (best != parameters(tmp_path / "run")["parameters"]).any()


def test_a_finished_run_can_be_given_more_epochs(run, tmp_path):
    done = lettergpu_("train", "--resume", "run", "--epochs", "5", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert "Rate     constant over epochs 1 to 3, as it was then to epoch 5\n" in done.stdout
    assert json.loads((run / "summary.json").read_text())["epochs"] == 5
    done = lettergpu_("train", "--resume", "run", "--epochs", "6", "--warm-restart", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert "Rate     constant over epochs 1 to 3, 6 to 6\n" in done.stdout


def test_a_moved_run_and_moved_letters_go_on_together(run, folder, tmp_path):
    run.rename(tmp_path / "elsewhere")
    folder.rename(tmp_path / "letters")
    done = lettergpu_("train", "--resume", "elsewhere", "--data", "letters", "--epochs", "4", cwd=tmp_path)
    assert done.returncode == 0, done.stderr


def test_progress_on_a_terminal(folder, tmp_path):
    """A bar with rate, time left, loss and accuracy."""
    words = ["train", "--data", str(folder), *QUICK, "--epochs", "60", "--patience", "0", "--out", "run"]
    text = on_a_terminal(*words, cwd=tmp_path).decode()
    for part in ("epoch 1/60", "images/s", "left", "loss 0.", "accuracy "):
        assert part in text, part
    assert not re.search(r"\x1b\[[\d;]*m", text)  # no colours, whether somebody asks for none or not


# What a user can get wrong: one line that names it, exit code 2, nothing half-written


def complaint(done):
    assert done.returncode == 2, (done.returncode, done.stdout, done.stderr)
    assert "Traceback" not in done.stderr
    lines = done.stderr.strip().splitlines()
    assert len(lines) == 1, done.stderr
    assert lines[0].startswith("error: ")
    return lines[0]


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--hidden", "0"], "--hidden 0: give 1 to 1,000,000 nodes a layer"),
        (["--hidden", "many"], "--hidden many: give numbers of nodes"),
        (["--lr", "-1"], "--lr -1.0: give a number above 0"),
        (["--activation", "gelu"], "--activation gelu: choose one of"),
        (["--device", "tpu"], "--device tpu: choose auto, cpu, cuda[:N], torch"),
        (["--device", "cuda:x"], "--device cuda:x: choose"),
        (["--data", "nowhere"], "there is no such folder"),
        (["--recipe", "nowhere.toml"], "--recipe nowhere.toml: there is no such file"),
        (["--resume", "nowhere"], "--resume nowhere: it holds no last.safetensors"),
        (["--resume", "nowhere", "--lr", "1"], "--lr: it belongs to the run and cannot be changed on --resume"),
        (["--resume", "nowhere", "--out", "x"], "--resume nowhere: it keeps its folder"),
        (["--warm-restart"], "--warm-restart: it is for a run that goes on; say --resume RUN and --epochs, too"),
        (["--split", "digits"], "--split digits: only letters are built in"),
        (["--from", "nowhere"], "nowhere: there is no such file; give a run folder or a .safetensors file"),
        (["--from", "boxed", "--hidden", "8"], "--hidden: it is that of the network in boxed, and cannot be changed"),
        (["--old", "builtin"], "--old: it is for a network that is gone on from; say --from"),
        (["--from", "boxed", "--old", "nowhere"], "--old nowhere: --data nowhere: there is no such folder"),
        (["--from", "boxed", "--old-letters", "0"], "--old-letters 0: give 1 or more, or --old none"),
        (["--out", "data"], "--out data: it exists already"),
        (["--out", "/proc/nowhere/run"], "/proc/nowhere/run cannot be written"),
        (["--hidden", "1000000,1000000", "--out", "run"], "not enough memory"),
        (
            ["--validation", "0.0001"],
            "--validation 0.0001: of 400 images that leaves 400 to train on and 0 to validate",
        ),
        (["--lr", "abc"], "Invalid value for '--lr'"),
        (["--lrr", "1"], "No such option"),
        (["--seed"], "--seed"),
    ],
)
def test_bad_options(words, message, folder, tmp_path):
    before = sorted(tmp_path.rglob("*"))
    own_letters = {"--data", "--split", "--resume"} & set(words)
    done = lettergpu_("train", *(() if own_letters else ("--data", "data")), *words, cwd=tmp_path)
    assert message in complaint(done)
    assert sorted(tmp_path.rglob("*")) == before


@pytest.mark.skipif(bool(LIBRARIES["cuda"].devices()[0]), reason="there is a GPU here")
@pytest.mark.parametrize("name", ["cuda", "cuda:1"])
def test_cuda_without_a_gpu_says_what_is_missing(name, folder, tmp_path):
    message = complaint(lettergpu_("train", "--data", "data", "--device", name, cwd=tmp_path))
    assert message.startswith(f"error: --device {name}: CuPy ")
    assert "--device cpu" in message
    assert "CuPy" in lettergpu_("info", cwd=tmp_path).stdout
    auto = lettergpu_("train", "--data", "data", *QUICK, "--epochs", "1", "--device", "auto", cwd=tmp_path)
    assert "Device   cpu (CuPy" in auto.stdout


def test_a_diverging_run_keeps_the_best(run, tmp_path):
    before = (run / "best.safetensors").read_bytes()
    with safe_open(run / "last.safetensors", framework="np") as file:
        header = file.metadata()
    state = parameters(run)
    state["velocity"][:] = 1e30
    save_file(state, run / "last.safetensors", header)
    message = complaint(lettergpu_("train", "--resume", "run", "--epochs", "9", cwd=tmp_path))
    assert "the loss became" in message
    assert "try --lr" in message
    assert "the network of epoch 3 is kept in run" in message
    assert (run / "best.safetensors").read_bytes() == before
    summary = json.loads((run / "summary.json").read_text())
    assert (summary["diverged"], summary["epochs"]) == (4, 3)
    assert summary.keys() > SUMMARY_KEYS  # what it came to before is still told


@pytest.mark.parametrize("exists", [False, True])
def test_a_run_that_diverges_at_once_leaves_nothing(exists, folder, tmp_path):
    out = tmp_path / "run"
    if exists:
        out.mkdir()
    words = ("--data", folder, *QUICK, "--lr", "1e30", "--out")
    assert "in epoch 1" in complaint(lettergpu_("train", *words, out, cwd=tmp_path))
    assert out.exists() == exists
    assert not exists or not list(out.iterdir())
    (tmp_path / "here").mkdir()
    assert "in epoch 1" in complaint(lettergpu_("train", *words, ".", cwd=tmp_path / "here"))


def test_a_full_disk_is_said_in_a_line(folder, tmp_path):
    def small_files_only():
        resource.setrlimit(resource.RLIMIT_FSIZE, (50_000, 50_000))

    words = ("--data", folder, *QUICK, "--out", "run")
    message = complaint(lettergpu_("train", *words, cwd=tmp_path, preexec_fn=small_files_only))
    assert "last.safetensors cannot be written (File too large)" in message
    assert list((tmp_path / "run").glob("*.safetensors")) == []
    message = complaint(lettergpu_("train", *words, cwd=tmp_path))
    assert "--out run: it exists already; choose another, or go on with --resume run" in message
    assert lettergpu_("train", "--resume", "run", cwd=tmp_path).returncode == 0  # with room on the disk


def test_a_refused_resume_changes_nothing(run, folder, tmp_path):
    before = {path: path.read_bytes() for path in run.iterdir() if path.is_file()}
    write_split(tmp_path / "other", load_letters(str(folder)), ending="")
    write_idx(tmp_path / "other" / "emnist-letters-train-labels-idx1-ubyte", np.ones(400))
    assert "other letters" in complaint(lettergpu_("train", "--resume", "run", "--data", "other", cwd=tmp_path))
    fewer = lettergpu_("train", "--resume", "run", "--epochs", 2, cwd=tmp_path)
    assert "--epochs 2: run has done 3" in complaint(fewer)
    assert "--device cuda:99" in complaint(lettergpu_("train", "--resume", "run", "--device", "cuda:99", cwd=tmp_path))
    (run / "metrics.csv").write_text("epoch,train_loss\n")
    before[run / "metrics.csv"] = b"epoch,train_loss\n"
    assert "metrics.csv is missing or damaged" in complaint(lettergpu_("train", "--resume", "run", cwd=tmp_path))
    assert {path: path.read_bytes() for path in run.iterdir() if path.is_file()} == before


def test_two_runs_of_the_same_second_have_two_folders(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert len({_claim_folder(None, Config()) for _ in range(5)}) == 5


def test_other_letters_are_not_gone_on_with(run, folder, tmp_path):
    write_idx(folder / "emnist-letters-train-labels-idx1-ubyte.gz", np.ones(400))
    assert "it was trained on other letters" in complaint(
        lettergpu_("train", "--resume", "run", "--epochs", "9", cwd=tmp_path)
    )


def test_bad_checkpoints(run, folder, tmp_path):
    (run / "best.safetensors").write_bytes((run / "best.safetensors").read_bytes()[:5000])
    assert "best.safetensors is damaged" in complaint(lettergpu_("evaluate", "run", cwd=tmp_path))
    assert "there is no such file" in complaint(lettergpu_("evaluate", "nowhere", cwd=tmp_path))
    message = complaint(
        lettergpu_("evaluate", "run/last.safetensors", "--split", "digits", "--data", folder, cwd=tmp_path)
    )
    assert "emnist-digits-test-images" in message


def test_a_network_of_no_numbers_is_not_asked(run, tmp_path, few_letters):
    Image.fromarray(few_letters.test.images[0]).save(tmp_path / "letter.png")
    path, network = run / "best.safetensors", lettergpu.load(run)
    for value, said in (
        (np.nan, "its parameters hold NaN or infinity"),
        (3e38, "answers are no numbers"),
    ):
        network.parameters[...] = value
        checkpoint.save(path, network, Config(data=str(tmp_path / "data")), "")
        assert said in complaint(lettergpu_("evaluate", "run", cwd=tmp_path))
        done = lettergpu_("predict", "letter.png", "--single", "--model", "run", "--json", cwd=tmp_path)
        assert said in complaint(done)
        assert done.stdout == ""


def test_evaluating_on_another_split_is_refused(run, few_letters, tmp_path):
    write_split(tmp_path / "digits", few_letters, "digits")
    message = complaint(lettergpu_("evaluate", "run", "--split", "digits", "--data", "digits", cwd=tmp_path))
    assert f"error: {tmp_path}/digits: the network knows no class 0, but A, B, C" in message


# On real letters


def test_real_run_uses_little_memory(emnist, tmp_path):
    """The default training's peak, an epoch of it, stays under 700 MB."""
    code = (
        "import sys\n"
        "from pathlib import Path\n"
        "sys.argv = ['lettergpu', 'train', '--data', sys.argv[1], '--epochs', '1', '--out', 'run', '--device', 'cpu']\n"
        "from lettergpu.cli import main\n"
        "try: main()\n"
        "except SystemExit as stop: assert not stop.code\n"
        "print(Path('/proc/self/status').read_text().partition('VmHWM:')[2].split()[0])\n"  # in KB; not its parent's
    )
    done = subprocess.run(
        [sys.executable, "-c", code, emnist], cwd=tmp_path, capture_output=True, text=True, check=True
    )
    assert int(done.stdout.split()[-1]) < 700_000
    summary = json.loads((tmp_path / "run" / "summary.json").read_text())
    assert summary["data"]["train_images"] == 74_230
    assert summary["test"]["top1"] > 0.8
