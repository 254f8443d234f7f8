"""kernels/host.cpp as Python calls it: each function by its arguments, or all of a recorded piece of work at once.

A room of its own: what is computed (cpu.py) is one thing, and how that is called another.
"""

import ctypes
import os
import struct
import threading
import warnings
from collections.abc import Callable, Iterable, Iterator
from functools import cache
from typing import Any

import numpy as np

from . import compiled, dispatch
from .ranks import cores

P, N, F, FLAG, W = ctypes.c_void_p, ctypes.c_ssize_t, ctypes.c_float, ctypes.c_int, ctypes.c_uint32
SIGNATURES: dict[str, list[Any]] = {
    "use_threads": [FLAG],
    "round_factors": [FLAG],
    "dense": [P, P, P, P, P, N, N, N, FLAG, F],
    "gradient_before": [P, P, P, N],
    "set_gradients": [P, P, P, P, FLAG, N, N, N],
    "gradient_of_input": [P, P, P, N, N, N],
    "normalised": [P, P, P, P, P, P, P, P, P, P, N, N, FLAG, F, F, F],
    "gradient_before_normalised": [P, P, P, P, P, P, P, FLAG, N, N],
    "momentum_step": [P, P, P, P, N, N, F, F, FLAG],
    "uniforms": [P, N, W, W, W, W, N, P],
    "permuted": [P, P, N, N, N, N, P],
    "window": [P, P, N, N, N, N, P],
    "assemble": [P, P, P, N, P, N, N, P],
    "softmax_cross_entropy": [P, P, P, P, P, P, N, N, F, F],
    "sigmoid_binary_cross_entropy": [P, P, P, P, P, P, N, N, F, F],
    "count_in": [P, P, P, P, N],
    "count_batch": [P],
    "softmax": [P, P, N, N],
    "moment_frames": [P, F, F, N, P],
    "probabilities": [P, P, P, N, FLAG, F, F, F, N, P],
    "caller": [ctypes.c_char_p],
    "call": [P, N, N],
}
RESULTS = {"round_factors": FLAG, "caller": P}
FORMS = {P: "P", N: "n", F: "f", FLAG: "i", W: "I"}  # as struct has them, each at the begin of SLOT bytes
SLOT, SLOTS = 8, 17  # bytes; of a call, whose function has the first one, and up to 16 arguments the others


@cache
def library() -> tuple[Any, str]:
    """host.cpp, compiled and loaded, and the compiler; or None, and why not."""
    host, compiler = compiled.load("host.cpp")
    if host is None:
        return None, compiler
    for name, arguments in SIGNATURES.items():
        function = getattr(host, name, None)
        if function is None:
            return None, f"{compiler} left {name} out of the library that it made"
        function.argtypes, function.restype = arguments, RESULTS.get(name)
    host.use_threads(threads())
    return host, compiler


def threads() -> int:
    """As many as OMP_NUM_THREADS says, as for other libraries, else as there are cores for this process."""
    wanted = os.environ.get("OMP_NUM_THREADS", "").partition(",")[0]
    return int(wanted) if wanted.isdecimal() and int(wanted) else cores()


def round_factors(wanted: bool) -> bool:
    """Whether the factors of products are rounded to bfloat16 from now on: as wanted, where the processor can."""
    host = library()[0] if wanted or library.cache_info().currsize else None
    return bool(host and host.round_factors(wanted))


class _Recording(threading.local):
    """What this thread records, if it does."""

    calls: "Calls | None" = None


_recording = _Recording()


def host_for(*floats: Any) -> Any:
    """Whose functions to call, if they are there and all these arrays, but for None, are contiguous float32."""
    suit = all(array is None or (array.dtype == np.float32 and array.flags.c_contiguous) for array in floats)
    return (_recording.calls or library()[0]) if suit else None


def recorded() -> bool:
    """Whether this thread records: what it does will be done again, on the same arrays."""
    return _recording.calls is not None


def contiguous(array: Any, dtype: Any = None) -> Any:
    """An array as the library reads it; if that is a copy, what is recorded with it cannot be done again."""
    found = np.ascontiguousarray(array, dtype)
    if _recording.calls and found is not array:
        _recording.calls.whole = False
    return found


def at(*arrays: Any) -> list[Any]:
    """Where each array begins in memory; None for None. While it is recorded they stay."""
    places: list[Any] = [None if array is None else _address(array) for array in arrays]
    if _recording.calls:
        known = zip(places, arrays, strict=True)
        _recording.calls.kept |= {(place, array.nbytes): array for place, array in known if array is not None}
    return places


def _address(array: Any) -> int:
    try:
        return ctypes.addressof(ctypes.c_char.from_buffer(array))  # in a fourth of the time that the next line takes
    except (TypeError, ValueError):  # read-only, or empty
        address: int = array.__array_interface__["data"][0]
        return address


class Calls:
    """The library, whose functions are called and kept as calls, with the arrays that their arguments lie in.

    kept: each array by where it begins, and its bytes. whole: whether all of the calls can be made again.
    """

    def __init__(self, host: Any):
        self.kept: dict[tuple[int, int], Any] = {}
        self.whole, self._host, self._made = True, host, bytearray()

    def __getattr__(self, name: str) -> Callable[..., Any]:
        def call(*arguments: Any) -> None:
            getattr(self._host, name)(*arguments)
            caller = self._host.caller(name.encode())
            self.whole = self.whole and caller is not None
            forms, values = ["P", *(FORMS[kind] for kind in SIGNATURES[name])], [caller, *arguments]
            packed = (struct.pack(form, value or 0) for form, value in zip(forms, values, strict=True))
            self._made += b"".join(each.ljust(SLOT, b"\0") for each in packed).ljust(SLOT * SLOTS, b"\0")

        return call

    def written(self) -> dict[tuple[int, int], np.ndarray]:
        """The arrays that somebody may have changed: not the images."""
        return {where: array for where, array in self.kept.items() if array.flags.writeable and array.dtype != np.uint8}

    def again(self) -> Callable[[], None]:
        """What makes them all again."""
        made, host, kept = ctypes.create_string_buffer(bytes(self._made)), self._host, self.kept
        place, count = ctypes.addressof(made), len(self._made) // (SLOT * SLOTS)
        return lambda: host.call(place, count, SLOTS) if made and kept else None


class Replay:
    """`work(part)` for one part after another: recorded as it is done when a part is new, then made again by one call.

    As replay.py has it for GPUs, whose promises of the work hold here, too: of equal parts it is the same, on arrays
    that stay where they are. Where an operation is left to its formula nothing is recorded. What NumPy does beside the
    operations cannot be: so a part's second time is done both ways, and if they differ in a bit, a warning says so, and
    all is done as it is from then on.
    """

    def __init__(self, work: Callable[[Any], None]):
        self._work = work
        self._recorded: dict[Any, Calls | None] = {}  # of parts that were done once; None if they cannot be
        self._again: dict[Any, Callable[[], None]] = {}  # of parts that were done twice
        self._plain = False

    def __call__(self, parts: Iterable[Any]) -> Iterator[Any]:
        for part in parts:
            if self._plain:
                self._work(part)
            elif again := self._again.get(part):
                again()
            elif part not in self._recorded:
                self._recorded[part] = self._record(part)
            elif calls := self._recorded[part]:
                self._prove(part, calls)
            else:
                self._work(part)
            yield part

    def _record(self, part: Any) -> Calls | None:
        host, before = library()[0], dispatch.formulas()
        if host is None:
            self._work(part)
            return None
        _recording.calls = calls = Calls(host)
        try:
            self._work(part)
        finally:
            _recording.calls = None
        return calls if calls.kept and calls.whole and dispatch.formulas() == before else None

    def _prove(self, part: Any, calls: Calls) -> None:
        arrays = calls.written()
        before = {where: array.copy() for where, array in arrays.items()}
        second = self._record(part)
        after = {where: array.copy() for where, array in arrays.items()}
        if second:
            _fill(arrays, before)
            again = calls.again()
            again()
            outside = arrays.keys() & second.kept.keys()  # not made by the work, whose first are kept
            if all(arrays[where].tobytes() == after[where].tobytes() for where in outside):
                self._again[part] = again
                return
            _fill(arrays, after)
        self._plain = True
        warnings.warn(
            "steps are done operation by operation, as they do more than the compiled library does; "
            "LETTERGPU_REPLAY=0 has that without this warning",
            stacklevel=2,
        )


def _fill(arrays: dict[tuple[int, int], np.ndarray], contents: dict[tuple[int, int], np.ndarray]) -> None:
    for where, array in arrays.items():
        array[...] = contents[where]
