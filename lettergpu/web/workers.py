"""Processes that read pictures, each within a time and a memory: one that passes them is ended, another takes over."""

import logging
import multiprocessing
import os
import queue
import signal
import threading
from collections.abc import Callable
from contextlib import suppress
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

import numpy as np

from ..errors import LettergpuError
from .answers import TOO_MUCH_MEMORY, answer, described, refusal
from .queue import Limits, too_long

START_SECONDS = 120.0  # in which a process must have loaded its network
FORKING = "forkserver" in multiprocessing.get_all_start_methods()
CONTEXT: Any = multiprocessing.get_context("forkserver" if FORKING else "spawn")
if FORKING:
    CONTEXT.set_forkserver_preload([__name__, "lettergpu.reading.reader"])  # whose memory all processes then share

log = logging.getLogger(__name__)


class Worker:
    """A process that does `work` with what it was made from, by default reading with a reader of its own.

    network: what it says of its network, once it is ready. edition: of the network that it reads with.
    """

    def __init__(self, *made: Any, edition: int = 0, work: Callable[..., None] | None = None):
        self._pipe, theirs = CONTEXT.Pipe()
        self._process = CONTEXT.Process(target=work or _work, args=(theirs, *made), daemon=True)
        self.edition = edition
        self._process.start()
        theirs.close()  # so that its end ends the pipe
        self.network: dict[str, Any] | None = None
        self._ending = threading.Lock()

    def wait(self) -> None:
        """Until it is ready. Raises LettergpuError where it cannot read."""
        if self.network is None:
            told = self._pipe.recv() if self._pipe.poll(START_SECONDS) else "it takes too long to start"
            if isinstance(told, str):
                raise LettergpuError(told)
            self.network = told

    def read(self, image: bytes, options: dict[str, Any], seconds: float) -> tuple[int, bytes]:
        """The status and JSON of an answer. Raises TimeoutError, and EOFError or OSError where the process ended."""
        self._pipe.send(options)
        self._pipe.send_bytes(image)
        if not self._pipe.poll(seconds):
            raise TimeoutError
        status: int = self._pipe.recv()
        return status, self._pipe.recv_bytes()

    def ask(self, question: Any, seconds: float) -> Any:
        """What it says to something else. Raises as `read` does."""
        self._pipe.send(question)
        if not self._pipe.poll(seconds):
            raise TimeoutError
        return self._pipe.recv()

    def hear(self) -> Any:
        """What it says next. Raises EOFError or OSError where it has ended."""
        return self._pipe.recv()

    def stop(self) -> None:
        """Kill the process; who hears it is told so, and ends it."""
        self._process.kill()

    def end(self) -> None:
        """Whatever it does. Its thread may do so as well as who ends all: a handle closed twice may be another's."""
        with self._ending:
            self._process.kill()
            self._process.join()
            self._pipe.close()


class Workers:
    """As many as may read at once, by the limits. They are ready when this is made.

    model: a run or file; None is the network in the box. device: its name.
    Raises LettergpuError where there is no such model or device.
    """

    def __init__(self, model: Path | None, device: str, limits: Limits):
        self._began_with = model
        self._made = model, device, limits.memory
        self._edition = 0
        self._limits = limits
        self._workers = [Worker(*self._made) for _ in range(limits.threads)]
        self._idle: queue.SimpleQueue[Worker] = queue.SimpleQueue()
        self._ended = False
        try:
            for worker in self._workers:
                worker.wait()
                self._idle.put(worker)
        except EOFError:
            self.close()
            raise LettergpuError("a process that reads pictures ended as it started: is there enough memory?") from None
        except BaseException:
            self.close()
            raise
        self.network = self._workers[0].network or {}

    def answer(self, image: bytes, **options: Any) -> tuple[int, bytes]:
        """The status and JSON that answer a picture; for threads to call, no more than there are workers."""
        worker = self._idle.get()
        seconds = self._limits.answer_seconds
        try:
            worker.wait()
            model, edition = self._made[0], self._edition
            if worker.edition != edition:
                worker.ask({"model": model}, seconds)
                worker.edition = edition
            status, content = worker.read(image, options, seconds)
        except TimeoutError:
            status, content = refusal(504, too_long(seconds).detail)
        except (EOFError, OSError):  # killed by the system, or by what a library did with the picture
            status, content = refusal(503, TOO_MUCH_MEMORY)
        except BaseException:
            self._idle.put(self._replaced(worker))
            raise
        self._idle.put(self._replaced(worker) if status in (503, 504) else worker)
        return status, content

    def _replaced(self, worker: Worker) -> Worker:
        worker.end()
        if self._ended:
            return worker
        log.warning("a process that read a picture was ended: it took too long, or too much memory")
        self._workers[self._workers.index(worker)] = new = Worker(*self._made, edition=self._edition)
        return new

    def use(self, model: Path | None) -> None:
        """Read with another network from now on, each process before its next picture; None: the one in the beginning.

        It must have been read before: one that is damaged ends the processes that are told of it.
        """
        self._made = (self._began_with if model is None else model, *self._made[1:])
        self._edition += 1

    def close(self) -> None:
        """End all of them, whatever they do."""
        self._ended = True
        for worker in self._workers:
            worker.end()


def _work(pipe: Connection, model: Path | None, device: str, memory: int) -> None:
    """What a process does until the pipe is closed."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is the server's to hear
    from ..backends.libraries import resolve
    from ..reading.reader import Reader

    try:
        reader = Reader.of(model, resolve(device)[0])
    except LettergpuError as error:
        pipe.send(str(error))
        return
    picture = np.zeros((80, 80), np.uint8)
    picture[20:60, 30:36] = picture[54:60, 30:60] = 255
    reader.read(picture)  # what is loaded and compiled at first is no picture's memory
    if device == "cpu":  # a GPU's library reserves addresses as it likes
        limit(memory)
    pipe.send(described(reader))
    with suppress(EOFError, OSError):
        while True:
            options = pipe.recv()
            if "model" in options:
                reader = Reader.of(options["model"], resolve(device)[0])
                pipe.send(described(reader))
                continue
            status, content = answer(reader, pipe.recv_bytes(), **options)
            pipe.send(status)
            pipe.send_bytes(content)


def limit(memory: int) -> None:
    """Let this process take so many bytes more, where the system can be told so."""
    with suppress(ImportError, OSError, ValueError):
        import resource

        taken = int(Path("/proc/self/statm").read_text().split()[0]) * os.sysconf("SC_PAGE_SIZE")
        resource.setrlimit(resource.RLIMIT_AS, (taken + memory, taken + memory))
