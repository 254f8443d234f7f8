"""Images a second, and memory, of letters that stay in their files, beside those of 124,800 that are in memory.

python bench/speed/large.py [--times 1 10] [--recipe fast] [--cached 1000] [--rounds 5] [--threads N] [--json FILE|-]

Sets of the form of EMNIST's ByClass (697,932 images to train on, 62 classes) and of so many --times that, written to a
folder for temporary files: EMNIST's letters of the folder that LETTERGPU_EMNIST names, else built-in ones, in another
order and shifted. --cached: megabytes of the files that may stay in the system's cache; what came first is thrown out,
as if the memory had no more room. The disk's own cache, or its host's, is not known of.

Each is loaded and trained on in a process of its own, all of them by the same network and settings; they take turns,
some 131,072 images at a time, the first of which do not count. Memory is the most that was seen, 20 times a second,
from the start: a process's own, what it has mapped of files, libraries included, and both at once. The cores' own time
an image tells more than the clock where others use the machine, but nothing of waiting for a disk.
"""

import argparse
import ctypes
import mmap
import os
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from rounds import limit_threads, medians, publish

from lettergpu.cli.benchmark import kernels, letters
from lettergpu.config import Config
from lettergpu.data.emnist import file_names
from lettergpu.data.letters import Examples, Letters, load_letters
from lettergpu.data.splits import SPLITS
from lettergpu.training.loop import Trainer

SPLIT = "byclass"
COUNTS = {"train": 697_932, "test": 116_323}
IN_MEMORY = 124_800
TURN = 131_072  # images
PIECE = 65_536  # images that are made at once
BLOCK = 8 << 20  # bytes that are thrown out of the cache at once
KINDS = {"RssAnon": "own_mb", "RssFile": "mapped_mb", "VmRSS": "both_mb"}


def make(folder: Path, times: int, kind: str) -> Path:
    """The four files."""
    images, labels, _ = letters(IN_MEMORY, kind)
    rng = np.random.default_rng(times)
    folder.mkdir()
    for part, count in COUNTS.items():
        count *= times
        image_path, label_path = (folder / name for name in file_names(SPLIT, part))
        with image_path.open("wb") as to_images, label_path.open("wb") as to_labels:
            to_images.write(bytes((0, 0, 8, 3)) + np.array([count, 28, 28], ">u4").tobytes())
            to_labels.write(bytes((0, 0, 8, 1)) + np.array([count], ">u4").tobytes())
            for begin in range(0, count, PIECE):
                rows = rng.integers(0, len(images), min(PIECE, count - begin))
                moved = np.roll(images[rows].reshape(-1, 28, 28), rng.integers(-2, 3), axis=2)
                to_images.write(np.ascontiguousarray(moved.swapaxes(1, 2)).tobytes())
                small = rng.random(len(rows)) < 0.4
                to_labels.write((10 + labels[rows] + 26 * small).astype(np.uint8).tobytes())
    return folder


@contextmanager
def bounded(path: Path, most: int) -> Iterator[list[int]]:
    """Hold the part of a file that the system has in its cache to so many bytes; yields, in a list, what it is."""
    seen, ended = [0], threading.Event()
    libc = ctypes.CDLL(None, use_errno=True)
    with path.open("rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as memory:
        begin = ctypes.c_void_p(np.frombuffer(memory, np.uint8).ctypes.data)
        pages = np.zeros(-(-len(memory) // mmap.PAGESIZE), np.uint8)
        starts = np.arange(0, len(pages), BLOCK // mmap.PAGESIZE)
        since = np.full(len(starts), np.inf)

        def throw_out() -> None:
            while not ended.wait(0.5):
                libc.mincore(begin, ctypes.c_size_t(len(memory)), ctypes.c_void_p(pages.ctypes.data))
                held = np.add.reduceat((pages & 1).astype(np.int64), starts) * mmap.PAGESIZE
                since[held == 0] = np.inf
                since[(held > 0) & np.isinf(since)] = time.monotonic()
                seen[0] = int(held.sum())
                surplus = held.sum() - most
                for block in np.argsort(since):
                    if surplus <= 0 or not held[block]:
                        break
                    os.posix_fadvise(file.fileno(), int(block) * BLOCK, BLOCK, os.POSIX_FADV_DONTNEED)
                    since[block], surplus = np.inf, surplus - held[block]

        thread = threading.Thread(target=throw_out)
        thread.start()
        try:
            yield seen
        finally:
            ended.set()
            thread.join()


class Contestant:
    """A process that trains, a turn at a time. memory: the most of each of KINDS, in MB of 10^6 bytes."""

    def __init__(self, folder: str, recipe: str, kind: str):
        command = [sys.executable, __file__, "--child", folder, "--recipe", recipe, "--letters", kind]
        self.process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        self.memory = dict.fromkeys(KINDS.values(), 0.0)
        threading.Thread(target=self._watch, daemon=True).start()
        self._answer()

    def turn(self) -> tuple[float, float]:
        """Microseconds an image took, by the clock and of the cores together."""
        assert self.process.stdin
        print("go", file=self.process.stdin, flush=True)
        clock, cores = map(float, self._answer().split())
        return clock, cores

    def _answer(self) -> str:
        assert self.process.stdout
        if not (line := self.process.stdout.readline()):
            raise SystemExit("a process has ended")
        return line

    def _watch(self) -> None:
        while self.process.poll() is None:
            try:
                lines = Path(f"/proc/{self.process.pid}/status").read_text().splitlines()
            except OSError:
                return
            for line in lines:
                if (name := line.partition(":")[0]) in KINDS:
                    kind, megabytes = KINDS[name], int(line.split()[1]) * 1024 / 1e6
                    self.memory[kind] = max(self.memory[kind], megabytes)
            time.sleep(0.05)

    def end(self) -> None:
        self.process.kill()
        self.process.communicate()


def settings(recipe: str) -> Config:
    """The recipe's, but for an end."""
    return replace(Config.recipe(recipe) if recipe else Config(), epochs=40, split=SPLIT, device="cpu")


def child(folder: str, recipe: str, kind: str) -> None:
    """Load, then train turn by turn, as long as somebody says so."""
    config = settings(recipe)
    if folder:
        found = load_letters(folder, SPLIT, orientation="transposed")
    else:
        images, labels, _ = letters(IN_MEMORY, kind)
        examples = Examples(images.reshape(-1, 28, 28), labels + 10)
        found = Letters(examples, examples.take(np.arange(100)), SPLITS[SPLIT].classes, "", "")
    assert found.fingerprint
    trainer = Trainer(config, found.train, found.classes, *found.hold_out(0.2, 0), _cpu())
    done, began = 0, (0.0, 0.0)

    def now() -> tuple[float, float]:
        return time.perf_counter(), time.process_time()

    def on_batch(images: int) -> None:
        nonlocal done
        done += images
        if done >= TURN:
            print(*((end - begin) / done * 1e6 for begin, end in zip(began, now(), strict=True)), flush=True)
            wait()

    def wait() -> None:
        nonlocal done, began
        if not sys.stdin.readline():
            raise SystemExit
        done, began = 0, now()

    print("ready", flush=True)
    wait()
    for epoch in range(1, config.epochs + 1):
        trainer.train(epoch, on_batch)


def _cpu() -> Any:
    from lettergpu.backends.device import CPU

    return CPU


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--times", type=int, nargs="+", default=[1, 10])
    parser.add_argument("--recipe", default="")
    parser.add_argument("--letters", choices=("auto", "noise"), default="auto")
    parser.add_argument("--cached", type=int, default=1000, metavar="MB")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--threads", type=int)
    parser.add_argument("--json", metavar="FILE|-")
    parser.add_argument("--child", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.child is not None:
        child(options.child, options.recipe, options.letters)
        return
    threads = limit_threads(options.threads)
    with tempfile.TemporaryDirectory(prefix="lettergpu-large-") as place, ExitStack() as stack:
        folders = {"in memory": ""}
        for times in options.times:
            folders[f"ByClass x {times}"] = str(make(Path(place) / str(times), times, options.letters))
        contestants, cached = {}, {}
        for name, folder in folders.items():
            if folder:
                path = Path(folder) / file_names(SPLIT, "train")[0]
                cached[name] = stack.enter_context(bounded(path, options.cached * 1_000_000))
            contestants[name] = Contestant(folder, options.recipe, options.letters)
            stack.callback(contestants[name].end)
        rounds = [{name: each.turn() for name, each in contestants.items()} for _ in range(options.rounds + 1)][1:]
        micros = {name: [round_[name][0] for round_ in rounds] for name in contestants}
        of_cores = {name: [round_[name][1] for round_ in rounds] for name in contestants}
        rates = {name: 1e6 / value for name, value in medians(micros).items()}
        work = medians(of_cores)
        rows = {
            name: {
                "images": COUNTS["train"] * int(name.split()[-1]) if folders[name] else IN_MEMORY,
                "images_a_second": rate,
                "of_in_memory": rate / rates["in memory"],
                "cores_microseconds": work[name],
                "cores_of_in_memory": work[name] / work["in memory"],
                "cached_mb": cached[name][0] / 1e6 if name in cached else 0.0,
                **contestants[name].memory,
            }
            for name, rate in rates.items()
        }
    heads = "images", "a second", "relative", "cores' us", "relative", "own MB", "mapped MB", "both MB", "cached MB"
    table = [f"  {'':14}" + "".join(f"{head:>12}" for head in heads)]
    for name, row in rows.items():
        numbers = f"{row['images']:12,}{row['images_a_second']:12,.0f}{row['of_in_memory']:12.2f}"
        numbers += f"{row['cores_microseconds']:12.1f}{row['cores_of_in_memory']:12.2f}"
        sizes = "".join(f"{row[key]:12,.0f}" for key in (*KINDS.values(), "cached_mb"))
        table.append(f"  {name:14}{numbers}{sizes}")
    told = {"recipe": options.recipe or "default", "cached": options.cached, "threads": threads, "kernels": kernels()}
    name = "-".join(filter(None, ("large", options.recipe)))
    publish(name, told, table, {"rows": rows, "microseconds": micros, "of_cores": of_cores}, options.json)


if __name__ == "__main__":
    main()
