"""The commands about many trainings: `runs` and `compare`, what they came to, and `study`, the report's again."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from ..config import Config
from ..errors import LettergpuError
from ..files import as_text
from .options import AsJson, Data, DeviceName, Lying, Quiet, TestShare, config_of, setting

if TYPE_CHECKING:
    from ..training.history import Record


def runs(
    folder: Annotated[Path, typer.Argument(help="The folder that they lie in, or one of them.")] = Path("runs"),
    as_json: AsJson = False,
) -> None:
    """List runs: what was trained on which letters, how far, to which accuracy. The newest is the last."""
    from . import console

    found = sorted(map(_told, _folders(folder)), key=lambda run: run[0])
    tables = [
        {"run": as_text(path), "error": str(told)} if isinstance(told, LettergpuError) else told.table()
        for _, path, told in found
    ]
    none = not found and f"{folder}: there is no run in it yet"
    console.answer(tables, as_json, lambda: console.runs([(path.name, told) for _, path, told in found]), none)


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


def compare(
    runs: Annotated[list[Path], typer.Argument(help="Run folders.", metavar="RUN RUN...")],
    plot: Annotated[Path, typer.Option(help="The picture of their losses and accuracies.")] = Path("compare.png"),
    as_json: AsJson = False,
) -> None:
    """Lay runs beside each other: the settings in which they differ, how good they are, and their curves."""
    from ..training.history import Record, differences
    from . import console
    from .plots import plot_comparison

    if len(runs) < 2:
        raise LettergpuError(f"{runs[0]}: name another run to compare it with")
    records = [Record.read(run) for run in runs]
    if idle := [record.folder for record in records if not record.rows]:
        raise LettergpuError(f"{idle[0]}: it has done no epoch yet, so there is nothing to compare")
    differing = differences(records)
    plot_comparison(plot, console.legend(records, differing), [record.rows for record in records])
    table = {"differing": differing, "runs": [record.table() for record in records], "plot": as_text(plot)}
    console.answer(table, as_json, lambda: console.comparison(records, differing, plot))


def study(
    only: Annotated[
        str | None, typer.Option(help="One table (such as one-hidden-layer) or one model.", show_default="all")
    ] = None,
    data: Data = None,
    orientation: Lying = None,
    test: TestShare = None,
    device: DeviceName = None,
    class_weight: Annotated[str | None, setting("class_weight", "balanced lets rare classes count for more.")] = None,
    seeds: Annotated[int, typer.Option(min=1, help="Trainings of each activation that is compared.")] = 3,
    out: Annotated[
        Path | None, typer.Option(help="The folder to make or go on with.", show_default="study or study-quick")
    ] = None,
    quick: Annotated[bool, typer.Option("--quick", help="Train on a tenth of the letters, to see it work.")] = False,
    quiet: Quiet = False,
) -> None:
    """Run the report's whole investigation again, and lay what it measures beside what was published.

    Takes hours on a CPU. Stop it whenever you like: the same command goes on where it was.
    """
    from ..backends.libraries import resolve
    from ..reading.eyes import letters_of
    from ..study.running import Place, tenth
    from . import progress

    if quiet:
        progress.hush()
    letters = letters_of(config_of(data=data, orientation=orientation, test=test), progress.preparing)
    folder = out or Path("study-quick" if quick else "study")
    place = Place(folder, tenth(letters) if quick else letters, resolve(device or Config.device)[0])
    progress.follow_study(place, only, class_weight or Config.class_weight, seeds, quick, lines=not quiet)
