"""The CUDA kernels in place of the generic formulas: what `dispatch` finds for CuPy's arrays.

Each operation has the name and the arguments of the formula that it stands for, and those by name that its mark hands
over. An activation without a kernel is left to the formulas.
"""

from functools import cache, partial
from math import prod
from typing import Any

import cupy

from ..data import SIDE
from ..errors import LettergpuError
from ..kernels import formula, known, source
from . import own, packs
from .cpu import Slope
from .cublas import product

COMPUTE = "typedef lettergpu::Compute<T>::type C; "
TYPES = {  # how a dtype's name is made known to a kernel that is not elementwise
    "float32": "typedef float T;\n",
    "float64": "typedef double T;\n",
    "float16": "#include <cupy/float16.cuh>\ntypedef float16 T;\n",
    "bfloat16": "#include <cupy/bfloat16.cuh>\ntypedef bfloat16 T;\n",
}
WARPS = 4  # rows a block of the losses' kernels takes
NODES = 8  # that a block of normalise.cu takes
WINDOWS, WORD = 4, 4  # at once by windows.cu, of words of so many bytes
NOWHERE, IDENTITY = own.NOWHERE, own.IDENTITY


@cache
def activate_kernel(activation: Any) -> Any:
    """z <- z + bias; a = g(z)."""
    body = f"z = T(C(z) + C(bias)); const C z_ = C(z); a = T({formula(activation, 'value')});"
    return _elementwise(f"activate_{activation.name}", "T bias", "T z, T a", body, "activations.cuh")


@cache
def gradient_kernel(activation: Any) -> Any:
    """delta = gradient * g'(z)."""
    body = f"const C z_ = C(z); delta = T(C(gradient) * {formula(activation, 'slope')});"
    return _elementwise(f"gradient_before_{activation.name}", "T gradient, T z", "T delta", body, "activations.cuh")


@cache
def normalise_kernel(name: str, activation: Any, dtype: str) -> Any:
    """One of normalise.cu's, for an activation and for arrays of this dtype."""
    defined = "".join(f"#define {part.upper()}(z_) {formula(activation, part)}\n" for part in ("value", "slope"))
    return cupy.RawKernel(TYPES[dtype] + defined + source("normalise.cu"), name)


@cache
def momentum_kernel() -> Any:
    """The velocity v and the parameters w after a step; the first `decayed` parameters decay."""
    body = "lettergpu::momentum_step(w, v, C(g), C(rate), C(momentum), i < decayed ? C(l2) : C(0), nesterov);"
    inputs = "T g, T rate, T momentum, T l2, int64 decayed, bool nesterov"
    return _elementwise("momentum_step", inputs, "T w, T v", body, "momentum.cuh")


@cache
def windows_kernel() -> Any:
    return cupy.RawKernel(source("windows.cu"), "windows")


@cache
def count_in_kernel() -> Any:
    body = "losses = T(C(losses) + C(loss)); right += is_right;"
    return _elementwise("count_in", "T loss, bool is_right", "T losses, int64 right", body, "activations.cuh")


@cache
def uniforms_kernel() -> Any:
    """Number i of (rows, count), each by itself: a word in four of what it computes, but nothing is fetched twice."""
    body = """
        const long long row = i / count, number = i - row * count;
        const lettergpu::Words words = lettergpu::philox(rows[row], number / 4, epoch, purpose, low, high);
        u = lettergpu::uniform(words.w[number % 4]);
    """
    inputs = "raw int64 rows, int64 count, uint32 low, uint32 high, uint32 epoch, uint32 purpose"
    return cupy.ElementwiseKernel(inputs, "float32 u", body, "lettergpu_uniforms", preamble=source("philox.cuh"))


@cache
def permuted_kernel() -> Any:
    """places; tables are indexed as flat."""
    body = "places = lettergpu::permuted(number, tables, rounds, a, b, count);"
    inputs = "int64 number, raw int64 tables, int32 rounds, int64 a, int64 b, int64 count"
    return cupy.ElementwiseKernel(inputs, "int64 places", body, "lettergpu_permuted", preamble=source("philox.cuh"))


@cache
def assemble_kernel() -> Any:
    """Pixel i of a batch; images, rows and maps are indexed as flat."""
    body = f"x = T(lettergpu::assembled<{SIDE}, {SIDE}, C>(images, rows, maps, moved, waves, n, i));"
    inputs = "raw uint8 images, raw int64 rows, raw T maps, int64 moved, raw W waves, int32 n"
    return _elementwise("assemble", inputs, "T x", body, "assemble.cuh")


def _elementwise(name: str, inputs: str, outputs: str, body: str, file: str) -> Any:
    return cupy.ElementwiseKernel(inputs, outputs, COMPUTE + body, f"lettergpu_{name}", preamble=source(file))


@cache
def loss_kernel(name: str, dtype: str) -> Any:
    """losses, right, gradient of logits of this dtype."""
    return cupy.RawKernel(TYPES[dtype] + source("losses.cu"), name)


def _call(kernel: Any, *arguments: Any, by: Any = None) -> None:
    """Launch a kernel, which CuPy compiles for each GPU and dtype when it first meets them. by: a faster way to try."""
    try:
        if not (by and by(kernel, *arguments)):
            kernel(*arguments)
    except cupy.cuda.compiler.CompileException as error:
        architecture = cupy.cuda.Device().compute_capability
        raise LettergpuError(
            f"the kernel {kernel.name} does not compile for sm_{architecture}; LETTERGPU_FUSED=0 does without: {error}"
        ) from error


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
    _call(activate_kernel(activation), bias, z, a, by=packs.launched)
    return a


def gradient_before(gradient: Any, kept: Any, activation: Any) -> Any:
    if isinstance(kept, Slope):  # of a product of our own, whose gradients were not for it
        return gradient if kept.values is None else gradient * kept.values
    if activation.name == "identity":
        return gradient
    if not known(activation):
        return NotImplemented
    delta = cupy.empty_like(kept)
    _call(gradient_kernel(activation), gradient, kept, delta, by=packs.launched)
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
        _per_node("column_sums", IDENTITY, (delta, bias_gradient), cupy.bool_(add))
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
    z: Any, scale: Any, bias: Any, mean: Any, variance: Any, activation: Any, *, epsilon: float, pace: float
) -> Any:
    if not z.size or not known(activation) or not _alike(z, scale, bias, mean, variance):
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
) -> Any:
    if not isinstance(kept, Slope):
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
    _call(normalise_kernel(name, activation, arrays[0].dtype.name), grid, block, (*arrays, *sizes, *numbers))


def _computed_in(array: Any) -> Any:
    return cupy.float64 if array.dtype == cupy.float64 else cupy.float32


def momentum_step(parameters: Any, gradients: Any, settings: Any) -> None:
    rates = settings.learning_rate, settings.momentum, settings.l2
    arguments = gradients, *rates, settings.decayed, settings.nesterov, parameters, settings.velocity
    _call(momentum_kernel(), *arguments, by=packs.launched)


def windows(number: Any, arrays: Any, places: Any) -> Any:
    widths = [prod(array.shape[1:]) * array.itemsize for array in arrays]
    whole = all(array.flags.c_contiguous and width % WORD == 0 for array, width in zip(arrays, widths, strict=True))
    if not whole or len(arrays) > WINDOWS:
        return NotImplemented
    taken, passed, words = [], [], 0
    for array, place, width in zip(arrays, places, widths, strict=True):
        made = cupy.empty((place.rows, *array.shape[1:]), array.dtype)
        sizes = (rows * width // WORD for rows in (place.rows, place.size, place.before))
        taken.append(made)
        passed += [array, made, *map(cupy.int64, sizes)]
        words += place.rows * width // WORD
    passed += [NOWHERE, NOWHERE, *map(cupy.int64, (0, 0, 0))] * (WINDOWS - len(arrays))
    if words:
        _call(windows_kernel(), (-(-words // 256),), (256,), (number, *passed))
    return taken


def count_in(losses: Any, right: Any, of_losses: Any, of_right: Any) -> None:
    _call(count_in_kernel(), of_losses, of_right, losses, right)


def uniforms(rows: Any, count: int, of: Any) -> Any:
    drawn = cupy.empty((rows.shape[0], count), cupy.float32)
    _call(uniforms_kernel(), rows, count, *of, drawn)
    return drawn


def permuted(numbers: Any, tables: Any, a: int, b: int) -> Any:
    places = cupy.empty_like(numbers)
    _call(permuted_kernel(), numbers, tables, tables.shape[1], a, b, numbers.shape[0], places)
    return places


def assemble(images: Any, rows: Any, maps: Any, dtype: Any, *, waves: Any) -> Any:
    x = cupy.empty((rows.shape[0], SIDE * SIDE), dtype)
    basis = _basis(waves, maps.shape[2], "float64" if x.dtype == cupy.float64 else "float32", str(maps.device))
    _call(assemble_kernel(), images, rows, maps, maps.shape[0], basis, basis.shape[1], x)
    return x


@cache
def _basis(waves: Any, length: int, dtype: str, device: str) -> Any:
    """The waves of the maps whose rows have this length, (28, n), on the current GPU, which is `device`."""
    return waves(cupy.zeros((1, 2, length), dtype), SIDE)


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
        _call(loss_kernel(name, logits.dtype.name), grid, block, (logits, labels, weights, *made, *sizes))
    return made


softmax_cross_entropy = partial(_loss, "softmax_cross_entropy")
sigmoid_binary_cross_entropy = partial(_loss, "sigmoid_binary_cross_entropy")
