import errno
import subprocess
import sys
from pathlib import Path

import pytest

from lettergpu import files
from lettergpu.errors import LettergpuError, brief
from lettergpu.files import held, read_json, read_text, replacing


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


def test_who_is_killed_lets_go_of_a_folder(tmp_path):
    code = "import sys, time; from pathlib import Path; from lettergpu.files import held\n"
    code += "with held(Path(sys.argv[1])): print('held', flush=True); time.sleep(600)"
    with subprocess.Popen([sys.executable, "-c", code, tmp_path], stdout=subprocess.PIPE) as holder:
        assert holder.stdout.readline() == b"held\n"
        with pytest.raises(LettergpuError, match="another lettergpu writes to it"), held(tmp_path):
            pass
        holder.kill()
    with held(tmp_path):
        assert list(tmp_path.iterdir()) == []


def test_where_a_folder_cannot_be_locked_nobody_is_kept_out(tmp_path, monkeypatch):
    def unsupported(*_):
        raise OSError(errno.ENOLCK, "No locks available")

    monkeypatch.setattr(files.fcntl, "flock", unsupported)
    with held(tmp_path), held(tmp_path):
        pass
    monkeypatch.setattr(files, "fcntl", None)
    with held(tmp_path), held(tmp_path):
        pass
    monkeypatch.undo()
    with pytest.raises(LettergpuError, match="nowhere cannot be written"), held(tmp_path / "nowhere"):
        pass


def test_no_more_is_read_than_was_asked_for(tmp_path):
    (path := tmp_path / "file").write_bytes("\ufeffé".encode())
    assert read_text(path, 5) == "é"
    with pytest.raises(ValueError, match="it is larger than 4 bytes"):
        read_text(path, 4)
    with pytest.raises(ValueError, match="larger than 1,000 bytes"):
        read_text(Path("/dev/zero"), 1000)


@pytest.mark.parametrize("text", ["NaN", "[-Infinity]", '{"a": 1e999}', "[" * 100_000, "", '"\udcff"'])
def test_json_is_of_numbers_and_not_bottomless(text, tmp_path):
    (path := tmp_path / "file").write_text(text, errors="surrogateescape")
    with pytest.raises(ValueError, match=r"no number|nested too deeply|Expecting|decode"):
        read_json(path, 1_000_000)


def test_what_is_quoted_is_one_short_line():
    assert brief("a\n\x1b[31mb\t" + "c" * 1000, 10) == "a  [31mb c..."
    assert brief(16**10_000) == "a huge number"
    assert len(brief("x" * 100_000)) == 103
