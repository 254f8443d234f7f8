"""Pictures on their way to the threads that read them, within limits."""

import asyncio
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from time import perf_counter

from starlette.exceptions import HTTPException
from starlette.requests import Request

from ..backends.cpu import threads

MAX_BYTES = 10_000_000  # of a picture
RETRY = {"Retry-After": "1"}


@dataclass(frozen=True)
class Limits:
    """What a server takes on at once.

    requests: those received, waiting and read. bytes: of all their pictures together. body_seconds: in which a picture
    must have arrived; answer_seconds: in which it must then be answered. threads: that read.
    """

    requests: int = 256
    bytes: int = 256_000_000
    body_seconds: float = 30.0
    answer_seconds: float = 30.0
    threads: int = threads()


class Queue:
    """Pictures on their way to a few threads that read them: only so many, and only so many bytes."""

    def __init__(self, limits: Limits):
        self.limits = limits
        self.pool = ThreadPoolExecutor(limits.threads, "reading")
        self._lock = threading.Lock()
        self._requests = self._bytes = 0

    async def answer(self, request: Request, read: Callable[[bytes], bytes]) -> tuple[bytes, str]:
        """What `read` makes of the request's body, and its Server-Timing; HTTPException where a limit is passed."""
        body = await self._receive(request)
        asked = perf_counter()

        def timed() -> tuple[bytes, str]:
            begun = perf_counter()
            content = read(body)
            waited, took = 1e3 * (begun - asked), 1e3 * (perf_counter() - begun)
            return content, f"wait;dur={waited:.2f}, read;dur={took:.2f}"

        job = self.pool.submit(timed)
        # given back when the thread is done with it, which may be long after the client was told that it took too long
        job.add_done_callback(lambda _: self._give(1, len(body)))
        try:
            async with asyncio.timeout(self.limits.answer_seconds):
                return await asyncio.wrap_future(job)
        except TimeoutError:
            if job.cancel():
                raise HTTPException(503, "too many pictures are waiting: try again", RETRY) from None
            seconds = self.limits.answer_seconds
            raise HTTPException(504, f"reading took longer than {seconds:g} s: try a smaller picture") from None

    async def _receive(self, request: Request) -> bytes:
        """The body, with its place in the queue taken."""
        self._take(1, 0)
        chunks: list[bytes] = []
        size = 0
        try:
            async with asyncio.timeout(self.limits.body_seconds):
                async for chunk in request.stream():
                    if size + len(chunk) > MAX_BYTES:
                        raise HTTPException(413, f"the picture is larger than {MAX_BYTES // 10**6} MB: make it smaller")
                    self._take(0, len(chunk))
                    size += len(chunk)
                    chunks.append(chunk)
            if not size:
                raise HTTPException(400, "the body is empty: send the bytes of an image file")
            return b"".join(chunks)
        except TimeoutError:
            self._give(1, size)
            seconds = self.limits.body_seconds
            raise HTTPException(408, f"the picture did not arrive within {seconds:g} s: try again") from None
        except BaseException:
            self._give(1, size)
            raise
        finally:
            chunks.clear()  # the error's traceback would keep them until it is answered

    def _take(self, requests: int, size: int) -> None:
        with self._lock:
            if self._requests + requests > self.limits.requests or self._bytes + size > self.limits.bytes:
                raise HTTPException(503, "too many pictures are waiting: try again in a second", RETRY)
            self._requests += requests
            self._bytes += size

    def _give(self, requests: int, size: int) -> None:
        with self._lock:
            self._requests -= requests
            self._bytes -= size
