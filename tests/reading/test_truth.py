import json
import string

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lettergpu.errors import LettergpuError
from lettergpu.reading.truth import Count, Truth, count, read_truth

texts = st.text(string.ascii_letters[:4] + " .\n1", max_size=8)


@pytest.mark.parametrize(
    ("truth", "answer", "expected"),
    [
        ("HELLO", "HELLO", Count(1, 5, 5, 0, 1, 1)),
        ("Hello, 12 world!", "HELLO\nWORLO", Count(1, 10, 9, 1, 3, 0)),
        ("THE CAT", "THECAT", Count(1, 6, 6, 0, 2, 0)),
        ("THE CAT SAT", "CAT THE SAT", Count(1, 9, 6, 3, 3, 2)),
        ("AB", "", Count(1, 2, 0, 0, 1, 0)),
        ("", "AB", Count(1, 0, 0, 2, 0, 0)),
        ("ABC", "CABX", Count(1, 3, 2, 2, 1, 0)),
    ],
)
def test_what_is_counted(truth, answer, expected):
    assert count(truth, answer) == expected


def distance(a, b):
    """Levenshtein's, as its definition has it."""
    if not a or not b:
        return len(a) + len(b)
    return min(distance(a[1:], b) + 1, distance(a, b[1:]) + 1, distance(a[1:], b[1:]) + (a[0] != b[0]))


@given(texts, texts)
def test_letters_are_right_in_an_alignment_of_least_distance(truth, answer):
    a, b = ("".join(c for c in text.upper() if c.isalpha()) for text in (truth, answer))
    counted = count(truth, answer)
    assert counted.letters == len(a)
    assert counted.right + counted.extra == len(b)
    # whatever is not right is a difference, and no difference stands for more than a letter of each
    assert max(len(a), len(b)) - counted.right <= distance(a, b) <= len(a) + len(b) - 2 * counted.right
    assert count(truth, truth).right == len(a)
    assert counted.whole <= min(counted.words, len(answer.split()))


def test_truths_are_read(tmp_path):
    path = tmp_path / "truth.json"
    path.write_text(json.dumps({"a.png": "HELLO", "b.png": {"truth": "HI", "kind": "photo", "mode": "text"}}))
    assert read_truth(path) == {"a.png": Truth("HELLO"), "b.png": Truth("HI", "photo")}
    wrong = ["", "[]", '{"a.png": 3}', '{"a.png": {}}', '{"a.png": {"truth": "A", "kind": 1}}', '{"a']
    wrong += ["[" * 100_000, json.dumps({"a.png": "A" * 10_001}), '{"a.png": "A"}' + " " * 10_000_000]
    for content in wrong:
        path.write_text(content)
        with pytest.raises(LettergpuError, match="is no truth: it must be JSON like"):
            read_truth(path)
    with pytest.raises(LettergpuError, match="No such file"):
        read_truth(tmp_path / "nowhere.json")
