"""The CUDA kernels, one by one, on the host and where there is one on a GPU, against the generic formulas."""

import dataclasses
import itertools
import json
import os
import shutil
import subprocess
import sys
from importlib import import_module
from pathlib import Path

import numpy as np
import pytest
from conftest import numpy_by
from lettergpu.kernels import FORMULAS

from lettergpu.backends import dispatch
from lettergpu.backends.cpu import Slope
from lettergpu.backends.device import CPU
from lettergpu.backends.libraries import LIBRARIES, resolve
from lettergpu.config import Config
from lettergpu.data.letters import Examples
from lettergpu.errors import LettergpuError
from lettergpu.nn import draws, layers, losses, pixels
from lettergpu.nn.activations import ACTIVATIONS
from lettergpu.nn.warps import rotations, waves
from lettergpu.training import batches, metrics, optimizers
from lettergpu.training.loop import fit

pytest.importorskip("cupy", reason="this needs pip install '.[kernels-check]'")
ml_dtypes = pytest.importorskip("ml_dtypes", reason="this needs pip install '.[kernels-check]'")
# not skipped if one is broken
cuda_on_host, cuda, packs = map(import_module, ("cuda_on_host", "lettergpu.backends.cuda", "lettergpu.backends.packs"))
pytestmark = pytest.mark.skipif(not shutil.which("g++"), reason="there is no g++ to compile the kernels with")

BENCH = Path(__file__).parents[2] / "bench" / "kernels"
DTYPES = ["float32", "float64", "float16", "bfloat16"]
SPECIAL = [0.0, -0.0, np.inf, -np.inf, np.nan, 1e-40, -1e-40, 88.0, -88.0, -104.0, 1e30, -1e30]
OPERATIONS = [
    layers.dense,
    layers.gradient_before,
    layers.set_gradients,
    layers.gradient_of_input,
    layers.normalised,
    layers.gradient_before_normalised,
    losses.softmax_cross_entropy,
    losses.sigmoid_binary_cross_entropy,
    optimizers.momentum_step,
    pixels.assemble,
    draws.uniforms,
    draws.permuted,
    batches.windows,
    metrics.count_in,
]


def forget_kernels():
    """Those kept are CuPy's own or its stand-in's."""
    kernels = cuda.activate_kernel, cuda.gradient_kernel, cuda.momentum_kernel, cuda.assemble_kernel
    kernels = (
        *kernels,
        cuda.windows_kernel,
        cuda.count_in_kernel,
        cuda.uniforms_kernel,
        cuda.permuted_kernel,
        cuda.normalise_kernel,
    )
    for kernel in (*kernels, cuda.loss_kernel, packs.packed):
        kernel.cache_clear()


@pytest.fixture
def host(monkeypatch):
    """CuPy's stand-in."""
    for module in (cuda, packs):
        monkeypatch.setattr(module, "cupy", cuda_on_host.HostCupy())
    forget_kernels()
    yield CPU
    forget_kernels()


@pytest.fixture(params=["host", pytest.param("cuda", marks=pytest.mark.cuda)])
def place(request):
    """Where the kernels run: by CuPy's stand-in on NumPy's arrays, or on a GPU."""
    if request.param == "host":
        return request.getfixturevalue("host")
    if trouble := LIBRARIES["cuda"].devices()[1]:
        pytest.skip(trouble)
    return resolve("cuda")[0]


def dtype_of(name):
    return np.dtype(ml_dtypes.bfloat16 if name == "bfloat16" else name)


def with_special(values):
    """Random values, the first of them replaced by numbers that break formulas."""
    with np.errstate(over="ignore"):  # some are infinite in float16
        values.flat[: len(SPECIAL)] = np.asarray(SPECIAL).astype(values.dtype)
    return values


def eps(dtype):
    return float(ml_dtypes.finfo(dtype).eps)


def tiny(dtype):
    """The smallest number above 0 with all its digits."""
    return float(ml_dtypes.finfo(dtype).tiny)


def close(got, expected, rtol, atol):
    """Equal but for rounding, where the result is a number; NaN and infinities alike elsewhere."""
    np.testing.assert_allclose(got.astype(np.float64), expected, rtol=rtol, atol=atol)


def without_subnormals(values):
    """As the kernels may take them, which CuPy compiles with -ftz=true: numbers below float32's normal ones as 0."""
    return np.where(np.abs(values) < np.finfo(np.float32).tiny, np.copysign(0.0, values), values)


def layouts(place, values):
    """The values (rows, width) as arrays there of the same content that lie differently in memory."""
    there = place.namespace.asarray
    yield there(values.copy())
    yield there(values.T.copy()).T
    yield there(np.repeat(values, 2, axis=1))[:, ::2]
    yield there(values[::-1].copy())[::-1]


@pytest.mark.parametrize("generic", OPERATIONS, ids=lambda generic: generic.__name__)
def test_each_takes_the_place_of_its_operation(generic):
    ours = getattr(cuda, generic.__name__)
    assert dispatch.native(generic.__name__, cuda_on_host.cupy.ndarray) is ours


def test_an_environment_variable_turns_them_off():
    program = "from lettergpu.backends import dispatch; print(dispatch.NATIVE)"
    for value, expected in {"0": "{}", "1": str(dispatch.NATIVE)}.items():
        environment = {**os.environ, "LETTERGPU_FUSED": value}
        ran = subprocess.run(
            [sys.executable, "-c", program], env=environment, capture_output=True, text=True, check=True
        )
        assert ran.stdout.strip() == expected


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("name", ACTIVATIONS)
def test_activate(name, dtype, place):
    dtype = dtype_of(dtype)
    product = with_special(np.random.default_rng(30).normal(0, 4, (19, 13)).astype(dtype))
    bias = np.random.default_rng(31).normal(0, 1, 13).astype(dtype)
    before = product.astype(np.float64) + bias.astype(np.float64)
    for z in itertools.islice(layouts(place, product), 4 if dtype == np.float32 else 1):
        a = cuda.activate(z, place.put(bias), ACTIVATIONS[name])
        assert a.dtype == z.dtype == dtype
        a, z = place.fetch(a), place.fetch(z)
        close(z, before, rtol=eps(dtype), atol=eps(dtype))
        expected = ACTIVATIONS[name].value(z.astype(np.float64))
        close(a, expected, rtol=8 * eps(dtype), atol=max(4 * np.finfo(np.float32).tiny, tiny(dtype)))


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("name", ACTIVATIONS)
def test_gradient_before(name, dtype, place):
    dtype = dtype_of(dtype)
    rng = np.random.default_rng(32)
    z = with_special(rng.normal(0, 4, (19, 13)).astype(dtype))
    z[np.isnan(z)] = 0  # about a NaN the formulas of a slope differ
    upstream = rng.normal(size=(19, 13)).astype(dtype)
    exact = z.astype(np.float64)
    told, taken = (ACTIVATIONS[name].slope(of) * upstream for of in (exact, without_subnormals(exact)))
    subnormal = without_subnormals(exact) != exact
    ways = zip(layouts(place, z), layouts(place, upstream), strict=True)
    for z_there, upstream_there in itertools.islice(ways, 4 if dtype == np.float32 else 1):
        delta = place.fetch(cuda.gradient_before(upstream_there, z_there, ACTIVATIONS[name]))
        assert delta.dtype == dtype
        either = np.where(subnormal & (np.abs(delta - taken) < np.abs(delta - told)), taken, told)
        close(delta, either, rtol=8 * eps(dtype), atol=4 * eps(dtype))


@pytest.mark.parametrize("shape", [(0, 5), (1, 1), (1, 63), (64, 1), (5, 13), (191, 1), (3, 64), (193, 1), (7, 111)])
def test_any_size(shape, place):
    """Nothing, one, and what does not fill the last block or goes round more than once (blocks are 3 of 64 threads)."""
    rng = np.random.default_rng(33)
    z, bias = rng.normal(size=shape).astype(np.float32), rng.normal(size=shape[1]).astype(np.float32)
    expected = ACTIVATIONS["mish"].value(z.astype(np.float64) + bias)
    a = cuda.activate(place.put(z), place.put(bias), ACTIVATIONS["mish"])
    close(place.fetch(a), expected, rtol=1e-6, atol=1e-6)


EACH_ONCE = [("identity", "float32"), ("leaky_relu", "float64"), *(("tanhexp", dtype) for dtype in DTYPES)]


@pytest.mark.parametrize(("name", "dtype"), EACH_ONCE)
@pytest.mark.parametrize("shape", [(1, 1), (2, 31), (40, 9), (3, 33, 17)], ids=str)
def test_normalisation(name, shape, dtype, place):
    dtype, activation, rng = dtype_of(dtype), ACTIVATIONS[name], np.random.default_rng(39)
    *members, rows, nodes = shape
    z = (5 + rng.normal(size=shape) * np.linspace(0.3, 3, nodes)).astype(dtype)
    parts = [rng.normal(size=(*members, nodes)).astype(dtype) for _ in range(3)]
    parts.append(np.abs(rng.normal(size=(*members, nodes))).astype(dtype))
    parts[3][..., 0] = 0  # no batch before
    there = [place.put(part.copy()) for part in parts]
    exact = [part.astype(np.float64) for part in parts]
    needs = {"epsilon": layers.EPSILON, "pace": layers.PACE}
    ours = cuda.normalised(place.put(z.copy()), *there, activation, **needs)
    expected = layers.normalised.__wrapped__(z.astype(np.float64), *exact, activation)
    bar = 40 * eps(dtype) * max(1, float(expected[3].max()))
    y = expected[1]
    ours = ours[0], ours[1].values, *ours[2:]
    far = np.abs(y) > 4 * bar  # from where the slope jumps
    close(np.where(far, place.fetch(ours[1]), 0), np.where(far, activation.slope(y), 0), rtol=bar, atol=8 * bar)
    for got, of in zip(ours, expected, strict=True):
        assert got.dtype == dtype
        if of is not y:
            close(place.fetch(got), of, rtol=bar, atol=4 * bar)
    for got, of in zip(there[2:], exact[2:], strict=True):
        close(place.fetch(got), of, rtol=8 * eps(dtype), atol=8 * eps(dtype))

    upstream, summed = rng.normal(size=shape).astype(dtype), np.empty((2, *members, nodes))
    held = [place.fetch(part).astype(np.float64) for part in ours]
    gradients = [place.put(np.full((*members, nodes), np.nan, dtype)) for _ in range(2)]
    for add in (False, True):
        kept = Slope(ours[1]), *ours[2:]
        delta = cuda.gradient_before_normalised(place.put(upstream), *kept, activation, *gradients, add)
        given = activation._replace(slope=np.copy)
        told = layers.gradient_before_normalised.__wrapped__(
            upstream.astype(np.float64), *held[1:], given, *summed, add
        )
    assert delta.dtype == dtype
    close(place.fetch(delta), told, rtol=40 * eps(dtype), atol=40 * eps(dtype) * max(1, held[3].max()))
    for got, of in zip(gradients, summed, strict=True):
        close(place.fetch(got), of, rtol=40 * eps(dtype), atol=40 * eps(dtype) * rows**0.5)


def outcome_there(place, generic, logits, labels, weights, batch, smoothing=0.0):
    """What the kernel says, on the host."""
    arrays = logits, place.put(labels), place.put(weights)
    return losses.Outcome(
        *map(place.fetch, getattr(cuda, generic.__name__)(*arrays, batch, smoothing, outcome=losses.Outcome))
    )


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("generic", [losses.softmax_cross_entropy, losses.sigmoid_binary_cross_entropy])
def test_losses(generic, dtype, place):
    dtype = dtype_of(dtype)
    rng = np.random.default_rng(34)
    for rows, classes in [(0, 3), (1, 1), (5, 26), (3, 31), (4, 32), (9, 33), (2, 100)]:
        logits = rng.normal(0, 4, (rows, classes)).astype(dtype)
        logits[: rows // 2] = np.round(logits[: rows // 2].astype(np.float32)).astype(dtype)  # ties
        labels, weights = rng.integers(0, classes, rows), rng.uniform(0.5, 2, classes).astype(dtype)
        smoothing = 0.1 * (rows % 2)
        got = outcome_there(place, generic, place.put(logits), labels, weights, 11, smoothing)
        expected = generic(logits.astype(np.float64), labels, weights.astype(np.float64), 11, smoothing)
        assert got.losses.dtype == got.gradient.dtype == dtype
        close(got.losses, expected.losses, rtol=8 * eps(dtype), atol=8 * eps(dtype))
        close(got.gradient, expected.gradient, rtol=8 * eps(dtype), atol=eps(dtype))
        assert got.right.tolist() == expected.right.tolist()


@pytest.mark.parametrize("generic", [losses.softmax_cross_entropy, losses.sigmoid_binary_cross_entropy])
def test_losses_of_extreme_logits_and_of_any_layout(generic, place):
    logits = np.asarray([[3e38, -3e38, 0], [-200, -100, -150], [np.nan, 1, 2], [1, 0, np.nan]], np.float32)
    labels, weights = np.asarray([1, 1, 1, 0], np.int32), np.ones(3, np.float32)
    plain = outcome_there(place, generic, place.put(logits), labels, weights, 1)
    assert plain.losses[0] > 1e38
    assert np.isfinite(plain.gradient[:2]).all()
    assert plain.losses[1] == pytest.approx(generic(logits[1:2].astype(np.float64), labels[1:2], weights, 1).losses[0])
    assert np.isnan(plain.losses[2:]).all()
    assert plain.right.tolist() == [False, True, False, False]
    for array in layouts(place, logits):
        for ours, same in zip(outcome_there(place, generic, array, labels, weights, 1), plain, strict=True):
            np.testing.assert_array_equal(ours, same)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("nesterov", [False, True])
@pytest.mark.parametrize("l2", [0.0, 0.5])
def test_momentum_step(l2, nesterov, dtype, place):
    dtype = dtype_of(dtype)
    rng = np.random.default_rng(35)
    w, v, g = (rng.normal(size=501) for _ in range(3))
    w, v, g = (a.astype(dtype) for a in (w, v, g))
    ours, exact = place.put(w.copy()), w.astype(np.float64)
    settings = {"learning_rate": 0.25, "momentum": 0.875, "nesterov": nesterov, "l2": l2, "decayed": 300}
    mine, generic = optimizers.Momentum(ours, **settings), optimizers.Momentum(exact, **settings)
    mine.velocity[...], generic.velocity[...] = place.put(v), v
    if l2:  # a rate that lies where the parameters do
        mine.learning_rate = place.put(np.full(1, 0.25, dtype))
    cuda.momentum_step(ours, place.put(g), mine)
    optimizers.momentum_step(exact, g.astype(np.float64), generic)
    close(place.fetch(ours), exact, rtol=4 * eps(dtype), atol=4 * eps(dtype))
    close(place.fetch(mine.velocity), generic.velocity, rtol=4 * eps(dtype), atol=4 * eps(dtype))


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("shape", [(1, 1), (1, 3), (3, 4), (129, 8), (2, 33, 32)], ids=str)
def test_packs_compute_what_single_numbers_do(shape, dtype, place):
    rng, activation = np.random.default_rng(42), ACTIVATIONS["tanhexp"]
    bias, z = rng.normal(size=shape[-1]).astype(dtype), rng.normal(size=shape).astype(dtype)
    kernel, found = cuda.activate_kernel(activation), []
    for launch in (packs.launched, kernel):
        there = [place.put(array.copy()) for array in (bias, z, np.zeros_like(z))]
        done = launch(*((kernel,) if launch is packs.launched else ()), *there)
        assert done is not False or shape == (1, 3)  # a row that is no whole number of packs
        found.append([place.fetch(array) for array in there])
    for got, expected in zip(*found, strict=True) if shape != (1, 3) else ():
        np.testing.assert_array_equal(got, expected)


def test_what_does_not_come_in_packs(place):
    kernel, z = cuda.gradient_kernel(ACTIVATIONS["relu"]), place.put(np.ones((8, 8), np.float32))
    strided, half = z.T, z.astype("float16")
    shifted = place.put(np.ones(65, np.float32))[1:].reshape(8, 8)
    for arguments in ((strided, z, z), (half, half, half), (shifted, z, z), (z[:4], z, z), (z[:0], z[:0], z[:0])):
        assert packs.prepared(kernel, *arguments) is None
    assert packs.prepared(kernel, z, z, z) is not None


@pytest.mark.parametrize(("dtype", "shape"), [("float32", (2, 5)), ("int64", ()), ("float64", (3,)), ("uint8", (4,))])
def test_windows(dtype, shape, place):
    rng, number = np.random.default_rng(41), np.asarray([2])
    arrays = [rng.normal(size=(23, *shape)).astype(dtype), rng.normal(size=5).astype(np.float32), np.empty((0, 2, 3))]
    for size, before, rows in ((6, 0, 6), (6, 3, 2), (10, 0, 3), (10, 2, 1)):
        places = [batches.Window(size, before, rows), batches.Window(1, 0, 1), batches.Window(0, 0, 0)]
        for count in (3, 1):
            taken = cuda.windows(place.put(number), [place.put(array) for array in arrays[:count]], places[:count])
            alike = batches.windows.__wrapped__(number, arrays[:count], places[:count])
            for got, of, array in zip(taken, alike, arrays[:count], strict=True):
                assert got.dtype == array.dtype
                np.testing.assert_array_equal(place.fetch(got), of)
        np.testing.assert_array_equal(place.fetch(taken[0]), arrays[0][2 * size + before :][:rows])


def test_windows_that_are_left_to_the_formula(place):
    number, odd = place.put(np.asarray([0])), place.put(np.zeros((4, 1), np.float16))
    one, four = batches.Window(1, 0, 1), place.put(np.zeros((4, 4), np.float32))
    for arrays in ([odd], [four[:, ::2]], [four] * 5):
        assert cuda.windows(number, arrays, [one] * len(arrays)) is NotImplemented


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("shape", [(1, 1), (2, 31), (300, 9), (3, 33, 17)], ids=str)
def test_column_sums(shape, dtype, place, monkeypatch):
    monkeypatch.setattr(cuda, "_product", lambda *arguments, **options: None)  # CuPy has none of stacks of bfloat16
    *members, rows, nodes = shape
    dtype, rng = dtype_of(dtype), np.random.default_rng(42)
    delta, before = rng.normal(size=shape).astype(dtype), rng.normal(size=(*members, nodes)).astype(dtype)
    x, of_weight = np.ones((*members, rows, 2), dtype), place.put(np.zeros((*members, 2, nodes), dtype))
    for add in (False, True):
        bias_gradient = place.put(before.copy())
        cuda.set_gradients(of_weight, bias_gradient, place.put(x), place.put(delta), add)
        expected = delta.astype(np.float64).sum(axis=-2) + add * before.astype(np.float64)
        close(place.fetch(bias_gradient), expected, rtol=8 * eps(dtype), atol=8 * eps(dtype) * rows**0.5)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_count_in(dtype, place):
    losses, right = (place.put(a) for a in (np.arange(5, dtype=dtype), np.arange(5)))
    some = place.put(np.full(4, 0.5, dtype)), place.put(np.asarray([True, False, True, True]))
    cuda.count_in(losses[:4], right[:4], *some)
    assert place.fetch(losses).tolist() == [0.5, 1.5, 2.5, 3.5, 4]
    assert place.fetch(right).tolist() == [1, 1, 3, 4, 4]


@pytest.mark.parametrize("dtype", DTYPES)
def test_assemble(dtype, place):
    dtype = dtype_of(dtype)
    rng = np.random.default_rng(36)
    images, rows = rng.integers(0, 256, (40, 784)).astype(np.uint8), rng.permutation(40)[:17]
    for moved in (0, 9, 17) if dtype == np.float32 else [9]:
        maps = rotations(rng.uniform(-1, 1, moved), 28, 28)
        maps[:2] *= 1.7  # far outside
        bends = rng.normal(size=(moved, 2, 25 if moved == 9 else 0))
        maps = np.concatenate([maps, bends], axis=-1).astype(dtype)
        got = place.fetch(cuda.assemble(place.put(images), place.put(rows), place.put(maps), dtype, waves=waves))
        assert got.dtype == dtype
        expected = pixels.assemble(images, rows, maps.astype(np.float64), np.float64)
        # an error of a coordinate, in pixels, is one of the pixel, whose neighbours differ by up to 1
        computed = eps(np.float64 if dtype == np.float64 else np.float32)
        close(got, expected, rtol=eps(dtype), atol=60 * computed)
        close(got[moved:], expected[moved:], rtol=eps(dtype), atol=0)


def test_draws_have_the_bits_of_the_formulas(place):
    rows, of = np.asarray([0, 5, 2**32 - 1, 7]), draws.stream(2**40 + 3, "elastic", 600)
    for count in (1, 3, 57):
        got = place.fetch(cuda.uniforms(place.put(np.repeat(rows, 2))[::2], count, of))
        np.testing.assert_array_equal(got, draws.uniforms.__wrapped__(rows, count, of))
    a, b = draws.sides(907)
    tables = np.random.default_rng(38).integers(0, min(a, b), (max(a, b), 12))
    got = place.fetch(cuda.permuted(place.put(np.arange(907)), place.put(tables), a, b))
    np.testing.assert_array_equal(got, draws.permuted.__wrapped__(np.arange(907), tables, a, b))
    assert len(np.unique(got)) == 907


def test_assemble_from_any_layout(place):
    rng = np.random.default_rng(37)
    images = rng.integers(0, 256, (10, 784)).astype(np.uint8)
    rows, maps = np.asarray([3, 9, 0, 3]), rotations(np.asarray([0.2, -0.3]), 28, 28).astype(np.float32)
    plain = place.fetch(cuda.assemble(place.put(images), place.put(rows), place.put(maps), np.float32, waves=waves))
    every_second, turned = place.put(np.repeat(rows, 2))[::2], place.put(maps.T.copy()).T
    for array in layouts(place, images):
        np.testing.assert_array_equal(
            place.fetch(cuda.assemble(array, every_second, turned, np.float32, waves=waves)), plain
        )


@pytest.mark.parametrize(
    "changes",
    [
        {},
        {"loss": "sigmoid", "nesterov": True, "l2": 1e-3, "activation": "mish", "class_weight": "balanced"},
        {"ensemble": 3, "batch_norm": False},
    ],
    ids=["default", "sigmoid", "ensemble"],
)
def test_a_training_goes_as_it_does_without_them(changes, few_letters, host, monkeypatch):
    launched, launch = set(), cuda._call

    def noting(kernel, *arguments, **ways):
        launched.add(kernel)
        launch(kernel, *arguments, **ways)

    monkeypatch.setattr(cuda, "_call", noting)
    train = Examples(few_letters.train.images[:160], few_letters.train.labels[:160])
    letters = dataclasses.replace(few_letters, train=train)
    config = Config(hidden=(24, 16), batch_size=64, learning_rate=0.03, epochs=3, patience=0, device="cpu")
    config = dataclasses.replace(config, **changes)

    def losses_of_epochs():
        return [(report.train_loss, report.val_loss, report.train_accuracy) for report in fit(config, letters)]

    with numpy_by(None):
        generic = losses_of_epochs()
    assert not launched
    with numpy_by("lettergpu.backends.cuda"):
        ours = losses_of_epochs()
        assert losses_of_epochs() == ours
    assert len(launched) >= 5  # those of the images, the activation, its gradient, the loss and the step
    np.testing.assert_allclose(ours, generic, rtol=1e-4)


def test_a_kernel_that_does_not_compile_says_which_and_where(host, monkeypatch):
    def fail(*arguments):
        raise cuda_on_host.cupy.cuda.compiler.CompileException("line 3: no such thing", "", "", ())

    for kind in (cuda_on_host.ElementwiseKernel, cuda_on_host.RawKernel):
        monkeypatch.setattr(kind, "__call__", fail)
    monkeypatch.setattr(cuda_on_host.cupy.cuda, "Device", lambda: type("GPU", (), {"compute_capability": "90"}))
    message = r"the kernel lettergpu_activate_mish does not compile for sm_90; LETTERGPU_FUSED=0 .*: line 3: no such"
    with pytest.raises(LettergpuError, match=message):
        cuda.activate(np.zeros((2, 2)), np.zeros(2), ACTIVATIONS["mish"])


@pytest.mark.parametrize(
    "options",
    [["--dtype", "float32"], ["--dtype", "float64", "float16", "bfloat16", "--architecture", "75", "120"]],
    ids=["float32 everywhere", "the others on the oldest and the newest"],
)
def test_each_compiles_as_cupy_would_without_spilling(options):
    output = subprocess.check_output([sys.executable, BENCH / "compile.py", "--json", "-", *options], text=True)
    table = json.loads(output)
    expected = {f"{kind}_{name}" for kind in ("activate", "gradient_before") for name in FORMULAS}
    expected |= {"column_sums"} | {generic.__name__ for generic in OPERATIONS[4:]}
    assert set(table["rows"]) - {"dense_forward", "dense_backward"} == expected
    assert len(table["architectures"]) == (2 if "--architecture" in options else 7)
    for kernel, row in table["rows"].items():
        for dtype, figures in row.items():
            assert figures["compiled"] >= len(table["architectures"])
            assert figures["spilled_bytes"] == 0, (kernel, dtype)
