"""MATLAB's weights as a network, beside the network that they were taken from."""

from string import ascii_uppercase

import numpy as np
import pytest
from conftest import drawn
from scipy.io import savemat

from lettergpu.errors import LettergpuError
from lettergpu.interop import layers, weights
from lettergpu.nn.network import Network

CLOSE = {"rtol": 0, "atol": 1e-6}
IMAGES = np.random.default_rng(4).integers(0, 256, (6, 28, 28)).astype(np.uint8)


def begun(*hidden, **options):
    return drawn(Network((784, *hidden, 26), classes=ascii_uppercase, members=1, **options), 6)


def thetas(network, *, transposed=True, white=1.0):
    """The parameters as the report's: a matrix a layer, the bias in the first column."""
    found = {}
    for number, layer in enumerate(network.layers, 1):
        weight = layer.weight.astype(np.float64)
        if number == 1 and transposed:
            weight = weight.reshape(28, 28, -1).transpose(1, 0, 2).reshape(weight.shape)
        weight = weight / white if number == 1 else weight
        found[f"Theta{number}"] = np.column_stack([layer.bias, weight.T])
    return found


def as_mat(folder, held):
    savemat(path := folder / "weights.mat", held)
    return path


@pytest.mark.parametrize("hidden", [(), (1,), (20,), (12, 8, 6)])
def test_matlabs_weights_answer_as_they_did_there(hidden, tmp_path):
    network = begun(*hidden, activation="tanh")
    found = weights.read(as_mat(tmp_path, thetas(network)), activation="tanh" if hidden else None)
    np.testing.assert_allclose(found.network.predict_proba(IMAGES), network.predict_proba(IMAGES), **CLOSE)
    assert found.network.classes == tuple(ascii_uppercase)
    assert (found.config.hidden, found.config.split, found.config.moment_norm) == (hidden, "letters", False)


def test_what_a_mat_does_not_tell_can_be_said(tmp_path):
    network = begun(9, activation="swish", loss="sigmoid")
    path = as_mat(tmp_path, thetas(network, transposed=False, white=255.0))
    said = {"activation": "swish", "loss": "sigmoid", "orientation": "upright", "white": 255.0}
    names = [f"letter {name}" for name in ascii_uppercase]
    found = weights.read(path, **said, classes=",".join(names)).network
    np.testing.assert_allclose(found.predict_proba(IMAGES), network.predict_proba(IMAGES), **CLOSE)
    assert found.classes == tuple(names)


@pytest.mark.parametrize(
    ("held", "said", "message"),
    [
        ({"W": np.eye(3)}, {}, "has no Theta1: the weights of the layers are to be Theta1, Theta2"),
        ({"Theta2": np.ones((26, 785))}, {}, "has no Theta1"),
        ({"Theta1": np.ones((26, 784))}, {}, "Theta1 is 26 x 784; it must be nodes x 785, the bias in the first"),
        ({"Theta1": np.ones((785, 26))}, {}, "Theta1 is 785 x 26"),
        ({"Theta1": np.ones((2, 5, 785))}, {}, "Theta1 is no matrix of numbers"),
        ({"Theta1": np.ones((26, 785)) * 1j}, {}, "Theta1 is no matrix of numbers"),
        ({"Theta1": "abc"}, {}, "Theta1 is no matrix of numbers"),
        ({"Theta1": {"a": 1}}, {}, "Theta1 is no matrix of numbers"),
        (
            {"Theta1": np.ones((9, 785)), "Theta2": np.ones((26, 9))},
            {},
            "weights from 8 to 26 nodes follow a layer",
        ),
        ({"Theta1": np.ones((1, 785))}, {}, "it has 1 classes, not 2 to 1,000"),
        ({"Theta1": np.ones((1001, 785))}, {}, "it has 1,001 classes, not 2 to 1,000"),
        ({"Theta1": np.full((26, 785), np.nan)}, {}, "hold NaN, infinity, or numbers beyond what float32 holds"),
        ({"Theta1": np.full((26, 785), 1e39)}, {}, "hold NaN, infinity, or numbers beyond what float32 holds"),
        ({"Theta1": np.full((26, 785), 1e36)}, {"white": 1e5}, "hold NaN, infinity, or numbers beyond"),
        (
            {"Theta1": np.ones((9, 785)), "Theta2": np.ones((26, 10))},
            {},
            "do not tell the --activation: give one",
        ),
        ({"Theta1": np.ones((25, 785))}, {}, "it has 25 classes, which no split of EMNIST has: name them, --classes"),
        ({"Theta1": np.ones((26, 785))}, {"classes": "A,B"}, "it has 26 classes, but not as many names"),
        ({"Theta1": np.ones((26, 785))}, {"classes": "A," * 25 + "A"}, "it has 26 classes, but not as many names"),
        ({"Theta1": np.ones((26, 785))}, {"loss": "mse"}, "--loss mse: choose one of softmax, sigmoid"),
        ({"Theta1": np.ones((26, 785))}, {"activation": "gelu"}, "--activation gelu: choose one of"),
        ({"Theta1": np.ones((26, 785))}, {"orientation": "lying"}, "--orientation lying: choose one of auto, upright"),
        ({"Theta1": np.ones((26, 785))}, {"white": 0.0}, r"--white 0.0: give what a white pixel is"),
        ({"Theta1": np.ones((26, 785))}, {"white": float("nan")}, r"--white nan: give what a white pixel is"),
    ],
)
def test_a_mat_of_anything_else_is_refused(held, said, message, tmp_path):
    with pytest.raises(LettergpuError, match=message):
        weights.read(as_mat(tmp_path, held), **said)


def test_a_network_beyond_all_that_is_usual_is_refused(tmp_path, monkeypatch):
    path = as_mat(tmp_path, thetas(begun()))
    monkeypatch.setattr(layers, "MOST", 20_000)
    with pytest.raises(LettergpuError, match="it has more than 20,000 weights"):
        weights.read(path)
    savemat(path, {f"Theta{i}": np.ones((784, 785)) for i in range(1, 1 + 5)})
    with pytest.raises(LettergpuError, match="it has more than 20,000 weights"):
        weights.read(path)


@pytest.mark.parametrize("name", ["a.mat", "a.onnx", "a.txt", "a"])
def test_files_that_are_not_there_or_of_no_kind_are_named(name, tmp_path):
    expected = "No such file" if "." in name[1:] and name != "a.txt" else r"give a file of MATLAB's, .mat, or of ONNX"
    with pytest.raises(LettergpuError, match=expected):
        weights.read(tmp_path / name)
    (tmp_path / name).write_bytes(b"\x00" * 200)
    with pytest.raises(
        LettergpuError, match=r"is damaged, or no |has no Theta1|give a file of"
    ):  # as SciPy's release is
        weights.read(tmp_path / name)
