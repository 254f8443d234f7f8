"""How an epoch's time and the peak memory grow with width, depth, batch and number of images, 1 to 16 times each.

python bench/speed/scaling.py [--threads N] [--rounds 5] [--json FILE|-]

From BASE on, one of the four grows while the others stay. Random pixels, TanhExp, no augmentation, through the
training loop's own code. Each point is a process of its own: the median seconds of `rounds` epochs after a first one,
and the most memory that the process ever held, Python and its imports included. A plot, *.png, lies beside the JSON.
"""

import argparse
import json
import resource
import subprocess
import sys
from dataclasses import replace
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
from epoch import timed
from rounds import limit_threads, machine, medians, publish, seconds_in_turn

from lettergpu.cli.benchmark import Task, kernels, training
from lettergpu.config import Config

BASE = {"width": 128, "depth": 1, "batch": 64, "images": 6240}
FACTORS = (1, 2, 4, 8, 16)
NAMES = {"width": "nodes a layer", "depth": "hidden layers", "batch": "batch size", "images": "images"}


def peak_megabytes() -> float:
    """The most memory that this process has held so far, in MB of 10^6 bytes."""
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak * (1 if sys.platform == "darwin" else 1024) / 1e6


def measure(size: dict[str, int], rounds: int) -> dict[str, Any]:
    """One point, in this process."""
    imports = peak_megabytes()
    rng = np.random.default_rng(0)
    images = rng.integers(0, 256, (size["images"], 784), dtype=np.uint8)
    labels = rng.integers(0, 26, size["images"])
    hidden = (size["width"],) * size["depth"]
    changes = {"hidden": hidden, "batch_size": size["batch"], "init": "he", "augment": "none", "learning_rate": 0.001}
    config = replace(Config.recipe("report"), **changes)
    seconds = seconds_in_turn({"epoch": timed(training(Task(config, images, labels)))}, rounds)
    return {
        **size,
        "seconds": medians(seconds)["epoch"],
        "rounds": seconds["epoch"],
        "peak_mb": peak_megabytes(),
        "imports_mb": imports,
    }


def measured(size: dict[str, int], rounds: int) -> dict[str, Any]:
    """One point, in a process of its own."""
    # A child's peak begins with its parent's, so the parent imports no more than the child, the plot's last.
    command = [sys.executable, __file__, "--rounds", str(rounds), "--point", json.dumps(size)]
    return json.loads(subprocess.run(command, check=True, stdout=subprocess.PIPE).stdout)


def plot(path: Path, rows: dict[str, list[dict[str, Any]]]) -> None:
    """Seconds and megabytes over the factor, a line for each of the four that grow."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(11, 4.5), layout="constrained")
    figure.suptitle(f"{machine()}; the base: {', '.join(f'{NAMES[name]} {value}' for name, value in BASE.items())}")
    left, right = figure.subplots(1, 2)
    for name, points in rows.items():
        left.plot(FACTORS, [point["seconds"] for point in points], marker=".", label=NAMES[name])
        right.plot(FACTORS, [point["peak_mb"] for point in points], marker=".", label=NAMES[name])
    first = rows["images"][0]
    left.plot(FACTORS, [first["seconds"] * factor for factor in FACTORS], "k:", label="in proportion")
    right.axhline(first["imports_mb"], color="k", linestyle=":", label="Python and its imports")
    left.set_yscale("log", base=2)
    left.yaxis.set_major_formatter("{x:g}")
    for axes, label in ((left, "seconds an epoch"), (right, "peak memory in MB")):
        axes.set_xscale("log", base=2)
        axes.set(xlabel="times the base", ylabel=label, xticks=FACTORS, xticklabels=FACTORS)
        axes.grid(alpha=0.3)
        axes.legend()
    right.set_ylim(0)
    figure.savefig(path, dpi=100)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--threads", type=int)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--json", metavar="FILE|-")
    parser.add_argument("--point", type=json.loads, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.point:
        print(json.dumps(measure(options.point, options.rounds)))
        return
    threads = limit_threads(options.threads)
    base = measured(BASE, options.rounds)
    rows = {
        name: [base, *(measured(BASE | {name: BASE[name] * factor}, options.rounds) for factor in FACTORS[1:])]
        for name in BASE
    }
    table = []
    for key, title, digits in (("seconds", "seconds an epoch", 3), ("peak_mb", "peak memory in MB", 0)):
        table.append(f"  {title:26}" + "".join(f"{f'{factor} x':>9}" for factor in FACTORS))
        for name, points in rows.items():
            numbers = "".join(f"{point[key]:9.{digits}f}" for point in points)
            table.append(f"  {f'{NAMES[name]}, from {BASE[name]}':26}{numbers}")
    settings = {
        **BASE,
        "activation": Config.activation,
        "threads": threads,
        "kernels": kernels(),
        "numpy": version("numpy"),
    }
    path = publish("scaling", settings, table, {"rows": rows}, options.json)
    if path:
        plot(path.with_suffix(".png"), rows)


if __name__ == "__main__":
    main()
