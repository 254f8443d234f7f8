"""Training over HTTP: what is told of it, who may, how it ends."""

import http.client
import json
import time
from base64 import b64decode, b64encode
from contextlib import closing
from dataclasses import replace

import numpy as np
import pytest
from serving import listening
from test_web import ask, refused

from lettergpu.data.letters import load_letters
from lettergpu.study import naive
from lettergpu.training.loop import fit
from lettergpu.web import app, trainings
from lettergpu.web.app import _application
from lettergpu.web.queue import Limits
from lettergpu.web.trainer import _some
from lettergpu.web.trainings import DEFAULTS, Trainings

SMALL = {"hidden": [16], "count": 500, "epochs": 3, "batch_size": 50}


def no_reader(image, **options):
    return 200, b"{}"


@pytest.fixture(scope="module")
def server():
    """A server that trains, and its port."""
    there = Trainings(1)
    with closing(there), listening(_application(no_reader, {}, True, Limits(threads=1), None, there)) as port:
        yield there, port


def begun(port, asked):
    """The response of a training; closing its connection stops it."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=60)
    connection.request("POST", "/training", json.dumps(asked))
    response = connection.getresponse()
    assert response.status == 200, response.read()
    assert response.headers["Content-Type"].startswith("text/event-stream")
    return connection, response


def no_number(name):
    raise AssertionError(f"{name} is no JSON")


def next_event(response):
    """The next one's kind and content, but for how far an epoch is; None at the end."""
    lines = []
    while (line := response.readline().decode()) not in ("\n", ""):
        lines.append(line.strip())
    if not lines:
        return None
    kind, data = lines
    content = json.loads(data.removeprefix("data: "), parse_constant=no_number)
    return next_event(response) if kind == "event: batch" else (kind.removeprefix("event: "), content)


def rest(response):
    """All events that are still to come."""
    return iter(lambda: next_event(response), None)


def told(port, asked):
    """All that a training tells."""
    connection, response = begun(port, asked)
    with closing(connection):
        return list(rest(response))


def test_each_epoch_tells_what_the_network_has_become(server):
    letters = _some(load_letters("builtin"), 500)
    letter = letters.test.images[0]
    events = told(server[1], SMALL | {"letter": b64encode(letter.tobytes()).decode()})
    assert [kind for kind, _ in events] == ["began", "epoch", "epoch", "epoch", "ended"]
    began, *epochs, ended = (content for _, content in events)
    assert began["sizes"] == [784, 16, 26]
    assert (began["train"], began["held"]) == (400, 100)
    config = replace(DEFAULTS, hidden=(16,), epochs=3, batch_size=50)
    for report, epoch in zip(fit(config, letters), epochs, strict=True):
        assert epoch["epoch"] == report.epoch
        assert epoch["train_loss"] == pytest.approx(report.train_loss, rel=1e-5)
        assert epoch["val_accuracy"] == report.val_accuracy
        weights = np.frombuffer(b64decode(epoch["weights"]["values"]), np.int8).reshape(16, 784)
        of_network = report.network.layers[0].weight.T
        assert np.abs(weights / 127 - of_network / np.abs(of_network).max()).max() <= 0.5 / 127 + 1e-4
        assert np.sum(epoch["confusion"]) == 100
        assert np.trace(epoch["confusion"]) == round(100 * epoch["val_accuracy"])
        assert all(mistake["is"] != mistake["taken"] for mistake in epoch["mistakes"])
        assert len(epoch["mistakes"]) == min(12, 100 - np.trace(epoch["confusion"]))
        np.testing.assert_allclose(epoch["letter"], report.network.predict_proba(letter[None])[0], atol=1e-4)
    assert "of 5,200 test letters" in ended["sentence"]
    assert 0.1 < ended["test"] < 1


def test_one_that_was_stopped_goes_on_to_what_it_would_have_come_to(server):
    port = server[1]
    whole = [content for kind, content in told(port, SMALL | {"epochs": 15}) if kind == "epoch"]
    connection, response = begun(port, SMALL | {"epochs": 15, "pace": 0.5})
    seen = [next_event(response) for _ in range(3)]
    connection.close()
    response.close()
    assert [kind for kind, _ in seen] == ["began", "epoch", "epoch"]
    resumed = told(port, {"resume": seen[0][1]["name"], "pace": 0})
    resumed = [content for kind, content in resumed if kind == "epoch"]
    assert resumed[0]["epoch"] > 2  # more may have been done before the process was stopped
    for content in (*whole, *resumed):
        del content["seconds"]
    assert resumed == whole[resumed[0]["epoch"] - 1 :]
    assert [kind for kind, _ in told(port, {"resume": seen[0][1]["name"]})] == ["began", "ended"]  # all is done


def test_it_ends_with_its_connection_and_with_the_server(server):
    there, port = server
    for end in ("client", "server"):
        connection, response = begun(port, SMALL | {"epochs": 1000})
        assert next_event(response)[0] == "began"
        process = there._worker._process
        if end == "client":
            connection.close()
            response.close()
        else:
            there.close()
        process.join(20)
        assert process.exitcode is not None
        if end == "server":
            kind, told_last = list(rest(response))[-1]
            assert (kind, told_last["stopped"]) == ("ended", True)
            connection.close()


def test_another_is_refused_meanwhile(server, monkeypatch):
    monkeypatch.setattr(trainings, "GONE_SECONDS", 0.1)
    port = server[1]
    connection, response = begun(port, SMALL | {"epochs": 1000})
    with closing(connection), closing(response):
        assert "another page of this server trains" in refused(ask(port, "/training", b"{}"), 409)
        assert ask(port, "/health", method="GET")[0] == 200
        assert next_event(response)[0] == "began"
    deadline = time.monotonic() + 20
    while server[0]._worker is not None:
        assert time.monotonic() < deadline
        time.sleep(0.01)


@pytest.mark.parametrize("start", naive.STARTS)
def test_the_naive_network_says_why_it_fails(server, start):
    began, *steps, ended = (content for _, content in told(server[1], {"start": start, "count": 400}))
    assert began["epochs"] == len(steps) == naive.STEPS
    assert ended["sentence"] == naive.VERDICTS[start]
    losses = [step["train_loss"] for step in steps]
    if start == "Naive_large":
        assert losses == [None] * naive.STEPS
        assert all(step["broken"] and "confusion" not in step for step in steps)
    elif start == "Naive_equal":
        assert min(losses) > 3.2
        assert max(step["val_accuracy"] for step in steps) < 0.08
    elif start == "Stable_large":
        assert 1000 < losses[0] < 1e6
    else:
        assert losses[-1] < 2.9 < losses[0]  # the letters, as Pillow's release draws them, move it by a tenth


def test_what_is_told_of_letters_held_out_is_of_those_that_were_asked(server):
    began = told(server[1], SMALL | {"hidden": [], "count": 26_000, "epochs": 1, "batch_size": 5000, "augment": "none"})
    (held,) = [content["held"] for kind, content in began if kind == "began"]
    assert held == sum(map(sum, next(content["confusion"] for kind, content in began if kind == "epoch")))


def test_steps_that_are_too_large_end_in_advice(server):
    asked = SMALL | {"learning_rate": 100, "batch_norm": False, "activation": "identity"}
    ended = told(server[1], asked)[-1][1]
    assert ended["diverged"]
    assert "try a learning rate of 10" in ended["sentence"]


@pytest.mark.parametrize(
    ("asked", "sentence"),
    [
        (b"", "the body is empty"),
        (b"{", "send JSON"),
        (b"[]", "send JSON"),
        (b"[" * 100_000, "send JSON"),
        ({"letter": "?"}, "send JSON"),
        ({"letter": "AAAA"}, "28 x 28 bytes, not 3"),
        ({"hiden": [1]}, "hiden is none of the settings"),
        ({"data": "/etc"}, "data: choose builtin"),
        ({"hidden": [100_000]}, "too much for a page"),
        ({"hidden": "512"}, "hidden"),
        ({"epochs": 1001}, "too much for a page"),
        ({"learning_rate": 0}, "lr 0.0: give a number above 0"),
        (b'{"learning_rate": NaN}', "give a finite number"),
        ({"activation": "softplus"}, "activation softplus: choose one of"),
        ({"count": 10}, "count: give"),
        ({"pace": -1}, "pace: give"),
        ({"start": "Naive"}, "start: choose"),
        ({"start": ["Naive_equal"]}, "start: choose"),
    ],
)
def test_what_makes_no_sense_is_told(server, asked, sentence):
    body = asked if isinstance(asked, bytes) else json.dumps(asked).encode()
    assert sentence in refused(ask(server[1], "/training", body), 400)


def test_only_its_own_page_may_train_and_only_the_last_one_goes_on(server):
    foreign = {"Origin": "http://elsewhere.example"}
    assert "pages from elsewhere" in refused(ask(server[1], "/training", b"{}", headers=foreign), 403)
    assert "no longer there" in refused(ask(server[1], "/training", b'{"resume": "x"}'), 410)


def test_where_none_is_offered_there_is_no_page():
    with listening(_application(no_reader, {}, True, Limits(threads=1))) as port:
        assert ask(port, "/health", method="GET")[2]["train"] is False
        assert [ask(port, path, method="GET")[0] for path in ("/train", "/training")] == [404, 404]


@pytest.mark.parametrize(
    ("host", "cores", "offered"), [("127.0.0.1", 1, True), ("127.0.0.1", 0, False), ("0.0.0.0", 1, False)]
)
def test_it_is_offered_to_this_machine_alone(monkeypatch, host, cores, offered):
    given = []

    class Silent:
        network = None
        answer = None

        def __init__(self, *_):
            self.run = self.close = lambda *_: None

    monkeypatch.setattr(app, "Workers", Silent)
    monkeypatch.setattr(app, "server", Silent)
    monkeypatch.setattr(app, "_application", lambda *arguments: given.append(arguments[-1]))
    app.serve(None, host, 0, lambda *_: None, cores=cores)
    assert (given[0] is not None) == offered
