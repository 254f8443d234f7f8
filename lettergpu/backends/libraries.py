"""Which array libraries have devices here: a row of LIBRARIES each, how they are called, found, opened, read from.

A library must know the Python array API and let its arrays be written in place. To add one: a function that lists its
devices, one that opens one, and a row; then its extra in pyproject.toml, and its name in the tests' `device` fixture.
"""

import json
import os
import re
import sys
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from importlib import import_module
from importlib.metadata import PackageNotFoundError, distribution
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from array_api_compat import array_namespace
from array_api_compat import device as device_of

from ..errors import LettergpuError
from .device import CPU, Device, unless_told_not
from .dispatch import NATIVE
from .host import round_factors


class Found(NamedTuple):
    """A usable device: its name, as --device takes it, and what it is."""

    name: str
    about: str


@dataclass(frozen=True)
class Library:
    """An array library.

    title: what people call it. module: its top one. packages: that bring it, one or the other. extra: lettergpu's that
    brings them. forms: how its devices are called. what: they are. find: those usable, of the module, the best first.
    open: one of them, with the precision of products. fetch: an array of its as NumPy's.
    """

    title: str
    module: str
    packages: tuple[str, ...]
    extra: str
    forms: str
    what: str
    find: Callable[[Any], list[Found]]
    open: Callable[[Any, Found, str], Device]
    fetch: Callable[[Any], np.ndarray]

    def devices(self) -> tuple[list[Found], str]:
        """Its usable devices, and, where there is none, why."""
        how = installing(self.extra)
        try:
            module = import_module(self.module)
        except ImportError:
            return [], f"{self.title} is not installed: {how}"
        try:
            found = self.find(module)
        except Exception as error:
            reason = (str(error).strip() or type(error).__name__).splitlines()[0]
            return [], f"{self.title} cannot use {self.what} here ({reason}): see {how}"
        return found, "" if found else f"{self.title} finds no {self.what.partition(' ')[2]}"


def installing(extra: str) -> str:
    """The command that brings an extra, for the way in which lettergpu itself was installed."""
    also = " (or cuda12, as nvidia-smi says)" if extra == "cuda13" else ""
    try:
        origin = json.loads(distribution("lettergpu").read_text("direct_url.json") or "{}")
    except (PackageNotFoundError, ValueError):
        origin = {}
    checkout = origin.get("dir_info", {}).get("editable")
    return (f"pip install -e '.[{extra}]'" if checkout else f"pip install 'lettergpu[{extra}]'") + also


def _cupys(cupy: Any) -> list[Found]:
    runtime = cupy.cuda.runtime
    names = [runtime.getDeviceProperties(i)["name"].decode() for i in range(runtime.getDeviceCount())]
    if names:  # a driver alone is not enough: this needs the compiler and cuBLAS too
        (cupy.ones((2, 2)) @ cupy.ones((2, 2)) + 1).sum().item()
    return [Found(f"cuda:{i}", name) for i, name in enumerate(names)]


def cuda_details(name: str) -> str:
    """What one of CuPy's GPUs and its driver are, in a line."""
    import cupy

    properties = cupy.cuda.runtime.getDeviceProperties(int(name.rpartition(":")[2]))
    driver = cupy.cuda.runtime.driverGetVersion()
    return (
        f"compute capability {properties['major']}.{properties['minor']}, {properties['totalGlobalMem'] / 1e9:.0f} GB, "
        f"its driver for CUDA up to {driver // 1000}.{driver % 1000 // 10}"
    )


def _open_cupy(cupy: Any, found: Found, precision: str) -> Device:
    import array_api_compat.cupy
    from cupy._core import _routines_linalg as products

    from .replay import Replay

    gpu = cupy.cuda.Device(int(found.name.rpartition(":")[2]))
    kind = products.COMPUTE_TYPE_TF32 if precision == "tf32" else products.COMPUTE_TYPE_DEFAULT
    products.set_compute_type(cupy.float32, kind)

    def free() -> int:
        return gpu.mem_info[0] + cupy.get_default_memory_pool().free_bytes()

    name = f"{found.name} ({found.about})"
    return Device(name, array_api_compat.cupy, gpu, cupy.asnumpy, free, gpu.use, unless_told_not(Replay))


def _fetch_cupy(array: Any) -> np.ndarray:
    return array.get()


def _torchs(torch: Any) -> list[Found]:
    found = [Found(f"torch:cuda:{i}", torch.cuda.get_device_name(i)) for i in range(torch.cuda.device_count())]
    found += [Found(f"torch:xpu:{i}", torch.xpu.get_device_name(i)) for i in range(torch.xpu.device_count())]
    if torch.backends.mps.is_available():
        found.append(Found("torch:mps", "Apple's GPU, which has no float64"))
    return [*found, Found("torch:cpu", f"PyTorch {torch.__version__}, {torch.get_num_threads()} threads")]


def _open_torch(torch: Any, found: Found, precision: str) -> Device:
    import array_api_compat.torch

    handle = torch.device(found.name.partition(":")[2])
    wide = handle.type != "mps"
    if handle.type == "xpu":
        wide = bool(torch.xpu.get_device_properties(handle).has_fp64)
    if handle.type == "cuda":
        torch.set_float32_matmul_precision("high" if precision == "tf32" else "highest")

    def free() -> int | None:
        return torch.cuda.mem_get_info(handle)[0] if handle.type == "cuda" else None

    name = f"{found.name} ({found.about})"
    return Device(name, array_api_compat.torch, handle, _fetch_torch, free, float64=wide)


def _fetch_torch(array: Any) -> np.ndarray:
    return array.numpy(force=True)


def _dpnps(dpnp: Any) -> list[Found]:
    return [Found(name, device.name.strip()) for name, device in _sycl_devices()]


def _sycl_devices() -> list[tuple[str, Any]]:
    """The SYCL devices and their names, the GPUs first, each by one driver only."""
    import dpctl

    gpus, cpus = (dpctl.get_devices(device_type=kind) for kind in ("gpu", "cpu"))
    gpus = [gpu for gpu in gpus if gpu.backend != dpctl.backend_type.opencl] or gpus
    named = [(f"sycl:gpu:{i}", gpu) for i, gpu in enumerate(gpus)]
    return named + [("sycl:cpu", cpu) for cpu in cpus[:1]]


def _open_dpnp(dpnp: Any, found: Found, precision: str) -> Device:
    sycl = dict(_sycl_devices())[found.name]
    handle = dpnp.empty(0, dtype=dpnp.uint8, device=sycl).device
    name = f"{found.name} ({found.about})"
    return Device(name, dpnp, handle, dpnp.asnumpy, float64=bool(sycl.has_aspect_fp64))


def _fetch_dpnp(array: Any) -> np.ndarray:
    return array.asnumpy()


def _find_opencl() -> None:
    """Have SYCL's loader find Intel's OpenCL runtime for CPUs where pip put it, which it does not look at itself."""
    installed = Path(sys.prefix) / "lib" / "libintelocl.so"
    if installed.exists():
        os.environ.setdefault("OCL_ICD_FILENAMES", str(installed))


_find_opencl()
CUDA = ("cupy-cuda13x", "cupy-cuda12x")
LIBRARIES = {
    "cuda": Library("CuPy", "cupy", CUDA, "cuda13", "cuda[:N]", "an NVIDIA GPU", _cupys, _open_cupy, _fetch_cupy),
    "torch": Library(
        "PyTorch",
        "torch",
        ("torch",),
        "torch",
        "torch[:cpu|cuda[:N]|xpu[:N]|mps]",
        "any device",
        _torchs,
        _open_torch,
        _fetch_torch,
    ),
    "sycl": Library(
        "dpnp",
        "dpnp",
        ("dpnp",),
        "sycl",
        "sycl[:cpu|gpu[:N]]",
        "any SYCL device",
        _dpnps,
        _open_dpnp,
        _fetch_dpnp,
    ),
}
FORMS = ", ".join(["auto, cpu", *(library.forms for library in LIBRARIES.values())])
REFUSED = {"jax": "JAX's arrays cannot be written in place, as a training writes its parameters"}


def resolve(name: str, precision: str = "float32") -> tuple[Device, str]:
    """The device of that name, one of FORMS, and in a few words why that one.

    auto is the first usable GPU of CuPy's, else the CPU. precision: of products of float32 matrices, float32 or, on an
    NVIDIA GPU, tf32, which keeps 10 of the 23 bits of each factor, or, on a CPU that has AMX, bf16, which keeps 7; it
    holds for the whole process.
    Raises LettergpuError where the name is none of these, the device asked for cannot be used, or it has no bf16; with
    LETTERGPU_CPU_FALLBACK=1 in the environment a missing device is only warned of, and the CPU taken.
    """
    if name == "cpu":
        return _cpu(precision), "as asked"
    prefix = "cuda" if name == "auto" else name.partition(":")[0]
    if prefix in REFUSED:
        raise LettergpuError(f"--device {name}: {REFUSED[prefix]}; choose {FORMS}")
    if prefix not in LIBRARIES or not _is_form(name, LIBRARIES[prefix].forms):
        raise LettergpuError(f"--device {name}: choose {FORMS}")
    library = LIBRARIES[prefix]
    found, trouble = library.devices()
    if name == "auto":
        return (_opened(library, found[0], precision), "a GPU is usable") if found else (_cpu(precision), trouble)
    meant = [each for each in found if f"{each.name}:".startswith(f"{name}:")]
    if meant:
        return _opened(library, meant[0], precision), "as asked"
    there = trouble or f"{library.title} finds {', '.join(each.name for each in found)} here"
    if os.environ.get("LETTERGPU_CPU_FALLBACK") == "1":
        warnings.warn(f"--device {name}: {there}; the CPU is taken instead", stacklevel=2)
        return _cpu(precision), "LETTERGPU_CPU_FALLBACK=1"
    raise LettergpuError(f"--device {name}: {there}; or use --device cpu")


def device(name: str = "auto", precision: str = "float32") -> Device:
    """The device of a name that --device takes, for `fit`, `load` and `Network`."""
    return resolve(name, precision)[0]


def _is_form(name: str, forms: str) -> bool:
    """Whether a name is of these forms: [...] may be left out, | is between one and another, N is a number."""
    signs = {"[:": "(?::(?:", "]": "))?", "N": r"\d+"}
    pattern = re.sub(r"\[:|\]|N", lambda sign: signs[sign[0]], forms)
    return name == "auto" or bool(re.fullmatch(pattern, name))


def _cpu(precision: str) -> Device:
    wanted = precision == "bf16"
    if round_factors(wanted and "numpy" in NATIVE) != wanted:
        raise LettergpuError(
            "--precision bf16: it takes Linux, a processor with amx_bf16 (/proc/cpuinfo), and kernels compiled for it; "
            "see lettergpu info, or say --precision float32"
        )
    return CPU


def _opened(library: Library, found: Found, precision: str) -> Device:
    if precision == "bf16":
        raise LettergpuError(
            f"--precision bf16: {found.name} has none; say --device cpu, or --precision tf32 or float32"
        )
    return library.open(import_module(library.module), found, precision)


def to_host(array: Any) -> np.ndarray:
    """An array of any of these libraries, or of another that exports it to the CPU by DLPack, as NumPy's."""
    if isinstance(array, np.ndarray):
        return array
    module = type(array).__module__.partition(".")[0]
    for library in LIBRARIES.values():
        if library.module == module:
            return library.fetch(array)
    return np.from_dlpack(array)  # it raises where the array is of none


def adopted(array: Any, device: Device) -> Any:
    """An array of any library as one on this device; not copied where the memory can be shared."""
    xp = device.namespace
    if isinstance(array, np.ndarray):
        return device.put(array)
    if array_namespace(array) is xp:
        return xp.asarray(array, device=device.handle)
    try:
        shared = xp.from_dlpack(array)
    except Exception:  # each library has its own for memory that it cannot read
        return device.put(to_host(array))
    return shared if device.handle in (None, device_of(shared)) else device.put(to_host(array))
