"""Products whose factors are rounded to bfloat16, where the processor has AMX, and what is said where it has not."""

import ctypes
import os
import platform
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from conftest import numpy_by
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from lettergpu import Config, fit
from lettergpu.backends import cpu, host
from lettergpu.backends.device import CPU
from lettergpu.backends.libraries import resolve
from lettergpu.errors import LettergpuError
from lettergpu.nn.activations import ACTIVATIONS
from lettergpu.training.runs import Run

EPS = np.finfo(np.float32).eps
IDENTITY = ACTIVATIONS["identity"]
REFUSED = "--precision bf16: it takes Linux, a processor with amx_bf16"
CONFIG = Config(hidden=(70, 33), epochs=4, device="cpu", precision="bf16", batch_size=96)
SIZES = [(256, 784, 512), (5, 2500, 65), (2100, 40, 70), (40, 7, 1100), (1, 784, 26)]


def has_amx():
    """Whether the processor has it and the system lets this process use it, as seen without the kernels."""
    flags = Path("/proc/cpuinfo")
    if platform.machine() != "x86_64" or not flags.exists() or "amx_bf16" not in flags.read_text().split():
        return False
    return ctypes.CDLL(None).syscall(158, 0x1023, 18) == 0  # arch_prctl(ARCH_REQ_XCOMP_PERM, XTILEDATA)


@pytest.fixture
def rounding():
    """The precision is the whole process's, so it is given back."""
    if host.library()[1].startswith("there is no C++ compiler") or not has_amx():
        pytest.skip("there is no AMX here, or no compiler")
    assert resolve("cpu", "bf16") == (CPU, "as asked")
    yield
    resolve("cpu")


def rounded(array):
    """To the nearest number of 8 significant bits, ties to even, as float64."""
    bits = array.view(np.uint32)
    return ((bits + 0x7FFF + (bits >> 16 & 1)) & 0xFFFF0000).view(np.float32).astype(np.float64)


def whole(rng, *shape):
    """Whole numbers, of which those above 256 have to be rounded, every other of these from a tie.

    Products and sums of them are exact in float32, in whatever order they are added, up to 46 of them for certain.
    """
    return rng.integers(-300, 301, shape).astype(np.float32)


def products(x, weight, delta):
    """The three of a layer, by the kernels: forward, the gradients of weights, added to 1, and of inputs."""
    value, _ = cpu.dense(x, weight, None, IDENTITY, True)
    sums = np.ones_like(weight)
    cpu.set_gradients(sums, np.zeros(weight.shape[1], np.float32), x, delta, True)
    return value, sums, cpu.gradient_of_input(delta, weight)


def expected(x, weight, delta):
    x, weight, delta = rounded(x), rounded(weight), rounded(delta)
    return x @ weight, 1 + x.T @ delta, delta @ weight.T


def assert_exact(rows, fan_in, fan_out, seed=0):
    rng = np.random.default_rng(seed)
    arrays = whole(rng, rows, fan_in), whole(rng, fan_in, fan_out), whole(rng, rows, fan_out)
    for got, exact in zip(products(*arrays), expected(*arrays), strict=True):
        np.testing.assert_array_equal(got, exact)


def test_the_reference_rounds_to_the_nearest_and_ties_to_even():
    given_, made = [256, 257, 258, 259, 261, 263, -257, -259, 1.0, 0.1], [256, 256, 258, 260, 260, 264, -256, -260, 1.0]
    np.testing.assert_array_equal(rounded(np.asarray(given_, np.float32)), [*made, 0.10009765625])


@settings(max_examples=200, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(*[st.integers(0, 46)] * 3, st.integers(0, 2**32 - 1))
def test_products_of_whole_numbers_are_exact(rounding, rows, fan_in, fan_out, seed):
    assert_exact(rows, fan_in, fan_out, seed)


@settings(max_examples=50, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    rows=st.integers(1, 300), fan_in=st.integers(1, 300), fan_out=st.integers(1, 140), seed=st.integers(0, 2**32 - 1)
)
def test_products_are_those_of_rounded_factors(rounding, rows, fan_in, fan_out, seed):
    """Within the rounding of each of the sums, which are of float32."""
    rng = np.random.default_rng(seed)
    shapes = (rows, fan_in), (fan_in, fan_out), (rows, fan_out)
    arrays = [rng.normal(size=shape).astype(np.float32) for shape in shapes]
    most = expected(*map(np.abs, arrays))  # what the terms would come to without their signs
    for got, exact, scale, terms in zip(
        products(*arrays), expected(*arrays), most, (fan_in, rows, fan_out), strict=True
    ):
        assert np.all(abs(got - exact) <= (terms + 1) * EPS * scale)


@pytest.mark.parametrize("sizes", SIZES)
def test_larger_products_are_exact_by_any_number_of_threads(sizes, rounding):
    """Deeper than what is summed up at once, and wide enough for all threads; these numbers add up to below 2^24."""
    try:
        for threads in (1, 2, 3):
            host.library()[0].use_threads(threads)
            assert_exact(*sizes)
    finally:
        host.library()[0].use_threads(host.threads())


@pytest.mark.parametrize("name", ["tanhexp", "relu"])
def test_bias_and_activation_are_not_rounded(name, rounding):
    rng = np.random.default_rng(1)
    x, weight, bias = (rng.normal(size=shape).astype(np.float32) for shape in ((70, 33), (33, 90), (90,)))
    value, slope = cpu.dense(x, weight, bias, ACTIVATIONS[name], True)
    z = rounded(x) @ rounded(weight) + bias
    np.testing.assert_allclose(value, ACTIVATIONS[name].value(z), rtol=1e-5, atol=1e-5)
    np.testing.assert_allclose(slope.values, ACTIVATIONS[name].slope(z), rtol=1e-4, atol=1e-4)


def test_what_is_no_number_stays_in_its_row(rounding):
    rng = np.random.default_rng(2)
    x, weight = whole(rng, 45, 37), whole(rng, 37, 50)
    exact = rounded(x) @ rounded(weight)
    x[3, 36], x[44, 0] = np.nan, np.inf
    value, _ = cpu.dense(x, weight, None, IDENTITY, True)
    assert np.isnan(value[3]).all()
    assert not np.isfinite(value[44]).any()
    others = [row for row in range(45) if row not in (3, 44)]
    np.testing.assert_array_equal(value[others], exact[others])


def test_float32_is_back_for_whoever_asks_for_it(rounding):
    factors = np.full((1, 1), 257.0, np.float32), np.ones((1, 1), np.float32)
    assert cpu.dense(*factors, None, IDENTITY, True)[0] == 256.0
    resolve("cpu")
    assert cpu.dense(*factors, None, IDENTITY, True)[0] == 257.0


def losses_and_end(config, letters, state=None):
    reports = list(fit(config, letters, state=state))
    return [report.train_loss for report in reports], reports[-1].state.parameters.tobytes(), reports[0].state


def test_a_training_follows_float32s_and_goes_on_to_the_bit(rounding, few_letters):
    losses, end, first = losses_and_end(CONFIG, few_letters)
    exact, other, _ = losses_and_end(replace(CONFIG, precision="float32"), few_letters)
    np.testing.assert_allclose(losses, exact, rtol=0.02)
    assert end != other
    later, again, _ = losses_and_end(CONFIG, few_letters, first)
    assert (later, again) == (losses[1:], end)


def test_without_the_kernels_it_is_refused():
    with numpy_by(None), pytest.raises(LettergpuError, match=REFUSED):
        resolve("cpu", "bf16")


def elsewhere(*words, cwd):
    """`lettergpu train` with kernels that know nothing of AMX, as the compiler is told to forget it."""
    command = [sys.executable, "-m", "lettergpu", "train", *words]
    environment = {**os.environ, "CXX": "c++ -mno-amx-bf16"}
    return subprocess.run(command, env=environment, cwd=cwd, capture_output=True, text=True)


def test_kernels_compiled_without_it_refuse_it_in_a_line(tmp_path):
    done = elsewhere("--precision", "bf16", "--device", "cpu", "--out", "run", cwd=tmp_path)
    assert (done.returncode, done.stdout, len(done.stderr.splitlines())) == (2, "", 1), done.stderr
    assert REFUSED in done.stderr
    assert not list(tmp_path.iterdir())  # nothing was begun


def test_a_run_goes_on_where_there_is_none(folder, few_letters, tmp_path):
    with Run.create(tmp_path / "run", replace(CONFIG, data=str(folder), epochs=1), few_letters):
        pass
    assert REFUSED in elsewhere("--resume", "run", cwd=tmp_path).stderr
    done = elsewhere("--resume", "run", "--precision", "float32", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert Config.from_file(tmp_path / "run" / "config.toml").precision == "float32"
