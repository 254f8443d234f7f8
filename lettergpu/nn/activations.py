"""The activations of the report and their derivatives.

Each is a pair of functions of the pre-activation z (any shape, float32 or float64): `value` is g(z),
`slope` is g'(z). They are written so that nothing overflows and nothing that matters cancels, for every
z from -inf to inf: exponentials are only taken of numbers that are clamped where the result no longer
changes, and 1 - tanh(u)^2 is computed as 4s / (1 + s)^2 with s = e^(-2|u|).
"""

from collections.abc import Callable
from typing import Any, NamedTuple

from array_api_compat import array_namespace

LOWEST = -800.0  # e^z is 0 below this in float32 and float64, so clamping there changes no result
LEAK = 0.01  # the negative slope of leaky ReLU that reproduces the report's networks


class Activation(NamedTuple):
    """leak: what a kernel has to know of leaky ReLU."""

    name: str
    value: Callable[[Any], Any]
    slope: Callable[[Any], Any]
    leak: float = 0.0


def _clamp(xp, z, highest):
    # not xp.clip: array-api-compat's for CuPy reads a mask back from the GPU
    return xp.minimum(xp.maximum(z, LOWEST), highest)


def _sech2(xp, u):
    """1 - tanh(u)^2, without the cancellation."""
    s = xp.exp(-xp.abs(u))
    s *= s  # e^(-2|u|), where 2u would overflow
    return 4.0 * s / (1.0 + s) ** 2


def sigmoid(z):
    """1 / (1 + e^-z)."""
    xp = array_namespace(z)
    e = xp.exp(-xp.abs(z))
    return xp.where(z >= 0, 1.0, e) / (1.0 + e)


def sigmoid_slope(z):
    """g(z) (1 - g(z)) = (1 - tanh(z / 2)^2) / 4."""
    return _sech2(array_namespace(z), 0.5 * z) / 4.0


def tanh(z):
    return array_namespace(z).tanh(z)


def tanh_slope(z):
    """1 - g(z)^2."""
    return _sech2(array_namespace(z), z)


def relu(z):
    return array_namespace(z).maximum(z, 0.0)


def relu_slope(z):
    """0 for z < 0, 1 for z >= 0."""
    return array_namespace(z).astype(z >= 0, z.dtype)


def leaky_relu(z):
    return array_namespace(z).maximum(z, LEAK * z)


def leaky_relu_slope(z):
    """LEAK for z < 0, 1 for z >= 0."""
    xp = array_namespace(z)
    return xp.where(z >= 0, xp.ones_like(z), LEAK)


def swish(z):
    """z sigmoid(z). Ramachandran, Zoph, Le 2017, arXiv:1710.05941."""
    return array_namespace(z).maximum(z, LOWEST) * sigmoid(z)


def swish_slope(z):
    """s + z s (1 - s) with s = sigmoid(z)."""
    return sigmoid(z) + _clamp(array_namespace(z), z, -LOWEST) * sigmoid_slope(z)


def _mish_terms(z):
    # n = e^2z + 2 e^z, so that tanh(ln(1 + e^z)) = n / (n + 2); 1 in float64 from z = 25
    xp = array_namespace(z)
    z = _clamp(xp, z, 25.0)
    e = xp.exp(z)
    return z, e, e * (e + 2.0)


def mish(z):
    """z tanh(ln(1 + e^z)). Misra 2019, arXiv:1908.08681."""
    _, _, n = _mish_terms(z)
    return array_namespace(z).maximum(z, LOWEST) * (n / (n + 2.0))


def mish_slope(z):
    """t + z sigmoid(z) (1 - t^2) with t = tanh(ln(1 + e^z)); the report's e^z w / d^2 overflows from z = 22."""
    z, e, n = _mish_terms(z)
    d = n + 2.0
    return (n + 4.0 * z * e * (1.0 + e) / d) / d


def tanhexp(z):
    """z tanh(e^z). Liu, Di 2020, arXiv:2003.09855."""
    xp = array_namespace(z)
    return xp.maximum(z, LOWEST) * xp.tanh(xp.exp(xp.minimum(z, 4.0)))


def tanhexp_slope(z):
    """tanh(e^z) - z e^z (tanh(e^z)^2 - 1); 1 in float64 from z = 4."""
    xp = array_namespace(z)
    z = _clamp(xp, z, 4.0)
    u = xp.exp(z)
    z *= u
    z *= _sech2(xp, u)
    z += xp.tanh(u)
    return z


def identity(z):
    return z


def identity_slope(z):
    return array_namespace(z).ones_like(z)


ACTIVATIONS = {
    activation.name: activation
    for activation in (
        Activation("identity", identity, identity_slope),
        Activation("sigmoid", sigmoid, sigmoid_slope),
        Activation("tanh", tanh, tanh_slope),
        Activation("relu", relu, relu_slope),
        Activation("leaky_relu", leaky_relu, leaky_relu_slope, LEAK),
        Activation("swish", swish, swish_slope),
        Activation("mish", mish, mish_slope),
        Activation("tanhexp", tanhexp, tanhexp_slope),
    )
}
