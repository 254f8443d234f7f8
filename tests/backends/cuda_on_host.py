"""The kernels without a GPU: the text that CuPy would compile, compiled by g++ and run on NumPy arrays.

`HostCupy` stands in for the module cupy in what launches kernels. The text and the header with the array classes are
CuPy's.
"""

import ctypes
import hashlib
import math
import subprocess
import tempfile
from functools import cache
from pathlib import Path

import cupy
import numpy as np
from cupy._core import _scalar
from cupy_source import elementwise_source

CUPY = Path(cupy.__file__).parent / "_core" / "include"
INCLUDE = [CUPY, CUPY / "cupy" / "_cccl" / "libcudacxx", *Path(cupy.__file__).parent.parent.glob("nvidia/*/include")]
COMPILER = ["g++", "-std=c++20", "-O1", "-w", "-shared", "-fPIC", "-pthread", *(f"-I{path}" for path in INCLUDE)]
SHIM = Path(__file__).with_name("cuda_on_host.h").read_text()


@cache
def folder():
    """Where compiled kernels stay as long as the tests run."""
    return tempfile.TemporaryDirectory()


@cache
def header(above):
    """C++ text that is above that of many kernels, compiled once: it takes longer than most of them."""
    path = Path(folder().name) / f"{hashlib.sha256(above.encode()).hexdigest()}.h"
    path.write_text(above)
    subprocess.run([*COMPILER, "-x", "c++-header", path], check=True)
    return path


@cache
def library(above, text):
    """C++ text, with what stands in for CUDA above it, as a shared library."""
    source = Path(folder().name) / f"{hashlib.sha256((above + text).encode()).hexdigest()}.cpp"
    source.write_text(text)
    subprocess.run([*COMPILER, "-include", header(above), "-o", source.with_suffix(".so"), source], check=True)
    return ctypes.CDLL(str(source.with_suffix(".so")))


def run(above, text, arguments):
    """Call `run` of the text with the addresses of the arguments, arrays or NumPy's numbers."""
    held = [np.asarray(argument) for argument in arguments]
    library(above, text).run((ctypes.c_void_p * len(held))(*(a.ctypes.data for a in held)))


def numbers(values):
    return "{" + ", ".join(map(str, values)) + "}"


def strides(array):
    """An array's strides in bytes; where it is contiguous also those of axes of length 1, which NumPy leaves open."""
    if not array.flags.c_contiguous:
        return array.strides
    return [array.itemsize * math.prod(array.shape[axis + 1 :]) for axis in range(array.ndim)]


class ElementwiseKernel(cupy.ElementwiseKernel):
    """Called with NumPy arrays instead of CuPy's."""

    def __call__(self, *arguments):
        text, taken, shape = elementwise_source(self, arguments)
        made, passed = "", []
        for i, argument in enumerate(taken):
            ctype = _scalar.get_typename(argument.dtype)
            if isinstance(argument, np.ndarray):
                kind = f"CArray<{ctype}, {argument.ndim}, {str(argument.flags.c_contiguous).lower()}, true>"
                made += f"const ptrdiff_t s{i}[] = {numbers(argument.shape)}, t{i}[] = {numbers(strides(argument))};\n"
                made += f"{kind} a{i}(({ctype}*)arguments[{i}], s{i}, t{i});\n"
                passed.append(f"a{i}")
            else:
                passed.append(f"*({ctype}*)arguments[{i}]")
        made += f"const ptrdiff_t shape[] = {numbers(shape)};\n"
        call = f"{self.name}({', '.join(passed)}, CIndexer<{len(shape)}, true>(shape));"
        text += f'extern "C" void run(void** arguments) {{\n{made}in_blocks(3, 64, [&] {{ {call} }});\n}}\n'
        run(SHIM + "#include <cupy/carray.cuh>\n", text, taken)


class RawKernel:
    """Takes contiguous arrays and NumPy's numbers, and runs the threads of a block in turns."""

    def __init__(self, code, name):
        self.code, self.name = code, name

    def __call__(self, grid, block, arguments):
        passed = []
        for i, argument in enumerate(arguments):
            ctype = _scalar.get_typename(argument.dtype)
            if isinstance(argument, np.ndarray):
                assert argument.flags.c_contiguous
                passed.append(f"({ctype}*)arguments[{i}]")
            elif argument.dtype == np.uintp:
                passed.append("nullptr")
            else:
                passed.append(f"*({ctype}*)arguments[{i}]")
        sizes = f"{grid[0]}, {(*grid, 1)[1]}, {block[0]}"
        call = f"in_turns({sizes}, [&] {{ {self.name}({', '.join(passed)}); }});"
        text = f'{self.code}extern "C" void run(void** arguments) {{ {call} }}'
        run(f"#define TOGETHER\n{SHIM}", text, arguments)


class HostCupy:
    """What the kernels' callers use of cupy, on NumPy arrays."""

    ElementwiseKernel, RawKernel, cuda = ElementwiseKernel, RawKernel, cupy.cuda

    def __getattr__(self, name):
        return getattr(np, name)
