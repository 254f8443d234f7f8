"""Libraries in the cache: who made them, whether they are whole, and what compilers there are."""

import os
import shutil
import stat
import sys

import pytest

from lettergpu.backends import compiled
from lettergpu.files import is_own

ANSWER, OTHER = ('extern "C" int {}() {{ return {}; }}'.format(*words) for words in (("answer", 42), ("other", 43)))
EVIL = ANSWER.replace("42", "666")
NOT_KEPT = "the CPU's kernels are compiled at each start"


@pytest.fixture(autouse=True)
def folder(tmp_path, monkeypatch):
    """Where libraries are kept. The C++ to compile is ANSWER's, which takes less time than host.cpp."""
    if not any(map(shutil.which, ("c++", "g++", "clang++"))):
        pytest.skip("there is no C++ compiler")
    monkeypatch.setenv("LETTERGPU_CACHE", str(tmp_path / "cache"))
    monkeypatch.delenv("CXX", raising=False)
    monkeypatch.setattr(compiled, "source", lambda name: ANSWER)
    return compiled._folder()


def answer():
    host, compiler = compiled.load("host.cpp")
    assert host is not None, compiler
    return host.answer()


def library(text, tmp_path):
    """The bytes of a library."""
    return compiled._compile(["c++"], text, tmp_path).read_bytes()


def planted(folder, content):
    """A file in the place of the library that is kept, under the name that is due to it."""
    (kept,) = folder.iterdir()
    path = kept.with_name(f"{kept.stem.rpartition('-')[0]}-{compiled._digest(content)}.so")
    kept.unlink()
    path.write_bytes(content)
    path.chmod(0o600)
    return path


def test_it_is_compiled_once(folder, monkeypatch):
    assert answer() == 42
    monkeypatch.setattr(compiled, "_compile", None)
    assert answer() == 42
    assert len(list(folder.iterdir())) == 1


@pytest.mark.parametrize("damage", ["empty", "cut", "a bit", "text", "other"])
def test_a_damaged_one_is_compiled_anew(damage, folder, tmp_path):
    assert answer() == 42
    (kept,) = folder.iterdir()
    whole = kept.read_bytes()
    middle = len(whole) // 2
    content = {
        "empty": b"",
        "cut": whole[:middle],
        "a bit": whole[:middle] + bytes([whole[middle] ^ 1]) + whole[middle + 1 :],
        "text": b"nonsense",
        "other": library(OTHER, tmp_path),
    }[damage]
    kept.unlink()  # written into, the one that is loaded would change
    kept.write_bytes(content)
    assert answer() == 42
    assert whole in [path.read_bytes() for path in folder.iterdir()]


@pytest.mark.parametrize("umask", [0o000, 0o022, 0o077])
def test_nobody_else_may_enter_or_write_whatever_the_umask(umask, folder):
    before = os.umask(umask)
    try:
        assert answer() == 42
    finally:
        os.umask(before)
    (kept,) = folder.iterdir()
    modes = [stat.S_IMODE(path.stat().st_mode) for path in (folder.parent, folder, kept)]
    assert modes == [0o700, 0o700, 0o600]


def given_away(path, monkeypatch):
    """Have it belong to somebody else. Who is not root cannot do that: it is taken for theirs then."""
    if os.getuid() == 0:
        os.chown(path, 12345, -1)
        return
    theirs = path.stat().st_ino
    monkeypatch.setattr(compiled, "is_own", lambda status: status.st_ino != theirs and is_own(status))


def test_a_whole_one_of_ones_own_is_loaded(folder, tmp_path):
    """So that what follows is refused for whose it is."""
    assert answer() == 42
    planted(folder, library(EVIL, tmp_path))
    assert answer() == 666


@pytest.mark.parametrize("how", ["another's", "writable by the group", "writable by all", "a link"])
def test_a_file_that_others_may_have_written_is_not_loaded(how, folder, tmp_path, monkeypatch):
    assert answer() == 42
    path = planted(folder, library(EVIL, tmp_path))
    if how == "a link":
        path.symlink_to(shutil.move(path, tmp_path / "elsewhere.so"))
    elif how == "another's":
        given_away(path, monkeypatch)
    else:
        path.chmod(0o620 if "group" in how else 0o602)
    assert answer() == 42
    monkeypatch.setattr(compiled, "_compile", None)
    assert answer() == 42


@pytest.mark.parametrize("how", ["another's", "writable by the group", "writable by all", "a link"])
def test_nothing_is_loaded_from_a_folder_that_others_may_write_to(how, folder, tmp_path, monkeypatch):
    assert answer() == 42
    planted(folder, library(EVIL, tmp_path))
    if how == "a link":
        folder.symlink_to(shutil.move(folder, tmp_path / "elsewhere"))
    elif how == "another's":
        given_away(folder, monkeypatch)
    else:
        folder.chmod(0o720 if "group" in how else 0o702)
    with pytest.warns(UserWarning, match=f"{NOT_KEPT}.*{folder} is not yours alone.*LETTERGPU_CACHE"):
        assert answer() == 42


@pytest.mark.skipif(sys.platform != "linux", reason="there is no /proc/self/fd")
def test_a_folder_that_is_looked_at_stays_the_one_that_is_read(folder):
    folder.mkdir(0o700, parents=True)
    (folder / "ours").touch()
    with compiled._held(folder) as held:
        folder.rename(folder.with_name("away"))
        folder.mkdir()
        (folder / "theirs").touch()
        assert [path.name for path in held.iterdir()] == ["ours"]


def test_users_who_share_a_cache_have_a_folder_each(folder):
    assert folder.name == f"compiled-{os.getuid()}"


def test_a_cache_that_cannot_be_written_is_gone_without(folder):
    folder.parent.write_text("a file")
    with pytest.warns(UserWarning, match=f"{NOT_KEPT}.*cannot be written .*LETTERGPU_CACHE"):
        assert answer() == 42


# Compilers


def script(path, text):
    path.parent.mkdir(exist_ok=True)
    path.write_text(f"#!/bin/sh\n{text}\n")
    path.chmod(0o700)
    return str(path)


def test_the_variable_may_hold_options(monkeypatch):
    monkeypatch.setenv("CXX", "c++ -O2 -DNAME='\"a b\"'")
    assert answer() == 42
    assert compiled.load("host.cpp")[1] == """c++ -O2 '-DNAME="a b"'"""


def test_a_compiler_may_lie_in_a_folder_with_a_blank(tmp_path, monkeypatch):
    monkeypatch.setenv("CXX", script(tmp_path / "my compilers" / "c++", 'exec c++ "$@"'))
    assert answer() == 42


def test_a_compiler_may_be_named_from_here(tmp_path, monkeypatch):
    script(tmp_path / "bin" / "mine", 'exec c++ "$@"')
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("CXX", "bin/mine")
    assert answer() == 42


@pytest.mark.parametrize("blank", ["", " ", "\t"])
def test_a_blank_variable_names_none(blank, monkeypatch):
    monkeypatch.setenv("CXX", blank)
    assert answer() == 42
    assert compiled.load("host.cpp")[1] == "c++"


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("exit 1", "returned non-zero exit status 1"),
        ("echo >&2; echo ' ' >&2; exit 1", "returned non-zero exit status 1"),
        (r"printf 'unzul\344ssig\nmore' >&2; exit 1", "unzul\ufffdssig"),
        ("exit 0", "No such file"),
        ("kill -9 $$", "died with <Signals.SIGKILL: 9>"),
    ],
    ids=["silent", "blank", "latin-1", "idle", "killed"],
)
def test_a_compiler_that_fails_is_quoted_in_a_line(text, said, tmp_path, monkeypatch):
    monkeypatch.setenv("CXX", script(tmp_path / "bin" / "c++", text))
    host, why = compiled.load("host.cpp")
    assert host is None
    assert why.startswith(f"{tmp_path}/bin/c++ could not compile the CPU's kernels: ")
    assert said in why
    assert "\n" not in why


def test_quotes_that_do_not_end_are_told(monkeypatch):
    monkeypatch.setenv("CXX", 'c++ "')
    assert compiled.load("host.cpp") == (None, "c++ \" could not compile the CPU's kernels: No closing quotation")


def test_what_a_compiler_makes_must_be_a_library(tmp_path, monkeypatch):
    monkeypatch.setenv("CXX", script(tmp_path / "bin" / "c++", 'for last; do :; done; echo nonsense > "$last"'))
    with pytest.warns(UserWarning, match=NOT_KEPT):
        host, why = compiled.load("host.cpp")
    assert host is None
    assert why.startswith(f"{tmp_path}/bin/c++ could not compile the CPU's kernels: ")
