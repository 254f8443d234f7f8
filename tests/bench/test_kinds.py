"""Pictures as people take them: what each kind is of, and that its truth is true."""

from functools import cache
from itertools import pairwise

import glyphs
import kinds
import numpy as np
import pytest
from scipy import ndimage
from scores import letters_of

pytestmark = pytest.mark.usefixtures("emnist")
SINGLE = [kind for kind in kinds.KINDS if kinds.KINDS[kind].single]


def grey(picture):
    return np.asarray(picture.image.convert("L"), float) / 255


def strengths(picture):
    """How far the ink of each letter differs from what is around it, of the full range."""
    seen = ndimage.gaussian_filter(grey(picture), 1)
    found = []
    for left, top, right, bottom in picture.boxes:
        around = seen[max(0, top - 3) : bottom + 3, max(0, left - 3) : right + 3]
        found.append(np.subtract(*np.percentile(around, (98, 2))))
    return found


@cache
def some(kind):
    return [kinds.words(kind, index) for index in range(12)]


@pytest.mark.parametrize("kind", kinds.KINDS)
def test_a_picture_follows_from_seed_kind_and_index_alone(kind):
    first = kinds.words(kind, 3, 1)
    kinds.words(kind, 4, 1)
    assert kinds.words(kind, 3, 1) == first
    others = {kinds.words(*which).file for which in ((kind, 4, 1), (kind, 3, 2))}
    assert len(others | {first.file}) == 3


@pytest.mark.parametrize("kind", kinds.KINDS)
def test_the_truth_names_every_letter_and_its_place(kind):
    for picture in some(kind):
        fewest, most = kinds.KINDS[kind].lines
        assert fewest <= len(picture.text.split("\n")) <= most
        letters = letters_of(picture.text)
        assert len(picture.boxes) == len(picture.rows) == len(letters) >= 3
        width, height = picture.image.size
        for left, top, right, bottom in picture.boxes:
            assert 0 <= left < right <= width
            assert 0 <= top < bottom <= height
        first = letters_of(picture.text.split("\n")[0])
        centres = [left + right for left, _, right, _ in picture.boxes[: len(first)]]
        assert centres == sorted(centres)
        labels = glyphs.test_letters().labels
        for letter, row in zip(letters, picture.rows, strict=True):
            assert row == -1 or kinds.ascii_uppercase[labels[row]] == letter


@pytest.mark.parametrize("kind", kinds.KINDS)
def test_every_letter_can_be_seen(kind):
    for picture in some(kind):
        assert min(strengths(picture)) > 0.07


def test_a_line_of_print_is_set_smaller_where_it_would_run_off_the_page():
    text = " ".join(["MMMMMMMMM"] * 8)
    for seed in range(6):
        picture = kinds.page(text, np.random.default_rng(seed))
        assert max(right for _, _, right, _ in picture.boxes) < 0.95 * picture.image.width


@pytest.mark.parametrize("kind", SINGLE)
def test_single_letters_go_through_the_alphabet(kind):
    found = [kinds.letter(kind, index) for index in (0, 8, 25, 26)]
    assert [picture.text for picture in found] == ["A", "I", "Z", "A"]
    assert all(len(picture.boxes) == 1 for picture in found)
    assert found[0].file != found[3].file


def test_a_note_lies_on_something_that_the_picture_shows():
    for picture in some("note"):
        seen = np.asarray(picture.image, float) / 255
        left, top = np.min(picture.boxes, axis=0)[:2]
        right, bottom = np.max(picture.boxes, axis=0)[2:]
        paper = np.median(seen[top:bottom, left:right].reshape(-1, 3), axis=0)
        border = np.concatenate([seen[0], seen[-1], seen[:, 0], seen[:, -1]])
        assert (np.abs(border - paper).max(axis=1) > 0.1).mean() > 0.3


def test_a_note_far_off_is_a_small_part_of_the_picture():
    shares = {}
    for kind in ("note", "far"):
        pictures = [kinds.letter(kind, index) for index in range(12)]
        corners = [(*np.min(picture.boxes, axis=0)[:2], *np.max(picture.boxes, axis=0)[2:]) for picture in pictures]
        letters = [(right - left) * (bottom - top) for left, top, right, bottom in corners]
        sizes = [np.prod(picture.image.size) for picture in pictures]
        shares[kind] = np.median(np.divide(letters, sizes))
    assert shares["far"] < 0.01
    assert shares["far"] < shares["note"] / 3


@pytest.mark.parametrize("make", [kinds.words, kinds.letter])
def test_a_crop_ends_where_its_ink_does(make):
    sides = []
    for index in range(20):
        picture = make("crop", index)
        width, height = picture.image.size
        left, top = np.min(picture.boxes, axis=0)[:2]
        right, bottom = np.max(picture.boxes, axis=0)[2:]
        blank = np.array([left, top, width - right, height - bottom])
        assert blank.min() == 0
        assert blank.max() <= 15
        sides += [blank == 0]
    assert 0.5 < np.mean(sides) < 0.95


def test_a_crop_touches_on_one_side_at_least():
    photo, box = np.zeros((100, 120, 3), np.float32), (30, 25, 80, 70)
    for seed in range(2000):
        cut, (found,) = kinds._cut(photo, [box], 40.0, np.random.default_rng(seed))
        assert min(found[0], found[1], cut.shape[1] - found[2], cut.shape[0] - found[3]) == 0
        assert found[2] - found[0] >= 48
        assert found[3] - found[1] >= 43


def test_a_crop_of_a_bar_has_paper_beside_it():
    bars = [kinds.letter("crop", 8 + 26 * index) for index in range(20)]
    for picture in bars:
        left, _, right, _ = picture.boxes[0]
        if right - left < 0.35 * picture.image.height:
            assert left > 0
            assert right < picture.image.width
            assert np.ptp(grey(picture)) > 0.3


def test_pencil_is_paler_than_the_print_above_it():
    two = [picture for picture in some("pencil") if "\n" in picture.text]
    assert 2 < len(two) < 10
    for picture in two:
        heading = picture.text.index("\n")
        strong = strengths(picture)
        assert np.median(strong[heading:]) < 0.7 * np.median(strong[:heading])
        assert picture.rows[:heading] == (-1,) * heading
        assert min(picture.rows[heading:]) >= 0


def test_pencil_is_grainy():
    def grain(picture):
        """How much pixels of the ink differ from their neighbours, of what ink differs from the paper."""
        seen = grey(picture)
        fine, coarse = seen - ndimage.gaussian_filter(seen, 3), ndimage.gaussian_filter(seen, 2)
        left, top, right, bottom = picture.boxes[-1]
        fine, coarse = fine[top:bottom, left:right], coarse[top:bottom, left:right]
        return fine[coarse < np.percentile(coarse, 15)].std() / strengths(picture)[-1]

    assert np.median([grain(picture) for picture in some("pencil")]) > 0.15  # 0.1 without


def test_pale_letters_stand_on_clean_white_or_black_and_differ_little_from_it():
    grounds, colours = set(), []
    for index in range(30):
        picture = kinds.words("pale", index)
        seen = np.asarray(picture.image.convert("RGB"), int)
        middle = seen[min(top for _, top, _, _ in picture.boxes) - 2]
        ground = int(np.median(middle))
        assert ground <= 1 or ground >= 254
        grounds.add(ground > 128)
        inks = []
        for left, top, right, bottom in picture.boxes:
            box = seen[top:bottom, left:right].reshape(-1, 3)
            inks.append(box[np.abs(box - ground).sum(axis=1).argmax()])
        assert min(np.abs(ink.mean() - ground) for ink in inks) < 150
        colours.append(max(np.abs(one - other).max() for one, other in pairwise([*inks, inks[0]])))
    assert grounds == {True, False}
    assert 8 < sum(colour > 60 for colour in colours) < 25  # each letter has its own ink


def test_the_boxes_of_pale_letters_end_where_their_ink_does():
    for picture in some("pale"):
        seen = np.asarray(picture.image.convert("RGB"), int)
        left, top = np.min(picture.boxes, axis=0)[:2]
        ground = seen[top - 2, left - 2]
        for left, top, right, bottom in picture.boxes:
            apart = np.abs(seen[top:bottom, left:right] - ground).max(axis=2)
            (down, across), *_ = ndimage.find_objects((apart > 0.5 * apart.max()).astype(int))
            assert max(down.start, across.start, bottom - top - down.stop, right - left - across.stop) <= 2


def test_a_small_camera_gives_few_pixels_and_spoils_them():
    sizes = set()
    for picture in some("camera"):
        sizes.add(picture.image.size)
        assert picture.image.format == "JPEG"
        assert picture.image.quantization[0][0] >= 20  # of quality 40 at most
        assert max(bottom - top for _, top, _, bottom in picture.boxes) < 60
        edges = [grey(picture)[:, :3].mean(), grey(picture)[:, -3:].mean(), grey(picture)[:3].mean()]
        assert min(edges) < 0.8 * np.median(grey(picture)[20:-20, 20:-20])  # the table
    assert sizes == {(160, 120), (240, 180), (320, 240)}


def test_marks_and_digits_stand_among_the_letters_without_a_box():
    seen = ""
    for picture in some("marks"):
        marks = [character for character in "".join(picture.text.split()) if character not in kinds.ascii_uppercase]
        assert set(marks) <= set(kinds.MARKS)
        assert picture.text[-1] in kinds.MARKS
        seen += "".join(marks)
        right = max(right for _, _, right, _ in picture.boxes)
        text = picture.text.split("\n")[-1]
        if "\n" not in picture.text and text[-1] in "23456789&+=":
            beyond = grey(picture)[:, right + 2 :]
            assert np.ptp(beyond) > 0.15  # the last one is drawn there
    assert len(set(seen)) > 8
    assert not set("01") & set(kinds.MARKS)
    assert not kinds.KINDS["marks"].single


def test_one_line_is_marked_in_colour():
    for picture in some("lit"):
        pixels, of_line, first = np.asarray(picture.image.convert("RGB"), float), [], 0
        for line in picture.text.split("\n"):
            boxes = picture.boxes[first : first + len(line)]
            around = [pixels[top:bottom, left:right].reshape(-1, 3) for left, top, right, bottom in boxes]
            of_line.append(np.median(np.ptp(np.concatenate(around), axis=1)))
            first += len(line)
        *_, second, highest = sorted(of_line)
        assert highest > second + 25


def test_below_a_title_letters_are_two_to_five_times_as_small():
    times = []
    for picture in some("title"):
        heights = np.array([bottom - top for _, top, _, bottom in picture.boxes])
        first = len(letters_of(picture.text.split("\n")[0]))
        times.append(np.median(heights[:first]) / np.median(heights[first:]))
    assert 1.7 < min(times) < 3.0
    assert 4.0 < max(times) < 5.8
