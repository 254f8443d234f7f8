"""The server: POST a picture to /predict, and JSON with its letters comes back; / is the page.

    curl --data-binary @photo.jpg "http://127.0.0.1:8000/predict?form=text&top=3"

Query: form and binarize as `Reader.read` takes them, top=5 (letters guessed for each), context=0, inside=1.

    {"text": "HI", "letters": [{"box": [left, top, right, bottom], "top": [{"letter": "H", "probability": 0.98}]}]}

box: in pixels of the picture, upright as EXIF says. With inside=1 each letter also has `image`, the 28x28 bytes that
the network saw, row by row, `normal`, those of the letter in EMNIST's form, and `hidden`, a {"scale", "values"} for
each hidden layer: a node's activation is its signed byte x scale / 127. All are base64. An error is
{"error": "one sentence"}, with 4xx or 5xx.
"""

import asyncio
import json
import mimetypes
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import ExitStack, asynccontextmanager, closing, contextmanager, suppress
from functools import partial
from importlib.metadata import version
from ipaddress import ip_address
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from starlette.applications import Starlette
from starlette.datastructures import Headers, QueryParams
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect, Request
from starlette.responses import FileResponse, Response
from starlette.routing import Mount, Route
from starlette.staticfiles import StaticFiles
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from ..data.folders import Progress
from ..data.letters import load_letters
from ..errors import LettergpuError
from ..files import held
from .answers import UNEXPECTED, answer, described, log_place
from .arrivals import RETRY
from .connections import listen, server
from .queue import Limits, Queue
from .workers import Workers

if TYPE_CHECKING:
    from ..reading.reader import Reader
    from .lessons import Lessons
    from .trainings import Trainings

STATIC = Path(__file__).parent / "static"
SECURITY = [
    (b"content-security-policy", b"default-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"),
    (b"cross-origin-resource-policy", b"same-origin"),
    (b"referrer-policy", b"no-referrer"),
    (b"x-content-type-options", b"nosniff"),
]
OPTIONS = ("form", "binarize", "top", "context", "inside")
TWO_LENGTHS = "Content-Length and Transfer-Encoding say two things of one body: send one of them"
LINGER = 1.0  # seconds in which a refused client may still read the refusal

mimetypes.add_type("text/javascript", ".js")  # some systems know it as text/plain, which nosniff forbids to run


Answers = Callable[..., tuple[int, bytes]]  # a picture and the options: the status and JSON


def create_app(reader: "Reader", *, loopback: bool = True, limits: Limits | None = None) -> ASGIApp:
    """The application, whose threads share a reader. loopback: answer only requests to localhost or its addresses."""
    return _application(partial(answer, reader), described(reader), loopback, limits or Limits())


def _application(
    answers: Answers,
    network: dict[str, Any],
    loopback: bool,
    limits: Limits,
    lessons: "Lessons | None" = None,
    trainings: "Trainings | None" = None,
) -> ASGIApp:
    queue = Queue(limits)
    offers = {"teach": lessons is not None, "train": trainings is not None}
    healthy = json.dumps({"status": "ok", "version": version("lettergpu"), "network": network} | offers).encode()

    async def predict(request: Request) -> Response:
        options = _options(request.query_params)
        try:
            (status, content), timing = await queue.answer(request, lambda image: answers(image, **options))
            return _json(content, status, {"Server-Timing": timing})
        except asyncio.CancelledError:
            raise HTTPException(503, "the server is being stopped", RETRY) from None

    async def health(_: Request) -> Response:
        return _json(healthy)

    async def page(_: Request) -> Response:
        return FileResponse(STATIC / "index.html")

    @asynccontextmanager
    async def lifespan(_: Starlette) -> AsyncIterator[None]:
        yield
        queue.pool.shutdown(wait=False, cancel_futures=True)

    app = Starlette(
        routes=[
            Route("/predict", predict, methods=["POST"]),
            Route("/health", health),
            Route("/", page),
            *(route for room in (lessons, trainings) if room for route in room.routes(queue.arrivals)),
            Mount("/static", StaticFiles(directory=STATIC)),
        ],
        exception_handlers=dict.fromkeys((HTTPException, ClientDisconnect, Exception), _refuse),
        lifespan=lifespan,
    )
    app.router.redirect_slashes = False  # to where the Host header says
    return _guarded(app, loopback)


def _options(query: QueryParams) -> dict[str, Any]:
    """What the query asks of `_read`; whether there is such a form and the like is the reader's to say."""
    options: dict[str, Any] = dict(query)
    if unknown := options.keys() - OPTIONS:
        raise HTTPException(400, f"{min(unknown)!r} is none of the options {', '.join(OPTIONS)}")
    for name in options.keys() & {"context", "inside"}:
        if options[name] not in ("0", "1"):
            raise HTTPException(400, f"{name}={options[name]}: give 0 or 1")
        options[name] = options[name] == "1"
    if "top" in options:
        try:
            options["top"] = int(options["top"])
        except ValueError:
            raise HTTPException(400, f"top={options['top']}: give a number") from None
    return options


def _json(content: bytes, status: int = 200, headers: Any = None) -> Response:
    return Response(content, status, {"Cache-Control": "no-store", **(headers or {})}, "application/json")


async def _refuse(request: Request, error: Exception) -> Response:
    """An error as JSON."""
    if not isinstance(error, HTTPException):
        if not isinstance(error, ClientDisconnect):
            log_place(error)
        error = HTTPException(500, UNEXPECTED)
    method, path = request.method, request.url.path
    sentence = {
        404: f"there is nothing at {path}: POST a picture to /predict, or open / in a browser",
        405: f"{path} does not take {method}: POST a picture to /predict, or open / in a browser",
    }.get(error.status_code, error.detail)
    return _json(json.dumps({"error": sentence}).encode(), error.status_code, error.headers)


def _guarded(app: ASGIApp, loopback: bool) -> ASGIApp:
    """Refuses foreign hosts and origins, sends the security headers, and closes where a body was not read in full."""

    async def guarded(scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await app(scope, receive, send)
            return
        headers = Headers(scope=scope)
        unread = headers.get("content-length", "0") != "0" or "transfer-encoding" in headers
        two_lengths = "content-length" in headers and "transfer-encoding" in headers

        async def receive_noting() -> Message:
            nonlocal unread
            message = await receive()
            unread = message.get("more_body", False)
            return message

        async def send_guarded(message: Message) -> None:
            if message["type"] == "http.response.start":
                message["headers"] = [*message["headers"], *SECURITY, *([(b"connection", b"close")] if unread else [])]
            if unread and message["type"] == "http.response.body" and not message.get("more_body"):
                # closing at once would reset the connection, and the client, still sending, might never see why
                await send({**message, "more_body": True})
                with suppress(TimeoutError):
                    async with asyncio.timeout(LINGER):
                        while (await receive()).get("more_body"):
                            pass
                message = {"type": "http.response.body"}
            await send(message)

        status, wrong = (400, TWO_LENGTHS) if two_lengths else (403, _foreign(headers, loopback))
        response = _json(json.dumps({"error": wrong}).encode(), status) if wrong else app
        await response(scope, receive_noting, send_guarded)

    return guarded


def _foreign(headers: Headers, loopback: bool) -> str:
    """What is wrong with where a request was sent to, or from; empty if nothing is.

    A page from elsewhere must not use this server through its visitor's browser, neither by a form or script (Origin)
    nor by a name of its own that it lets resolve to 127.0.0.1 (Host).
    """
    asked = headers.get("host", "").lower()
    if loopback and not _is_loopback(asked):
        return "this server answers only to localhost: start it with --host to let others in"
    origin = headers.get("origin", "").lower()
    if origin and origin not in (f"http://{asked}", f"https://{asked}"):
        return "this server answers only its own page: pages from elsewhere may not use it"
    return ""


def _is_loopback(address: str) -> bool:
    """Whether an address, perhaps with a port, is this machine's own, that no other reaches."""
    try:
        host = urlsplit(f"//{address}").hostname or ""
        return host == "localhost" or ip_address(host).is_loopback
    except ValueError:
        return False


def serve(
    model: Path | None,
    host: str,
    port: int,
    on_ready: Callable[[str, bool], None],
    device: str = "cpu",
    teach: Path | None = None,
    progress: Progress = iter,
    cores: int = 0,
) -> None:
    """Read letters for whoever asks, until Ctrl-C. model: a run or file; None is the network in the box.

    port: 0 takes a free one. on_ready: is told the address, and whether only this machine reaches it. teach: a folder
    for letters that are taught on the page; None: none are. progress: what shows how far the built-in letters are
    drawn, by which it is told what was forgotten, or which a training on the page learns; that is done once. cores: how
    many such a training takes; none are offered where that is 0, or others than this machine reach the server.
    Raises LettergpuError where it cannot listen there, there is no such model or device, or it may not be taught.
    """
    limits = Limits()
    with ExitStack() as stack:
        listener = stack.enter_context(listen(host, port))
        bound, port = listener.getsockname()[:2]
        address = f"[{bound}]:{port}" if ":" in bound else f"{bound}:{port}"
        loopback = _is_loopback(address)
        if teach and not loopback:
            raise LettergpuError(f"--teach: only from this machine may it be taught, not on {host}: leave out --host")
        if teach:
            stack.enter_context(_claimed(teach))
        workers = stack.enter_context(closing(Workers(model, device, limits)))
        lessons = stack.enter_context(closing(_lessons(teach, model, workers, progress))) if teach else None
        trainings = stack.enter_context(closing(_trainings(cores, progress))) if cores and loopback else None
        on_ready(address, loopback)
        with suppress(KeyboardInterrupt):
            app = _application(workers.answer, workers.network, loopback, limits, lessons, trainings)
            server(app).run([listener])


@contextmanager
def _claimed(folder: Path) -> Iterator[None]:
    """A folder to which nobody else writes meanwhile."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise LettergpuError(f"--teach {folder}: it cannot be written ({error.strerror}); name another") from error
    with held(folder):
        yield


def _lessons(folder: Path, model: Path | None, workers: Workers, progress: Progress) -> "Lessons":
    from .lessons import Lessons

    load_letters("builtin", progress=progress)
    return Lessons(folder, model, workers.use)


def _trainings(cores: int, progress: Progress) -> "Trainings":
    from .trainings import Trainings

    load_letters("builtin", progress=progress)
    return Trainings(cores)
