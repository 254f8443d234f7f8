"""Pictures that arrive, of which one that does so slowly keeps nobody else out."""

import asyncio
from collections import Counter
from dataclasses import dataclass, field
from ipaddress import IPv6Address, ip_address

from starlette.exceptions import HTTPException
from starlette.requests import Request

MAX_BYTES = 10_000_000  # of a picture
LEAST_RATE = 10_000  # bytes a second
HEAD_START = 50_000  # bytes that each is taken to have sent beforehand
RETRY = {"Retry-After": "1"}


@dataclass(eq=False)
class Body:
    """A picture of which some has arrived. limit: when it is given up. room: there was for it until others came."""

    address: str
    began: float
    limit: asyncio.Timeout
    chunks: list[bytes] = field(default_factory=list)
    size: int = 0
    room: bool = True

    def rate(self, now: float) -> float:
        """Bytes a second."""
        return (self.size + HEAD_START) / max(now - self.began, 1e-3)


class Arrivals:
    """Those at once: only so many, and only so many bytes.

    Where there are more, one gives way, of the address that sends the most of them the slowest: also where all come
    from one address, as through a proxy or on one machine, those who send as fast as others do are let in.
    """

    def __init__(self, count: int, size: int, seconds: float):
        self.count, self.size, self.seconds = count, size, seconds
        self._bodies: set[Body] = set()
        self._bytes = 0

    async def receive(self, request: Request) -> bytes:
        """The request's body; HTTPException where it is empty, too large, or does not arrive in time."""
        now = asyncio.get_running_loop().time
        limit = asyncio.timeout(None)
        body = Body(address_of(request), now(), limit)
        try:
            async with limit:
                self._add(body, b"", now())
                async for chunk in request.stream():
                    if body.size + len(chunk) > MAX_BYTES:
                        raise HTTPException(413, f"the picture is larger than {MAX_BYTES // 10**6} MB: make it smaller")
                    self._add(body, chunk, now())
            if not body.size:
                raise HTTPException(400, "the body is empty: send the bytes of an image file")
            return b"".join(body.chunks)
        except TimeoutError:
            if not body.room:
                raise HTTPException(503, "too many pictures are arriving: try again in a second", RETRY) from None
            rate = f"{self.seconds:g} s, {LEAST_RATE // 1000} kB in each second"
            raise HTTPException(408, f"the picture did not arrive within {rate}: try again") from None
        finally:
            self._remove(body)
            body.chunks.clear()  # the error's traceback would keep them until it is answered

    def _add(self, body: Body, chunk: bytes, now: float) -> None:
        """Take what has arrived, and make room for it."""
        if not body.room:
            raise TimeoutError
        self._bodies.add(body)
        self._bytes += len(chunk)
        body.size += len(chunk)
        body.chunks.append(chunk)
        body.limit.reschedule(body.began + min(self.seconds, (body.size + HEAD_START) / LEAST_RATE))
        while len(self._bodies) > self.count or self._bytes > self.size:
            shares = Counter(other.address for other in self._bodies)
            slowest = min(self._bodies, key=lambda other: (-shares[other.address], other.rate(now)))
            slowest.room = False
            slowest.limit.reschedule(now)
            self._remove(slowest)

    def _remove(self, body: Body) -> None:
        if body in self._bodies:
            self._bodies.remove(body)
            self._bytes -= body.size


def address_of(request: Request) -> str:
    """Who asks; of IPv6 the network, of which one machine may have every address."""
    host = request.client.host if request.client else ""
    try:
        address = ip_address(host)
    except ValueError:
        return host
    return str(int(address) >> 64) if isinstance(address, IPv6Address) else host
