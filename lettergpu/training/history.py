"""What a training came to: a line an epoch in metrics.csv, the same for TensorBoard, and what a run folder tells."""

import csv
import math
import time
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass
from datetime import datetime
from importlib.util import find_spec
from itertools import pairwise
from pathlib import Path
from typing import Any

from ..backends.libraries import installing
from ..config import Config
from ..errors import LettergpuError, brief
from ..files import as_text, is_held, read_json, replacing, unwritable
from .checkpoint import LAST

METRICS = ("epoch", "train_loss", "train_accuracy", "val_loss", "val_accuracy", "learning_rate", "seconds")
TAGS = {  # what TensorBoard calls them: one chart for those of a word before the stroke
    "train_loss": "loss/train",
    "val_loss": "loss/validation",
    "train_accuracy": "accuracy/train",
    "val_accuracy": "accuracy/validation",
    "learning_rate": "learning_rate",
    "seconds": "seconds",
}
SETTINGS, CSV, SUMMARY = "config.toml", "metrics.csv", "summary.json"
MOST_SUMMARY = 1_000_000  # bytes of a summary.json
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
        raise LettergpuError(f"--log tensorboard: it needs TensorBoard: {installing('tensorboard')}")


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


@dataclass(frozen=True)
class Record:
    """What a run folder tells of its training, without its letters and networks.

    rows: the lines of metrics.csv. summary: {} before it has ended. changed: when it last came to an epoch.
    status: running, finished, interrupted, or diverged.
    """

    folder: Path
    config: Config
    rows: list[dict[str, float]]
    summary: dict[str, Any]
    changed: datetime
    status: str

    @classmethod
    def read(cls, folder: Path) -> "Record":
        """That of a folder. Raises LettergpuError where it holds no run, or a damaged one."""
        try:
            if not (folder / SETTINGS).is_file():
                raise LettergpuError(f"{folder} holds no {SETTINGS}, so it is no run")
            config, summary = Config.from_file(folder / SETTINGS), read_summary(folder / SUMMARY) or {}
            begun = any((folder / name).exists() for name in (CSV, LAST))
            rows = read_metrics(folder / CSV, config.epochs) if begun else []
            changed = datetime.fromtimestamp((folder / (CSV if rows else SETTINGS)).stat().st_mtime)
            return cls(folder, config, rows, summary, changed, _status(folder, config, summary))
        except OSError as error:
            raise LettergpuError(f"{folder}: it cannot be read ({error.strerror})") from error

    @property
    def epochs(self) -> int:
        """How many are done."""
        return int(self.rows[-1]["epoch"]) if self.rows else 0

    @property
    def kept(self) -> dict[str, float]:
        """The line of the epoch whose network is kept, {} before the first."""
        of = self.rows if self.config.patience else self.rows[-1:]
        return min(of, key=lambda row: row["val_loss"], default={})

    def score(self, part: str, name: str) -> float | None:
        """One of those in summary.json, such as top1 of test."""
        score: float | None = self.summary.get(part, {}).get(name)
        return score

    def table(self) -> dict[str, Any]:
        """All of it that a program may ask for."""
        return {
            "run": as_text(self.folder),
            "changed": self.changed.isoformat(timespec="seconds"),
            "status": self.status,
            "epochs": self.epochs,
            "planned_epochs": self.config.epochs,
            "validation_loss": self.kept.get("val_loss"),
            "validation_accuracy": self.kept.get("val_accuracy"),
            "summary": self.summary,
            "settings": asdict(self.config),
        }


def differences(records: Sequence[Record]) -> dict[str, list[Any]]:
    """The settings in which runs differ, each with its values, but for what is logged of them."""
    tables = [asdict(record.config) for record in records]
    values = {name: [table[name] for table in tables] for name in tables[0] if name != "log"}
    return {name: every for name, every in values.items() if any(value != every[0] for value in every)}


def _status(folder: Path, config: Config, summary: dict[str, Any]) -> str:
    """How a run stands."""
    if is_held(folder):
        return "running"
    if "diverged" in summary:
        return "diverged"
    ended = "test" in summary and config.ended(summary["epochs"], summary.get("best_epoch", 0))
    return "finished" if ended else "interrupted"


def read_summary(path: Path) -> dict[str, Any] | None:
    """What `Run.finish` or `Run.diverged` wrote, if one did. Raises LettergpuError for anything else."""
    try:
        summary: dict[str, Any] = read_json(path, MOST_SUMMARY)
        for part in {"train", "validation", "test"} & summary.keys():
            summary[part] = {name: float(score) for name, score in summary[part].items()}
        if not isinstance(summary["data"]["fingerprint"], str):
            raise ValueError("it does not name its letters")
        for name in {"epochs"} | {"best_epoch"} & summary.keys():  # there is no best where the first one diverged
            summary[name] = int(summary[name])
    except FileNotFoundError:
        return None
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise LettergpuError(f"{path} is damaged ({brief(error)}): remove it, and go on with the run") from error
    return summary
