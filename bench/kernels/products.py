"""What a dense layer takes on a GPU, there and back: by cuBLAS with kernels around it, and by products of our own.

python bench/kernels/products.py [--batch-size 256 1024] [--precision float32 tf32] [--activation relu] [--members 1]
                                 [--best 24] [--repeats 32] [--json FILE|-]

Needs an NVIDIA GPU. The layers of 784-512-256-128-26. Microseconds in a CUDA graph that repeats the layer, the least of
five launches. `own` is the plan that lettergpu takes, `best` the fastest of the --best plans that it thinks most of:
where they part, `plan` in backends/own.py counts clocks wrongly.
"""

import argparse
import json
import sys
from collections.abc import Callable
from itertools import pairwise, product
from pathlib import Path
from typing import Any
from unittest.mock import patch

import numpy as np

from lettergpu.backends import own
from lettergpu.backends.cpu import Slope
from lettergpu.backends.libraries import resolve
from lettergpu.nn import layers
from lettergpu.nn.activations import ACTIVATIONS

sys.path.append(str(Path(__file__).parents[1] / "speed"))

from rounds import RESULTS, machine, name_after  # of speed/

SIZES = 784, 512, 256, 128, 26


def microseconds(work: Callable[[], Any], repeats: int) -> float:
    """Of one `work`, recorded so often that launching does not count."""
    import cupy

    stream, pool = cupy.cuda.Stream(non_blocking=True), cupy.cuda.MemoryPool()
    with stream, cupy.cuda.using_allocator(pool.malloc):
        work()
        stream.begin_capture()
        for _ in range(repeats):
            work()
        graph = stream.end_capture()
        times = []
        for _ in range(6):
            begin, end = cupy.cuda.Event(), cupy.cuda.Event()
            begin.record(stream)
            graph.launch(stream)
            end.record(stream)
            end.synchronize()
            times.append(cupy.cuda.get_elapsed_time(begin, end) * 1e3 / repeats)
    return float(min(times[1:]))


def passes(i: int, batch: int, members: int, activation: Any) -> dict[str, Callable[[bool], Any]]:
    """The way there and the way back of layer i, each told whether by products of our own."""
    import cupy

    rng, outer = np.random.default_rng(0), (members,) if members > 1 else ()
    fan_in, fan_out = SIZES[i : i + 2]
    x, weight, bias, delta = (
        cupy.asarray(rng.standard_normal((*outer, *shape), np.float32))
        for shape in ((batch, fan_in), (fan_in, fan_out), (fan_out,), (batch, fan_out))
    )
    of_weight, of_bias = cupy.empty_like(weight), cupy.empty_like(bias)
    before = {False: x, True: Slope(x)} if i else {False: None, True: None}

    def there(by_own: bool) -> None:
        with patch.object(own, "IN_USE", by_own):
            layers.dense(x, weight, bias, activation, True)

    def back(by_own: bool) -> None:
        with patch.object(own, "IN_USE", by_own):
            layers.gradients(delta, x, weight, of_weight, of_bias, False, before[by_own], activation, i == 0)

    return {"there": there, "back": back}


def tried(work: Callable[[bool], Any], most: int, repeats: int) -> dict[own.Plan, float]:
    """What the plans with the least clocks take, the fastest one first."""
    asked: list[Any] = []

    def taken(way: own.Plan) -> float:
        with patch.object(own, "plan", lambda *arguments: way):
            return microseconds(lambda: work(True), repeats)

    with patch.object(own, "plan", lambda *arguments: asked.append(arguments) or own.plans(arguments[0])[0]):
        work(True)
    ways = sorted(own.plans(asked[0][0]), key=lambda way: own.clocks(way, *asked[0]))[:most]
    times = {way: taken(way) for way in ways}
    return dict(sorted(times.items(), key=lambda item: item[1]))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--batch-size", nargs="+", type=int, default=[256, 1024])
    parser.add_argument("--precision", nargs="+", choices=["float32", "tf32"], default=["float32", "tf32"])
    parser.add_argument("--activation", choices=list(ACTIVATIONS), default="relu")
    parser.add_argument("--members", type=int, default=1)
    parser.add_argument("--best", type=int, default=24)
    parser.add_argument("--repeats", type=int, default=32)
    parser.add_argument("--json", metavar="FILE|-")
    options = parser.parse_args()
    device = resolve("cuda")[0]
    name_after(device.name)
    rows = []
    print(f"{device.name}, microseconds, {options.activation}, {options.members} members")
    print(f"{'':34}{'cuBLAS':>10}{'own':>10}{'best':>10}")
    for precision, batch in product(options.precision, options.batch_size):
        resolve("cuda", precision)
        sums = [0.0] * 3
        for i, (fan_in, fan_out) in enumerate(pairwise(SIZES)):
            activation = ACTIVATIONS[options.activation if i < len(SIZES) - 2 else "identity"]
            for way, work in passes(i, batch, options.members, activation).items():
                times = [microseconds(lambda own=own, work=work: work(own), options.repeats) for own in (False, True)]
                ways = tried(work, options.best, options.repeats)
                found, least = next(iter(ways.items()))
                name = f"{precision}, {batch}, {fan_in}-{fan_out} {way}"
                figures = dict(zip(("cublas", "own", "best"), (*times, least), strict=True))
                sums = [a + b for a, b in zip(sums, figures.values(), strict=True)]
                print(f"{name:34}" + "".join(f"{t:10.2f}" for t in figures.values()), *found, flush=True)
                plans = [[*way, microseconds] for way, microseconds in ways.items()]
                rows.append({"what": name} | figures | {"plans": plans})
        print(f"{f'{precision}, {batch}, all':34}" + "".join(f"{t:10.2f}" for t in sums))
    content = {"benchmark": "products", "machine": machine(), "members": options.members, "rows": rows}
    text = json.dumps(content, indent=2) + "\n"
    if options.json == "-":
        print(text, end="")
        return
    (Path(options.json) if options.json else RESULTS / f"products-{machine()}.json").write_text(text)


if __name__ == "__main__":
    main()
