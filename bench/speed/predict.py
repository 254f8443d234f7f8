"""Images a second that a trained network's probabilities take, here, in onnxruntime and in PyTorch.

python bench/speed/predict.py [--activation tanhexp|relu|swish|mish] [--threads N] [--rounds 5] [--json FILE|-]

784-512-256-128-26, float32, on the CPU: from uint8 images on the host to probabilities on the host, for 1, 64 and
4096 images a call. Letters: the folder that LETTERGPU_EMNIST names, else built-in ones. All take turns; each round
repeats a call for SECONDS. onnxruntime runs a graph of the same weights and operations, PyTorch is eager in
inference_mode; both are left out where they are not installed (pip install '.[bench]'). Before they are timed, their
probabilities must be within 1e-4 of lettergpu's.
"""

import argparse
import sys
import time
from collections.abc import Callable
from importlib.metadata import version
from typing import Any

import numpy as np
from rounds import limit_threads, medians, publish, seconds_in_turn
from torch_peers import torch_activation

from lettergpu.cli.benchmark import CALLS, kernels, letters
from lettergpu.config import Config
from lettergpu.interop.onnx import model_of
from lettergpu.nn.network import Network
from lettergpu.randomness import generator

SECONDS = 0.2
ACTIVATIONS = ("relu", "swish", "mish", "tanhexp")

Predict = Callable[[np.ndarray], np.ndarray]  # uint8 images (n, 28, 28) -> probabilities (n, 26)


def in_onnxruntime(network: Network, threads: int) -> Predict:
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    session = onnxruntime.InferenceSession(
        model_of(network).SerializeToString(), options, providers=["CPUExecutionProvider"]
    )
    return lambda images: session.run(None, {"images": images})[0]


def in_torch(network: Network, threads: int) -> Predict:
    import torch

    activation = torch_activation(network.activation)
    # as torch.nn.Linear keeps them, (fan_out, fan_in)
    layers = [(torch.tensor(layer.weight.T).contiguous(), torch.tensor(layer.bias)) for layer in network.layers]
    linear = torch.nn.functional.linear

    def predict(images: np.ndarray) -> np.ndarray:
        with torch.inference_mode():
            x = torch.from_numpy(images).flatten(1).float().div_(255)
            for weight, bias in layers[:-1]:
                x = activation(linear(x, weight, bias))
            return linear(x, *layers[-1]).softmax(dim=1).numpy()

    return predict


PEERS: dict[str, Callable[[Network, int], Predict]] = {"onnxruntime": in_onnxruntime, "torch": in_torch}


def timed(predict: Predict, images: np.ndarray) -> Callable[[], float]:
    """Seconds a call, the mean of as many as take SECONDS."""

    def run(calls: int = 1) -> float:
        began = time.perf_counter()
        for _ in range(calls):
            predict(images)
        return (time.perf_counter() - began) / calls

    run()
    calls = max(1, round(SECONDS / run()))
    return lambda: run(calls)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--activation", choices=ACTIVATIONS, default=Config.activation)
    parser.add_argument("--threads", type=int)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--json", metavar="FILE|-")
    options = parser.parse_args()
    threads = limit_threads(options.threads)
    network = Network((784, *Config.hidden, 26), activation=options.activation)
    network.initialize(generator(0, "parameters"), "he")  # its probabilities differ from image to image
    images, _, kind = letters(max(CALLS))
    images = images.reshape(-1, 28, 28)

    settings: dict[str, Any] = {"activation": options.activation, "threads": threads, "letters": kind}
    settings |= {"kernels": kernels(), "numpy": version("numpy")}
    contestants: dict[str, Predict] = {"lettergpu": network.predict_proba}
    for name, peer in PEERS.items():
        try:
            predict = peer(network, threads)
        except ImportError as reason:
            print(f"{name} is left out: {reason}", file=sys.stderr)
            continue
        for count in CALLS:
            if (off := np.abs(predict(images[:count]) - network.predict_proba(images[:count])).max()) > 1e-4:
                raise SystemExit(f"{name} computes something else: a probability is off by {off:.2g}")
        contestants[name] = predict
        settings[name] = version(name)

    rows: dict[str, dict[str, float]] = {name: {} for name in contestants}
    rounds: dict[str, dict[str, list[float]]] = {name: {} for name in contestants}
    for count in CALLS:
        seconds = seconds_in_turn({name: timed(p, images[:count]) for name, p in contestants.items()}, options.rounds)
        for name, median in medians(seconds).items():
            rows[name][str(count)] = count / median
            rounds[name][str(count)] = [count / taken for taken in seconds[name]]
    table = [f"  {'images a second, by images a call':34}" + "".join(f"{count:>12,}" for count in CALLS)]
    table += [f"  {name:34}" + "".join(f"{rate:12,.0f}" for rate in rates.values()) for name, rates in rows.items()]
    publish(f"predict-{options.activation}-t{threads}", settings, table, {"rows": rows, "rounds": rounds}, options.json)


if __name__ == "__main__":
    main()
