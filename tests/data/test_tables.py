from pathlib import Path

import numpy as np
import pytest

from lettergpu.data.splits import SPLITS
from lettergpu.data.tables import Table, labels_of, numbered, pixels_of
from lettergpu.errors import LettergpuError

FILE = Path("letters.npz")
BYTES = np.random.default_rng(0).integers(0, 256, (5, 28, 28)).astype(np.uint8)


@pytest.mark.parametrize("shape", [(784,), (28, 28), (28, 28, 1), (1, 28, 28)])
@pytest.mark.parametrize("dtype", ["uint8", "int64", "float32", ">f8"])
def test_images_of_all_kinds_come_to_the_same_bytes(shape, dtype):
    np.testing.assert_array_equal(pixels_of(BYTES.astype(dtype).reshape(5, *shape), FILE), BYTES)


@pytest.mark.parametrize("dtype", ["float16", "float32", "float64"])
def test_shares_of_ink_are_bytes_again(dtype):
    np.testing.assert_array_equal(pixels_of((BYTES / 255).astype(dtype), FILE), BYTES)


@pytest.mark.parametrize("dtype", ["bool", "uint8", "float32"])
def test_black_and_white_is_0_and_255(dtype):
    np.testing.assert_array_equal(pixels_of((BYTES > 127).astype(dtype), FILE), np.where(BYTES > 127, 255, 0))


@pytest.mark.parametrize("wrong", [np.nan, np.inf, -1.0, 256.0])
def test_a_pixel_that_is_none_is_named_by_its_row(wrong):
    images = BYTES.astype(np.float64)
    images[3, 4, 5] = wrong
    with pytest.raises(LettergpuError, match=r"letters.npz, row 4: a pixel is not from 0 to 255, or no number"):
        pixels_of(images, FILE)


@pytest.mark.parametrize(
    ("array", "message"),
    [
        (np.zeros((2, 783)), "images of float64, 2 x 783; give numbers, n x 784 or n x 28 x 28"),
        (np.zeros((2, 32, 32)), "2 x 32 x 32"),
        (np.zeros(()), "images of float64, "),
        (np.full((2, 784), "x"), "images of <U1"),
        (np.zeros((2, 784), complex), "images of complex128"),
        (np.zeros((0, 784)), "holds no images"),
    ],
)
def test_what_is_no_image_is_refused(array, message):
    with pytest.raises(LettergpuError, match=message):
        pixels_of(array, FILE)


@pytest.mark.parametrize(
    ("array", "message"),
    [
        (np.zeros(4), "5 images and 4 labels"),
        (np.zeros((5, 26)), "5 images and 5 x 26 labels"),
        (np.array([0, 1, 2, 3, 4.5]), "labels of float64: give whole numbers or text"),
        (np.array([0, 1, 2, 3, np.nan]), "labels of float64"),
        (np.array([{}] * 5), "labels of object"),
    ],
)
def test_what_are_no_labels_is_refused(array, message):
    with pytest.raises(LettergpuError, match=message):
        labels_of(array, 5, FILE)


def read(split, *parts, names=()):
    tables = [Table(np.zeros((len(labels), 28, 28), np.uint8), np.array(labels), FILE, names=names) for labels in parts]
    return [labels.tolist() for labels in numbered(tables, SPLITS[split], split)]


@pytest.mark.parametrize(
    ("split", "labels", "expected"),
    [
        ("letters", [1, 2, 26], [0, 1, 25]),
        ("letters", [0, 1, 25], [0, 1, 25]),
        ("letters", [2, 3], [1, 2]),  # as the official files have them
        ("letters", ["A", "B", "Z"], [0, 1, 25]),
        ("letters", ["a", " B ", "z"], [0, 1, 25]),
        ("letters", ["1", "2.0", "26"], [0, 1, 25]),
        ("digits", [0, 9], [0, 9]),
        ("digits", ["0", "9"], [0, 9]),
        ("balanced", ["0", "A", "a", "t"], [0, 10, 36, 46]),
        ("balanced", ["0", "10", "46"], [0, 10, 46]),
    ],
)
def test_labels_are_names_or_numbers(split, labels, expected):
    assert read(split, labels) == [expected]


def test_parts_are_numbered_alike():
    """The second part alone would be taken for one that is numbered from 1."""
    assert read("letters", [0, 1, 25], [1, 2]) == [[0, 1, 25], [1, 2]]


def test_what_a_file_calls_its_labels_counts_where_they_are_classes():
    assert read("letters", [0, 2], names=("C", "B", "A")) == [[2, 0]]
    assert read("letters", [0, 2], names=("1", "2", "3")) == [[0, 2]]
    assert read("letters", [0, 2], names=("alpha", "beta", "gamma")) == [[0, 2]]


@pytest.mark.parametrize(
    ("labels", "row", "label"),
    [([0, 25, 26], 3, "26"), ([1, 27, 2], 2, "27"), ([1, -1], 2, "-1"), (["A", "é"], 2, "é"), (["1", "B"], 2, "B")],
)
def test_the_first_label_beyond_the_classes_is_named_by_its_row(labels, row, label):
    expected = (
        f"letters.npz, row {row}: the label {label}; the split letters has 1 to 26, or 0 to 25 where one is 0, or A"
    )
    with pytest.raises(LettergpuError, match=expected):
        read("letters", labels)
