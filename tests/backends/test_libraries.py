"""Which libraries have devices, how they are asked for, and what is said where they are not."""

import json
import sys
import types
import warnings

import array_api_strict
import numpy as np
import pytest

from lettergpu.backends import libraries
from lettergpu.backends.device import CPU
from lettergpu.backends.libraries import FORMS, LIBRARIES, adopted, installing, resolve, to_host
from lettergpu.config import Config
from lettergpu.errors import LettergpuError
from lettergpu.nn.network import Network
from lettergpu.reading.reader import Reader
from lettergpu.study import naive
from lettergpu.training.loop import fit

CONFIG = Config(hidden=(16,), batch_size=64, epochs=3, validation="last")
ELSEWHERE = {"torch": "torch:cpu", "sycl": "sycl:cpu", "cuda": "cuda:0"}


@pytest.fixture(params=[pytest.param(name, marks=pytest.mark.cuda if name == "cuda" else ()) for name in ELSEWHERE])
def elsewhere(request):
    """A device of a library that is not NumPy."""
    if trouble := LIBRARIES[request.param].devices()[1]:
        pytest.skip(trouble)
    return resolve(ELSEWHERE[request.param])[0]


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
    found, trouble = LIBRARIES["cuda"].devices()
    assert found == []
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


@pytest.mark.parametrize(
    "name", ["", "gpu", "cuda:", "cuda:-1", "cuda:x", "cpu:0", "torch:", "torch:gpu", "torch:mps:0", "sycl:fpga", "tpu"]
)
def test_other_names_are_refused(name):
    with pytest.raises(LettergpuError) as told:
        resolve(name)
    assert str(told.value) == f"--device {name}: choose {FORMS}"


def test_a_library_that_cannot_write_in_place_is_refused():
    with pytest.raises(
        LettergpuError, match=r"--device jax: JAX's arrays cannot be written in place, .*choose auto, cpu"
    ):
        resolve("jax")


def pretend(monkeypatch, prefix, *names):
    """Have a library find these devices, of which one is opened as a tuple of its name and the precision."""
    found = [libraries.Found(name, "pretended") for name in names]
    row = types.SimpleNamespace(**vars(LIBRARIES[prefix]), devices=lambda: (found, ""))
    row.open, row.module = lambda module, found, precision: (found.name, precision), "sys"
    monkeypatch.setitem(LIBRARIES, prefix, row)


def test_a_device_is_the_first_of_its_name(monkeypatch):
    pretend(monkeypatch, "torch", "torch:cuda:0", "torch:cuda:1", "torch:cuda:10", "torch:mps", "torch:cpu")
    for asked, expected in {
        "torch": "torch:cuda:0",
        "torch:cuda": "torch:cuda:0",
        "torch:cuda:1": "torch:cuda:1",
        "torch:mps": "torch:mps",
        "torch:cpu": "torch:cpu",
    }.items():
        assert resolve(asked, "tf32") == ((expected, "tf32"), "as asked")
    with pytest.raises(LettergpuError, match=r"--device torch:xpu: PyTorch finds torch:cuda:0, .*torch:cpu here; or"):
        resolve("torch:xpu")
    monkeypatch.setenv("LETTERGPU_CPU_FALLBACK", "1")
    with pytest.warns(UserWarning, match=r"--device torch:cuda:2: PyTorch finds .*; the CPU is taken instead"):
        assert resolve("torch:cuda:2")[0] is CPU


def test_auto_is_cupy_or_the_cpu(monkeypatch):
    pretend(monkeypatch, "torch", "torch:cuda:0")
    monkeypatch.setitem(sys.modules, "cupy", None)
    assert resolve("auto")[0] is CPU
    pretend(monkeypatch, "cuda", "cuda:0", "cuda:1")
    assert resolve("auto") == (("cuda:0", "float32"), "a GPU is usable")


def test_bf16_is_the_cpus_alone(monkeypatch):
    pretend(monkeypatch, "cuda", "cuda:0")
    for asked in ("auto", "cuda"):
        with pytest.raises(LettergpuError, match=r"--precision bf16: cuda:0 has none; say --device cpu, or .* tf32"):
            resolve(asked, "bf16")


@pytest.mark.parametrize(
    ("origin", "command"),
    [
        ({"url": "file:///home/x", "dir_info": {"editable": True}}, "pip install -e '.[torch]'"),
        ({"url": "file:///home/x", "dir_info": {}}, "pip install 'lettergpu[torch]'"),
        (None, "pip install 'lettergpu[torch]'"),
    ],
)
def test_what_is_missing_is_installed_as_lettergpu_was(origin, command, monkeypatch):
    text = None if origin is None else json.dumps(origin)
    monkeypatch.setattr(libraries, "distribution", lambda name: types.SimpleNamespace(read_text=lambda file: text))
    assert installing("torch") == command
    assert installing("cuda13").endswith("(or cuda12, as nvidia-smi says)")


def test_arrays_go_to_the_host_and_back(elsewhere):
    array = np.arange(6, dtype=np.int64).reshape(2, 3)
    there = adopted(array, elsewhere)
    assert type(there) is not np.ndarray
    np.testing.assert_array_equal(to_host(there), array)
    assert type(adopted(there, CPU)) is np.ndarray
    assert adopted(there, elsewhere) is there
    strict = array_api_strict.asarray(array)
    np.testing.assert_array_equal(elsewhere.fetch(adopted(strict, elsewhere)), array)


def test_probabilities_are_where_the_images_are(elsewhere):
    images = np.random.default_rng(71).integers(0, 256, (9, 28, 28)).astype(np.uint8)
    expected = Network.begun(CONFIG, tuple("ABC")).predict_proba(images)
    for network in (Network.begun(CONFIG, tuple("ABC")), Network.begun(CONFIG, tuple("ABC"), elsewhere)):
        for given in (images, elsewhere.put(images), array_api_strict.asarray(images)):
            found = network.predict_proba(given)
            assert type(found) is type(given)
            np.testing.assert_allclose(to_host(found), expected, atol=1e-5)
            assert type(network.predict_proba(given[:0, ...])) is type(given)
        logits = network.forward(elsewhere.put(np.zeros((2, 784), np.float32)))
        assert type(logits) is type(network.parameters)
        with pytest.raises(ValueError, match="images must be uint8"):
            network.predict_proba(elsewhere.put(images.astype(np.float32)))


def test_pictures_are_read_from_any_array(elsewhere):
    page = np.full((40, 40), 255, np.uint8)
    page[8:32, 18:22] = 0
    expected = Reader.of().read(page, form="single").table()
    assert Reader.of().read(elsewhere.put(page), form="single").table() == expected
    found = Reader.of(device=elsewhere).read(page, form="single")
    assert found.text == expected["text"]


def test_a_training_elsewhere_has_numpys_losses_and_goes_on_there(elsewhere, few_letters):
    ours, theirs = (list(fit(CONFIG, few_letters, device=device)) for device in (CPU, elsewhere))
    for one, other in zip(ours, theirs, strict=True):
        assert (other.train_loss, other.val_loss) == pytest.approx((one.train_loss, one.val_loss), rel=1e-4)
    begun = next(iter(fit(CONFIG, few_letters, device=elsewhere))).state
    *_, resumed = fit(CONFIG, few_letters, state=begun)
    assert resumed.val_loss == pytest.approx(ours[-1].val_loss, rel=1e-4)


@pytest.mark.parametrize("changes", [{"augment": "elastic"}, {"augment": "rotate", "loss": "sigmoid"}], ids=str)
def test_without_float64_none_is_asked_for(changes, few_letters):
    """As on Apple's GPUs: PyTorch's own operations are watched."""
    torch = pytest.importorskip("torch")

    class Watching(torch.overrides.TorchFunctionMode):
        def __torch_function__(self, function, types, arguments=(), options=None):
            made = function(*arguments, **(options or {}))
            assert not (isinstance(made, torch.Tensor) and made.dtype == torch.float64), function
            return made

    config = Config(hidden=(16,), batch_size=64, epochs=1, class_weight="balanced", ensemble=2, **changes)
    whole = resolve("torch:cpu")[0]
    narrow = type(whole)(**{**vars(whole), "float64": False})
    with Watching():
        (report,) = fit(config, few_letters, device=narrow)
        report.network.predict_proba(few_letters.test.images)
        naive.run("Stable_he", few_letters.train, 26, narrow)
    with pytest.raises(AssertionError), Watching():
        list(fit(config, few_letters, device=whole))


def test_nothing_is_warned_of(elsewhere, few_letters):
    frozen = few_letters.train.images.copy()
    frozen.flags.writeable = False
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        np.testing.assert_array_equal(to_host(elsewhere.put(frozen)), frozen)
