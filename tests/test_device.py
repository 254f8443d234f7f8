import sys
import types

import pytest

from lettergpu.device import CPU, cuda_devices, resolve
from lettergpu.errors import LettergpuError


def cupy_with(count, product):
    """A stand-in for CuPy on a machine whose driver, or whose libraries, do not work."""
    runtime = types.SimpleNamespace(getDeviceCount=count, getDeviceProperties=lambda i: {"name": b"GPU of this test"})
    return types.SimpleNamespace(cuda=types.SimpleNamespace(runtime=runtime), ones=product)


def fail(error):
    def failing(*args):
        raise error

    return failing


@pytest.mark.parametrize(
    ("cupy", "reason"),
    [
        (None, "CuPy is not installed"),
        (cupy_with(fail(RuntimeError("no driver\nand more")), None), r"cannot use an NVIDIA GPU here \(no driver\)"),
        (cupy_with(lambda: 1, fail(OSError())), r"cannot use an NVIDIA GPU here \(OSError\)"),
        (cupy_with(lambda: 0, None), "CuPy finds no NVIDIA GPU"),
    ],
    ids=["no CuPy", "no driver", "no cuBLAS", "no GPU"],
)
def test_a_gpu_that_cannot_be_used_says_why(cupy, reason, monkeypatch):
    monkeypatch.setitem(sys.modules, "cupy", cupy)
    names, trouble = cuda_devices()
    assert names == []
    assert resolve("auto") == (CPU, trouble)
    for name in ("cuda", "cuda:0"):
        with pytest.raises(LettergpuError, match=f"--device {name}: .*{reason}.*--device cpu"):
            resolve(name)


@pytest.mark.parametrize("name", ["", "gpu", "cuda:", "cuda:-1", "cuda:x", "cpu:0"])
def test_other_names_are_refused(name):
    with pytest.raises(LettergpuError, match="choose auto, cpu, cuda or cuda:N"):
        resolve(name)
