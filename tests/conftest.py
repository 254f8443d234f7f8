"""Every namespace that the mathematics must run on, letters to run it with, and a browser for the pages."""

import gzip
import os
import shutil
from contextlib import contextmanager, nullcontext
from pathlib import Path

import array_api_strict
import numpy as np
import pytest
from array_api_compat import array_namespace
from array_api_compat import device as array_device

from lettergpu.backends import dispatch, host
from lettergpu.backends.device import CPU, Device
from lettergpu.backends.libraries import LIBRARIES, resolve
from lettergpu.data.emnist import file_names
from lettergpu.data.letters import Examples, Letters
from lettergpu.data.splits import SPLITS
from lettergpu.nn.losses import LOSSES

SECOND = array_api_strict.Device("device1")  # a pretend GPU: touching it from the host raises

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
QUIET = ["--headless=new", "--no-sandbox", "--disable-gpu", "--no-first-run", "--disable-sync"]
QUIET += ["--disable-background-networking", "--disable-component-update"]


def _fetch_strict(array):
    return np.array(array.to_device(array_api_strict.Device("CPU_DEVICE")))


def _strict(name, handle):
    return Device(name, array_api_strict, handle, _fetch_strict)


DEVICES = {
    "numpy": lambda: CPU,
    "numpy-formulas": lambda: CPU,
    "strict": lambda: _strict("strict", None),
    "strict-device1": lambda: _strict("strict-device1", SECOND),
    "torch": lambda: resolve("torch:cpu")[0],
    "dpnp": lambda: resolve("sycl:cpu")[0],
    "cupy": lambda: resolve("cuda")[0],
    "cupy-replayed": lambda: resolve("cuda")[0],
}


@pytest.fixture(params=[pytest.param(name, marks=pytest.mark.cuda if "cupy" in name else ()) for name in DEVICES])
def device(request, monkeypatch):
    """NumPy, also by the generic formulas alone, array_api_strict on both of its devices.

    PyTorch and dpnp on the CPU, where they are installed. CuPy, if there is a GPU, step by step and with steps that are
    recorded and replayed.
    """
    library = {"torch": "torch", "dpnp": "sycl", "cupy": "cuda", "cupy-replayed": "cuda"}.get(request.param)
    if library and (trouble := LIBRARIES[library].devices()[1]):
        pytest.skip(trouble)
    monkeypatch.setenv("LETTERGPU_REPLAY", str(int(request.param != "cupy")))
    with numpy_by(None) if request.param == "numpy-formulas" else nullcontext():
        yield DEVICES[request.param]()


@pytest.fixture
def compiled():
    """Where there is no compiler there is nothing to test."""
    found, why = host.library()
    if found is None and why.startswith("there is no C++ compiler"):
        pytest.skip(why)
    assert found is not None, why


@contextmanager
def numpy_by(modules):
    """NumPy's operations are those of these modules, or with None the generic formulas."""
    kept = dict(dispatch.NATIVE)
    dispatch.NATIVE["numpy"] = modules
    if modules is None:
        del dispatch.NATIVE["numpy"]
    dispatch.native.cache_clear()
    try:
        yield
    finally:
        dispatch.NATIVE.clear()
        dispatch.NATIVE.update(kept)
        dispatch.native.cache_clear()


@pytest.fixture(scope="session")
def emnist():
    """The folder of real letters."""
    folder = os.environ.get("LETTERGPU_EMNIST")
    if not folder:
        pytest.skip("LETTERGPU_EMNIST names no folder with EMNIST's letters")
    return Path(folder)


@pytest.fixture(autouse=True)
def cache(tmp_path_factory, monkeypatch):
    """A cache folder of the tests' own, shared by all of them."""
    folder = tmp_path_factory.getbasetemp() / "cache"
    monkeypatch.setenv("LETTERGPU_CACHE", str(folder))
    return folder


@pytest.fixture(scope="session")
def few_letters():
    """400 + 80 noisy random patterns of four classes, learnable in an epoch or two."""
    rng = np.random.default_rng(0)
    prototypes = np.kron(rng.integers(0, 256, (26, 7, 7)), np.ones((4, 4), int))

    def examples(count):
        labels = rng.integers(0, 4, count)
        noise = rng.integers(0, 256, (count, 28, 28))
        return Examples(((prototypes[labels] + noise) // 2).astype(np.uint8), labels.astype(np.int64))

    return Letters(examples(400), examples(80), SPLITS["letters"].classes, "test", "letters made for tests")


def drawn(ensemble, seed):
    """The ensemble, each member with parameters of its own: seed, seed + 1, ..."""
    for number in range(ensemble.members):
        member = ensemble.member(number)
        member.initialize(np.random.default_rng(seed + number), "report")
        ensemble.set_member(number, member)
    return ensemble


def unweighted(loss, logits, labels):
    """The outcome of a loss in which every row counts the same and the gradient is that of the sum."""
    xp = array_namespace(logits)
    ones = xp.ones(logits.shape[-1], dtype=logits.dtype, device=array_device(logits))
    return LOSSES[loss].outcome(logits, labels, ones, 1)


def write_idx(path, array):
    """An IDX file of bytes, gzipped if its name says so."""
    content = bytes((0, 0, 8, array.ndim)) + np.asarray(array.shape, ">u4").tobytes() + array.astype(np.uint8).tobytes()
    path.write_bytes(gzip.compress(content, 1) if path.suffix == ".gz" else content)


def write_split(folder, letters, split="letters", ending=".gz"):
    """The four files of a split, as EMNIST's authors would have written them."""
    folder.mkdir(exist_ok=True)
    for part in ("train", "test"):
        examples = getattr(letters, part)
        images, labels = (folder / (name + ending) for name in file_names(split, part))
        write_idx(images, examples.images.swapaxes(1, 2))
        write_idx(labels, examples.labels + SPLITS[split].first_label)
    return folder


@pytest.fixture
def folder(tmp_path, few_letters):
    """`few_letters` as a folder of IDX files."""
    return write_split(tmp_path / "data", few_letters)


@pytest.fixture(scope="module")
def launch():
    """Starts a browser, with arguments more than the usual ones."""
    if not CHROMIUM:
        pytest.skip("no Chromium is installed")
    from playwright import sync_api as playwright

    browsers = []
    with playwright.sync_playwright() as play:

        def launch(*arguments):
            browsers.append(play.chromium.launch(executable_path=CHROMIUM, args=[*QUIET, *arguments]))
            return browsers[-1]

        yield launch
        for browser in browsers:
            browser.close()


@pytest.fixture(scope="module")
def browser(launch):
    return launch()


@pytest.fixture
def visit(browser):
    """Opens a page; at the end nothing must have been fetched from elsewhere, and no script have failed."""
    opened, wrong = [], []

    def visit(port, path="", **options):
        page = browser.new_context(**options).new_page()
        address = f"http://127.0.0.1:{port}/"
        page.set_default_timeout(30_000)
        page.on("pageerror", lambda error: wrong.append(str(error)))
        page.on("console", lambda message: wrong.append(message.text) if "Content Security" in message.text else None)
        page.on("request", lambda request: None if request.url.startswith(address) else wrong.append(request.url))
        page.goto(address + path)
        opened.append(page)
        return page

    yield visit
    for page in opened:
        page.context.close()
    assert not wrong
