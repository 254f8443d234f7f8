"""Products of matrices by cuBLAS, through a handle of our own: CuPy's refuses its products while a stream is recorded.

cuBLAS takes columns for rows, so that a row-major C = A B is to it C^T = B^T A^T, the same memory in the same order.
"""

import ctypes
import threading
import weakref
from functools import cache
from typing import Any, NamedTuple

import cupy
from cuda.pathfinder import load_nvidia_dynamic_lib
from cupy._core import _routines_linalg as settings

from ..errors import LettergpuError

WORKSPACE = 32 << 20  # bytes, what cuBLAS itself takes on a GPU of sm_90
KINDS = {"float32": ("S", ctypes.c_float), "float64": ("D", ctypes.c_double)}
DEFAULT_MATH, TF32_MATH = 0, 3  # of cublasMath_t

P, N, L = ctypes.c_void_p, ctypes.c_int, ctypes.c_longlong
SIGNATURES = {
    "cublasCreate_v2": [P],
    "cublasDestroy_v2": [P],
    "cublasSetStream_v2": [P, P],
    "cublasSetWorkspace_v2": [P, P, ctypes.c_size_t],
    "cublasSetMathMode": [P, N],
    **{f"cublas{kind}gemm_v2": [P, N, N, N, N, N, P, P, N, P, N, P, P, N] for kind in "SD"},
    **{f"cublas{kind}gemmStridedBatched": [P, N, N, N, N, N, P, P, N, L, P, N, L, P, P, N, L, N] for kind in "SD"},
}


class Matrix(NamedTuple):
    """Where a matrix, or the first of several, lies: whether its columns are in a row, how far it is from one row (or
    column) to the next, and from one matrix to the next.
    """

    address: int
    transposed: bool
    leading: int
    apart: int


def product(a: Any, b: Any, out: Any = None, *, add: bool = False) -> Any:
    """a b, of matrices (rows, inner) and (inner, columns), or of `members` of them; into `out`, or added to it.

    All are float32 or float64 of CuPy, rows or columns contiguous; NotImplemented for others. Raises LettergpuError
    where cuBLAS fails.
    """
    if type(a) is not cupy.ndarray or a.dtype.name not in KINDS or b.dtype != a.dtype or max(a.ndim, b.ndim) > 3:
        return NotImplemented
    members, rows, inner, columns = a.shape[:-2] or b.shape[:-2], a.shape[-2], a.shape[-1], b.shape[-1]
    shape = *members, rows, columns
    if 0 in (*shape, inner) or b.shape not in ((inner, columns), (*members, inner, columns)):
        return NotImplemented
    made = cupy.empty(shape, a.dtype) if out is None else out
    left, right, result = _place(a), _place(b), _place(made)
    if not (left and right and result) or result.transposed or made.shape != shape or made.dtype != a.dtype:
        return NotImplemented
    kind, number = KINDS[a.dtype.name]
    one, kept = number(1), number(add)
    sizes = int(right.transposed), int(left.transposed), columns, rows, inner
    name, fields = (f"cublas{kind}gemmStridedBatched", 3) if members else (f"cublas{kind}gemm_v2", 2)
    places = [(place.address, place.leading, place.apart)[:fields] for place in (right, left, result)]
    _ask(name, *sizes, ctypes.byref(one), *places[0], *places[1], ctypes.byref(kept), *places[2], *members)
    return made


def _place(array: Any) -> Matrix | None:
    """None where neither rows nor columns are contiguous."""
    size, (rows, columns) = array.itemsize, array.shape[-2:]
    *outer, down, right = (stride // size for stride in array.strides)
    apart = outer[0] if outer else 0
    if (right == 1 or columns == 1) and (down >= columns or rows == 1):
        return Matrix(array.data.ptr, False, max(down if rows > 1 else 0, columns), apart)
    if (down == 1 or rows == 1) and (right >= rows or columns == 1):
        return Matrix(array.data.ptr, True, max(right if columns > 1 else 0, rows), apart)
    return None


def _ask(name: str, *arguments: Any) -> None:
    """Call a function of cuBLAS for the current GPU and stream."""
    status = getattr(_library(), name)(_handle(), *arguments)
    if status:
        raise LettergpuError(f"{name} of cuBLAS failed with status {status}")


@cache
def _library() -> Any:
    library = ctypes.CDLL(load_nvidia_dynamic_lib("cublas").abs_path)
    for name, arguments in SIGNATURES.items():
        if hasattr(library, name):
            getattr(library, name).argtypes = arguments
    return library


class _Handle:
    """One of cuBLAS's, which belongs to a thread and a GPU. What it is set to is kept, as setting takes time."""

    def __init__(self) -> None:
        self.pointer, self.set_to = P(), (-1, -1)
        if _library().cublasCreate_v2(ctypes.byref(self.pointer)):
            raise LettergpuError("cuBLAS gives no handle: is the GPU's memory full?")
        self.workspace = cupy.cuda.MemoryPointer(cupy.cuda.Memory(WORKSPACE), 0)
        weakref.finalize(self, _library().cublasDestroy_v2, self.pointer).atexit = False

    def set(self, stream: int, mode: int) -> None:
        """Work on this stream, with our memory, as what cuBLAS finds itself would become part of a recording."""
        library, self.set_to = _library(), (stream, mode)
        library.cublasSetStream_v2(self.pointer, stream)
        if hasattr(library, "cublasSetWorkspace_v2"):  # a stand-in of cuBLAS, in tests without a GPU, may need none
            library.cublasSetWorkspace_v2(self.pointer, self.workspace.ptr, WORKSPACE)
        library.cublasSetMathMode(self.pointer, mode)


class _Handles(threading.local):
    """Those of a thread, by GPU."""

    def __init__(self) -> None:
        self.of_gpu: dict[int, _Handle] = {}


_handles = _Handles()


def _handle() -> Any:
    gpu, stream = cupy.cuda.runtime.getDevice(), cupy.cuda.get_current_stream().ptr
    mode = TF32_MATH if settings.get_compute_type(cupy.dtype("float32")) == settings.COMPUTE_TYPE_TF32 else DEFAULT_MATH
    handle = _handles.of_gpu.get(gpu) or _handles.of_gpu.setdefault(gpu, _Handle())
    if handle.set_to != (stream, mode):
        handle.set(stream, mode)
    return handle.pointer
