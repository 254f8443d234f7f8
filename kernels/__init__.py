"""CUDA C++ as package data, and the way to its text; README.md beside this file says what there is."""

import re
from functools import cache
from importlib.resources import files
from typing import Any

FORMULAS = {  # `value` and `slope` of z_ in activations.cuh, by the activation's name; C is what is computed in
    "sigmoid": "sigmoid_{}(z_)",
    "tanh": "tanh_{}(z_)",
    "relu": "relu_{}(z_)",
    "leaky_relu": "leaky_relu_{}(z_, C({leak}))",
    "swish": "swish_{}(z_, C(1))",
    "mish": "mish_{}(z_)",
    "tanhexp": "tanhexp_{}(z_)",
}
IDENTITY = {"value": "z_", "slope": "C(1)"}


def known(activation: Any) -> bool:
    """Whether there is code for it."""
    return activation.name == "identity" or activation.name in FORMULAS


def formula(activation: Any, part: str) -> str:
    """The code for the `value` or the `slope` of an activation at z_."""
    if activation.name == "identity":
        return IDENTITY[part]
    return "lettergpu::" + FORMULAS[activation.name].format(part, leak=activation.leak)


@cache
def source(name: str) -> str:
    """The text of a kernel's file, each header that it includes put in its place, once.

    CuPy keeps compiled kernels under their text and does not see that a header changed, so there must be none.
    """
    seen = set()

    def text(name: str) -> str:
        if name in seen:
            return ""
        seen.add(name)
        return re.sub(
            r'^#include "(.*)"\n', lambda match: text(match[1]), files(__name__).joinpath(name).read_text(), flags=re.M
        )

    return text(name)
