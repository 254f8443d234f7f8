"""The one place that knows which backend does an operation faster than the generic formula.

An operation is a function of arrays, written once against the array API and marked `@dispatched`. For arrays of a
library in NATIVE, the function of the same name and arguments in one of its modules is asked first, where there is one;
it answers NotImplemented, as Python's own operators do, where these arrays are not for it. What a backend has to know
of the formula, but cannot import, the mark names, and it is handed over: `@dispatched(epsilon=1e-5)`.
LETTERGPU_FUSED=0 in the environment leaves the generic formulas alone, so that both can be compared.
"""

import os
import threading
from collections.abc import Callable
from functools import cache, partial, wraps
from importlib import import_module
from typing import Any

NATIVE = {
    "cupy": ("lettergpu.backends.cuda_network", "lettergpu.backends.cuda_batches"),
    "numpy": ("lettergpu.backends.cpu",),
}
if os.environ.get("LETTERGPU_FUSED") == "0":
    NATIVE.clear()


class _Left(threading.local):
    """How many operations this thread has left to their formulas, though a backend has them."""

    count = 0


_left = _Left()


def formulas() -> int:
    """How many operations this thread has left to their formulas so far, though a backend has them."""
    return _left.count


def dispatched(formula: Callable[..., Any] | None = None, **needs: Any) -> Callable[..., Any]:
    """Mark an operation; its first argument, an array, decides who does it. needs: what a backend gets by name."""
    if formula is None:
        return partial(dispatched, **needs)
    name = formula.__name__

    @wraps(formula)
    def operation(array: Any, *rest: Any) -> Any:
        kind: Any = type(array)
        if faster := native(name, kind):
            outcome = faster(array, *rest, **needs)
            if outcome is not NotImplemented:
                return outcome
            _left.count += 1
        return formula(array, *rest)

    return operation


@cache
def native(name: str, kind: Any) -> Callable[..., Any] | None:
    """The backend's function for arrays of this type, if it has one of this name."""
    modules = map(import_module, NATIVE.get(kind.__module__.partition(".")[0], ()))
    return next((getattr(module, name) for module in modules if hasattr(module, name)), None)
