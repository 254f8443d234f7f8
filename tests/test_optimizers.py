import numpy as np
import pytest

from lettergpu.optimizers import Momentum


@pytest.mark.parametrize("nesterov", [False, True])
@pytest.mark.parametrize("momentum", [0.0, 0.9])
def test_steps_follow_the_formula(momentum, nesterov, device):
    rng = np.random.default_rng(12)
    w, v = rng.normal(size=50), np.zeros(50)
    parameters = device.put(w.copy())
    optimizer = Momentum(parameters, learning_rate=0.3, momentum=momentum, nesterov=nesterov)
    for _ in range(4):
        g = rng.normal(size=50)
        v = momentum * v - 0.3 * g
        w = w + momentum * v - 0.3 * g if nesterov else w + v
        optimizer.step(parameters, device.put(g.copy()))
    np.testing.assert_allclose(device.fetch(parameters), w, rtol=1e-12)
    np.testing.assert_allclose(device.fetch(optimizer.velocity), v, rtol=1e-12)
