"""Where arrays live: a namespace of the array API, and the ways between it and the host."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import array_api_compat.numpy
import numpy as np

from .errors import LettergpuError

INSTALL_CUPY = "pip install -e '.[cuda13]' (or cuda12, as nvidia-smi says)"


@dataclass(frozen=True)
class Device:
    """A place for arrays.

    namespace: the array API namespace. handle: what its functions take as `device=`. fetch: a copy, or on the CPU
    the array itself, as a NumPy array.
    """

    name: str
    namespace: Any
    handle: Any = None
    fetch: Callable[[Any], np.ndarray] = np.asarray

    def put(self, array: np.ndarray) -> Any:
        """The host array's values as an array on this device (on the CPU perhaps the same memory)."""
        return self.namespace.asarray(array, device=self.handle)


CPU = Device("cpu", array_api_compat.numpy)


def cuda_devices() -> tuple[list[str], str]:
    """The names of the usable GPUs, and, where there is none, why."""
    try:
        import cupy
    except ImportError:
        return [], f"CuPy is not installed: {INSTALL_CUPY}"
    try:
        count = cupy.cuda.runtime.getDeviceCount()
        names = [cupy.cuda.runtime.getDeviceProperties(i)["name"].decode() for i in range(count)]
        if names:  # a driver alone is not enough: this needs the compiler and cuBLAS too
            (cupy.ones((2, 2)) @ cupy.ones((2, 2)) + 1).sum().item()
    except Exception as error:
        reason = (str(error).strip() or type(error).__name__).splitlines()[0]
        return [], f"CuPy cannot use an NVIDIA GPU here ({reason}): see {INSTALL_CUPY}"
    return names, "" if names else "CuPy finds no NVIDIA GPU"


def _cuda(index: int, name: str) -> Device:
    import array_api_compat.cupy
    import cupy

    gpu = cupy.cuda.Device(index)
    gpu.use()  # CuPy makes new arrays on the thread's current GPU
    return Device(f"cuda:{index} ({name})", array_api_compat.cupy, gpu, cupy.asnumpy)


def resolve(name: str) -> tuple[Device, str]:
    """The device called `auto`, `cpu`, `cuda` or `cuda:N`, and in a few words why that one.

    auto is the first usable GPU, else the CPU. Raises LettergpuError where the name is none of these or the
    GPU asked for cannot be used.
    """
    if name == "cpu":
        return CPU, "as asked"
    names, trouble = cuda_devices()
    if name == "auto":
        return (_cuda(0, names[0]), "a GPU is usable") if names else (CPU, trouble)
    kind, _, number = name.partition(":")
    if kind != "cuda" or (number and not number.isdecimal()) or name.endswith(":"):
        raise LettergpuError(f"--device {name}: choose auto, cpu, cuda or cuda:N")
    index = int(number or 0)
    if not names:
        raise LettergpuError(f"--device {name}: {trouble}; or use --device cpu")
    if index >= len(names):
        raise LettergpuError(f"--device {name}: this machine has {len(names)} GPU(s), cuda:0 to cuda:{len(names) - 1}")
    return _cuda(index, names[index]), "as asked"
