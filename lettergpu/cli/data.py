"""The commands of `lettergpu data`."""

from pathlib import Path
from typing import Annotated

import typer

from ..config import Config
from .options import Data, SplitName

data_app = typer.Typer(no_args_is_help=True, help="Get EMNIST, and see what letters there are.")


@data_app.command("info")
def data_info(data: Data = None, split: SplitName = None) -> None:
    """Count the letters, and say whether their files are the official ones."""
    from ..data.emnist import checksums
    from ..data.letters import find_source, load_letters
    from . import console
    from .progress import drawing

    letters = load_letters(data or Config.data, split or Config.split, drawing)
    folder = find_source(data or Config.data, split or Config.split)
    console.counts(letters, checksums(folder, split or Config.split) if folder else {})


@data_app.command()
def preview(
    data: Data = None,
    split: SplitName = None,
    out: Annotated[Path, typer.Option(help="The picture to write.")] = Path("letters.png"),
) -> None:
    """Draw a contact sheet of the training letters, a class a row."""
    from ..data.letters import load_letters
    from .plots import plot_preview
    from .progress import drawing

    letters = load_letters(data or Config.data, split or Config.split, drawing)
    plot_preview(out, letters.train.images, letters.train.labels, letters.classes)
    typer.echo(f"{out}: {letters.description}")


@data_app.command()
def download(
    split: SplitName = None,
    archive: Annotated[
        Path | None, typer.Option(help="A gzip.zip that you fetched by hand; nothing is downloaded.")
    ] = None,
    remove_archive: Annotated[bool, typer.Option(help="Delete the archive (562 MB) once it is unpacked.")] = False,
) -> None:
    """Download EMNIST from NIST, verify it and unpack a split."""
    from ..data import emnist

    folder = emnist.download(split or Config.split, archive=archive, remove_archive=remove_archive, show=True)
    typer.echo(f"EMNIST {split or Config.split} is in {folder}; lettergpu train now uses it")
