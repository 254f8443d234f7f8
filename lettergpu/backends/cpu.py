"""The CPU's operations, in C++: what `dispatch` finds for NumPy's arrays.

Each operation has the name and the arguments of the formula that it stands for, and those by name that its mark hands
over. It answers NotImplemented, which leaves it to the formula, where kernels/host.cpp cannot be compiled, the arrays
are not contiguous float32, or the activation is none that host.cpp knows.
"""

from collections.abc import Iterable
from functools import cache, partial
from itertools import repeat
from typing import Any, NamedTuple

import numpy as np

from ..data import SIDE
from .host import N, at, contiguous, host_for, recorded

NAMES = "identity", "sigmoid", "tanh", "relu", "leaky_relu", "swish", "mish", "tanhexp"  # as host.cpp's enum Activation


def _members(ensemble: bool, *arrays: Any) -> Iterable[Any]:
    """These arrays, or those of one member of an ensemble after another."""
    return zip(*(repeat(None) if array is None else array for array in arrays), strict=False) if ensemble else [arrays]


class Slope(NamedTuple):
    """What `dense` and `normalised` keep of z for the way back: not z itself, as the formulas do, but g'(z).

    values: an array like z, or None for the identity, whose slope is 1.
    """

    values: Any


def dense(x: Any, weight: Any, bias: Any, activation: Any, keep: bool) -> Any:
    *ensemble, fan_in, fan_out = weight.shape
    rows = x.shape[-2]
    fits = x.shape in ((rows, fan_in), (*ensemble, rows, fan_in))  # the library would read beyond it; NumPy tells
    if not fits or activation.name not in NAMES or not (host := host_for(x, weight, bias)):
        return NotImplemented
    value = np.empty((*ensemble, rows, fan_out), np.float32)
    slope = np.empty_like(value) if keep and activation.name != "identity" else None
    x = np.broadcast_to(x, (*ensemble, rows, fan_in)) if ensemble else x
    for arrays in _members(bool(ensemble), x, weight, bias, value, slope):
        host.dense(*at(*arrays), rows, fan_in, fan_out, NAMES.index(activation.name), activation.leak)
    return value, Slope(slope)


def gradient_before(gradient: Any, kept: Any, activation: Any) -> Any:
    if not isinstance(kept, Slope):
        return NotImplemented
    slope = kept.values
    if slope is None:
        return gradient
    if gradient.shape != slope.shape or not (host := host_for(gradient, slope)):
        return gradient * slope
    delta = np.empty_like(gradient)
    host.gradient_before(*at(gradient, slope, delta), delta.size)
    return delta


def set_gradients(weight_gradient: Any, bias_gradient: Any, x: Any, delta: Any, add: bool) -> Any:
    if not (host := host_for(weight_gradient, bias_gradient, x, delta)):
        return NotImplemented
    sizes = delta.shape[-2], *weight_gradient.shape[-2:]
    x = np.broadcast_to(x, (*delta.shape[:-2], *x.shape[-2:])) if delta.ndim == 3 else x
    for arrays in _members(delta.ndim == 3, x, delta, weight_gradient, bias_gradient):
        host.set_gradients(*at(*arrays), add, *sizes)
    return None


def gradient_of_input(delta: Any, weight: Any) -> Any:
    if not (host := host_for(delta, weight)):
        return NotImplemented
    gradient = np.empty((*delta.shape[:-1], weight.shape[-2]), np.float32)
    for arrays in _members(delta.ndim == 3, delta, weight, gradient):
        host.gradient_of_input(*at(*arrays), delta.shape[-2], *weight.shape[-2:])
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
    if not suits or not (host := host_for(z, scale, bias, mean, variance)):
        return NotImplemented
    of_all = moments(z, ranks) if shared else (None, None)
    value, slope, factor = np.empty_like(z), np.empty_like(z), np.empty_like(scale)
    numbers = *z.shape[-2:], NAMES.index(activation.name), activation.leak, epsilon, pace
    for arrays in _members(z.ndim == 3, z, *of_all, scale, bias, mean, variance, factor, value, slope):
        host.normalised(*at(*arrays), *numbers)
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
    if not (host := host_for(*arrays)):
        return NotImplemented
    delta = np.empty_like(gradient)
    for part in _members(delta.ndim == 3, *arrays, delta):
        host.gradient_before_normalised(*at(*part), add, *delta.shape[-2:])
    return delta


def momentum_step(parameters: Any, gradients: Any, settings: Any) -> Any:
    if not (host := host_for(parameters, gradients, settings.velocity)):
        return NotImplemented
    rate = contiguous(settings.learning_rate, np.float32)
    rates = settings.momentum, settings.l2, settings.nesterov
    host.momentum_step(*at(parameters, settings.velocity, gradients, rate), parameters.size, settings.decayed, *rates)
    return None


def count_batch(number: Any) -> Any:
    if not recorded():
        return NotImplemented
    host_for().count_batch(*at(number))
    return None


def count_in(losses: Any, right: Any, of_losses: Any, of_right: Any) -> Any:
    suit = right.dtype == np.int64 and of_right.dtype == np.bool_ and of_right.flags.c_contiguous
    if not suit or not losses.shape == of_losses.shape == of_right.shape or not (host := host_for(losses, of_losses)):
        return NotImplemented
    host.count_in(*at(losses, right, of_losses, of_right), losses.size)
    return None


def windows(number: Any, arrays: Any, places: Any) -> Any:
    if recorded():
        return [_window(number, *each) for each in zip(arrays, places, strict=True)]
    firsts = (int(number[0]) * place.size + place.before for place in places)
    return [array[first : first + place.rows] for array, first, place in zip(arrays, firsts, places, strict=True)]


def _window(number: Any, array: Any, place: Any) -> Any:
    """A copy, which stays where it is, as views of other batches do not."""
    found = np.empty((place.rows, *array.shape[1:]), array.dtype)
    sizes = place.size, place.before, place.rows, array[:1].nbytes
    host_for().window(*at(number, array), *sizes, *at(found))
    return found


def uniforms(rows: Any, count: int, of: Any) -> Any:
    if not (host := host_for()):
        return NotImplemented
    rows = contiguous(rows, np.int64)
    drawn = np.empty((len(rows), count), np.float32)
    host.uniforms(*at(rows), count, *of, len(rows), *at(drawn))
    return drawn


def permuted(numbers: Any, tables: Any, a: int, b: int) -> Any:
    if not (host := host_for()):
        return NotImplemented
    numbers, tables = (contiguous(array, np.int64) for array in (numbers, tables))
    places = np.empty_like(numbers)
    host.permuted(*at(numbers, tables), tables.shape[1], a, b, len(numbers), *at(places))
    return places


def assemble(images: Any, rows: Any, maps: Any, dtype: Any, *, waves: Any) -> Any:
    pixels = images.dtype == np.uint8 and images.shape[1] == SIDE * SIDE and images.flags.c_contiguous
    host = host_for(maps) if pixels and np.dtype(dtype) == np.float32 else None
    if not host:
        return NotImplemented
    basis = _basis(waves, maps.shape[2])
    rows = contiguous(rows, np.int64)
    x = np.empty((len(rows), SIDE * SIDE), np.float32)
    host.assemble(*at(images, rows, maps), len(maps), *at(basis), len(basis), len(rows), *at(x))
    return x


@cache
def _basis(waves: Any, length: int) -> Any:
    """The waves of the maps whose rows have this length, (n, 28) float32."""
    return np.ascontiguousarray(waves(np.zeros((1, 2, length), np.float32), SIDE).T)


def _loss(
    name: str, logits: Any, labels: Any, weights: Any, batch: int, smoothing: float = 0.0, *, outcome: Any
) -> Any:
    known = labels.size == 0 or (labels.min() >= 0 and labels.max() < logits.shape[-1])  # as above
    if not known or labels.shape != logits.shape[:1] or not (host := host_for(logits, weights)):
        return NotImplemented
    rows, classes = logits.shape
    labels = contiguous(labels, np.int64)
    made = outcome(np.empty(rows, np.float32), np.empty(rows, np.bool_), np.empty_like(logits))
    getattr(host, name)(*at(logits, labels, weights, *made), rows, classes, batch, smoothing)
    return made


def softmax(logits: Any) -> Any:
    if logits.ndim != 2 or not logits.size or not (host := host_for(logits)):
        return NotImplemented
    found = np.empty_like(logits)
    host.softmax(*at(logits, found), *logits.shape)
    return found


def moment_frames(images: Any, dtype: Any, *, steepest: float, size: float) -> Any:
    pixels = images.dtype == np.uint8 and images.shape[1:] == (SIDE, SIDE)
    if not pixels or np.dtype(dtype) != np.float32 or not (host := host_for()):
        return NotImplemented
    images = contiguous(images)
    maps = np.empty((len(images), 2, 3), np.float32)
    host.moment_frames(*at(images), steepest, size, len(images), *at(maps))
    return maps


def probabilities(images: Any, network: Any, *, steepest: float, size: float) -> Any:
    """Of a network alone, of plain layers and softmax, that looks at an image once, moved or not."""
    sizes, parameters, activation = network.sizes, network.parameters, network.layers[0].activation
    plain = network.members == network.views == 1 and not network.batch_norm and network.loss == "softmax"
    fits = images.dtype == np.uint8 and images.size == images.shape[0] * sizes[0]  # it would read beyond them
    seen = fits and (not network.moment_norm or sizes[0] == SIDE * SIDE)
    if not (plain and seen) or activation.name not in NAMES or not (host := host_for(parameters)):
        return NotImplemented
    images, count = contiguous(images), images.shape[0]
    found = np.empty((count, sizes[-1]), np.float32)
    settings = NAMES.index(activation.name), activation.leak, steepest, size if network.moment_norm else 0.0
    host.probabilities(*at(images, parameters), _sizes(sizes), len(sizes) - 1, *settings, count, *at(found))
    return found


@cache
def _sizes(sizes: tuple[int, ...]) -> Any:
    return (N * len(sizes))(*sizes)


softmax_cross_entropy = partial(_loss, "softmax_cross_entropy")
sigmoid_binary_cross_entropy = partial(_loss, "sigmoid_binary_cross_entropy")
