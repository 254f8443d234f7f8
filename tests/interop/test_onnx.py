"""A network in onnxruntime, beside the same network here."""

import json
import sys

import numpy as np
import onnx
import onnxruntime
import pytest
from conftest import drawn

import lettergpu
from lettergpu.config import CHOICES, Config
from lettergpu.data.letters import load_test
from lettergpu.errors import LettergpuError
from lettergpu.interop.onnx import export, model_of
from lettergpu.nn.network import Network
from lettergpu.training import checkpoint
from lettergpu.training.checkpoint import Checkpoint

CLOSE = 1e-5


def in_onnxruntime(network, images, pixels="uint8"):
    """The probabilities of the exported network, whose file is a valid one."""
    model = model_of(network, pixels)
    onnx.checker.check_model(model, full_check=True)
    session = onnxruntime.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
    return session.run(["probabilities"], {"images": images})[0]


def begun(sizes=(784, 24, 16, 26), members=1, **options):
    """A network, or several, as a training begins with, but surer of what they say."""
    network = drawn(Network(sizes, members=members, **options), 5)
    network.layers[-1].weight *= 8
    return network


@pytest.fixture(scope="module")
def images(few_letters):
    """Noisy ones, and such as have no ink, or all that they can, or a point at the edge."""
    images = few_letters.test.images[:40].copy()
    images[:3] = 0
    images[1] = 255
    images[2, 27, 0] = 1
    return images


@pytest.mark.parametrize("activation", CHOICES["activation"])
def test_every_activation_answers_as_here(activation, emnist):
    letters, _ = load_test(str(emnist), "letters")
    network, some = begun(activation=activation, moment_norm=True), letters.images[::20]
    expected = network.predict_proba(some)
    assert expected.std() > 0.02
    np.testing.assert_allclose(in_onnxruntime(network, some), expected, rtol=0, atol=CLOSE)


WITHIN = [{}, {"moment_norm": True}, {"views": 9}, {"members": 3}, {"loss": "sigmoid"}, {"sizes": (784, 26)}]
WITHIN += [{"moment_norm": True, "views": 27, "members": 2}, {"batch_norm": True}]


@pytest.mark.parametrize("options", WITHIN, ids=str)
def test_all_that_is_within_a_network_answers_as_here(options, images):
    network = begun(activation="mish", **options)
    if options.get("batch_norm"):
        network.forward((images.reshape(-1, 784) / 255).astype(np.float32), keep=True)
    expected = network.predict_proba(images)
    np.testing.assert_allclose(in_onnxruntime(network, images), expected, rtol=0, atol=CLOSE)


@pytest.mark.parametrize("moment_norm", [False, True])
def test_floats_from_0_to_1_are_answered_as_the_bytes_that_they_are(moment_norm, images):
    network = begun(moment_norm=moment_norm)
    got = in_onnxruntime(network, np.float32(images) / 255, "float32")
    np.testing.assert_allclose(got, network.predict_proba(images), rtol=0, atol=CLOSE)


def test_the_network_in_the_package_answers_as_here(emnist):
    letters, _ = load_test(str(emnist), "letters")
    boxed, some = lettergpu.load("boxed"), letters.images[::80]
    np.testing.assert_allclose(in_onnxruntime(boxed, some), boxed.predict_proba(some), rtol=0, atol=CLOSE)


@pytest.mark.parametrize("count", [1, 7])
def test_any_number_of_images_is_answered(count, images):
    assert in_onnxruntime(begun(moment_norm=True, views=3), images[:count]).shape == (count, 26)


def test_the_file_tells_what_it_is_for(tmp_path):
    found = checkpoint.read(checkpoint.BOXED)
    export(found, path := tmp_path / "new" / "boxed.onnx")
    model = onnx.load(path)
    about = {entry.key: entry.value for entry in model.metadata_props}
    assert json.loads(about["classes"]) == list(found.network.classes)
    assert about["fingerprint"] == found.fingerprint != ""
    assert (about["lettergpu"], model.producer_version) == (lettergpu.__version__,) * 2
    assert [about[name] for name in ("moment_norm", "views", "members")] == ["within", "27", "1"]
    assert (about["activation"], about["loss"]) == ("tanhexp", "softmax")
    assert "light (255) on dark (0), moved to one place, slant and size by their moments within" in about["pixels"]
    assert [(each.domain, each.version) for each in model.opset_import] == [("", 18)]


def test_without_the_package_it_says_what_to_install(monkeypatch, tmp_path):
    monkeypatch.setitem(sys.modules, "onnx", None)
    with pytest.raises(LettergpuError, match=r"need the package onnx: pip install 'lettergpu\[onnx\]'"):
        export(Checkpoint(begun(), Config(), "", None), tmp_path / "a.onnx")
    assert not (tmp_path / "a.onnx").exists()


def test_what_no_file_of_onnx_can_hold_is_refused(monkeypatch, tmp_path):
    monkeypatch.setattr("lettergpu.interop.onnx.MOST", 1000)
    with pytest.raises(LettergpuError, match=r"a.onnx: a file of ONNX holds at most 2 GB"):
        export(Checkpoint(begun(), Config(), "", None), tmp_path / "a.onnx")
