"""Seconds of training until the test accuracy first reaches that of the report's best network.

python bench/speed/time_to_accuracy.py [--data DIR] [--recipe fast] [--target 91.25] [--seeds 10] [--device cpu]
                                 [--json FILE|-]

From the call of `fit`, with the letters in the host's memory, to the end of the epoch after which the test letters are
answered that well; validation after each epoch is part of it, the test itself is not. An epoch of 512 letters, which
compiles the kernels that a machine has not compiled before, comes first; its seconds are told apart. Letters: the
folder that --data or LETTERGPU_EMNIST names.
"""

import argparse
import json
import os
import statistics
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
from rounds import RESULTS, machine, name_after

from lettergpu.backends.device import Device
from lettergpu.backends.libraries import resolve
from lettergpu.config import Config
from lettergpu.data.letters import Letters, load_letters
from lettergpu.training.loop import fit
from lettergpu.training.metrics import evaluate


def seconds_to(target: float, config: Config, letters: Letters, device: Device) -> tuple[float | None, float, int]:
    """Seconds until the share of right answers on the test letters was reached, if ever; the last share; epochs."""
    seconds, share, began = 0.0, 0.0, time.perf_counter()
    for report in fit(config, letters, device=device):
        seconds += time.perf_counter() - began
        share = evaluate(report.network, letters.test.images, letters.test.labels).top(1)
        if share >= target:
            return seconds, share, report.epoch
        began = time.perf_counter()
    return None, share, report.epoch


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", default=os.environ.get("LETTERGPU_EMNIST", "auto"))
    parser.add_argument("--recipe", default="fast")
    parser.add_argument("--target", type=float, default=91.25, help="percent")
    parser.add_argument("--seeds", type=int, default=10)
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--json", metavar="FILE|-")
    options = parser.parse_args()
    config, letters = Config.from_file(Path(options.recipe)), load_letters(options.data)
    device, _ = resolve(options.device, config.precision)
    name_after(device.name)
    few = replace(letters, train=letters.train.take(np.arange(512)))
    began = time.perf_counter()
    next(fit(replace(config, epochs=1), few, device=device))
    first, rows = time.perf_counter() - began, []
    for seed in range(options.seeds):
        taken, share, epochs = seconds_to(options.target / 100, replace(config, seed=seed), letters, device)
        rows.append({"seed": seed, "seconds": taken, "test_top1": share, "epochs": epochs})
        if options.json != "-":
            print(f"seed {seed}: {share:.2%} after {epochs} epochs, " + (f"{taken:.2f} s" if taken else "not reached"))
    reached = [row["seconds"] for row in rows if row["seconds"] is not None]
    mean = statistics.mean(reached) if len(reached) == len(rows) else None
    settings = {"device": device.name, "recipe": options.recipe, "target": options.target}
    content = {"machine": machine(), **settings, "seconds_of_first_512": first, "mean_seconds": mean, "seeds": rows}
    text = json.dumps(content, indent=2) + "\n"
    if options.json == "-":
        print(text, end="")
        return
    average = f", {mean:.2f} s on average" if mean else ""
    print(
        f"{options.target} % reached by {len(reached)} of {len(rows)}{average}; the 512 letters before: {first:.2f} s"
    )
    (Path(options.json) if options.json else RESULTS / f"time-to-accuracy-{machine()}.json").write_text(text)


if __name__ == "__main__":
    main()
