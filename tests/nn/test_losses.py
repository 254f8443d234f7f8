import numpy as np
import pytest
from conftest import unweighted
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from lettergpu.nn.losses import LOSSES, one_hot, softmax
from lettergpu.training.metrics import ranks


def numeric_gradient(function, x, h=1e-6):
    """Central differences of a scalar function of a float64 array."""
    gradient = np.zeros_like(x)
    for i in np.ndindex(x.shape):
        x[i] += h
        up = function(x)
        x[i] -= 2 * h
        down = function(x)
        x[i] += h
        gradient[i] = (up - down) / (2 * h)
    return gradient


@pytest.mark.parametrize("smoothing", [0.0, 0.1])
@pytest.mark.parametrize("name", LOSSES)
def test_gradient_is_the_derivative(name, smoothing):
    rng = np.random.default_rng(1)
    logits, labels = rng.normal(0, 4, (5, 7)), np.asarray([0, 6, 3, 3, 1])
    weights, batch = rng.uniform(0.5, 2, 7), 8

    def outcome(z):
        return LOSSES[name].outcome(z, labels, weights, batch, smoothing)

    numeric = numeric_gradient(lambda z: outcome(z).losses.sum() / batch, logits)
    np.testing.assert_allclose(outcome(logits).gradient, numeric, atol=1e-8)


@pytest.mark.parametrize("name", LOSSES)
def test_weights_scale_each_rows_loss(name, device):
    rng = np.random.default_rng(3)
    logits, labels, weights = rng.normal(0, 4, (9, 5)), rng.integers(0, 5, 9), rng.uniform(0.5, 2, 5)
    there = device.put(logits), device.put(labels)
    losses = device.fetch(LOSSES[name].outcome(*there, device.put(weights), 9).losses)
    np.testing.assert_allclose(losses, device.fetch(unweighted(name, *there).losses) * weights[labels], rtol=1e-12)


@pytest.mark.parametrize("name", LOSSES)
def test_gradient_is_prediction_minus_label(name, device):
    rng = np.random.default_rng(2)
    logits, labels = device.put(rng.normal(0, 4, (9, 26)).astype(np.float32)), device.put(np.arange(9))
    gradient = unweighted(name, logits, labels).gradient
    expected = device.fetch(LOSSES[name].probabilities(logits)) - np.eye(9, 26, dtype=np.float32)
    np.testing.assert_allclose(device.fetch(gradient), expected, atol=1e-6)


def test_losses_are_the_reports_formulas(device):
    rng = np.random.default_rng(3)
    logits, labels = rng.normal(0, 3, (6, 5)), np.asarray([4, 0, 1, 2, 3, 3])
    y = np.eye(5)[labels]
    there = device.put(logits), device.put(labels)
    softmax_of = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
    cce = device.fetch(unweighted("softmax", *there).losses)
    np.testing.assert_allclose(cce, -(y * np.log(softmax_of)).sum(axis=1), rtol=1e-12)
    sigmoid_of = 1 / (1 + np.exp(-logits))
    bce = device.fetch(unweighted("sigmoid", *there).losses)
    expected = (-y * np.log(sigmoid_of) - (1 - y) * np.log(1 - sigmoid_of)).sum(axis=1)
    np.testing.assert_allclose(bce, expected, rtol=1e-12)


def test_smoothing_is_cross_entropy_with_softer_targets(device):
    rng = np.random.default_rng(21)
    logits, labels, ones = rng.normal(0, 3, (6, 5)), np.asarray([4, 0, 1, 2, 3, 3]), np.ones(5)
    there = device.put(logits), device.put(labels), device.put(ones), 1, 0.2
    y = 0.8 * np.eye(5)[labels] + 0.04
    cce = device.fetch(LOSSES["softmax"].outcome(*there).losses)
    softmax_of = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
    np.testing.assert_allclose(cce, -(y * np.log(softmax_of)).sum(axis=1), rtol=1e-12)
    bce = device.fetch(LOSSES["sigmoid"].outcome(*there).losses)
    sigmoid_of = 1 / (1 + np.exp(-logits))
    np.testing.assert_allclose(
        bce, (-y * np.log(sigmoid_of) - (1 - y) * np.log(1 - sigmoid_of)).sum(axis=1), rtol=1e-12
    )


@pytest.mark.parametrize(("name", "limit"), [("softmax", 2.0**126), ("sigmoid", 2.0**120)])  # a sum of 26 stays finite
@given(data=st.data())
def test_no_finite_logits_break_a_loss(name, limit, data):
    logits = data.draw(hnp.arrays(np.float32, (3, 5), elements=st.floats(-limit, limit, width=32)))
    labels = data.draw(hnp.arrays(np.int64, 3, elements=st.integers(0, 4)))
    with np.errstate(over="raise", invalid="raise", divide="raise"):
        losses, _, gradient = unweighted(name, logits, labels)
    assert np.isfinite(losses).all()
    assert (losses >= 0).all()
    assert (np.abs(gradient) <= 1).all()
    assert losses.dtype == gradient.dtype == np.float32


def test_softmax_sums_to_one_and_ignores_a_shift(device):
    z = np.random.default_rng(4).normal(0, 5, (8, 26)).astype(np.float32)
    p = device.fetch(softmax(device.put(z)))
    np.testing.assert_allclose(p.sum(axis=1), 1, rtol=1e-6)
    np.testing.assert_allclose(device.fetch(softmax(device.put(z + 64))), p, rtol=1e-4)


def test_one_hot(device):
    like = device.put(np.zeros((3, 4), np.float32))
    got = one_hot(device.put(np.asarray([3, 0, 2])), like)
    assert got.dtype == like.dtype
    np.testing.assert_array_equal(device.fetch(got), np.eye(4, dtype=np.float32)[[3, 0, 2]])


@pytest.mark.parametrize("name", LOSSES)
def test_right_is_where_the_label_ranks_first(name, device):
    logits = np.random.default_rng(19).integers(-2, 3, (60, 5)).astype(np.float32)  # with many ties
    there, labels = device.put(logits), device.put(np.arange(60) % 5)
    got = device.fetch(unweighted(name, there, labels).right)
    assert got.tolist() == (device.fetch(ranks(there, labels)) == 0).tolist()
    assert 0 < got.sum() < 60
