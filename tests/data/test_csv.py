import gzip
import tracemalloc

import numpy as np
import pytest

from lettergpu.data import csv
from lettergpu.errors import LettergpuError

IMAGES = np.random.default_rng(0).integers(0, 256, (30, 784))
LABELS = np.arange(30) % 26
NAMES = ",".join(["label", *(f"pixel{number}" for number in range(784))])
COUNTED = ",".join(["label", *map(str, range(784))])
LINES = [",".join(map(str, (label, *image))) for label, image in zip(LABELS, IMAGES, strict=True)]


def written(tmp_path, lines, name="letters.csv"):
    content = "\n".join(lines).encode()
    (path := tmp_path / name).write_bytes(gzip.compress(content) if name.endswith(".gz") else content)
    return path


@pytest.mark.parametrize("name", ["letters.csv", "letters.csv.gz"])
@pytest.mark.parametrize("above", [[], [NAMES], [COUNTED], ["\ufeff" + NAMES]])
@pytest.mark.parametrize("below", [[], ["", " "]])
def test_what_was_written_is_read(above, below, name, tmp_path):
    (table,) = csv.read(written(tmp_path, [*above, *LINES, *below], name)).values()
    np.testing.assert_array_equal(table.images, IMAGES.reshape(-1, 28, 28))
    assert table.labels.tolist() == [str(label) for label in LABELS]


def test_shares_of_ink_and_letters_are_read(tmp_path):
    pixels = [",".join(f"{pixel / 255:.4f}" for pixel in image) for image in IMAGES]
    lines = [",".join((chr(65 + label), each)) for label, each in zip(LABELS, pixels, strict=True)]
    (table,) = csv.read(written(tmp_path, lines)).values()
    np.testing.assert_array_equal(table.images, IMAGES.reshape(-1, 28, 28))
    assert table.labels[3] == "D"


@pytest.mark.parametrize("above", [[], [NAMES]])
@pytest.mark.parametrize(
    ("line", "message"),
    [
        (",".join(["1"] * 784), "783 pixels follow the label, not 784"),
        (",".join(["1"] * 786), "785 pixels follow the label"),
        ("1", "0 pixels follow the label"),
        (",".join(["1", "256", *["0"] * 783]), r"a pixel is no number from 0 to 255 \(could not convert string '256'"),
        (",".join(["1", "x", *["0"] * 783]), "a pixel is no number from 0 to 255"),
        (",".join(["1", "", *["0"] * 783]), "a pixel is no number from 0 to 255"),
        (",".join(["x" * 101, *["0"] * 784]), "the label x{20}... is longer than 100 characters"),
        ("", "it is empty"),
        ("1" * 30_000, "it is longer than 25,088 characters"),
    ],
)
def test_a_line_that_is_no_image_is_named(above, line, message, tmp_path, monkeypatch):
    monkeypatch.setattr(csv, "BLOCK", 7)
    lines = [*above, *LINES[:20], line, *LINES[20:]]
    with pytest.raises(LettergpuError, match=f"letters.csv, line {21 + len(above)}: {message}") as error:
        csv.read(written(tmp_path, lines))
    assert "\n" not in str(error.value)


def test_a_first_line_with_one_bad_pixel_is_not_taken_for_names(tmp_path):
    lines = [",".join(["1", "x", *["0"] * 783]), *LINES]
    with pytest.raises(LettergpuError, match=r"letters.csv, line 1: a pixel is no number"):
        csv.read(written(tmp_path, lines))


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "holds no images"),
        (NAMES.encode(), "holds no images"),
        (b"\xff\xfe\x00,1", "is no text in UTF-8"),
    ],
)
def test_what_is_no_csv_is_refused(content, message, tmp_path):
    (path := tmp_path / "letters.csv").write_bytes(content)
    with pytest.raises(LettergpuError, match=f"letters.csv {message}"):
        csv.read(path)


def test_a_truncated_gzip_is_named(tmp_path):
    path = written(tmp_path, LINES, "letters.csv.gz")
    path.write_bytes(path.read_bytes()[:-20])
    with pytest.raises(LettergpuError, match=r"letters.csv.gz is truncated or damaged"):
        csv.read(path)


def test_no_more_is_read_than_letters_come_to(tmp_path, monkeypatch):
    monkeypatch.setattr(csv, "MOST", 20 * 784)
    monkeypatch.setattr(csv, "BLOCK", 10)
    with pytest.raises(LettergpuError, match="more than 15,680 bytes of images"):
        csv.read(written(tmp_path, LINES))


def test_a_line_without_an_end_does_not_fill_the_memory(tmp_path):
    path = written(tmp_path, ["0" * 50_000_000], "letters.csv.gz")
    tracemalloc.start()
    try:
        with pytest.raises(LettergpuError, match="line 1: it is longer than"):
            csv.read(path)
        assert tracemalloc.get_traced_memory()[1] < 2_000_000
    finally:
        tracemalloc.stop()
