import struct
import zlib

import numpy as np
import pytest
from scipy.io import savemat

from lettergpu.data import matlab
from lettergpu.errors import LettergpuError

IMAGES = np.random.default_rng(0).integers(0, 256, (30, 784)).astype(np.uint8)
LABELS = (np.arange(30) % 26 + 1).astype(np.uint8)


def part(rows):
    return {"images": IMAGES[rows], "labels": LABELS[rows, None], "writers": np.zeros((len(IMAGES[rows]), 1))}


def written(tmp_path, held, compressed=True):
    savemat(path := tmp_path / "emnist-letters.mat", held, do_compression=compressed)
    return path


@pytest.mark.parametrize("compressed", [True, False])
@pytest.mark.parametrize("tested", [10, 1])
def test_both_parts_are_read(compressed, tested, tmp_path):
    dataset = {"train": part(slice(20)), "test": part(slice(20, 20 + tested)), "mapping": np.eye(3)}
    found = matlab.read(written(tmp_path, {"dataset": dataset}, compressed))
    np.testing.assert_array_equal(found["train"].images, IMAGES[:20].reshape(-1, 28, 28))
    np.testing.assert_array_equal(found["test"].images, IMAGES[20 : 20 + tested].reshape(-1, 28, 28))
    np.testing.assert_array_equal(found["test"].labels, LABELS[20 : 20 + tested])


@pytest.mark.parametrize(
    ("held", "message"),
    [
        ({"data": IMAGES}, "has no dataset.train.images"),
        ({"dataset": IMAGES}, "has no dataset.train.images"),
        ({"dataset": {"train": {"images": IMAGES}}}, "has no dataset.train.images and dataset.train.labels"),
        ({"dataset": {"train": {"images": IMAGES, "labels": LABELS[1:]}}}, "holds 30 images and 29 labels"),
        ({"dataset": {"train": {"images": IMAGES[:, 1:], "labels": LABELS}}}, "holds images of uint8, 30 x 783"),
        ({"dataset": {"train": {"images": "none", "labels": LABELS}}}, "holds images of <U4"),
    ],
)
def test_other_contents_are_refused(held, message, tmp_path):
    with pytest.raises(LettergpuError, match=f"emnist-letters.mat {message}"):
        matlab.read(written(tmp_path, held))


@pytest.mark.parametrize("compressed", [True, False])
@pytest.mark.parametrize("share", [0.0, 0.01, 0.5, 0.99])
def test_a_truncated_file_is_named(share, compressed, tmp_path):
    path = written(tmp_path, {"dataset": {"train": part(slice(20)), "test": part(slice(20, 30))}}, compressed)
    path.write_bytes(path.read_bytes()[: int(path.stat().st_size * share)])
    with pytest.raises(LettergpuError, match=r"emnist-letters.mat (is damaged, or no MATLAB|has no dataset)") as error:
        matlab.read(path)
    assert "\n" not in str(error.value)


def test_a_variable_of_no_kind_is_a_damaged_file(tmp_path):
    content = bytearray((path := written(tmp_path, {"dataset": np.ones((26, 5))}, False)).read_bytes())
    content[144] = 144  # where its class stands, of which MATLAB has 18
    path.write_bytes(content)
    with pytest.raises(LettergpuError, match=r"emnist-letters.mat is damaged, or no MATLAB"):
        matlab.read(path)


def test_version_7_3_is_said_how_to_save(tmp_path):
    (path := tmp_path / "emnist-letters.mat").write_bytes(b"MATLAB 7.3 MAT-file".ljust(512) + b"\x89HDF")
    with pytest.raises(LettergpuError, match=r"it is of version 7.3; save it with -v7"):
        matlab.read(path)


def test_no_more_is_unpacked_than_letters_come_to(tmp_path, monkeypatch):
    monkeypatch.setattr(matlab, "MOST", 1_000_000)
    packed = zlib.compress(bytes(20_000_000))
    path = written(tmp_path, {"other": np.zeros(3)})
    path.write_bytes(path.read_bytes() + struct.pack("<II", matlab.COMPRESSED, len(packed)) + packed)
    with pytest.raises(LettergpuError, match="it would come to more than 2,000,000 bytes"):
        matlab.read(path)
