"""Connections: as many as there are descriptors for, and none that stays silent."""

import asyncio
import socket
from contextlib import suppress
from functools import partial
from typing import Any

import uvicorn
from starlette.types import ASGIApp
from uvicorn.protocols.http.h11_impl import H11Protocol

from ..errors import LettergpuError

CONNECTIONS = 2000
DESCRIPTORS = 8192  # to ask the system for
SILENT_SECONDS = 5.0  # in which a request's head must have arrived, after the connection or the last answer
TAKING_SECONDS = 20.0  # in which a client must take some of an answer


class Connection(H11Protocol):
    """A connection that is closed when no head arrives, or nobody takes the answer, in time.

    silent: those of the server that wait for a head, the longest first. limit: connections of the server; one more, and
    the longest silent gives way, or, where none is, the new one.
    """

    def __init__(self, *args: Any, silent: "dict[Connection, None]", limit: int, **options: Any):
        super().__init__(*args, **options)
        self.silent, self.limit = silent, limit
        self.patience: asyncio.TimerHandle | None = None
        self.taking: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        if self.client is None:  # it was reset before it was let in
            self.give_up()
        elif len(self.connections) > self.limit:
            next(iter(self.silent), self).give_up()
        self._listen()

    def data_received(self, data: bytes) -> None:
        super().data_received(data)
        self._listen()

    def on_response_complete(self) -> None:
        super().on_response_complete()
        self._listen()

    def pause_writing(self) -> None:
        super().pause_writing()
        self.taking = self.loop.call_later(TAKING_SECONDS, self.give_up)

    def resume_writing(self) -> None:
        super().resume_writing()
        self._taken()

    def connection_lost(self, exc: Exception | None) -> None:
        super().connection_lost(exc)
        self._hush()
        self._taken()

    def give_up(self) -> None:
        """Close, whatever has yet to be sent."""
        self._hush()
        self.transport.abort()

    def _listen(self) -> None:
        """Start the clock where a head is awaited; one that runs is not set back: a trickle gains no time."""
        if self.cycle is not None and not self.cycle.response_complete:
            self._hush()
        elif self.patience is None:
            self.patience = self.loop.call_later(SILENT_SECONDS, self.give_up)
            self.silent[self] = None

    def _hush(self) -> None:
        self.silent.pop(self, None)
        if self.patience:
            self.patience.cancel()
            self.patience = None

    def _taken(self) -> None:
        if self.taking:
            self.taking.cancel()
            self.taking = None


def server(app: ASGIApp) -> uvicorn.Server:
    """A server of `app` that logs no requests; errors the app logs itself."""
    descriptors = _descriptors()
    # asyncio may have accepted three times its backlog before the first of these is closed again
    connection = partial(Connection, silent={}, limit=min(CONNECTIONS, descriptors // 3))
    config = uvicorn.Config(
        app,
        access_log=False,
        backlog=min(1024, descriptors // 8),
        http=connection,  # type: ignore[arg-type]
        lifespan="on",
        log_config=None,
        log_level="critical",
        loop="asyncio",
        proxy_headers=False,
        server_header=False,
        timeout_graceful_shutdown=2,
        ws="none",
    )
    return uvicorn.Server(config)


def _descriptors() -> int:
    """How many files and connections this process may have open, after asking for more."""
    try:
        import resource
    except ImportError:  # Windows
        return DESCRIPTORS
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    unlimited = resource.RLIM_INFINITY
    wanted = DESCRIPTORS if hard == unlimited else min(DESCRIPTORS, hard)
    if soft != unlimited and soft < wanted:
        with suppress(OSError, ValueError):  # macOS says "unlimited" and has a limit
            resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))
            soft = wanted
    return DESCRIPTORS if soft == unlimited else min(DESCRIPTORS, soft)


def listen(host: str, port: int) -> socket.socket:
    """A socket that is bound to this address. Raises LettergpuError where that cannot be."""
    if not 0 <= port <= 65535:  # some systems would take it modulo 65536
        raise LettergpuError(f"--port {port}: give a number from 0 to 65535")
    try:
        family, kind, protocol, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
        # with its protocol named, so that asyncio sends small answers at once (TCP_NODELAY)
        listener = socket.socket(family, kind, protocol)
    except (OSError, UnicodeError) as error:
        raise LettergpuError(f"--host {host} --port {port}: there is no such address ({error})") from None
    try:
        if hasattr(socket, "SO_EXCLUSIVEADDRUSE"):  # Windows, where SO_REUSEADDR would share a port that is taken
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_EXCLUSIVEADDRUSE, 1)
        else:
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind(address)
        listener.listen(2048)
    except OSError as error:
        listener.close()
        raise LettergpuError(
            f"--host {host} --port {port}: it cannot be listened on ({error.strerror}); choose another --port"
        ) from None
    return listener
