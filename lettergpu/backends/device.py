"""Where arrays live: a namespace of the array API, and the ways between it and the host."""

import os
import warnings
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import Any

import array_api_compat.numpy
import numpy as np

from ..errors import LettergpuError

INSTALL_CUPY = "pip install -e '.[cuda13]' (or cuda12, as nvidia-smi says)"


Repeated = Callable[[Iterable[Any]], Iterator[Any]]  # does some work for each part, and yields the part


def one_by_one(work: Callable[[Any], None]) -> Repeated:
    """`work(part)` for each part."""

    def repeated(parts: Iterable[Any]) -> Iterator[Any]:
        for part in parts:
            work(part)
            yield part

    return repeated


@dataclass(frozen=True)
class Device:
    """A place for arrays.

    namespace: the array API namespace. handle: what its functions take as `device=`. fetch: a copy, or on the CPU
    the array itself, as a NumPy array. free: how many bytes of memory of its own it has left; None is the host's.
    use: makes it the one that the calling thread works on, where a library has a current one; what has arrays here
    calls it before it computes, as another device or thread may have had its turn. repeated: the fastest way to do some
    work that is the same for equal parts, reads no number that the host changes, and asks nothing of the device.
    """

    name: str
    namespace: Any
    handle: Any = None
    fetch: Callable[[Any], np.ndarray] = np.asarray
    free: Callable[[], int | None] = lambda: None
    use: Callable[[], Any] = lambda: None
    repeated: Callable[[Callable[[Any], None]], Repeated] = one_by_one

    def put(self, array: np.ndarray) -> Any:
        """The host array's values as an array on this device (on the CPU perhaps the same memory).

        CuPy copies through pinned memory, and does not wait for the GPU.
        """
        self.use()
        return self.namespace.asarray(array, device=self.handle)

    def put_if_it_fits(self, array: np.ndarray) -> Any:
        """The array on this device, or the host's own where it would take more than half of the memory left."""
        free = self.free()
        return array if free is not None and array.nbytes > free / 2 else self.put(array)


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


def cuda_details(index: int) -> str:
    """What a usable GPU and its driver are, in a line."""
    import cupy

    properties = cupy.cuda.runtime.getDeviceProperties(index)
    driver = cupy.cuda.runtime.driverGetVersion()
    return (
        f"compute capability {properties['major']}.{properties['minor']}, {properties['totalGlobalMem'] / 1e9:.0f} GB, "
        f"its driver for CUDA up to {driver // 1000}.{driver % 1000 // 10}"
    )


def shortage(error: MemoryError) -> str:
    """How much was asked for, and, of a GPU, how much is free."""
    asked = str(error).rstrip(".") or "the system has no more"
    if not type(error).__module__.startswith("cupy"):
        return asked
    import cupy

    free, total = cupy.cuda.Device().mem_info
    return f"{asked}, of the GPU's {total:,} bytes {free:,} are free, --device cpu does without"


def _cuda(index: int, name: str, precision: str) -> Device:
    import array_api_compat.cupy
    import cupy
    from cupy._core import _routines_linalg as products

    from .replay import Replay

    gpu = cupy.cuda.Device(index)
    kind = products.COMPUTE_TYPE_TF32 if precision == "tf32" else products.COMPUTE_TYPE_DEFAULT
    products.set_compute_type(cupy.float32, kind)

    def free() -> int:
        return gpu.mem_info[0] + cupy.get_default_memory_pool().free_bytes()

    repeated = Replay if os.environ.get("LETTERGPU_REPLAY") == "1" else one_by_one
    return Device(f"cuda:{index} ({name})", array_api_compat.cupy, gpu, cupy.asnumpy, free, gpu.use, repeated)


def resolve(name: str, precision: str = "float32") -> tuple[Device, str]:
    """The device called `auto`, `cpu`, `cuda` or `cuda:N`, and in a few words why that one.

    auto is the first usable GPU, else the CPU. precision: of products of float32 matrices on a GPU, float32 or tf32,
    which keeps 10 of the 23 bits of each factor; it holds for the whole process.
    Raises LettergpuError where the name is none of these or the GPU asked for cannot be used; with
    LETTERGPU_CPU_FALLBACK=1 in the environment a missing GPU is only warned of, and the CPU taken.
    """
    if name == "cpu":
        return CPU, "as asked"
    names, trouble = cuda_devices()
    if name == "auto":
        return (_cuda(0, names[0], precision), "a GPU is usable") if names else (CPU, trouble)
    kind, _, number = name.partition(":")
    if kind != "cuda" or (number and not number.isdecimal()) or name.endswith(":"):
        raise LettergpuError(f"--device {name}: choose auto, cpu, cuda or cuda:N")
    index = int(number or 0)
    if not names and os.environ.get("LETTERGPU_CPU_FALLBACK") == "1":
        warnings.warn(f"--device {name}: {trouble}; the CPU is taken instead", stacklevel=2)
        return CPU, "LETTERGPU_CPU_FALLBACK=1"
    if not names:
        raise LettergpuError(f"--device {name}: {trouble}; or use --device cpu")
    if index >= len(names):
        raise LettergpuError(f"--device {name}: this machine has {len(names)} GPU(s), cuda:0 to cuda:{len(names) - 1}")
    return _cuda(index, names[index], precision), "as asked"
