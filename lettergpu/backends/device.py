"""Where arrays live: a namespace of the array API, and the ways between it and the host."""

import os
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import Any

import array_api_compat.numpy
import numpy as np

from ..data.idx import Images, Mapped
from .host import Replay

PIECE = 65_536  # rows of a file that are sent at once
Repeated = Callable[[Iterable[Any]], Iterator[Any]]  # does some work for each part, and yields the part


def one_by_one(work: Callable[[Any], None]) -> Repeated:
    """`work(part)` for each part."""

    def repeated(parts: Iterable[Any]) -> Iterator[Any]:
        for part in parts:
            work(part)
            yield part

    return repeated


def unless_told_not(replay: Callable[..., Repeated]) -> Callable[..., Repeated]:
    """What replays work, or with LETTERGPU_REPLAY=0 in the environment what does it part by part."""
    return one_by_one if os.environ.get("LETTERGPU_REPLAY") == "0" else replay


@dataclass(frozen=True)
class Device:
    """A place for arrays.

    namespace: the array API namespace. handle: what its functions take as `device=`. fetch: a copy, or on the CPU
    the array itself, as a NumPy array. free: how many bytes of memory of its own it has left; None is the host's.
    use: makes it the one that the calling thread works on, where a library has a current one; what has arrays here
    calls it before it computes, as another device or thread may have had its turn. repeated: the fastest way to do some
    work that is the same for equal parts, reads no number that the host changes, and asks nothing of the device.
    float64: whether there is such a dtype; else what is put comes as float32.
    """

    name: str
    namespace: Any
    handle: Any = None
    fetch: Callable[[Any], np.ndarray] = np.asarray
    free: Callable[[], int | None] = lambda: None
    use: Callable[[], Any] = lambda: None
    repeated: Callable[[Callable[[Any], None]], Repeated] = one_by_one
    float64: bool = True

    def put(self, array: np.ndarray) -> Any:
        """The host array's values as an array on this device (on the CPU perhaps the same memory).

        CuPy copies through pinned memory, and does not wait for the GPU.
        """
        if self.namespace is CPU.namespace and type(array) is np.ndarray:
            return array
        self.use()
        if not self.float64 and array.dtype == np.float64:
            array = array.astype(np.float32)
        elif isinstance(array, np.ndarray) and not array.flags.writeable and self.namespace is not CPU.namespace:
            array = array.copy()  # what shares its memory with PyTorch has to be writable
        return self.namespace.asarray(array, device=self.handle)

    def put_if_it_fits(self, array: Images) -> Any:
        """The array on this device, or the host's own where it would take more than half of the memory left.

        What stays in its file does so where the device's memory is the host's.
        """
        free = self.free()
        if free is not None and array.nbytes > free / 2:
            return array
        if not isinstance(array, Mapped):
            return self.put(array)
        starts = range(0, len(array), PIECE)
        return array if free is None else self.namespace.concat([self.put(array[at : at + PIECE]) for at in starts])


CPU = Device("cpu", array_api_compat.numpy, repeated=lambda work: unless_told_not(Replay)(work))


def shortage(error: MemoryError) -> str:
    """How much was asked for, and, of a GPU, how much is free."""
    asked = str(error).rstrip(".") or "the system has no more"
    if not type(error).__module__.startswith("cupy"):
        return asked
    import cupy

    free, total = cupy.cuda.Device().mem_info
    return f"{asked}, of the GPU's {total:,} bytes {free:,} are free, --device cpu does without"
