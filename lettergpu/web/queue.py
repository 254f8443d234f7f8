"""Pictures on their way to the few that read them, within limits, the senders in turn."""

import asyncio
from collections import Counter, deque
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass
from time import perf_counter

from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect, Request

from ..backends.host import threads
from .arrivals import RETRY, Arrivals, address_of

Answer = tuple[int, bytes]  # the status and JSON
CROWDED = "too many pictures are waiting: try again in a second"


@dataclass(frozen=True)
class Limits:
    """What a server takes on at once.

    arriving: pictures of which not all is there yet. requests: those that wait and are read. bytes: of those that
    arrive together, and as many of those that wait. body_seconds: in which a picture must have arrived;
    answer_seconds: in which its reading must then begin, and, once begun, end. threads: that read. memory: bytes that
    each of them may take for a picture, where they are processes.
    """

    arriving: int = 128
    requests: int = 256
    bytes: int = 24_000_000
    body_seconds: float = 30.0
    answer_seconds: float = 30.0
    threads: int = min(threads(), 8)
    memory: int = 220_000_000


@dataclass(eq=False)
class Place:
    """A picture's place in the queue. turn: is done when it may be read."""

    address: str
    size: int
    turn: asyncio.Future[None]


class Queue:
    """Pictures that wait for a few threads: only so many, and only so many bytes.

    The addresses that sent them have their turns one after the other, and where there are too many, those that sent the
    most are refused first.
    """

    def __init__(self, limits: Limits):
        self.limits = limits
        self.pool = ThreadPoolExecutor(limits.threads, "reading")
        self.arrivals = Arrivals(limits.arriving, limits.bytes, limits.body_seconds)
        self._places: set[Place] = set()  # those that are read, too
        self._waiting: dict[str, deque[Place]] = {}  # by address, whose turn is next first
        self._free = limits.threads

    async def answer(self, request: Request, read: Callable[[bytes], Answer]) -> tuple[Answer, str]:
        """What `read` makes of the request's body, and its Server-Timing; HTTPException where a limit is passed."""
        body = await self.arrivals.receive(request)
        loop = asyncio.get_running_loop()
        asked = perf_counter()
        place = Place(address_of(request), len(body), loop.create_future())
        watching = loop.create_task(_watch(request, place))
        try:
            await asyncio.sleep(0)  # in which who has gone already is noticed
            await self._turn(place)
            if watching.done():
                raise ClientDisconnect
            job = self.pool.submit(_timed, read, body, asked)
        except BaseException:
            self._leave(place)
            raise
        finally:
            watching.cancel()

        def leave(_: Future[tuple[Answer, str]]) -> None:
            with suppress(RuntimeError):  # the loop has been closed
                loop.call_soon_threadsafe(self._leave, place)

        # not before the thread is done with it, which may be long after the client was told that it took too long
        job.add_done_callback(leave)
        try:
            async with asyncio.timeout(self.limits.answer_seconds):
                return await asyncio.wrap_future(job)
        except TimeoutError:
            raise too_long(self.limits.answer_seconds) from None

    async def _turn(self, place: Place) -> None:
        """Wait for a free thread."""
        self._places.add(place)
        self._waiting.setdefault(place.address, deque()).append(place)
        self._refuse_some()
        self._call()
        try:
            async with asyncio.timeout(self.limits.answer_seconds):
                await place.turn
        except TimeoutError:
            raise HTTPException(503, CROWDED, RETRY) from None

    def _refuse_some(self) -> None:
        """Those that came last of the address with the most places, until the others fit."""
        while len(self._places) > self.limits.requests or sum(p.size for p in self._places) > self.limits.bytes:
            shares = Counter(place.address for place in self._places)
            last = self._waiting[max(self._waiting, key=lambda address: shares[address])][-1]
            self._remove(last)
            if not last.turn.done():  # its time may just have run out
                last.turn.set_exception(HTTPException(503, CROWDED, RETRY))

    def _call(self) -> None:
        """Those whose turn it is, as many as there are free threads."""
        while self._free and self._waiting:
            address = next(iter(self._waiting))
            line = self._waiting.pop(address)
            place = line.popleft()
            if line:
                self._waiting[address] = line
            if not place.turn.done():
                self._free -= 1
                place.turn.set_result(None)

    def _leave(self, place: Place) -> None:
        """Give back the place, and, where it had its turn, the thread."""
        turn = place.turn
        if place in self._places and turn.done() and not turn.cancelled() and not turn.exception():
            self._free += 1
        self._remove(place)
        self._call()

    def _remove(self, place: Place) -> None:
        self._places.discard(place)
        line = self._waiting.get(place.address, deque())
        if place in line:
            line.remove(place)
            if not line:
                del self._waiting[place.address]


async def _watch(request: Request, place: Place) -> None:
    """Give up the place of who goes away: asked when it is its turn, that would keep a thread idle meanwhile."""
    while (await request.receive())["type"] != "http.disconnect":
        pass
    if not place.turn.done():
        place.turn.set_exception(ClientDisconnect())


def _timed(read: Callable[[bytes], Answer], body: bytes, asked: float) -> tuple[Answer, str]:
    begun = perf_counter()
    content = read(body)
    waited, took = 1e3 * (begun - asked), 1e3 * (perf_counter() - begun)
    return content, f"wait;dur={waited:.2f}, read;dur={took:.2f}"


def too_long(seconds: float) -> HTTPException:
    """What is said of a picture that takes longer to be read."""
    return HTTPException(504, f"reading took longer than {seconds:g} s: try a smaller picture")
