"""The commands that hand networks over, as a user types them."""

import json
import sys
from string import ascii_uppercase

import numpy as np
import onnx
import onnxruntime
import pytest
from conftest import drawn
from PIL import Image
from scipy.io import savemat

from lettergpu import cli
from lettergpu.config import Config
from lettergpu.nn.network import Network
from lettergpu.training import checkpoint


@pytest.fixture
def lettergpu_(monkeypatch, capsys, tmp_path):
    """Runs a command; the exit code, and what was printed."""
    monkeypatch.chdir(tmp_path)

    def run(*words):
        monkeypatch.setattr(sys, "argv", ["lettergpu", *map(str, words)])
        with pytest.raises(SystemExit) as stop:
            cli.main()
        printed = capsys.readouterr()
        return stop.value.code or 0, printed.out + printed.err

    return run


@pytest.fixture
def three(tmp_path):
    """A file with an ensemble of three networks with moment normalisation and three views."""
    network = drawn(Network((784, 8, 26), members=3, moment_norm=True, views=3), 1)
    checkpoint.save(tmp_path / "three.safetensors", network, Config(hidden=(8,)), "abc")
    return network


def answered(path, images):
    session = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])
    return session.run(None, {"images": images})[0]


def test_an_export_holds_all_that_answers(three, lettergpu_, few_letters, tmp_path):
    code, said = lettergpu_("export", "three.safetensors", "three.onnx")
    assert (code, said) == (
        0,
        "three.onnx: opset 18, uint8 images (n, 28, 28) to probabilities (n, 26), "
        "with moment normalisation, 3 views, 3 networks\n",
    )
    images = few_letters.test.images[:9]
    np.testing.assert_allclose(answered("three.onnx", images), three.predict_proba(images), rtol=0, atol=1e-5)


def test_each_part_of_it_can_be_left_out(three, lettergpu_, few_letters, tmp_path):
    words = "--views", 1, "--no-moment-norm", "--member", 2, "--input", "float32"
    code, said = lettergpu_("export", "three.safetensors", "one.onnx", *words)
    assert (code, said) == (0, "one.onnx: opset 18, float32 images (n, 28, 28) to probabilities (n, 26)\n")
    alone, images = three.member(1), few_letters.test.images[:9]
    alone.moment_norm, alone.views = False, 1
    got = answered("one.onnx", np.float32(images) / 255)
    np.testing.assert_allclose(got, alone.predict_proba(images), rtol=0, atol=1e-5)
    about = {entry.key: entry.value for entry in onnx.load("one.onnx").metadata_props}
    assert [about[name] for name in ("moment_norm", "views", "members")] == ["before", "1", "1"]
    assert about["pixels"].endswith("light (1) on dark (0), moved to one place, slant and size by their moments before")


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("--input", "int8"), "--input int8: choose one of uint8, float32"),
        (("--views", "2"), "--views 2: choose one of 1, 3, 9, 27"),
        (("--member", "4"), "--member 4: three.safetensors has 3 of them"),
    ],
)
def test_what_cannot_be_exported_is_said(words, message, three, lettergpu_, tmp_path):
    assert lettergpu_("export", "three.safetensors", "a.onnx", *words) == (2, f"error: {message}\n")
    assert not (tmp_path / "a.onnx").exists()


def test_weights_of_matlab_are_evaluated_read_with_and_exported(lettergpu_, folder, few_letters, monkeypatch):
    monkeypatch.setattr("lettergpu.cli.plots.draw_evaluation", lambda *drawn: None)  # which takes seconds
    network = drawn(Network((784, 8, 26), activation="sigmoid"), 2)
    first = network.layers[0].weight.reshape(28, 28, 8).swapaxes(0, 1).reshape(784, 8)
    thetas = [np.column_stack([layer.bias, layer.weight.T]) for layer in network.layers]
    thetas[0][:, 1:] = first.T
    savemat("report.mat", {f"Theta{number}": theta for number, theta in enumerate(thetas, 1)})
    code, said = lettergpu_("import", "report.mat", "report.safetensors", "--activation", "sigmoid")
    assert (code, said) == (0, "report.safetensors: 784-8-26, sigmoid, softmax\n")
    images, labels = few_letters.test.images, few_letters.test.labels
    expected = network.predict_proba(images)
    code, said = lettergpu_("evaluate", "report.safetensors", "--data", folder, "--json")
    assert json.loads(said)["top1"] == np.mean(expected.argmax(axis=1) == labels)
    assert lettergpu_("export", "report.safetensors", "report.onnx")[0] == 0
    np.testing.assert_allclose(answered("report.onnx", images), expected, rtol=0, atol=1e-5)
    assert lettergpu_("import", "report.onnx", "again.safetensors")[0] == 0
    again = checkpoint.load("again.safetensors").predict_proba(images)
    np.testing.assert_allclose(again, expected, rtol=0, atol=1e-5)
    Image.fromarray(images[0]).save("letter.png")
    code, said = lettergpu_("predict", "letter.png", "--model", "again.safetensors", "--single", "--json")
    assert code == 0
    assert json.loads(said)[0]["text"] in ascii_uppercase


def test_what_cannot_be_imported_is_said_and_nothing_written(lettergpu_, tmp_path):
    savemat("report.mat", {"Theta1": np.ones((5, 785)), "Theta2": np.ones((26, 6))})
    code, said = lettergpu_("import", "report.mat", "report.safetensors")
    assert (code, said.count("\n")) == (2, 1)
    assert "error: weights alone do not tell the --activation: give one of identity, sigmoid" in said
    assert not (tmp_path / "report.safetensors").exists()
