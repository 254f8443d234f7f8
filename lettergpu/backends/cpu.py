"""The CPU's operations, in C++: what `dispatch` finds for NumPy's arrays.

Each operation has the name and the arguments of the formula that it stands for, and those by name that its mark hands
over. It answers NotImplemented, which leaves it to the formula, where kernels/host.cpp cannot be compiled, the arrays
are not contiguous float32, or the activation is none that host.cpp knows.
"""

import ctypes
import os
from collections.abc import Iterable
from functools import cache, partial
from itertools import repeat
from typing import Any, NamedTuple

import numpy as np

from ..data import SIDE
from . import compiled
from .ranks import cores

NAMES = "identity", "sigmoid", "tanh", "relu", "leaky_relu", "swish", "mish", "tanhexp"  # as host.cpp's enum Activation

P, N, F, FLAG, W = ctypes.c_void_p, ctypes.c_ssize_t, ctypes.c_float, ctypes.c_int, ctypes.c_uint32
SIGNATURES = {
    "use_threads": [FLAG],
    "round_factors": [FLAG],
    "dense": [P, P, P, P, P, N, N, N, FLAG, F],
    "gradient_before": [P, P, P, N],
    "set_gradients": [P, P, P, P, FLAG, N, N, N],
    "gradient_of_input": [P, P, P, N, N, N],
    "normalised": [P, P, P, P, P, P, P, P, P, P, N, N, FLAG, F, F, F],
    "gradient_before_normalised": [P, P, P, P, P, P, P, FLAG, N, N],
    "momentum_step": [P, P, P, N, N, F, F, F, FLAG],
    "uniforms": [P, N, W, W, W, W, N, P],
    "permuted": [P, P, N, N, N, N, P],
    "assemble": [P, P, P, N, P, N, N, P],
    "softmax_cross_entropy": [P, P, P, P, P, P, N, N, F, F],
    "sigmoid_binary_cross_entropy": [P, P, P, P, P, P, N, N, F, F],
    "softmax": [P, P, N, N],
    "moment_frames": [P, F, F, N, P],
    "probabilities": [P, P, P, N, FLAG, F, F, F, N, P],
}


@cache
def library() -> tuple[Any, str]:
    """host.cpp, compiled and loaded, and the compiler; or None, and why not."""
    host, compiler = compiled.load("host.cpp")
    if host is None:
        return None, compiler
    for name, arguments in SIGNATURES.items():
        function = getattr(host, name, None)
        if function is None:
            return None, f"{compiler} left {name} out of the library that it made"
        function.argtypes, function.restype = arguments, FLAG if name == "round_factors" else None
    host.use_threads(threads())
    return host, compiler


def threads() -> int:
    """As many as OMP_NUM_THREADS says, as for other libraries, else as there are cores for this process."""
    wanted = os.environ.get("OMP_NUM_THREADS", "").partition(",")[0]
    return int(wanted) if wanted.isdecimal() and int(wanted) else cores()


def round_factors(wanted: bool) -> bool:
    """Whether the factors of products are rounded to bfloat16 from now on: as wanted, where the processor can."""
    host = library()[0] if wanted or library.cache_info().currsize else None
    return bool(host and host.round_factors(wanted))


def _at(*arrays: Any) -> list[Any]:
    """Where each array begins in memory; None for None."""
    return [None if array is None else _address(array) for array in arrays]


def _address(array: Any) -> int:
    try:
        return ctypes.addressof(ctypes.c_char.from_buffer(array))  # in a fourth of the time that the next line takes
    except (TypeError, ValueError):  # read-only, or empty
        address: int = array.__array_interface__["data"][0]
        return address


def _members(ensemble: bool, *arrays: Any) -> Iterable[Any]:
    """These arrays, or those of one member of an ensemble after another."""
    return zip(*(repeat(None) if array is None else array for array in arrays), strict=False) if ensemble else [arrays]


def _host(*floats: Any) -> Any:
    """The library, if it is there and all these arrays, but for None, are contiguous float32."""
    suit = all(array is None or (array.dtype == np.float32 and array.flags.c_contiguous) for array in floats)
    return library()[0] if suit else None


class Slope(NamedTuple):
    """What `dense` and `normalised` keep of z for the way back: not z itself, as the formulas do, but g'(z).

    values: an array like z, or None for the identity, whose slope is 1.
    """

    values: Any


def dense(x: Any, weight: Any, bias: Any, activation: Any, keep: bool) -> Any:
    *ensemble, fan_in, fan_out = weight.shape
    rows = x.shape[-2]
    fits = x.shape in ((rows, fan_in), (*ensemble, rows, fan_in))  # the library would read beyond it; NumPy tells
    if not fits or activation.name not in NAMES or not (host := _host(x, weight, bias)):
        return NotImplemented
    value = np.empty((*ensemble, rows, fan_out), np.float32)
    slope = np.empty_like(value) if keep and activation.name != "identity" else None
    x = np.broadcast_to(x, (*ensemble, rows, fan_in)) if ensemble else x
    for arrays in _members(bool(ensemble), x, weight, bias, value, slope):
        host.dense(*_at(*arrays), rows, fan_in, fan_out, NAMES.index(activation.name), activation.leak)
    return value, Slope(slope)


def gradient_before(gradient: Any, kept: Any, activation: Any) -> Any:
    if not isinstance(kept, Slope):
        return NotImplemented
    slope = kept.values
    if slope is None:
        return gradient
    if gradient.shape != slope.shape or not (host := _host(gradient, slope)):
        return gradient * slope
    delta = np.empty_like(gradient)
    host.gradient_before(*_at(gradient, slope, delta), delta.size)
    return delta


def set_gradients(weight_gradient: Any, bias_gradient: Any, x: Any, delta: Any, add: bool) -> Any:
    if not (host := _host(weight_gradient, bias_gradient, x, delta)):
        return NotImplemented
    sizes = delta.shape[-2], *weight_gradient.shape[-2:]
    x = np.broadcast_to(x, (*delta.shape[:-2], *x.shape[-2:])) if delta.ndim == 3 else x
    for arrays in _members(delta.ndim == 3, x, delta, weight_gradient, bias_gradient):
        host.set_gradients(*_at(*arrays), add, *sizes)
    return None


def gradient_of_input(delta: Any, weight: Any) -> Any:
    if not (host := _host(delta, weight)):
        return NotImplemented
    gradient = np.empty((*delta.shape[:-1], weight.shape[-2]), np.float32)
    for arrays in _members(delta.ndim == 3, delta, weight, gradient):
        host.gradient_of_input(*_at(*arrays), delta.shape[-2], *weight.shape[-2:])
    return gradient


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
    shared = ranks.size > 1
    suits = (z.size or shared) and activation.name in NAMES
    if not suits or not (host := _host(z, scale, bias, mean, variance)):
        return NotImplemented
    of_all = moments(z, ranks) if shared else (None, None)
    value, slope, factor = np.empty_like(z), np.empty_like(z), np.empty_like(scale)
    numbers = *z.shape[-2:], NAMES.index(activation.name), activation.leak, epsilon, pace
    for arrays in _members(z.ndim == 3, z, *of_all, scale, bias, mean, variance, factor, value, slope):
        host.normalised(*_at(*arrays), *numbers)
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
    if ranks.size > 1 or not isinstance(kept, Slope) or gradient.shape != kept.values.shape:
        return NotImplemented
    arrays = gradient, kept.values, standard, factor, scale_gradient, bias_gradient
    if not (host := _host(*arrays)):
        return NotImplemented
    delta = np.empty_like(gradient)
    for part in _members(delta.ndim == 3, *arrays, delta):
        host.gradient_before_normalised(*_at(*part), add, *delta.shape[-2:])
    return delta


def momentum_step(parameters: Any, gradients: Any, settings: Any) -> Any:
    if not (host := _host(parameters, gradients, settings.velocity)):
        return NotImplemented
    rate = np.asarray(settings.learning_rate).item()
    rates = rate, settings.momentum, settings.l2, settings.nesterov
    host.momentum_step(*_at(parameters, settings.velocity, gradients), parameters.size, settings.decayed, *rates)
    return None


def windows(number: Any, arrays: Any, places: Any) -> Any:
    firsts = (int(number[0]) * place.size + place.before for place in places)
    return [array[first : first + place.rows] for array, first, place in zip(arrays, firsts, places, strict=True)]


def uniforms(rows: Any, count: int, of: Any) -> Any:
    if not (host := _host()):
        return NotImplemented
    rows = np.ascontiguousarray(rows, np.int64)
    drawn = np.empty((len(rows), count), np.float32)
    host.uniforms(*_at(rows), count, *of, len(rows), *_at(drawn))
    return drawn


def permuted(numbers: Any, tables: Any, a: int, b: int) -> Any:
    if not (host := _host()):
        return NotImplemented
    numbers, tables = (np.ascontiguousarray(array, np.int64) for array in (numbers, tables))
    places = np.empty_like(numbers)
    host.permuted(*_at(numbers, tables), tables.shape[1], a, b, len(numbers), *_at(places))
    return places


def assemble(images: Any, rows: Any, maps: Any, dtype: Any, *, waves: Any) -> Any:
    pixels = images.dtype == np.uint8 and images.shape[1] == SIDE * SIDE and images.flags.c_contiguous
    host = _host(maps) if pixels and np.dtype(dtype) == np.float32 else None
    if not host:
        return NotImplemented
    basis = _basis(waves, maps.shape[2])
    rows = np.ascontiguousarray(rows, np.int64)
    x = np.empty((len(rows), SIDE * SIDE), np.float32)
    host.assemble(*_at(images, rows, maps), len(maps), *_at(basis), len(basis), len(rows), *_at(x))
    return x


@cache
def _basis(waves: Any, length: int) -> Any:
    """The waves of the maps whose rows have this length, (n, 28) float32."""
    return np.ascontiguousarray(waves(np.zeros((1, 2, length), np.float32), SIDE).T)


def _loss(
    name: str, logits: Any, labels: Any, weights: Any, batch: int, smoothing: float = 0.0, *, outcome: Any
) -> Any:
    known = labels.size == 0 or (labels.min() >= 0 and labels.max() < logits.shape[-1])  # as above
    if not known or labels.shape != logits.shape[:1] or not (host := _host(logits, weights)):
        return NotImplemented
    rows, classes = logits.shape
    labels = np.ascontiguousarray(labels, np.int64)
    made = outcome(np.empty(rows, np.float32), np.empty(rows, np.bool_), np.empty_like(logits))
    getattr(host, name)(*_at(logits, labels, weights, *made), rows, classes, batch, smoothing)
    return made


def softmax(logits: Any) -> Any:
    if logits.ndim != 2 or not logits.size or not (host := _host(logits)):
        return NotImplemented
    found = np.empty_like(logits)
    host.softmax(*_at(logits, found), *logits.shape)
    return found


def moment_frames(images: Any, dtype: Any, *, steepest: float, size: float) -> Any:
    pixels = images.dtype == np.uint8 and images.shape[1:] == (SIDE, SIDE)
    if not pixels or np.dtype(dtype) != np.float32 or not (host := _host()):
        return NotImplemented
    images = np.ascontiguousarray(images)
    maps = np.empty((len(images), 2, 3), np.float32)
    host.moment_frames(*_at(images), steepest, size, len(images), *_at(maps))
    return maps


def probabilities(images: Any, network: Any, *, steepest: float, size: float) -> Any:
    """Of a network alone, of plain layers and softmax, that looks at an image once, moved or not."""
    sizes, parameters, activation = network.sizes, network.parameters, network.layers[0].activation
    plain = network.members == network.views == 1 and not network.batch_norm and network.loss == "softmax"
    fits = images.dtype == np.uint8 and images.size == images.shape[0] * sizes[0]  # it would read beyond them
    seen = fits and (not network.moment_norm or sizes[0] == SIDE * SIDE)
    if not (plain and seen) or activation.name not in NAMES or not (host := _host(parameters)):
        return NotImplemented
    images, count = np.ascontiguousarray(images), images.shape[0]
    found = np.empty((count, sizes[-1]), np.float32)
    settings = NAMES.index(activation.name), activation.leak, steepest, size if network.moment_norm else 0.0
    host.probabilities(*_at(images, parameters), _sizes(sizes), len(sizes) - 1, *settings, count, *_at(found))
    return found


@cache
def _sizes(sizes: tuple[int, ...]) -> Any:
    return (N * len(sizes))(*sizes)


softmax_cross_entropy = partial(_loss, "softmax_cross_entropy")
sigmoid_binary_cross_entropy = partial(_loss, "sigmoid_binary_cross_entropy")
