"""How much of a GPU's memory bandwidth each kernel reaches, beside what else computes the same on it.

python bench/kernels/kernels.py [--rounds 50] [--json FILE|-]

Needs an NVIDIA GPU; PyTorch's rows are left out where it is not installed or has no CUDA. For float32 arrays of
256 x 512, a batch's, and of 2^26 elements. Device time, medians of rounds in turn. The share is of the bandwidth of
a copy on the device, counting each operand once; a row that launches several kernels is charged no more than that.
"""

import argparse
import json
import statistics
import sys
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from lettergpu.kernels import FORMULAS, source

from lettergpu.backends import cuda_network, packs
from lettergpu.backends.libraries import resolve
from lettergpu.nn import layers, losses
from lettergpu.nn.activations import ACTIVATIONS
from lettergpu.training.optimizers import Momentum

sys.path.append(str(Path(__file__).parents[1] / "speed"))

from rounds import RESULTS, machine, name_after  # of speed/

SHAPES = {"256 x 512": (256, 512), "2^26": (2**17, 512)}


def contestants(shape: tuple[int, int]) -> dict[str, tuple[int, Callable[[], Any]]]:
    """What runs at this size: name -> (bytes an element moves at least, the call)."""
    import cupy

    rng = np.random.default_rng(0)
    z, g, out = (cupy.asarray(rng.standard_normal(shape, np.float32)) for _ in range(3))
    bias = cupy.asarray(rng.standard_normal(shape[1], np.float32))
    labels, ones = cupy.zeros(shape[0], cupy.int64), cupy.ones(shape[1], cupy.float32)
    flat = z.reshape(-1)
    settings = Momentum(flat, learning_rate=1e-9, momentum=0.9, nesterov=False, l2=0.0, decayed=0)
    rows: dict[str, tuple[int, Callable[[], Any]]] = {
        "copy": (8, lambda: cupy.copyto(out, z)),
        "momentum_step": (20, lambda: cuda_network.momentum_step(flat, g.reshape(-1), settings)),
        "softmax_cross_entropy": (8, lambda: losses.softmax_cross_entropy(z, labels, ones, shape[0])),
    }
    composed = layers.gradient_before.__wrapped__  # type: ignore[attr-defined]
    for name, formula in FORMULAS.items():
        activation = ACTIVATIONS[name]
        body = f"typedef float C; const C z_ = z; a = lettergpu::{formula.format('value', leak=activation.leak)};"
        value = cupy.ElementwiseKernel("T z", "T a", body, f"value_{name}", preamble=source("activations.cuh"))
        rows[f"{name} value"] = 8, partial(packs.launched, value, z, out)
        rows[f"{name} value, composed"] = 8, partial(activation.value, z)
        rows[f"{name} activate"] = 12, partial(cuda_network.activate, g, bias, activation)
        rows[f"{name} gradient"] = 12, partial(cuda_network.gradient_before, g, z, activation)
        rows[f"{name} gradient, composed"] = 12, partial(composed, g, z, activation)
    textbook = {
        "swish": lambda x: x / (1 + cupy.exp(-x)),
        "mish": lambda x: x * cupy.tanh(cupy.log1p(cupy.exp(x))),
        "tanhexp": lambda x: x * cupy.tanh(cupy.exp(x)),
    }
    for name, formula in textbook.items():
        rows[f"{name} value, cupy.fuse"] = 8, partial(cupy.fuse(kernel_name=f"fused_{name}")(formula), z)
    return rows | torchs(z, g)


def torchs(z: Any, g: Any) -> dict[str, tuple[int, Callable[[], Any]]]:
    """PyTorch's own kernels, on the same memory."""
    try:
        import torch
    except ImportError:
        return {}
    if not torch.cuda.is_available():
        return {}
    x, upstream = torch.from_dlpack(z), torch.from_dlpack(g)
    aten = torch.ops.aten
    return {
        "swish value, torch silu": (8, lambda: torch.nn.functional.silu(x)),
        "mish value, torch mish": (8, lambda: torch.nn.functional.mish(x)),
        "swish gradient, torch silu": (12, lambda: aten.silu_backward(upstream, x)),
        "mish gradient, torch mish": (12, lambda: aten.mish_backward(upstream, x)),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=50)
    parser.add_argument("--json", metavar="FILE|-")
    options = parser.parse_args()
    device, _ = resolve("cuda")
    import cupy
    from cupyx.profiler import benchmark

    table: dict[str, dict[str, dict[str, float]]] = {}
    for size, shape in SHAPES.items():
        running = contestants(shape)
        for _, call in running.values():
            call(), call()
        seconds: dict[str, list[float]] = {name: [] for name in running}
        for _ in range(options.rounds):
            for name, (_, call) in running.items():
                seconds[name].append(float(benchmark(call, n_repeat=5, n_warmup=1, name=name).gpu_times.min()))
        medians = {name: statistics.median(taken) for name, taken in seconds.items()}
        count = shape[0] * shape[1]
        rates = {name: running[name][0] * count / taken for name, taken in medians.items()}
        table[size] = {
            name: {
                "microseconds": medians[name] * 1e6,
                "GB/s": rates[name] / 1e9,
                "of copy": rates[name] / rates["copy"],
            }
            for name in running
        }
        del running
        cupy.get_default_memory_pool().free_all_blocks()
    text = json.dumps({"device": device.name, "rounds": options.rounds, "sizes": table}, indent=2) + "\n"
    if options.json == "-":
        print(text, end="")
        return
    for size, rows in table.items():
        print(f"\n{device.name}, {size}")
        for name, row in rows.items():
            print(f"  {name:34}{row['microseconds']:10.1f} us{row['GB/s']:9.0f} GB/s{row['of copy']:8.0%}")
    name_after(device.name)
    (Path(options.json) if options.json else RESULTS / f"kernels-{machine()}.json").write_text(text)


if __name__ == "__main__":
    main()
