"""Where the CUDA kernels are tested, on the host and where there is one on a GPU; with which numbers, how exactly.

A test module that imports this is skipped where CuPy is not installed, but not where a module under test is broken.
"""

import shutil
from importlib import import_module

import numpy as np
import pytest

from lettergpu.backends.device import CPU
from lettergpu.backends.libraries import LIBRARIES, resolve

pytest.importorskip("cupy", reason="this needs pip install '.[kernels-check]'")
ml_dtypes = pytest.importorskip("ml_dtypes", reason="this needs pip install '.[kernels-check]'")
cuda_on_host = import_module("cuda_on_host")
CALLERS = [import_module(f"lettergpu.backends.{name}") for name in ("launch", "packs", "cuda_network", "cuda_batches")]
needs_compiler = pytest.mark.skipif(not shutil.which("g++"), reason="there is no g++ to compile the kernels with")

DTYPES = ["float32", "float64", "float16", "bfloat16"]
SPECIAL = [0.0, -0.0, np.inf, -np.inf, np.nan, 1e-40, -1e-40, 88.0, -88.0, -104.0, 1e30, -1e30]


def forget_kernels():
    """Those kept are CuPy's own or its stand-in's."""
    for module in CALLERS:
        for kept in vars(module).values():
            if hasattr(kept, "cache_clear"):
                kept.cache_clear()


@pytest.fixture
def host(monkeypatch):
    """CuPy's stand-in."""
    for module in CALLERS:
        monkeypatch.setattr(module, "cupy", cuda_on_host.HostCupy())
    forget_kernels()
    yield CPU
    forget_kernels()


@pytest.fixture(params=["host", pytest.param("cuda", marks=pytest.mark.cuda)])
def place(request):
    """Where the kernels run: by CuPy's stand-in on NumPy's arrays, or on a GPU."""
    if request.param == "host":
        return request.getfixturevalue("host")
    if trouble := LIBRARIES["cuda"].devices()[1]:
        pytest.skip(trouble)
    return resolve("cuda")[0]


def dtype_of(name):
    return np.dtype(ml_dtypes.bfloat16 if name == "bfloat16" else name)


def with_special(values):
    """Random values, the first of them replaced by numbers that break formulas."""
    with np.errstate(over="ignore"):  # some are infinite in float16
        values.flat[: len(SPECIAL)] = np.asarray(SPECIAL).astype(values.dtype)
    return values


def eps(dtype):
    return float(ml_dtypes.finfo(dtype).eps)


def tiny(dtype):
    """The smallest number above 0 with all its digits."""
    return float(ml_dtypes.finfo(dtype).tiny)


def close(got, expected, rtol, atol):
    """Equal but for rounding, where the result is a number; NaN and infinities alike elsewhere."""
    np.testing.assert_allclose(got.astype(np.float64), expected, rtol=rtol, atol=atol)


def layouts(place, values):
    """The values (rows, width) as arrays there of the same content that lie differently in memory."""
    there = place.namespace.asarray
    yield there(values.copy())
    yield there(values.T.copy()).T
    yield there(np.repeat(values, 2, axis=1))[:, ::2]
    yield there(values[::-1].copy())[::-1]
