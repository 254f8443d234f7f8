"""Seconds an epoch takes by each array library on this machine: what the array API costs, beside compiled kernels.

python bench/speed/libraries.py [--devices NAME ...] [--activation relu|swish|mish|tanhexp] [--batch-size 256]
                                [--images 24960] [--threads N] [--rounds 3] [--json FILE|-]

784-512-256-128-26, float32, without augmentation; letters as in epoch.py. By default every usable device of every
library that is installed takes part, and these:
  cpu, formulas  NumPy with what nn/ says alone, none of it compiled
  PyTorch's own  as its tutorials have it, with autograd and its own optimizer, on the CPU (epoch.py's eager row)
The loss and the accuracy of everybody's first epoch must be within 1 % of the compiled kernels'.
"""

import argparse
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from importlib.metadata import version

import numpy as np
from epoch import timed
from peers import LeftOut
from rounds import limit_threads, name_after, report, seconds_in_turn
from torch_peers import torch_eager

from lettergpu.backends import dispatch
from lettergpu.backends.libraries import LIBRARIES, resolve
from lettergpu.cli.benchmark import Epoch, Task, kernels, letters, training
from lettergpu.config import Config

FORMULAS, TORCHS_OWN = "cpu, formulas", "PyTorch's own"


@contextmanager
def formulas_alone() -> Iterator[None]:
    """NumPy's arrays have no backend."""
    kept = dispatch.NATIVE.pop("numpy", None)
    dispatch.native.cache_clear()
    try:
        yield
    finally:
        if kept:
            dispatch.NATIVE["numpy"] = kept
        dispatch.native.cache_clear()


def by_formulas(task: Task) -> Epoch:
    with formulas_alone():
        train = training(task)

    def epoch(number: int) -> tuple[float, float] | None:
        with formulas_alone():
            return train(number)

    return epoch


def main() -> None:
    every = ["cpu", *(found.name for library in LIBRARIES.values() for found in library.devices()[0])]
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--devices", nargs="+", default=[every[0], FORMULAS, *every[1:], TORCHS_OWN], metavar="NAME")
    parser.add_argument("--activation", choices=("tanhexp", "relu", "swish", "mish"), default="relu")
    parser.add_argument("--batch-size", type=int, default=Config.batch_size)
    parser.add_argument("--images", type=int, default=24_960)
    parser.add_argument("--threads", type=int)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--json", metavar="FILE|-")
    options = parser.parse_args()
    threads = limit_threads(options.threads)
    chosen = {"activation": options.activation, "batch_size": options.batch_size}
    config = replace(Config.recipe("report"), augment="none", **chosen)
    images, labels, kind = letters(options.images)
    expected = None
    taking_part: dict[str, Callable[[], float]] = {}
    for name in options.devices:
        print(f"{name} begins", file=sys.stderr)
        device = resolve("cpu" if name in (FORMULAS, TORCHS_OWN) else name)[0]
        name_after(device.name if name.startswith("cuda") else "")
        task = Task(config, images, labels, device)
        try:
            epoch = {FORMULAS: by_formulas, TORCHS_OWN: torch_eager}.get(name, training)(task)
        except (ImportError, LeftOut) as reason:
            print(f"{name} is left out: {reason}", file=sys.stderr)
            continue
        outcome = epoch(1)
        expected = expected or outcome
        if not np.allclose(outcome, expected, rtol=0.01):
            raise SystemExit(f"{name} trains something else: loss and accuracy {outcome}, not {expected}")
        taking_part[name] = timed(epoch)
    settings = {**chosen, "threads": threads, "images": len(labels), "letters": kind, "kernels": kernels()}
    settings |= {library.title: library.devices()[0][0].about for library in LIBRARIES.values() if library.devices()[0]}
    settings["numpy"] = version("numpy")
    report(f"libraries-t{threads}", settings, seconds_in_turn(taking_part, options.rounds), options.json)


if __name__ == "__main__":
    main()
