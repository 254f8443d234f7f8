import gzip
import os
import pickle
import tracemalloc
from types import SimpleNamespace

import numpy as np
import pytest
from conftest import write_idx
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from lettergpu.data import idx
from lettergpu.data.idx import Mapped, read_idx
from lettergpu.errors import LettergpuError


@pytest.mark.parametrize("ending", ["", ".gz"])
@settings(max_examples=20, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(array=hnp.arrays(np.uint8, hnp.array_shapes(min_dims=3, max_dims=3, max_side=5)))
def test_what_was_written_is_read(tmp_path, ending, array):
    write_idx(path := tmp_path / f"images{ending}", array)
    np.testing.assert_array_equal(read_idx(path, 3), array)


@pytest.mark.parametrize("ending", ["", ".gz"])
@settings(max_examples=40, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_a_truncated_file_is_named(tmp_path, ending, data):
    write_idx(path := tmp_path / f"images{ending}", np.arange(24).reshape(2, 3, 4))
    content = path.read_bytes()
    path.write_bytes(content[: data.draw(st.integers(0, len(content) - 1))])
    with pytest.raises(LettergpuError, match=f"{path.name} (is truncated|begins with)") as error:
        read_idx(path, 3)
    assert "\n" not in str(error.value)


def test_bytes_too_many_are_an_error(tmp_path):
    write_idx(path := tmp_path / "images", np.zeros((2, 3, 4)))
    path.write_bytes(path.read_bytes() + b"\0")
    with pytest.raises(LettergpuError, match="promises 2 x 3 x 4 bytes, more are there"):
        read_idx(path, 3)


def test_no_more_is_unpacked_than_the_header_promises(tmp_path):
    write_idx(plain := tmp_path / "images", np.zeros((3, 4, 5)))
    (path := tmp_path / "images.gz").write_bytes(gzip.compress(plain.read_bytes() + bytes(50_000_000), 1))
    tracemalloc.start()
    try:
        with pytest.raises(LettergpuError, match="promises 3 x 4 x 5 bytes, more are there"):
            read_idx(path, 3)
        assert tracemalloc.get_traced_memory()[1] < 1_000_000
    finally:
        tracemalloc.stop()


@pytest.mark.parametrize("sizes", [(2**32 - 1,) * 3, (10**8 + 1, 28, 28), (0, 2**32 - 1, 2**32 - 1)])
def test_a_promise_beyond_all_letters_is_refused(sizes, tmp_path):
    (path := tmp_path / "images").write_bytes(bytes((0, 0, 8, 3)) + np.asarray(sizes, ">u4").tobytes())
    with pytest.raises(LettergpuError, match=f"promises {sizes[0]} x .* bytes: no file of letters has more than"):
        read_idx(path, 3)


def test_labels_are_not_images(tmp_path):
    write_idx(path := tmp_path / "labels.gz", np.zeros(4))
    with pytest.raises(
        LettergpuError, match="begins with 00000801, not with 00000803: it is not an IDX file of images"
    ):
        read_idx(path, 3)


def test_a_missing_file_is_named(tmp_path):
    with pytest.raises(LettergpuError, match="nowhere is missing"):
        read_idx(tmp_path / "nowhere", 1)


def test_damaged_gzip_is_named(tmp_path):
    content = bytearray(gzip.compress(bytes(range(256)) * 40))
    content[len(content) // 2] ^= 0xFF
    (path := tmp_path / "images.gz").write_bytes(content)
    with pytest.raises(LettergpuError, match="truncated or damaged"):
        read_idx(path, 3)


# Large files, whose images stay in them


@pytest.fixture
def images(monkeypatch):
    """100 images, which count as many."""
    monkeypatch.setattr(idx, "LARGE", 40_000)
    monkeypatch.setattr(idx, "FEW", 40_000)
    return np.random.default_rng(90).integers(0, 256, (100, 28, 28)).astype(np.uint8)


@pytest.fixture
def unpacked(cache, tmp_path, monkeypatch):
    """The folder of the cache that gzipped files are unpacked to, empty."""
    monkeypatch.setenv("LETTERGPU_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache" / "unpacked"


@pytest.mark.parametrize("ending", ["", ".gz"])
def test_the_images_of_a_large_file_are_read_as_they_are_asked_for(ending, images, tmp_path, unpacked):
    write_idx(path := tmp_path / f"images{ending}", images)
    mapped, rows = read_idx(path, 3), np.array([99, 3, 3, 40])
    assert isinstance(mapped, Mapped)
    assert (mapped.shape, mapped.nbytes, mapped.ndim, len(mapped)) == (images.shape, images.nbytes, 3, 100)
    assert mapped.swapaxes(1, 2).swapaxes(1, 2).shape == images.shape
    upright, flat = 255 - mapped.swapaxes(1, 2), (255 - mapped.swapaxes(1, 2)).reshape(100, 784)
    expected = 255 - images.swapaxes(1, 2)
    for index in (rows, slice(20, 60), slice(70, None), slice(None, None, 7), 5, np.arange(100) % 3 == 1):
        np.testing.assert_array_equal(mapped[index], images[index])
        np.testing.assert_array_equal(upright[index], expected[index])
        np.testing.assert_array_equal(flat[index], expected.reshape(100, 784)[index])
    np.testing.assert_array_equal(flat[20:40, ...], expected[20:40].reshape(20, 784))
    many, few = upright.chosen(np.arange(99, 19, -1)), upright.chosen(rows)
    assert isinstance(many, Mapped)
    assert isinstance(few, np.ndarray)
    np.testing.assert_array_equal(many[5:9], expected[94:90:-1])
    np.testing.assert_array_equal(few, expected[rows])
    np.testing.assert_array_equal(np.asarray(many.chosen(rows[1:])), expected[99 - rows[1:]])


@pytest.mark.usefixtures("unpacked")
def test_what_stays_in_a_file_is_mapped_again_where_it_is_sent(images, tmp_path):
    write_idx(path := tmp_path / "images", images)
    mapped = read_idx(path, 3)
    for changed in (mapped, 255 - mapped, mapped.swapaxes(1, 2)):
        chosen = changed.reshape(100, 784).chosen(np.arange(99, 19, -1))
        sent = pickle.dumps(chosen)
        assert len(sent) < images.nbytes / 10
        np.testing.assert_array_equal(np.asarray(pickle.loads(sent)), np.asarray(chosen))
    for content, said in ((b"other", "has 5 bytes for one process, and 78,416 for another"), (b"", "cannot be mapped")):
        path.unlink()  # what is mapped stays as it is
        path.write_bytes(content)
        with pytest.raises(LettergpuError, match=said):
            pickle.loads(sent)


def test_a_large_gzipped_file_is_unpacked_once_and_anew_when_it_changes(images, tmp_path, unpacked):
    write_idx(path := tmp_path / "images.gz", images)
    first = read_idx(path, 3)
    (kept,) = unpacked.iterdir()
    assert kept.stat().st_mode & 0o777 == 0o600
    assert unpacked.stat().st_mode & 0o777 == 0o700
    made = kept.stat().st_ino
    read_idx(path, 3)
    assert kept.stat().st_ino == made
    write_idx(path, images[::-1][:80])
    np.testing.assert_array_equal(np.asarray(read_idx(path, 3)), images[::-1][:80])
    (other,) = unpacked.iterdir()
    assert other != kept
    np.testing.assert_array_equal(first[:], images)  # who has the old one open goes on


@pytest.mark.parametrize("how", ["cut short", "open to all", "a link"])
def test_what_was_unpacked_and_is_no_longer_sure_is_unpacked_anew(how, images, tmp_path, unpacked):
    write_idx(path := tmp_path / "images.gz", images)
    read_idx(path, 3)
    (kept,) = unpacked.iterdir()
    if how == "cut short":
        os.truncate(kept, 1000)
    elif how == "open to all":
        kept.write_bytes(bytes(kept.stat().st_size))
        kept.chmod(0o666)
    else:
        (theirs := tmp_path / "theirs").write_bytes(bytes(kept.stat().st_size))
        kept.unlink()
        kept.symlink_to(theirs)
    np.testing.assert_array_equal(read_idx(path, 3)[:], images)


@pytest.mark.parametrize("how", ["longer", "shorter", "damaged"])
def test_of_a_gzipped_file_that_is_not_what_its_header_promises_nothing_is_kept(how, images, tmp_path, unpacked):
    write_idx(plain := tmp_path / "images", images)
    content = plain.read_bytes()
    content = {"longer": content + bytes(50_000_000), "shorter": content[:-9], "damaged": content}[how]
    packed = gzip.compress(content, 1)
    (path := tmp_path / "images.gz").write_bytes(packed[:-2000] if how == "damaged" else packed)
    tracemalloc.start()
    try:
        with pytest.raises(LettergpuError, match=r"images\.gz is truncated or damaged.*fetch it again"):
            read_idx(path, 3)
        assert tracemalloc.get_traced_memory()[1] < 5_000_000
    finally:
        tracemalloc.stop()
    assert not list(unpacked.iterdir())


def test_nothing_is_unpacked_where_there_is_no_room(images, tmp_path, unpacked, monkeypatch):
    write_idx(path := tmp_path / "images.gz", images)
    monkeypatch.setattr(idx.shutil, "disk_usage", lambda folder: SimpleNamespace(free=78_000))
    with pytest.raises(LettergpuError, match=r"comes to 78,416 bytes, and .* has room for 78,000: .* LETTERGPU_CACHE"):
        read_idx(path, 3)
    assert not list(unpacked.iterdir())


def test_a_large_file_that_is_cut_short_is_refused_before_it_is_read_and_later(images, tmp_path):
    write_idx(path := tmp_path / "images", images)
    mapped = read_idx(path, 3)
    os.truncate(path, 5000)
    for ask in (lambda: mapped[np.array([99])], lambda: mapped[90:], lambda: mapped.expect(np.arange(3))):
        with pytest.raises(LettergpuError, match="images was cut short while it was in use, to 5,000 of 78,416 bytes"):
            ask()
    with pytest.raises(LettergpuError, match="promises 100 x 28 x 28 bytes, 4,984 are there"):
        read_idx(path, 3)
