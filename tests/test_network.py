import math
from itertools import pairwise

import numpy as np
import pytest
from conftest import unweighted

from lettergpu.activations import ACTIVATIONS
from lettergpu.device import CPU
from lettergpu.initializers import INITIALIZERS
from lettergpu.losses import LOSSES
from lettergpu.network import Network, layout, parameter_count

SIZES = (9, 6, 5, 4)


def small_network(activation="tanhexp", loss="softmax", sizes=SIZES, device=CPU, dtype="float64"):
    network = Network(sizes, activation=activation, loss=loss, device=device, dtype=dtype)
    network.initialize(np.random.default_rng(5), "report")
    return network


def loss_of(network, x, labels):
    return unweighted(network.loss, network.forward(x), labels).losses.sum()


@pytest.mark.parametrize("loss", LOSSES)
@pytest.mark.parametrize("sizes", [SIZES, (9, 4)], ids=["two hidden layers", "perceptron"])
@pytest.mark.parametrize("activation", ACTIVATIONS)
def test_every_gradient_is_the_derivative(activation, loss, sizes):
    network = small_network(activation, loss, sizes)
    rng = np.random.default_rng(6)
    x, labels = rng.random((7, 9)), rng.integers(0, 4, 7)
    network.backward(unweighted(loss, network.forward(x, keep=True), labels).gradient)
    h = 1e-6
    for i in range(len(network.parameters)):
        before = network.parameters[i]
        network.parameters[i] = before + h
        up = loss_of(network, x, labels)
        network.parameters[i] = before - h
        down = loss_of(network, x, labels)
        network.parameters[i] = before
        assert network.gradients[i] == pytest.approx((up - down) / (2 * h), abs=2e-8), i


def test_layers_give_the_gradient_of_their_input():
    layer = small_network().layers[0]
    rng = np.random.default_rng(7)
    x, upstream = rng.random((3, 9)), rng.normal(size=(3, 6))
    layer.forward(x, keep=True)
    got, h = layer.backward(upstream), 1e-6
    for i in np.ndindex(x.shape):
        step = np.zeros_like(x)
        step[i] = h
        numeric = ((layer.forward(x + step) - layer.forward(x - step)) * upstream).sum() / (2 * h)
        assert got[i] == pytest.approx(numeric, abs=1e-8)


def test_pieces_of_a_batch_add_up_to_it(device):
    network = small_network(device=device)
    rng = np.random.default_rng(8)
    x, labels = device.put(rng.random((10, 9))), device.put(rng.integers(0, 4, 10))

    def backward(rows, add):
        outcome = unweighted("softmax", network.forward(x[rows, ...], keep=True), labels[rows])
        network.backward(outcome.gradient, add=add)
        return device.fetch(network.gradients).copy()

    whole = backward(slice(0, 10), add=False)
    backward(slice(0, 4), add=False)
    np.testing.assert_allclose(backward(slice(4, 10), add=True), whole, rtol=1e-12, atol=1e-14)


def test_layers_are_writable_views_of_one_vector(device):
    network = Network(SIZES, device=device)
    assert [layer.weight.shape for layer in network.layers] == [(9, 6), (6, 5), (5, 4)]
    assert [layer.bias.shape for layer in network.layers] == [(6,), (5,), (4,)]
    network.layers[1].weight[2, 3] = 7.0
    network.layers[2].bias[...] = 2.0
    vector = device.fetch(network.parameters)
    offset, shape = network.layout["layers.1.weight"]
    assert vector[offset + 2 * shape[1] + 3] == 7.0
    assert vector[-4:].tolist() == [2.0] * 4
    assert network.weight_count == 9 * 6 + 6 * 5 + 5 * 4
    network.parameters[: network.weight_count] = 0.0
    assert device.fetch(network.parameters).sum() == 8.0


def test_layout_covers_the_vector_without_gaps():
    table = layout((784, 512, 256, 128, 26))
    spans = sorted((offset, offset + math.prod(shape)) for offset, shape in table.values())
    assert spans[0][0] == 0
    assert all(a[1] == b[0] for a, b in pairwise(spans))
    assert spans[-1][1] == parameter_count((784, 512, 256, 128, 26)) == 569_498


@pytest.mark.parametrize(("hidden", "count"), [((), 20_410), ((64,), 51_930), ((512,), 415_258), ((512, 256), 539_930)])
def test_parameter_counts_are_the_reports(hidden, count):
    assert parameter_count((784, *hidden, 26)) == count


@pytest.mark.parametrize("init", INITIALIZERS)
def test_initial_weights_are_spread_as_said(init, device):
    network = Network((784, 512, 26), device=device)
    network.initialize(np.random.default_rng(9), init)
    weight, bias = device.fetch(network.layers[0].weight), device.fetch(network.layers[0].bias)
    limit = 1 / math.sqrt(784) if init == "uniform" else math.sqrt(6 / (784 + 512))
    deviation = math.sqrt(2 / 784) if init == "he" else limit / math.sqrt(3)
    assert weight.std() == pytest.approx(deviation, rel=0.01)
    assert abs(weight.mean()) < 0.01 * deviation
    assert init == "he" or abs(weight).max() <= limit
    assert bias.std() == pytest.approx(limit / math.sqrt(3), rel=0.1) if init == "report" else not bias.any()


def test_predict_proba(device):
    network = Network((784, 30, 26), device=device)
    network.initialize(np.random.default_rng(10), "xavier")
    images = np.random.default_rng(11).integers(0, 256, (2050, 28, 28)).astype(np.uint8)  # more than one chunk
    p = network.predict_proba(images)
    assert p.shape == (2050, 26)
    assert p.dtype == np.float32
    np.testing.assert_allclose(p.sum(axis=1), 1, rtol=1e-5)
    np.testing.assert_allclose(network.predict_proba(np.asfortranarray(images[-3:])), p[-3:], rtol=1e-4)
    assert network.predict_proba(images[:0]).shape == (0, 26)


@pytest.mark.parametrize(
    "images", [np.zeros((2, 28, 28)), np.zeros((28, 28), np.uint8), np.zeros((1, 14, 56), np.uint8)], ids=np.shape
)
def test_predict_proba_refuses_other_images(images):
    with pytest.raises(ValueError, match="images must be uint8"):
        Network((784, 26)).predict_proba(images)
