"""Each row is a training with a run folder; what is finished is kept, what was begun goes on."""

import json
import shutil
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from ..backends.device import Device
from ..config import Config
from ..data import SIDE
from ..data.letters import Examples, Letters
from ..errors import LettergpuError
from ..files import held, replacing
from ..nn.losses import LOSSES
from ..nn.network import CHUNK, Network
from ..nn.pixels import assemble
from ..nn.warps import rotations
from ..training import checkpoint
from ..training.history import SETTINGS, SUMMARY, read_summary
from ..training.loop import Diverged, fit
from ..training.runs import Run
from .rows import Row

EVERY = 10.0  # seconds between two checkpoints: an iteration may take a tenth of one
ANGLES = (-10.0, -5.0, 0.0, 5.0, 10.0)  # degrees, of the copies of multi-angle prediction


@dataclass(frozen=True)
class Place:
    """folder: of the whole study. letters: what all rows train on."""

    folder: Path
    letters: Letters
    device: Device

    def of(self, row: Row) -> Path:
        return self.folder / "runs" / row.model


def tenth(letters: Letters) -> Letters:
    """Every tenth training letter, and the same test letters."""
    train = letters.train.take(np.arange(0, len(letters.train), 10))
    return replace(letters, train=train, description=f"a tenth of {letters.description}")


def finished(place: Place, row: Row) -> dict[str, Any] | None:
    """A row's summary, if it has been trained. Raises LettergpuError if the folder holds another training."""
    folder = place.of(row)
    if not (folder / SETTINGS).is_file():
        return None
    config = Config.from_file(folder / SETTINGS)
    where = {name: getattr(row.config, name) for name in ("data", "orientation", "test", "device")}
    same = replace(config, **where) == row.config
    summary = read_summary(folder / SUMMARY)
    if not same or (summary and summary["data"]["fingerprint"] != place.letters.fingerprint):
        raise LettergpuError(f"{folder} is of other letters or settings: name another --out")
    return summary


def train(
    place: Place,
    row: Row,
    on_batch: Callable[[int], None],
    on_epoch: Callable[[Run], None],
    interrupted: Callable[[], bool],
    draw: Callable[..., None] = lambda *answered: None,
) -> dict[str, Any] | None:
    """Train a row to its end and return its summary; None if interrupted, after a checkpoint.

    The summary of a training whose loss became NaN says so: "diverged", the epoch in which it did. draw: as
    `Run.finish` takes it.
    """
    with _begun(place, row) as run:
        written, diverged, report = time.monotonic(), None, None
        try:
            for report in fit(run.config, place.letters, device=place.device, state=run.state, on_batch=on_batch):
                stop, done = interrupted(), report.state.finished(run.config)
                write = stop or done or time.monotonic() - written > EVERY
                run.record(report, write=write)
                on_epoch(run)
                if write:
                    written = time.monotonic()
                if stop and not done:
                    return None
        except Diverged:
            diverged = (run.state.epoch if run.state else 0) + 1
            if report is not None:
                run.write(report.network)
        if run.state is None:  # not one epoch
            data = {"fingerprint": place.letters.fingerprint}
            summary: dict[str, Any] = {"seconds": 0.0, "epochs": 0, "data": data}
        else:
            summary = run.finish(place.letters, place.device, draw=draw)
        if diverged:
            summary["diverged"] = diverged
            with replacing(run.folder / SUMMARY) as partial:
                partial.write_text(json.dumps(summary, indent=2) + "\n", encoding="utf-8")
        return summary


@contextmanager
def _begun(place: Place, row: Row) -> Iterator[Run]:
    """The row's run, as far as it has come; a new one if that is before its first checkpoint, or drawn otherwise."""
    folder, config = place.of(row), replace(row.config, **place.letters.settings)
    last = folder / checkpoint.LAST
    if last.is_file() and checkpoint.read(last).draws == checkpoint.DRAWS:
        with Run.resume(folder, {}) as run:
            run.go_on_with(place.letters)
            yield run
        return
    if folder.is_dir():
        with held(folder):
            shutil.rmtree(folder, ignore_errors=True)
    with Run.create(folder, config, place.letters) as run:
        yield run


def multi_angle(network: Network, test: Examples) -> dict[str, float]:
    """Test accuracy of the probabilities averaged over turned copies of each image, and of the image as it is."""
    xp, place, dtype = network.device.namespace, network.device, network.parameters.dtype
    right = {"upright": 0, "averaged": 0}
    probabilities = LOSSES[network.loss].probabilities
    for start in range(0, len(test), CHUNK):
        part = test.take(np.arange(start, min(start + CHUNK, len(test))))
        images, rows = place.put(np.asarray(part.flat)), xp.arange(len(part), device=place.handle)
        labels, total = place.put(part.labels), 0.0
        for angle in ANGLES:
            maps = rotations(np.full(len(part), np.radians(angle)), SIDE, SIDE)
            x = assemble(images, rows, xp.astype(place.put(maps), dtype), dtype)
            given = probabilities(network.forward(x))
            total = total + given
            if angle == 0:
                right["upright"] += int(xp.sum(xp.astype(xp.argmax(given, axis=-1) == labels, xp.int64)))
        right["averaged"] += int(xp.sum(xp.astype(xp.argmax(total, axis=-1) == labels, xp.int64)))
    return {name: count / len(test) for name, count in right.items()}


def result(row: Row, table: str, summary: dict[str, Any], parameters: int) -> dict[str, Any]:
    """A line of study.json; accuracies in percent."""
    measured = {
        f"measured_{part}": 100 * summary[part]["top1"] if part in summary else None
        for part in ("train", "validation", "test")
    }
    published = {f"published_{part}": row.published.get(part) for part in ("train", "validation", "test")}
    test = summary.get("test", {})
    return {
        "model": row.model,
        "table": table,
        "parameters": parameters,
        **published,
        **measured,
        "measured_top2": 100 * test["top2"] if test else None,
        "measured_top5": 100 * test["top5"] if test else None,
        "seconds": summary["seconds"],
        "iterations": summary["epochs"],
        "best_iteration": summary.get("best_epoch"),
        "diverged": summary.get("diverged"),
        "settings": asdict(replace(row.config, data="", device="auto")),
    }
