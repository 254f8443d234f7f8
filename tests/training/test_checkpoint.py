import json
from contextlib import suppress
from pathlib import Path
from string import ascii_uppercase

import numpy as np
import pytest
from conftest import drawn
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from safetensors import SafetensorError, safe_open
from safetensors.numpy import load_file, save_file

import lettergpu
from lettergpu.config import Config
from lettergpu.errors import LettergpuError
from lettergpu.nn.network import Network
from lettergpu.training import checkpoint
from lettergpu.training.loop import State


@pytest.fixture
def network(device):
    options = {"activation": "mish", "loss": "sigmoid", "moment_norm": True, "views": 3}
    network = Network((784, 20, 26), classes=ascii_uppercase, device=device, **options)
    network.initialize(np.random.default_rng(17), "report")
    return network


def header(path):
    """The texts in a file's header."""
    with safe_open(path, framework="np") as file:
        return file.metadata()


@pytest.fixture
def saved(tmp_path):
    network = Network((784, 20, 26))
    network.initialize(np.random.default_rng(18), "xavier")
    checkpoint.save(tmp_path / "best.safetensors", network, Config(hidden=(20,)), "abc")
    return tmp_path / "best.safetensors"


def test_a_network_comes_back_the_same(network, tmp_path, device):
    checkpoint.save(path := tmp_path / "n.safetensors", network, Config(), "abc")
    images = np.random.default_rng(19).integers(0, 256, (4, 28, 28)).astype(np.uint8)
    again = lettergpu.load(path)
    assert (again.sizes, again.activation, again.loss, again.classes, again.moment_norm, again.views) == (
        (784, 20, 26),
        "mish",
        "sigmoid",
        tuple(ascii_uppercase),
        True,
        3,
    )
    np.testing.assert_array_equal(again.parameters, device.fetch(network.parameters))
    np.testing.assert_allclose(again.predict_proba(images), network.predict_proba(images), rtol=1e-3, atol=1e-6)
    np.testing.assert_array_equal(device.fetch(checkpoint.load(path, device).parameters), again.parameters)


def test_an_ensemble_comes_back_the_same(tmp_path, device):
    options = {"classes": ascii_uppercase, "device": device, "batch_norm": True, "members": 3}
    ensemble = drawn(Network((784, 20, 26), **options), 22)
    checkpoint.save(path := tmp_path / "n.safetensors", ensemble, Config(), "abc")
    images = np.random.default_rng(25).integers(0, 256, (4, 28, 28)).astype(np.uint8)
    again = checkpoint.load(path, device)
    assert (again.members, again.batch_norm, again.layers[0].weight.shape) == (3, False, (3, 784, 20))
    np.testing.assert_array_equal(again.predict_proba(images), ensemble.folded().predict_proba(images))


def test_a_state_comes_back_the_same(tmp_path):
    network = Network((784, 26))
    vectors = [np.random.default_rng(i).normal(size=20_410).astype(np.float32) for i in range(3)]
    state = State(7, vectors[0], vectors[1], 5, 0.1 + 0.2, vectors[2])
    checkpoint.save(path := tmp_path / "last.safetensors", network, Config(hidden=()), "abc", state)
    found = checkpoint.read(path)
    assert found.fingerprint == "abc"
    assert found.config == Config(hidden=())
    assert (found.state.epoch, found.state.best_epoch, found.state.best_loss) == (7, 5, 0.1 + 0.2)
    np.testing.assert_array_equal(found.state.parameters, vectors[0])
    np.testing.assert_array_equal(found.state.velocity, vectors[1])
    np.testing.assert_array_equal(found.state.best_parameters, vectors[2])


def test_a_normalised_network_is_written_as_plain_layers_and_its_state_as_it_is(tmp_path):
    network = Network((784, 20, 26), batch_norm=True)
    network.initialize(np.random.default_rng(20), "he")
    images = np.random.default_rng(21).integers(0, 256, (50, 28, 28)).astype(np.uint8)
    network.forward((images / 255).reshape(50, 784).astype(np.float32), keep=True)
    best, now = network.parameters.copy(), network.parameters + 1
    expected = network.predict_proba(images)
    state = State(7, now, np.zeros_like(now), 5, 0.5, best)
    identity = network.with_parameters(now), Config(hidden=(20,), batch_norm=True), "abc", state
    checkpoint.save(tmp_path / "best.safetensors", *identity, best=True)
    checkpoint.save(tmp_path / "last.safetensors", *identity)
    plain = lettergpu.load(tmp_path)
    assert not plain.batch_norm
    np.testing.assert_allclose(plain.predict_proba(images), expected, rtol=1e-4, atol=1e-6)
    last = checkpoint.read(tmp_path / "last.safetensors")
    assert last.network.batch_norm
    np.testing.assert_array_equal(last.state.parameters, now)
    np.testing.assert_array_equal(last.state.best_parameters, best)
    np.testing.assert_array_equal(last.network.parameters, now)


def test_layout_names_every_parameter(saved):
    network = lettergpu.load(saved)
    flat = load_file(saved)["parameters"]
    offset, shape = json.loads(header(saved)["layout"])["layers.1.weight"]
    np.testing.assert_array_equal(flat[offset : offset + 20 * 26].reshape(shape), network.layers[1].weight)


@pytest.mark.parametrize("keep", [0, 5, 100, 1000, -1])
def test_truncated_files_are_refused(keep, saved):
    saved.write_bytes(saved.read_bytes()[:keep])
    with pytest.raises(LettergpuError, match=r"best.safetensors is damaged or not a .safetensors file"):
        lettergpu.load(saved)


def test_other_safetensors_files_are_refused(tmp_path):
    save_file({"weight": np.zeros(3)}, path := tmp_path / "other.safetensors")
    with pytest.raises(LettergpuError, match="is not a network that this version of lettergpu wrote"):
        lettergpu.load(path)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("sizes", "[784, 21, 26]"),
        ("sizes", "[]"),
        ("layout", "[]"),
        ("layout", "{}"),
        ("activation", "x"),
        ("loss", "x"),
        ("classes", '["A"]'),
        ("views", "5"),
        ("members", "2"),
        ("members", '"2"'),
        ("members", "1.0"),
        ("views", "3.0"),
        ("views", "true"),
        ("sizes", "[784]"),
        ("sizes", "[784, 20.0, 26]"),
        ("classes", json.dumps(list(range(26)))),
        ("config", "learning_rate = nan"),
        *((name, "[" * 100_000) for name in ("sizes", "layout", "classes", "views", "members", "moment_norm")),
        ("config", "a = " + "[" * 10_000),
        ("config", "x" * 100_000 + " = 1"),
        ("views", "[" + "1, " * 100_000 + "1]"),
        ("activation", "x\n" * 100_000),
    ],
)
def test_headers_that_do_not_fit_are_refused(name, value, saved):
    save_file(load_file(saved), saved, header(saved) | {name: value})
    with pytest.raises(LettergpuError, match=r"best.safetensors(:| is damaged)") as error:
        lettergpu.load(saved)
    assert len(str(error.value)) < 1500
    assert str(error.value).isprintable()


def test_a_network_of_other_images_is_refused(saved):
    network = Network((100, 26))
    checkpoint.save(saved, network, Config(hidden=()), "abc")
    with pytest.raises(LettergpuError, match="it is for images of 100 pixels, not of 28 x 28"):
        lettergpu.load(saved)
    assert checkpoint.load(saved, inputs=100).sizes == (100, 26)


@pytest.mark.parametrize(
    "text",
    [
        {"__metadata__": {}, "x" * 2_000_000: {"dtype": "F32", "shape": [0], "data_offsets": [0, 0]}},
        {"parameters": {"dtype": "?" * 100_000, "shape": [0], "data_offsets": [0, 0]}},
        {"parameters": {"dtype": "F8_E4M3", "shape": [0], "data_offsets": [0, 0]}},
    ],
    ids=["long", "long dtype", "F8"],
)
def test_what_numpy_or_nobody_could_hold_is_refused(text, saved):
    content = json.dumps(text).encode()
    saved.write_bytes(len(content).to_bytes(8, "little") + content)
    with pytest.raises(LettergpuError, match=r"is damaged or not a .safetensors file \(") as error:
        lettergpu.load(saved)
    assert len(str(error.value)) < 500


@pytest.fixture(scope="module")
def state_file(tmp_path_factory):
    """The state of a training with batch normalisation."""
    network = Network((784, 3, 26), batch_norm=True)
    network.initialize(np.random.default_rng(23), "he")
    state = State(2, network.parameters.copy(), network.parameters.copy(), 1, 0.5, network.parameters.copy())
    path = tmp_path_factory.mktemp("state") / "last.safetensors"
    checkpoint.save(path, network, Config(hidden=(3,), batch_norm=True), "abc", state)
    return path


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("name", ["parameters", "velocity", "best_parameters"])
def test_what_is_no_number_is_not_loaded(name, value, state_file, tmp_path):
    tensors = load_file(state_file)
    tensors[name][-5] = value
    save_file(tensors, path := tmp_path / "last.safetensors", header(state_file))
    with pytest.raises(LettergpuError, match=f"last.safetensors is damaged: its {name} hold NaN or infinity; copy it"):
        checkpoint.read(path)


@pytest.mark.parametrize("name", ["parameters", "best_parameters"])
def test_a_negative_variance_is_not_loaded(name, state_file, tmp_path):
    tensors = load_file(state_file)
    tensors["velocity"][:] = -1
    save_file(tensors, path := tmp_path / "last.safetensors", header(state_file))
    assert checkpoint.read(path).state.velocity[0] == -1
    tensors[name][-1] = -1
    save_file(tensors, path, header(state_file))
    with pytest.raises(LettergpuError, match=f"its {name} hold a negative variance"):
        checkpoint.read(path)


@pytest.mark.parametrize(
    "changed", [{"best_loss": "nan"}, {"best_loss": "inf"}, {"epoch": "0"}, {"best_epoch": "3"}, {"epoch": "9" * 9}]
)
def test_a_state_of_no_epoch_or_loss_is_refused(changed, state_file, tmp_path):
    save_file(load_file(state_file), path := tmp_path / "last.safetensors", header(state_file) | changed)
    with pytest.raises(LettergpuError, match=r"is damaged: epoch \d+ with the best, of loss"):
        checkpoint.read(path)


@pytest.mark.parametrize("dtype", ["int32", "bool", "complex64", "uint8"])
def test_parameters_of_another_kind_are_refused(dtype, saved):
    parameters = load_file(saved)["parameters"].astype(dtype)
    try:
        save_file({"parameters": parameters}, saved, header(saved))
    except SafetensorError as error:
        pytest.skip(f"this release of safetensors writes none: {error}")
    with pytest.raises(LettergpuError, match="its parameters are not the 16,246 numbers that its header promises"):
        lettergpu.load(saved)


@settings(max_examples=200, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_a_byte_that_changed_is_told_or_does_no_harm(data, state_file, tmp_path):
    content = bytearray(state_file.read_bytes())
    length = int.from_bytes(content[:8], "little")
    content[data.draw(st.integers(0, 8 + length + 100))] = data.draw(st.integers(0, 255))
    (path := tmp_path / "last.safetensors").write_bytes(content)
    with suppress(LettergpuError):
        answers = checkpoint.read(path).network.predict_proba(np.full((2, 28, 28), 255, np.uint8))
        assert np.isfinite(answers).all()


def test_nothing_there_is_said(tmp_path):
    with pytest.raises(LettergpuError, match="there is no such file; give a run folder"):
        lettergpu.load(tmp_path)


@pytest.mark.parametrize("failure", [KeyboardInterrupt, OSError(28, "No space left on device")])
def test_a_failed_write_keeps_the_old_file(failure, saved, monkeypatch):
    before = saved.read_bytes()

    def fail(path, content):
        path.open("wb").write(content[:1000])
        raise failure

    monkeypatch.setattr(Path, "write_bytes", fail)
    expected = KeyboardInterrupt if failure is KeyboardInterrupt else LettergpuError
    with pytest.raises(expected):
        checkpoint.save(saved, Network((784, 26)), Config(), "abc")
    assert saved.read_bytes() == before
    assert list(saved.parent.iterdir()) == [saved]
