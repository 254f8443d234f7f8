import numpy as np
import pytest

from lettergpu.backends.device import CPU
from lettergpu.nn.network import Network
from lettergpu.training.calibration import calibrate
from lettergpu.training.metrics import evaluate


def network_of(device, loss="softmax"):
    network = Network((784, 20, 26), activation="mish", loss=loss, device=device)
    network.initialize(np.random.default_rng(70), "he")
    return network


def letters_of(network):
    """Random images, labelled by lot as the network says that it is likely, so that its probabilities are right."""
    rng = np.random.default_rng(71)
    images = rng.integers(0, 256, (6000, 28, 28)).astype(np.uint8)
    p = network.predict_proba(images).astype(np.float64)
    labels = (p.cumsum(axis=1) / p.sum(axis=1, keepdims=True) < rng.random((6000, 1))).sum(axis=1)
    return images, labels


@pytest.mark.parametrize("factor", [0.3, 1.0, 4.0])
def test_a_network_too_sure_or_too_unsure_is_set_right(factor, device):
    network = network_of(device)
    images, labels = letters_of(network)
    before = evaluate(network, images, labels)
    for parameters in (network.layers[-1].weight, network.layers[-1].bias):
        parameters *= factor
    assert calibrate(network, images, labels, np.ones(26)) == pytest.approx(factor, rel=0.05)
    after = evaluate(network, images, labels)
    assert after.loss <= before.loss + 1e-6
    assert after.calibration_error() < 0.02
    np.testing.assert_array_equal(after.predicted, before.predicted)


def test_rare_classes_count_for_more_where_they_should():
    network = network_of(CPU)
    images, labels = letters_of(network)
    labels[labels == 3] = 4  # the network is wrong about this class alone
    weights = np.ones(26)
    even = calibrate(network, images, labels, weights)
    weights[4] = 20.0
    assert calibrate(network, images, labels, weights) > 1.1 * even


def test_separate_sigmoids_are_calibrated_by_their_own_loss():
    network = network_of(CPU, "sigmoid")
    images, labels = letters_of(network)
    calibrate(network, images, labels, np.ones(26))
    least = evaluate(network, images, labels).loss
    for factor in (0.98, 1.02):
        network.layers[-1].weight *= factor
        network.layers[-1].bias *= factor
        assert evaluate(network, images, labels).loss > least
        network.layers[-1].weight /= factor
        network.layers[-1].bias /= factor
