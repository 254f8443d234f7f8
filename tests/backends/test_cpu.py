"""The compiled operations of the CPU against the generic formulas in float64."""

import ctypes
import hashlib
import os
import platform
import subprocess
import sys
from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor
from multiprocessing import get_context

import numpy as np
import pytest

from lettergpu.backends import cpu, dispatch, host
from lettergpu.backends.ranks import ALONE
from lettergpu.nn import draws, layers, losses, pixels
from lettergpu.nn.activations import ACTIVATIONS, Activation
from lettergpu.nn.warps import rotations, waves
from lettergpu.training import metrics, optimizers

EPS = np.finfo(np.float32).eps
SMALLEST = 2e-36  # 88 e^-88: further left than -87.3 e^z is taken for 0
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
]
SHAPES = [(1, 1, 1), (0, 5, 3), (12, 32, 32), (13, 33, 31), (256, 784, 26), (5, 2500, 65), (1100, 40, 70), (300, 7, 1)]
SPECIAL = [0.0, -0.0, np.inf, -np.inf, np.nan, 1e-40, -1e-40, 88.0, -88.0, -104.0, 1e30, -1e30]


def random(*shape, seed=40):
    return np.random.default_rng(seed).normal(size=shape).astype(np.float32)


def wide(array):
    return array.astype(np.float64)


@pytest.mark.parametrize("formula", OPERATIONS, ids=lambda formula: formula.__name__)
def test_each_takes_the_place_of_its_operation(formula):
    assert dispatch.native(formula.__name__, np.ndarray) is getattr(cpu, formula.__name__)


@pytest.mark.parametrize(("rows", "fan_in", "fan_out"), SHAPES)
def test_products(rows, fan_in, fan_out, compiled):
    """Of sizes that fill no block, of one block, and of more than the depth that is summed up at once."""
    x, weight, bias = random(rows, fan_in), random(fan_in, fan_out, seed=41), random(fan_out, seed=42)
    delta, identity = random(rows, fan_out, seed=43), ACTIVATIONS["identity"]
    value, _ = cpu.dense(x, weight, bias, identity, True)
    np.testing.assert_allclose(value, wide(x) @ weight + bias, rtol=1e-5, atol=1e-6 * fan_in)
    gradient = cpu.gradient_of_input(delta, weight)
    np.testing.assert_allclose(gradient, wide(delta) @ weight.T, rtol=1e-5, atol=1e-6 * fan_out)
    sums = np.full((fan_in, fan_out), np.nan, np.float32), np.full(fan_out, np.nan, np.float32)
    exact = wide(x).T @ delta, wide(delta).sum(axis=0)
    for times, add in ((1, False), (2, True)):
        cpu.set_gradients(*sums, x, delta, add)
        for got, expected in zip(sums, exact, strict=True):
            np.testing.assert_allclose(got, times * expected, rtol=1e-5, atol=2e-6 * max(rows, 1))


@pytest.mark.parametrize("rows", [1, 5, 12, 13, 100, 1035])
def test_products_of_mostly_dark_pixels(rows, compiled):
    """Pixels that are 0 in all of some rows are left out, and no others."""
    rng = np.random.default_rng(51)
    x = random(rows, 1500) * (rng.random(1500) < 0.3) * (rng.random((rows, 1500)) < 0.8)
    x[0, :2] = -0.0, np.finfo(np.float32).tiny
    weight, delta = random(1500, 130, seed=52), random(rows, 130, seed=53)
    value, _ = cpu.dense(x, weight, np.zeros(130, np.float32), ACTIVATIONS["identity"], True)
    np.testing.assert_allclose(value, wide(x) @ weight, rtol=1e-5, atol=1e-4)
    weight_gradient, bias_gradient = np.empty_like(weight), np.empty(130, np.float32)
    cpu.set_gradients(weight_gradient, bias_gradient, x, delta, False)
    np.testing.assert_allclose(weight_gradient, wide(x).T @ delta, rtol=1e-5, atol=1e-4)
    x[rows // 2, 7] = np.nan
    value, _ = cpu.dense(x, weight, np.zeros(130, np.float32), ACTIVATIONS["identity"], True)
    assert np.isnan(value[rows // 2]).all()


@pytest.mark.parametrize("name", ACTIVATIONS)
def test_activations(name, compiled):
    z = np.concatenate([np.linspace(-110, 110, 20_001), np.linspace(-3, 3, 20_001), SPECIAL]).astype(np.float32)
    one, activation = np.ones((1, 1), np.float32), ACTIVATIONS[name]
    value, slope = cpu.dense(z[:, None], one, np.zeros(1, np.float32), activation, True)
    with np.errstate(invalid="ignore"):
        np.testing.assert_allclose(value[:, 0], activation.value(wide(z)), rtol=4 * EPS, atol=SMALLEST)
    upstream = random(len(z), 1, seed=44)
    delta = cpu.gradient_before(upstream, slope, activation)
    # about a NaN the formulas of a slope differ, and numbers below 1e-38 are taken for 0, where some have a kink
    number = ~np.isnan(z) & ((np.abs(z) >= np.finfo(np.float32).tiny) | (z == 0))
    expected = activation.slope(wide(z[number])) * upstream[number, 0]
    np.testing.assert_allclose(delta[number, 0], expected, rtol=4 * EPS, atol=16 * EPS)
    assert np.isnan(value[-len(SPECIAL) :][4])


@pytest.mark.parametrize("name", ["tanhexp", "identity"])
@pytest.mark.parametrize(("rows", "nodes"), [(1, 1), (2, 31), (13, 32), (256, 512), (300, 65), (8192, 3)])
def test_normalisation(rows, nodes, name, compiled):
    z = 5 + random(rows, nodes) * np.linspace(0.3, 3, nodes, dtype=np.float32)
    parts = [random(nodes, seed=seed) for seed in (61, 62, 63)] + [abs(random(nodes, seed=64))]
    parts[3][0] = 0.0  # no batch before
    exact = [wide(part) for part in parts]
    needs = {"epsilon": layers.EPSILON, "pace": layers.PACE, "moments": layers.moments}
    value, slope, standard, factor = cpu.normalised(z.copy(), *parts, ACTIVATIONS[name], ALONE, **needs)
    expected = layers.normalised.__wrapped__(wide(z), *exact, ACTIVATIONS[name], ALONE)
    for got, of in ((value, expected[0]), (standard, expected[2]), (factor, expected[3])):
        np.testing.assert_allclose(got, of, rtol=1e-5, atol=2e-5)
    np.testing.assert_allclose(parts[2:], exact[2:], rtol=1e-6, atol=1e-6)

    upstream, gradients = random(rows, nodes, seed=65), np.full((2, nodes), np.nan, np.float32)
    summed = np.empty((2, nodes))
    for add in (False, True):
        rest = ACTIVATIONS[name], *gradients, add, ALONE
        delta = cpu.gradient_before_normalised(upstream, slope, standard, factor, *rest)
        formula = layers.gradient_before_normalised.__wrapped__
        exactly = formula(wide(upstream), *expected[1:], ACTIVATIONS[name], *summed, add, ALONE)
    np.testing.assert_allclose(gradients, summed, rtol=1e-5, atol=1e-5 * rows**0.5)
    np.testing.assert_allclose(delta, exactly, rtol=1e-5, atol=1e-5 * factor.max())


@pytest.mark.parametrize("formula", [losses.softmax_cross_entropy, losses.sigmoid_binary_cross_entropy])
@pytest.mark.parametrize("classes", [1, 26, 32, 47])
@pytest.mark.parametrize("smoothing", [0.0, 0.1])
def test_losses(formula, classes, smoothing, compiled):
    rng = np.random.default_rng(45)
    logits = np.round(4 * random(50, classes)) / 2  # with ties
    labels, weights = rng.integers(0, classes, 50), rng.uniform(0.5, 2, classes).astype(np.float32)
    got = getattr(cpu, formula.__name__)(logits, labels, weights, 64, smoothing, outcome=losses.Outcome)
    expected = formula(wide(logits), labels, wide(weights), 64, smoothing)
    np.testing.assert_allclose(got.losses, expected.losses, rtol=8 * EPS, atol=8 * EPS)
    np.testing.assert_allclose(got.gradient, expected.gradient, rtol=8 * EPS, atol=EPS)
    np.testing.assert_array_equal(got.right, expected.right)


@pytest.mark.parametrize("formula", [losses.softmax_cross_entropy, losses.sigmoid_binary_cross_entropy])
def test_losses_of_extreme_logits(formula, compiled):
    logits = np.asarray([[3e38, -3e38, 0], [-200, -100, -150], [np.nan, 1, 2], [1, 0, np.nan]], np.float32)
    arrays = logits, np.asarray([1, 1, 1, 0]), np.ones(3, np.float32)
    got = getattr(cpu, formula.__name__)(*arrays, 1, outcome=losses.Outcome)
    assert got.losses[0] > 1e38
    assert np.isfinite(got.gradient[:2]).all()
    assert np.isnan(got.losses[2:]).all()
    assert got.right.tolist() == [False, True, False, False]


@pytest.mark.parametrize("nesterov", [False, True])
@pytest.mark.parametrize("l2", [0.0, 0.5])
def test_momentum_step(l2, nesterov, compiled):
    settings = {"learning_rate": 0.3, "momentum": 0.9, "nesterov": nesterov, "l2": l2, "decayed": 300}
    w, v, g = random(20_000, seed=46), random(20_000, seed=47), random(20_000, seed=48)
    exact = wide(w)
    ours, generic = optimizers.Momentum(w, **settings), optimizers.Momentum(exact, **settings)
    ours.velocity[...] = generic.velocity[...] = v
    cpu.momentum_step(w, g, ours)
    optimizers.momentum_step(exact, wide(g), generic)
    np.testing.assert_allclose(w, exact, rtol=4 * EPS, atol=4 * EPS)
    np.testing.assert_allclose(ours.velocity, generic.velocity, rtol=4 * EPS, atol=4 * EPS)


@pytest.mark.parametrize("bends", [0, 25])
@pytest.mark.parametrize("moved", [0, 9, 17])
def test_assemble(moved, bends, compiled):
    rng = np.random.default_rng(49)
    images, rows = rng.integers(0, 256, (40, 784)).astype(np.uint8), rng.permutation(40)[:17]
    maps = rotations(rng.uniform(-1, 1, moved), 28, 28).astype(np.float32)
    maps[:2] *= 1.7  # far outside
    maps = np.concat([maps, rng.normal(size=(moved, 2, bends)).astype(np.float32)], axis=-1)
    got = cpu.assemble(images, rows, maps, np.float32, waves=waves)
    expected = pixels.assemble(images, rows, wide(maps), np.float64)
    np.testing.assert_allclose(got, expected, rtol=EPS, atol=60 * EPS)
    np.testing.assert_array_equal(got[moved:], images[rows[moved:]].astype(np.float32) / np.float32(255))


def test_other_arrays_take_the_generic_formulas(compiled, monkeypatch):
    x, weight, bias = random(6, 8), random(8, 4), random(4)
    expected = layers.dense.__wrapped__(x, weight, bias, ACTIVATIONS["mish"], True)
    for change in (np.asfortranarray, wide):
        got = layers.dense(change(x), change(weight), change(bias), ACTIVATIONS["mish"], True)
        assert got[1] is not None
        for ours, same in zip(got, expected, strict=True):
            np.testing.assert_allclose(ours, same, rtol=1e-5)


@pytest.mark.parametrize("change", [np.asarray, np.asfortranarray, wide], ids=["float32", "strided", "float64"])
def test_the_way_back_knows_what_was_kept_whoever_kept_it(change, compiled):
    """By the formulas it is z, by the compiled operations the slope there; each may find the other's turn."""
    x, weight, bias, mish = random(6, 8), random(8, 4, seed=41), random(4, seed=42), ACTIVATIONS["mish"]
    upstream, z = random(6, 4, seed=43), wide(x) @ weight + bias
    _, kept = layers.dense(change(x), weight, bias, mish, True)
    for gradient in (upstream, np.asfortranarray(upstream), wide(upstream)):
        delta = layers.gradient_before(gradient, kept, mish)
        np.testing.assert_allclose(delta, upstream * mish.slope(z), rtol=1e-4, atol=1e-6)


def test_an_activation_without_a_kernel_is_left_to_its_formulas(compiled):
    cube = Activation("cube", lambda z: z**3, lambda z: 3 * z**2)
    x, weight, bias, upstream = random(6, 8), random(8, 4), random(4), random(6, 4)
    z = wide(x) @ weight + bias
    value, kept = layers.dense(x, weight, bias, cube, True)
    np.testing.assert_allclose(value, z**3, rtol=1e-4, atol=1e-6)
    delta = layers.gradient_before(upstream, kept, cube)
    np.testing.assert_allclose(delta, upstream * 3 * z**2, rtol=1e-4, atol=1e-6)


def test_count_in(compiled):
    losses, of_losses, of_right = random(9), random(9), random(9) > 0
    counts = losses.copy(), np.arange(9)
    assert cpu.count_in(*counts, of_losses, of_right) is None
    metrics.count_in.__wrapped__(losses, right := np.arange(9), of_losses, of_right)
    np.testing.assert_array_equal(counts[0], losses)
    np.testing.assert_array_equal(counts[1], right)
    assert cpu.count_in(*counts, of_losses, of_right.astype(np.int64)) is NotImplemented
    assert cpu.count_in(*counts, of_losses, of_right[:1]) is NotImplemented


def test_arrays_that_do_not_fit_raise_as_numpys_do(compiled):
    identity, ones = ACTIVATIONS["identity"], np.ones(4, np.float32)
    with pytest.raises(ValueError, match="matmul"):
        layers.dense(random(6, 7), random(8, 4), random(4), identity, True)
    for label in (4, 2**40):
        with pytest.raises(IndexError):
            losses.softmax_cross_entropy(random(2, 4), np.asarray([0, label]), ones, 2)


PROGRAM = """
import numpy as np, lettergpu
from lettergpu.backends import host
from lettergpu.data.letters import Examples, Letters
rng = np.random.default_rng(50)
train = Examples(rng.integers(0, 256, (600, 28, 28)).astype(np.uint8), rng.integers(0, 26, 600))
letters = Letters(train, train, tuple("ABCDEFGHIJKLMNOPQRSTUVWXYZ"), "test", "")
config = lettergpu.Config(hidden=(70, 33), epochs=2, patience=0, device="cpu", batch_size=128)
*_, report = lettergpu.fit(config, letters)
print(host.library()[1]), print(report.state.parameters.tobytes().hex())
"""


def run(program=PROGRAM, **environment):
    """(the compiler or why there is none, the parameters after a short training) in another process."""
    ran = subprocess.run(
        [sys.executable, "-c", program], env={**os.environ, **environment}, capture_output=True, text=True, check=True
    )
    why, parameters = ran.stdout.splitlines()
    return why, hashlib.sha256(parameters.encode()).hexdigest(), np.frombuffer(bytes.fromhex(parameters), np.float32)


def test_the_number_of_threads_changes_no_bit(compiled):
    assert run(OMP_NUM_THREADS="1")[:2] == run(OMP_NUM_THREADS="2")[:2] == run(OMP_NUM_THREADS="3")[:2]


@pytest.mark.skipif(not hasattr(os, "sched_setaffinity"), reason="a process cannot be bound to a core here")
def test_nor_do_threads_that_share_a_core(compiled):
    bound = f"import os; os.sched_setaffinity(0, [{min(os.sched_getaffinity(0))}])\n"
    assert run(bound + PROGRAM, OMP_NUM_THREADS="3")[:2] == run(OMP_NUM_THREADS="1")[:2]


def test_several_callers_at_once_and_a_forked_process(compiled):
    x, weight, bias = random(256, 784), random(784, 512, seed=54), random(512, seed=55)
    expected, _ = cpu.dense(x, weight, bias, ACTIVATIONS["mish"], True)

    def equal(_):
        return np.array_equal(cpu.dense(x, weight, bias, ACTIVATIONS["mish"], True)[0], expected)

    with ThreadPoolExecutor(4) as pool:
        assert all(pool.map(equal, range(300)))
    with ProcessPoolExecutor(2, mp_context=get_context("fork")) as pool:
        futures = [pool.submit(_value_in_child) for _ in range(4)]
        for future in futures:
            np.testing.assert_array_equal(future.result(timeout=60), expected)


def _value_in_child():
    x, weight, bias = random(256, 784), random(784, 512, seed=54), random(512, seed=55)
    return cpu.dense(x, weight, bias, ACTIVATIONS["mish"], True)[0]


@pytest.mark.skipif(platform.machine() not in ("x86_64", "AMD64"), reason="these are names of x86's vectors")
@pytest.mark.parametrize("without", ["-mno-avx512f", "-mno-avx"])
def test_on_processors_with_narrower_vectors_the_training_is_the_same_but_for_rounding(without, compiled):
    _, _, ours = run()
    command, _, narrow = run(CXX=f"{host.library()[1]} {without}")
    assert command.endswith(without)
    np.testing.assert_allclose(narrow, ours, atol=1e-4)


def test_a_library_that_lacks_an_operation_is_not_used(monkeypatch):
    """As flags in $CXX may have it that hide what is not marked."""
    monkeypatch.setattr(host.compiled, "load", lambda name: (ctypes.CDLL(None), "c++ -fvisibility=hidden"))
    why = "c++ -fvisibility=hidden left use_threads out of the library that it made"
    assert host.library.__wrapped__() == (None, why)


def test_without_a_compiler_the_training_is_the_same_but_for_rounding(compiled):
    _, digest, ours = run()
    for environment, said in (
        ({"PATH": "/nowhere", "CXX": ""}, "there is no C++ compiler"),
        ({"CXX": "/nowhere/c++"}, "/nowhere/c++ could not compile"),
        ({"CXX": "false"}, "false could not compile"),
    ):
        why, other, generic = run(**environment)
        assert said in why
        assert other != digest
        np.testing.assert_allclose(generic, ours, atol=1e-4)
