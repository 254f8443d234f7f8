"""Ten steps of a tiny network, known beforehand: each loss, each gradient tensor, and where the parameters end.

golden.safetensors holds the letters of ten batches, the parameters to begin with, and what came of them, in float64 by
the generic formulas on NumPy. It was made once, at the commit that brought it, by

    python -c 'import sys; sys.path.insert(0, "tests"); from training import test_golden; test_golden.make()'

and is not to be made anew for a change that should not change the mathematics. What else computes, computes this, but
for how its sums are rounded: to 1e-9 of the largest in a tensor in float64, and in float32 to 2e-5, as ten steps with
momentum multiply a difference in the last of 24 bits.
"""

from pathlib import Path

import numpy as np
import pytest
from conftest import numpy_by
from safetensors.numpy import load_file, save_file

from lettergpu.backends.device import CPU
from lettergpu.nn.losses import LOSSES
from lettergpu.nn.network import Network
from lettergpu.nn.pixels import to_floats
from lettergpu.training.optimizers import Momentum

GOLDEN = Path(__file__).with_name("golden.safetensors")
SIZES, STEPS, BATCH = (16, 11, 6, 5), 10, 12
TOLERANCE = {"float64": 1e-9, "float32": 2e-5}


def steps(held, device, dtype):
    """The network, and of each step the loss and, before the parameters are moved, the gradients, on the host."""
    xp = device.namespace
    network = Network(SIZES, activation="tanhexp", batch_norm=True, device=device, dtype=dtype)
    network.parameters[...] = xp.astype(device.put(held["begin"]), network.parameters.dtype)
    settings = {"learning_rate": 0.2, "momentum": 0.9, "nesterov": True, "l2": 1e-2, "decayed": network.weight_count}
    optimizer = Momentum(network.parameters, **settings)
    weights = xp.astype(device.put(held["class_weights"]), network.parameters.dtype)
    for images, labels in zip(held["images"], held["labels"], strict=True):
        logits = network.forward(to_floats(device.put(images), network.parameters.dtype), keep=True)
        outcome = LOSSES["softmax"].outcome(logits, device.put(labels), weights, BATCH, 0.1)
        loss = float(xp.sum(outcome.losses)) / BATCH
        network.backward(outcome.gradient)
        gradients = device.fetch(network.gradients).copy()
        optimizer.step(network.parameters, network.gradients)
        yield network, loss, gradients


@pytest.mark.parametrize("dtype", TOLERANCE)
def test_ten_steps_come_to_the_known_losses_and_gradients(dtype, device):
    if dtype == "float64" and not device.float64:
        pytest.skip("there is no float64 there")
    golden = load_file(GOLDEN)
    *_, (network, _, _) = found = list(steps(golden, device, dtype))
    np.testing.assert_allclose([loss for _, loss, _ in found], golden["losses"], rtol=TOLERANCE[dtype])
    for number, (_, _, gradients) in enumerate(found):
        assert_alike(network, gradients, golden["gradients"][number], TOLERANCE[dtype])
    assert_alike(network, device.fetch(network.parameters), golden["end"], TOLERANCE[dtype])


def assert_alike(network, got, expected, tolerance):
    """Tensor by tensor: a difference counts beside the largest number in it."""
    for name, (offset, shape) in network.layout.items():
        part = slice(offset, offset + int(np.prod(shape)))
        atol = tolerance * np.abs(expected[part]).max()
        np.testing.assert_allclose(got[part], expected[part], rtol=0, atol=atol, err_msg=name)


def make():
    """Write golden.safetensors."""
    rng = np.random.default_rng(2024)
    begun = Network(SIZES, activation="tanhexp", batch_norm=True, dtype="float64")
    begun.initialize(rng, "he")
    held = {
        "images": rng.integers(0, 256, (STEPS, BATCH, SIZES[0])).astype(np.uint8),
        "labels": rng.integers(0, SIZES[-1], (STEPS, BATCH)),
        "class_weights": rng.uniform(0.5, 2.0, SIZES[-1]),
        "begin": begun.parameters,
    }
    with numpy_by(None):
        networks, losses, gradients = zip(*steps(held, CPU, "float64"), strict=True)
    came = {"losses": np.asarray(losses), "gradients": np.stack(gradients), "end": networks[-1].parameters}
    save_file(held | came, GOLDEN)
