"""How CuPy is given a kernel and launches it: for those of a network and of a batch alike."""

from typing import Any

import cupy

from ..errors import LettergpuError
from ..kernels import source

COMPUTE = "typedef lettergpu::Compute<T>::type C; "
NOWHERE = cupy.uintp(0)  # a pointer to nothing


def elementwise(name: str, inputs: str, outputs: str, body: str, file: str) -> Any:
    """An ElementwiseKernel whose body has the functions of a file of kernels/, and C, what they compute in."""
    return cupy.ElementwiseKernel(inputs, outputs, COMPUTE + body, f"lettergpu_{name}", preamble=source(file))


def launch(kernel: Any, *arguments: Any, by: Any = None) -> None:
    """Launch a kernel, which CuPy compiles for each GPU and dtype when it first meets them. by: a faster way to try."""
    try:
        if not (by and by(kernel, *arguments)):
            kernel(*arguments)
    except cupy.cuda.compiler.CompileException as error:
        architecture = cupy.cuda.Device().compute_capability
        raise LettergpuError(
            f"the kernel {kernel.name} does not compile for sm_{architecture}; LETTERGPU_FUSED=0 does without: {error}"
        ) from error
