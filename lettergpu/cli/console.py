"""What a person reads: what is trained, tables of scores, of letters, of what was read."""

import json
import shlex
import statistics
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Literal

import numpy as np

from ..config import Config, option
from ..data.letters import Letters
from ..errors import LettergpuError
from ..files import as_text
from ..nn.network import parameter_count
from ..reading.truth import Count, Truth, count
from ..training.history import Record
from ..training.metrics import TOP
from ..training.runs import Run

DOWNLOAD_HINT = "for real handwriting: lettergpu data download (562 MB), or --data DIR"


def answer(table: Any, as_json: bool, show: Callable[[], None], alone: str | Literal[False] = False) -> None:
    """What a command came to, as JSON, or shown; or the answer alone, where that is all that is wanted."""
    if as_json:
        print(json.dumps(table, indent=2))
    elif alone is False:
        show()
    else:
        print(alone)


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
    if config.parent:
        print(f"From     {config.parent}")
    if config.cycles:
        print(f"Rate     {_courses(config)}")
    print(f"Run      {run.folder}", flush=True)


def _courses(config: Config) -> str:
    """Over which epochs the learning rate follows its schedule, where that is not over all of them."""
    begins, ends = config.cycles[::2], config.cycles[1::2]
    courses = ", ".join(f"{begin + 1} to {end}" for begin, end in zip(begins, ends, strict=True))
    rest = "" if config.epochs == ends[-1] else ", as it was then" if config.epochs > ends[-1] else ", but only"
    return f"{config.schedule} over epochs {courses}" + (rest and f"{rest} to epoch {config.epochs}")


def scores(summary: dict[str, Any], run: Run) -> None:
    """The final table of a training."""
    print(f"\n{'':12}{'images':>8}{'loss':>9}" + "".join(f"{f'top-{k}':>9}" for k in TOP))
    for part in ("train", "validation", "test"):
        row = summary[part]
        images = summary["data"][f"{part}_images"]
        print(f"{part:12}{images:8,}{row['loss']:9.4f}" + "".join(f"{row[f'top{k}']:9.2%}" for k in TOP))
    print(end="\n" if "old" in summary else "")
    for part, kind in (("test", "your test letters"), ("old", "letters of the old kind")):
        if part in summary and f"{part}_before" in summary:
            before, after = summary[f"{part}_before"]["top1"], summary[part]["top1"]
            images = summary["data"][f"{part}_images"]
            print(f"{images:,} {kind}: {before:.2%} right before, {after:.2%} now")
    if alone := [member["top1"] for member in summary.get("members", ())]:
        average, spread = statistics.mean(alone), statistics.stdev(alone)
        print(f"\nEach of the {len(alone)} networks alone: {average:.2%} of the test letters, ± {spread:.2%}")
    print(
        f"\nEpoch {summary['best_epoch']} of {summary['epochs']}, in {summary['seconds']:.0f} s. "
        f"Letters: {summary['data']['description']}"
    )
    print(f"Run folder: {run.folder} (best.safetensors, loss.png, confusion.png, misclassified.png)")
    print(f"Test it again: lettergpu evaluate {shlex.quote(str(run.folder))}")


def runs(found: Sequence[tuple[str, Record | LettergpuError]]) -> None:
    """A line a run, by its name; of one that tells nothing, why."""
    rows = [(name, *((str(told),) if isinstance(told, LettergpuError) else _row(told))) for name, told in found]
    titles = ("run", "changed", "network", "letters", "epochs", "right", "")
    whole = [row for row in (titles, *rows) if len(row) == len(titles)]
    widths = [max(map(len, column)) for column in zip(*whole, strict=True)]
    widths[0] = max(len(row[0]) for row in (titles, *rows))
    for row in (titles, *rows):
        cells = (f"{cell:{width}}" for cell, width in zip(row, widths, strict=False))
        print(" ".join("  ".join(cells).rstrip().splitlines()))


def _row(run: Record) -> tuple[str, ...]:
    """Its cells: when, what, on which letters, how far, how good, and how it stands."""
    config, (part, share) = run.config, accuracy(run)
    alike = f"{config.ensemble} x " if config.ensemble > 1 else ""
    network = (
        f"{alike}{'-'.join(map(str, config.hidden))} {config.activation}" if config.hidden else f"{alike}perceptron"
    )
    letters = Path(config.data).name + (f", {config.split}" if config.split != Config.split else "")
    right = "" if share is None else f"{share:.2%} of {part}"
    return f"{run.changed:%Y-%m-%d %H:%M}", network, letters, f"{run.epochs} of {config.epochs}", right, run.status


def accuracy(run: Record) -> tuple[str, float | None]:
    """The share that it answered right, and of which letters: the test letters, before the end the validation ones."""
    tested = run.score("test", "top1")
    return ("validation", run.kept.get("val_accuracy")) if tested is None else ("test", tested)


def legend(records: Sequence[Record], differing: dict[str, list[Any]]) -> list[str]:
    """What tells runs apart: their settings that differ, or their names where that is not enough."""
    every = [[f"{_label(name)} {_shown(values[i])}" for name, values in differing.items()] for i in range(len(records))]
    texts = [", ".join(each) for each in every]
    if len(set(texts)) == len(texts):
        return texts
    return [", ".join([record.folder.name, *each]) for record, each in zip(records, every, strict=True)]


def comparison(records: Sequence[Record], differing: dict[str, list[Any]], plot: Path) -> None:
    """Settings that differ and scores, a column a run. plot: where their curves are."""
    for number, record in enumerate(records, 1):
        print(f"{number:3}  {record.folder}")
    rows = [("", *map(str, range(1, len(records) + 1)))]
    rows += [(_label(name), *map(_shown, values)) for name, values in differing.items()]
    rows += [(title, *map(cell, records)) for title, cell in CELLS.items()]
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    print()
    for title, *cells in rows:
        print(
            f"{title:{widths[0]}}",
            *(f"{cell:>{width}}" for cell, width in zip(cells, widths[1:], strict=True)),
            sep="   ",
        )
    if len({record.summary["data"]["fingerprint"] for record in records if record.summary}) > 1:
        print("\nThey were not trained on the same letters.")
    print(f"\nCurves: {plot}")


def _label(name: str) -> str:
    """What a setting is called in tables."""
    return option(name).removeprefix("--")


def _shown(value: Any) -> str:
    """The value of a setting, as the command line takes it."""
    return ",".join(map(_shown, value)) or "none" if isinstance(value, tuple) else str(value)


def _scored(part: str, name: str, form: str) -> Callable[[Record], str]:
    """What shows one of the scores of runs."""
    return lambda run: "-" if (score := run.score(part, name)) is None else f"{score:{form}}"


CELLS: dict[str, Callable[[Record], str]] = {  # what is laid beside each other of runs, by its title
    "epochs done": lambda run: f"{run.epochs} of {run.config.epochs}",
    "state": lambda run: run.status,
    "seconds": lambda run: f"{sum(row['seconds'] for row in run.rows):.0f}",
    "validation loss": lambda run: f"{run.kept['val_loss']:.4f}",
    "validation accuracy": lambda run: f"{run.kept['val_accuracy']:.2%}",
    "test loss": _scored("test", "loss", ".4f"),
    **{f"test top-{k}": _scored("test", f"top{k}", ".2%") for k in TOP},
    "calibration error": _scored("test", "calibration_error", ".2%"),
}


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


def reading_table(table: dict[str, Any], quiet: bool, *, named: bool) -> None:
    """What was read in a picture: its text, and each letter with the likeliest ones.

    quiet: the text alone, behind the picture's name if it is to be `named`.
    """
    name = f"{table['file']}:" + ("\n" if "\n" in table["text"] else " ")
    print((name if named or not quiet else "") + table["text"])
    if quiet:
        return
    if table["turned"]:
        print(f"   read with the picture turned by {table['turned']} degrees, counter-clockwise")
    if table["warning"]:
        print(f"   {table['warning']}")
    print(f"   {'':6}{'left':>6}{'top':>6}{'right':>7}{'bottom':>8}   likeliest")
    for letter in table["letters"]:
        left, top, right, bottom = letter["box"]
        likeliest = "   ".join(f"{guess['letter']} {guess['probability']:5.1%}" for guess in letter["top"])
        print(f"   {letter['top'][0]['letter']:6}{left:6}{top:6}{right:7}{bottom:8}   {likeliest}")


def reading_score(tables: list[dict[str, Any]], truths: dict[str, Truth], as_json: bool, quiet: bool) -> None:
    """What was read of each picture whose truth is known, and how much of all of them, kind by kind.

    quiet: the latter alone.
    """
    totals: dict[str, Count] = {}
    told = [(table, truth) for table in tables if (truth := truths.get(Path(table["file"]).name))]
    rows = []
    for table, truth in told:
        counted = count(truth.text, table["text"])
        for kind in dict.fromkeys((truth.kind or "all", "all")):
            totals[kind] = totals.get(kind, Count()) + counted
        rows.append(table | {"truth": truth.text, "right": counted.right, "extra": counted.extra})
        if not (as_json or quiet):
            text, expected = (" ".join(part.split()) for part in (table["text"], truth.text))
            print(f"{table['file']}: {counted.right} of {counted.letters}   {expected}   read as   {text}")
    if as_json:
        print(json.dumps({"pictures": rows, "score": {kind: each.table() for kind, each in totals.items()}}, indent=2))
        return
    print(f"\n{'':16}{'pictures':>9}{'letters right':>20}{'not there':>11}{'words whole':>16}")
    for kind in sorted(totals, key="all".__eq__):
        each = totals[kind]
        right, whole = f"{each.right} of {each.letters}", f"{each.whole} of {each.words}"
        print(f"{kind:16}{each.pictures:9}{right:>20}{each.extra:11}{whole:>16}")
    if len(told) < len(tables):
        print(f"\n{len(tables) - len(told)} more of the pictures, whose truth is not told, not counted")


def counted(letters: Letters, checksums: dict[Path, tuple[str, str]]) -> dict[str, Any]:
    """What `data info` tells programs."""
    parts = {"train": letters.train, "test": letters.test}
    each = {name: np.bincount(part.labels, minlength=len(letters.classes)) for name, part in parts.items()}
    return {
        "description": letters.description,
        "source": letters.source,
        "found": letters.found,
        "classes": {name: {of: int(each[of][label]) for of in each} for label, name in enumerate(letters.classes)},
        **{name: len(part) for name, part in parts.items()},
        "files": {as_text(path): {"sha256": digest, "verdict": said} for path, (digest, said) in checksums.items()},
    }


def counts(letters: Letters, checksums: dict[Path, tuple[str, str]]) -> None:
    """The tables of `data info`."""
    print(letters.description)
    if letters.source == "builtin":
        print(DOWNLOAD_HINT)
    for about, said in letters.found.items():
        print(f"   {about:13}{said}")
    print(f"\n{'class':>6}{'train':>9}{'test':>9}")
    for label, name in enumerate(letters.classes):
        print(f"{name:>6}{(letters.train.labels == label).sum():9,}{(letters.test.labels == label).sum():9,}")
    print(f"{'all':>6}{len(letters.train):9,}{len(letters.test):9,}")
    for path, (digest, verdict) in checksums.items():
        print(f"\n{path.name}: {verdict}\n   sha256 {digest}")
