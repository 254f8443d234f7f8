"""What a person sees of the study: a bar over all rows, a line a row."""

import sys

from tqdm import tqdm

from .. import checkpoint
from ..console import interruptible
from ..runs import Run
from . import naive, running, writing
from .rows import BEST, Row, chosen, tables
from .running import Place

LIKELY_EPOCHS = 30  # of a training that stops by itself


def follow(place: Place, only: str | None, class_weight: str, seeds: int, quick: bool) -> None:
    """Train what is not yet trained, and write what was found after each row. Ctrl-C stops at a checkpoint."""
    every, letters = tables(class_weight, seeds), place.letters
    findings = writing.Findings(place, every, class_weight, seeds, quick)
    wanted = {row.model: row for table in chosen(every, only) for row in table.rows}
    classes = len(letters.classes)
    for row in {row.model: row for table in every for row in table.rows}.values():
        if (summary := running.finished(place, row)) is not None:
            findings.add(row, summary)
    waiting = [row for row in wanted.values() if row.model not in findings.results]
    print(f"Letters  {letters.description}")
    print(f"Study    {place.folder}: {len(wanted) - len(waiting)} of {len(wanted)} rows are done", flush=True)

    if any(model.startswith("Deeper_") for model in (*wanted, *findings.results)):
        findings.failures = {start: naive.run(start, letters.train, classes, place.device) for start in naive.STARTS}
    work = {row.model: _work(row, len(letters.train), classes) for row in wanted.values()}
    done = sum(work.values()) - sum(work[row.model] for row in waiting)
    bar = tqdm(
        total=sum(work.values()),
        initial=done,
        disable=None,  # where there is no terminal
        leave=False,
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

            summary = running.train(place, row, on_batch, on_epoch, interrupted)
            if summary is None:
                break
            found = findings.add(row, summary)
            done += work[row.model]
            bar.n = done
            bar.refresh()
            with tqdm.external_write_mode():
                print(writing.line(found), flush=True)
            writing.write(findings)
    if BEST in findings.results:
        findings.angles = running.multi_angle(checkpoint.load(place.folder / "runs" / BEST, place.device), letters.test)
    writing.write(findings)
    writing.draw(findings)
    print(f"\nTables: {place.folder / 'study.md'}, study.json; figures beside them")
    if interrupted():
        print(f"Stopped; the same command goes on in {place.folder}", file=sys.stderr)
        raise SystemExit(130)


def _work(row: Row, images: int, classes: int) -> int:
    """A row's share of all there is to compute: images trained on, times parameters."""
    config = row.config
    epochs = min(config.epochs, LIKELY_EPOCHS) if config.batch_size and config.patience else config.epochs
    share = 1 - float(config.validation) if isinstance(config.validation, float) else 1.0
    return round(images * share) * epochs * writing.parameters(row, classes)
