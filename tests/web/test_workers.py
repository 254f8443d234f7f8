"""Processes that read, and those that have to be ended."""

import io
import json
import os
import signal
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing

import numpy as np
import pytest
from PIL import Image
from test_web import drawn, png

from lettergpu.errors import LettergpuError
from lettergpu.web.queue import Limits
from lettergpu.web.workers import Workers


@pytest.fixture(scope="module")
def dots():
    """A picture that takes long to read: each may be a letter."""
    return png((np.random.default_rng(0).random((2000, 2000)) > 0.07) * np.uint8(255))


def text(answer):
    status, content = answer
    assert status == 200
    return json.loads(content)["text"]


def processes(workers):
    return [worker._process.pid for worker in workers._workers]


def lives(pid):
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True


def test_a_process_that_takes_too_long_is_ended_and_the_others_go_on(dots):
    with closing(Workers(None, "cpu", Limits(threads=2, answer_seconds=1.0))) as workers:
        before = processes(workers)
        with ThreadPoolExecutor(1) as thread:
            slow = thread.submit(workers.answer, dots)
            while not slow.done():
                assert text(workers.answer(drawn())) == "L"
            status, content = slow.result()
        assert status == 504
        assert json.loads(content) == {"error": "reading took longer than 1 s: try a smaller picture"}
        [ended] = set(before) - set(processes(workers))
        assert not lives(ended)
        assert [text(workers.answer(drawn())) for _ in range(4)] == ["L"] * 4


def test_a_picture_that_takes_too_much_memory_is_refused():
    file = io.BytesIO()
    Image.new("RGBA", (5000, 5000), "white").save(file, "PNG", compress_level=1)
    with closing(Workers(None, "cpu", Limits(threads=1, memory=100_000_000))) as workers:
        [before] = processes(workers)
        status, content = workers.answer(file.getvalue())
        assert status == 503
        assert "more memory than the server gives" in json.loads(content)["error"]
        assert not lives(before)
        assert text(workers.answer(drawn())) == "L"


def test_a_process_that_dies_is_replaced(dots):
    with closing(Workers(None, "cpu", Limits(threads=1))) as workers, ThreadPoolExecutor(1) as thread:
        reading = thread.submit(workers.answer, dots)
        time.sleep(0.2)
        os.kill(*processes(workers), signal.SIGKILL)
        assert reading.result()[0] == 503
        assert text(workers.answer(drawn())) == "L"


def test_no_process_outlives_the_workers(dots):
    threads = threading.active_count()
    with closing(Workers(None, "cpu", Limits(threads=2))) as workers, ThreadPoolExecutor(1) as thread:
        before = processes(workers)
        reading = thread.submit(workers.answer, dots)
        time.sleep(0.2)
        workers.close()
        assert reading.result(10)[0] == 503
    assert not any(map(lives, before))
    assert threading.active_count() == threads


def test_what_cannot_be_read_with_is_said_before_they_are_ready(tmp_path):
    with pytest.raises(LettergpuError, match=r"none\.safetensors"):
        Workers(tmp_path / "none.safetensors", "cpu", Limits(threads=1))
    with pytest.raises(LettergpuError, match="abacus"):
        Workers(None, "abacus", Limits(threads=1))


def test_two_may_end_a_process_at_once(monkeypatch):
    """Slowly, so that they meet: a handle that is closed twice may be somebody else's by then."""
    with closing(Workers(None, "cpu", Limits(threads=1))) as workers, ThreadPoolExecutor(2) as threads:
        [worker] = workers._workers
        close = os.close
        monkeypatch.setattr(
            type(worker._pipe), "_close", lambda pipe, **_: (time.sleep(0.3), close(pipe._handle)), raising=True
        )
        for ended in [threads.submit(worker.end) for _ in range(2)]:
            ended.result()
