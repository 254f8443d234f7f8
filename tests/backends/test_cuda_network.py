"""The CUDA kernels of a network, one by one, on the host and where there is one on a GPU, against the formulas."""

import itertools

import cuda_places
import cupy
import numpy as np
import pytest
from cuda_places import DTYPES, close, dtype_of, eps, layouts, tiny, with_special

from lettergpu.backends import cuda_network, dispatch, packs
from lettergpu.backends.cpu import Slope
from lettergpu.backends.ranks import ALONE
from lettergpu.nn import layers, losses
from lettergpu.nn.activations import ACTIVATIONS
from lettergpu.training import optimizers

pytestmark, host, place = cuda_places.needs_compiler, cuda_places.host, cuda_places.place
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
]


def without_subnormals(values):
    """As the kernels may take them, which CuPy compiles with -ftz=true: numbers below float32's normal ones as 0."""
    return np.where(np.abs(values) < np.finfo(np.float32).tiny, np.copysign(0.0, values), values)


@pytest.mark.parametrize("generic", OPERATIONS, ids=lambda generic: generic.__name__)
def test_each_takes_the_place_of_its_operation(generic):
    ours = getattr(cuda_network, generic.__name__)
    assert dispatch.native(generic.__name__, cupy.ndarray) is ours


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("name", ACTIVATIONS)
def test_activate(name, dtype, place):
    dtype = dtype_of(dtype)
    product = with_special(np.random.default_rng(30).normal(0, 4, (19, 13)).astype(dtype))
    bias = np.random.default_rng(31).normal(0, 1, 13).astype(dtype)
    before = product.astype(np.float64) + bias.astype(np.float64)
    for z in itertools.islice(layouts(place, product), 4 if dtype == np.float32 else 1):
        a = cuda_network.activate(z, place.put(bias), ACTIVATIONS[name])
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
        delta = place.fetch(cuda_network.gradient_before(upstream_there, z_there, ACTIVATIONS[name]))
        assert delta.dtype == dtype
        either = np.where(subnormal & (np.abs(delta - taken) < np.abs(delta - told)), taken, told)
        close(delta, either, rtol=8 * eps(dtype), atol=4 * eps(dtype))


@pytest.mark.parametrize("shape", [(0, 5), (1, 1), (1, 63), (64, 1), (5, 13), (191, 1), (3, 64), (193, 1), (7, 111)])
def test_any_size(shape, place):
    """Nothing, one, and what does not fill the last block or goes round more than once (blocks are 3 of 64 threads)."""
    rng = np.random.default_rng(33)
    z, bias = rng.normal(size=shape).astype(np.float32), rng.normal(size=shape[1]).astype(np.float32)
    expected = ACTIVATIONS["mish"].value(z.astype(np.float64) + bias)
    a = cuda_network.activate(place.put(z), place.put(bias), ACTIVATIONS["mish"])
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
    needs = {"epsilon": layers.EPSILON, "pace": layers.PACE, "moments": layers.moments}
    ours = cuda_network.normalised(place.put(z.copy()), *there, activation, ALONE, **needs)
    expected = layers.normalised.__wrapped__(z.astype(np.float64), *exact, activation, ALONE)
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
        rest = activation, *gradients, add, ALONE
        delta = cuda_network.gradient_before_normalised(place.put(upstream), *kept, *rest)
        given = activation._replace(slope=np.copy)
        told = layers.gradient_before_normalised.__wrapped__(
            upstream.astype(np.float64), *held[1:], given, *summed, add, ALONE
        )
    assert delta.dtype == dtype
    close(place.fetch(delta), told, rtol=40 * eps(dtype), atol=40 * eps(dtype) * max(1, held[3].max()))
    for got, of in zip(gradients, summed, strict=True):
        close(place.fetch(got), of, rtol=40 * eps(dtype), atol=40 * eps(dtype) * rows**0.5)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("shape", [(1, 1), (2, 31), (300, 9), (3, 33, 17)], ids=str)
def test_column_sums(shape, dtype, place, monkeypatch):
    monkeypatch.setattr(
        cuda_network, "_product", lambda *arguments, **options: None
    )  # CuPy has none of stacks of bfloat16
    *members, rows, nodes = shape
    dtype, rng = dtype_of(dtype), np.random.default_rng(42)
    delta, before = rng.normal(size=shape).astype(dtype), rng.normal(size=(*members, nodes)).astype(dtype)
    x, of_weight = np.ones((*members, rows, 2), dtype), place.put(np.zeros((*members, 2, nodes), dtype))
    for add in (False, True):
        bias_gradient = place.put(before.copy())
        cuda_network.set_gradients(of_weight, bias_gradient, place.put(x), place.put(delta), add)
        expected = delta.astype(np.float64).sum(axis=-2) + add * before.astype(np.float64)
        close(place.fetch(bias_gradient), expected, rtol=8 * eps(dtype), atol=8 * eps(dtype) * rows**0.5)


def test_a_block_takes_as_many_nodes_as_it_is_told(host, monkeypatch):
    monkeypatch.setattr(cuda_network, "NODES", 16)
    x, delta = (np.random.default_rng(43).normal(size=(40, size)).astype(np.float32) for size in (2, 35))
    of_weight, of_bias = np.empty((2, 35), np.float32), np.empty(35, np.float32)
    cuda_network.set_gradients(of_weight, of_bias, x, delta, False)
    np.testing.assert_allclose(of_bias, delta.astype(np.float64).sum(axis=0), rtol=1e-6, atol=1e-5)


def outcome_there(place, generic, logits, labels, weights, batch, smoothing=0.0):
    """What the kernel says, on the host."""
    arrays = logits, place.put(labels), place.put(weights)
    return losses.Outcome(
        *map(place.fetch, getattr(cuda_network, generic.__name__)(*arrays, batch, smoothing, outcome=losses.Outcome))
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
    cuda_network.momentum_step(ours, place.put(g), mine)
    optimizers.momentum_step(exact, g.astype(np.float64), generic)
    close(place.fetch(ours), exact, rtol=4 * eps(dtype), atol=4 * eps(dtype))
    close(place.fetch(mine.velocity), generic.velocity, rtol=4 * eps(dtype), atol=4 * eps(dtype))


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("shape", [(1, 1), (1, 3), (3, 4), (129, 8), (2, 33, 32)], ids=str)
def test_packs_compute_what_single_numbers_do(shape, dtype, place):
    rng, activation = np.random.default_rng(42), ACTIVATIONS["tanhexp"]
    bias, z = rng.normal(size=shape[-1]).astype(dtype), rng.normal(size=shape).astype(dtype)
    kernel, found = cuda_network.activate_kernel(activation), []
    for launch in (packs.launched, kernel):
        there = [place.put(array.copy()) for array in (bias, z, np.zeros_like(z))]
        done = launch(*((kernel,) if launch is packs.launched else ()), *there)
        assert done is not False or shape == (1, 3)  # a row that is no whole number of packs
        found.append([place.fetch(array) for array in there])
    for got, expected in zip(*found, strict=True) if shape != (1, 3) else ():
        np.testing.assert_array_equal(got, expected)


def test_what_does_not_come_in_packs(place):
    kernel, z = cuda_network.gradient_kernel(ACTIVATIONS["relu"]), place.put(np.ones((8, 8), np.float32))
    strided, half = z.T, z.astype("float16")
    shifted = place.put(np.ones(65, np.float32))[1:].reshape(8, 8)
    for arguments in ((strided, z, z), (half, half, half), (shifted, z, z), (z[:4], z, z), (z[:0], z[:0], z[:0])):
        assert packs.prepared(kernel, *arguments) is None
    assert packs.prepared(kernel, z, z, z) is not None
