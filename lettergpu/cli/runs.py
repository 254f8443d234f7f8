"""Commands about many trainings: what they came to (runs, compare), the report's again (study), a search (sweep)."""

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from ..config import Config
from ..errors import LettergpuError
from ..files import as_text
from .options import AsJson, Data, DeviceName, Lying, Quiet, TestShare, config_of, setting

if TYPE_CHECKING:
    import optuna

    from ..training.history import Record

SHOWN = 10  # trials of a sweep


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


def sweep(
    trials: Annotated[
        int, typer.Option(min=1, help="How many, those that are done and other processes' included.")
    ] = 50,
    space: Annotated[
        Path | None,
        typer.Option(help="A TOML file of what is tried.", show_default="activation, layers, nodes, learning rate"),
    ] = None,
    storage: Annotated[
        str | None,
        typer.Option(
            help="A database that processes share, such as postgresql+psycopg://HOST/NAME.",
            show_default="a journal file in --out",
        ),
    ] = None,
    study: Annotated[
        str, typer.Option(help="Its name in the storage; processes that give the same one share it.")
    ] = "letters",
    out: Annotated[Path, typer.Option(help="The folder for the table, the plots and the best settings.")] = Path(
        "sweep"
    ),
    data: Data = None,
    orientation: Lying = None,
    test: TestShare = None,
    device: DeviceName = None,
    seed: Annotated[int, typer.Option(min=0, help="Of what is tried next.")] = 0,
    quiet: Quiet = False,
    as_json: AsJson = False,
) -> None:
    """Search for the best settings with Optuna: trials that many processes can share, the hopeless ones given up early.

    Start it again to go on, or anywhere else with the same --storage and --study to help.
    """
    from tqdm import tqdm

    from ..backends.libraries import resolve
    from ..reading.eyes import letters_of
    from ..study import sweep as sweeping
    from . import progress
    from .plots import draw_sweep

    if quiet or as_json:
        progress.hush()

    what = sweeping.Space(space) if space else sweeping.Space()
    letters = letters_of(config_of(data=data, orientation=orientation, test=test), progress.preparing)
    place = resolve(device or Config.device)[0]
    found = sweeping.opened(study, storage, out)
    bar = tqdm(total=trials, unit=" trials", smoothing=0, **progress.BARS)

    def on_epoch(trial: Any, report: Any) -> None:
        bar.set_postfix_str(f"trial {trial.number}, epoch {report.epoch}: loss {report.val_loss:.3f}")

    def on_trial(_: Any) -> None:
        rows = sweeping.table(found)
        bar.n = sum(row["state"] in ("complete", "pruned") for row in rows)
        bar.refresh()
        if rows and not (quiet or as_json):
            with tqdm.external_write_mode():
                print(_line(max(rows, key=lambda row: row["trial"])), flush=True)

    try:
        with bar:
            bar.n = sum(row["state"] in ("complete", "pruned") for row in sweeping.table(found))
            sweeping.search(found, what, letters, place, trials, seed, on_epoch, on_trial)
    except KeyboardInterrupt:
        bar.close()
        _report(found, out, as_json, quiet)
        raise SystemExit(130) from None
    if not _report(found, out, as_json, quiet):
        raise LettergpuError(f"none of {trials} trials came to its end: give more --trials, or another --space")
    draw_sweep(found, out)


def _report(found: "optuna.Study", out: Path, as_json: bool, quiet: bool) -> bool:
    """Write the table and the best settings, and show them; whether there are any."""
    from ..files import replacing
    from ..study import sweep as sweeping

    rows, best = sweeping.table(found), sweeping.write_best(found, out / "best.toml")
    with replacing(out / "trials.json") as partial:
        partial.write_text(json.dumps(rows, indent=2) + "\n", encoding="utf-8")
    if as_json:
        print(json.dumps(rows, indent=2))
    elif best and quiet:
        print(out / "best.toml")
    elif best:
        print(f"\nThe best of {len(rows)} trials:")
        for row in rows[:SHOWN]:
            print(_line(row))
        print(f"\nAll trials: {out / 'trials.json'}; pictures beside it")
        print(f"Train with the best settings: lettergpu train --recipe {out / 'best.toml'}")
    return best is not None


def _line(row: dict[str, Any]) -> str:
    loss = "-" if row["val_loss"] is None else f"{row['val_loss']:.4f}"
    right = "-" if row["val_accuracy"] is None else f"{row['val_accuracy']:.2%}"
    nodes = [str(value) for name, value in row["chosen"].items() if name.startswith("nodes ")]
    chosen = {
        name: value for name, value in row["chosen"].items() if name != "layers" and not name.startswith("nodes ")
    }
    chosen |= {"hidden": "-".join(nodes)} if nodes else {}
    words = (f"{name} {value:.3g}" if isinstance(value, float) else f"{name} {value}" for name, value in chosen.items())
    done = f"trial {row['trial']:3}  {row['state']:8}  {row['epochs']:3} epochs"
    return f"{done}  validation loss {loss:>7}, {right:>7} right   {', '.join(words)}"
