"""Teaching on the page: GET /taught lists, POST /taught?letter=A adds, DELETE /taught?name=A/0001.png takes back,

POST /learn fine-tunes on all of it, and GET /taught.zip is all of it with the network.
"""

import asyncio
import io
import json
import threading
import zipfile
from base64 import b64encode
from collections.abc import Callable
from pathlib import Path
from time import perf_counter
from typing import Any

from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from ..errors import LettergpuError
from ..training import checkpoint
from .arrivals import RETRY, Arrivals
from .taught import Collection
from .teacher import Teacher

NETWORK = "network.safetensors"
FORGETS = 0.01  # of the watched letters, at most
BUSY = "a lesson is being learnt: wait until it has ended"


class Lessons:
    """What was taught in a folder, and who teaches it to the network.

    model: a run or file; None is the network in the box. use: is told the file of the network to read with, None for
    the one that it began with. Raises LettergpuError where the folder cannot be used.
    """

    def __init__(self, folder: Path, model: Path | None, use: Callable[[Path | None], None]):
        parent = checkpoint.load(checkpoint.BOXED if model is None else model)
        self.parameters = parent.parameters
        self.taught = Collection(folder, parent.classes)
        self.file, self._use, self._lock = folder / NETWORK, use, threading.Lock()
        self._learning = threading.Lock()
        self._learnt = self._print() if not self.taught.letters else self._found()
        if self.current and self.taught.letters:
            use(self.file)
        self.teacher = Teacher(model)
        try:
            self.before = self.teacher.wait()
        except LettergpuError:
            self.close()
            raise

    @property
    def current(self) -> bool:
        """Whether the network has learnt what is taught, no more and no less."""
        return self._learnt == self._print()

    def _print(self) -> str:
        return self.taught.fingerprint(self.parameters)

    def _found(self) -> str:
        """Of what the network in the folder has learnt; empty if there is none."""
        try:
            return checkpoint.read(self.file).fingerprint
        except LettergpuError:
            return ""

    def table(self) -> dict[str, Any]:
        """What was taught, as JSON."""
        with self._lock:
            letters = [
                {"name": each.name, "letter": each.letter, "image": b64encode(each.image.tobytes()).decode()}
                for each in self.taught.letters.values()
            ]
            return {"letters": letters, "learnt": self.current, "classes": self.taught.classes}

    def add(self, content: bytes, letter: str) -> dict[str, Any]:
        """Teach a letter; the table."""
        with self._lock:
            self.taught.add(content, letter)
        return self.table()

    def remove(self, name: str) -> dict[str, Any]:
        """Take one back; the table."""
        with self._lock:
            self.taught.remove(name)
        return self.table()

    def learn(self) -> dict[str, Any]:
        """Fine-tune the network that it began with on all that is taught, and read with it; the table.

        Raises LettergpuError where that would make it forget too much, or cannot be, and HTTPException while another
        lesson is learnt.
        """
        if not self._learning.acquire(blocking=False):
            raise HTTPException(409, BUSY, RETRY)
        try:
            began = perf_counter()
            with self._lock:
                examples = self.taught.examples() if self.taught.letters else None
                fingerprint = self._print()
            after = self.before if examples is None else self._teach(examples, fingerprint)
            self._learnt = fingerprint
            self._use(None if examples is None else self.file)
            return self.table() | {"before": self.before, "after": after, "seconds": perf_counter() - began}
        finally:
            self._learning.release()

    def _teach(self, examples: Any, fingerprint: str) -> float:
        candidate = self.file.with_name(f".{NETWORK}.new")
        try:
            after = self.teacher.teach(examples, fingerprint, candidate)
            if after < self.before - FORGETS:
                raise LettergpuError(
                    f"this lesson was refused: after it the network would read {after:.1%} of the built-in test "
                    f"letters, where it reads {self.before:.1%} now; take back what is not what it was said to be, or "
                    "teach more of each"
                )
            candidate.replace(self.file)
        except OSError as error:
            raise LettergpuError(f"{self.file} cannot be written ({error.strerror})") from error
        finally:
            candidate.unlink(missing_ok=True)
        return after

    def zipped(self) -> bytes:
        """A folder of pictures by class, and the network if it has learnt them."""
        content = io.BytesIO()
        with self._lock, zipfile.ZipFile(content, "w", zipfile.ZIP_DEFLATED) as archive:
            for name in self.taught.letters:
                archive.write(self.taught.folder / name, f"taught/{name}")
            if self.current and self.taught.letters:
                archive.write(self.file, f"taught/{NETWORK}")
        return content.getvalue()

    def close(self) -> None:
        """End who teaches."""
        self.teacher.close()

    def routes(self, arrivals: Arrivals) -> list[Route]:
        """What the server answers. arrivals: those of all pictures, whose limits hold for these, too."""

        async def listed(_: Request) -> Response:
            return _json(self.table())

        async def add(request: Request) -> Response:
            content = await arrivals.receive(request)
            return await _told(self.add, content, request.query_params.get("letter", ""))

        async def remove(request: Request) -> Response:
            return await _told(self.remove, request.query_params.get("name", ""))

        async def learn(_: Request) -> Response:
            return await _told(self.learn)

        async def download(_: Request) -> Response:
            content = await asyncio.to_thread(self.zipped)
            headers = {"Cache-Control": "no-store", "Content-Disposition": 'attachment; filename="taught.zip"'}
            return Response(content, 200, headers, "application/zip")

        return [
            Route("/taught", listed),
            Route("/taught", add, methods=["POST"]),
            Route("/taught", remove, methods=["DELETE"]),
            Route("/learn", learn, methods=["POST"]),
            Route("/taught.zip", download),
        ]


async def _told(work: Callable[..., dict[str, Any]], *given: Any) -> Response:
    try:
        return _json(await asyncio.to_thread(work, *given))
    except LettergpuError as error:
        raise HTTPException(400, str(error)) from None


def _json(content: dict[str, Any]) -> Response:
    return Response(json.dumps(content), 200, {"Cache-Control": "no-store"}, "application/json")
