"""Lines come in the order in which one reads them, whatever the page's layout."""

from dataclasses import replace
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image, ImageDraw
from scipy import ndimage
from test_spans import font_of

from lettergpu.reading.ink import Ink
from lettergpu.reading.order import boxes_of, distances, left_over, lines_of, sections_of
from lettergpu.reading.reader import Reader
from lettergpu.reading.sheet import Piece

HEIGHT = 20


def row(number, left, top, count, step=30, height=HEIGHT):
    """Letters side by side, each with its row's number as label."""
    return [Piece((number,), x, top, x + 15, top + height) for x in range(left, left + step * count, step)]


def numbers(lines):
    return [line[0].labels[0] for line in lines]


@settings(max_examples=40, deadline=None)
@given(st.integers(3, 6), st.integers(3, 6), st.integers(50, 200), st.integers(-8, 8), st.randoms(), st.booleans())
def test_columns_are_read_one_after_the_other(left, right, gutter, lower, random, heading):
    pieces = [piece for i in range(left) for piece in row(i + 1, 100, 100 + 40 * i, 6)]
    pieces += [piece for i in range(right) for piece in row(left + i + 1, 265 + gutter, 100 + lower + 40 * i, 6)]
    if heading:
        pieces += row(0, 100, 40, 14)
    random.shuffle(pieces)
    lines = lines_of(pieces, HEIGHT)
    assert numbers(lines) == list(range(0 if heading else 1, left + right + 1))
    assert [len(line) for line in lines[-left - right :]] == [6] * (left + right)
    assert all(line == sorted(line, key=lambda piece: piece.left) for line in lines)


@pytest.mark.parametrize(("above", "parted"), [(3, True), (4, False)])
def test_columns_are_looked_for_below_a_few_lines(above, parted):
    """Below each line of a long page it would take long."""
    pieces = [piece for i in range(above) for piece in row(i, 100, 100 + 40 * i, 14)]
    pieces += [piece for x in (100, 400) for i in range(3) for piece in row(10 + x + i, x, 400 + 40 * i, 6)]
    found = numbers(lines_of(pieces, HEIGHT))
    assert found[:above] == list(range(above))
    assert (found[above:] == [110, 111, 112, 410, 411, 412]) == parted


@settings(max_examples=40, deadline=None)
@given(st.integers(2, 6), st.integers(2, 8), st.integers(50, 300), st.randoms())
def test_a_sheet_of_single_letters_is_read_row_by_row(rows, columns, step, random):
    pieces = [piece for i in range(rows) for piece in row(i, 50, 50 + 60 * i, columns, step)]
    random.shuffle(pieces)
    lines = lines_of(pieces, HEIGHT)
    assert numbers(lines) == list(range(rows))
    assert [len(line) for line in lines] == [columns] * rows


@pytest.mark.parametrize("lower", [-6, 0, 6])
def test_what_stands_far_apart_in_a_row_is_one_line(lower):
    pieces = row(0, 100, 100, 4) + row(0, 600, 100 + lower, 4) + row(1, 100, 160, 4)
    assert numbers(lines_of(pieces, HEIGHT)) == [0, 1]


def test_lines_that_climb_do_not_run_into_the_next():
    climbing = [
        Piece((i,), 30 * j, 200 + 40 * i - 2 * j, 30 * j + 15, 220 + 40 * i - 2 * j) for i in (0, 1) for j in range(30)
    ]
    assert [{piece.labels for piece in line} for line in lines_of(climbing, HEIGHT)] == [{(0,)}, {(1,)}]


@pytest.mark.parametrize("bend", [0, 60, 120, -120])
def test_lines_that_bend_farther_than_they_are_apart_are_lines(bend):
    """As on a page of an open book."""
    lefts = range(0, 900, 22)
    heights = [round(bend * np.sin(left / 900 * np.pi)) for left in lefts]
    bent = [
        Piece((i,), left, 200 + 40 * i - up, left + 18, 220 + 40 * i - up)
        for i in range(4)
        for left, up in zip(lefts, heights, strict=True)
    ]
    assert [{piece.labels for piece in line} for line in lines_of(bent, HEIGHT)] == [{(i,)} for i in range(4)]


def test_a_dot_is_of_the_nearest_line_and_one_far_away_of_none():
    near, far = Piece((9,), 130, 92, 134, 96), Piece((9,), 130, 300, 134, 304)
    lines = lines_of([*row(0, 100, 100, 4), *row(1, 100, 60, 4), near, far], HEIGHT)
    assert numbers(lines) == [1, 0]
    assert near in lines[1]
    assert far not in lines[0] + lines[1]


def test_small_pieces_alone_are_lines():
    assert numbers(lines_of(row(0, 0, 0, 3, height=4), 100.0)) == [0]


def test_boxes_that_overlap_are_at_distance_nought():
    one, other = boxes_of([Piece((), 0, 0, 10, 10)]), boxes_of([Piece((), 5, 5, 9, 9), Piece((), 13, 14, 20, 20)])
    assert distances(one, other).tolist() == [0.0, 5.0]


def test_a_table_of_single_words_is_read_row_by_row():
    rows = [("AUTUMN", "ORANGE"), ("WINTER", "GARDEN"), ("SPRING", "MARKET"), ("SUMMER", "BRIDGE")]
    image = Image.new("L", (900, 520), 255)
    for number, words in enumerate(rows):
        for x, word in zip((60, 520), words, strict=True):
            ImageDraw.Draw(image).text((x, 50 + 110 * number), word, 0, font_of("DejaVuSans", 60))
    assert Reader.of().read(image).text == "\n".join(map(" ".join, rows))


def test_two_columns_of_print_are_read():
    columns = ["HERE ARE SOME\nROWS ON THE\nFAR LEFT", "AND HERE MORE\nOF THEM ON\nTHE OTHER SHORE"]
    image = Image.new("L", (1500, 500), 255)
    for x, column in zip((80, 820), columns, strict=True):
        for number, line in enumerate(column.split("\n")):
            ImageDraw.Draw(image).text((x, 120 + 100 * number), line, 0, font_of("DejaVuSans", 60))
    assert Reader.of().read(image).text.replace(" ", "") == "\n".join(columns).replace(" ", "")


def ink_of(rows):
    """Rows of squares without a middle, one below the other: how many, how high, and, if filled, that."""
    share = np.zeros((60 + sum(high + 20 for _, high, *_ in rows), 1200), np.float32)
    top = 30
    for count, high, *filled in rows:
        for left in range(30, 30 + count * (high + 8), high + 8):
            share[top : top + high, left : left + high] = 1.0
            if not filled:
                share[top + 3 : top + high - 3, left + 3 : left + high - 3] = 0.0
        top += high + 20
    return Ink(share, 3.0, 1.0)


@pytest.mark.parametrize(
    ("rows", "parts"),
    [
        ([(5, 100), (9, 30), (9, 32)], [[(5, 100)], [(9, 30), (9, 32)]]),
        ([(9, 30), (4, 90), (9, 30)], [[(9, 30)], [(4, 90)], [(9, 30)]]),
        ([(5, 50), (9, 30)], None),  # as large and small letters are
        ([(5, 100), (9, 30, "filled")], None),  # dots, or a dashed rule
        ([(5, 100), (1, 30)], None),  # a mark, maybe
        ([(5, 100), (9, 30)] * 4, None),  # no page has so many headings
    ],
)
def test_a_page_is_parted_where_letters_become_twice_as_large_or_small(rows, parts):
    ink = ink_of(rows)
    found = sections_of(replace(ink, scale=0.5))
    if parts is None:
        assert found == []
        return
    assert [found[0][0], found[-1][1]] == [0, len(ink.share) // 2]
    assert all(above[1] == below[0] for above, below in pairwise(found))
    boxes = [ndimage.find_objects(ndimage.label(ink.mask[2 * top : 2 * bottom])[0]) for top, bottom in found]
    heights = [{down.stop - down.start for down, _ in of_part} for of_part in boxes]
    assert heights == [{high for _, high, *_ in part} for part in parts]


@pytest.mark.parametrize("scale", [0.5, 1.0, 2.0])
@pytest.mark.parametrize("dark", [1.0, 0.3, 0.1])
def test_rows_without_a_letter_in_which_ink_is_left_are_found_however_faint(dark, scale):
    ink = ink_of([(9, 30), (2, 90), (9, 30), (2, 30)])
    letters = scale * np.array([(80, 170), (90, 160), (240, 270)])
    found = left_over(replace(ink, share=np.float32(dark) * ink.share, scale=scale), letters)
    assert found == [(0, 80 * scale), (170 * scale, 240 * scale)] * (dark > 0.2)
    assert left_over(replace(ink, scale=scale), scale * np.array([(30, 270)])) == []


def test_a_page_of_many_such_rows_is_a_pattern():
    for count in (6, 7):
        ink = ink_of([(9, 30)] * count)
        letters = np.array([(65 + 50 * number, 75 + 50 * number) for number in range(count - 1)])  # between the rows
        assert len(left_over(ink, letters)) == (6 if count == 6 else 0)
