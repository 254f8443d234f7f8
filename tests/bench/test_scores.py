"""How right answers are."""

from dataclasses import astuple

import pytest
import scores
from pictures import Picture

from lettergpu.reading.truth import count


@pytest.mark.parametrize(
    ("true", "read", "edits", "matches"),
    [
        ("SNOW", "SNOW", 0, 4),
        ("SNOW", "SMW", 2, 2),
        ("LINE", "UNE", 2, 2),
        ("ABC", "BCA", 2, 2),
        ("K", "LC", 2, 0),
        ("AB", "BA", 2, 1),  # two substitutions are as few edits, but match nothing
        ("", "A", 1, 0),
        ("A", "", 1, 0),
    ],
)
def test_letters_are_aligned_with_the_fewest_edits_and_then_the_most_matches(true, read, edits, matches):
    pairs = scores.align(true, read)
    assert ("".join(a for a, _ in pairs), "".join(b for _, b in pairs)) == (true, read)
    assert (sum(a != b for a, b in pairs), sum(a == b for a, b in pairs)) == (edits, matches)


def test_boxes_overlap_by_intersection_over_union():
    assert scores.overlap((0, 0, 2, 2), (0, 0, 2, 2)) == 1
    assert scores.overlap((0, 0, 2, 2), (1, 0, 3, 2)) == pytest.approx(1 / 3)
    assert scores.overlap((0, 0, 2, 2), (2, 2, 3, 3)) == 0


def scored(*answers):
    score = scores.Score()
    for text, answer in answers:
        score.add(Picture(b"", text, (), ()), (answer, []), 0.0)
    return score


def test_letters_that_are_not_there_are_extra_and_also_those_answered_for_others():
    score = scored(("SNOW", "SNOWI"), ("SNOW", "SNXW"), ("SNOW", "SOW"), ("SNOW", "ISNOWL"))
    row = score.row(False)
    assert (score.letters, score.matched, score.extra) == (16, 14, 4)
    assert (row["of"], row["letters"], row["extra"]) == (16, 14 / 16, 4 / 16)
    assert (row["words"], row["as_many"], row["more"]) == (0, 1 / 4, 2 / 4)
    assert row["errors"] == {"nothing as I": 2, "nothing as L": 1, "O as X": 1, "N as nothing": 1}
    for text, answer in (("SNOW", "SNOWI"), ("SNOW", "LSXW"), ("HI\nYOU", "HJOU")):
        told = count(text, answer)  # as lettergpu predict --truth counts
        assert (told.letters, told.right, told.extra) == astuple(scored((text, answer)))[1:4]


def test_spaces_lines_marks_and_digits_are_no_letters_that_a_reader_has_to_find():
    score = scored(("IT'S 7,\nOK?", "ITSOK"), ("IT'S 7,\nOK?", "ITS7OK".replace("7", "T")))
    assert (score.letters, score.matched, score.extra, score.right) == (10, 10, 1, 1)


def test_a_single_letter_is_right_where_it_is_answered_alone():
    score = scored(("K", "K"), ("K", "KI"), ("K", ""))
    assert (score.matched, score.extra, score.letters) == (1, 1, 3)


def test_the_table_has_a_line_for_each_reader_of_a_set_and_none_where_a_set_has_no_such_kind():
    row = scored(("SNOW", "SNOWI"), ("SNOW", "SNOW")).row(False)
    lines = scores.table({"marks": {"words": {"lettergpu": row, "tesseract": row}}})
    assert " ".join(lines[0].split()) == "words letters extra words as many boxes overlap ms pictures"
    assert " ".join(lines[1].split()) == "marks lettergpu 100.00 % 12.50 % 50.00 % 50.00 % 0 2"
    assert lines[2].split()[0] == "tesseract"
    assert lines[3].split() == ["letters", "right", "extra", "boxes", "overlap", "ms", "pictures"]
    assert len(lines) == 4
