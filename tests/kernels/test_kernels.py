"""The kernels' text, compiled by the host's C++ compiler."""

import ctypes
import importlib.util
import json
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from lettergpu.kernels import FORMULAS, source

from lettergpu.nn.activations import ACTIVATIONS, LEAK

BENCH = Path(__file__).parents[2] / "bench" / "kernels"


@pytest.fixture(scope="module")
def compiler():
    if not shutil.which("g++"):
        pytest.skip("there is no g++ to compile the kernels with")
    return "g++"


@pytest.fixture(scope="module")
def library(compiler, tmp_path_factory):
    """A shared library with a loop over each function, for float and double."""
    folder = tmp_path_factory.mktemp("kernels")
    text = source("activations.cuh") + "using namespace lettergpu;\n"
    for name, expression in FORMULAS.items():
        for part in ("value", "slope"):
            for kind in ("float", "double"):
                text += (
                    f'extern "C" void {name}_{part}_{kind}(const {kind}* x, {kind}* y, long n) {{ using C = {kind};'
                    f" for (long i = 0; i < n; i++) {{ const C z_ = x[i];"
                    f" y[i] = {expression.format(part, leak=LEAK)}; }} }}\n"
                )
    (folder / "all.cpp").write_text(text)
    command = [compiler, "-O2", "-Wall", "-Werror", "-Wno-unused-function", "-shared", "-fPIC", "-o"]
    subprocess.run([*command, folder / "all.so", folder / "all.cpp"], check=True)
    return ctypes.CDLL(str(folder / "all.so"))


def call(library, name, part, z):
    result = np.empty_like(z)
    kind = {"float32": "float", "float64": "double"}[z.dtype.name]
    pointers = [ctypes.c_void_p(array.ctypes.data) for array in (z, result)]
    getattr(library, f"{name}_{part}_{kind}")(*pointers, ctypes.c_long(z.size))
    return result


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("part", ["value", "slope"])
@pytest.mark.parametrize("name", FORMULAS)
def test_kernels_compute_the_generic_formulas(name, part, dtype, library):
    widest = 110 if dtype == "float32" else 760
    z = np.concatenate([np.linspace(-widest, widest, 40_001), np.geomspace(1e-30, 1e30, 4001), [0.0, -0.0]])
    z = np.concatenate([z, -z]).astype(dtype)
    generic = getattr(ACTIVATIONS[name], part)(z.astype(np.float64))
    eps, tiny = np.finfo(dtype).eps, np.finfo(dtype).tiny
    near_zero = eps if part == "slope" else 0
    np.testing.assert_allclose(call(library, name, part, z), generic, rtol=8 * eps, atol=near_zero + 4 * tiny)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("name", FORMULAS)
def test_limits_and_nan(name, dtype, library):
    z = np.asarray([-np.inf, np.inf, np.nan], dtype)
    for part in ("value", "slope"):
        expected = getattr(ACTIVATIONS[name], part)(z[:2])
        got = call(library, name, part, z)
        np.testing.assert_array_equal(got[:2], expected)
        assert np.isnan(got[2]) or (part == "slope" and name in ("relu", "leaky_relu"))


def test_one_float_in_997_is_within_the_bars_and_every_half(compiler):
    """As g++ compiles the functions, and where CuPy is installed as CUDA's compiler does."""
    command = [sys.executable, BENCH / "ulp.py", "--step", "997", "--json", "-"]
    table = json.loads(subprocess.run(command, check=True, capture_output=True, text=True).stdout)
    for name in FORMULAS:
        assert f"{name.replace('_', ' ')} value" in table["rows"]
        if importlib.util.find_spec("cupy"):
            assert f"{name.replace('_', ' ')} value, cuda" in table["rows"]
    for name, row in (table["rows"] | table["half"]).items():
        assert row["checked"] > 60_000
        assert row["holds"], (name, row)
