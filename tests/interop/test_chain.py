"""Dense layers out of files of ONNX, beside onnxruntime."""

from contextlib import suppress
from string import ascii_uppercase

import numpy as np
import onnx
import onnxruntime
import pytest
from conftest import drawn
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from lettergpu.config import CHOICES
from lettergpu.errors import LettergpuError
from lettergpu.interop import chain, weights
from lettergpu.interop.onnx import model_of
from lettergpu.nn.network import Network

IMAGES = np.random.default_rng(4).integers(0, 256, (6, 28, 28)).astype(np.uint8)
RANDOM = np.random.default_rng(5)


def begun(*hidden, **options):
    return drawn(Network((784, *hidden, 26), classes=ascii_uppercase, members=1, **options), 6)


def saved(folder, model):
    onnx.save(model, path := folder / "network.onnx")
    return path


@pytest.mark.parametrize("activation", CHOICES["activation"])
def test_what_we_exported_comes_back(activation, tmp_path):
    network = begun(12, 8, activation=activation, moment_norm=True)
    path = saved(tmp_path, model_of(network, fingerprint="ab" * 32, moved=True))
    found = weights.read(path)
    assert found.network.moment_norm
    assert found.network.classes == network.classes
    assert found.fingerprint == "ab" * 32
    if activation != "identity":  # whose layers are one
        assert (found.network.activation, found.network.sizes) == (activation, network.sizes)
    np.testing.assert_allclose(found.network.predict_proba(IMAGES), network.predict_proba(IMAGES), rtol=0, atol=1e-5)


FIRST = "z = Gemm <transB: int = 1> (x, w, b)"
LAST = "l = MatMul(a, v)  m = Add(l, c)  y = Softmax(m)"
RELU = "a = Relu(z)"
WHOLE = f"{FIRST} {RELU} {LAST}"
REST = WHOLE.replace("(x", "(i")


def model(body, images="float[n, 784]", answer="float[n, 26]", opset=18, **constants):
    """A file of other people's: x are the images, w, b, v, c the weights of 9 nodes and 26 classes, y the answer."""
    text = f'<ir_version: 8, opset_import: ["" : {opset}]> network ({images} x) => ({answer} y) {{ {body} }}'
    parsed = onnx.parser.parse_model(text.replace("  ", "\n"))
    draw = np.random.default_rng(7).normal
    held = {"w": draw(0, 0.05, (9, 784)), "b": draw(0, 1, 9), "v": draw(0, 1, (9, 26)), "c": draw(0, 1, (1, 26))}
    for name, value in (held | constants).items():
        value = np.asarray(value)
        value = value.astype(np.float32) if value.dtype == np.float64 else value
        parsed.graph.initializer.append(onnx.numpy_helper.from_array(value, name))
    return parsed


def answers(path, images):
    session = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])
    return session.run(["y"], {"x": images})[0]


FLAT = np.float32(IMAGES.reshape(6, 784)) / 255
CHAINS = {
    "gemm": (WHOLE, {}),
    "gemm scaled": (f"z = Gemm <transB: int = 1, alpha: float = 0.5, beta: float = 2.0> (x, w, b) {RELU} {LAST}", {}),
    "weights turned": (f"t = Transpose <perm = [1, 0]> (w)  p = MatMul(x, t)  z = Add(b, p) {RELU} {LAST}", {}),
    "normalised": (f"d = Sub(x, u)  e = Div(d, s)  q = Mul(s, e)  o = Sub(s, q) {WHOLE.replace('(x', '(o')}", {}),
    "a layer that has none": (f"{FIRST} k = MatMul(z, j)  a = Tanh(k) {LAST}", {}),
    "scaled after": (f"{FIRST} r = Sigmoid(z)  f = Mul(r, b)  a = Identity(f) {LAST}", {}),
    "swish": (f"{FIRST} g = Sigmoid(z)  a = Mul(g, z) {LAST}", {}),
    "mish, written out": (f"{FIRST} f = Softplus(z)  g = Tanh(f)  a = Mul(z, g) {LAST}", {}),
    "tanhexp": (f"{FIRST} f = Exp(z)  g = Tanh(f)  a = Mul(z, g) {LAST}", {}),
    "leaky": (f"{FIRST} a = LeakyRelu(z) {LAST}", {}),
    "sigmoid": (f"{FIRST} {RELU} l = MatMul(a, v)  m = Add(l, c)  y = Sigmoid(m)", {}),
    "log": (f"{FIRST} {RELU} l = MatMul(a, v)  m = Add(l, c)  y = LogSoftmax(m)", {}),
    "normalised by batches": (f"{FIRST} k = BatchNormalization (z, s9, b, b, s9)  a = Tanh(k) {LAST}", {}),
    "and a class": (f"{WHOLE}  label = ArgMax <axis: int = 1> (y)", {"answer": "int64[n, 1] label, float[n, 26]"}),
    "pictures": (f"i = Flatten(x) {REST}", {"images": "float[n, 1, 28, 28]"}),
    "columns": (
        f"h = Sub(x, k28)  i = Reshape(h, to) {REST}",
        {"images": "float[n, 28, 28]", "k28": RANDOM.normal(size=28), "to": np.array([-1, 784])},
    ),
    "as many as there are": (
        "n0 = Shape(x)  zero = Constant <value: tensor = int64[1] {0}> ()  n1 = Gather(n0, zero)  "
        f"n2 = Concat <axis: int = 0> (n1, minus)  i = Reshape(x, n2) {REST}",
        {"images": "float[n, 28, 28]", "minus": np.array([-1])},
    ),
    "bytes": (
        f"i = Cast <to: int = 1> (x)  o = Div(i, white) {WHOLE.replace('(x', '(o')}",
        {"images": "uint8[n, 784]", "white": 255.0},
    ),
}


@pytest.mark.parametrize("name", CHAINS)
def test_a_chain_of_dense_layers_answers_as_in_onnxruntime(name, tmp_path):
    body, options = CHAINS[name]
    constants = {
        "u": 0.17,
        "s9": RANDOM.uniform(0.5, 2, 9),
        "s": RANDOM.uniform(0.5, 2, 784),
        "j": RANDOM.normal(size=(9, 9)),
    }
    made = model(body, **{**constants, **options})
    onnx.checker.check_model(made, full_check=True)
    path = saved(tmp_path, made)
    shape = [each.dim_value for each in made.graph.input[0].type.tensor_type.shape.dim][1:]
    expected = answers(path, (IMAGES if name == "bytes" else FLAT).reshape(6, *shape))
    expected = np.exp(expected) if name == "log" else expected
    found = weights.read(path).network
    assert found.sizes == (784, 9, 26)
    assert expected.std() > 0.05
    np.testing.assert_allclose(found.predict_proba(IMAGES), expected, rtol=0, atol=2e-6)


def test_what_an_onnx_does_not_tell_can_be_said(tmp_path):
    logits = WHOLE.replace("Softmax", "Identity")
    path = saved(tmp_path, model(logits, w=RANDOM.normal(0, 2e-4, (9, 784))))
    found = weights.read(path, loss="sigmoid", white=255.0, orientation="transposed").network
    logits = answers(path, np.float32(IMAGES.swapaxes(1, 2).reshape(6, 784)))
    np.testing.assert_allclose(found.predict_proba(IMAGES), 1 / (1 + np.exp(-logits)), rtol=0, atol=1e-5)
    for said in ({"activation": "tanh"}, {"loss": "sigmoid"}):
        with pytest.raises(
            LettergpuError, match=r"--(activation tanh|loss sigmoid): the file itself has (relu|softmax)"
        ):
            weights.read(saved(tmp_path, model(WHOLE)), **said)


REFUSED = [
    (f"{FIRST} a = Elu(z) {LAST}", {}, "its operator Elu is none that dense layers have"),
    (f"{FIRST} a = Exp(z) {LAST}", {}, r"a layer follows Exp\(z\), which is none of our activations"),
    (f"{FIRST} g = Exp(z)  a = Mul(g, z) {LAST}", {}, r"it multiplies Exp\(z\) by z, which is none of our"),
    (f"{FIRST} k = MatMul(z, j)  g = Sigmoid(k)  a = Mul(z, g) {LAST}", {}, r"it multiplies z by Sigmoid\(z\), wh"),
    (f"{FIRST} g = Exp(z)  a = Exp(g) {LAST}", {}, r"it computes Exp\(Exp\(z\)\), z a layer, which is none of our"),
    (f"{FIRST} a = LeakyRelu <alpha: float = 0.2> (z) {LAST}", {}, "LeakyRelu has another alpha than 0.01"),
    (f"{FIRST} {RELU} l = MatMul(a, v)  y = Softmax <axis: int = 0> (l)", {}, "Softmax has another axis than"),
    (f"{FIRST} {RELU} l = MatMul(a, v)  y = Relu(l)", {}, "what it answers with is no softmax, sigmoid or layer"),
    (f"{FIRST} {RELU} l = MatMul(a, v)  y = Identity(v)", {}, "what it answers with is no softmax, sigmoid or"),
    (f"i = Relu(x) {REST}", {}, "there is no layer before Relu"),
    (f"{FIRST} q = Relu(z)  r = Relu(q)  a = Tanh(r) {LAST}", {}, r"it computes Relu\(Relu\(z\)\)"),
    (f"{FIRST} q = Relu(z)  r = MatMul(q, j)  a = Tanh(r) {LAST}", {}, "its hidden layers have relu and tanh; one"),
    (f"{FIRST} q = Relu(z)  a = Add(q, z) {LAST}", {}, "two results of it meet"),
    (f"t = Transpose(x)  z = MatMul(w, t) {RELU} {LAST}", {}, "its operator Transpose is none"),
    (f"i = MatMul(j, x) {REST}", {}, "weights stand before what they are multiplied by"),
    (f"{FIRST} a = Div(b, z) {LAST}", {}, "it divides by what follows from an image"),
    (f"i = Cast <to: int = 2> (x) {REST}", {}, "it rounds to whole numbers"),
    (f"i = Reshape(x, to) {REST}", {"to": np.array([-1, 392])}, "it takes pictures apart, or several for one"),
    (f"i = Flatten <axis: int = 0> (x) {REST}", {}, "it takes pictures apart, or several for one"),
    (f"{FIRST} a = Add(z, to) {LAST}", {"to": np.ones((4, 9))}, r"shape \(4, 9\) meet others of shape \(n, 9"),
    (WHOLE, {"w": np.ones((9, 700))}, "weights of 700 x 9 follow 784 numbers"),
    (WHOLE, {"w": np.full((9, 784), np.inf)}, "hold NaN, infinity, or numbers beyond what float32 holds"),
    (WHOLE, {"images": "float[n, 100]"}, "its input is not images: uint8 or floats, n x 28 x 28 or n x 784"),
    (WHOLE, {"images": "int64[n, 784]"}, "its input is not images"),
    (
        WHOLE,
        {"images": "float[n, 784] x2, float[n, 784]"},
        "it has 2 inputs, and 1 outputs of real numbers, not",
    ),
    (WHOLE.replace("(a, v)", "(a, lost)"), {}, "is damaged, or no file of ONNX .*lost"),
    (WHOLE + "  k = Identity(x)" * 1000, {}, "it has more than 1,000 operators"),
    (f"{FIRST} q = MatMul(z, one)  a = MatMul(q, wide)  y = Softmax(a)", "wide", "it has more than 10,000,000"),
    (f"{FIRST} a = com.elsewhere.Relu(z) {LAST}", {}, "its operator com.elsewhere.Relu is none that dense"),
]


@pytest.mark.parametrize(("body", "options", "message"), REFUSED, ids=range(len(REFUSED)))
def test_an_onnx_of_anything_else_is_refused(body, options, message, tmp_path):
    wide = {"one": np.ones((9, 1)), "wide": np.ones((1, 13_000))}
    made = model(body, j=np.eye(9), **wide if options == "wide" else options)
    with pytest.raises(LettergpuError, match=message):
        weights.read(saved(tmp_path, made))


def test_numbers_in_another_file_are_not_fetched(tmp_path):
    (tmp_path / "secret.bin").write_bytes(np.ones(9 * 784, np.float32).tobytes())
    onnx.save(model(WHOLE), tmp_path / "a.onnx", save_as_external_data=True, location="b.bin", size_threshold=0)
    with pytest.raises(LettergpuError, match=r"a.onnx: its numbers stand in another file; save it as one"):
        weights.read(tmp_path / "a.onnx")


def test_a_file_too_large_is_not_read_to_its_end(tmp_path, monkeypatch):
    monkeypatch.setattr(chain, "MOST_BYTES", 10_000_000)
    with (tmp_path / "a.onnx").open("wb") as file:
        file.truncate(10**12)
    with pytest.raises(LettergpuError, match=r"a.onnx: it is larger than 10 MB"):
        weights.read(tmp_path / "a.onnx")


def test_what_of_ours_is_no_chain_is_told_how_to_export(tmp_path):
    path = saved(tmp_path, model_of(begun(9, moment_norm=True, views=3)))
    with pytest.raises(LettergpuError, match="export it again with --no-moment-norm --views 1"):
        weights.read(path)


def test_names_and_a_fingerprint_that_are_none_are_not_believed(tmp_path):
    made = model(WHOLE)
    onnx.helper.set_model_props(made, {"fingerprint": "x" * 10**6})
    assert weights.read(saved(tmp_path, made)).fingerprint == ""
    for names in ('["A"]', '"' + "A" * 26 + '"', "[", str(list(range(26)))):
        onnx.helper.set_model_props(made, {"classes": names})
        with pytest.raises(LettergpuError, match=r"network.onnx: |--classes"):
            weights.read(saved(tmp_path, made))


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_a_byte_that_changed_is_told_or_does_no_harm(data, tmp_path):
    content = bytearray(model(CHAINS["gemm"][0], w=np.zeros((9, 784))).SerializeToString())
    start = content.find(bytes(9 * 784 * 4))
    place = data.draw(st.one_of(st.integers(0, start - 1), st.integers(start + 9 * 784 * 4, len(content) - 1)))
    content[place] = data.draw(st.integers(0, 255))
    (path := tmp_path / "a.onnx").write_bytes(content)
    with suppress(LettergpuError):
        assert np.isfinite(weights.read(path).network.predict_proba(IMAGES)).all()
