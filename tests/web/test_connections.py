"""The server under connections that ask for nothing."""

import re
import socket
import struct
import subprocess
import sys
import time
from contextlib import ExitStack, suppress

import pytest
import test_web
from test_web import ask, drawn, read_all, running

from lettergpu.reading.reader import Reader
from lettergpu.web import arrivals, connections

HEAD = b"GET /health HTTP/1.1\r\nHost: localhost\r\n"


@pytest.fixture(scope="module")
def reader():
    return Reader.of(None)


def connect(port):
    return socket.create_connection(("127.0.0.1", port), timeout=20)


@pytest.mark.parametrize("sent", [b"", HEAD, HEAD + b"\r\n", HEAD + b"\r\n" + HEAD])
def test_a_connection_that_stays_silent_is_closed(reader, monkeypatch, sent):
    monkeypatch.setattr(connections, "SILENT_SECONDS", 0.5)
    with running(reader) as port, connect(port) as client:
        began = time.monotonic()
        client.sendall(sent)
        answers = read_all(client)
        assert time.monotonic() - began < 4  # uvicorn's own limit, of answered connections alone, is 5 s
        assert answers.count(b"HTTP/1.1 200") == sent.count(b"\r\n\r\n")


def test_a_head_that_trickles_gains_no_time(reader, monkeypatch):
    monkeypatch.setattr(connections, "SILENT_SECONDS", 0.5)

    def trickle(client):
        client.sendall(HEAD + b"\r\n" + HEAD)
        for _ in range(100):
            client.sendall(b"a")
            time.sleep(0.1)

    with running(reader) as port, connect(port) as client, pytest.raises(ConnectionError):
        trickle(client)


def test_an_answer_that_nobody_takes_is_given_up(reader, monkeypatch):
    monkeypatch.setattr(connections, "TAKING_SECONDS", 0.5)
    with running(reader) as port, socket.socket() as client:
        client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 2048)
        client.connect(("127.0.0.1", port))
        client.settimeout(0.2)
        asked = b"GET /static/page.js HTTP/1.1\r\nHost: localhost\r\n\r\n" * 20_000

        def ask_on():
            deadline = time.monotonic() + 15
            while time.monotonic() < deadline:
                with suppress(TimeoutError):
                    client.sendall(asked)

        with pytest.raises(ConnectionError):
            ask_on()


def test_the_longest_silent_gives_way_to_the_next(reader, monkeypatch):
    monkeypatch.setattr(connections, "CONNECTIONS", 3)
    monkeypatch.setattr(connections, "SILENT_SECONDS", 60.0)  # none is to be closed for that
    with running(reader) as port, ExitStack() as stack:
        first, *others = [stack.enter_context(connect(port)) for _ in range(3)]
        assert ask(port, "/predict", drawn())[0] == 200
        assert read_all(first) == b""
        for other in others:
            other.sendall(HEAD + b"Connection: close\r\n\r\n")
            assert read_all(other).startswith(b"HTTP/1.1 200 ")


def test_a_client_that_was_gone_before_it_was_let_in_is_nobody(reader, monkeypatch):
    """It has no address any more, whose turn could come between those of others."""
    seen, address_of = [], arrivals.address_of
    monkeypatch.setattr(arrivals, "address_of", lambda request: seen.append(address_of(request)) or seen[-1])
    listener = connections.listen("127.0.0.1", 0)
    with connect(listener.getsockname()[1]) as client:
        client.sendall(
            b"POST /predict HTTP/1.1\r\nHost: localhost\r\nContent-Length: %d\r\n\r\n" % len(drawn()) + drawn()
        )
        client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))  # to be reset
    monkeypatch.setattr(test_web, "listen", lambda host, port: listener)
    with running(reader) as port:
        assert ask(port, "/predict", drawn())[0] == 200
    assert seen == ["127.0.0.1"]


def test_more_connections_than_descriptors_do_not_stop_it():
    resource = pytest.importorskip("resource")
    command = [sys.executable, "-m", "lettergpu", "serve", "--port", "0"]
    few = (256, 256)
    with subprocess.Popen(
        command,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_NOFILE, few),
    ) as process:
        try:
            port = int(re.search(r":(\d+) until", process.stdout.readline())[1])
            with ExitStack() as stack:
                for _ in range(400):
                    stack.enter_context(connect(port))
                assert ask(port, "/health", method="GET")[0] == 200
                assert ask(port, "/predict", drawn())[0] == 200
        finally:
            process.terminate()
        assert process.communicate(timeout=20)[1] == ""


def test_a_body_of_two_lengths_is_refused_and_the_connection_closed(reader):
    two = (
        b"POST /predict HTTP/1.1\r\nHost: localhost\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n"
    )
    with running(reader) as port, connect(port) as client:
        client.sendall(two + HEAD + b"\r\n")
        answers = read_all(client)
    assert answers.startswith(b"HTTP/1.1 400 ")
    assert b"two things of one body" in answers
    assert answers.count(b"HTTP/1.1") == 1
