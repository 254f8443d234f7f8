"""What a GPU does in a step of training: every kernel, how often and for how long, and what remains between them.

python bench/kernels/step.py [--recipe default] [--augment none] [--activation relu] [--batch-size 256] [--ensemble 1]
                             [--precision float32|tf32] [--images 92788] [--top 20] [--json FILE|-]

Needs an NVIDIA GPU and PyTorch, whose profiler watches CuPy's kernels too, also those of a replayed graph. Prints
milliseconds of epochs that nobody watches, then microseconds a step of one that is watched.
"""

import argparse
import json
import os
import time
from collections import defaultdict
from dataclasses import replace
from pathlib import Path
from statistics import median
from typing import Any

import cupy
import numpy as np

from lettergpu.backends.libraries import resolve
from lettergpu.cli.benchmark import letters
from lettergpu.config import CHOICES, Config
from lettergpu.data.letters import Examples
from lettergpu.nn.activations import ACTIVATIONS
from lettergpu.training.loop import Trainer

EPOCHS = 5  # the first two compile and record
CLASSES = tuple("ABCDEFGHIJKLMNOPQRSTUVWXYZ")


def milliseconds(trainer: Trainer, epoch: int) -> float:
    began = time.perf_counter()
    trainer.train(epoch)  # which waits for the GPU at its end
    return 1e3 * (time.perf_counter() - began)


def watched(trainer: Trainer, epoch: int) -> list[tuple[str, float, float]]:
    """(name, beginning, duration) of all that the GPU did in an epoch, in microseconds."""
    from torch.profiler import ProfilerActivity, profile

    with profile(activities=[ProfilerActivity.CUDA]) as profiler:
        trainer.train(epoch)
    events = profiler.profiler.kineto_results.events()
    return [(e.name(), e.start_ns() / 1e3, e.duration_ns() / 1e3) for e in events if e.device_type().name == "CUDA"]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--recipe", default="default")
    parser.add_argument("--augment", choices=CHOICES["augment"])
    parser.add_argument("--activation", choices=list(ACTIVATIONS))
    parser.add_argument("--batch-size", type=int)
    parser.add_argument("--ensemble", type=int)
    parser.add_argument("--precision", choices=CHOICES["precision"])
    parser.add_argument("--images", type=int, default=92_788)
    parser.add_argument("--top", type=int, default=20)
    parser.add_argument("--json", metavar="FILE|-")
    options = parser.parse_args()
    config = Config() if options.recipe == "default" else Config.recipe(options.recipe)
    names = "augment", "activation", "batch_size", "ensemble", "precision"
    changes: dict[str, Any] = {name: getattr(options, name) for name in names if getattr(options, name) is not None}
    config = replace(config, epochs=max(config.epochs, EPOCHS), **changes)
    device = resolve("cuda", config.precision)[0]
    images, labels, _ = letters(options.images, "auto")
    examples, rows = Examples(images.reshape(-1, 28, 28), labels.astype(np.int64)), np.arange(len(labels))
    trainer = Trainer(config, examples, CLASSES, rows, rows[:1024], device)
    epochs = [milliseconds(trainer, epoch) for epoch in range(1, EPOCHS)]
    began = time.perf_counter()
    trainer.batches.draw(EPOCHS, cupy.zeros(trainer.batches.steps, cupy.float32))
    cupy.cuda.Device().synchronize()
    drawing = 1e3 * (time.perf_counter() - began)
    events, steps = watched(trainer, EPOCHS), trainer.batches.steps
    durations = defaultdict(list)
    for name, _, duration in events:
        durations[" ".join(name.split())[:70]].append(duration)
    span = max(begin + duration for _, begin, duration in events) - min(begin for _, begin, _ in events)
    busy = sum(map(sum, durations.values()))
    kernels = {
        name: {"a step": sum(each) / steps, "times": len(each) / steps, "median": median(each)}
        for name, each in sorted(durations.items(), key=lambda item: -sum(item[1]))
    }
    print(f"{device.name}, {options.recipe} {changes}, {steps} steps")
    print("epochs, ms: " + ", ".join(f"{each:.1f}" for each in epochs) + f"; of them drawing {drawing:.2f}")
    print(f"a step, us: {span / steps:.1f}, busy {busy / steps:.1f}; {len(events) / steps:.1f} kernels")
    for name, row in list(kernels.items())[: options.top]:
        print(f"{row['a step']:9.2f} us {row['times']:6.2f} x {row['median']:7.2f}  {name}")
    content = {
        "benchmark": "step",
        "device": device.name,
        "settings": {"recipe": options.recipe, "images": len(labels), **changes}
        | {name: os.environ.get(name) for name in ("LETTERGPU_REPLAY", "LETTERGPU_PRODUCTS")},
        "milliseconds": epochs,
        "kernels": kernels,
    }
    text = json.dumps(content, indent=2) + "\n"
    if options.json == "-":
        print(text, end="")
    elif options.json:
        Path(options.json).write_text(text)


if __name__ == "__main__":
    main()
