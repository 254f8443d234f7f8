"""Whether a training that was killed, and gone on with, ends where it would have ended: bit for bit.

python bench/robust/kills.py [--kills 200] [--seed 0] [--json FILE|-]

Small trainings, every other one of an ensemble, are killed a few times each, while they start, while they train, and
while the network is tested and the pictures are drawn: by a signal (SIGINT once, or twice as who has no patience), or
because from then on no file of theirs may grow, as on a full disk. Then each runs to its end, and its folder is
compared with that of one that nobody disturbed, but for the seconds that it took. Kinds, places and moments of training
N follow from the seed and N; the moment is one of what such a training usually takes, so it falls a little elsewhere
each time. Fault: a folder that differs, an exit code that the kind does not have, a traceback. Folders that differ lie
beside the results, in a folder FILE-faults. The exit code is 1 where there is a fault.
"""

import argparse
import collections
import csv
import itertools
import json
import os
import resource
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from random import Random
from typing import Any

import numpy as np
from PIL import Image

sys.path.append(str(Path(__file__).parents[1] / "speed"))

from formats import idx_files
from rounds import publish  # of speed/

import lettergpu
from lettergpu.files import read_tensors

PACKAGE = str(Path(lettergpu.__file__).parent)
COMMAND = [sys.executable, "-m", "lettergpu"]
EPOCHS = 20
SETTINGS = ["--device", "cpu", "--hidden", "16", "--batch-size", "2", "--epochs", str(EPOCHS), "--patience", "19"]
TRAININGS = {"one network": [], "ensemble": ["--ensemble", "2"]}
CODES = {"SIGKILL": -9, "SIGTERM": -15, "SIGINT": 130, "full disk": 2}
EARLY = 1, -2  # of Python's own, where SIGINT comes before the command has begun
PLACES = ("starting", "training", "drawing")
MOST_KILLS = 12  # of a training
MOST_BYTES = 160_000  # that a file may have on a full disk: as many as the largest that a training writes
HANGS = 300.0  # seconds


@dataclass(frozen=True, order=True)
class Moment:
    """epoch: as many are to be done; it is past them where the training was. share: of the seconds that follow."""

    epoch: int
    place: str
    share: float
    kind: str


@dataclass(frozen=True)
class Kill:
    """place: where it fell, of PLACES. resumed: whether the training had been killed before. fault: "" for none."""

    kind: str
    place: str
    training: str
    resumed: bool
    fault: str


class Process:
    """A training that is begun, or gone on with where its folder has settings; it tells how far it is."""

    def __init__(self, folder: Path, data: Path, training: str):
        rows = (folder / "metrics.csv").read_text().count("\n") if (folder / "metrics.csv").exists() else 1
        self.headed, self.epoch = False, rows - 1
        begun = [*SETTINGS, *TRAININGS[training], "--data", str(data), "--out", str(folder)]
        how = ["--resume", str(folder)] if (folder / "config.toml").exists() else begun
        self.process = subprocess.Popen(
            [*COMMAND, "train", *how], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
        )
        self.watch = threading.Timer(HANGS, self.process.kill)
        self.watch.start()

    @property
    def place(self) -> str:
        return PLACES[self.headed + (self.headed and self.epoch >= EPOCHS)]

    def wait_for(self, epoch: int) -> None:
        """Until it trains and has that many epochs, or has ended."""
        while not (self.headed and self.epoch >= epoch) and self._hear():
            pass

    def _hear(self) -> str:
        line = self.process.stdout.readline()
        self.headed |= line.startswith("Run ")
        if line.startswith("epoch "):
            self.epoch = int(line.split()[1])
        return line

    def end(self) -> tuple[int, str]:
        """Its exit code, and what it said of errors."""
        while self._hear():
            pass
        said = self.process.stderr.read()
        self.watch.cancel()
        return self.process.wait(), said


def strike(process: subprocess.Popen, kind: str, rng: Random) -> None:
    """Kill it, or fill its disk."""
    if kind == "full disk":
        most = rng.choice((0, rng.randrange(MOST_BYTES)))
        with suppress(ProcessLookupError):
            resource.prlimit(process.pid, resource.RLIMIT_FSIZE, (most, most))
        return
    process.send_signal(signal.Signals[kind])
    if kind == "SIGINT" and rng.random() < 0.5:
        time.sleep(rng.uniform(0, 0.05))
        process.send_signal(signal.SIGINT)


def moments(rng: Random) -> list[Moment]:
    """When a training is to be killed, in the order of its epochs."""
    found = []
    for _ in range(rng.randint(1, MOST_KILLS)):
        place, kind = rng.choice(PLACES), rng.choice(sorted(CODES))
        epoch = EPOCHS if place == "drawing" else rng.randrange(EPOCHS)
        found.append(Moment(epoch, place, rng.random(), kind))
    return sorted(found)


def killed(folder: Path, data: Path, training: str, usual: dict[str, float], at: Moment, rng: Random) -> Kill | None:
    """Train until it is killed; None where it had ended by then."""
    resumed = (folder / "config.toml").exists()
    process = Process(folder, data, training)
    if at.place != "starting":
        process.wait_for(at.epoch)
    time.sleep(at.share * usual[at.place])
    strike(process.process, at.kind, rng)
    code, said = process.end()
    if code == 0:
        return None
    early = at.kind == "SIGINT" and code in EARLY and PACKAGE not in said
    right = early or (code == CODES[at.kind] and "Traceback" not in said)
    fault = "" if right else f"exit code {code}: {' / '.join(said.splitlines()[-2:])}"
    return Kill(at.kind, process.place, training, resumed, fault)


def undisturbed(folder: Path, data: Path, training: str) -> dict[str, float]:
    """Train to the end; the seconds that it takes to start, for an epoch, and to draw."""
    began = time.monotonic()
    process, times = Process(folder, data, training), []
    for epoch in (0, 1, EPOCHS):
        process.wait_for(epoch)
        times.append(time.monotonic() - began)
    code, said = process.end()
    if code:
        raise SystemExit(f"{training}, which nobody disturbed, ended with {code}: {said}")
    begun, first, trained = times
    return {
        "starting": begun,
        "training": (trained - first) / (EPOCHS - 1),
        "drawing": time.monotonic() - began - trained,
    }


def content(folder: Path) -> dict[str, Any]:
    """What two folders must have in common, by the name of the file: all but how long it took."""
    found: dict[str, Any] = {}
    for path in folder.iterdir():
        if path.name == "metrics.csv":
            with path.open(newline="") as file:
                found[path.name] = [line[:-1] for line in csv.reader(file)]
        elif path.name == "summary.json":
            found[path.name] = json.loads(path.read_text()) | {"seconds": None}
        elif path.name == "loss.png":  # of losses that were rounded for metrics.csv, or not
            found[path.name] = np.asarray(Image.open(path)).shape
        elif path.suffix == ".safetensors":  # the order of their headers is any
            tensors, header = read_tensors(path)
            found[path.name] = header, {name: tensor.tobytes() for name, tensor in tensors.items()}
        else:
            found[path.name] = path.read_bytes()
    return found


def compared(folder: Path, data: Path, training: str, whole: dict[str, Any]) -> str:
    """Let it run to its end; in what it differs from an undisturbed one, "" for in nothing."""
    code, said = Process(folder, data, training).end()
    if code:
        return f"it could not go on: exit code {code}: {said.strip()}"
    ended = content(folder)
    differ = sorted(name for name in whole.keys() | ended.keys() if whole.get(name) != ended.get(name))
    return "other " + ", ".join(differ) if differ else ""


def rows_of(kills: list[tuple[Kill, str]]) -> list[dict[str, Any]]:
    """A row a kind and place: of these kills, each with what its training differs in."""
    found = collections.defaultdict(list)
    for kill, differs in kills:
        found[kill.kind, kill.place].append((kill, differs))
    return [
        {
            "kind": kind,
            "place": place,
            "kills": len(cell),
            "resumed": sum(kill.resumed for kill, _ in cell),
            "ensemble": sum(kill.training == "ensemble" for kill, _ in cell),
            "equal": sum(not differs for _, differs in cell),
        }
        for kind in CODES
        for place in PLACES
        if (cell := found[kind, place])
    ]


def kill_all(count: int, seed: int, scratch: Path, differing: Path) -> tuple[list[tuple[Kill, str]], list[str]]:
    """So many kills, each with what its training differs in; the faults. differing: where folders that do are put."""
    kills: list[tuple[Kill, str]] = []
    faults: list[str] = []
    (data := scratch / "data").mkdir()
    for name, given in idx_files().items():
        (data / name).write_bytes(given)
    usual = {training: undisturbed(scratch / training, data, training) for training in TRAININGS}
    whole = {training: content(scratch / training) for training in TRAININGS}
    numbers = itertools.count()
    while len(kills) < count:
        number = next(numbers)
        rng, training = Random(f"{seed} {number}"), list(TRAININGS)[number % len(TRAININGS)]
        folder = scratch / f"{number}"
        planned = moments(rng)[: count - len(kills)]
        own = [killed(folder, data, training, usual[training], moment, rng) for moment in planned]
        differs = compared(folder, data, training, whole[training])
        kills += [(kill, differs) for kill in own if kill]
        said = [f"{kill.kind} while {kill.place}: {kill.fault}" for kill in own if kill and kill.fault]
        faults += [f"training {number}: {fault}" for fault in (*said, differs) if fault]
        if differs:
            shutil.copytree(folder, differing / f"{number}")
        shutil.rmtree(folder, ignore_errors=True)
    return kills, faults


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--kills", type=int, default=200)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--json", metavar="FILE|-")
    options = parser.parse_args()
    os.environ |= dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS"), "1")
    with tempfile.TemporaryDirectory() as scratch:
        differing = Path(scratch, "differing")
        kills, faults = kill_all(options.kills, options.seed, Path(scratch), differing)
        rows = rows_of(kills)
        table = [f"  {'kind':12}{'while':12}{'kills':>6}{'on resume':>12}{'ensemble':>11}{'ended equal':>14}"]
        table += [
            f"  {row['kind']:12}{row['place']:12}{row['kills']:6}{row['resumed']:12}{row['ensemble']:11}"
            f"{row['equal']:14}"
            for row in rows
        ]
        table.append(f"  {sum(row['equal'] for row in rows)} of {len(kills)} kills ended bit for bit")
        table += [f"    {fault}" for fault in faults]
        settings = {"kills": options.kills, "seed": options.seed}
        path = publish("kills", settings, table, {"rows": rows, "faults": faults}, options.json)
        if path:
            shutil.rmtree(beside := path.with_name(f"{path.stem}-faults"), ignore_errors=True)
            if differing.exists():
                shutil.copytree(differing, beside)
    sys.exit(bool(faults))


if __name__ == "__main__":
    main()
