"""The one place that knows which backend does an operation faster than the generic formula.

An operation is a function of arrays, written once against the array API and marked `@dispatched`. For arrays of a
library in NATIVE, the function of the same name and arguments in that module takes its place, where there is one.
LETTERGPU_FUSED=0 in the environment leaves the generic formulas alone, so that both can be compared.
"""

import os
from collections.abc import Callable
from functools import cache, wraps
from importlib import import_module
from typing import Any

NATIVE = {"cupy": "lettergpu.fused", "numpy": "lettergpu.native"}
if os.environ.get("LETTERGPU_FUSED") == "0":
    NATIVE.clear()


def dispatched(formula: Callable[..., Any]) -> Callable[..., Any]:
    """Mark an operation; its first argument, an array, decides who does it."""

    @wraps(formula)
    def operation(array: Any, *rest: Any) -> Any:
        kind: Any = type(array)
        return best(formula, kind)(array, *rest)

    return operation


def generic(operation: Callable[..., Any]) -> Callable[..., Any]:
    """The formula that was marked."""
    return operation.__wrapped__  # type: ignore[attr-defined]


@cache
def best(formula: Callable[..., Any], kind: Any) -> Callable[..., Any]:
    """What does the operation for arrays of this type."""
    module = NATIVE.get(kind.__module__.partition(".")[0])
    return getattr(import_module(module), formula.__name__, formula) if module else formula
