import dataclasses

import numpy as np
import pytest

from lettergpu import batches as batches_module
from lettergpu.config import Config
from lettergpu.data.letters import Examples, load_letters
from lettergpu.errors import LettergpuError
from lettergpu.training import Diverged, class_weights, fit

SMALL = Config(hidden=(24, 16), batch_size=32, learning_rate=0.03, init="he", epochs=4, patience=0)


def parameters_after(config, letters, **kwargs):
    *_, report = fit(config, letters, **kwargs)
    return report.state.parameters


def test_it_learns(few_letters, device):
    reports = list(fit(SMALL, few_letters, device=device))
    assert [report.epoch for report in reports] == [1, 2, 3, 4]
    assert reports[-1].val_loss < 0.5 * reports[0].val_loss
    assert reports[-1].val_accuracy > 0.9
    assert reports[-1].train_loss < reports[0].train_loss


@pytest.mark.parametrize(
    "changes",
    [
        {},
        {"loss": "sigmoid", "nesterov": True, "l2": 1e-3},
        {"hidden": (), "batch_size": 0, "class_weight": "balanced"},
    ],
    ids=["default", "sigmoid", "perceptron"],
)
def test_every_namespace_has_the_same_losses(changes, few_letters, device):
    config = dataclasses.replace(SMALL, **changes)
    ours = [(report.train_loss, report.val_loss) for report in fit(config, few_letters, device=device)]
    numpys = [(report.train_loss, report.val_loss) for report in fit(config, few_letters)]
    np.testing.assert_allclose(ours, numpys, rtol=2e-4)


def test_two_runs_are_bitwise_equal(few_letters, device):
    np.testing.assert_array_equal(
        parameters_after(SMALL, few_letters, device=device), parameters_after(SMALL, few_letters, device=device)
    )
    assert (
        parameters_after(SMALL, few_letters) != parameters_after(dataclasses.replace(SMALL, seed=1), few_letters)
    ).any()


def test_going_on_from_a_state_is_the_same_training(few_letters):
    reports = list(fit(SMALL, few_letters))
    state = next(iter(fit(SMALL, few_letters))).state
    resumed = list(fit(SMALL, few_letters, state=state))
    assert [report.epoch for report in resumed] == [2, 3, 4]
    for name in ("parameters", "velocity", "best_parameters"):
        np.testing.assert_array_equal(getattr(resumed[-1].state, name), getattr(reports[-1].state, name))


@pytest.fixture
def unlearnable(few_letters):
    """Letters with labels drawn at random: what is learnt of them makes the validation loss worse."""
    labels = np.random.default_rng(20).permutation(few_letters.train.labels)
    return dataclasses.replace(few_letters, train=Examples(few_letters.train.images, labels))


def test_the_best_parameters_are_kept(unlearnable):
    reports = list(fit(dataclasses.replace(SMALL, epochs=40, augment="none"), unlearnable))
    best = min(reports, key=lambda report: report.val_loss)
    assert best.epoch < 40, "this training must get worse again, to test anything"
    np.testing.assert_array_equal(reports[-1].network.parameters, best.state.parameters)
    assert (reports[-1].state.parameters != best.state.parameters).any()


def test_patience_ends_it(unlearnable):
    config = dataclasses.replace(SMALL, epochs=200, patience=3, augment="none")
    reports = list(fit(config, unlearnable))
    losses = [report.val_loss for report in reports]
    assert len(reports) == np.argmin(losses) + 1 + 3 < 200


def test_a_full_batch_in_pieces_is_the_same_step(few_letters, monkeypatch):
    config = dataclasses.replace(SMALL, batch_size=0, augment="none", learning_rate=0.5)
    whole = parameters_after(config, few_letters)
    monkeypatch.setattr(batches_module, "PIECE", 70)
    np.testing.assert_allclose(parameters_after(config, few_letters), whole, rtol=1e-3, atol=1e-5)


def test_full_batch_gradient_descent_is_the_reports(few_letters):
    """One step from the formulas: theta - rate / m sum((y_hat - y) x), biases too."""
    config = Config(hidden=(), batch_size=0, momentum=0.0, learning_rate=0.5, init="report", augment="none", epochs=2)
    first, second = (report.state.parameters.astype(np.float64) for report in fit(config, few_letters))
    rows, _ = batches_module.hold_out(400, 0.2, 0, 80)
    x = few_letters.train.images[rows].reshape(-1, 784) / 255
    y = np.eye(26)[few_letters.train.labels[rows]]
    weight, bias = first[: 784 * 26].reshape(784, 26), first[784 * 26 :]
    z = x @ weight + bias
    y_hat = np.exp(z) / np.exp(z).sum(axis=1, keepdims=True)
    expected = [weight - 0.5 / len(x) * x.T @ (y_hat - y), bias - 0.5 / len(x) * (y_hat - y).sum(axis=0)]
    np.testing.assert_allclose(second, np.concatenate([part.ravel() for part in expected]), rtol=1e-3, atol=1e-6)


def test_l2_shrinks_weights_not_biases(few_letters):
    plain, shrunk = (
        parameters_after(dataclasses.replace(SMALL, l2=l2, epochs=1, momentum=0.0), few_letters) for l2 in (0.0, 0.5)
    )
    weights = 784 * 24 + 24 * 16 + 16 * 26
    assert np.linalg.norm(shrunk[:weights]) < 0.9 * np.linalg.norm(plain[:weights])


def test_balanced_class_weights_are_scikit_learns():
    labels = np.asarray([0, 0, 0, 0, 1, 1, 2, 2])
    np.testing.assert_allclose(class_weights(labels, 3, "balanced"), [8 / 12, 8 / 6, 8 / 6])
    assert class_weights(labels, 3, "balanced")[labels].mean() == pytest.approx(1)
    assert class_weights(labels, 3, "none").tolist() == [1, 1, 1]


def test_a_diverging_loss_stops_it(few_letters):
    state = next(iter(fit(SMALL, few_letters))).state
    wild = dataclasses.replace(SMALL, learning_rate=1e6, epochs=50)
    message = r"the loss became (nan|inf) in epoch \d+ at learning rate 1e\+06: try --lr 100000"
    with pytest.raises(Diverged, match=message):
        list(fit(wild, few_letters, state=state))


@pytest.mark.parametrize(("count", "validation"), [(1, 0.2), (80, "last")])
def test_too_few_letters_to_split(count, validation, few_letters):
    some = Examples(few_letters.train.images[:count], few_letters.train.labels[:count])
    letters = dataclasses.replace(few_letters, train=some)
    with pytest.raises(LettergpuError, match=f"--validation {validation}: of {count} images"):
        next(fit(dataclasses.replace(SMALL, validation=validation), letters))


def test_progress_counts_every_image(few_letters):
    counts = []
    list(fit(dataclasses.replace(SMALL, epochs=2), few_letters, on_batch=counts.append))
    assert sum(counts) == 2 * 320
    assert counts[:7] == [32] * 7


def test_real_letters_are_learnt(emnist):
    """What 3 epochs of a small network must reach; a sign or a transposition wrong anywhere falls far short."""
    config = Config(hidden=(128,), epochs=3, augment="none", activation="relu")
    *_, report = fit(config, load_letters(str(emnist)))
    assert report.val_accuracy > 0.85
