"""`lettergpu evaluate`: how good a network is, in tables and pictures."""

from dataclasses import replace
from pathlib import Path
from typing import Annotated

import typer

from ..config import Config
from ..files import as_text
from .options import DATA_HELP, ORIENTATION_HELP, TEST_HELP, VIEWS_HELP, AsJson, DeviceName, Quiet


def evaluate(
    run: Annotated[Path, typer.Argument(help="A run folder, a .safetensors file, or boxed.", metavar="RUN_OR_FILE")],
    data: Annotated[str | None, typer.Option(help=DATA_HELP, show_default="the run's")] = None,
    views: Annotated[int | None, typer.Option(help=VIEWS_HELP, show_default="the run's")] = None,
    first: Annotated[int | None, typer.Option(min=1, help="So many test letters, from the first on.")] = None,
    split: Annotated[str | None, typer.Option(help="Which of EMNIST's splits.", show_default="the run's")] = None,
    orientation: Annotated[
        str | None, typer.Option(help=ORIENTATION_HELP, show_default="the run's, or auto of other --data")
    ] = None,
    share: Annotated[
        float | None,
        typer.Option("--test", help=f"{TEST_HELP} 1 is all of them.", show_default="the run's"),
    ] = None,
    device: DeviceName = None,
    out: Annotated[
        Path | None,
        typer.Option(help="The folder for the pictures.", show_default="evaluation/ beside the network, or here"),
    ] = None,
    quiet: Quiet = False,
    as_json: AsJson = False,
) -> None:
    """Test a network, or boxed, the one in the package: top-1/2/5, each class, the most confused pairs, pictures."""
    import numpy as np

    from ..backends.libraries import resolve
    from ..reading.eyes import letters_of
    from ..training import checkpoint, metrics
    from . import console, progress
    from .plots import draw_evaluation

    if quiet:
        progress.hush()
    found = checkpoint.read(run, resolve(device or Config.device)[0])
    asked = replace(found.config, orientation=orientation or (Config if data else found.config).orientation)
    asked = replace(asked, data=as_text(data) if data else asked.data, split=split or asked.split)
    share = asked.test if share is None else share
    letters = letters_of(asked, progress.preparing, held_out=share, test_only=True).named(found.network.classes)
    test = letters.test.take(np.arange(len(letters.test))[:first])
    if views is not None:
        found.network.views = replace(found.config, views=views).views
    with progress.evaluating(len(test)) as on_batch:
        result = metrics.evaluate(found.network, test.images, test.labels, on_batch)
    folder = out or (run if run.is_dir() else run.parent) / "evaluation"  # that of boxed is the current one
    about, scores = {"data": letters.description}, metrics.evaluation_table(found.network, test, result)
    table = about | scores | {"pictures": as_text(folder)}
    console.answer(table, as_json, lambda: console.evaluation(table), quiet and f"{table['top1']:.2%}")
    draw_evaluation(folder, test, found.network, result)
