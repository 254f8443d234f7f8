"""How fast this machine trains and answers: `lettergpu bench`, and what bench/ measures others beside."""

import os
import statistics
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import count
from pathlib import Path
from string import ascii_uppercase
from typing import Any

import numpy as np

from ..backends.device import CPU, Device
from ..backends.dispatch import NATIVE
from ..backends.host import library
from ..config import Config
from ..data import SIDE, glyphs
from ..data.emnist import read
from ..data.letters import Examples
from ..nn.draws import permutation, stream
from ..nn.network import Network
from ..nn.warps import moment_frames
from ..training.loop import Trainer
from ..training.schedules import learning_rates
from .progress import preparing

COUNT = 99_840  # 124,800 letters of EMNIST, less a fifth for validation
CALLS = (1, 64, 4096)  # images a call, when answers are timed

Epoch = Callable[[int], tuple[float, float] | None]  # trains an epoch, the first is 1; mean loss and accuracy


@dataclass
class Task:
    """What is trained: `config`'s network on images (n, 784) uint8 with labels (n,) int64, on a device."""

    config: Config
    images: np.ndarray
    labels: np.ndarray
    device: Device = CPU

    @property
    def kind(self) -> str:
        """cpu or cuda."""
        return "cuda" if "cuda" in self.device.name else "cpu"

    def network(self, device: Device) -> Network:
        return Network.begun(self.config, ascii_uppercase, device)

    def parameters(self) -> list[tuple[np.ndarray, np.ndarray]]:
        """Each layer's weight (fan_in, fan_out) and bias (fan_out,) to begin with, of an ensemble (members, ...)."""
        return [(layer.weight, layer.bias) for layer in self.network(CPU).layers]

    def order(self, epoch: int) -> np.ndarray:
        """The rows of an epoch, as `Batches` draws them, (n,), of an ensemble (members, n)."""
        numbers = np.arange(len(self.labels))
        orders = [permutation(numbers, stream(seed, "order", epoch)) for seed in self.config.seeds]
        return orders[0] if len(orders) == 1 else np.stack(orders)

    def rates(self, epoch: int) -> list[float]:
        """The learning rate of each step of an epoch."""
        size = self.config.batch_size or len(self.labels)
        return list(learning_rates(self.config, epoch, -(-len(self.labels) // size)))

    def frames(self) -> np.ndarray:
        """The maps (n, 2, 3) that bring the letters to their moments."""
        return moment_frames(self.images.reshape(-1, SIDE, SIDE), np.float32)


def letters(number: int, kind: str = "auto") -> tuple[np.ndarray, np.ndarray, str]:
    """(n, 784) uint8 images and labels, at most `number`, and what they are.

    kind: auto, EMNIST's of the folder that LETTERGPU_EMNIST names, else built-in ones, each as often as it takes;
    noise, random pixels with hardly a 0 among them. Of both of the latter a fifth of the labels is wrong: a loss
    that falls, but not to nothing.
    """
    folder = os.environ.get("LETTERGPU_EMNIST")
    if folder and kind == "auto":
        images, labels = read(Path(folder), "letters", "train")
        return images[:number].reshape(-1, 784), labels[:number], "EMNIST"
    rng = np.random.default_rng(0)
    if kind == "auto":
        images, labels = glyphs.load("train", preparing)
        chosen = np.arange(number) % len(images)
        images, labels = images[chosen].reshape(-1, 784), labels[chosen]
    else:
        labels, patterns = rng.integers(0, 26, number), rng.random((26, 784)) < 0.2
        images = rng.integers(0, 256, (number, 784), dtype=np.uint8)
        images[~patterns[labels]] >>= 3
    wrong = rng.random(number) < 0.2
    labels[wrong] = rng.integers(0, 26, np.count_nonzero(wrong))
    return images, labels, "built-in" if kind == "auto" else "noise"


def kernels() -> str:
    """What computes the steps on the CPU: the compiler of its kernels, or NumPy alone."""
    host, compiler = library()
    return compiler if host and "numpy" in NATIVE else "NumPy alone"


def training(task: Task) -> Epoch:
    """The training loop's own code, without validation."""
    letters, rows = Examples(task.images.reshape(-1, SIDE, SIDE), task.labels), np.arange(len(task.labels))
    return Trainer(task.config, letters, tuple(ascii_uppercase), rows, rows[:0], task.device).train


def products_only(task: Task) -> Epoch:
    """A step's products alone: forward, for the weights' gradients, for the inputs' but for the first layer's."""
    device = task.device
    xp, images = device.namespace, len(task.labels)
    size = task.config.batch_size or images
    weights = [device.put(weight) for weight, _ in task.parameters()]
    sides = [784, *(weight.shape[-1] for weight in weights)]
    members = weights[0].shape[:-2]
    rng = np.random.default_rng(0)
    inputs, deltas, outputs, input_gradients = (
        [device.put(rng.standard_normal((*members, size, side), np.float32)) for side in sides] for _ in range(4)
    )
    weight_gradients = [xp.empty_like(weight) for weight in weights]

    def epoch(number: int) -> None:
        for start in range(0, images, size):
            rows = min(size, images - start)
            for i, weight in enumerate(weights):
                xp.matmul(inputs[i][..., :rows, :], weight, out=outputs[i + 1][..., :rows, :])
            for i, weight in reversed(list(enumerate(weights))):
                delta = deltas[i + 1][..., :rows, :]
                xp.matmul(inputs[i][..., :rows, :].swapaxes(-1, -2), delta, out=weight_gradients[i])
                if i:
                    xp.matmul(delta, weight.swapaxes(-1, -2), out=input_gradients[i][..., :rows, :])
        device.fetch(weight_gradients[0])  # waits for a GPU

    return epoch


def short_form(config: Config, device: Device, rounds: int = 3) -> Iterator[tuple[str, float]]:
    """What `lettergpu bench` measures on a device, one (name, number) after another, each the median of `rounds`.

    epoch, products_only: seconds an epoch of COUNT built-in letters takes, estimated from a fourth of them.
    images_per_second_1, _64, _4096: from images on the host to probabilities on the host, by images a call.
    """
    images, labels, _ = letters(max(COUNT // 4, *CALLS))
    task = Task(config, images, labels, device)
    for name, contestant in (("epoch", training(task)), ("products_only", products_only(task))):
        yield name, _seconds(map(contestant, count(1)).__next__, rounds) * COUNT / len(labels)
    network, squares = task.network(device), images.reshape(-1, 28, 28)
    for size in CALLS:
        calls = max(1, 2048 // size)

        def answer(few: np.ndarray = squares[:size], calls: int = calls) -> None:
            for _ in range(calls):
                network.predict_proba(few)

        yield f"images_per_second_{size}", size * calls / _seconds(answer, rounds)


def _seconds(run: Callable[[], Any], rounds: int) -> float:
    """The median of `rounds`, after a first one."""
    run()
    taken = []
    for _ in range(rounds):
        began = time.perf_counter()
        run()
        taken.append(time.perf_counter() - began)
    return statistics.median(taken)
