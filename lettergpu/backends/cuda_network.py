"""The CUDA kernels of a network: its layers there and back, its losses, and the step of its parameters.

What `dispatch` finds for CuPy's arrays, with those of a batch (cuda_batches.py). Each operation has the name and the
arguments of the formula that it stands for, and those by name that its mark hands over. An activation without a kernel
is left to the formulas.
"""

from functools import cache, partial
from math import prod
from typing import Any

import cupy

from ..kernels import formula, known, source
from . import own, packs
from .cpu import Slope
from .cublas import product
from .launch import elementwise, launch

TYPES = {  # how a dtype's name is made known to a kernel that is not elementwise
    "float32": "typedef float T;\n",
    "float64": "typedef double T;\n",
    "float16": "#include <cupy/float16.cuh>\ntypedef float16 T;\n",
    "bfloat16": "#include <cupy/bfloat16.cuh>\ntypedef bfloat16 T;\n",
}
WARPS = 4  # rows a block of the losses' kernels takes
NODES = 8  # that a block of normalise.cu takes: of float32, 32 bytes


@cache
def activate_kernel(activation: Any) -> Any:
    """z <- z + bias; a = g(z)."""
    body = f"z = T(C(z) + C(bias)); const C z_ = C(z); a = T({formula(activation, 'value')});"
    return elementwise(f"activate_{activation.name}", "T bias", "T z, T a", body, "activations.cuh")


@cache
def gradient_kernel(activation: Any) -> Any:
    """delta = gradient * g'(z)."""
    body = f"const C z_ = C(z); delta = T(C(gradient) * {formula(activation, 'slope')});"
    return elementwise(f"gradient_before_{activation.name}", "T gradient, T z", "T delta", body, "activations.cuh")


@cache
def normalise_kernel(name: str, activation: Any, dtype: str) -> Any:
    """One of normalise.cu's, for an activation and for arrays of this dtype."""
    lines = [f"#define {part.upper()}(z_) {formula(activation, part)}\n" for part in ("value", "slope")]
    defined = "".join([TYPES[dtype], f"#define NODES {NODES}\n", *lines])
    return cupy.RawKernel(defined + source("normalise.cu"), name)


@cache
def momentum_kernel() -> Any:
    """The velocity v and the parameters w after a step; the first `decayed` parameters decay."""
    body = "lettergpu::momentum_step(w, v, C(g), C(rate), C(momentum), i < decayed ? C(l2) : C(0), nesterov);"
    inputs = "T g, T rate, T momentum, T l2, int64 decayed, bool nesterov"
    return elementwise("momentum_step", inputs, "T w, T v", body, "momentum.cuh")


@cache
def loss_kernel(name: str, dtype: str) -> Any:
    """losses, right, gradient of logits of this dtype."""
    return cupy.RawKernel(TYPES[dtype] + source("losses.cu"), name)


def dense(x: Any, weight: Any, bias: Any, activation: Any, keep: bool) -> Any:
    if own.IN_USE and (made := own.dense(x, weight, bias, activation, keep)) is not NotImplemented:
        return made
    if not known(activation) or (bias is None and activation.name != "identity"):
        return NotImplemented
    z = _product(x, weight)
    if bias is None:
        return z, z
    return activate(z, bias, activation), z


def activate(z: Any, bias: Any, activation: Any) -> Any:
    """g(z + bias); z is turned into z + bias."""
    bias = bias[..., None, :]
    if activation.name == "identity":
        z += bias
        return z
    a = cupy.empty_like(z)
    launch(activate_kernel(activation), bias, z, a, by=packs.launched)
    return a


def gradient_before(gradient: Any, kept: Any, activation: Any) -> Any:
    if isinstance(kept, Slope):  # of a product of our own, whose gradients were not for it
        return gradient if kept.values is None else gradient * kept.values
    if activation.name == "identity":
        return gradient
    if not known(activation):
        return NotImplemented
    delta = cupy.empty_like(kept)
    launch(gradient_kernel(activation), gradient, kept, delta, by=packs.launched)
    return delta


def gradients(
    delta: Any,
    x: Any,
    weight: Any,
    weight_gradient: Any,
    bias_gradient: Any,
    add: bool,
    kept: Any,
    activation: Any,
    first: bool,
) -> Any:
    if not own.IN_USE or not (kept is None or isinstance(kept, Slope)):
        return NotImplemented
    slope = kept.values if kept else None
    return own.gradients(delta, x, weight, weight_gradient, bias_gradient, add, slope, first)


def set_gradients(weight_gradient: Any, bias_gradient: Any, x: Any, delta: Any, add: bool) -> None:
    _product(x.swapaxes(-1, -2), delta, weight_gradient, add=add)
    if bias_gradient is None:
        return
    if delta.size and _alike(delta, bias_gradient):
        _per_node("column_sums", own.IDENTITY, (delta, bias_gradient), cupy.bool_(add))
    elif add:
        bias_gradient += delta.sum(axis=-2)
    else:
        cupy.sum(delta, axis=-2, out=bias_gradient)


def gradient_of_input(delta: Any, weight: Any) -> Any:
    return _product(delta, weight.swapaxes(-1, -2))


def _product(a: Any, b: Any, out: Any = None, *, add: bool = False) -> Any:
    """a b, into `out` or added to it."""
    made = product(a, b, out, add=add)
    if made is not NotImplemented:
        return made
    if add:
        out += a @ b
        return out
    return cupy.matmul(a, b, out=out)


def normalised(
    z: Any,
    scale: Any,
    bias: Any,
    mean: Any,
    variance: Any,
    activation: Any,
    ranks: Any,
    *,
    epsilon: float,
    pace: float,
    moments: Any,
) -> Any:
    if ranks.size > 1 or not z.size or not known(activation) or not _alike(z, scale, bias, mean, variance):
        return NotImplemented
    value, slope, factor = cupy.empty_like(z), cupy.empty_like(z), cupy.empty_like(scale)
    numbers = (_computed_in(z)(number) for number in (epsilon, pace))
    arrays = z, scale, bias, mean, variance, value, slope, factor
    _per_node("normalised", activation, arrays, *numbers)
    return value, Slope(slope), z, factor


def gradient_before_normalised(
    gradient: Any,
    kept: Any,
    standard: Any,
    factor: Any,
    activation: Any,
    scale_gradient: Any,
    bias_gradient: Any,
    add: bool,
    ranks: Any,
) -> Any:
    if ranks.size > 1 or not isinstance(kept, Slope):
        return NotImplemented
    arrays = gradient, kept.values, standard, factor, scale_gradient, bias_gradient
    if not gradient.size or not known(activation) or not _alike(*arrays):
        return NotImplemented
    delta = cupy.empty_like(gradient)
    _per_node("gradient_before_normalised", activation, (*arrays, delta), cupy.bool_(add))
    return delta


def _alike(*arrays: Any) -> bool:
    """Whether all are contiguous, and of one dtype that a kernel is compiled for."""
    dtype = arrays[0].dtype
    return dtype.name in TYPES and all(array.dtype == dtype and array.flags.c_contiguous for array in arrays)


def _per_node(name: str, activation: Any, arrays: Any, *numbers: Any) -> None:
    """Launch a kernel of normalise.cu on arrays of which the first is (..., rows, nodes)."""
    *members, rows, nodes = arrays[0].shape
    columns = prod(members) * nodes
    sizes = (cupy.int64(size) for size in (rows, nodes, columns))
    grid, block = (-(-columns // NODES),), (32 * NODES,)
    launch(normalise_kernel(name, activation, arrays[0].dtype.name), grid, block, (*arrays, *sizes, *numbers))


def _computed_in(array: Any) -> Any:
    return cupy.float64 if array.dtype == cupy.float64 else cupy.float32


def momentum_step(parameters: Any, gradients: Any, settings: Any) -> None:
    rates = settings.learning_rate, settings.momentum, settings.l2
    arguments = gradients, *rates, settings.decayed, settings.nesterov, parameters, settings.velocity
    launch(momentum_kernel(), *arguments, by=packs.launched)


def _loss(
    name: str, logits: Any, labels: Any, weights: Any, batch: int, smoothing: float = 0.0, *, outcome: Any
) -> Any:
    logits, weights = cupy.ascontiguousarray(logits), cupy.ascontiguousarray(weights, logits.dtype)
    labels = cupy.ascontiguousarray(labels, cupy.int64)
    rows, classes = logits.shape
    made = outcome(cupy.empty(rows, logits.dtype), cupy.empty(rows, cupy.bool_), cupy.empty_like(logits))
    sizes = cupy.int64(rows), cupy.int32(classes), cupy.int64(batch), _computed_in(logits)(smoothing)
    if rows:  # no launch has no blocks
        grid, block = (-(-rows // WARPS),), (32 * WARPS,)
        launch(loss_kernel(name, logits.dtype.name), grid, block, (logits, labels, weights, *made, *sizes))
    return made


softmax_cross_entropy = partial(_loss, "softmax_cross_entropy")
sigmoid_binary_cross_entropy = partial(_loss, "sigmoid_binary_cross_entropy")
