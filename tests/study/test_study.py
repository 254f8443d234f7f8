import json
import math
import signal
import threading
from dataclasses import replace

import numpy as np
import pytest

from lettergpu.backends.device import CPU
from lettergpu.cli import progress
from lettergpu.config import Config
from lettergpu.data.letters import Examples, load_letters
from lettergpu.errors import LettergpuError
from lettergpu.study import naive, rows, running, writing
from lettergpu.training import checkpoint
from lettergpu.training.loop import Diverged
from lettergpu.training.metrics import evaluate
from lettergpu.training.optimizers import Momentum


@pytest.fixture(scope="module")
def few():
    """520 built-in letters to train on and 260 to test on."""
    letters = load_letters("builtin")
    parts = (
        part.take(np.arange(0, len(part), len(part) // n)[:n])
        for part, n in ((letters.train, 520), (letters.test, 260))
    )
    return replace(letters, **dict(zip(("train", "test"), parts, strict=True)))


def follow(folder, letters, only, **options):
    progress.follow_study(
        running.Place(folder, letters, CPU), only, **{"class_weight": "none", "seeds": 1, "quick": False} | options
    )


def test_every_published_row_is_there_with_the_published_number_of_parameters():
    every = {row.model: row for table in rows.tables() for row in table.rows}
    lines = rows.published()
    assert len(lines) == 35
    for line in lines:
        row = every[line["model"]]
        assert writing.parameters(row, 26) == int(line["parameters"])
        assert row.published["test"] == float(line["test_accuracy"])
        full = line["regime"] == "full-batch"
        assert (row.config.batch_size, row.config.epochs) == (
            (0, 500) if full else (256, 6 if " 6 epochs" in line["regime"] else 100)
        )
        assert row.config.shuffle == ("no shuffling" not in line["regime"])


def test_a_name_means_one_training_wherever_it_stands():
    for weight in ("none", "balanced"):
        configs = {}
        for table in rows.tables(weight, seeds=2):
            assert table.compared_with is None or table.compared_with in {row.model for row in table.rows}
            for row in table.rows:
                assert configs.setdefault(row.model, row.config) == row.config
                assert row.config.class_weight == weight
        assert sum(name.startswith("Activation_tanhexp") for name in configs) == 2


@pytest.mark.parametrize("momentum", [0.0, 0.5, 0.9])
def test_the_mini_batch_rows_velocity_averages_gradients(momentum):
    config = rows.averaging(Config.recipe("report"), momentum)
    rng = np.random.default_rng(0)
    ours, theirs, velocity = np.ones(5), np.ones(5), np.zeros(5)
    optimizer = Momentum(
        ours, learning_rate=config.learning_rate, momentum=config.momentum, nesterov=False, l2=0.0, decayed=5
    )
    for gradient in rng.normal(size=(20, 5)):
        optimizer.step(ours, gradient.copy())
        velocity = momentum * velocity + (1 - momentum) * gradient
        theirs -= rows.RATE * velocity
    np.testing.assert_allclose(ours, theirs, rtol=1e-12)


def test_only_names_a_table_or_a_row():
    every = rows.tables()
    (table,) = rows.chosen(every, "two-hidden-layers")
    assert len(table.rows) == 12
    (table,) = rows.chosen(every, rows.BEST)
    assert [row.model for row in table.rows] == [rows.BEST]
    with pytest.raises(LettergpuError, match="one-hidden-layer"):
        rows.chosen(every, "nonesuch")


def test_a_table_is_trained_once_and_laid_beside_what_was_published(tmp_path, few, capsys):
    follow(tmp_path, few, "perceptrons")
    found = {row["model"]: row for row in json.loads((tmp_path / "study.json").read_text())}
    assert found.keys() == {"Perceptron_sigmoid", "Perceptron_softmax"}
    row = found["Perceptron_softmax"]
    assert (row["parameters"], row["published_test"]) == (20_410, 69.88)
    assert 50 < row["iterations"] <= 500
    network = checkpoint.load(tmp_path / "runs" / "Perceptron_softmax")
    assert row["measured_test"] == pytest.approx(100 * evaluate(network, few.test.images, few.test.labels).top(1))
    text = (tmp_path / "study.md").read_text()
    assert f"{row['measured_test'] - 69.88:+.2f}" in text
    for name in ("activations", "loss-perceptrons", "confusion-Perceptron_softmax"):
        assert (tmp_path / "figures" / f"{name}.png").stat().st_size > 1000
    before = (tmp_path / "runs" / "Perceptron_softmax" / "summary.json").stat().st_mtime_ns
    capsys.readouterr()
    follow(tmp_path, few, "perceptrons")
    assert "2 of 2 rows are done" in capsys.readouterr().out
    follow(tmp_path, few, "perceptrons", lines=False)
    assert capsys.readouterr().out == ""
    assert (tmp_path / "runs" / "Perceptron_softmax" / "summary.json").stat().st_mtime_ns == before
    with pytest.raises(LettergpuError, match="--out"):
        follow(tmp_path, few, "perceptrons", class_weight="balanced")
    with pytest.raises(LettergpuError, match="--out"):
        follow(tmp_path, running.tenth(few), "perceptrons")


def test_stopped_and_begun_again_it_comes_to_the_same(tmp_path, few):
    row = rows.Row("one", replace(rows.FULL_BATCH, hidden=(16,), activation="mish", epochs=40))
    whole, halves = (running.Place(tmp_path / name, few, CPU) for name in ("whole", "halves"))

    def nothing(_):
        pass

    expected = running.train(whole, row, nothing, nothing, lambda: False)
    seen = []
    assert running.train(halves, row, nothing, seen.append, lambda: len(seen) >= 17) is None
    assert running.finished(halves, row) is None
    assert checkpoint.read(halves.of(row) / checkpoint.LAST).state.epoch == 18
    got = running.train(halves, row, nothing, nothing, lambda: False)
    timeless = [{key: value for key, value in summary.items() if key != "seconds"} for summary in (got, expected)]
    assert timeless[0] == timeless[1]
    best = [checkpoint.load(place.of(row)).parameters for place in (whole, halves)]
    np.testing.assert_array_equal(*best)
    assert running.finished(halves, row) == got


def test_what_another_version_began_is_begun_anew(tmp_path, few, monkeypatch):
    row = rows.Row("one", replace(rows.FULL_BATCH, hidden=(16,), epochs=6))
    place, seen = running.Place(tmp_path, few, CPU), []
    monkeypatch.setattr(checkpoint, "DRAWS", "1")
    assert running.train(place, row, lambda _: None, seen.append, lambda: len(seen) >= 3) is None
    monkeypatch.undo()
    epochs = []
    summary = running.train(place, row, lambda _: None, lambda run: epochs.append(run.state.epoch), lambda: False)
    assert epochs == [1, 2, 3, 4, 5, 6]
    assert summary["epochs"] == 6


@pytest.mark.parametrize(
    "text", ["", "[]", "{}", '{"data": {"fingerprint": 1}}', "[" * 100_000, "[NaN]", " " * 2_000_000]
)
def test_a_damaged_summary_is_said(text, tmp_path, few):
    row = rows.Row("one", replace(rows.FULL_BATCH, hidden=(16,), epochs=2))
    place = running.Place(tmp_path, few, CPU)
    place.of(row).mkdir(parents=True)
    (place.of(row) / "config.toml").write_text(row.config.to_toml())
    assert running.finished(place, row) is None
    (place.of(row) / "summary.json").write_text(text)
    with pytest.raises(LettergpuError, match=r"summary.json is damaged \(.*\): remove it, and go on with the run"):
        running.finished(place, row)


def test_ctrl_c_stops_at_a_checkpoint(tmp_path, few, capsys):
    threading.Timer(1.0, signal.raise_signal, [signal.SIGINT]).start()
    with pytest.raises(SystemExit, match="130"):
        follow(tmp_path, few, "one-hidden-layer")
    assert "the same command goes on" in capsys.readouterr().err


def test_a_row_that_diverges_is_told_not_raised(tmp_path, few, capsys):
    row = rows.Row("wild", replace(Config.recipe("report"), hidden=(8,), learning_rate=1e30, augment="none", epochs=3))
    summary = running.train(running.Place(tmp_path, few, CPU), row, lambda _: None, lambda _: None, lambda: False)
    found = running.result(row, "dropped", summary, 6506)
    assert found["diverged"] == 1
    assert "diverged in iteration 1" in writing.line(found)
    assert running.finished(running.Place(tmp_path, few, CPU), row) == summary


def test_a_row_that_diverges_before_its_first_checkpoint_keeps_its_best(tmp_path, few, monkeypatch):
    def two_epochs(*arguments, **options):
        for number, report in enumerate(fit(*arguments, **options)):
            if number == 2:
                raise Diverged("the loss became nan")
            yield report

    fit = running.fit
    monkeypatch.setattr(running, "fit", two_epochs)
    row, place = (
        rows.Row("wild", replace(Config.recipe("report"), hidden=(8,), augment="none", epochs=5)),
        running.Place(tmp_path, few, CPU),
    )
    summary = running.train(place, row, lambda _: None, lambda _: None, lambda: False)
    assert (summary["diverged"], summary["epochs"]) == (3, 2)
    assert summary["test"]["top1"] == evaluate(checkpoint.load(place.of(row)), few.test.images, few.test.labels).top(1)
    assert running.finished(place, row) == summary


def test_the_naive_network_fails_as_the_report_says_and_the_stable_one_does_not(few):
    train = load_letters("builtin").train
    letters = train.take(np.arange(0, len(train), 7)[: naive.IMAGES])
    found = {start: naive.run(start, letters, 26, CPU) for start in naive.STARTS}
    assert found["Naive_equal"].losses[-1] == pytest.approx(math.log(26), abs=0.1)
    assert found["Naive_equal"].accuracy < 0.1
    assert math.isnan(found["Naive_large"].losses[0])
    assert found["Naive_large"].broken_at == 1
    assert math.isfinite(found["Stable_large"].losses[0])
    assert found["Stable_large"].losses[0] > 100
    assert found["Stable_he"].broken_at is None
    assert found["Stable_he"].losses[-1] < found["Stable_he"].losses[0]
    assert found["Stable_he"].accuracy > 0.2


def test_the_naive_loss_is_the_reports_where_nothing_overflows(device):
    rng = np.random.default_rng(60)
    logits, labels = rng.normal(size=(5, 26)), rng.integers(0, 26, 5)
    loss, gradient = naive.naive_softmax_cross_entropy(device.put(logits), device.put(labels))
    p = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
    assert float(loss) == pytest.approx(-np.log(p[np.arange(5), labels]).mean())
    np.testing.assert_allclose(device.fetch(gradient), (p - np.eye(26)[labels]) / 5, atol=1e-15)


def test_multi_angle_prediction_averages_over_turned_copies(tmp_path, few):
    row = rows.Row("one", replace(rows.FULL_BATCH, hidden=(16,), activation="relu", epochs=30))
    place = running.Place(tmp_path, few, CPU)
    running.train(place, row, lambda _: None, lambda _: None, lambda: False)
    network = checkpoint.load(place.of(row))
    found = running.multi_angle(network, few.test)
    assert found["upright"] == evaluate(network, few.test.images, few.test.labels).top(1)
    assert 0 < found["averaged"] <= 1
    dark = Examples(np.zeros((3, 28, 28), np.uint8), np.zeros(3, np.int64))
    assert len(set(running.multi_angle(network, dark).values())) == 1


def test_orders_that_differ_from_the_published_are_named():
    results = {}
    for table in rows.tables():
        for row in table.rows:
            if row.config.batch_size == 0 and row.published:
                summary = {part: {"top1": value / 100, "top2": 1, "top5": 1} for part, value in row.published.items()}
                results[row.model] = running.result(row, table.name, {**summary, "seconds": 1.0, "epochs": 500}, 1)
    assert len(writing._summary(rows.tables(), results)) == 1
    results["NN_relu_softmax_64"]["measured_test"] = 80.0
    text = "\n".join(writing._summary(rows.tables(), results))
    assert "31 are within 1 point" in text
    assert "NN_relu_softmax_64: -1.74" in text
    assert "NN_relu_softmax_64 and NN_swish_softmax_64 stand in the other order" in text
