"""`lettergpu runs`: what trainings left behind."""

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from ..errors import LettergpuError
from ..files import as_text
from .options import AsJson

if TYPE_CHECKING:
    from ..training.history import Record


def runs(
    folder: Annotated[Path, typer.Argument(help="The folder that they lie in, or one of them.")] = Path("runs"),
    as_json: AsJson = False,
) -> None:
    """List runs: what was trained on which letters, how far, to which accuracy. The newest is the last."""
    from . import console

    found = sorted(map(_told, _folders(folder)), key=lambda run: run[0])
    if as_json:
        tables = [
            {"run": as_text(path), "error": str(told)} if isinstance(told, LettergpuError) else told.table()
            for _, path, told in found
        ]
        print(json.dumps(tables, indent=2))
    elif found:
        console.runs([(path.name, told) for _, path, told in found])
    else:
        print(f"{folder}: there is no run in it yet")


def _folders(folder: Path) -> list[Path]:
    """Those in a folder, or the folder itself where it is a run."""
    from ..training.history import SETTINGS

    try:
        if (folder / SETTINGS).exists():
            return [folder]
        return [path for path in sorted(folder.iterdir()) if path.is_dir() and not path.name.startswith(".")]
    except FileNotFoundError:
        raise LettergpuError(f"{folder}: there is no such folder; lettergpu train makes one, or name another") from None


def _told(folder: Path) -> "tuple[float, Path, Record | LettergpuError]":
    """When it last changed, which it is, and what it tells, or why it tells nothing."""
    from ..training.history import Record

    try:
        record = Record.read(folder)
        return record.changed.timestamp(), folder, record
    except LettergpuError as error:
        return folder.stat().st_mtime, folder, error
