"""A run folder: everything that one training leaves behind, and enough to go on with it elsewhere.

config.toml        all settings; train from it again with --recipe
metrics.csv        a line an epoch
events.out...      the same for TensorBoard, with --log tensorboard
best.safetensors   the network of the lowest validation loss, or without patience that of the last epoch
last.safetensors   the training state after the last epoch
parent.safetensors the network that it began with, where it went on from one
summary.json       once it has ended or diverged

The command line puts loss.png, confusion.png and misclassified.png beside them.
"""

import gc
import json
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager, suppress
from dataclasses import dataclass, field, replace
from datetime import datetime
from itertools import count
from pathlib import Path
from typing import Any

import numpy as np

from ..backends.device import Device
from ..config import Config
from ..data.letters import Examples, Letters
from ..errors import LettergpuError
from ..files import held, replacing, unwritable
from ..nn.network import Network
from . import checkpoint
from .calibration import MOST, calibrate
from .history import CSV, METRICS, SETTINGS, SUMMARY, Events, read_metrics, read_summary, require, write_metrics
from .loop import EpochReport, State, class_weights
from .metrics import Evaluation, evaluate
from .schedules import over_epochs
from .tuning import before_and_after

PARENT = "parent.safetensors"
LEFTOVERS = ".*.part"  # of a write that was killed


@contextmanager
def _unseen(images: int) -> Iterator[Callable[[int], None]]:
    yield lambda images: None


@dataclass
class Run:
    """rows: the lines of metrics.csv. state: where the training stands, None before the first epoch.

    resumed: whether it is an earlier run's folder. made_folder: whether the folder is this run's own making.
    """

    folder: Path
    config: Config
    fingerprint: str
    rows: list[dict[str, float]] = field(default_factory=list)
    state: State | None = None
    resumed: bool = False
    made_folder: bool = False
    parent: checkpoint.Checkpoint | None = None  # what it began with, where it went on from a network
    written_best: int = 0  # the epoch of the network in best.safetensors, as far as is known
    _last: checkpoint.Checkpoint | None = None  # what last.safetensors held when it was gone on with
    _events: Events | None = None  # opened with the first epoch

    @classmethod
    @contextmanager
    def create(
        cls, out: Path | None, config: Config, letters: Letters, parent: checkpoint.Checkpoint | None = None
    ) -> Iterator["Run"]:
        """A new folder, by default runs/DATE-TIME-SHAPE-ACTIVATION, that nobody else writes to meanwhile.

        parent: what it begins with, a copy of which it keeps. Raises LettergpuError if `out` holds anything.
        """
        letters.hold_out(config.validation, config.seed)  # refused before all else
        require(config.log)
        made_folder = out is None or not out.exists()
        with held(folder := _claim_folder(out, config)):
            run = cls(folder, config, letters.fingerprint, made_folder=made_folder, parent=parent)
            run._clear()
            if parent:
                checkpoint.save(folder / PARENT, parent.network, parent.config, parent.fingerprint)
            run._write_text(SETTINGS, config.to_toml())
            with closing(run):
                yield run

    @classmethod
    @contextmanager
    def resume(cls, folder: Path, changes: dict[str, Any], *, warm_restart: bool = False) -> Iterator["Run"]:
        """An earlier run as it stood after its last finished epoch, that nobody else writes to meanwhile.

        One that was killed before its first epoch is begun. changes: settings that may differ from now on.
        warm_restart: the learning rate of epochs beyond those that were planned, as `over_epochs` takes it. Raises
        LettergpuError where the run cannot go on, or not so, or another process writes to it.
        """
        try:
            is_run = (folder / checkpoint.LAST).is_file() or _is_to_begin(folder)
        except OSError as error:
            raise LettergpuError(f"--resume {folder}: it cannot be read ({error.strerror})") from error
        if not is_run:
            raise LettergpuError(f"--resume {folder}: it holds no {checkpoint.LAST}, so no epoch to go on from")
        with held(folder):
            run = cls._as_it_stands(folder, changes, warm_restart)
            require(run.config.log)
            run.parent = checkpoint.read(folder / PARENT) if run.config.parent else None
            with closing(run):
                yield run

    @classmethod
    def _as_it_stands(cls, folder: Path, changes: dict[str, Any], warm_restart: bool) -> "Run":
        path = folder / checkpoint.LAST
        if not path.is_file():
            config = _gone_on(folder, Config.from_file(folder / SETTINGS), None, changes, warm_restart)
            return cls(folder, config, "", resumed=True)
        last = checkpoint.read(path)
        if last.state is None:
            raise LettergpuError(f"--resume {folder}: {path} holds a network but no training state")
        if last.draws != checkpoint.DRAWS:
            raise LettergpuError(
                f"--resume {folder}: another version of lettergpu drew its orders and distortions in another way, so "
                f"its training cannot go on as it began; begin it again with --recipe {folder / SETTINGS}"
            )
        rows = read_metrics(folder / CSV, last.state.epoch)
        config = _gone_on(folder, last.config, last.state, changes, warm_restart)
        return cls(folder, config, last.fingerprint, rows, last.state, resumed=True, _last=last)

    def go_on_with(self, letters: Letters) -> None:
        """Take up an earlier run again. Raises LettergpuError if it was trained on other letters so far."""
        if self.state is None:
            letters.hold_out(self.config.validation, self.config.seed)  # refused before all else
            self.fingerprint = letters.fingerprint
        elif letters.fingerprint != self.fingerprint:
            raise LettergpuError(
                f"--resume {self.folder}: it was trained on other letters than {letters.description}; "
                "name its own with --data"
            )
        self.config = replace(self.config, **letters.settings)
        self._clear()
        self._write_text(SETTINGS, self.config.to_toml())
        if self._last and self._last.config != self.config:  # killed at once, it goes on as is said now
            kept = self._last.network, self.config, self.fingerprint, self.state
            checkpoint.save(self.folder / checkpoint.LAST, *kept)

    def _clear(self) -> None:
        for leftover in self.folder.glob(LEFTOVERS):
            leftover.unlink()

    def discard(self) -> None:
        """Take back a run that came to no epoch: what it wrote, and the folder if it made it; not an earlier run's."""
        if self.resumed:
            return
        for name in (SETTINGS, CSV, checkpoint.BEST, PARENT):
            (self.folder / name).unlink(missing_ok=True)
        if self.made_folder:
            self.folder.rmdir()

    def record(self, report: EpochReport, *, write: bool = True) -> None:
        """Write what an epoch came to, or keep it until the next call that does.

        A crash before `last` is written makes the epochs since the one before it run again; after it, nothing is lost:
        `best` follows from it.
        """
        self.rows.append({name: getattr(report, name) for name in METRICS})
        self.state = report.state
        if write:
            self.write(report.network)

    def write(self, network: Network) -> None:
        """Write all that is recorded. network: what the state's parameters belong to."""
        assert self.state is not None
        (self.folder / SUMMARY).unlink(missing_ok=True)  # that of fewer epochs: it says that a run has ended
        write_metrics(self.folder / CSV, self.rows)
        identity = network, self.config, self.fingerprint, self.state
        checkpoint.save(self.folder / checkpoint.LAST, *identity)
        if self.state.best_epoch > self.written_best:
            checkpoint.save(self.folder / checkpoint.BEST, *identity, best=True)
            self.written_best = self.state.best_epoch
        if self.config.log == "tensorboard":
            self._events = self._events or Events(self.folder, self.rows)
            self._events.write(self.rows)

    def close(self) -> None:
        """Let go of the files that are kept open."""
        if self._events:
            self._events.close()

    def diverged(self) -> None:
        """Say in summary.json that the loss was no number in the next epoch, until that is got over."""
        assert self.state is not None
        known = {
            "epochs": self.state.epoch,
            "best_epoch": self.state.best_epoch,
            "data": {"fingerprint": self.fingerprint},
        }
        with suppress(LettergpuError):  # damaged
            known |= read_summary(self.folder / SUMMARY) or {}
        self._write_text(SUMMARY, json.dumps(known | {"diverged": self.state.epoch + 1}, indent=2) + "\n")

    def finish(
        self,
        letters: Letters,
        device: Device,
        *,
        evaluating: Callable[[int], Any] = _unseen,
        draw: Callable[["Run", Examples, Network, Evaluation], None] = lambda *answered: None,
    ) -> dict[str, Any]:
        """Evaluate the best network, write summary.json, and return the summary.

        evaluating: a context around all evaluations, made from their number of images; what it yields is called with
        each batch's. draw: is given the run, the test letters, the network and its answers to them, before summary.json
        is written, which says that a run has ended.
        """
        assert self.state is not None
        gc.collect()  # what trained refers to itself, and would keep its letters and its frames until much later
        last = checkpoint.read(self.folder / checkpoint.LAST, device).network
        network = last.with_parameters(self.state.best_parameters).folded()
        network.views = self.config.views
        rows, held = letters.hold_out(self.config.validation, self.config.seed)
        if self.config.calibrate:
            counts = class_weights(letters.train.labels[rows], len(letters.classes), self.config.class_weight)
            some = letters.train.take(np.sort(held)[:: len(held) // MOST + 1])
            calibrate(network, some.images, some.labels, counts)
        checkpoint.save(self.folder / checkpoint.BEST, network, self.config, self.fingerprint)
        learnt, validated = (letters.train.take(np.sort(part)) for part in (rows, held))  # as they lie in the file
        parts = {"train": learnt, "validation": validated, "test": letters.test}
        alone = [(network.member(number), letters.test) for number in range(network.members) if network.members > 1]
        told = before_and_after(letters, self.parent.network, network) if self.parent else {}
        asked = [*((network, part) for part in parts.values()), *alone, *told.values()]
        with evaluating(sum(len(part) for _, part in asked)) as on_batch:
            results = [evaluate(each, part.images, part.labels, on_batch) for each, part in asked]
        scores = [result.scores() for result in results]
        summary: dict[str, Any] = dict(zip(parts, scores, strict=False))
        if alone:
            summary["members"] = scores[len(parts) :][: len(alone)]
        summary |= dict(zip(reversed(told), reversed(scores), strict=False))
        summary |= {
            "parameters": int(network.parameters.shape[0]),
            "epochs": self.state.epoch,
            "best_epoch": self.state.best_epoch,
            "seconds": round(sum(row["seconds"] for row in self.rows), 3),
            "device": device.name,
            "data": {"source": letters.source, "description": letters.description, "fingerprint": letters.fingerprint}
            | {f"{name}_images": len(part) for name, (_, part) in told.items()}
            | {f"{name}_images": len(part) for name, part in parts.items()},
        }
        draw(self, letters.test, network, results[list(parts).index("test")])
        self._write_text(SUMMARY, json.dumps(summary, indent=2) + "\n")
        return summary

    def _write_text(self, name: str, text: str) -> None:
        with replacing(self.folder / name) as partial:
            partial.write_text(text, encoding="utf-8")


def _claim_folder(out: Path | None, config: Config) -> Path:
    """Make the folder of a new run, so that no other run can take it."""
    shape = "-".join(map(str, config.hidden)) or "perceptron"
    name = f"{datetime.now():%Y%m%d-%H%M%S}-{shape}-{config.activation}"
    for number in count(1):
        folder = out or Path("runs") / (name if number == 1 else f"{name}-{number}")
        try:
            folder.mkdir(parents=True)
        except FileExistsError:
            if out and (not out.is_dir() or {*out.iterdir()} - {*out.glob(LEFTOVERS)}):
                hint = f", or go on with --resume {out}" if (out / SETTINGS).is_file() else ""
                raise LettergpuError(f"--out {out}: it exists already; choose another{hint}") from None
            if not out:
                continue
        except OSError as error:
            raise unwritable(folder, error) from error
        return folder
    raise AssertionError


def _is_to_begin(folder: Path) -> bool:
    """Whether a run was killed there before its first epoch: its settings are there, and nothing that it trained."""
    trained = (checkpoint.LAST, checkpoint.BEST, SUMMARY)
    return (folder / SETTINGS).is_file() and not any((folder / name).exists() for name in trained)


def _gone_on(folder: Path, config: Config, state: State | None, changes: dict[str, Any], warm_restart: bool) -> Config:
    """The settings with which a run goes on. Raises LettergpuError where they ask for what it cannot do."""
    epochs = changes.get("epochs", config.epochs)
    if state is None:
        if warm_restart:
            raise LettergpuError(f"--warm-restart: {folder} has not begun yet; leave it out")
        return replace(config, **changes)
    if epochs < state.epoch:
        raise LettergpuError(f"--epochs {epochs}: {folder} has done {state.epoch} already; give more, or leave it out")
    if warm_restart and epochs <= config.epochs:
        raise LettergpuError(f"--warm-restart: say how far with --epochs, beyond the {config.epochs} of {folder}")
    after = replace(over_epochs(config, epochs, warm_restart=warm_restart), **changes)
    if epochs > config.epochs and state.finished(after):
        raise LettergpuError(
            f"--epochs {epochs}: {folder} has ended by its patience, {state.epoch - state.best_epoch} epochs after its "
            "lowest validation loss; give a --patience above that, or 0 for none"
        )
    return after
