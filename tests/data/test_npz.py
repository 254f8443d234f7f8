import io
import zipfile

import numpy as np
import pytest

from lettergpu.data import idx, npz
from lettergpu.data.idx import Mapped
from lettergpu.errors import LettergpuError

IMAGES = np.random.default_rng(0).integers(0, 256, (30, 28, 28)).astype(np.uint8)
LABELS = np.arange(30) % 26


def written(tmp_path, **arrays):
    np.savez_compressed(path := tmp_path / "letters.npz", **arrays)
    return path


@pytest.mark.parametrize("names", npz.NAMES[""])
def test_an_archive_of_one_part_is_read(names, tmp_path):
    (table,) = (found := npz.read(written(tmp_path, **dict(zip(names, (IMAGES, LABELS), strict=True))))).values()
    assert [*found] == [""]
    np.testing.assert_array_equal(table.images, IMAGES)
    np.testing.assert_array_equal(table.labels, LABELS)


@pytest.mark.parametrize("number", range(3))
def test_an_archive_of_two_parts_is_read(number, tmp_path):
    (train, of_train), (test, of_test) = npz.NAMES["train"][number], npz.NAMES["test"][number]
    arrays = {train: IMAGES[:20], of_train: LABELS[:20, None], test: IMAGES[20:].reshape(10, 784), of_test: LABELS[20:]}
    found = npz.read(written(tmp_path, **arrays))
    assert [*found] == ["train", "test"]
    np.testing.assert_array_equal(found["train"].labels, LABELS[:20])
    np.testing.assert_array_equal(found["test"].images, IMAGES[20:])


@pytest.mark.parametrize(
    ("arrays", "message"),
    [
        ({}, "holds nothing; name its arrays images and labels or x_train and y_train"),
        ({"pictures": IMAGES, "labels": LABELS}, "holds pictures, labels; name its arrays images and labels"),
        ({"images": IMAGES, "labels": LABELS[1:]}, "holds 30 images and 29 labels"),
        ({"images": IMAGES[:, 1:], "labels": LABELS}, "holds images of uint8, 30 x 27 x 28"),
        ({"images": IMAGES, "labels": np.array([object()] * 30)}, "is damaged, or no .npz of plain arrays"),
        ({"images": np.array([object()] * 30), "labels": LABELS}, "Object arrays cannot be loaded"),
    ],
)
def test_other_arrays_are_refused(arrays, message, tmp_path):
    with pytest.raises(LettergpuError, match=rf"letters.npz {message}|letters.npz .*{message}") as error:
        npz.read(written(tmp_path, **arrays))
    assert "\n" not in str(error.value)


@pytest.mark.parametrize("share", [0.0, 0.1, 0.5, 0.99])
def test_a_truncated_archive_is_named(share, tmp_path):
    path = written(tmp_path, images=IMAGES, labels=LABELS)
    path.write_bytes(path.read_bytes()[: int(path.stat().st_size * share)])
    with pytest.raises(LettergpuError, match=r"letters.npz is damaged, or no .npz"):
        npz.read(path)


def test_no_more_is_unpacked_than_letters_come_to(tmp_path, monkeypatch):
    monkeypatch.setattr(npz, "MOST", 1_000_000)
    path = written(tmp_path, images=np.zeros((4000, 784), np.uint8), labels=np.zeros(4000))
    with pytest.raises(LettergpuError, match=r"would come to 3,168,\d+ bytes"):
        npz.read(path)


def test_a_header_that_promises_more_than_there_is_is_refused(tmp_path):
    header = io.BytesIO()
    np.lib.format.write_array_header_1_0(header, {"descr": "|u1", "fortran_order": False, "shape": (10**9, 10**6)})
    with zipfile.ZipFile(path := tmp_path / "letters.npz", "w") as archive:
        archive.writestr("images.npy", header.getvalue())
        archive.writestr("labels.npy", header.getvalue())
    with pytest.raises(LettergpuError, match=r"letters.npz is damaged"):
        npz.read(path)


@pytest.mark.parametrize("header", ["{'descr': ((", "  1\n 2", "{'descr': 'O', 'shape': (9", "\x00", "9" * 9000])
def test_a_header_that_is_none_is_refused(header, tmp_path):
    with zipfile.ZipFile(path := tmp_path / "letters.npz", "w") as archive:
        for name in ("images.npy", "labels.npy"):
            archive.writestr(name, b"\x93NUMPY\x01\x00" + len(header).to_bytes(2, "little") + header.encode())
    with pytest.raises(LettergpuError, match=r"letters.npz is damaged, or no .npz") as error:
        npz.read(path)
    assert str(error.value).isprintable()


@pytest.fixture
def _few_are_many(monkeypatch):
    monkeypatch.setattr(idx, "LARGE", 1000)


@pytest.mark.usefixtures("_few_are_many")
@pytest.mark.parametrize("shape", [(28, 28), (784,), (28, 28, 1), (1, 28, 28)], ids=str)
def test_many_images_stay_in_the_archive(shape, tmp_path):
    np.savez(path := tmp_path / "letters.npz", y=LABELS, x=IMAGES.reshape(30, *shape))
    table = npz.read(path)[""]
    assert isinstance(table.images, Mapped)
    assert table.images.shape == (30, 28, 28)
    np.testing.assert_array_equal(table.images[np.array([29, 3, 3])], IMAGES[[29, 3, 3]])
    np.testing.assert_array_equal(np.asarray(table.images), IMAGES)
    np.testing.assert_array_equal(table.labels, LABELS)


@pytest.mark.usefixtures("_few_are_many")
def test_images_that_stay_do_not_count_as_unpacked(tmp_path, monkeypatch):
    np.savez(path := tmp_path / "letters.npz", x=np.tile(IMAGES, (60, 1, 1)), y=np.tile(LABELS, 60))
    monkeypatch.setattr(npz, "MOST", 100_000)
    assert len(npz.read(path)[""].images) == 1800
    monkeypatch.setattr(idx, "MOST", 1799)
    with pytest.raises(LettergpuError, match=r"would come to 1,4\d\d,\d+ bytes"):
        npz.read(path)


@pytest.mark.usefixtures("_few_are_many")
@pytest.mark.parametrize(
    "images",
    [IMAGES / np.float32(255), IMAGES.astype(np.int32), np.asfortranarray(IMAGES), IMAGES // 128],
    ids=["shares", "int32", "by columns", "black and white"],
)
def test_images_that_are_not_taken_as_they_lie_are_read(images, tmp_path):
    np.savez(path := tmp_path / "letters.npz", x=images, y=LABELS)
    expected = 255 * images if images.max() == 1 and images.dtype == np.uint8 else IMAGES
    found = npz.read(path)[""].images
    assert isinstance(found, np.ndarray)
    np.testing.assert_array_equal(found, expected)


@pytest.mark.usefixtures("_few_are_many")
def test_packed_images_are_read(tmp_path):
    assert isinstance(npz.read(written(tmp_path, x=IMAGES, y=LABELS))[""].images, np.ndarray)


@pytest.mark.usefixtures("_few_are_many")
@pytest.mark.parametrize("count", [31, 10**8, 10**30])
def test_a_header_that_promises_more_than_is_mapped_is_refused(count, tmp_path):
    header, labels = io.BytesIO(), io.BytesIO()
    np.lib.format.write_array_header_1_0(header, {"descr": "|u1", "fortran_order": False, "shape": (count, 784)})
    np.save(labels, LABELS)
    with zipfile.ZipFile(path := tmp_path / "letters.npz", "w") as archive:
        archive.writestr("images.npy", header.getvalue() + IMAGES.tobytes())
        archive.writestr("labels.npy", labels.getvalue())
    with pytest.raises(LettergpuError, match=r"letters.npz is damaged, or no .npz of plain arrays \(") as error:
        npz.read(path)
    assert "\n" not in str(error.value)


@pytest.mark.usefixtures("_few_are_many")
def test_a_pixel_that_is_not_what_was_written_is_noticed(tmp_path):
    np.savez(path := tmp_path / "letters.npz", x=IMAGES, y=LABELS)
    content = bytearray(path.read_bytes())
    content[content.index(IMAGES[20].tobytes())] ^= 1
    path.write_bytes(content)
    with pytest.raises(LettergpuError, match=r"letters.npz is damaged.*CRC"):
        npz.read(path)
