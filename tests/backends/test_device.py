import sys
import types
from concurrent.futures import ThreadPoolExecutor

import array_api_strict
import numpy as np
import pytest
from conftest import SECOND

from lettergpu.backends.device import Device, shortage
from lettergpu.backends.libraries import LIBRARIES, resolve
from lettergpu.config import Config
from lettergpu.nn.network import Network
from lettergpu.training.loop import fit


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


@pytest.fixture
def second():
    """The second GPU, another one being current."""
    names, trouble = LIBRARIES["cuda"].devices()
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
