"""What a person sees: the progress of a training, tables of scores."""

import platform
import shlex
import signal
import statistics
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from types import FrameType
from typing import Any, NoReturn

from tqdm import tqdm

from . import native
from .benchmark import CALLS, COUNT, kernels, short_form
from .config import Config
from .data.letters import Letters
from .device import CPU, Device, cuda_details, cuda_devices
from .errors import LettergpuError
from .metrics import TOP
from .network import parameter_count
from .runs import Run
from .training import Diverged, EpochReport, fit

DOWNLOAD_HINT = "for real handwriting: lettergpu data download (562 MB), or --data DIR"


def heading(run: Run, letters: Letters, device: str) -> None:
    """Which letters, device and network, before the first epoch."""
    config = run.config
    rows, held = letters.hold_out(config.validation, config.seed)
    sizes = (letters.train.images[0].size, *config.hidden, len(letters.classes))
    print(f"Letters  {letters.description}")
    print(f"         {len(rows):,} to train on, {len(held):,} to validate on, {len(letters.test):,} to test on")
    if letters.source == "builtin":
        print(f"         {DOWNLOAD_HINT}")
    print(f"Device   {device}")
    shape, count = "-".join(map(str, sizes)), parameter_count(sizes)
    alike = f"{config.ensemble} of " if config.ensemble > 1 else ""
    print(f"Network  {alike}{shape}, {config.activation}, {config.loss}: {config.ensemble * count:,} parameters")
    print(f"Run      {run.folder}", flush=True)


def follow(run: Run, letters: Letters, device: Device) -> None:
    """Train, recording and showing each epoch: a bar on a terminal, and a line an epoch anywhere.

    Ctrl-C stops after the epoch, with its checkpoint written; a second one stops at once.
    """
    config = run.config
    done = run.state.epoch if run.state else 0
    rows, _ = letters.hold_out(config.validation, config.seed)
    bar = tqdm(
        total=len(rows) * (config.epochs - done) * config.ensemble,
        unit=" images",
        unit_scale=True,
        disable=None,  # where there is no terminal
        leave=False,
        bar_format="{desc}{percentage:3.0f}%|{bar}| {rate_fmt}, <{remaining} left{postfix}",  # may stop early
        dynamic_ncols=True,
    )
    with bar, interruptible("Stopping after this epoch") as interrupted:
        bar.set_description_str(f"epoch {done + 1}/{config.epochs} ")
        try:
            for report in fit(config, letters, device=device, state=run.state, on_batch=bar.update):
                run.record(report)
                with tqdm.external_write_mode():
                    print(_epoch_line(report, config), flush=True)
                bar.set_description_str(f"epoch {min(report.epoch + 1, config.epochs)}/{config.epochs} ", refresh=False)
                bar.set_postfix_str(f"loss {report.val_loss:.3f}, accuracy {report.val_accuracy:.1%}", refresh=False)
                if interrupted():
                    break
        except BaseException as error:
            if run.state is None:
                run.discard()
            elif isinstance(error, Diverged):
                kept = f"the network of epoch {run.state.best_epoch} is kept in {run.folder}"
                raise LettergpuError(f"{error}; {kept}") from None
            elif isinstance(error, KeyboardInterrupt):
                _stop(run)
            raise
    if run.state and not run.state.finished(config):
        _stop(run)


@contextmanager
def evaluating(images: int) -> Iterator[Callable[[int], Any]]:
    """A bar on a terminal over so many images; what to call with each batch's number of them."""
    with tqdm(total=images, desc="Evaluating", unit=" images", unit_scale=True, disable=None, leave=False) as bar:
        yield bar.update


def _stop(run: Run) -> NoReturn:
    assert run.state is not None
    folder = shlex.quote(str(run.folder))
    print(f"Stopped after epoch {run.state.epoch}; go on with: lettergpu train --resume {folder}", file=sys.stderr)
    raise SystemExit(130)


def _epoch_line(report: EpochReport, config: Config) -> str:
    best = "  lowest so far" if config.patience and report.state.best_epoch == report.epoch else ""
    return (
        f"epoch {report.epoch:3d}   training loss {report.train_loss:.4f} accuracy {report.train_accuracy:6.2%}"
        f"   validation loss {report.val_loss:.4f} accuracy {report.val_accuracy:6.2%}   {report.seconds:.1f} s{best}"
    )


@contextmanager
def interruptible(said: str) -> Iterator[Any]:
    """Turn the first Ctrl-C into a flag, which the function that this yields tells."""
    asked = False

    def handle(signum: int, frame: FrameType | None) -> None:
        nonlocal asked
        if asked:
            raise KeyboardInterrupt
        asked = True
        with tqdm.external_write_mode():
            print(f"{said} (Ctrl-C again: at once)", file=sys.stderr, flush=True)

    before = signal.signal(signal.SIGINT, handle)
    try:
        yield lambda: asked
    finally:
        signal.signal(signal.SIGINT, before)


def scores(summary: dict[str, Any], run: Run) -> None:
    """The final table of a training."""
    print(f"\n{'':12}{'images':>8}{'loss':>9}" + "".join(f"{f'top-{k}':>9}" for k in TOP))
    for part in ("train", "validation", "test"):
        row = summary[part]
        images = summary["data"][f"{part}_images"]
        print(f"{part:12}{images:8,}{row['loss']:9.4f}" + "".join(f"{row[f'top{k}']:9.2%}" for k in TOP))
    if alone := [member["top1"] for member in summary.get("members", ())]:
        average, spread = statistics.mean(alone), statistics.stdev(alone)
        print(f"\nEach of the {len(alone)} networks alone: {average:.2%} of the test letters, ± {spread:.2%}")
    print(
        f"\nEpoch {summary['best_epoch']} of {summary['epochs']}, in {summary['seconds']:.0f} s. "
        f"Letters: {summary['data']['description']}"
    )
    print(f"Run folder: {run.folder} (best.safetensors, loss.png, confusion.png, misclassified.png)")
    print(f"Test it again: lettergpu evaluate {shlex.quote(str(run.folder))}")


def evaluation(table: dict[str, Any]) -> None:
    """The tables of `evaluate`."""
    print(f"{table['data']}: {table['images']:,} images")
    print(f"loss {table['loss']:.4f}   " + "   ".join(f"top-{k} {table[f'top{k}']:.2%}" for k in TOP))
    print(f"expected calibration error {table['calibration_error']:.2%}")
    print("\nAccuracy of each class")
    cells = [f"{name} {'-' if share is None else f'{share:.1%}':>6}" for name, share in table["per_class"].items()]
    for start in range(0, len(cells), 7):
        print("   " + "    ".join(cells[start : start + 7]))
    print("\nMost confused")
    for pair in table["most_confused"]:
        print(f"   {' and '.join(pair['classes'])}   {pair['errors']}")
    print(f"\nPictures: {table['pictures']}/confusion.png, misclassified.png")


def reading_table(table: dict[str, Any]) -> None:
    """What was read in a picture: its text, and each letter with the likeliest ones."""
    print(f"{table['file']}: {table['text']}" if "\n" not in table["text"] else f"{table['file']}:\n{table['text']}")
    print(f"   {'':6}{'left':>6}{'top':>6}{'right':>7}{'bottom':>8}   likeliest")
    for letter in table["letters"]:
        left, top, right, bottom = letter["box"]
        likeliest = "   ".join(f"{guess['letter']} {guess['probability']:5.1%}" for guess in letter["top"])
        print(f"   {letter['top'][0]['letter']:6}{left:6}{top:6}{right:7}{bottom:8}   {likeliest}")


def counts(letters: Letters, checksums: dict[Path, tuple[str, str]]) -> None:
    """The tables of `data info`."""
    print(letters.description)
    if letters.source == "builtin":
        print(DOWNLOAD_HINT)
    print(f"\n{'class':>6}{'train':>9}{'test':>9}")
    for label, name in enumerate(letters.classes):
        print(f"{name:>6}{(letters.train.labels == label).sum():9,}{(letters.test.labels == label).sum():9,}")
    print(f"{'all':>6}{len(letters.train):9,}{len(letters.test):9,}")
    for path, (digest, verdict) in checksums.items():
        print(f"\n{path.name}: {verdict}\n   sha256 {digest}")


def benchmark(config: Config, devices: list[Device]) -> dict[str, dict[str, float]]:
    """Measure each device under a bar, and say what was found; the numbers of `short_form`, by the device's name."""
    found: dict[str, dict[str, float]] = {}
    with tqdm(total=len(devices) * (2 + len(CALLS)), leave=False, disable=None, bar_format="{desc} {bar}") as bar:
        for device in devices:
            bar.set_description_str(device.name)
            found[device.name] = {}
            for name, number in short_form(config, device):
                found[device.name][name] = number
                bar.update()
    return found


def benchmark_table(config: Config, found: dict[str, dict[str, float]]) -> None:
    """What `bench` found."""
    shape = "-".join(map(str, (784, *config.hidden, 26)))
    print(f"{shape}, {config.activation}, batch {config.batch_size}, built-in letters")
    for name, row in found.items():
        about = f"{native.threads()} thread(s), kernels of {kernels()}" if name == CPU.name else "its own kernels"
        print(f"\n{name}: {about}")
        print(f"   an epoch of {COUNT:,} letters     {row['epoch']:8.2f} s   {COUNT / row['epoch']:12,.0f} images/s")
        print(f"   its products of matrices alone {row['products_only']:8.2f} s   by the BLAS of the device's library")
        for size in CALLS:
            print(f"   answers, {size:5,} images a call {'':14}{row[f'images_per_second_{size}']:12,.0f} images/s")
    fastest = min(found, key=lambda name: found[name]["epoch"])
    seconds = found[fastest]["epoch"]
    print(f"\ntrain --recipe report stops after some 13 epochs of EMNIST's letters: {13 * seconds:.0f} s on {fastest}.")


def environment() -> None:
    """Versions and devices."""
    print(f"lettergpu {version('lettergpu')}, Python {platform.python_version()}, {platform.platform()}")
    for package in ("numpy", "array-api-compat", "cupy-cuda13x", "cupy-cuda12x", "safetensors", "matplotlib", "typer"):
        try:
            print(f"   {package:18}{version(package)}")
        except PackageNotFoundError:
            print(f"   {package:18}not installed")
    names, trouble = cuda_devices()
    host, compiler = native.library()
    kernels = f"its kernels compiled by {compiler}" if host else f"by NumPy alone, which is slower: {compiler}"
    print(f"Devices\n   cpu       usable, {kernels}")
    for index, name in enumerate(names):
        print(f"   cuda:{index}    {name}, usable: {cuda_details(index)}")
    if trouble:
        print(f"   cuda      not usable: {trouble}")
