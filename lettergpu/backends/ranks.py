"""The processes that train one network together, as mpiexec starts them, and how they sum up; or one alone.

Rank 0 decides, and alone reads, writes and shows; the others, which hear from it what there is to do, compute shares.
Nothing is asked of MPI, nor is mpi4py imported, where no launcher says that there are others.
"""

import math
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, NamedTuple

from ..errors import LettergpuError

PATIENCE = "LETTERGPU_RANKS_PATIENCE"  # seconds to wait for others in an epoch, 600 if it is not set
SPIN = 2e-3  # seconds of asking without a pause whether a message has come, which large ones need to come at all
PAUSE = 5e-5  # seconds between asking then, in which another process has the core
TOLD = {  # by what names launchers tell it: MPICH's, Intel's and Microsoft's, then Open MPI's
    "rank": ("PMI_RANK", "OMPI_COMM_WORLD_RANK"),
    "size": ("PMI_SIZE", "OMPI_COMM_WORLD_SIZE"),
    "local_rank": ("MPI_LOCALRANKID", "OMPI_COMM_WORLD_LOCAL_RANK"),
    "local_size": ("MPI_LOCALNRANKS", "OMPI_COMM_WORLD_LOCAL_SIZE"),
}


class Launched(NamedTuple):
    """What a launcher tells a process of itself: its number, of how many, and likewise of those on this machine."""

    rank: int = 0
    size: int = 1
    local_rank: int = 0
    local_size: int = 1


def launched() -> Launched:
    """What it told; one process alone is number 0 of 1."""
    found = {what: os.environ[name] for what, names in TOLD.items() for name in names if name in os.environ}
    return Launched(**{what: int(number) for what, number in found.items() if number.isdecimal()})


def cores() -> int:
    """How many this process may run on."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def share_cores() -> None:
    """Have each process of a machine take its share of the cores, unless OMP_NUM_THREADS tells otherwise.

    Libraries read that once: it has to be said before NumPy is imported.
    """
    if (count := launched().local_size) > 1:
        os.environ.setdefault("OMP_NUM_THREADS", str(max(1, cores() // count)))


class Lost(LettergpuError):
    """The other processes do not answer."""


class Ranks:
    """One process alone, whose sums are its own. rank: its number, from 0. size: how many processes there are."""

    rank, size = 0, 1

    def share(self, rows: int) -> tuple[int, int]:
        """Which of so many rows are this process's: the first one, and the one after its last; perhaps none."""
        return rows * self.rank // self.size, rows * (self.rank + 1) // self.size

    def place(self, name: str) -> str:
        """The device that --device means here. Raises LettergpuError for such as are for a process alone."""
        return name

    def on(self, device: Any) -> "Ranks":
        """The same processes, for arrays of this device."""
        return self

    def tell(self, what: Any = None) -> Any:
        """What rank 0 says to all; None, that there is no more to do."""
        return what

    @contextmanager
    def busy(self) -> Iterator[None]:
        """A time in which each waits for the sums of all."""
        yield

    def end(self) -> None:
        """Say that there is no more to do, if that was not said and the others can hear it."""

    def sum(self, array: Any) -> Any:
        """Add up the arrays of all processes, each element by itself, in place; that array."""
        return array

    def gather(self, array: Any) -> Any:
        """The arrays of all processes, (size, ...)."""
        return array[None, ...]


ALONE = Ranks()


class Mpi(Ranks):
    """The processes of MPI's world, for NumPy's arrays. mpi: mpi4py's MPI."""

    def __init__(self, mpi: Any):
        self.mpi, self.world = mpi, mpi.COMM_WORLD
        self.rank, self.size = self.world.rank, self.world.size
        patience = os.environ.get(PATIENCE, "")
        self._patience = int(patience) if patience.isdecimal() else 600
        self._spin = SPIN if launched().local_size <= cores() else 0.0
        self._busy = self._over = False

    def place(self, name: str) -> str:
        if name in ("auto", "cpu"):
            return "cpu"
        if name == "cuda":
            return f"cuda:{launched().local_rank}"
        raise LettergpuError(
            f"--device {name}: of {self.size} processes each computes on the cpu, or with cuda on the GPU of its number"
        )

    def on(self, device: Any) -> Ranks:
        return self if device.name == "cpu" else Nccl(self)

    def tell(self, what: Any = None) -> Any:
        # rank 0 may read letters for as long as it takes; who is within a broadcast holds a core
        self._wait(self.world.Ibarrier(), self._patience if self._busy else math.inf)
        what = self.world.bcast(what)
        if what is None:
            self._over = True
            self.mpi.Finalize()
        return what

    @contextmanager
    def busy(self) -> Iterator[None]:
        self._busy = True
        yield
        self._busy = False  # not after an error: the others wait in vain, until the launcher sees that this one is gone

    def end(self) -> None:
        if self.rank == 0 and not (self._busy or self._over):
            self.tell()

    def sum(self, array: Any) -> Any:
        self._wait(self.world.Iallreduce(self.mpi.IN_PLACE, array), self._patience)
        return array

    def gather(self, array: Any) -> Any:
        import numpy as np  # not above: share_cores has to come first

        found = np.empty((self.size, *array.shape), array.dtype)
        self._wait(self.world.Iallgather(np.ascontiguousarray(array), found), self._patience)
        return found

    def _wait(self, request: Any, patience: float) -> None:
        """Wait until a message has come. Raises Lost after so many seconds.

        MPI's own way to wait holds a core, which a process that is waited for may want.
        """
        began = time.monotonic()
        while not request.Test():
            waited = time.monotonic() - began
            if waited > self._spin:
                time.sleep(PAUSE)
            if waited > patience:
                raise Lost(
                    f"process {self.rank} of {self.size} has waited {patience} s for the others ({PATIENCE}): one is "
                    "dead, or hangs; the run stands at its last checkpoint, and --resume goes on with any number"
                )


class Nccl(Ranks):
    """The same processes, each with a GPU of its own, for CuPy's arrays. Not run yet where there are two GPUs."""

    def __init__(self, ranks: Mpi):
        from cupyx.distributed import NCCLBackend

        self.rank, self.size = ranks.rank, ranks.size
        self._backend = NCCLBackend(self.size, self.rank, use_mpi=True)

    def sum(self, array: Any) -> Any:
        self._backend.all_reduce(array, array)
        return array

    def gather(self, array: Any) -> Any:
        import cupy

        found = cupy.empty((self.size, *array.shape), array.dtype)
        self._backend.all_gather(cupy.ascontiguousarray(array), found, array.size)
        return found


@contextmanager
def together(how: str) -> Iterator[Ranks]:
    """All processes that the launcher started, each of which calls this, or one alone.

    how: what installs mpi4py. Where it or MPI's library is not there, or knows of other processes, raises
    LettergpuError in rank 0 and SystemExit in the others.
    """
    told = launched()
    if told.size == 1:
        yield ALONE
        return
    try:
        ranks = Mpi(_mpi(told, how))
    except LettergpuError as error:
        raise SystemExit(2) if told.rank else error from error
    try:
        yield ranks
    finally:
        ranks.end()


def _mpi(told: Launched, how: str) -> Any:
    try:
        import mpi4py

        mpi4py.rc.finalize = False  # it would wait for processes that wait for this one
        from mpi4py import MPI
    except (ImportError, RuntimeError) as error:
        reason = str(error).partition("\n")[0]
        raise LettergpuError(
            f"mpiexec started {told.size} processes, and to train together they need mpi4py and MPI's library "
            f"({reason}): {how}, and pip install mpich where there is no MPI; or start one process"
        ) from error
    if MPI.COMM_WORLD.size != told.size:
        raise LettergpuError(
            f"mpiexec started {told.size} processes, but the MPI library of mpi4py knows of {MPI.COMM_WORLD.size}: it "
            "is another one than mpiexec's; take the mpiexec that belongs to it"
        )
    return MPI
