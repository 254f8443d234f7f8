"""C++ for ulp.py: compiled by g++, and called with NumPy's arrays."""

import ctypes
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

INCLUDE = (Path(__file__).parent, Path(__file__).parents[2] / "kernels")
FLAGS = ("-O3", "-march=native", "-fno-math-errno", "-fno-trapping-math", "-ffp-contract=off")

Evaluate = Callable[[np.ndarray], np.ndarray]  # of float32


class Type(ctypes.Structure):  # as in ulp.cpp
    _fields_ = (
        ("digits", ctypes.c_int),
        ("least", ctypes.c_int),
        ("largest", ctypes.c_double),
        ("flushed", ctypes.c_double),
    )


TYPES = {
    "float32": (24, -126, 2.0**128 - 2.0**104),
    "float16": (11, -14, 65504.0),
    "bfloat16": (8, -126, 2.0**128 - 2.0**119),
}


class Errors(ctypes.Structure):  # as in ulp.cpp
    COUNTS = ("checked", "not_finite", "limit_off", "nan_lost", "subnormal_off")
    WORST = ("worst_ulp", "at", "worst_near_zero", "at_near_zero")
    BINS = ("0.5", "1", "1.5", "2", "3", "4", "8", "64", "1e+06", "more")
    _fields_ = (
        *((name, ctypes.c_int64) for name in COUNTS),
        ("bins", ctypes.c_int64 * len(BINS)),
        *((name, ctypes.c_double) for name in WORST),
    )

    def named(self) -> dict[str, Any]:
        named = {name: getattr(self, name) for name in self.COUNTS + self.WORST}
        return named | {"histogram": dict(zip(self.BINS, self.bins, strict=True))}


class Library:
    """C++ compiled by g++."""

    def __init__(self, source: Path, folder: Path) -> None:
        path = folder / f"{source.stem}.so"
        include = [f"-I{each}" for each in (*INCLUDE, folder)]
        subprocess.run(["g++", *FLAGS, "-shared", "-fPIC", *include, str(source), "-o", str(path)], check=True)
        self._loaded = ctypes.CDLL(str(path))

    def call(self, name: str, *arguments: Any) -> int:
        """A function's result. It gets the address of an array or structure, and float and int as double and long."""
        passed = []
        for argument in arguments:
            if isinstance(argument, np.ndarray):
                passed.append(ctypes.c_void_p(argument.ctypes.data))
            elif isinstance(argument, ctypes.Structure):
                passed.append(ctypes.byref(argument))
            else:
                passed.append(ctypes.c_double(argument) if isinstance(argument, float) else ctypes.c_long(argument))
        function = self._loaded[name]
        function.restype = ctypes.c_int64
        return function(*passed)

    def over_all(self, name: str, dtype: Any = np.float32) -> Evaluate:
        def evaluate(z: np.ndarray) -> np.ndarray:
            result = np.empty(z.size, dtype)
            self.call(name, z, result, z.size)
            return result

        return evaluate
