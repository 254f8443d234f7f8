"""Seconds an epoch of training takes, here and in PyTorch eager: the same network, letters, order and weights.

python bench/epoch.py [--activation tanhexp] [--batch-size 256] [--rounds 5] [--json FILE|-]

Letters: the folder that LETTERGPU_EMNIST names, else random pictures. Needs PyTorch: pip install '.[bench]'.
"""

import argparse
import os
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
from rounds import report, seconds_in_turn

from lettergpu.batches import batches
from lettergpu.config import Config
from lettergpu.data.emnist import read
from lettergpu.device import CPU
from lettergpu.network import Network
from lettergpu.optimizers import Momentum
from lettergpu.randomness import generator
from lettergpu.training import train_epoch

COUNT = 74_230  # what a default training on the development letters trains on

TORCH_ACTIVATIONS: dict[str, Callable] = {
    "relu": torch.relu,
    "swish": torch.nn.functional.silu,
    "mish": torch.nn.functional.mish,
    "tanhexp": lambda z: z * torch.tanh(torch.exp(z)),
}


def letters() -> tuple[np.ndarray, np.ndarray]:
    """(n, 784) uint8 images and labels."""
    if folder := os.environ.get("LETTERGPU_EMNIST"):
        images, labels = read(Path(folder), "letters", "train")
        return images[:COUNT].reshape(-1, 784), labels[:COUNT]
    rng = np.random.default_rng(0)
    return rng.integers(0, 256, (COUNT, 784)).astype(np.uint8), rng.integers(0, 26, COUNT)


def new_network(config: Config) -> Network:
    network = Network((784, *config.hidden, 26), activation=config.activation)
    network.initialize(generator(0, "parameters"), config.init)
    return network


class Ours:
    """One epoch after another through the training loop's own code."""

    def __init__(self, config: Config, images: np.ndarray, labels: np.ndarray):
        self.config, self.images, self.labels, self.epoch = config, images, labels, 0
        self.network = new_network(config)
        self.optimizer = Momentum(
            self.network.parameters,
            learning_rate=config.learning_rate,
            momentum=config.momentum,
            nesterov=False,
            l2=0.0,
            decayed=0,
        )
        self.weights = np.ones(26, np.float32)

    def __call__(self) -> float:
        began = time.perf_counter()
        self.epoch += 1
        rows = np.arange(len(self.labels))
        pieces = batches(self.images, self.labels, rows, self.config, self.epoch, CPU, np.float32)
        self.loss, _ = train_epoch(self.network, self.optimizer, pieces, self.weights, lambda images: None)
        return time.perf_counter() - began


class Torch:
    """The same in PyTorch eager, written as its tutorials do, with the same bookkeeping of loss and accuracy."""

    def __init__(self, config: Config, images: np.ndarray, labels: np.ndarray):
        self.config, self.epoch = config, 0
        self.images, self.labels = torch.from_numpy(images.copy()), torch.from_numpy(labels.copy())
        self.activation = TORCH_ACTIVATIONS[config.activation]
        self.linears = torch.nn.ModuleList()
        for layer in new_network(config).layers:
            linear = torch.nn.Linear(*layer.weight.shape)
            with torch.no_grad():
                linear.weight.copy_(torch.from_numpy(layer.weight.T.copy()))
                linear.bias.copy_(torch.from_numpy(layer.bias.copy()))
            self.linears.append(linear)
        self.optimizer = torch.optim.SGD(self.linears.parameters(), lr=config.learning_rate, momentum=config.momentum)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        for linear in self.linears[:-1]:
            x = self.activation(linear(x))
        return self.linears[-1](x)

    def __call__(self) -> float:
        began = time.perf_counter()
        self.epoch += 1
        count = len(self.labels)
        order = torch.from_numpy(generator(self.config.seed, "order", self.epoch).permutation(count))
        loss_sum, correct = torch.zeros(()), torch.zeros((), dtype=torch.int64)
        for start in range(0, count, self.config.batch_size):
            rows = order[start : start + self.config.batch_size]
            x = self.images[rows].float().div_(255)
            y = self.labels[rows]
            logits = self.forward(x)
            loss = torch.nn.functional.cross_entropy(logits, y)
            self.optimizer.zero_grad()
            loss.backward()
            self.optimizer.step()
            with torch.no_grad():
                loss_sum += loss * len(y)
                correct += (logits.argmax(dim=1) == y).sum()
        self.loss = float(loss_sum) / count
        return time.perf_counter() - began


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--activation", choices=list(TORCH_ACTIVATIONS), default=Config.activation)
    parser.add_argument("--batch-size", type=int, default=Config.batch_size)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--json", metavar="FILE|-")
    options = parser.parse_args()
    config = Config(activation=options.activation, batch_size=options.batch_size, augment="none")
    images, labels = letters()
    ours, torchs = Ours(config, images, labels), Torch(config, images, labels)
    ours(), torchs()
    if not np.isclose(ours.loss, torchs.loss, rtol=0.01):
        raise SystemExit(f"not the same training: loss {ours.loss:.4f} here, {torchs.loss:.4f} in PyTorch")
    settings = {
        "activation": options.activation,
        "batch_size": options.batch_size,
        "images": len(labels),
        "threads": torch.get_num_threads(),
        "torch": torch.__version__,
        "numpy": np.__version__,
    }
    seconds = seconds_in_turn({"lettergpu": ours, "torch": torchs}, options.rounds)
    report(f"epoch-{options.activation}", settings, seconds, options.json)


if __name__ == "__main__":
    main()
