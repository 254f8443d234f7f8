"""What all benchmarks share: the machine's name, a limit on threads, rounds in turn, a table, a JSON file."""

import json
import os
import platform
import re
import statistics
import sys
import time
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

RESULTS = Path(__file__).parents[1] / "results"


def usable_cores() -> list[int]:
    """The cores that this process may run on."""
    if hasattr(os, "sched_getaffinity"):
        return sorted(os.sched_getaffinity(0))
    return list(range(os.cpu_count() or 1))


def machine() -> str:
    """The processor and its usable cores, before `limit_threads`, such as amd-epyc-family-25-model-17-2-cores.

    Family and model, because a virtual machine may not tell more than "AMD EPYC" of its processor.
    """
    if known := os.environ.get("LETTERGPU_BENCH_MACHINE"):
        return known
    name = platform.processor() or platform.machine()
    try:
        told = Path("/proc/cpuinfo").read_text()
        if found := re.search(r"model name\s*: (.*)", told):
            name = found[1]
        for number in ("family", "model"):
            if found := re.search(rf"^(?:cpu )?{number}\s*: (.*)", told, re.MULTILINE):
                name += f" {number} {found[1]}"
    except OSError:
        pass
    return re.sub(r"[^a-z0-9]+", "-", f"{name} {len(usable_cores())} cores".lower()).strip("-")


def name_after(device: str) -> None:
    """Have results bear the name of the device that they are of, such as cuda:0 (NVIDIA H100 80GB HBM3), if a GPU."""
    if found := re.search(r"\((.+)\)", device):
        os.environ["LETTERGPU_BENCH_MACHINE"] = re.sub(r"[^a-z0-9]+", "-", found[1].lower()).strip("-")


def limit_threads(count: int | None) -> int:
    """Have this script compute on `count` cores, by default all usable ones; return how many that are.

    Libraries read such limits once, at their import, and JAX knows no other than the cores that the process may run
    on. So the script starts anew, pinned to its first `count` cores, and every library has the same of them.
    """
    cores = usable_cores()
    count = count or len(cores)
    if not 1 <= count <= len(cores):
        raise SystemExit(f"--threads {count}: choose 1 to {len(cores)}, the cores usable here")
    limits = dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"), str(count))
    limits["LETTERGPU_BENCH_MACHINE"] = machine()
    if len(cores) > count or any(os.environ.get(name) != value for name, value in limits.items()):
        os.environ.update(limits)
        if hasattr(os, "sched_setaffinity"):
            os.sched_setaffinity(0, cores[:count])
        os.execv(sys.executable, [sys.executable, *sys.orig_argv[1:]])
    return count


def seconds_in_turn(contestants: dict[str, Callable[[], float]], rounds: int) -> dict[str, list[float]]:
    """Seconds of each contestant in each round. All take turns; a first round does not count."""
    seconds: dict[str, list[float]] = {name: [] for name in contestants}
    for round_ in range(rounds + 1):
        for name, run in contestants.items():
            time.sleep(1.0)  # the idle threads of some libraries, OpenBLAS among them, spin for a while
            taken = run()
            if round_:
                seconds[name].append(taken)
    return seconds


def medians(seconds: dict[str, list[float]]) -> dict[str, float]:
    """Each contestant's median."""
    return {contestant: statistics.median(taken) for contestant, taken in seconds.items()}


def report(name: str, settings: dict[str, Any], seconds: dict[str, list[float]], out: str | None) -> None:
    """Print medians, the range, and the ratio to the first contestant's, and write them as JSON as `publish` does."""
    rows = medians(seconds)
    first = next(iter(rows.values()))
    table = [f"  {'':24}{'median':>11}   (range)   ratio to the first"]
    table += [
        f"  {contestant:24}{median:9.3f} s   ({min(seconds[contestant]):.3f} to {max(seconds[contestant]):.3f})"
        f"   {median / first:6.2f}"
        for contestant, median in rows.items()
    ]
    publish(name, settings, table, {"rows": rows, "rounds": seconds}, out)


def publish(
    name: str, settings: dict[str, Any], table: Iterable[str], numbers: dict[str, Any], out: str | None
) -> Path | None:
    """Print the table, and write the numbers as JSON to `out`, by default bench/results/NAME-MACHINE.json.

    Return the path of that file. out="-" prints the JSON and nothing else.
    """
    content = {"benchmark": name, "machine": machine(), "settings": settings, **numbers}
    text = json.dumps(content, indent=2) + "\n"
    if out == "-":
        print(text, end="")
        return None
    print(f"{name} on {machine()}: " + ", ".join(f"{key} {value}" for key, value in settings.items()))
    print(*table, sep="\n")
    path = Path(out) if out else RESULTS / f"{name}-{machine()}.json"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    print(f"  written to {path}")
    return path
