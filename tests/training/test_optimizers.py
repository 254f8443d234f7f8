import numpy as np
import pytest

from lettergpu.training.optimizers import Momentum


@pytest.mark.parametrize("l2", [0.0, 0.5])
@pytest.mark.parametrize("nesterov", [False, True])
@pytest.mark.parametrize("momentum", [0.0, 0.9])
def test_steps_follow_the_formula(momentum, nesterov, l2, device):
    rng = np.random.default_rng(12)
    w, v = rng.normal(size=50), np.zeros(50)
    parameters = device.put(w.copy())
    optimizer = Momentum(parameters, learning_rate=0.3, momentum=momentum, nesterov=nesterov, l2=l2, decayed=30)
    for _ in range(4):
        given = rng.normal(size=50)
        g = given + l2 * np.where(np.arange(50) < 30, w, 0)
        v = momentum * v - 0.3 * g
        w = w + momentum * v - 0.3 * g if nesterov else w + v
        optimizer.step(parameters, device.put(given.copy()))
    np.testing.assert_allclose(device.fetch(parameters), w, rtol=1e-12)
    np.testing.assert_allclose(device.fetch(optimizer.velocity), v, rtol=1e-12)
