"""An answer in one call into the compiled library: the same bits as by its operations one after another."""

import numpy as np
import pytest
from conftest import drawn

from lettergpu.backends import cpu
from lettergpu.nn import losses, network, warps
from lettergpu.nn.activations import ACTIVATIONS
from lettergpu.nn.network import Network

SMALLEST = 2e-38  # further left than -87.3 e^z is taken for 0
RNG = np.random.default_rng(70)
IMAGES = np.zeros((900, 28, 28), np.uint8)  # a letter fills a part of each, but for an empty one
IMAGES[:, 6:22, 4:24] = RNG.integers(0, 256, (900, 16, 20)) * (RNG.random((900, 16, 20)) < 0.6)
IMAGES[5] = 0

pytestmark = pytest.mark.usefixtures("compiled")


def made(**how):
    return drawn(Network(how.pop("sizes", (784, 300, 70, 26)), **how), 72)


@pytest.mark.parametrize("count", [1, 2, 7, 64, 385, 900])
@pytest.mark.parametrize("moment_norm", [False, True], ids=["as they are", "moved"])
@pytest.mark.parametrize("activation", ACTIVATIONS)
def test_the_bits_are_those_of_the_operations(activation, moment_norm, count):
    told = made(activation=activation, moment_norm=moment_norm)
    at_once = cpu.probabilities(IMAGES[:count], told, steepest=warps.STEEPEST, size=warps.SIZE)
    np.testing.assert_array_equal(at_once, network.probabilities.__wrapped__(IMAGES[:count], told))
    assert np.ptp(at_once, axis=0).max() > 1e-3 or count == 1
    np.testing.assert_array_equal(told.predict_proba(IMAGES[:count]), at_once)


@pytest.mark.parametrize("sizes", [(784, 26), (784, 1, 3), (784, 1100, 64, 1), (784, 256, 257, 65)], ids=str)
@pytest.mark.parametrize("count", [1, 6, 13])
def test_so_they_are_of_any_sizes(sizes, count):
    told = made(sizes=sizes)
    by_operations = network.probabilities.__wrapped__(IMAGES[:count], told)
    np.testing.assert_array_equal(told.predict_proba(IMAGES[:count]), by_operations)
    exact = Network(sizes, dtype="float64").with_parameters(told.parameters.astype(np.float64))
    np.testing.assert_allclose(by_operations, exact.predict_proba(IMAGES[:count]), rtol=1e-4, atol=1e-6)


def test_pictures_that_lie_otherwise_in_memory_are_answered_alike():
    told, locked = made(moment_norm=True), IMAGES[:20].copy()
    expected = told.predict_proba(locked)
    locked.flags.writeable = False
    for other in (np.asfortranarray(locked), np.repeat(locked, 2, axis=0)[::2], locked[::-1].copy()[::-1], locked):
        np.testing.assert_array_equal(told.predict_proba(other), expected)


@pytest.mark.parametrize(
    "how",
    [{"dtype": "float64"}, {"loss": "sigmoid"}, {"views": 3}, {"members": 2}, {"batch_norm": True}],
    ids=lambda how: next(iter(how)),
)
def test_other_networks_are_left_to_the_operations(how):
    told = made(**how)
    assert cpu.probabilities(IMAGES[:3], told, steepest=warps.STEEPEST, size=warps.SIZE) is NotImplemented
    by_operations = network.probabilities.__wrapped__(IMAGES[:3], told)
    np.testing.assert_array_equal(told.predict_proba(IMAGES[:3]), by_operations)


def test_what_is_no_picture_is_left_to_the_operations():
    told, features = made(sizes=(7, 5, 3)), np.random.default_rng(74).normal(size=(4, 7)).astype(np.float32)
    expected = losses.softmax(told.forward(features))
    np.testing.assert_array_equal(network.probabilities(features, told), expected)
    with pytest.raises(ValueError, match="reshape"):
        network.probabilities(IMAGES[:4, :20], made())
    floats = np.float64(IMAGES[:9])
    frames = warps.moment_frames.__wrapped__(floats, np.float32)
    np.testing.assert_array_equal(warps.moment_frames(floats, np.float32), frames)


def test_a_network_that_has_learnt_since_answers_anew():
    told = made()
    before = told.predict_proba(IMAGES[:1])
    told.layers[-1].bias[3] += 1.0
    told.layers[0].weight *= 0.5
    after = told.predict_proba(IMAGES[:1])
    assert np.abs(after - before).max() > 1e-3
    np.testing.assert_array_equal(after, network.probabilities.__wrapped__(IMAGES[:1], told))


@pytest.mark.parametrize("classes", [1, 2, 26, 32, 47])
def test_softmax(classes):
    logits = np.random.default_rng(73).normal(0, 20, (100, classes)).astype(np.float32)
    expected = losses.softmax.__wrapped__(logits.astype(np.float64))
    np.testing.assert_allclose(losses.softmax(logits), expected, rtol=1e-5, atol=SMALLEST)


def test_softmax_of_extreme_logits():
    logits = np.asarray([[3e38, -3e38, 0], [-200, -100, -300], [np.nan, 1, 2], [1, 0, np.nan], [np.inf, 0, 1]], "f4")
    assert cpu.softmax(logits)[0].tolist() == [1, 0, 0]
    np.testing.assert_allclose(cpu.softmax(logits)[1], [0, 1, 0], atol=SMALLEST)
    assert np.isnan(cpu.softmax(logits)[2:]).all(axis=1).all()


def test_moment_frames():
    frames = cpu.moment_frames(IMAGES, np.float32, steepest=warps.STEEPEST, size=warps.SIZE)
    assert frames.dtype == np.float32
    expected = warps.moment_frames.__wrapped__(IMAGES, np.float64)
    np.testing.assert_allclose(frames, expected, rtol=1e-5, atol=1e-4)
    line = np.zeros((4, 28, 28), np.uint8)  # as slanted, wide, tall as can be
    line[0, 20], line[1, :, 3], line[2] = 255, 9, np.eye(28) * 255
    line[3, 27, 27] = 1
    expected = warps.moment_frames.__wrapped__(line, np.float64)
    np.testing.assert_allclose(warps.moment_frames(line, np.float32), expected, rtol=1e-5, atol=1e-4)
