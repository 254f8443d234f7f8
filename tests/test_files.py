import errno
import os
import pwd
import stat
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest

from lettergpu import files
from lettergpu.errors import LettergpuError, brief
from lettergpu.files import cache_folder, held, is_held, make_private, read_json, read_text, replacing


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


def test_who_asks_whether_a_folder_is_held_keeps_nobody_out(tmp_path, monkeypatch):
    assert not is_held(tmp_path)
    with held(tmp_path):
        assert is_held(tmp_path)
    asking = os.open(tmp_path, os.O_RDONLY)
    assert files._locked(asking, shared=True)
    assert not is_held(tmp_path)  # who asks at the same time is not it
    monkeypatch.setattr(files.time, "sleep", lambda seconds: os.close(asking) if seconds else None)
    with held(tmp_path):
        assert is_held(tmp_path)


def test_where_a_folder_cannot_be_locked_nobody_is_kept_out(tmp_path, monkeypatch):
    def unsupported(*_):
        raise OSError(errno.ENOLCK, "No locks available")

    monkeypatch.setattr(files.fcntl, "flock", unsupported)
    with held(tmp_path), held(tmp_path):
        assert not is_held(tmp_path)
    monkeypatch.setattr(files, "fcntl", None)
    with held(tmp_path), held(tmp_path):
        assert not is_held(tmp_path)
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


def test_what_takes_the_name_is_on_the_disk(tmp_path, monkeypatch):
    """Else a power cut may leave the name with nothing behind it."""
    (path := tmp_path / "file").write_text("old")
    synced = []

    def sync(handle):
        synced.append((os.fstat(handle).st_size, path.read_text()))

    monkeypatch.setattr(os, "fsync", sync)
    with replacing(path) as partial:
        partial.write_text("newer")
    assert synced == [(5, "old")]
    assert path.read_text() == "newer"


@pytest.mark.parametrize(("umask", "mode", "expected"), [(0o022, 0o666, 0o644), (0, 0o666, 0o666), (0, 0o600, 0o600)])
def test_a_file_has_the_mode_that_the_umask_leaves(umask, mode, expected, tmp_path):
    before = os.umask(umask)
    try:
        with replacing(tmp_path / "file", mode) as partial:
            partial.write_text("")
    finally:
        os.umask(before)
    assert stat.S_IMODE((tmp_path / "file").stat().st_mode) == expected


def test_folders_that_are_made_private_are_so_from_the_first_on(tmp_path):
    (tmp_path / "there").mkdir()
    (tmp_path / "there").chmod(0o755)
    before = os.umask(0)
    try:
        make_private(tmp_path / "there" / "a" / "b")
    finally:
        os.umask(before)
    modes = [stat.S_IMODE((tmp_path / name).stat().st_mode) for name in ("there", "there/a", "there/a/b")]
    assert modes == [0o755, 0o700, 0o700]
    (tmp_path / "file").write_text("")
    with pytest.raises(LettergpuError, match=r"/file cannot be written .*LETTERGPU_CACHE"):
        make_private(tmp_path / "file" / "inside")


@pytest.fixture
def homeless(tmp_path, monkeypatch):
    """No home folder is known; the folder for temporary files is a test's own."""

    def unknown(number):
        raise KeyError(number)

    for name in ("HOME", "XDG_CACHE_HOME", "LETTERGPU_CACHE"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr(pwd, "getpwuid", unknown)
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    files._homeless_folder.cache_clear()
    yield tmp_path / f"lettergpu-{os.getuid()}"
    files._homeless_folder.cache_clear()


def test_who_has_no_home_has_a_folder_for_temporary_files(homeless):
    with pytest.warns(UserWarning, match=f"no home folder, so things are kept in {homeless}: .*LETTERGPU_CACHE"):
        assert cache_folder() == homeless
    assert cache_folder() == homeless, "without another warning"
    assert stat.S_IMODE(homeless.stat().st_mode) == 0o700


def test_the_folder_of_the_homeless_must_be_their_own(homeless, monkeypatch):
    homeless.mkdir()
    homeless.chmod(0o777)
    with pytest.raises(LettergpuError, match=f"{homeless} is not yours alone: .*LETTERGPU_CACHE"):
        cache_folder()


ROUND_TRIP = r"""
from lettergpu.files import as_path, as_text
from pathlib import Path
(found,) = Path().iterdir()
assert as_text(found) == "b\xfccher", ascii(found)
assert as_path("b\xfccher").exists()
assert as_path(as_text(b"\xe4".decode(errors="surrogateescape"))) == Path("\udce4")
"""


@pytest.mark.parametrize("locale", ["C", "C.UTF-8"])
def test_names_outlive_a_locale_without_their_letters(locale, tmp_path):
    (tmp_path / "b\xfccher").touch()
    environment = os.environ | {"LC_ALL": locale, "PYTHONUTF8": "0"}
    subprocess.run([sys.executable, "-c", ROUND_TRIP], cwd=tmp_path, env=environment, check=True)
