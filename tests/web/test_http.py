"""docs/use/http.md: each command is run as it stands, by curl, and what is answered has the form that is told."""

import json
import re
import shlex
import subprocess
from contextlib import ExitStack, closing
from functools import partial
from pathlib import Path

import numpy as np
import pytest
from PIL import Image, ImageDraw
from serving import listening

from lettergpu.reading.reader import Reader
from lettergpu.web.answers import answer, described
from lettergpu.web.app import _application
from lettergpu.web.lessons import Lessons
from lettergpu.web.queue import Limits
from lettergpu.web.trainings import Trainings

PAGE = (Path(__file__).parents[2] / "docs" / "use" / "http.md").read_text("utf-8")
TOLD = re.findall(r"```sh\n(.*?)```\n\n```(?:json|text)\n(.*?)\n```", PAGE, re.DOTALL)
STROKES = [(30, 20, 30, 130), (90, 20, 90, 130), (30, 75, 90, 75), (160, 20, 160, 130)]  # an H and an I


@pytest.fixture
def port(tmp_path, monkeypatch):
    """That of a server with all there is, in whose folder the files are that the commands name."""
    monkeypatch.chdir(tmp_path)
    picture = Image.new("L", (240, 160), 255)
    for stroke in STROKES:
        ImageDraw.Draw(picture).line(stroke, fill=0, width=9)
    picture.save("photo.jpg")
    letter = np.zeros((28, 28), np.uint8)
    letter[4:24, 6:9] = letter[4:24, 19:22] = letter[13:15, 6:22] = 255
    Path("letter.bin").write_bytes(letter.tobytes())
    reader = Reader.of(None)
    with ExitStack() as stack:
        lessons, trainings = Lessons(tmp_path, None, lambda file: None), Trainings(1)
        for room in (lessons, trainings):
            stack.enter_context(closing(room))
        app = _application(partial(answer, reader), described(reader), True, Limits(), lessons, trainings)
        yield stack.enter_context(listening(app))


def form(told):
    """What there is of JSON: names and kinds; of a list its first."""
    if isinstance(told, dict):
        return {name: form(value) for name, value in told.items()}
    if isinstance(told, list):
        return [form(value) for value in told[:1]]
    return float if type(told) is int else type(told)


def forms(text):
    """Those of JSON, or of server-sent events, each with its kind, but for how far an epoch is."""
    if not text.startswith("event: "):
        return form(json.loads(text))
    events = re.findall(r"event: (\w+)\ndata: (.*)", text)
    return [(kind, form(json.loads(data))) for kind, data in events if kind != "batch"]


def test_each_command_is_answered_as_is_told(port):
    assert len(TOLD) == PAGE.count("```sh") == 9
    for commands, told in TOLD:
        for line in commands.replace("127.0.0.1:8000", f"127.0.0.1:{port}").splitlines():
            words = [*shlex.split(line), "--silent", "--show-error"]
            done = subprocess.run(words, capture_output=True, text=True, timeout=120, check=True)
        assert forms(done.stdout) == forms(told), commands
    assert Path("taught.zip").read_bytes().startswith(b"PK")
