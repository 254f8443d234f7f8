"""What stands beside a letter tells it where its ink leaves doubt, and nowhere else."""

import json
from itertools import pairwise, product

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from test_lexicon import LETTERS, lattice_by_chance, ways_through
from test_spans import set_in_print

from lettergpu.cli import app
from lettergpu.reading import language as language_module
from lettergpu.reading import layout
from lettergpu.reading.language import (
    ENGLISH,
    FEW,
    NONE,
    STEPS,
    STRANGE,
    Language,
    english,
    in_alphabetical_order,
    of_neighbours,
    table_of,
)
from lettergpu.reading.lexicon import _english
from lettergpu.reading.reader import Reader
from lettergpu.reading.sheet import Piece
from lettergpu.reading.spans import LEAST, LETTER, Lattice, Span, letters_of

ALPHABET = tuple("ABCDEFGHIJKLMNOPQRSTUVWXYZ")


def of_chance(rng):
    """A language of LETTERS whose words may begin anyhow."""
    after = np.zeros((NONE + 1, NONE + 1, len(LETTERS)))
    known = [*range(len(LETTERS)), NONE]
    after[np.ix_(known, known)] = rng.normal(0, 2, (len(known), len(known), len(LETTERS)))
    after[:, NONE] = 0.0
    return Language(after)


def by_definition(lattice, language, last):
    """The best of all ways through, as English, and its score."""

    def score(way):
        found, around = 0.0, [NONE, NONE]
        for number, name in way:
            if name is None:
                found += lattice.none[number]
                continue
            logs = LETTER["named"] * np.log(np.maximum(lattice.named[number], LEAST))
            found += lattice.letter[number] - logs.max() + logs[name] + language.after[*around[-2:], name]
            around.append(name)
        return found

    best = max(ways_through(lattice, last), key=score)
    return [number for number, name in best if name is not None], score(best)


@settings(max_examples=60, deadline=None)
@given(st.integers(0, 10**6), st.integers(1, 4))
def test_of_all_cuts_and_names_the_likeliest_are_taken(seed, fragments):
    rng = np.random.default_rng(seed)
    lattice, language = lattice_by_chance(rng, fragments), of_chance(rng)
    expected, score = by_definition(lattice, language, fragments)
    as_it_is, free = letters_of(lattice)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(language_module, "UNLIKELY", np.inf)
        patch.setattr(language_module, "SURE", 1.0)
        letters, named = language.read(lattice)
    assert letters == (expected if score >= free - STRANGE else as_it_is)
    assert named.shape == (len(letters), len(LETTERS))
    np.testing.assert_allclose(named.sum(axis=1), 1.0, rtol=1e-6)


def written(*rows):
    """A word whose letters, one a fragment, look like these, by name and probability."""
    spans = [Span(i, i + 1, Piece((i + 1,), 10 * i, 0, 10 * i + 8, 9)) for i in range(len(rows))]
    named = np.full((len(rows), 26), 1e-5)
    for row, likely in zip(named, rows, strict=True):
        for name, probability in likely.items():
            row[ALPHABET.index(name)] = probability
    count = len(rows)
    return Lattice(spans, np.full(count, 2.0), np.full(count, -9.0), np.zeros((count, 28, 28)), named)


def text_of(named):
    return "".join(ALPHABET[name] for name in named.argmax(axis=1))


BAR = {"I": 0.6, "L": 0.39}
HELLO = [{"H": 0.99}, {"E": 0.99}, BAR, BAR, {"O": 0.99}]


def test_a_bar_is_an_l_in_hello():
    lattice = written(*HELLO)
    letters, named = english(ALPHABET).read(lattice)
    assert letters == [0, 1, 2, 3, 4]
    assert text_of(named) == "HELLO" != text_of(lattice.named)


@pytest.mark.parametrize("word", ["XQZKJ", "GOKU", "BRZ", "RIMURU"])
def test_what_is_read_surely_stays(word):
    letters, named = english(ALPHABET).read(written(*({letter: 0.98} for letter in word)))
    assert text_of(named) == word
    assert len(letters) == len(word)


@pytest.mark.parametrize("likely", [BAR, {"O": 0.55, "A": 0.44}, {"Q": 0.5, "A": 0.49}])
def test_a_letter_alone_is_told_by_its_ink(likely):
    lattice = written(likely)
    _, named = english(ALPHABET).read(lattice)
    np.testing.assert_allclose(named / named.max(), (lattice.named / lattice.named.max()) ** LETTER["named"], rtol=1e-5)


def test_other_classes_have_no_english():
    assert english(ALPHABET[::-1]) is None
    assert english((*ALPHABET, "Ä")) is None


WORDS = st.dictionaries(st.text("ABCDE", min_size=1, max_size=5), st.floats(1e-4, 1.0), min_size=1, max_size=9)


@given(WORDS)
def test_a_table_holds_what_follows_what(often):
    table, steps = table_of(often), STEPS * np.log(26.0)
    assert (table[:, NONE] == 0).all()
    total = sum(len(word) * share for word, share in often.items())
    pairs: dict[tuple[str, str, str], float] = {}
    for word, share in often.items():
        for before, last, letter in zip(f" {word}", word, word[1:], strict=False):
            pairs[before, last, letter] = pairs.get((before, last, letter), 0.0) + share / total
    for (before, last, letter), share in pairs.items():
        at = NONE if before == " " else ALPHABET.index(before), ALPHABET.index(last)
        of_two = sum(other for key, other in pairs.items() if key[:2] == (before, last))
        least, most = share / (of_two + FEW[0]), (share + FEW[0]) / (of_two + FEW[0])
        low, high = (STEPS * np.log(part) + steps for part in (least, most))
        assert low - 0.51 <= table[*at, ALPHABET.index(letter)] <= high + 0.51


def test_words_of_other_letters_are_left_out():
    assert (table_of({"ab": 0.5, "über": 0.4, "it's": 0.1, "": 0.1}) == table_of({"AB": 0.5})).all()


def test_the_file_is_what_wordfreq_says():
    table = np.load(ENGLISH)
    assert table.shape == (27, 27, 26)
    assert table.dtype == np.int8
    off = np.abs(table.astype(int) - table_of(_english()))
    assert (off <= 1).mean() > 0.99  # of its other releases some words differ


@pytest.fixture(scope="module")
def note():
    """A word in print whose third and fourth letters are bars."""
    return set_in_print("HEIIO", apart=0.1)


def test_predict_reads_words_by_their_context_unless_told_not_to(note, tmp_path, capsys):
    note.save(tmp_path / "note.png")
    texts = {}
    for option in ("--context", "--no-context"):
        app(["predict", str(tmp_path / "note.png"), option, "--json"], standalone_mode=False)
        (answer,) = json.loads(capsys.readouterr().out)
        texts[option] = answer["text"]
        assert answer["text"] == "".join(letter["top"][0]["letter"] for letter in answer["letters"])
    assert texts["--context"] == "HELLO"
    assert set(texts["--no-context"][2:4]) <= set("IL")


def test_letters_far_apart_are_words_of_their_own():
    reader = Reader.of()
    sheet = set_in_print("I I I I I", apart=1.0)
    with_it, without = (reader.read(sheet, context=context) for context in (True, False))
    assert with_it.text == without.text
    for one, other in zip(with_it.letters, without.letters, strict=True):
        assert one.top[0][0] == other.top[0][0]


@settings(max_examples=60, deadline=None)
@given(st.integers(0, 10**6), st.integers(1, 4), st.floats(0.0, 0.95))
def test_what_neighbours_say_is_what_all_sequences_say_together(seed, count, share):
    classes = 3
    ink = np.random.default_rng(seed).dirichlet(np.full(classes, 0.4), count) + 1e-9
    beside, following = of_neighbours(ink, share)
    named, expected, total = np.zeros_like(ink), 0.0, 0.0
    for way in product(range(classes), repeat=count):
        likely, follow = np.prod(ink[range(count), way]), 0.0
        for a, b in pairwise(way):
            ordered = share * classes * (b == (a + 1) % classes)
            likely, follow = likely * (1 - share + ordered), follow + ordered / (1 - share + ordered)
        named[range(count), way] += likely
        expected, total = expected + likely * follow, total + likely
    told = ink * beside
    np.testing.assert_allclose(told / told.sum(axis=1, keepdims=True), named / total, rtol=1e-6)
    assert following == pytest.approx(expected / total)


def sheet_of(text, doubt):
    """Lines of letters that stand apart, named surely, but for those of doubt: by line and place, what it may be."""
    lines = []
    for row, line in enumerate(text.split()):
        named = np.full((len(line), 26), 1e-4)
        for i, letter in enumerate(line):
            for name, likely in doubt.get((row, i), [(letter, 0.99)]):
                named[i, ALPHABET.index(name)] = likely
        named /= named.sum(axis=1, keepdims=True)
        spans = [Span(i, i + 1, Piece((i,), 9 * i, 0, 9 * i + 5, 9)) for i in range(len(line))]
        images = np.zeros((len(line), 28, 28))
        lines.append(Lattice(spans, np.log(named.max(axis=1)), np.full(len(line), -9.0), images, named))
    return lines


@pytest.mark.parametrize(
    ("text", "place", "read"),
    [
        ("ABCDEFG HIJKLMN", (1, 0), "H"),
        ("ABCDEFG HIJKLMN", (1, 6), "N"),
        ("VWXYZAB CDEF", (0, 5), "A"),
        ("AHBHCHD EHFHGH", (1, 1), "B"),
        ("SONQWTE IPKLVMD", (1, 3), "B"),
    ],
    ids=["across lines", "the last", "after Z", "every other", "at random"],
)
def test_on_a_sheet_of_the_alphabet_a_letter_follows_the_one_before_it(text, place, read):
    letter = text.split()[place[0]][place[1]]
    told = in_alphabetical_order(sheet_of(text, {place: [(letter, 0.1), ("B", 0.89)]}))
    assert ALPHABET[told[place[0]].named[place[1]].argmax()] == read
    np.testing.assert_allclose(np.concatenate([line.named.sum(axis=1) for line in told]), 1.0)


def test_bars_that_may_be_i_or_j_are_no_alphabet():
    (told,) = in_alphabetical_order(sheet_of("I" * 12, {(0, i): [("I", 0.9), ("J", 0.1)] for i in range(12)}))
    assert told.named[:, ALPHABET.index("I")].min() == pytest.approx(0.9, abs=0.01)


def test_a_sheet_is_read_in_its_order_unless_it_is_to_be_read_by_its_ink_alone(monkeypatch):
    reader = Reader.of()
    found = []
    monkeypatch.setattr(layout, "in_alphabetical_order", lambda lines: found.append(len(lines)) or lines)
    sheet = set_in_print("ABC", apart=1.0)
    assert reader.read(sheet, context=False).text.replace(" ", "") == "ABC"
    assert not found
    assert reader.read(sheet).text.replace(" ", "") == "ABC"
    assert found == [1, 3, 1, 3]  # lines: as it is, and turned by one quarter, two and three
