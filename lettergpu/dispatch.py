"""The one place that knows which backend does an operation faster than the generic formula.

An operation is a function of arrays, written once against the array API and marked `@dispatched`. For arrays of a
namespace in NATIVE, the function of the same name and arguments in that module takes its place, where there is one.
LETTERGPU_FUSED=0 in the environment leaves the generic formulas alone, so that both can be compared.
"""

import os
from collections.abc import Callable
from functools import cache, wraps
from importlib import import_module
from typing import Any

from array_api_compat import array_namespace

NATIVE = {"array_api_compat.cupy": "lettergpu.fused"}
if os.environ.get("LETTERGPU_FUSED") == "0":
    NATIVE.clear()


def dispatched(generic: Callable[..., Any]) -> Callable[..., Any]:
    """Mark an operation; the namespace of its first argument decides who does it."""

    @wraps(generic)
    def operation(array: Any, *rest: Any) -> Any:
        return best(generic, array_namespace(array).__name__)(array, *rest)

    return operation


@cache
def best(generic: Callable[..., Any], namespace: str) -> Callable[..., Any]:
    """What does the operation for arrays of this namespace."""
    if namespace not in NATIVE:
        return generic
    return getattr(import_module(NATIVE[namespace]), generic.__name__, generic)
