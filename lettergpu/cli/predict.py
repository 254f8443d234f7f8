"""The commands that read pictures: predict, and serve for the page."""

import json
import sys
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Any

import typer

from ..errors import LettergpuError, brief
from ..files import as_text
from .options import DEVICE_HELP, AsJson, Quiet
from .streams import say

SUFFIXES = {".png", ".jpg", ".jpeg", ".webp", ".bmp", ".tif", ".tiff", ".gif", ".heic", ".heif"}
Model = Annotated[
    Path | None, typer.Option(help="A run folder or a .safetensors file.", show_default="the network in the package")
]

DeviceName = Annotated[str | None, typer.Option(help=DEVICE_HELP, show_default="cpu")]


def predict(
    images: Annotated[list[Path], typer.Argument(help="Pictures, folders of them, or - for standard input.")],
    model: Model = None,
    single: Annotated[bool, typer.Option("--single", help="All ink of a picture is one letter.")] = False,
    text: Annotated[bool, typer.Option("--text", help="Always look for lines of letters.")] = False,
    binarize: Annotated[
        str,
        typer.Option(help="How ink is told from paper: otsu, sauvola; kmeans, as the report did it with one letter."),
    ] = "otsu",
    top: Annotated[int, typer.Option(help="How many of the likeliest letters to name.")] = 5,
    lexicon: Annotated[
        str | None,
        typer.Option(help="Words that are likely: english, or a file with a word a line.", show_default="none"),
    ] = None,
    context: Annotated[
        bool,
        typer.Option(help="Whether a letter is told by those beside it, too, as English or the alphabet has them."),
    ] = True,
    device: DeviceName = None,
    quiet: Quiet = False,
    as_json: AsJson = False,
    show: Annotated[
        Path | None,
        typer.Option(help="Draw what was read: a PNG file, or of several pictures the folder for them."),
    ] = None,
    truth: Annotated[
        Path | None,
        typer.Option(help='Count what is right: a JSON file, {"a.png": "HELLO", ...} by the names of pictures.'),
    ] = None,
) -> None:
    """Read the letters in pictures: photos, scans, screenshots, drawings."""
    if single and text:
        raise LettergpuError("--single and --text: choose one")

    from tqdm import tqdm

    from ..reading.pictures import open_page
    from ..reading.reader import Reader
    from ..reading.truth import read_truth
    from .console import reading_score, reading_table

    reader = Reader.of(model, _device(device))
    form = "single" if single else "text" if text else "auto"
    paths = list(_pictures(images))
    truths = read_truth(truth) if truth else {}
    if truth and not truths.keys() & {as_text(path.name) for path in paths if path}:
        raise LettergpuError(f"{truth} tells of none of these pictures: it names {brief(next(iter(truths), 'none'))}")
    drawings = list(_drawings(paths, show)) if show else []
    found, failed = [], False
    bar = tqdm(paths, "Reading", unit=" pictures", leave=False, disable=True if quiet or len(paths) == 1 else None)
    for number, path in enumerate(bar):
        name = "-" if path is None else as_text(path)
        try:
            page = open_page(sys.stdin.buffer if path is None else path)
            reading = reader.read(page, form=form, binarize=binarize, top=top, lexicon=lexicon, context=context)
        except LettergpuError as error:
            if len(paths) == 1:
                raise
            failed = True
            found.append({"file": name, "text": ""})
            with tqdm.external_write_mode():
                say(f"error: {error}" if str(path) in str(error) else f"error: {name}: {error}")
            continue
        found.append({"file": name} | reading.table())
        if not as_json and not truth:
            with tqdm.external_write_mode():
                reading_table(found[-1], quiet, named=len(paths) > 1)
        if show:
            from .plots import plot_reading  # whose libraries take longer to come than a picture takes to be read

            plot_reading(drawings[number], page, reading)
    if truth:
        reading_score(found, truths, as_json, quiet)
    elif as_json:
        typer.echo(json.dumps([row for row in found if row["text"]], indent=2))
    if failed:
        raise SystemExit(2)


def _device(name: str | None) -> Any:
    """The CPU, which is asked about a few letters the soonest, or what was asked for."""
    from ..backends.libraries import resolve

    return resolve(name or "cpu")[0]


def _pictures(given: list[Path]) -> Iterator[Path | None]:
    """The pictures named, those in folders too; None is standard input."""
    for path in given:
        if str(path) == "-":
            yield None
        elif path.is_dir():
            inside = sorted(p for p in path.iterdir() if p.suffix.lower() in SUFFIXES)
            if not inside:
                raise LettergpuError(f"{path}: there is no picture in this folder")
            yield from inside
        else:
            yield path


def _drawings(paths: list[Path | None], show: Path) -> Iterator[Path]:
    """Where each picture's drawing goes, none onto another: pictures of several folders may have one name."""
    taken: Counter[str] = Counter()
    for path in paths:
        name = "standard-input" if path is None else path.name
        taken[name] += 1
        name += f"-{taken[name]}" if taken[name] > 1 else ""
        yield show if len(paths) == 1 else show / f"{name}.png"


def serve(
    host: Annotated[str, typer.Option(help="Where to listen; 0.0.0.0 lets other machines in.")] = "127.0.0.1",
    port: Annotated[int, typer.Option(min=0, max=65535, help="0 is any that is free.")] = 8000,
    model: Model = None,
    device: DeviceName = None,
    teach: Annotated[
        Path | None,
        typer.Option(help="Let it be taught on the page, on this machine alone, and keep that in this folder."),
    ] = None,
    train_cores: Annotated[
        int | None,
        typer.Option(
            min=0, help="Cores that a training on the page may take; half of them, or none with 0.", show_default="half"
        ),
    ] = None,
) -> None:
    """Serve a page to draw letters on and to watch a network learn, and a JSON API (POST /predict)."""
    from ..backends.host import threads
    from ..web import app
    from .progress import preparing

    def on_ready(address: str, loopback: bool) -> None:
        print(f"reading letters at http://{address} until Ctrl-C", flush=True)
        if not loopback:
            print("whoever reaches this machine over the network can use it", flush=True)

    cores = max(1, threads() // 2) if train_cores is None else train_cores
    app.serve(model, host, port, on_ready, device or "cpu", teach, preparing, cores)
