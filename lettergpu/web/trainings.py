"""Training on the page: GET /train is the page, GET /training what can be chosen, and POST /training trains.

    curl -N --json '{"activation": "swish", "epochs": 5}' http://127.0.0.1:8000/training

A training is a request: its answer is a stream of server-sent events (began, batch, epoch, ended), and whoever closes
it stops the training. {"resume": NAME} goes on from the last epoch of the one that `began` called so.
"""

import asyncio
import json
import secrets
import threading
from base64 import b64decode
from collections.abc import AsyncIterator, Callable
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import FileResponse, Response, StreamingResponse
from starlette.routing import Route
from starlette.types import Receive, Scope, Send

from ..config import CHOICES, Config
from ..data import SIDE
from ..data.letters import find_source
from ..errors import LettergpuError, brief
from ..nn.network import parameter_count
from ..study import naive
from .arrivals import RETRY, Arrivals
from .trainer import Event, Job, work
from .workers import Worker

PAGE = Path(__file__).parent / "static" / "train.html"
DEFAULTS = Config(data="builtin", hidden=(128, 64), epochs=20, label_smoothing=0.0, calibrate=False, device="cpu")
CHOSEN = (
    *("data", "hidden", "activation", "loss", "init", "learning_rate", "momentum"),
    *("batch_size", "batch_norm", "augment", "epochs", "seed"),
)
ASKED = (*CHOSEN, "count", "pace", "start", "letter", "resume")
COUNT, PACE, SLOWEST = 10_400, 0.25, 5.0  # letters to train on, seconds an epoch and the most of them
MOST_WEIGHTS, MOST_EPOCHS = 4_000_000, 1000
BUSY = "another page of this server trains: stop it there, or wait until it has ended"
GONE_SECONDS = 3.0  # in which one that was stopped has ended


class Trainings:
    """One at a time, in a process of its own on so many cores; the last one can be gone on with."""

    def __init__(self, cores: int):
        self.cores = cores
        self._last: tuple[str, Job] | None = None
        self._worker: Worker | None = None

    def choices(self) -> dict[str, Any]:
        """What may be asked for, as JSON."""
        names = "activation", "loss", "init", "augment"
        letters = {"builtin": "built in, from fonts"}
        if find_source("auto", "letters"):
            letters["auto"] = "EMNIST, by hand"
        return {
            "choices": {name: CHOICES[name] for name in names} | {"data": letters, "start": naive.STARTS},
            "defaults": {name: getattr(DEFAULTS, name) for name in CHOSEN} | {"count": COUNT, "pace": PACE},
        }

    def job(self, content: bytes) -> tuple[str, Job]:
        """What a body asks for, and its name. Raises HTTPException where it makes no sense."""
        try:
            asked = json.loads(content)
            if not isinstance(asked, dict):
                raise ValueError
            letter = b64decode(asked.pop("letter", "") or "", validate=True)
        except (ValueError, TypeError, RecursionError):
            raise HTTPException(400, "send JSON: an object with settings, and `letter` in base64 if any") from None
        if unknown := asked.keys() - set(ASKED):
            raise HTTPException(400, f"{brief(min(unknown))} is none of the settings {', '.join(ASKED)}")
        if len(letter) not in (0, SIDE * SIDE):
            raise HTTPException(400, f"a letter is {SIDE} x {SIDE} bytes, not {len(letter):,}")
        if "resume" in asked:
            if self._last is None or asked["resume"] != self._last[0]:
                raise HTTPException(410, "that training is no longer there: start it again")
            name, job = self._last
            return name, replace(job, letter=letter, pace=_pace(asked, job.pace))
        return secrets.token_hex(8), replace(_job(asked), letter=letter)

    async def begin(self, name: str, job: Job) -> Response:
        """Its events."""
        for _ in range(round(GONE_SECONDS / 0.05)):  # whoever closed the last one may be the one who asks
            if self._worker is None:
                break
            await asyncio.sleep(0.05)
        else:
            raise HTTPException(409, BUSY, RETRY)
        self._last = name, job
        self._worker = worker = Worker(job, self.cores, work=work)
        events: asyncio.Queue[Event | None] = asyncio.Queue()
        loop = asyncio.get_running_loop()

        def listen() -> None:
            """The one thread that has to do with the process's pipe."""
            try:
                while True:
                    event, state = worker.hear()
                    if state is not None:
                        self._last = name, replace(job, state=state)
                    loop.call_soon_threadsafe(events.put_nowait, event)
            except (EOFError, OSError, RuntimeError):  # it has ended; the loop was closed
                worker.end()
                self._worker = None
                with suppress(RuntimeError):
                    loop.call_soon_threadsafe(events.put_nowait, None)

        threading.Thread(target=listen, name="training", daemon=True).start()
        return Stream(_told(name, events), worker.stop)

    def close(self) -> None:
        """End the training, if there is one."""
        if worker := self._worker:
            worker.stop()

    def routes(self, arrivals: Arrivals) -> list[Route]:
        """What the server answers. arrivals: those of all pictures, whose limits hold for these, too."""

        async def page(_: Request) -> Response:
            return FileResponse(PAGE)

        async def choices(_: Request) -> Response:
            return Response(json.dumps(self.choices()), 200, {"Cache-Control": "no-store"}, "application/json")

        async def train(request: Request) -> Response:
            return await self.begin(*self.job(await arrivals.receive(request)))

        return [Route("/train", page), Route("/training", choices), Route("/training", train, methods=["POST"])]


class Stream(StreamingResponse):
    """Server-sent events. ended: is called when they are told, or nobody listens any more, even before the first."""

    def __init__(self, events: AsyncIterator[str], ended: Callable[[], None]):
        super().__init__(events, 200, {"Cache-Control": "no-store"}, "text/event-stream")
        self._ended = ended

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        try:
            await super().__call__(scope, receive, send)
        finally:
            self._ended()


async def _told(name: str, events: asyncio.Queue[Event | None]) -> AsyncIterator[str]:
    """Each event as it is sent, until its process has ended."""
    done = False
    while (event := await events.get()) is not None:
        kind = event.pop("event")
        done = kind == "ended"
        yield _sent(kind, event | {"name": name} if kind == "began" else event)
    if not done:
        sentence = "the training was ended: it took too much memory, or the server is stopped"
        yield _sent("ended", {"stopped": True, "sentence": sentence})


def _sent(kind: str, content: Event) -> str:
    return f"event: {kind}\ndata: {json.dumps(content)}\n\n"


def _job(asked: dict[str, Any]) -> Job:
    count, start = asked.pop("count", COUNT), asked.pop("start", "")
    pace = _pace(asked, 0.0)
    if type(count) is not int or not 100 <= count <= 1_000_000:
        raise HTTPException(400, "count: give 100 to 1,000,000 letters to train on")
    if start not in ("", *naive.STARTS):
        raise HTTPException(400, f"start: choose one of {', '.join(naive.STARTS)}, or none")
    if asked.get("data", DEFAULTS.data) not in ("builtin", "auto"):
        raise HTTPException(400, "data: choose builtin, or auto for the downloaded EMNIST")
    try:
        config = replace(DEFAULTS, **asked | {"nesterov": bool(asked.get("momentum", DEFAULTS.momentum))})
    except LettergpuError as error:  # which names the command line's option
        raise HTTPException(400, str(error).removeprefix("--")) from None
    if config.epochs > MOST_EPOCHS or parameter_count((SIDE * SIDE, *config.hidden, 26)) > MOST_WEIGHTS:
        raise HTTPException(
            400, f"that is too much for a page: at most {MOST_EPOCHS:,} epochs, {MOST_WEIGHTS:,} weights"
        )
    return Job(config, count, start, pace)


def _pace(asked: dict[str, Any], usual: float) -> float:
    pace = asked.pop("pace", usual)
    if type(pace) not in (int, float) or not 0 <= pace <= SLOWEST:
        raise HTTPException(400, f"pace: give 0 to {SLOWEST:g} seconds that an epoch takes at least")
    return float(pace)
