"""Teaching: what is kept, what is refused, what the network becomes."""

import http.client
import io
import threading
import zipfile
from base64 import b64decode
from contextlib import ExitStack, closing, contextmanager
from urllib.parse import quote

import numpy as np
import pytest
from PIL import Image
from serving import listening
from test_web import ask, on_paper, refused
from typer.testing import CliRunner

from lettergpu.cli import app
from lettergpu.data.letters import load_letters
from lettergpu.errors import LettergpuError
from lettergpu.files import held
from lettergpu.training import checkpoint
from lettergpu.web import lessons, taught
from lettergpu.web.app import _application, serve
from lettergpu.web.queue import Limits
from lettergpu.web.taught import Collection
from lettergpu.web.workers import Workers

LETTERS = tuple("ABCDEFGHIJKLMNOPQRSTUVWXYZ")


@contextmanager
def teaching(folder):
    """The port of a server that is taught in this folder."""
    limits = Limits(threads=2)
    with ExitStack() as stack:
        workers = stack.enter_context(closing(Workers(None, "cpu", limits)))
        taught_there = stack.enter_context(closing(lessons.Lessons(folder, None, workers.use)))
        app = _application(workers.answer, workers.network, True, limits, taught_there)
        yield stack.enter_context(listening(app))


@pytest.fixture(scope="module")
def strange():
    """Three pictures of one sign that is no letter, (n, 28, 28)."""
    signs = np.zeros((3, 28, 28), np.uint8)
    signs[:, 4:24, 12:15] = signs[:, 8:11, 5:23] = signs[:, 16:19, 5:23] = 255
    signs[1, 4:24, 5:7] = signs[2, 19:22, 14:20] = 255
    return signs


@pytest.fixture
def collection(tmp_path):
    return Collection(tmp_path, LETTERS)


def test_what_is_taught_is_a_folder_of_pictures_by_class(collection, strange, tmp_path):
    names = [collection.add(sign.tobytes(), letter) for sign, letter in zip(strange, ("Q", "q ", "B"), strict=True)]
    assert names == ["Q/0001.png", "Q/0002.png", "B/0001.png"]
    for name, sign in zip(names, strange, strict=True):
        assert np.array_equal(np.asarray(Image.open(tmp_path / name)), sign)
    again = Collection(tmp_path, LETTERS)
    assert {name: each.image.tobytes() for name, each in again.letters.items()} == {
        name: sign.tobytes() for name, sign in zip(names, strange, strict=True)
    }
    assert again.fingerprint(np.zeros(3)) == collection.fingerprint(np.zeros(3))
    again.remove("Q/0001.png")
    assert sorted(path.name for path in tmp_path.rglob("*.png")) == ["0001.png", "0002.png"]
    assert again.add(strange[0].tobytes(), "Q") == "Q/0003.png"  # a name is not given twice while others are there
    assert again.fingerprint(np.zeros(3)) != collection.fingerprint(np.zeros(3))


def test_a_letter_that_is_said_to_be_another_is_that_one(collection, strange):
    assert collection.add(strange[0].tobytes(), "Q") == collection.add(strange[0].tobytes(), "Q")
    collection.add(strange[0].tobytes(), "B")
    assert [*collection.letters] == ["B/0001.png"]
    assert collection.examples().labels.tolist() == [1]


@pytest.mark.parametrize(
    ("content", "letter", "message"),
    [
        (b"\xff" * 784, "?", "[?] is none of the network's letters: A, B"),
        (b"\xff" * 784, "", "nothing is none of the network's letters"),
        (b"\xff" * 784, "../A", "is none of the network's letters"),
        (b"\xff" * 783, "A", "a letter is 28 x 28 bytes, 784 in all, not 783"),
        (bytes(784), "A", "there is no ink on this picture"),
    ],
)
def test_what_cannot_be_taught_is_said_and_not_kept(content, letter, message, collection, tmp_path):
    with pytest.raises(LettergpuError, match=message):
        collection.add(content, letter)
    assert not [*tmp_path.iterdir()]


def test_no_more_is_taught_than_can_be_learnt(collection, strange, monkeypatch):
    monkeypatch.setattr(taught, "MOST", 2)
    for sign in strange[:2]:
        collection.add(sign.tobytes(), "A")
    with pytest.raises(LettergpuError, match="take some back"):
        collection.add(strange[2].tobytes(), "A")


def test_a_folder_of_something_else_is_refused(tmp_path):
    (tmp_path / "A").mkdir()
    (tmp_path / "A" / "0001.png").write_bytes(b"no picture")
    with pytest.raises(LettergpuError, match=r"A/0001.png: .*a taught letter is a PNG of 28 x 28 pixels; take it away"):
        Collection(tmp_path, LETTERS)
    Image.new("L", (29, 28)).save(tmp_path / "A" / "0001.png")
    with pytest.raises(LettergpuError, match="it has 29 x 28 pixels"):
        Collection(tmp_path, LETTERS)
    with pytest.raises(LettergpuError, match="cannot be a folder's name"):
        Collection(tmp_path / "other", ("A", "../B"))


def test_who_may_not_teach_is_told_so_at_once(tmp_path):
    def started(*words):
        done = CliRunner().invoke(app, ["serve", "--port", "0", *map(str, words)])
        assert isinstance(done.exception, LettergpuError)
        return str(done.exception)

    assert "only from this machine" in started("--teach", tmp_path / "new", "--host", "0.0.0.0")
    assert not (tmp_path / "new").exists()
    (tmp_path / "file").write_text("")
    assert "cannot be written" in started("--teach", tmp_path / "file")
    with held(tmp_path):
        assert "another lettergpu writes to it" in started("--teach", tmp_path)


def test_it_is_taught_learns_and_forgets_what_is_taken_back(tmp_path, strange):
    picture = on_paper(strange[:1])

    def text(port):
        return ask(port, "/predict?form=single", picture)[2]["text"]

    with teaching(tmp_path) as port:
        table = ask(port, "/taught", method="GET")[2]
        assert (table["letters"], table["learnt"], tuple(table["classes"])) == ([], True, LETTERS)
        before, [letter] = text(port), ask(port, "/predict?form=single&inside=1", picture)[2]["letters"]
        assert before != "Q"
        status, _, table = ask(port, "/taught?letter=q", b64decode(letter["normal"]))
        assert (status, table["learnt"], table["letters"][0]["letter"]) == (200, False, "Q")
        assert table["letters"][0]["image"] == letter["normal"]
        assert text(port) == before
        status, _, table = ask(port, "/learn")
        assert (status, table["learnt"]) == (200, True)
        assert table["after"] > table["before"] - 0.01
        assert {text(port) for _ in range(4)} == {"Q"}  # whichever process reads it
        with closing(http.client.HTTPConnection("127.0.0.1", port, timeout=60)) as connection:
            connection.request("GET", "/taught.zip")
            content = zipfile.ZipFile(io.BytesIO(connection.getresponse().read()))
        assert sorted(content.namelist()) == ["taught/Q/0001.png", "taught/network.safetensors"]

        status, _, table = ask(port, f"/taught?name={quote('Q/0001.png')}", method="DELETE")
        assert (status, table["letters"], table["learnt"]) == (200, [], False)
        assert ask(port, "/learn")[2]["learnt"] is True
        assert text(port) == before
        assert "was taken back before" in refused(ask(port, "/taught?name=Q/0001.png", method="DELETE"), 400)
        assert "none of the network's letters" in refused(ask(port, "/taught?letter=%00", bytes(784)), 400)
        assert "28 x 28 bytes" in refused(ask(port, "/taught?letter=A", b"abc"), 400)
        assert "the body is empty" in refused(ask(port, "/taught?letter=A"), 400)
        foreign = {"Origin": "http://elsewhere.example"}
        for path, method in (("/taught?letter=A", "POST"), ("/learn", "POST"), ("/taught?name=x", "DELETE")):
            assert "pages from elsewhere" in refused(ask(port, path, method=method, headers=foreign), 403)
        ask(port, "/taught?letter=Q", b64decode(letter["normal"]))
        ask(port, "/learn")
    with teaching(tmp_path) as port:  # another day
        assert ask(port, "/taught", method="GET")[2]["learnt"] is True
        assert text(port) == "Q"


def test_without_teach_there_is_nothing_to_teach(tmp_path):
    with listening(_application(lambda *_: (200, b"{}"), {}, True, Limits(threads=1))) as port:
        assert ask(port, "/health", method="GET")[2]["teach"] is False
        for path, method in (("/taught", "GET"), ("/taught?letter=A", "POST"), ("/learn", "POST")):
            assert ask(port, path, method=method)[0] == 404


def test_a_lesson_that_makes_it_forget_is_refused_and_the_network_stays(tmp_path):
    """Many printed letters, all said to be an X."""
    letters = load_letters("builtin").train
    with teaching(tmp_path) as port:
        for image in letters.images[:150]:
            ask(port, "/taught?letter=X", image.tobytes())
        sentence = refused(ask(port, "/learn"), 400)
        assert "this lesson was refused: after it the network would read" in sentence
        assert ask(port, "/taught", method="GET")[2]["learnt"] is False
        pictures = [on_paper(letters.images[[row]]) for row in np.flatnonzero(letters.labels == 7)[:3]]
        assert [ask(port, "/predict?form=single", picture)[2]["text"] for picture in pictures] == ["H"] * 3
    assert not [path for path in tmp_path.iterdir() if path.is_file()]


class Slow:
    """A teacher that waits to be let go, and changes nothing."""

    def __init__(self, model):
        self.asked, self.go, self.closed = threading.Event(), threading.Event(), False

    def wait(self):
        return 1.0

    def teach(self, examples, fingerprint, path):
        self.asked.set()
        assert self.go.wait(20)
        network = checkpoint.read(checkpoint.BOXED)
        checkpoint.save(path, network.network, network.config, fingerprint)
        return 0.995

    def close(self):
        self.closed = True


def test_two_do_not_teach_at_once(tmp_path, strange, monkeypatch):
    monkeypatch.setattr(lessons, "Teacher", Slow)
    used = []
    with closing(lessons.Lessons(tmp_path, None, used.append)) as both:
        both.add(strange[0].tobytes(), "A")
        answers = []
        first = threading.Thread(target=lambda: answers.append(both.learn()))
        first.start()
        assert both.teacher.asked.wait(20)
        with pytest.raises(Exception, match="409: a lesson is being learnt: wait until it has ended"):
            both.learn()
        assert len(both.add(strange[1].tobytes(), "B")["letters"]) == 2  # meanwhile
        both.teacher.go.set()
        first.join(20)
        assert answers[0]["learnt"] is False  # of what came meanwhile, it has learnt nothing
        assert used == [tmp_path / "network.safetensors"]


def test_serve_offers_lessons_where_it_is_told_of_a_folder(tmp_path):
    def ready(address, loopback):
        assert loopback
        with pytest.raises(LettergpuError, match="another lettergpu writes to it"), held(tmp_path / "a" / "b"):
            pass
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        serve(None, "127.0.0.1", 0, ready, teach=tmp_path / "a" / "b")
    assert not [*(tmp_path / "a" / "b").iterdir()]
