"""`lettergpu study`: the report's whole investigation again."""

from pathlib import Path
from typing import Annotated

import typer

from ..config import Config
from .options import Data, DeviceName, Lying, TestShare, config_of, setting


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
) -> None:
    """Run the report's whole investigation again, and lay what it measures beside what was published.

    Takes hours on a CPU. Stop it whenever you like: the same command goes on where it was.
    """
    from ..backends.libraries import resolve
    from ..reading.eyes import letters_of
    from ..study.running import Place, tenth
    from . import progress

    letters = letters_of(config_of(data=data, orientation=orientation, test=test), progress.preparing)
    folder = out or Path("study-quick" if quick else "study")
    place = Place(folder, tenth(letters) if quick else letters, resolve(device or Config.device)[0])
    progress.follow_study(place, only, class_weight or Config.class_weight, seeds, quick)
