"""Seconds an epoch of training takes, here and elsewhere: the same network, weights, letters, order and bookkeeping.

python bench/speed/epoch.py [--recipe report|default] [--activation tanhexp|relu|swish|mish] [--batch-size 256]
                      [--threads N] [--rounds 5] [--device cpu|cuda] [--precision float32|tf32|bf16] [--ensemble 1]
                      [--peers NAME ...] [--images 99840] [--letters auto|noise] [--beside 0] [--json FILE|-]
python bench/speed/epoch.py --sweep [--peers NAME ...] [--rounds 5] ...

784-512-256-128-26, float32. --recipe report is without augmentation; default is what people train: letters brought to
their moments and bent, batch normalisation, smoothed labels, each by numbers that it draws itself. Letters: the first
ones of the folder that LETTERGPU_EMNIST names, else built-in ones; with --letters noise random pixels, of which
lettergpu can leave out none. --ensemble trains so many networks side by side, each in an order of its own. --precision
is of products of matrices: tf32 on a GPU, bf16 on a CPU that has AMX, lettergpu's and PyTorch's. --threads pins the
process to that many cores, by default all; --beside times each in turn alone and while so many processes beside it
compute without end on the same cores; --sweep tries every activation, batch size and number of threads of SWEEP and
prints one table.

The peers, beside lettergpu, are left out where they are not installed (pip install '.[bench]'):
  float32        lettergpu again, without bf16
  products-only  nothing but a step's products of matrices, by NumPy's BLAS into memory that is there already: the
                 floor of whoever uses that BLAS
  torch          PyTorch eager, as its tutorials have it
  torch-compile  PyTorch, the whole step with its optimizer compiled; the compilation is not counted. On a GPU that
                 takes minutes, so there it takes part only where --peers names it
  jax            JAX, the whole epoch compiled as one scan over its steps; the compilation is not counted
  sklearn        scikit-learn's MLPClassifier, ReLU only: its own weights and order, its pixels made float beforehand,
                 and of the loss and the accuracy only the loss
Before they are timed, the loss and the accuracy of their first epoch must be within 1 % of lettergpu's, 3 % where each
draws its own distortions.
"""

import argparse
import json
import os
import subprocess
import sys
import time
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import replace
from importlib.metadata import version
from itertools import product
from typing import Any

import numpy as np
from jax_peers import jax_scan
from peers import LeftOut, sklearn_mlp
from rounds import limit_threads, name_after, publish, report, seconds_in_turn, usable_cores
from torch_peers import torch_compiled, torch_eager

from lettergpu.backends.libraries import resolve
from lettergpu.cli.benchmark import COUNT, Epoch, Task, kernels, letters, products_only, training
from lettergpu.config import CHOICES, Config

SWEEP = {"activation": ("tanhexp", "relu"), "batch-size": (64, 256, 1024, 4096), "threads": (1, 2)}
# the same in all processes of a sweep
SHARED = "recipe", "device", "precision", "ensemble", "rounds", "images", "letters", "beside"


def float32(task: Task) -> Epoch:
    if task.config.precision != "bf16":
        raise LeftOut("it is lettergpu itself")
    epoch_of = training(task)

    def epoch(number: int) -> tuple[float, float] | None:
        resolve("cpu", "float32")
        outcome = epoch_of(number)
        resolve("cpu", "bf16")
        return outcome

    return epoch


PEERS: dict[str, Callable[[Task], Epoch]] = {
    "float32": float32,
    "products-only": products_only,
    "torch": torch_eager,
    "torch-compile": torch_compiled,
    "jax": jax_scan,
    "sklearn": sklearn_mlp,
}
PACKAGES = {"torch": "torch", "torch-compile": "torch", "jax": "jax", "sklearn": "scikit-learn"}


def timed(epoch: Epoch) -> Callable[[], float]:
    """Seconds of one epoch after another, from the second on."""
    number = 1

    def run() -> float:
        nonlocal number
        number += 1
        began = time.perf_counter()
        epoch(number)
        return time.perf_counter() - began

    return run


# while the benchmark lives, however it ends
ENDLESS = "import os; parent = os.getppid()\nwhile os.getppid() == parent: pass"


def crowded(run: Callable[[], float], others: int) -> Callable[[], float]:
    """The same, while so many other processes take of the cores what they can."""

    def run_so() -> float:
        with ExitStack() as stack:
            for _ in range(others):
                other = subprocess.Popen([sys.executable, "-c", ENDLESS])
                stack.callback(other.wait)
                stack.callback(other.kill)
            time.sleep(1.0)  # in which they start
            return run()

    return run_so


def contestants(task: Task, peers: list[str]) -> dict[str, Callable[[], float]]:
    """lettergpu and those peers that can take part, each after its first epoch."""
    first = training(task)
    expected = np.asarray(first(1))
    taking_part = {"lettergpu": timed(first)}
    for name in peers:
        print(f"{name} begins", file=sys.stderr)
        try:
            epoch = PEERS[name](task)
        except (ImportError, LeftOut) as reason:
            print(f"{name} is left out: {reason}", file=sys.stderr)
            continue
        outcome = epoch(1)
        if outcome and not np.allclose(outcome, expected, rtol=0.01 if task.config.augment == "none" else 0.03):
            raise SystemExit(f"{name} trains something else: loss and accuracy {outcome}, not {expected.tolist()}")
        taking_part[name] = timed(epoch)
    return taking_part


def sweep(options: argparse.Namespace) -> None:
    """Each combination in a process of its own; one table, and one file with the rounds of all."""
    names = ["lettergpu", *options.peers]
    settings: dict[str, Any] = {}
    numbers: dict[str, Any] = {"rows": {}, "rounds": {}}
    table = ["| " + " | ".join([*SWEEP, *names]) + " |", "|---" * (len(SWEEP) + len(names)) + "|"]
    for values in product(*SWEEP.values()):
        chosen = dict(zip(SWEEP, map(str, values), strict=True))
        title = ", ".join(f"{option} {value}" for option, value in chosen.items())
        if int(chosen["threads"]) > len(usable_cores()):
            continue
        print(title, file=sys.stderr)
        command = [sys.executable, __file__, "--json", "-", "--peers", *options.peers]
        shared = {name: getattr(options, name) for name in SHARED}
        for option, value in (chosen | shared).items():
            command += [f"--{option}", str(value)]
        finished = subprocess.run(command, stdout=subprocess.PIPE)
        if finished.returncode:
            print(f"{title} is left out: exit code {finished.returncode}", file=sys.stderr)
            continue
        result = json.loads(finished.stdout)
        os.environ["LETTERGPU_BENCH_MACHINE"] = result["machine"]  # a GPU's figures are named after the GPU
        settings |= {key: value for key, value in result["settings"].items() if key.replace("_", "-") not in SWEEP}
        numbers["rows"][title], numbers["rounds"][title] = result["rows"], result["rounds"]
        seconds = [f"{result['rows'][name]:.2f}" if name in result["rows"] else "" for name in names]
        table.append("| " + " | ".join([*chosen.values(), *seconds]) + " |")
    publish("epoch" + variant(options), settings, table, numbers, options.json)


def variant(options: argparse.Namespace) -> str:
    """What a result's name says of them."""
    name = "-default" if options.recipe == "default" else ""
    name += f"-k{options.ensemble}" if options.ensemble > 1 else ""
    name += f"-beside{options.beside}" if options.beside else ""
    name += f"-{options.precision}" if options.precision != "float32" else ""
    return name + ("-cuda" if options.device == "cuda" else "")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--recipe", choices=("report", "default"), default="report")
    parser.add_argument("--activation", choices=("tanhexp", "relu", "swish", "mish"), default=Config.activation)
    parser.add_argument("--batch-size", type=int, default=Config.batch_size)
    parser.add_argument("--threads", type=int)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--device", choices=("cpu", "cuda"), default="cpu")
    parser.add_argument("--precision", choices=CHOICES["precision"], default=Config.precision)
    parser.add_argument("--ensemble", type=int, default=Config.ensemble)
    parser.add_argument("--peers", nargs="*", choices=list(PEERS), metavar="NAME")
    parser.add_argument("--images", type=int, default=COUNT)
    parser.add_argument("--letters", choices=("auto", "noise"), default="auto")
    parser.add_argument("--beside", type=int, default=0, metavar="N", help="busy processes")
    parser.add_argument("--sweep", action="store_true")
    parser.add_argument("--json", metavar="FILE|-")
    options = parser.parse_args()
    if options.peers is None:
        options.peers = [name for name in PEERS if options.device == "cpu" or name != "torch-compile"]
    if options.sweep:
        sweep(options)
        return
    threads = limit_threads(options.threads)
    chosen = {name: getattr(options, name) for name in ("activation", "batch_size", "precision", "ensemble")}
    plain = replace(Config.recipe("report"), augment="none")
    config = replace(Config() if options.recipe == "default" else plain, **chosen)
    device, _ = resolve(options.device, options.precision)
    name_after(device.name)
    images, labels, kind = letters(options.images, options.letters)
    taking_part = contestants(Task(config, images, labels, device), options.peers)
    settings = {
        "recipe": options.recipe,
        **chosen,
        "threads": threads,
        "images": len(labels),
        "letters": kind,
        "device": device.name,
        "kernels": kernels(),
        "load": round(os.getloadavg()[0], 1),
    }
    for package in dict.fromkeys(["numpy", *(PACKAGES[name] for name in taking_part if name in PACKAGES)]):
        settings[package] = version(package)
    blas = np.show_config("dicts")["Build Dependencies"]["blas"]
    settings["blas"] = f"{blas['name']} {blas['version']}"
    name = f"epoch-{options.activation}-b{options.batch_size}-t{threads}" + ("-noise" if kind == "noise" else "")
    if options.beside:
        settings["beside"] = options.beside
        taking_part |= {f"{name}, crowded": crowded(run, options.beside) for name, run in taking_part.items()}
    seconds = seconds_in_turn(taking_part, options.rounds)
    report(name + variant(options), settings, seconds, options.json)


if __name__ == "__main__":
    main()
