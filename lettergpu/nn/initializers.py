"""Initial weights and biases of one dense layer, drawn on the host in float64.

Each function takes (generator, fan_in, fan_out) and returns a weight (fan_in, fan_out) and a bias (fan_out,),
or None for a bias of zeros.
"""

import math
from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.random import Generator


def xavier(rng: Generator, fan_in: int, fan_out: int) -> tuple[Any, Any]:
    """Weights uniform within sqrt(6 / (fan_in + fan_out)). Glorot, Bengio 2010."""
    limit = math.sqrt(6.0 / (fan_in + fan_out))
    return rng.uniform(-limit, limit, (fan_in, fan_out)), None


def he(rng: Generator, fan_in: int, fan_out: int) -> tuple[Any, Any]:
    """Weights normal with variance 2 / fan_in. He, Zhang, Ren, Sun 2015, arXiv:1502.01852."""
    return rng.normal(0.0, math.sqrt(2.0 / fan_in), (fan_in, fan_out)), None


def uniform(rng: Generator, fan_in: int, fan_out: int) -> tuple[Any, Any]:
    """Weights uniform within 1 / sqrt(fan_in), the plain heuristic of Glorot, Bengio 2010, equation 1."""
    limit = 1.0 / math.sqrt(fan_in)
    return rng.uniform(-limit, limit, (fan_in, fan_out)), None


def report(rng: Generator, fan_in: int, fan_out: int) -> tuple[Any, Any]:
    """The report's own: weights and biases alike uniform within sqrt(6 / (fan_in + fan_out))."""
    limit = math.sqrt(6.0 / (fan_in + fan_out))
    theta = rng.uniform(-limit, limit, (fan_in + 1, fan_out))  # its last row is the bias
    return theta[:-1], theta[-1]


def zeros(rng: Generator, fan_in: int, fan_out: int) -> tuple[Any, Any]:
    """None at all, to be seen failing: no node ever differs from another. Goodfellow et al. 2016, section 8.4."""
    return np.zeros((fan_in, fan_out)), None


INITIALIZERS: dict[str, Callable[[Generator, int, int], tuple[Any, Any]]] = {
    "xavier": xavier,
    "he": he,
    "uniform": uniform,
    "report": report,
    "zeros": zeros,
}
