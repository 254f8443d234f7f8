"""What lettergpu says to damaged files: an answer or a sentence, or else a fault, whose input is kept.

python bench/robust/fuzz.py [--format idx,png,...] [--seconds 300] [--seed 0] [--first 0] [--json FILE|-]

Valid files of each format (formats.py) are damaged (mutations.py) and read in a process that takes one file after
another. Seconds are a core's, so that what else the machine does is of no account. Case N of a format follows from the
seed, the format and N alone; --first N begins with it. Answered: the call came back. Refused: it raised a
LettergpuError of one line. All else is a fault: another exception, more than 20 s, ten times that without an answer,
more than 1 GB of memory, the process's end. Faults of one kind, by where they are raised, are counted together; of each
the first input lies beside the results, in a folder FILE-faults. The exit code is 1 where there are any.
"""

import argparse
import collections
import contextlib
import dataclasses
import itertools
import multiprocessing
import os
import resource
import shutil
import sys
import tempfile
import time
import traceback
import warnings
from collections.abc import Callable, Iterator
from multiprocessing.connection import Connection
from pathlib import Path
from random import Random
from typing import Any

os.environ |= dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS"), "1")  # before NumPy reads them
sys.path.append(str(Path(__file__).parents[1] / "speed"))

from formats import FORMATS
from rounds import publish  # of speed/

import lettergpu
from lettergpu.errors import LettergpuError

SECONDS = 20.0
PATIENCE = int(10 * SECONDS)  # by the clock
BYTES = 10**9
CEILING = 8 * BYTES  # of address space, lest the machine suffer
ANSWERED, REFUSED = "answered", "refused"
PACKAGE = str(Path(lettergpu.__file__).parent)


def outcome(call: Callable[[], Any]) -> str:
    """ANSWERED, REFUSED, or what kind of fault it is."""
    try:
        call()
    except LettergpuError as error:
        return REFUSED if len(str(error).splitlines()) == 1 else "a refusal of several lines"
    except BaseException as error:
        frames = traceback.extract_tb(error.__traceback__)
        inside = [frame for frame in frames if frame.filename.startswith(PACKAGE)] or frames
        where = f"{Path(inside[-1].filename).name}, {inside[-1].name}"
        return f"{type(error).__name__} in {where}"
    return ANSWERED


def peak() -> int:
    """The most bytes of memory that this process has had."""
    told = Path("/proc/self/status").read_text()
    return 1024 * int(told.partition("VmHWM:")[2].split()[0])


def work(asked: Connection, name: str) -> None:
    """Read what is asked for, until nothing is; for each what came of it, the most memory and the seconds so far."""
    warnings.simplefilter("ignore")
    os.dup2(os.open(os.devnull, os.O_WRONLY), 2)  # some decoders talk
    resource.setrlimit(resource.RLIMIT_AS, (CEILING, CEILING))
    with contextlib.suppress(EOFError):
        while True:
            path = asked.recv()
            began = time.process_time()
            found = outcome(lambda path=path: FORMATS[name].read(path))
            spent = time.process_time()
            if spent - began > SECONDS:
                found = f"more than {SECONDS:g} s"
            asked.send((found if peak() <= BYTES else f"more than {BYTES:,} bytes of memory", peak(), spent))


class Worker:
    """A process that reads files of a format; another one after each fault, as nobody knows what it left behind.

    slowest: the most seconds that a file took. peak: the most memory. running: seconds of the process that reads now.
    """

    def __init__(self, name: str):
        self.name, self.process, self.slowest, self.peak, self.running = name, None, 0.0, 0, 0.0

    @property
    def spent(self) -> float:
        """A core's seconds, of this process and of all that have read."""
        return sum(os.times()[:4]) + self.running

    def read(self, path: Path) -> str:
        """What came of it."""
        if self.process is None:
            self._start(path.with_name("nowhere"))
        began = self.running
        found = self._ask(path)
        self.slowest = max(self.slowest, self.running - began)
        if found not in (ANSWERED, REFUSED):
            self.stop()
        return found

    def _start(self, nothing: Path) -> None:
        spawning = multiprocessing.get_context("spawn")
        self.ours, theirs = spawning.Pipe()
        self.process = spawning.Process(target=work, args=(theirs, self.name), daemon=True)
        self.process.start()
        theirs.close()
        self._ask(nothing)  # after its imports

    def _ask(self, path: Path) -> str:
        try:
            self.ours.send(path)
            if not any(self.ours.poll(1.0) for _ in range(PATIENCE)):  # of a pause of both no second counts but one
                return f"no answer in {PATIENCE} s"
            found, peak, self.running = self.ours.recv()
        except (EOFError, ConnectionError):
            self.process.join()
            return f"the process ended with {self.process.exitcode}"
        self.peak = max(self.peak, peak)
        return found

    def stop(self) -> None:
        if self.process:
            self.process.kill()
            self.process.join()
            self.process, self.running = None, 0.0  # seconds of what has ended are counted with this process's


@dataclasses.dataclass(frozen=True)
class Case:
    """number: it follows from it, the format and the seed. name: of the valid file that was damaged."""

    number: int
    name: str
    content: bytes


def cases(name: str, files: dict[str, bytes], seed: int, first: int) -> Iterator[Case]:
    """Without end."""
    for number in itertools.count(first):
        rng = Random(f"{seed} {name} {number}")
        of = rng.choice(sorted(files))
        yield Case(number, of, FORMATS[name].damage(files[of], rng))


def fuzz(name: str, seconds: float, seed: int, first: int) -> tuple[dict[str, Any], dict[str, Case]]:
    """A row of the results, and of each outcome the first case."""
    came: collections.Counter[str] = collections.Counter()
    shown: dict[str, Case] = {}
    worker = Worker(name)
    with tempfile.TemporaryDirectory() as scratch, contextlib.chdir(scratch):
        folder, files = Path(scratch), FORMATS[name].files()
        for file, content in files.items():
            (folder / file).write_bytes(content)
        for file in files:
            if (found := worker.read(folder / file)) != ANSWERED:
                raise SystemExit(f"{name}: {file} is no valid file: {found}")
        worker.slowest, until = 0.0, worker.spent + seconds
        for case in itertools.takewhile(lambda _: worker.spent < until, cases(name, files, seed, first)):
            (folder / case.name).write_bytes(case.content)
            found = worker.read(folder / case.name)
            (folder / case.name).write_bytes(files[case.name])
            came[found] += 1
            shown.setdefault(found, case)
        worker.stop()
    row = {"ran": came.total(), ANSWERED: came.pop(ANSWERED, 0), REFUSED: came.pop(REFUSED, 0)}
    faults = [{"fault": fault, "times": times, "case": shown[fault].number} for fault, times in came.most_common()]
    return row | {"slowest_seconds": worker.slowest, "peak_bytes": worker.peak, "faults": faults}, shown


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--format", default=",".join(FORMATS), help="one or several by commas")
    parser.add_argument("--seconds", type=float, default=300.0, help="of a core, for each format")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--first", type=int, default=0, help="the number of the first case")
    parser.add_argument("--json", metavar="FILE|-")
    options = parser.parse_args()
    names = options.format.split(",")
    if unknown := set(names) - FORMATS.keys():
        raise SystemExit(f"--format {','.join(sorted(unknown))}: choose of {', '.join(FORMATS)}")
    rows: dict[str, dict[str, Any]] = {}
    inputs: dict[str, bytes] = {}
    table = [f"  {'format':12}{'ran':>9}{ANSWERED:>10}{REFUSED:>9}{'faults':>8}{'slowest':>10}{'memory':>10}"]
    for name in names:
        rows[name], shown = fuzz(name, options.seconds, options.seed, options.first)
        row = rows[name]
        times = sum(fault["times"] for fault in row["faults"])
        table.append(
            f"  {name:12}{row['ran']:9}{row[ANSWERED]:10}{row[REFUSED]:9}{times:8}"
            f"{row['slowest_seconds']:8.2f} s{row['peak_bytes'] / 1e6:7.0f} MB"
        )
        for fault in row["faults"]:
            case = shown[fault["fault"]]
            fault["input"] = f"{name}-{case.number}-{case.name}"
            inputs[fault["input"]] = case.content
            table.append(f"    {fault['times']} x {fault['fault']}: case {case.number}, {case.name}")
    settings = {"seconds": options.seconds, "seed": options.seed, "first": options.first}
    path = publish("fuzz", settings, table, {"rows": rows}, options.json)
    if path:
        keep(path.with_name(f"{path.stem}-faults"), inputs)
    sys.exit(bool(inputs))


def keep(folder: Path, inputs: dict[str, bytes]) -> None:
    """The inputs that showed faults, and those of an earlier run no longer."""
    shutil.rmtree(folder, ignore_errors=True)
    if inputs:
        folder.mkdir()
    for name, content in inputs.items():
        (folder / name).write_bytes(content)


if __name__ == "__main__":
    main()
