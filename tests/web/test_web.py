"""The server, asked over real connections."""

import asyncio
import http.client
import importlib
import io
import json
import logging
import signal
import socket
import subprocess
import sys
import threading
import time
from base64 import b64decode
from concurrent.futures import ThreadPoolExecutor, as_completed
from contextlib import ExitStack, closing
from types import SimpleNamespace

import numpy as np
import pytest
from PIL import Image
from serving import listening
from starlette.requests import ClientDisconnect

import lettergpu.web
from lettergpu.data.letters import load_test
from lettergpu.errors import LettergpuError
from lettergpu.reading.reader import Reader
from lettergpu.web import arrivals
from lettergpu.web.app import Limits, create_app, serve
from lettergpu.web.arrivals import MAX_BYTES
from lettergpu.web.connections import listen
from lettergpu.web.queue import Queue


@pytest.fixture(scope="module")
def reader():
    return Reader.of(None)


def running(reader, **options):
    """The port of a server of this reader."""
    return listening(create_app(reader, **options))


@pytest.fixture(scope="module")
def port(reader):
    with running(reader) as port:
        yield port


def ask(port, path="/predict", body=None, method="POST", headers=None):
    """The status, headers and JSON of an answer."""
    with closing(http.client.HTTPConnection("127.0.0.1", port, timeout=60)) as connection:
        connection.request(method, path, body, headers or {})
        response = connection.getresponse()
        return response.status, response.headers, json.loads(response.read())


def refused(answer, status):
    """The one sentence of a refusal."""
    assert answer[0] == status
    assert answer[2].keys() == {"error"}
    assert "\n" not in answer[2]["error"]
    return answer[2]["error"]


def read_all(client):
    """All that a server sends until it closes."""
    return b"".join(iter(lambda: client.recv(65536), b""))


def until(condition):
    """Wait for what another thread does."""
    deadline = time.monotonic() + 20
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.01)


def png(pixels):
    file = io.BytesIO()
    Image.fromarray(pixels).save(file, "PNG")
    return file.getvalue()


def on_paper(letters, scale=6):
    """EMNIST's letters (n, 28, 28) in a row, dark on light."""
    row = np.concatenate(list(np.pad(letters, ((0, 0), (8, 8), (4, 4)))), axis=1)
    row = np.asarray(
        Image.fromarray(row).resize((row.shape[1] * scale, row.shape[0] * scale), Image.Resampling.BICUBIC)
    )
    return png(235 - (row * 0.8).astype(np.uint8))


@pytest.fixture(scope="module")
def letters(emnist):
    """Some of EMNIST's test letters: (picture, letter)."""
    test, _ = load_test(str(emnist), "letters")
    rows = np.random.default_rng(0).permutation(len(test))[:200]
    return [(on_paper(test.images[[i]]), chr(65 + test.labels[i])) for i in rows]


def drawn():
    """A picture of an L."""
    pixels = np.full((200, 160), 255, np.uint8)
    pixels[30:170, 40:54] = pixels[156:170, 40:120] = 0
    return png(pixels)


BLANK = png(np.full((100, 100), 255, np.uint8))


class Blocking:
    """A reader that is stuck until it is let go."""

    def __init__(self, reader):
        self.network, self.reader = reader.network, reader
        self.seen, self.go = [], threading.Event()

    def read(self, image, **options):
        self.seen.append(image)
        assert self.go.wait(30)
        return self.reader.read(image, **options)


def test_it_reads_real_letters(port, letters):
    answers = [ask(port, "/predict?form=single", picture) for picture, _ in letters[:60]]
    assert {status for status, _, _ in answers} == {200}
    assert np.mean([answer["text"] == name for (_, _, answer), (_, name) in zip(answers, letters, strict=False)]) > 0.8
    for _, headers, answer in answers:
        [letter] = answer["letters"]
        left, top, right, bottom = letter["box"]
        assert 0 <= left < right <= 36 * 6
        assert 0 <= top < bottom <= 44 * 6
        shares = [guess["probability"] for guess in letter["top"]]
        assert len(shares) == 5
        assert shares == sorted(shares, reverse=True)
        assert letter["top"][0]["letter"] == answer["text"]
        assert "read;dur=" in headers["Server-Timing"]


def test_200_at_once_are_all_answered_and_right(port, reader, letters):
    gate = threading.Barrier(len(letters))

    def one(picture):
        gate.wait(60)
        return ask(port, "/predict", picture)

    with ThreadPoolExecutor(len(letters)) as clients:
        answers = list(clients.map(one, [picture for picture, _ in letters]))
    for (picture, _), (status, _, answer) in zip(letters, answers, strict=True):
        expected = reader.read(picture)
        assert status == 200
        assert answer["text"] == expected.text
        assert [tuple(letter["box"]) for letter in answer["letters"]] == [letter.box for letter in expected.letters]
        for letter, wanted in zip(answer["letters"], expected.letters, strict=True):
            assert [guess["letter"] for guess in letter["top"]] == [name for name, _ in wanted.top]
            shares = [guess["probability"] for guess in letter["top"]]
            np.testing.assert_allclose(shares, [share for _, share in wanted.top], atol=1e-4)


def test_the_query_is_what_the_reader_is_asked(port, reader):
    seen = {}

    def read(image, **options):
        seen.update(options)
        return reader.read(image, **options)

    with running(SimpleNamespace(network=reader.network, read=read)) as other:
        _, _, answer = ask(other, "/predict?form=single&top=2&binarize=sauvola&context=0", drawn())
    assert seen == {"form": "single", "top": 2, "binarize": "sauvola", "context": False}
    assert answer["text"] == "L"
    assert len(answer["letters"][0]["top"]) == 2


def test_inside_shows_what_the_network_saw_and_did(port, reader):
    _, _, answer = ask(port, "/predict?inside=1", drawn())
    reading = reader.read(drawn())
    layers = reader.hidden(reading.letters)
    [letter] = answer["letters"]
    assert b64decode(letter["image"]) == reading.letters[0].seen.tobytes()
    assert b64decode(letter["normal"]) == reading.letters[0].image.tobytes()
    assert len(letter["hidden"]) == len(layers) == len(reader.network.sizes) - 2
    for sent, layer in zip(letter["hidden"], layers, strict=True):
        values = np.frombuffer(b64decode(sent["values"]), np.int8) * (sent["scale"] / 127)
        np.testing.assert_allclose(values, layer[0], atol=sent["scale"] / 200)
    assert "hidden" not in ask(port, "/predict?inside=0", drawn())[2]["letters"][0]


def test_health_and_page(port, reader):
    status, _, answer = ask(port, "/health", method="GET")
    assert status == 200
    assert answer["status"] == "ok"
    assert answer["network"]["sizes"] == list(reader.network.sizes)
    with closing(http.client.HTTPConnection("127.0.0.1", port, timeout=20)) as connection:
        for path, kind in (
            ("/", "text/html"),
            ("/static/page.js", "text/javascript"),
            ("/static/style.css", "text/css"),
        ):
            connection.request("GET", path)
            response = connection.getresponse()
            assert response.status == 200
            assert response.headers["Content-Type"].startswith(kind)
            assert response.read()


@pytest.mark.parametrize(
    ("path", "body", "sentence"),
    [
        ("/predict", b"this is no image", "picture"),
        ("/predict", drawn()[:200], "picture"),
        ("/predict", b"", "the body is empty"),
        ("/predict", BLANK, "no letter"),
        ("/predict?form=poem", drawn(), "form poem: choose one of auto"),
        ("/predict?binarize=maybe", drawn(), "binarize maybe: choose one of"),
        ("/predict?top=0", drawn(), "from 1 to 26"),
        ("/predict?top=27", drawn(), "from 1 to 26"),
        ("/predict?top=many", drawn(), "top=many: give a number"),
        ("/predict?inside=yes", drawn(), "inside=yes: give 0 or 1"),
        ("/predict?context=english", drawn(), "context=english: give 0 or 1"),
        ("/predict?frm=text", drawn(), "'frm' is none of the options form"),
    ],
)
def test_what_cannot_be_read_is_said_in_a_sentence(port, path, body, sentence):
    assert sentence in refused(ask(port, path, body), 400)


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [
        ("GET", "/predict", 405),
        ("POST", "/health", 405),
        ("POST", "/", 405),
        ("GET", "/nowhere", 404),
        ("GET", "/health/", 404),
        ("GET", "/static/none.js", 404),
        ("GET", "/static/../app.py", 404),
        ("GET", "/static/..%2fapp.py", 404),
    ],
)
def test_other_addresses_are_refused_in_json(port, method, path, status):
    sentence = refused(ask(port, path, method=method), status)
    assert "POST a picture to /predict" in sentence


def test_every_answer_has_the_security_headers_and_none_opens_it_to_others(port):
    for path, method in (("/health", "GET"), ("/nowhere", "GET"), ("/predict", "POST")):
        _, headers, _ = ask(port, path, method=method)
        assert headers["Content-Security-Policy"].startswith("default-src 'self';")
        assert "unsafe" not in headers["Content-Security-Policy"]
        assert headers["X-Content-Type-Options"] == "nosniff"
        assert headers["Referrer-Policy"] == "no-referrer"
        assert not [name for name in headers if name.lower().startswith("access-control")]


@pytest.mark.parametrize("chunked", [False, True])
def test_a_client_learns_that_its_body_is_over_the_limit_though_it_is_still_sending(port, chunked):
    body = (bytes(65536) for _ in range(3 * MAX_BYTES // 65536)) if chunked else bytes(3 * MAX_BYTES)
    assert "larger than 10 MB" in refused(ask(port, "/predict", body), 413)


def test_a_body_without_end_is_cut_off(port):
    with socket.create_connection(("127.0.0.1", port), timeout=20) as client:
        client.sendall(b"POST /predict HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\n")
        chunk = b"10000\r\n" + bytes(65536) + b"\r\n"

        def send_on():
            deadline = time.monotonic() + 15
            while time.monotonic() < deadline:
                client.sendall(chunk)

        with pytest.raises(ConnectionError):
            send_on()
    assert ask(port, "/health", method="GET")[0] == 200


def test_a_body_that_trickles_is_given_up(reader):
    with (
        running(reader, limits=Limits(body_seconds=0.3, requests=1)) as port,
        socket.create_connection(("127.0.0.1", port), timeout=20) as client,
    ):
        client.sendall(b"POST /predict HTTP/1.1\r\nHost: localhost\r\nContent-Length: 1000\r\n\r\nx")
        assert read_all(client).startswith(b"HTTP/1.1 408 ")
        assert ask(port, body=drawn())[0] == 200  # its place is free again


def test_slow_bodies_keep_nobody_out(reader):
    begun = b"POST /predict HTTP/1.1\r\nHost: localhost\r\nContent-Length: 9000000\r\n\r\n"
    with running(reader, limits=Limits(requests=1, arriving=3, bytes=600_000)) as port, ExitStack() as stack:
        slow = [stack.enter_context(socket.create_connection(("127.0.0.1", port), timeout=20)) for _ in range(6)]
        for client in slow:
            client.sendall(begun + bytes(190_000))
        for _ in range(3):
            time.sleep(0.2)
            assert ask(port, body=drawn() + bytes(50_000))[0] == 200
        assert b"too many pictures are arriving" in read_all(slow[0])


def test_a_body_must_come_at_a_least_rate(reader, monkeypatch):
    monkeypatch.setattr(arrivals, "HEAD_START", 3000)
    with running(reader) as port, socket.create_connection(("127.0.0.1", port), timeout=20) as client:
        client.sendall(b"POST /predict HTTP/1.1\r\nHost: localhost\r\nContent-Length: 9000\r\n\r\nx")
        assert b"10 kB in each second" in read_all(client)


class Sender:
    """A request from an address, with all of its body there."""

    def __init__(self, host):
        self.client, self.gone = SimpleNamespace(host=host), asyncio.Event()

    async def stream(self):
        yield self.client.host.encode()

    async def receive(self):
        await self.gone.wait()
        return {"type": "http.disconnect"}


@pytest.mark.parametrize("greedy", [["10.0.0.1"] * 6, [f"2001:db8::{i}" for i in range(6)]])
def test_an_address_with_many_pictures_keeps_no_other_waiting(greedy):
    read, go = [], threading.Event()

    def reading(body):
        assert go.wait(20)
        read.append(body.decode())
        return body

    async def all_of_them():
        queue = Queue(Limits(requests=4, threads=1))
        jobs = []
        for host in [*greedy, "10.0.0.2"]:
            jobs.append(asyncio.create_task(queue.answer(Sender(host), reading)))
            await asyncio.sleep(0)
        go.set()
        return await asyncio.gather(*jobs, return_exceptions=True)

    answers = asyncio.run(all_of_them())
    assert [getattr(answer, "status_code", 200) for answer in answers] == [200] * 3 + [503] * 3 + [200]
    assert read == [greedy[0], greedy[1], "10.0.0.2", greedy[2]]


@pytest.mark.parametrize("when", ["before", "while it waits"])
def test_who_goes_away_leaves_the_place_to_others(when):
    read, go = [], threading.Event()

    def reading(body):
        assert go.wait(20)
        read.append(body.decode())
        return body

    async def all_of_them():
        queue = Queue(Limits(requests=2, threads=1))
        first, leaving, last = map(Sender, ("10.0.0.1", "10.0.0.2", "10.0.0.3"))
        stays = asyncio.create_task(queue.answer(first, reading))
        if when == "before":
            leaving.gone.set()
        left = asyncio.create_task(queue.answer(leaving, reading))
        for _ in range(5):
            await asyncio.sleep(0)
        leaving.gone.set()
        with pytest.raises(ClientDisconnect):
            await asyncio.wait_for(left, 10)
        comes = asyncio.create_task(queue.answer(last, reading))
        await asyncio.sleep(0)
        go.set()
        await asyncio.gather(stays, comes)

    asyncio.run(all_of_them())
    assert read == ["10.0.0.1", "10.0.0.3"]


@pytest.mark.parametrize("limits", [Limits(requests=3, threads=1), Limits(bytes=int(3.5 * len(drawn())), threads=1)])
def test_a_full_queue_says_when_to_come_again(reader, limits):
    blocking = Blocking(reader)
    with running(blocking, limits=limits) as port, ThreadPoolExecutor(4) as clients:
        asked = [clients.submit(ask, port, "/predict", drawn()) for _ in range(4)]
        first = next(as_completed(asked)).result()
        assert "too many pictures are waiting" in refused(first, 503)
        assert first[1]["Retry-After"] == "1"
        assert ask(port, "/health", method="GET")[0] == 200
        blocking.go.set()
        assert sorted(job.result()[0] for job in asked) == [200, 200, 200, 503]
        assert ask(port, body=drawn())[0] == 200


def test_what_takes_too_long_is_given_up(reader):
    blocking = Blocking(reader)
    with running(blocking, limits=Limits(answer_seconds=0.5, threads=1)) as port, ThreadPoolExecutor(2) as clients:
        first = clients.submit(ask, port, "/predict", drawn())
        until(lambda: blocking.seen)
        second = clients.submit(ask, port, "/predict", BLANK)
        assert "longer than 0.5 s" in refused(first.result(), 504)
        assert "too many pictures are waiting" in refused(second.result(), 503)
        blocking.go.set()
        until(lambda: ask(port, body=drawn())[0] == 200)
        assert BLANK not in blocking.seen  # nobody waits for the second any more


@pytest.mark.parametrize(
    "host", ["evil.example", "evil.example:80", "192.168.1.5", "localhost.evil.example", "[::2]", "["]
)
def test_foreign_hosts_are_refused(reader, port, host):
    assert "only to localhost" in refused(ask(port, "/health", method="GET", headers={"Host": host}), 403)
    assert "only to localhost" in refused(ask(port, "/predict", drawn(), headers={"Host": host}), 403)
    with running(reader, loopback=False) as other:
        assert ask(other, "/predict", drawn(), headers={"Host": host})[0] == 200


@pytest.mark.parametrize("host", ["localhost", "127.0.0.1", "[::1]", "localhost:9000"])
def test_own_hosts_and_origins_are_served(port, host):
    assert ask(port, "/predict", drawn(), headers={"Host": host})[0] == 200
    assert ask(port, "/predict", drawn(), headers={"Host": host, "Origin": f"http://{host}"})[0] == 200


@pytest.mark.parametrize("origin", ["http://evil.example", "null", "http://localhost:1", "https://127.0.0.1"])
@pytest.mark.parametrize("loopback", [True, False])
def test_pages_from_elsewhere_are_refused(reader, origin, loopback):
    with running(reader, loopback=loopback) as port:
        assert "its own page" in refused(ask(port, "/predict", drawn(), headers={"Origin": origin}), 403)


def test_nothing_of_a_picture_is_logged_or_told(reader, caplog, capfd):
    def read(image, **options):
        raise ValueError(f"{image!r}")

    with caplog.at_level(logging.DEBUG), running(SimpleNamespace(network=reader.network, read=read)) as port:
        sentence = refused(ask(port, "/predict", b"my dearest diary"), 500)
    logged = caplog.text + "".join(capfd.readouterr())
    assert "ValueError" in logged
    assert "diary" not in logged
    assert "diary" not in sentence


def test_a_server_stops_cleanly_and_says_where_it_is():
    command = [sys.executable, "-m", "lettergpu", "serve", "--port", "0"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        line = process.stdout.readline()
        assert line.startswith("reading letters at http://127.0.0.1:")
        port = int(line.split()[3].rpartition(":")[2])
        assert ask(port, "/predict", drawn())[2]["text"] == "L"
        with socket.create_connection(("127.0.0.1", port), timeout=20) as client:
            client.sendall(b"POST /predict HTTP/1.1\r\nHost: localhost\r\nContent-Length: 1000\r\n\r\nx")
            assert ask(port, "/health", method="GET")[0] == 200  # and so the other has begun too
            process.send_signal(signal.SIGINT)
            assert b'"the server is being stopped"' in read_all(client)
        assert process.communicate(timeout=20) == ("", "")
        assert process.returncode == 0


def test_a_port_that_is_taken_and_a_host_that_is_none():
    with listen("127.0.0.1", 0) as listener, pytest.raises(LettergpuError, match=r"in use.*choose another --port"):
        serve(None, "127.0.0.1", listener.getsockname()[1], print)
    with pytest.raises(LettergpuError, match="no such address"):
        serve(None, "no.such.host.invalid", 8000, print)
    with pytest.raises(LettergpuError, match="0 to 65535"):
        serve(None, "127.0.0.1", 70000, print)


def test_without_uvicorn_it_says_what_to_install(monkeypatch):
    monkeypatch.setitem(sys.modules, "uvicorn", None)
    with pytest.raises(LettergpuError, match=r"uvicorn is not installed: pip install -e '\.\[web\]'"):
        importlib.reload(lettergpu.web)
