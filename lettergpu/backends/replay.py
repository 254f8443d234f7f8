"""Work recorded once as a CUDA graph and then replayed, so that the host need not launch its kernels one by one.

A room of its own, as tiny-cuda-nn has it: nobody else knows of streams, captures and the memory that they need.
"""

import warnings
from collections.abc import Callable, Iterable, Iterator
from typing import Any

import cupy


class Replay:
    """`work(part)` for one part after another: as it is when a part is new, recorded the second time, then replayed.

    The first time compiles the kernels and finds the memory. That is of a pool that serves this part alone: what was
    recorded takes the same places again, which nobody else may have been given. Of equal parts the work has to launch
    the same, on arrays that stay where they are, and to ask nothing of the GPU. Where recording fails, a warning says
    so, and all is done as it is from then on.
    """

    def __init__(self, work: Callable[[Any], None]):
        self._work = work
        self._stream = cupy.cuda.Stream(non_blocking=True)
        self._pools: dict[Any, Any] = {}
        self._graphs: dict[Any, Any] = {}  # of parts that were done; None if only once
        self._fails = False

    def __call__(self, parts: Iterable[Any]) -> Iterator[Any]:
        """Do the work of each part, without waiting for the GPU, and yield the part."""
        around = cupy.cuda.get_current_stream()
        self._stream.wait_event(around.record())
        try:
            for part in parts:
                self._do(part)
                yield part
        finally:
            around.wait_event(self._stream.record())

    def _do(self, part: Any) -> None:
        if part in self._graphs and not self._graphs[part] and not self._fails:
            self._graphs[part] = self._recorded(part)
        if graph := self._graphs.get(part):
            graph.launch(self._stream)
            return
        pool = self._pools.setdefault(part, cupy.cuda.MemoryPool())
        with self._stream, cupy.cuda.using_allocator(pool.malloc):
            self._work(part)
        self._graphs[part] = None

    def _recorded(self, part: Any) -> Any:
        """The graph of a part's work, which was not done; None where it cannot be recorded."""
        try:
            with self._stream, cupy.cuda.using_allocator(self._pools[part].malloc):
                self._stream.begin_capture()
                try:
                    self._work(part)
                finally:
                    graph = self._stream.end_capture()
            return graph
        except Exception as error:
            reason = (str(error).strip() or type(error).__name__).splitlines()[0]
            warnings.warn(f"steps are launched one by one, as they cannot be recorded: {reason}", stacklevel=2)
            self._fails = True
            return None
