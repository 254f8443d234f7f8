"""What all benchmarks share: the machine's name, the median of rounds, a table, a JSON file."""

import json
import os
import platform
import re
import statistics
from collections.abc import Callable
from pathlib import Path
from typing import Any

RESULTS = Path(__file__).parent / "results"


def machine() -> str:
    """The processor and its usable cores, such as amd-epyc-2-cores."""
    name = platform.processor() or platform.machine()
    try:
        found = re.search(r"model name\s*: (.*)", Path("/proc/cpuinfo").read_text())
        name = found[1] if found else name
    except OSError:
        pass
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    return re.sub(r"[^a-z0-9]+", "-", f"{name} {cores} cores".lower()).strip("-")


def seconds_in_turn(contestants: dict[str, Callable[[], float]], rounds: int) -> dict[str, list[float]]:
    """Seconds of each contestant in each round. All take turns; a first round does not count."""
    seconds: dict[str, list[float]] = {name: [] for name in contestants}
    for round_ in range(rounds + 1):
        for name, run in contestants.items():
            taken = run()
            if round_:
                seconds[name].append(taken)
    return seconds


def report(name: str, settings: dict[str, Any], seconds: dict[str, list[float]], out: str | None) -> None:
    """Print medians and ratios, and write them as JSON to `out`, by default bench/results/NAME-MACHINE.json.

    out="-" prints the JSON and nothing else.
    """
    rows = {contestant: statistics.median(taken) for contestant, taken in seconds.items()}
    content = {"benchmark": name, "machine": machine(), "settings": settings, "rows": rows, "rounds": seconds}
    text = json.dumps(content, indent=2) + "\n"
    if out == "-":
        print(text, end="")
        return
    first = next(iter(rows.values()))
    print(f"{name} on {machine()}: " + ", ".join(f"{key} {value}" for key, value in settings.items()))
    for contestant, median in rows.items():
        low, high = min(seconds[contestant]), max(seconds[contestant])
        print(f"  {contestant:24}{median:9.3f} s   ({low:.3f} to {high:.3f})   {median / first:6.2f}")
    path = Path(out) if out else RESULTS / f"{name}-{machine()}.json"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    print(f"  written to {path}")
