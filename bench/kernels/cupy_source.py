"""The text that CuPy gives its compiler, and that compiler's answer, on a machine without a GPU.

By private names of CuPy: only for the version that the extra kernels-check pins.
"""

import io
import re
from typing import Any

import cupy
import numpy as np
from cupy._core import _carray, _kernel, _scalar, core
from cupy.cuda import compiler

ARRAY, INDEXER, SCALAR = 1, 2, 3  # CuPy's names for the kinds of a kernel's arguments
HEADERS = "".join(f"#include <{name}>\n" for name in core._cupy_header_list)  # put before an ElementwiseKernel's text


def elementwise_source(kernel: Any, arguments: tuple) -> tuple[str, list[Any], tuple[int, ...]]:
    """The text of a cupy.ElementwiseKernel without HEADERS, for arguments that are NumPy arrays, or numbers.

    With it the arguments that the compiled kernel takes, and the shape that it loops over. As CuPy does it: arrays
    that are all contiguous are looped over as one row, others are broadcast.
    """
    parameters = kernel.params[: kernel.nargs]
    inputs, outputs = arguments[: kernel.nin], arguments[kernel.nin :]
    types_in = tuple(a.dtype if isinstance(a, np.ndarray) else None for a in inputs)
    types_in, types_out, names = kernel._decide_params_type(types_in, tuple(a.dtype for a in outputs))
    looped = [a for a, p in zip(arguments, parameters, strict=True) if isinstance(a, np.ndarray) and not p.raw]
    shape = np.broadcast_shapes(*(a.shape for a in looped))
    flat = all(a.shape == shape and a.flags.c_contiguous for a in looped)
    shape = (int(np.prod(shape)),) if flat else shape
    infos, taken = [], []
    for argument, parameter, dtype in zip(arguments, parameters, types_in + types_out, strict=True):
        dtype = np.dtype(dtype)
        if isinstance(argument, np.ndarray):
            if not parameter.raw:
                argument = argument.reshape(shape) if flat else np.broadcast_to(argument, shape)
            contiguous = argument.flags.c_contiguous
            infos.append(_kernel._ArgInfo(ARRAY, cupy.ndarray, dtype, argument.ndim, contiguous, True))
        else:
            argument = dtype.type(argument)
            infos.append(_kernel._ArgInfo(SCALAR, _scalar.CScalar, dtype, 0, True, True))
        taken.append(argument)
    infos.append(_kernel._ArgInfo(INDEXER, _carray.Indexer, None, len(shape), True, True))
    text = _kernel._get_elementwise_kernel_code(
        tuple(infos), names, kernel.params, kernel.operation, kernel.name, kernel.preamble, **kernel.kwargs
    )
    return text, taken, shape


def compile_options(architecture: str) -> tuple[str, ...]:
    """What CuPy tells NVRTC for an architecture such as sm_90 or compute_90."""
    fixed = ("-ftz=true", f"-arch={architecture}", "--device-as-default-execution-space")
    return core.assemble_cupy_compiler_options(()) + fixed


def registers_and_spills(text: str, name: str, architecture: str) -> tuple[int, int]:
    """What the assembler says of the kernel of that name in the text: registers a thread, bytes spilled to memory."""
    log = io.StringIO()
    options = (*compile_options(architecture), "-Xptxas=-v", "-Xptxas=--warn-on-spills")
    compiler._NVRTCProgram(text, name="kern.cu", method="cubin").compile(options, log)
    own = re.compile(rf"'(lettergpu_)?{name}'")
    (said,) = filter(own.search, log.getvalue().split("Compiling entry function")[1:])
    registers = re.search(r"Used (\d+) registers", said)
    assert registers, said
    return int(registers[1]), sum(int(n) for n in re.findall(r"(\d+) bytes spill", said))
