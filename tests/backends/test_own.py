"""Products of our own, on the host and where there is one on a GPU, against NumPy in float64."""

import shutil
from importlib import import_module

import numpy as np
import pytest

from lettergpu.backends.cpu import Slope
from lettergpu.backends.device import CPU
from lettergpu.backends.libraries import LIBRARIES, resolve
from lettergpu.errors import LettergpuError
from lettergpu.nn.activations import ACTIVATIONS

pytest.importorskip("cupy", reason="this needs pip install '.[kernels-check]'")
own = import_module("lettergpu.backends.own")
pytestmark = pytest.mark.skipif(not shutil.which("g++"), reason="there is no g++ to compile the kernels with")

WAYS = [  # (rows, fan_in, fan_out), the tile, how many shares, whether factors are rounded
    ((37, 20, 26), (32, 32), 1, False),
    ((37, 20, 26), (64, 32), 2, True),
    ((70, 100, 68), (64, 64), 3, True),
    ((70, 100, 68), (32, 64), 2, False),
    ((1, 4, 4), (64, 64), 1, False),
    ((33, 7, 9), (64, 32), 2, False),
    ((33, 7, 9), (32, 32), 1, True),
    ((64, 64, 64), (32, 64), 9, True),
    ((130, 100, 68), (128, 64), 2, False),
    ((140, 200, 60), (128, 64), 1, True),
    ((64, 64, 64), None, None, False),  # as it is planned
]


@pytest.fixture(params=["host", pytest.param("cuda", marks=pytest.mark.cuda)])
def place(request, monkeypatch):
    """Where the kernels run: by CuPy's stand-in on NumPy's arrays, or on a GPU."""
    kept = own.kernel, own._counters
    for each in kept:
        each.cache_clear()
    if request.param == "host":
        monkeypatch.setattr(own, "cupy", import_module("cuda_on_host").HostCupy())
        monkeypatch.setattr(own, "_where", lambda: (0, 0))
        monkeypatch.setattr(own, "_gpu", lambda number: (5, 90))
        yield CPU
    else:
        if trouble := LIBRARIES["cuda"].devices()[1]:
            pytest.skip(trouble)
        yield resolve("cuda")[0]
    for each in kept:
        each.cache_clear()


def take(way, monkeypatch):
    """Have this tile taken, in so many shares, and of the second product one more; how far a product may be off."""
    _, tile, shares, tf32 = way
    if tile:
        monkeypatch.setattr(own, "plan", lambda products, *rest: own.Plan(tile, (shares, shares + 1)[: len(products)]))
    monkeypatch.setattr(own, "_tf32", lambda: tf32)
    return 2e-3 if tf32 else 2e-6  # of the largest sum


def numbers(rng, *shape):
    return rng.normal(size=shape).astype(np.float32)


def close(got, expected, rounding):
    np.testing.assert_allclose(got, expected, rtol=0, atol=rounding * max(1.0, np.abs(expected).max()) * 8)


@pytest.mark.parametrize("way", WAYS, ids=str)
def test_forward(way, place, monkeypatch):
    (rows, fan_in, fan_out), rounding, rng = way[0], take(way, monkeypatch), np.random.default_rng(50)
    activation = ACTIVATIONS["mish" if fan_out % 2 else "relu"]
    x, weight, bias = numbers(rng, rows, fan_in), numbers(rng, fan_in, fan_out), numbers(rng, fan_out)
    z = x.astype(np.float64) @ weight + bias
    there = [place.put(array) for array in (x, weight, bias)]
    for _ in range(2):  # the counters are left as they were found
        value, kept = own.dense(*there, activation, True)
        close(place.fetch(value), activation.value(z), rounding)
        far = np.abs(z) > 100 * rounding  # from where the slope jumps
        close(np.where(far, place.fetch(kept.values), 0), np.where(far, activation.slope(z), 0), rounding)
    value, kept = own.dense(*there[:2], None, ACTIVATIONS["identity"], True)
    close(place.fetch(value), z - bias, rounding)
    assert kept == Slope(None)


@pytest.mark.parametrize("way", WAYS, ids=str)
def test_backward(way, place, monkeypatch):
    (rows, fan_in, fan_out), rounding, rng = way[0], take(way, monkeypatch), np.random.default_rng(51)
    delta, slope = numbers(rng, rows, fan_out), numbers(rng, rows, fan_in)
    x, weight = numbers(rng, rows, fan_in), numbers(rng, fan_in, fan_out)
    before = numbers(rng, fan_in, fan_out), numbers(rng, fan_out)
    for add, first, kept, biased in (
        (False, False, slope, True),
        (True, False, None, False),
        (True, True, slope, True),
    ):
        own_gradients = [place.put(array.copy()) for array in before]
        given = [place.put(array) for array in (delta, x, weight)]
        biases = own_gradients[1] if biased else None
        made = own.gradients(*given, own_gradients[0], biases, add, kept if kept is None else place.put(kept), first)
        d = delta.astype(np.float64)
        close(place.fetch(own_gradients[0]), x.T @ d + add * before[0], rounding)
        close(place.fetch(own_gradients[1]), d.sum(axis=0) + add * before[1] if biased else before[1], 2e-6)
        assert (made is None) == first
        if not first:
            close(place.fetch(made), d @ weight.T * (1 if kept is None else kept), rounding)


@pytest.mark.parametrize("shared", [False, True], ids=["own input", "shared input"])
def test_members(shared, place, monkeypatch):
    rng, members, rows, fan_in, fan_out = np.random.default_rng(52), 3, 35, 36, 40
    rounding = take((None, (32, 32), 2, shared), monkeypatch)
    x = numbers(rng, *(() if shared else (members,)), rows, fan_in)
    weight, bias, gradient = (numbers(rng, members, *s) for s in ((fan_in, fan_out), (fan_out,), (rows, fan_out)))
    value, kept = own.dense(*map(place.put, (x, weight, bias)), ACTIVATIONS["tanh"], True)
    a = np.tanh(x.astype(np.float64) @ weight + bias[:, None])
    close(place.fetch(value), a, rounding)
    close(place.fetch(kept.values), 1 - a * a, rounding)
    weight_gradient, bias_gradient = place.put(np.zeros_like(weight)), place.put(np.zeros_like(bias))
    given = [place.put(array) for array in (gradient, x, weight)]
    made = own.gradients(*given, weight_gradient, bias_gradient, False, None, False)
    wide = gradient.astype(np.float64)
    close(place.fetch(weight_gradient), np.swapaxes(np.broadcast_to(x, (members, rows, fan_in)), 1, 2) @ wide, rounding)
    close(place.fetch(bias_gradient), wide.sum(axis=1), 2e-6)
    close(place.fetch(made), wide @ weight.swapaxes(1, 2), rounding)


def test_it_is_the_same_every_time(place, monkeypatch):
    take((None, (64, 32), 3, False), monkeypatch)
    rng = np.random.default_rng(53)
    there = [place.put(numbers(rng, *shape)) for shape in ((70, 100), (100, 68), (68,))]
    once, again = (place.fetch(own.dense(*there, ACTIVATIONS["swish"], False)[0]) for _ in range(2))
    np.testing.assert_array_equal(once, again)


def test_a_product_that_does_not_compile_says_which_and_where(monkeypatch):
    host = import_module("cuda_on_host")

    def fail(*arguments):
        raise host.cupy.cuda.compiler.CompileException("line 3: no such thing", "", "", ())

    monkeypatch.setattr(own, "cupy", host.HostCupy())
    monkeypatch.setattr(own, "_where", lambda: (0, 0))
    monkeypatch.setattr(own, "_gpu", lambda number: (5, 90))
    monkeypatch.setattr(own, "kernel", own.kernel.__wrapped__)
    monkeypatch.setattr(host.RawKernel, "__call__", fail)
    monkeypatch.setattr(host.cupy.cuda, "Device", lambda: type("GPU", (), {"compute_capability": "90"}))
    x, square = np.ones((2, 4), np.float32), np.ones((4, 4), np.float32)
    for name, call in (
        ("forward", lambda: own.dense(x, square, None, ACTIVATIONS["mish"], False)),
        ("backward", lambda: own.gradients(x, x, square, square.copy(), None, False, None, False)),
    ):
        with pytest.raises(LettergpuError, match=rf"the kernel dense_{name} does not compile for sm_90; .*: line 3"):
            call()


def test_what_it_is_not_for_is_left_to_others(place):
    rng, identity = np.random.default_rng(54), ACTIVATIONS["identity"]
    x, weight, bias = (place.put(numbers(rng, *shape)) for shape in ((6, 8), (8, 4), (4,)))
    assert own.dense(x, weight, bias, identity, False) is not NotImplemented
    strange = identity._replace(name="strange")
    for arguments in (
        (x[:, ::2], weight[:4], bias, identity),
        (x, weight.T, bias, identity),
        (x[:, :4], weight, bias, identity),
        (x[:0], weight, bias, identity),
        (x.astype("float64"), weight, bias, identity),
        (x, weight, bias, strange),
        (x[None], weight, bias, identity),
    ):
        assert own.dense(*arguments, False) is NotImplemented


def test_what_was_kept_is_understood_without_it():
    network, gradient = import_module("lettergpu.backends.cuda_network"), np.full((2, 3), 2.0)
    for name, slope, expected in (("identity", None, 2.0), ("relu", np.full((2, 3), 0.5), 1.0)):
        assert (network.gradient_before(gradient, Slope(slope), ACTIVATIONS[name]) == expected).all()


def test_plans_fill_a_gpu():
    for products, members in (
        (((256, 512, 784),), 1),
        (((784, 512, 256),), 1),
        (((512, 256, 256), (256, 512, 256)), 8),
    ):
        way = own.plan(products, members, 132)
        blocks = sum(own.tiles(*p[:2], way.tile) * members * s for p, s in zip(products, way.shares, strict=True))
        assert blocks >= 100
