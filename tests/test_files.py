import pytest

from lettergpu.errors import LettergpuError
from lettergpu.files import replacing


def test_who_reads_meanwhile_sees_the_old_file_whole(tmp_path):
    (path := tmp_path / "file").write_text("old")
    with path.open() as reader:
        with replacing(path) as partial:
            partial.write_text("new")
            assert path.read_text() == "old"
        assert reader.read() == "old"
    assert path.read_text() == "new"
    assert list(tmp_path.iterdir()) == [path]


def test_an_error_leaves_neither_half_a_file_nor_a_partial_one(tmp_path):
    with pytest.raises(ZeroDivisionError), replacing(tmp_path / "file") as partial:
        partial.write_text(str(1 // 0))
    assert list(tmp_path.iterdir()) == []


def test_a_folder_that_cannot_be_made_is_named(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(LettergpuError, match="file/inside/x cannot be written"), replacing(tmp_path / "file/inside/x"):
        pass
