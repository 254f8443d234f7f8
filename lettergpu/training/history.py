"""What each epoch came to: a line of metrics.csv, and with --log tensorboard the same as TensorBoard's events."""

import csv
import math
import time
from collections.abc import Sequence
from contextlib import suppress
from importlib.util import find_spec
from itertools import pairwise
from pathlib import Path
from typing import Any

from ..errors import LettergpuError, brief
from ..files import replacing, unwritable

METRICS = ("epoch", "train_loss", "train_accuracy", "val_loss", "val_accuracy", "learning_rate", "seconds")
TAGS = {  # what TensorBoard calls them: one chart for those of a word before the stroke
    "train_loss": "loss/train",
    "val_loss": "loss/validation",
    "train_accuracy": "accuracy/train",
    "val_accuracy": "accuracy/validation",
    "learning_rate": "learning_rate",
    "seconds": "seconds",
}
CSV = "metrics.csv"
EVENTS = "events.out.tfevents."  # what TensorBoard knows its files by
LINE = 200  # bytes of a line of metrics.csv, at most


def write_metrics(path: Path, rows: Sequence[dict[str, float]]) -> None:
    """Write metrics.csv."""
    with replacing(path) as partial, partial.open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(METRICS)
        writer.writerows([f"{row[name]:.8g}" for name in METRICS] for row in rows)


def read_metrics(path: Path, epochs: int) -> list[dict[str, float]]:
    """The lines of metrics.csv up to that epoch, without what a crash or a copy broke off: a last line without its end.

    So later runs may find lines left out. Raises LettergpuError for any other content.
    """
    try:
        with path.open("rb") as file:
            header, _, text = file.read(LINE * (epochs + 1)).decode().partition("\n")
        if header.rstrip() != ",".join(METRICS):
            raise ValueError(f"it does not begin with {','.join(METRICS)}")
        lines = csv.DictReader(text.split("\n")[:-1][:epochs], METRICS)
        rows = [{name: _finite(line[name]) for name in METRICS} for line in lines]
        if not all(a < b for a, b in pairwise([0, *(row["epoch"] for row in rows), epochs + 1])):
            raise ValueError(f"its lines are not in the order of the epochs 1 to {epochs}")
    except (OSError, TypeError, ValueError, csv.Error) as error:
        advice = f"copy it anew, or begin again with --recipe {path.with_name('config.toml')}"
        raise LettergpuError(f"{path} is missing or damaged: {brief(error)}; {advice}") from error
    return rows


def _finite(text: str) -> float:
    if not math.isfinite(number := float(text)):
        raise ValueError(f"{text} is no number")
    return number


def require(log: str) -> None:
    """Raises LettergpuError where what a log is written with is not installed."""
    if log == "tensorboard" and not find_spec("tensorboard"):
        raise LettergpuError("--log tensorboard: it needs TensorBoard: pip install 'lettergpu[tensorboard]'")


class Events:
    """The event file that TensorBoard follows a run by. It has all epochs, also those that an earlier process wrote.

    So no step is there twice, whatever a crash left. Events and records are tensorboard's own, but for the thread that
    it would write them in: its errors reach nobody.
    """

    def __init__(self, folder: Path, rows: Sequence[dict[str, float]]) -> None:
        """rows: the epochs that `write` will be given first; their seconds say when they were."""
        from tensorboard.compat.proto.event_pb2 import SessionLog
        from tensorboard.summary.writer.record_writer import RecordWriter

        self.path, self.written = folder / f"{EVENTS}{time.time_ns()}", 0
        self.time = time.time() - sum(row["seconds"] for row in rows)
        try:
            _forget(folder)
            self.file = RecordWriter(self.path.open("wb"))
        except OSError as error:
            raise unwritable(self.path, error) from error
        self._add(file_version="brain.Event:2")
        self._add(session_log=SessionLog(status=SessionLog.START), step=1)  # a TensorBoard that is open forgets

    def _add(self, **what: Any) -> None:
        from tensorboard.compat.proto.event_pb2 import Event

        self.file.write(Event(wall_time=self.time, **what).SerializeToString())

    def write(self, rows: Sequence[dict[str, float]]) -> None:
        """Write those of all epochs so far that it does not hold yet."""
        from tensorboard.compat.proto.summary_pb2 import Summary

        try:
            for row in rows[self.written :]:
                self.time += row["seconds"]
                values = [Summary.Value(tag=tag, simple_value=row[name]) for name, tag in TAGS.items()]
                self._add(step=int(row["epoch"]), summary=Summary(value=values))
            self.file.flush()
        except OSError as error:
            raise unwritable(self.path, error) from error
        self.written = len(rows)

    def close(self) -> None:
        """Close the file; what could not be written to it was told before."""
        with suppress(OSError):
            self.file.close()


def _forget(folder: Path) -> None:
    """Empty the event files of before. The last one stays: a TensorBoard that has it open moves on from its end."""
    paths = sorted(folder.glob(f"{EVENTS}*"))
    for path in paths[:-1]:
        path.unlink()
    for path in paths[-1:]:
        path.write_bytes(b"")
