import math
from itertools import pairwise

import numpy as np
import pytest
from conftest import drawn, unweighted

from lettergpu.backends.device import CPU
from lettergpu.nn.activations import ACTIVATIONS
from lettergpu.nn.initializers import INITIALIZERS
from lettergpu.nn.layers import EPSILON
from lettergpu.nn.losses import LOSSES
from lettergpu.nn.network import Network, layout, parameter_count
from lettergpu.nn.warps import composed, moment_frames, moved, view_maps

SIZES = (9, 6, 5, 4)


def small_network(activation="tanhexp", loss="softmax", sizes=SIZES, device=CPU, dtype="float64", batch_norm=False):
    network = Network(sizes, activation=activation, loss=loss, device=device, dtype=dtype, batch_norm=batch_norm)
    network.initialize(np.random.default_rng(5), "report")
    return network


def loss_of(network, x, labels):
    return unweighted(network.loss, network.forward(x, keep=True), labels).losses.sum()


@pytest.mark.parametrize("batch_norm", [False, True], ids=["plain", "normalised"])
@pytest.mark.parametrize("loss", LOSSES)
@pytest.mark.parametrize("sizes", [SIZES, (9, 4)], ids=["two hidden layers", "perceptron"])
@pytest.mark.parametrize("activation", ACTIVATIONS)
def test_every_gradient_is_the_derivative(activation, loss, sizes, batch_norm):
    network = small_network(activation, loss, sizes, batch_norm=batch_norm)
    rng = np.random.default_rng(6)
    for layer in network.layers[:-1] if batch_norm else ():
        layer.scale[...] = rng.uniform(0.5, 2.0, layer.scale.shape)
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


@pytest.mark.parametrize("batch_norm", [False, True], ids=["plain", "normalised"])
@pytest.mark.parametrize("shared", [False, True], ids=["pixels for each", "pixels for all"])
@pytest.mark.parametrize(("dtype", "rtol"), [("float64", 1e-10), ("float32", 1e-3)])
def test_members_of_an_ensemble_are_networks_of_their_own(dtype, rtol, shared, batch_norm, device):
    ensemble = drawn(Network(SIZES, device=device, dtype=dtype, batch_norm=batch_norm, members=3), 30)
    alone = [ensemble.member(number) for number in range(3)]
    rng = np.random.default_rng(31)
    x, gradient = (
        device.put(rng.normal(size=shape).astype(dtype)) for shape in ((7, 9) if shared else (3, 7, 9), (3, 7, 4))
    )
    logits = ensemble.forward(x, keep=True)
    ensemble.backward(gradient)
    gradients = ensemble.with_parameters(device.fetch(ensemble.gradients))
    assert abs(device.fetch(ensemble.gradients)).max() > 0.1
    for number, member in enumerate(alone):
        own = member.forward(x if shared else x[number, ...], keep=True)
        member.backward(gradient[number, ...])
        pairs = [
            (logits[number, ...], own),
            (gradients.member(number).parameters, member.gradients),
            (ensemble.member(number).parameters, member.parameters),  # with its running means and variances
        ]
        for its, own in pairs:
            np.testing.assert_allclose(device.fetch(its), device.fetch(own), rtol=rtol, atol=rtol / 100)


def test_an_ensemble_answers_with_the_mean_of_its_members(device):
    ensemble = drawn(Network((784, 5, 4), device=device, views=3, members=2), 32)
    images = np.random.default_rng(33).integers(0, 256, (6, 28, 28)).astype(np.uint8)

    def logits(network):
        flat = images.reshape(6, 784)
        return np.concatenate([device.fetch(part) for _, part in network.answers(flat)])

    assert ensemble.member(0).views == 3
    both = [logits(ensemble.member(number)) for number in range(2)]
    assert abs(both[0] - both[1]).max() > 0.1
    np.testing.assert_allclose(logits(ensemble), (both[0] + both[1]) / 2, rtol=1e-4, atol=1e-5)
    np.testing.assert_array_equal(ensemble.hidden(images)[0], ensemble.member(0).hidden(images)[0])


@pytest.fixture
def trained():
    """A normalised network, its batches of pixels, and what its layers hold of them."""
    network = small_network(batch_norm=True)
    rng = np.random.default_rng(12)
    batches = [rng.gamma(0.3, size=(40, 9)) for _ in range(200)]
    for x in batches:
        network.forward(x, keep=True)
    return network, np.concatenate(batches)


def test_running_means_and_variances_are_those_of_the_batches(trained):
    network, x = trained
    z = x @ network.layers[0].weight
    np.testing.assert_allclose(network.layers[0].mean, z.mean(axis=0), atol=0.1 * z.std())
    np.testing.assert_allclose(network.layers[0].variance, z.var(axis=0), rtol=0.2)


def test_the_first_batch_is_all_that_is_held_of_none():
    network, x = small_network(batch_norm=True), np.random.default_rng(13).random((5, 9))
    logits = network.forward(x, keep=True)
    np.testing.assert_allclose(network.forward(x), logits, rtol=1e-9)


def test_a_network_that_does_not_learn_stays_as_it_is(trained):
    network, x = trained
    before = network.parameters.copy()
    network.forward(x[:7])
    np.testing.assert_array_equal(network.parameters, before)


def test_folded_is_the_same_network_of_plain_layers(trained):
    network, x = trained
    plain = network.folded()
    assert plain.parameters.shape == (parameter_count(SIZES),)
    np.testing.assert_allclose(plain.forward(x), network.forward(x), rtol=1e-10)
    z = (x @ network.layers[0].weight - network.layers[0].mean) / np.sqrt(network.layers[0].variance + EPSILON)
    y = z * network.layers[0].scale + network.layers[0].bias
    np.testing.assert_allclose(plain.layers[0].forward(x), network.layers[0].activation.value(y), rtol=1e-10)


def test_normalised_layers_are_the_same_everywhere(device):
    rng = np.random.default_rng(14)
    x, labels, gradients = rng.random((10, 9)).astype(np.float32), rng.integers(0, 4, 10), []
    for where, dtype in ((CPU, "float64"), (device, "float32")):
        network = small_network(batch_norm=True, device=where, dtype=dtype)
        there = where.put(x.astype(dtype))
        for add in (False, True):
            outcome = unweighted("softmax", network.forward(there, keep=True), where.put(labels))
            network.backward(outcome.gradient, add=add)
        gradients.append((where.fetch(network.gradients), where.fetch(network.parameters)))
    for ours, exact in zip(gradients[1], gradients[0], strict=True):
        np.testing.assert_allclose(ours, exact, rtol=1e-3, atol=2e-5)


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


def test_an_ensembles_weights_come_before_its_biases():
    ensemble = Network(SIZES, members=3, batch_norm=True)
    assert ensemble.weight_count == 3 * (9 * 6 + 6 * 5 + 5 * 4)
    for layer in ensemble.layers:
        layer.weight[...] = 1.0
    assert ensemble.parameters[: ensemble.weight_count].all()
    assert not ensemble.parameters[ensemble.weight_count :].any()


def test_layout_covers_the_vector_without_gaps():
    table = layout((784, 512, 256, 128, 26))
    spans = sorted((offset, offset + math.prod(shape)) for offset, shape in table.values())
    assert spans[0][0] == 0
    assert all(a[1] == b[0] for a, b in pairwise(spans))
    assert spans[-1][1] == parameter_count((784, 512, 256, 128, 26)) == 569_498


@pytest.mark.parametrize(("hidden", "count"), [((), 20_410), ((64,), 51_930), ((512,), 415_258), ((512, 256), 539_930)])
def test_parameter_counts_are_the_reports(hidden, count):
    assert parameter_count((784, *hidden, 26)) == count


@pytest.mark.parametrize("init", sorted(INITIALIZERS.keys() - {"zeros"}))
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


@pytest.mark.parametrize("activation", ["relu", "tanhexp"])
@pytest.mark.parametrize("batch_norm", [False, True])
def test_from_zeros_no_weight_ever_changes(activation, batch_norm, device):
    xp = device.namespace
    network = Network((784, 30, 20, 26), activation=activation, batch_norm=batch_norm, device=device)
    network.initialize(np.random.default_rng(9), "zeros")
    pixels = device.put(np.random.default_rng(10).random((50, 784), np.float32))
    logits = network.forward(pixels, keep=True)
    assert not device.fetch(logits).any()
    network.backward(xp.astype(device.put(np.random.default_rng(11).normal(size=(50, 26))), logits.dtype))
    assert all(not device.fetch(layer.weight_gradient).any() for layer in network.layers)
    assert device.fetch(network.layers[-1].bias_gradient).any()


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


@pytest.mark.parametrize("moment_norm", [False, True])
def test_views_are_averaged(moment_norm, device):
    network = Network((784, 30, 26), moment_norm=moment_norm, views=9, device=device)
    network.initialize(np.random.default_rng(10), "xavier")
    images = np.random.default_rng(11).integers(0, 256, (5, 28, 28)).astype(np.uint8)
    xp = device.namespace
    there = device.put(images)
    frames = moment_frames(there, xp.float32) if moment_norm else device.put(np.stack([np.eye(2, 3, dtype="f4")] * 5))
    each = []
    for view in np.asarray(view_maps(9, 28, 28), np.float32):
        maps = composed(frames, device.put(np.stack([view] * 5)))
        pixels = moved(xp.astype(there, xp.float32), maps) / 255
        each.append(device.fetch(network.forward(xp.reshape(pixels, (5, 784)))))
    ((_, logits),) = network.answers(images)
    np.testing.assert_allclose(device.fetch(logits), np.mean(each, axis=0), rtol=1e-3, atol=1e-4)
    assert np.std(each, axis=0).min() > 1e-4
    straight = network.hidden(images)[0]
    seen = moved(images / 255.0, moment_frames(images, np.float64)) if moment_norm else images / 255.0
    np.testing.assert_allclose(network.seen(images), 255 * seen, atol=0.51)
    network.views = 1
    np.testing.assert_allclose(straight, network.hidden(images)[0], atol=1e-5)


def test_moments_are_taken_from_letters_before_they_are_answered(device):
    plain, network = (Network((784, 30, 26), moment_norm=moment_norm, device=device) for moment_norm in (False, True))
    for each in (plain, network):
        each.initialize(np.random.default_rng(10), "xavier")
    images = np.zeros((2050, 28, 28), np.uint8)
    images[:, 8:20, 4:24] = np.random.default_rng(11).integers(0, 256, (2050, 12, 20))
    xp = device.namespace
    there = device.put(images)
    pixels = moved(xp.astype(there, xp.float32), moment_frames(there, xp.float32)) / 255
    expected = plain.forward(xp.reshape(pixels, (2050, 784)))
    got = np.concatenate([device.fetch(logits) for _, logits in network.answers(images)])
    np.testing.assert_allclose(got, device.fetch(expected), rtol=1e-3, atol=1e-4)
    assert np.abs(got - np.concatenate([device.fetch(z) for _, z in plain.answers(images)])).max() > 0.1
    hidden = [device.fetch(plain.layers[0].forward(xp.reshape(pixels, (2050, 784))))]
    np.testing.assert_allclose(network.hidden(images)[0], hidden[0], rtol=1e-3, atol=1e-4)


@pytest.mark.parametrize(
    "images", [np.zeros((2, 28, 28)), np.zeros((28, 28), np.uint8), np.zeros((1, 14, 56), np.uint8)], ids=np.shape
)
def test_predict_proba_refuses_other_images(images):
    with pytest.raises(ValueError, match="images must be uint8"):
        Network((784, 26)).predict_proba(images)
