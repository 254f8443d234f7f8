"""How much faster many processes train than one, of one batch and of a batch that grows with them; and on paper, GPUs.

python bench/speed/ranks.py [--images 12800] [--rounds 5] [--json FILE|-]

The default settings, built-in letters or those of LETTERGPU_EMNIST. Each point is a start of mpiexec, with a thread a
process: the median seconds of `rounds` epochs after a first one; how many of them process 0 spent summing up, the wait
for the others included; and the processor's seconds that it took for all else, which tell what is gained where nobody
else computes on the machine. Strong: the batch is 256 however many there are. Weak: 128 for each, and as many letters.
Beside them one process with a thread a core. More processes than cores tell nothing; so there are none.

The estimate takes a step to last FIXED + A_ROW times the rows of a share, as was measured on an H200 (TF32, replayed:
102 us of 256 rows, 163 of 1024), and a sum LATENCY, and what a ring of n sends over each link, 2 (n - 1) / n of its
bytes, over BANDWIDTH. The latter two are what NCCL is said to reach within a machine and between machines: on paper.
"""

import argparse
import json
import os
import shutil
import subprocess
import sys
import time
from dataclasses import replace
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
from rounds import medians, publish, usable_cores

from lettergpu.backends.device import CPU
from lettergpu.backends.ranks import together
from lettergpu.cli.benchmark import kernels, letters
from lettergpu.config import Config
from lettergpu.data.letters import Examples
from lettergpu.nn.network import layout
from lettergpu.training.loop import Trainer

BATCH = 256
FIXED, A_ROW = 82e-6, 0.08e-6  # seconds
GPUS = {8: (15e-6, 300e9), 64: (40e-6, 40e9)}  # LATENCY of a sum, in seconds; BANDWIDTH of a link, in bytes a second
BATCHES = 256, 1024, 4096, 16384, 65536


def measure(point: dict[str, int], rounds: int) -> None:
    """Print one point, from within its processes."""
    with together("pip install mpi4py") as ranks:
        images, labels, _ = letters(point["images"], "auto")
        config = replace(Config(), batch_size=point["batch"], epochs=rounds + 1)
        examples, rows = Examples(images.reshape(-1, 28, 28), labels), np.arange(point["images"])
        summed = spent = 0.0

        def timed(work: Any) -> Any:
            def worked(array: Any) -> Any:
                nonlocal summed, spent
                began, begun = time.perf_counter(), time.process_time()
                result = work(array)
                summed += time.perf_counter() - began
                spent += time.process_time() - begun
                return result

            return worked

        ranks.sum, ranks.gather = timed(ranks.sum), timed(ranks.gather)  # type: ignore[method-assign]
        trainer = Trainer(config, examples, tuple(map(str, range(26))), rows, rows[:0], CPU, ranks)
        seconds, shares, computing = [], [], []
        for epoch in range(1, rounds + 2):
            summed = spent = 0.0
            began, begun = time.perf_counter(), time.process_time()
            trainer.train(epoch)
            seconds.append(time.perf_counter() - began)
            shares.append(summed)
            computing.append(time.process_time() - begun - spent)
        if ranks.rank == 0:
            print(json.dumps({"rounds": seconds[1:], "summing": shares[1:], "computing": computing[1:]}))
        ranks.tell()


def measured(point: dict[str, int], rounds: int) -> dict[str, Any]:
    """One point, in processes of its own."""
    beside = os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]])
    mpiexec = shutil.which("mpiexec", path=beside)
    if not mpiexec:
        raise SystemExit("there is no mpiexec: pip install mpich mpi4py")
    command = [mpiexec, "-n", str(point["processes"]), sys.executable, __file__]
    command += ["--rounds", str(rounds), "--point", json.dumps(point)]
    threads = os.environ | {"OMP_NUM_THREADS": str(point["threads"]), "OPENBLAS_NUM_THREADS": str(point["threads"])}
    done = subprocess.run(command, check=True, stdout=subprocess.PIPE, env=threads)
    told = json.loads(done.stdout)
    middle = medians(told)
    return (
        point | {"seconds": middle["rounds"], "of them summing": middle["summing"], "cpu": middle["computing"]} | told
    )


def points(images: int) -> dict[str, list[dict[str, int]]]:
    """What is measured, the first of each list being what the others are compared with."""

    def point(processes: int, threads: int, batch: int, count: int) -> dict[str, int]:
        return {"processes": processes, "threads": threads, "batch": batch, "images": count}

    counts = [count for count in (1, 2, 4, 8, 16) if count <= len(usable_cores())]
    weak = [point(count, 1, BATCH // 2 * count, images // 2 * count) for count in counts]
    strong = [point(count, 1, BATCH, images) for count in counts]
    return {"strong": [*strong, point(1, counts[-1], BATCH, images)], "weak": weak}


def estimate() -> list[dict[str, float]]:
    """Microseconds a step on GPUs, on paper."""
    nodes = sum(Config.hidden)
    parameters = sum(size for _, size in _sizes())
    rows = []
    for gpus, (latency, bandwidth) in GPUS.items():
        ring = 2 * (gpus - 1) / gpus
        gathered = (gpus - 1) * 3 * 4 * nodes  # of each normalised node: how many rows, mean, variance
        for batch_norm in (False, True):
            sent = ring * 4 * parameters + batch_norm * (gathered + ring * 3 * 4 * nodes)
            sums = 1 + batch_norm * 2 * len(Config.hidden)
            messages = sums * latency + sent / bandwidth
            for batch in BATCHES:
                alone, shared = FIXED + A_ROW * batch, FIXED + A_ROW * batch / gpus + messages
                row = {"gpus": gpus, "batch_norm": batch_norm, "batch": batch, "bytes over a link": round(sent)}
                times = {"alone_us": alone, "messages_us": messages, "shared_us": shared}
                rows.append(row | {name: round(1e6 * each, 1) for name, each in times.items()})
    return rows


def _sizes() -> list[tuple[str, int]]:
    shapes = {name: shape for name, (_, shape) in layout((784, *Config.hidden, 26), batch_norm=True).items()}
    return [(name, shape[0] * (shape[1] if len(shape) > 1 else 1)) for name, shape in shapes.items()]


def pays_from(gpus: int, messages: float) -> int:
    """The batch above which so many GPUs take less time a step than one, by the estimate; messages: in seconds."""
    return round(messages / (A_ROW * (1 - 1 / gpus)))


def table(rows: dict[str, list[dict[str, Any]]], on_paper: list[dict[str, float]]) -> list[str]:
    """All of it for people."""
    lines = []
    for kind, found in rows.items():
        titles = "".join(f"{title:>9}" for title in ("batch", "letters", "seconds", "summing", "cpu", "speed"))
        lines.append(f"  {kind:8}{'processes x threads':>20}{titles}")
        first = found[0]
        for each in found:
            speed = each["images"] / each["seconds"] / (first["images"] / first["seconds"])
            numbers = "".join(f"{each[name]:9.3f}" for name in ("seconds", "of them summing", "cpu"))
            which = f"{each['processes']} x {each['threads']}"
            lines.append(f"{which:>30}{each['batch']:>9}{each['images']:>9}{numbers}{speed:9.2f}")
    lines.append("  on paper: microseconds a step on one GPU, and on so many with and without normalised nodes")
    for gpus in GPUS:
        for batch_norm in (False, True):
            of = [row for row in on_paper if row["gpus"] == gpus and row["batch_norm"] == batch_norm]
            steps = "".join(f"{row['batch']:>8}: {row['alone_us']:.0f} / {row['shared_us']:.0f}" for row in of)
            least = pays_from(gpus, of[0]["messages_us"] / 1e6)
            kind = "normalised" if batch_norm else "plain"
            lines.append(f"  {gpus:>3} GPUs, {kind}:{steps}; pays from batch {least:,}")
    return lines


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--images", type=int, default=12_800)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--json", metavar="FILE|-")
    parser.add_argument("--point", type=json.loads, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.point:
        measure(options.point, options.rounds)
        return
    load = os.getloadavg()[0]  # others that compute here
    rows = {
        kind: [measured(each, options.rounds) for each in each_kind]
        for kind, each_kind in points(options.images).items()
    }
    on_paper = estimate()
    settings = {
        "rounds": options.rounds,
        "load before": round(load, 2),
        "kernels": kernels(),
        "numpy": version("numpy"),
    }
    publish("ranks", settings, table(rows, on_paper), {"rows": rows, "on paper": on_paper}, options.json)


if __name__ == "__main__":
    main()
