"""A lexicon turns letters in doubt into words, cuts and marks included, and leaves alone what is read surely."""

import sys
from itertools import product

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from test_spans import set_in_print

from lettergpu.cli import app
from lettergpu.errors import LettergpuError
from lettergpu.reading import lexicon as lexicon_module
from lettergpu.reading.lexicon import AT_RANDOM, OF_STRANGE, STRANGE, Lexicon, lexicon_of
from lettergpu.reading.reader import Reader
from lettergpu.reading.sheet import Piece
from lettergpu.reading.spans import LEAST, LETTER, Lattice, Span, letters_of

LETTERS = "ABC"


def lattice_by_chance(rng, fragments):
    """A lattice of spans of one and two fragments."""
    spans = [
        Span(start, stop, Piece((start,), start, 0, stop, 1))
        for start in range(fragments)
        for stop in (start + 1, start + 2)
        if stop <= fragments
    ]
    single = np.array([span.stop - span.start == 1 for span in spans])
    none = np.where(single, rng.normal(-3, 2, len(spans)), -np.inf)
    named = rng.dirichlet(np.full(len(LETTERS), 0.5), len(spans))
    return Lattice(spans, rng.normal(0, 2, len(spans)), none, np.zeros((len(spans), 28, 28)), named)


def ways_through(lattice, last, start=0):
    """All ways through a lattice: the numbers of spans, each with a letter or with None."""
    if start == last:
        yield ()
    for number, span in enumerate(lattice.spans):
        if span.start == start:
            for rest, name in product(ways_through(lattice, last, span.stop), (None, *range(len(LETTERS)))):
                yield (number, name), *rest


def by_definition(lattice, often, last):
    """The best word of all ways through, and what is better than it, if anything is."""

    def score(way):
        word = "".join(LETTERS[name] for _, name in way if name is not None)
        if word not in often:
            return -np.inf
        found = np.log(often[word])
        for number, name in way:
            logs = LETTER["named"] * np.log(np.maximum(lattice.named[number], LEAST))
            as_letter = lattice.letter[number] - logs.max() - np.log(AT_RANDOM)
            found += lattice.none[number] if name is None else as_letter + logs[name]
        return found

    best = max(ways_through(lattice, last), key=score)
    as_it_is, free = letters_of(lattice)
    strange = free + np.log(STRANGE) + len(as_it_is) * np.log(OF_STRANGE / AT_RANDOM)
    return None if score(best) <= strange else [(i, LETTERS[n]) for i, n in best if n is not None]


@settings(max_examples=60, deadline=None)
@given(
    st.integers(0, 10**6),
    st.dictionaries(st.text(LETTERS, min_size=1, max_size=4), st.floats(1e-4, 1.0), min_size=1, max_size=8),
    st.integers(1, 4),
)
def test_of_all_words_and_cuts_the_likeliest_is_taken(seed, often, fragments):
    lattice = lattice_by_chance(np.random.default_rng(seed), fragments)
    assert Lexicon(often, LETTERS).spelt(lattice) == by_definition(lattice, often, fragments)


def test_only_the_most_promising_beginnings_are_kept(monkeypatch):
    words = Lexicon({"".join(word): 1.0 for word in product(LETTERS, repeat=3)}, LETTERS)
    lattices = [lattice_by_chance(np.random.default_rng(seed), 4) for seed in range(20)]
    of_all = [words.spelt(lattice) for lattice in lattices]
    monkeypatch.setattr(lexicon_module, "WAYS", 1)
    assert [words.spelt(lattice) for lattice in lattices] != of_all


@pytest.fixture(scope="module")
def note():
    """A word in print, one letter of which is another's, and a name."""
    return set_in_print("USEIUL GOKU", apart=0.1)


def test_a_letter_in_doubt_becomes_that_of_a_word_and_a_name_stays(note, tmp_path):
    words = tmp_path / "words.txt"
    words.write_text("useful\nuseless\ngoal\n\nnaïve\n", encoding="utf-8")
    reader = Reader.of()
    before = reader.read(note).text
    assert before in ("USEIUL GOKU", "USELUL GOKU")
    reading = reader.read(note, lexicon=words)
    assert reading.text == "USEFUL GOKU"
    assert reading.letters[3].top[0][0] in "IL"  # what the network saw of it is still told
    assert reader.read(note).text == before


def test_english_is_known():
    words = lexicon_of("english", tuple("ABCDEFGHIJKLMNOPQRSTUVWXYZ"))
    ends = {}
    for word in ("THE", "HANDWRITTEN", "XQZ", "TH"):
        node = words.root
        for letter in word:
            node = node.after.get(words.letters.index(letter), lexicon_module.Node({}, -np.inf))
        ends[word] = node.ends
    assert ends["THE"] > ends["HANDWRITTEN"] > -np.inf
    assert ends["XQZ"] == -np.inf


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (None, "cannot be read .*name english or a file"),
        (b"", "has no word of the letters ABC"),
        (b"xyz\n123\n", "has no word of the letters ABC"),
        (b"ab\xff\n", "is no text in UTF-8"),
        (b"abc\n" * 30, "is larger than 0 MB"),
    ],
)
def test_a_file_without_words_is_refused(content, said, tmp_path, monkeypatch):
    monkeypatch.setattr(lexicon_module, "LARGEST", 100)
    path = tmp_path / "words.txt"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(LettergpuError, match=said):
        lexicon_of(str(path), LETTERS)


def test_english_without_its_library_is_refused(monkeypatch):
    monkeypatch.setitem(sys.modules, "wordfreq", None)
    with pytest.raises(LettergpuError, match=r"pip install 'lettergpu\[lexicon\]'"):
        lexicon_module._english()


def test_predict_takes_a_lexicon(note, tmp_path, capsys):
    (tmp_path / "words.txt").write_text("USEFUL\n")
    note.save(tmp_path / "note.png")
    app(["predict", str(tmp_path / "note.png"), "--lexicon", str(tmp_path / "words.txt")], standalone_mode=False)
    assert ": USEFUL GOKU\n" in capsys.readouterr().out
