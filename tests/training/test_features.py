"""Tables of numbers in place of letters, and rows that count more than once."""

import dataclasses

import numpy as np
import pytest

from lettergpu.config import Config
from lettergpu.data.letters import NONE, Examples, Parted
from lettergpu.training import batches as batches_module
from lettergpu.training.loop import fit

PLAIN = dataclasses.replace(
    Config.recipe("report"),
    hidden=(6,),
    augment="none",
    batch_size=0,
    learning_rate=0.5,
    epochs=3,
    patience=0,
    device="cpu",
)
COUNTS = np.asarray([3, 1, 2, 4, 1, 2, 2, 1])


def table(x, y, weights=None, learnt=None):
    learnt = len(y) if learnt is None else learnt
    return Parted(Examples(x, y, weights), NONE, ("a", "b", "c"), "test", "test", learnt=learnt)


@pytest.fixture
def rows():
    """(40, 5) numbers of any size and sign, and their classes."""
    rng = np.random.default_rng(8)
    x = rng.normal(0, 3, (40, 5)).astype(np.float32)
    return x, np.argmax(x[:, :3], axis=1).astype(np.int64)


def test_features_are_taken_as_they_are(rows, device):
    x, y = rows
    config = dataclasses.replace(PLAIN, hidden=(), init="report", learning_rate=0.1, epochs=1)
    report = next(iter(fit(config, table(x, y), device=device)))
    network = report.network
    assert network.sizes == (5, 3)
    ((_, logits),) = network.answers(x)
    layer = network.layers[0]
    np.testing.assert_allclose(
        device.fetch(logits), x @ device.fetch(layer.weight) + device.fetch(layer.bias), rtol=1e-4, atol=1e-5
    )
    assert (report.val_loss, report.val_accuracy) == (report.train_loss, report.train_accuracy)  # none are held out


@pytest.mark.parametrize("loss", ["softmax", "sigmoid"])
def test_a_full_batch_with_whole_weights_is_that_of_repeated_rows(loss, rows, device, monkeypatch):
    x, y = rows
    counts = np.resize(COUNTS, 40)
    config = dataclasses.replace(PLAIN, loss=loss)
    weighted = list(fit(config, table(x, y, counts / counts.mean()), device=device))
    repeated = list(fit(config, table(np.repeat(x, counts, axis=0), np.repeat(y, counts)), device=device))
    for ours, theirs in zip(weighted, repeated, strict=True):
        assert ours.train_loss == pytest.approx(theirs.train_loss, rel=1e-5)
    np.testing.assert_allclose(weighted[-1].state.parameters, repeated[-1].state.parameters, rtol=1e-4, atol=1e-5)
    monkeypatch.setattr(batches_module, "PIECE", 16)
    pieces = list(fit(config, table(x, y, counts / counts.mean()), device=device))
    np.testing.assert_allclose(pieces[-1].state.parameters, weighted[-1].state.parameters, rtol=1e-4, atol=1e-5)


def test_a_weight_goes_with_its_row_through_shuffling_and_ensembles(rows, device):
    """Rows of weight 0 teach nothing, wherever they stand."""
    x, y = rows
    spoilt = np.concatenate([x, np.full_like(x, 1e6)]), np.concatenate([y, (y + 1) % 3])
    weights = np.concatenate([np.ones(40), np.zeros(40)])
    config = dataclasses.replace(PLAIN, batch_size=16, ensemble=2, learning_rate=0.05, epochs=25)
    *_, report = fit(config, table(*spoilt, weights), device=device)
    logits = np.concatenate([device.fetch(part) for _, part in report.network.answers(x)])
    assert (logits.argmax(axis=1) == y).mean() > 0.9


def test_rows_are_validated_by_their_weights(rows, device):
    x, y = rows
    weights = np.concatenate([np.ones(30), [5.0] + [0.0] * 4, [1.0] * 5])
    *_, report = fit(PLAIN, table(x, y, weights, learnt=30), device=device)
    ((_, logits),) = report.network.answers(x[30:])
    logits = device.fetch(logits).astype(np.float64)
    losses = np.log(np.exp(logits).sum(axis=1)) - logits[np.arange(10), y[30:]]
    assert report.val_loss == pytest.approx(np.average(losses, weights=weights[30:]), rel=1e-4)
