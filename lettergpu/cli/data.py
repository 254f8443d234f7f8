"""The commands of `lettergpu data`."""

from pathlib import Path
from typing import Annotated

import typer

from ..config import Config
from ..files import as_path
from .options import AsJson, Data, Lying, Quiet, SplitName, TestShare, config_of

data_app = typer.Typer(no_args_is_help=True, help="Get EMNIST, and see what letters there are.")


@data_app.command("info")
def data_info(
    data: Data = None,
    split: SplitName = None,
    orientation: Lying = None,
    test: TestShare = None,
    as_json: AsJson = False,
) -> None:
    """Count the letters, say what their files were taken for, and whether they are the official ones."""
    from ..data.emnist import checksums
    from ..reading.eyes import letters_of
    from . import console
    from .progress import preparing

    config = config_of(data=data, split=split, orientation=orientation, test=test)
    letters = letters_of(config, preparing)
    official = letters.found.get("kind") == "IDX"
    digests = checksums(as_path(letters.source), config.split) if official else {}
    console.answer(console.counted(letters, digests), as_json, lambda: console.counts(letters, digests))


@data_app.command()
def preview(
    data: Data = None,
    split: SplitName = None,
    orientation: Lying = None,
    test: TestShare = None,
    out: Annotated[Path, typer.Option(help="The picture to write.")] = Path("letters.png"),
    quiet: Quiet = False,
) -> None:
    """Draw a contact sheet of the training letters, a class a row."""
    from ..reading.eyes import letters_of
    from . import progress
    from .plots import plot_preview

    if quiet:
        progress.hush()
    letters = letters_of(config_of(data=data, split=split, orientation=orientation, test=test), progress.preparing)
    plot_preview(out, letters.train.images, letters.train.labels, letters.classes)
    print(out if quiet else f"{out}: {letters.description}")


@data_app.command()
def download(
    split: SplitName = None,
    archive: Annotated[
        Path | None, typer.Option(help="A gzip.zip that you fetched by hand; nothing is downloaded.")
    ] = None,
    remove_archive: Annotated[bool, typer.Option(help="Delete the archive (562 MB) once it is unpacked.")] = False,
    quiet: Quiet = False,
) -> None:
    """Download EMNIST from NIST, verify it and unpack a split."""
    from ..data import emnist

    folder = emnist.download(split or Config.split, archive=archive, remove_archive=remove_archive, show=not quiet)
    print(folder if quiet else f"EMNIST {split or Config.split} is in {folder}; lettergpu train now uses it")
