import gzip
import tracemalloc

import numpy as np
import pytest
from conftest import write_idx
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from lettergpu.data.idx import read_idx
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


@pytest.mark.parametrize("sizes", [(2**32 - 1,) * 3, (10**6, 28, 29), (0, 2**32 - 1, 2**32 - 1)])
def test_a_promise_beyond_all_letters_is_refused(sizes, tmp_path):
    (path := tmp_path / "images").write_bytes(bytes((0, 0, 8, 3)) + np.asarray(sizes, ">u4").tobytes())
    with pytest.raises(LettergpuError, match=f"promises {sizes[0]} x .* bytes, more than 784,000,000: no file of"):
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
