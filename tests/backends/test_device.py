import sys
import types
from concurrent.futures import ThreadPoolExecutor

import array_api_strict
import numpy as np
import pytest
from conftest import SECOND

from lettergpu.backends.device import CPU, Device, cuda_devices, resolve, shortage
from lettergpu.config import Config
from lettergpu.errors import LettergpuError
from lettergpu.nn.network import Network
from lettergpu.training.loop import fit


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


def test_a_missing_gpu_may_be_made_a_warning(monkeypatch):
    monkeypatch.setitem(sys.modules, "cupy", None)
    monkeypatch.setenv("LETTERGPU_CPU_FALLBACK", "1")
    with pytest.warns(UserWarning, match="--device cuda: CuPy is not installed.*; the CPU is taken instead"):
        assert resolve("cuda")[0] is CPU
    monkeypatch.setenv("LETTERGPU_CPU_FALLBACK", "0")
    with pytest.raises(LettergpuError, match="CuPy is not installed"):
        resolve("cuda")


def test_images_stay_on_the_host_where_the_device_has_no_room():
    images = np.zeros((100, 784), np.uint8)
    for free, fits in ((None, True), (2 * images.nbytes, True), (2 * images.nbytes - 1, False)):
        device = Device("test", array_api_strict, SECOND, np.asarray, lambda free=free: free)
        assert (device.put_if_it_fits(images) is images) != fits


def test_a_shortage_says_what_was_asked_and_what_is_free(monkeypatch):
    assert shortage(MemoryError("Unable to allocate 7 TiB")) == "Unable to allocate 7 TiB"
    gpu = types.SimpleNamespace(mem_info=(1000, 80_000))
    monkeypatch.setitem(sys.modules, "cupy", types.SimpleNamespace(cuda=types.SimpleNamespace(Device=lambda: gpu)))
    kind = type("OutOfMemoryError", (MemoryError,), {"__module__": "cupy.cuda.memory"})
    expected = (
        "Out of memory allocating 9,000 bytes, of the GPU's 80,000 bytes 1,000 are free, --device cpu does without"
    )
    assert shortage(kind("Out of memory allocating 9,000 bytes.")) == expected


@pytest.mark.parametrize("name", ["", "gpu", "cuda:", "cuda:-1", "cuda:x", "cpu:0"])
def test_other_names_are_refused(name):
    with pytest.raises(LettergpuError, match="choose auto, cpu, cuda or cuda:N"):
        resolve(name)


@pytest.fixture
def second():
    """The second GPU, another one being current."""
    names, trouble = cuda_devices()
    if len(names) < 2:
        pytest.skip(trouble or "there is no second GPU")
    device = resolve("cuda:1")[0]
    resolve("cuda:0")[0].use()
    return device


CONFIG = Config(hidden=(16,), batch_size=64, epochs=1, batch_norm=False)


@pytest.mark.cuda
def test_a_network_on_another_gpu_answers_whoever_asks(second):
    images = np.random.default_rng(70).integers(0, 256, (9, 28, 28)).astype(np.uint8)
    network = Network.begun(CONFIG, tuple("ABC"), second)
    expected = Network.begun(CONFIG, tuple("ABC")).predict_proba(images)
    np.testing.assert_allclose(network.predict_proba(images), expected, atol=1e-5)
    with ThreadPoolExecutor(1) as other:
        np.testing.assert_allclose(other.submit(network.predict_proba, images).result(), expected, atol=1e-5)


@pytest.mark.cuda
def test_two_gpus_train_in_turn(second, few_letters):
    *_, alone = fit(CONFIG, few_letters, device=second)
    pair = [fit(CONFIG, few_letters, device=resolve(name)[0]) for name in ("cuda:0", "cuda:1")]
    for fitting in pair:
        np.testing.assert_array_equal(next(fitting).state.parameters, alone.state.parameters)
