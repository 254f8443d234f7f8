from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import lettergpu
from lettergpu.backends.device import CPU
from lettergpu.nn.activations import ACTIVATIONS

# straight from the report, in long double, which reaches e^11356: good to check against for |z| <= 700
EXACT = {
    "identity": lambda z: z,
    "sigmoid": lambda z: 1 / (1 + np.exp(-z)),
    "tanh": np.tanh,
    "relu": lambda z: np.where(z < 0, 0, z),
    "leaky_relu": lambda z: np.where(z < 0, np.longdouble("0.01") * z, z),
    "swish": lambda z: z / (1 + np.exp(-z)),
    "mish": lambda z: z * np.tanh(np.log1p(np.exp(z))),
    "tanhexp": lambda z: z * np.tanh(np.exp(z)),
}
EXACT_SLOPE = {
    "identity": np.ones_like,
    "sigmoid": lambda z: np.exp(-z) / (1 + np.exp(-z)) ** 2,
    "tanh": lambda z: 1 / np.cosh(z) ** 2,
    "relu": lambda z: np.where(z < 0, 0, 1),
    "leaky_relu": lambda z: np.where(z < 0, np.longdouble("0.01"), 1),
    "swish": lambda z: 1 / (1 + np.exp(-z)) * (1 + z / (1 + np.exp(z))),
    "mish": lambda z: (
        np.exp(z)
        * (4 * np.exp(2 * z) + np.exp(3 * z) + 4 * (1 + z) + np.exp(z) * (6 + 4 * z))
        / (2 + 2 * np.exp(z) + np.exp(2 * z)) ** 2
    ),
    "tanhexp": lambda z: np.tanh(np.exp(z)) + z * np.exp(z) / np.cosh(np.minimum(np.exp(z), 5000)) ** 2,
}
GRID = np.concatenate(
    [np.linspace(-110, 110, 40001), np.geomspace(1e-30, 700, 2000), -np.geomspace(1e-30, 700, 2000), [0.0, -0.0]]
)


def test_every_activation_is_checked():
    assert set(EXACT) == set(EXACT_SLOPE) == set(ACTIVATIONS)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("name", ACTIVATIONS)
def test_value_and_slope_are_the_reports(name, dtype, device):
    z = GRID.astype(dtype)
    eps, tiny = np.finfo(dtype).eps, np.finfo(dtype).tiny
    there = device.put(z)
    value, slope = ACTIVATIONS[name].value(there), ACTIVATIONS[name].slope(there)
    assert value.dtype == there.dtype
    assert slope.dtype == there.dtype
    wide = z.astype(np.longdouble)
    # where a GPU takes e^z for 0, as it may a subnormal number, z e^z is 0 too, of a z down to ln(tiny / 2^23)
    lost = 104 * tiny if "cupy" in device.namespace.__name__ and dtype == "float32" else 4 * tiny
    np.testing.assert_allclose(device.fetch(value), EXACT[name](wide).astype(dtype), rtol=6 * eps, atol=lost)
    # a slope has zeros, near which only the error against the slope's own scale, 1, can be small
    np.testing.assert_allclose(device.fetch(slope), EXACT_SLOPE[name](wide).astype(dtype), rtol=9 * eps, atol=eps)


@pytest.mark.parametrize("name", ACTIVATIONS)
@given(z=st.floats(allow_nan=False, width=32))
def test_any_float32_gives_a_sane_result(name, z):
    z = np.asarray([z], dtype=np.float32)
    with np.errstate(over="raise", invalid="raise", divide="raise"):
        value, slope = ACTIVATIONS[name].value(z), ACTIVATIONS[name].slope(z)
    assert not np.isnan(value)
    assert np.isfinite(slope)
    assert np.abs(value) <= np.maximum(np.abs(z), 1)
    assert -0.2 <= slope <= 1.2


LIMITS = {
    "identity": (-np.inf, np.inf, 1, 1),
    "sigmoid": (0, 1, 0, 0),
    "tanh": (-1, 1, 0, 0),
    "relu": (0, np.inf, 0, 1),
    "leaky_relu": (-np.inf, np.inf, 0.01, 1),
    "swish": (0, np.inf, 0, 1),
    "mish": (0, np.inf, 0, 1),
    "tanhexp": (0, np.inf, 0, 1),
}


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("name", ACTIVATIONS)
def test_limits_at_infinity(name, dtype):
    z = np.asarray([-np.inf, np.inf], dtype=dtype)
    got = [*ACTIVATIONS[name].value(z), *ACTIVATIONS[name].slope(z)]
    np.testing.assert_array_equal(got, np.asarray(LIMITS[name], dtype=dtype))


@pytest.mark.parametrize("name", ACTIVATIONS)
def test_slope_is_the_derivative_of_value(name):
    z = np.linspace(-6, 6, 1001) + 1e-3  # no point within a step of the kinks at 0
    h = 1e-6
    value = ACTIVATIONS[name].value
    numeric = (value(z + h) - value(z - h)) / (2 * h)
    np.testing.assert_allclose(ACTIVATIONS[name].slope(z), numeric, atol=1e-9)


@pytest.mark.parametrize("name", ACTIVATIONS)
def test_nan_stays_nan(name):
    z = CPU.put(np.asarray([np.nan, 1.0], dtype=np.float32))
    assert np.isnan(ACTIVATIONS[name].value(z)).tolist() == [True, False]


def test_nothing_reads_back_from_the_device():
    """array-api-compat's clip for CuPy indexes with a mask, and the host waits for its length: unseen on NumPy."""
    folder = Path(lettergpu.__file__).parent
    for room in ("nn", "training"):
        for file in (folder / room).glob("*.py"):
            assert "xp.clip(" not in file.read_text(), file
