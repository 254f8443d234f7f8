"""What a person sees while something takes its time: bars, a line an epoch, and what Ctrl-C does."""

import shlex
import signal
import sys
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from types import FrameType
from typing import Any, NoReturn

from tqdm import tqdm

from ..backends.device import Device
from ..backends.ranks import ALONE, Ranks
from ..config import Config
from ..data.letters import Letters
from ..errors import LettergpuError
from ..study import naive, running, writing
from ..study.rows import BEST, Row, chosen, tables
from ..study.running import Place
from ..training import checkpoint
from ..training.loop import Diverged, EpochReport, State, fit
from ..training.runs import Run

BARS: dict[str, Any] = {"disable": None, "leave": False}  # None: where there is no terminal
LIKELY_EPOCHS = 30  # of a training of the study that stops by itself


def hush() -> None:
    """Show no bars from now on."""
    BARS["disable"] = True


def follow(
    run: Run,
    letters: Letters,
    device: Device,
    start: State | None = None,
    ranks: Ranks = ALONE,
    *,
    lines: bool = True,
) -> None:
    """Train, recording and showing each epoch: a bar on a terminal, and with `lines` a line an epoch anywhere.

    start: where a new run begins, if not with parameters that are drawn. ranks: that train, of which this is number 0.
    Ctrl-C stops after the epoch, with its checkpoint written; a second one stops at once.
    """
    config = run.config
    done = run.state.epoch if run.state else 0
    rows, _ = letters.hold_out(config.validation, config.seed)
    bar = tqdm(
        total=len(rows) * (config.epochs - done) * config.ensemble,
        unit=" images",
        unit_scale=True,
        **BARS,
        bar_format="{desc}{percentage:3.0f}%|{bar}| {rate_fmt}, <{remaining} left{postfix}",  # may stop early
        dynamic_ncols=True,
    )
    with bar, interruptible("Stopping after this epoch") as interrupted:
        bar.set_description_str(f"epoch {done + 1}/{config.epochs} ")
        try:
            begun = {"state": run.state or start, "on_batch": bar.update, "ranks": ranks}
            for report in fit(config, letters, device=device, **begun):
                run.record(report)
                if lines:
                    _say(_epoch_line(report, config))
                bar.set_description_str(f"epoch {min(report.epoch + 1, config.epochs)}/{config.epochs} ", refresh=False)
                bar.set_postfix_str(f"loss {report.val_loss:.3f}, accuracy {report.val_accuracy:.1%}", refresh=False)
                if interrupted():
                    break
        except BaseException as error:
            if run.state is None:
                run.discard()
            elif isinstance(error, Diverged):
                run.diverged()
                kept = f"the network of epoch {run.state.best_epoch} is kept in {run.folder}"
                raise LettergpuError(f"{error}; {kept}") from None
            elif isinstance(error, KeyboardInterrupt):
                _stop(run)
            raise
    if run.state and not run.state.finished(config):
        _stop(run)


def preparing(steps: range) -> Iterable[int]:
    """A bar while the built-in letters are drawn, which is done once, or many pictures are read."""
    return tqdm(steps, "Preparing the letters", **BARS)


@contextmanager
def working(said: str) -> Iterator[None]:
    """A line on a terminal while something is done whose length nobody knows."""
    with tqdm(total=0, desc=said, bar_format="{desc} ...", **BARS):
        yield


@contextmanager
def evaluating(images: int) -> Iterator[Callable[[int], Any]]:
    """A bar on a terminal over so many images; what to call with each batch's number of them."""
    with tqdm(total=images, desc="Evaluating", unit=" images", unit_scale=True, **BARS) as bar:
        yield bar.update


def _say(text: str) -> None:
    """A line above the bar, at once."""
    with tqdm.external_write_mode():
        print(text, flush=True)


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
            if callable(before):
                before(signum, frame)
            raise KeyboardInterrupt
        asked = True
        with tqdm.external_write_mode():
            print(f"{said} (Ctrl-C again: at once)", file=sys.stderr, flush=True)

    before = signal.signal(signal.SIGINT, handle)
    try:
        yield lambda: asked
    finally:
        signal.signal(signal.SIGINT, before)


def follow_study(
    place: Place, only: str | None, class_weight: str, seeds: int, quick: bool, *, lines: bool = True
) -> None:
    """Train what is not yet trained, and write what was found after each row. Ctrl-C stops at a checkpoint.

    lines: whether to say what is found, and where it is written.
    """
    from .plots import draw_run, draw_study

    every, letters = tables(class_weight, seeds), place.letters
    findings = writing.Findings(place, every, class_weight, seeds, quick)
    wanted = {row.model: row for table in chosen(every, only) for row in table.rows}
    classes = len(letters.classes)
    for row in {row.model: row for table in every for row in table.rows}.values():
        if (summary := running.finished(place, row)) is not None:
            findings.add(row, summary)
    waiting = [row for row in wanted.values() if row.model not in findings.results]
    say = _say if lines else lambda text: None
    say(f"Letters  {letters.description}")
    say(f"Study    {place.folder}: {len(wanted) - len(waiting)} of {len(wanted)} rows are done")

    if any(model.startswith("Deeper_") for model in (*wanted, *findings.results)):
        findings.failures = {start: naive.run(start, letters.train, classes, place.device) for start in naive.STARTS}
    work = {row.model: _work(row, len(letters.train), classes) for row in wanted.values()}
    done = sum(work.values()) - sum(work[row.model] for row in waiting)
    bar = tqdm(
        total=sum(work.values()),
        initial=done,
        **BARS,
        smoothing=0.02,
        bar_format="{desc}{percentage:3.0f}%|{bar}| {elapsed}, <{remaining} left{postfix}",  # rows may stop early
        dynamic_ncols=True,
    )
    with bar, interruptible("Stopping at a checkpoint") as interrupted:
        for number, row in enumerate(waiting, len(wanted) - len(waiting) + 1):
            bar.set_description_str(f"{number}/{len(wanted)} {row.model} ")
            per_image = writing.parameters(row, classes)

            def on_epoch(run: Run) -> None:
                last = run.rows[-1]
                bar.set_postfix_str(f"iteration {last['epoch']:.0f}, {last['val_accuracy']:.1%}", refresh=False)

            def on_batch(images: int, each: int = per_image) -> None:
                bar.update(images * each)

            summary = running.train(place, row, on_batch, on_epoch, interrupted, draw_run)
            if summary is None:
                break
            found = findings.add(row, summary)
            done += work[row.model]
            bar.n = done
            bar.refresh()
            say(writing.line(found))
            writing.write(findings)
    if BEST in findings.results:
        findings.angles = running.multi_angle(checkpoint.load(place.folder / "runs" / BEST, place.device), letters.test)
    writing.write(findings)
    draw_study(findings)
    say(f"\nTables: {place.folder / 'study.md'}, study.json; figures beside them")
    if interrupted():
        print(f"Stopped; the same command goes on in {place.folder}", file=sys.stderr)
        raise SystemExit(130)


def _work(row: Row, images: int, classes: int) -> int:
    """A row's share of all there is to compute: images trained on, times parameters."""
    config = row.config
    epochs = min(config.epochs, LIKELY_EPOCHS) if config.batch_size and config.patience else config.epochs
    share = 1 - float(config.validation) if isinstance(config.validation, float) else 1.0
    return round(images * share) * epochs * writing.parameters(row, classes)
