"""`lettergpu sweep`: a search for the best settings."""

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from .options import Data, DeviceName, Lying, TestShare, config_of

if TYPE_CHECKING:
    import optuna

SHOWN = 10  # trials


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
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Search for the best settings with Optuna: trials that many processes can share, the hopeless ones given up early.

    Start it again to go on, or anywhere else with the same --storage and --study to help.
    """
    from tqdm import tqdm

    from ..backends.libraries import resolve
    from ..config import Config
    from ..errors import LettergpuError
    from ..reading.eyes import letters_of
    from ..study import sweep as sweeping
    from .plots import draw_sweep
    from .progress import preparing

    what = sweeping.Space(space) if space else sweeping.Space()
    letters = letters_of(config_of(data=data, orientation=orientation, test=test), preparing)
    place = resolve(device or Config.device)[0]
    found = sweeping.opened(study, storage, out, seed)
    bar = tqdm(total=trials, unit=" trials", disable=None, leave=False, smoothing=0)

    def on_epoch(trial: Any, report: Any) -> None:
        bar.set_postfix_str(f"trial {trial.number}, epoch {report.epoch}: loss {report.val_loss:.3f}")

    def on_trial(_: Any) -> None:
        rows = sweeping.table(found)
        bar.n = sum(row["state"] in ("complete", "pruned") for row in rows)
        bar.refresh()
        if not as_json and rows:
            with tqdm.external_write_mode():
                print(_line(max(rows, key=lambda row: row["trial"])), flush=True)

    try:
        with bar:
            bar.n = sum(row["state"] in ("complete", "pruned") for row in sweeping.table(found))
            sweeping.search(found, what, letters, place, trials, on_epoch, on_trial)
    except KeyboardInterrupt:
        bar.close()
        _report(found, out, as_json)
        raise SystemExit(130) from None
    if not _report(found, out, as_json):
        raise LettergpuError(f"none of {trials} trials came to its end: give more --trials, or another --space")
    draw_sweep(found, out)


def _report(found: "optuna.Study", out: Path, as_json: bool) -> bool:
    """Write the table and the best settings, and show them; whether there are any."""
    from ..files import replacing
    from ..study import sweep as sweeping

    rows, best = sweeping.table(found), sweeping.write_best(found, out / "best.toml")
    with replacing(out / "trials.json") as partial:
        partial.write_text(json.dumps(rows, indent=2) + "\n", encoding="utf-8")
    if as_json:
        print(json.dumps(rows, indent=2))
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
