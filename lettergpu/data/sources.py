"""What a file or a folder of letters is taken for: one obvious reading, or an error that lists what is there."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

from ..errors import LettergpuError, brief
from . import csv, emnist, folders, matlab, npz, parquet
from .orientation import Orientation
from .splits import find_split
from .tables import Table, numbered

READERS: dict[str, tuple[str, Callable[[Path], dict[str, Table]]]] = {
    ".csv": ("CSV", csv.read),
    ".csv.gz": ("CSV", csv.read),
    ".mat": ("MATLAB", matlab.read),
    ".npz": (".npz", npz.read),
    ".parquet": ("Parquet", parquet.read),
}
TAKEN = (
    "lettergpu reads EMNIST's IDX files (*-ubyte, *-ubyte.gz), CSV of a label and 784 pixels (.csv, .csv.gz), EMNIST's "
    "MATLAB files (.mat), .npz of images and labels, Parquet of image and label (.parquet), and a folder of pictures "
    "for each class"
)
OFFICIAL = Orientation(True, "as EMNIST's files are")
OTHERS = Orientation(False, "as other files are")


@dataclass(frozen=True)
class Source:
    """kind: of files. what: letters they are. parts: train and test, or all of it as "". classes: their names.

    usual: how its images lie, where that cannot be seen. known: whether that is beyond doubt. verdict: on its files.
    """

    kind: str
    what: str
    parts: dict[str, Table]
    classes: tuple[str, ...]
    usual: Orientation
    known: bool = False
    verdict: str = ""


def read(path: Path, split: str, *, test_only: bool = False) -> Source:
    """The letters in a file or a folder, labelled from 0, pictures not opened yet.

    test_only: IDX files to train on are not read. Raises LettergpuError where there are none, or which is not clear.
    """
    if path.is_file():
        return _of_files(*_reader(path), _pair(path), split)
    names = sorted(each.name for each in path.iterdir() if not each.name.startswith("."))
    if any(name.removesuffix(".gz").endswith("-ubyte") for name in names):
        return _of_idx(path, split, test_only)
    if found := [name for name in names if _ending(name)]:
        chosen = path / _chosen(path, found, split)
        return _of_files(*_reader(chosen), _pair(chosen), split)
    if any((path / name).is_dir() for name in names):
        parts, classes = folders.read(path)
        return Source("pictures", f"pictures of {len(classes)} classes", _sorted_parts(parts), classes, OTHERS)
    listed = f"holds {brief(', '.join(names))}" if names else "is empty"
    raise LettergpuError(f"--data {path} {listed}: no letters that are known; {TAKEN}")


def _ending(name: str) -> str:
    """The longest ending of a name that has a reader, or nothing."""
    return max((ending for ending in READERS if name.lower().endswith(ending)), key=len, default="")


def _reader(path: Path) -> tuple[str, Callable[[Path], dict[str, Table]]]:
    if path.name.removesuffix(".gz").endswith("-ubyte"):
        raise LettergpuError(f"--data {path} is one of four IDX files: name the folder that they are in")
    if not (ending := _ending(path.name)):
        raise LettergpuError(f"--data {path}: it is of a kind that is not known; {TAKEN}")
    return READERS[ending]


def _pair(path: Path) -> dict[str, Path]:
    """The file to train on with that to test on, which has the same name but for this word; or the file alone."""
    other = path.with_name(_twin(path.name))
    return {"train": path, "test": other} if other != path and other.is_file() else {"": path}


def _twin(name: str) -> str:
    """What the file to test on is called beside one to train on."""
    return name.replace("train", "test").replace("Train", "Test")


def _chosen(folder: Path, found: list[str], split: str) -> str:
    """The one file that can be meant, or the one of a pair to train on."""
    of_split = [name for name in found if name.startswith((f"emnist-{split}.", f"emnist-{split}-"))]
    meant = set(of_split or found)
    meant -= {twin for name in meant if (twin := _twin(name)) != name}
    if len(meant) > 1:
        raise LettergpuError(f"--data {folder} holds {brief(', '.join(found), 300)}: name the one that you mean")
    return meant.pop()


def _of_files(kind: str, reader: Callable[[Path], dict[str, Table]], files: dict[str, Path], split: str) -> Source:
    parts: dict[str, Table] = {}
    for part, path in files.items():
        tables = reader(path)
        if part and len(tables) > 1:
            raise LettergpuError(
                f"--data {path}: it holds letters to train and to test on, and so does {files['train']}"
            )
        parts |= {part or own: table for own, table in tables.items()}
    chosen = find_split(split)
    labels = numbered(list(parts.values()), chosen, split)
    parts = {part: replace(parts[part], labels=row) for part, row in zip(parts, labels, strict=True)}
    official = next(iter(files.values())).name.startswith("emnist-") or kind == "MATLAB"
    return Source(kind, f"{split} in {kind}", _sorted_parts(parts), chosen.classes, OFFICIAL if official else OTHERS)


def _sorted_parts(parts: dict[str, Table]) -> dict[str, Table]:
    """With letters to test on alone, they are all there are."""
    return parts if "train" in parts else {"": next(iter(parts.values()))}


def _of_idx(folder: Path, split: str, test_only: bool) -> Source:
    verdict = "" if test_only else emnist.verify(folder, split)
    parts = {}
    for part in ("test",) if test_only else ("train", "test"):
        images, labels = emnist.read(folder, split, part)
        parts[part] = Table(images.swapaxes(1, 2), labels, folder)
    known, classes = verdict == "official", find_split(split).classes
    return Source("IDX", f"EMNIST {split}", parts, classes, OFFICIAL, known, verdict)
