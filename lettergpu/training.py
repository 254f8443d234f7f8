"""The training loop. It yields, the caller shows: nothing is printed or written here."""

import math
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np

from .augment import moment_frames
from .batches import PIECE, batches, steps_an_epoch
from .config import Config
from .data import SIDE
from .data.letters import Letters
from .device import Device, resolve
from .errors import LettergpuError
from .losses import LOSSES
from .metrics import Tally, loss_and_accuracy
from .network import Network
from .optimizers import Momentum
from .randomness import generator
from .schedules import SCHEDULES


class Diverged(LettergpuError):
    """The loss is no longer a finite number. The network holds the best parameters so far, those of a State."""


@dataclass
class State:
    """Where a training stands after an epoch; with the configuration, all that it takes to go on.

    parameters, velocity, best_parameters: flat vectors on the host. best_epoch, best_loss: those of the lowest
    validation loss, or without patience of the last epoch.
    """

    epoch: int
    parameters: np.ndarray
    velocity: np.ndarray
    best_epoch: int
    best_loss: float
    best_parameters: np.ndarray

    def finished(self, config: Config) -> bool:
        """Whether all epochs are done, or `patience` of them have passed without a lower validation loss."""
        return self.epoch >= config.epochs or 0 < config.patience <= self.epoch - self.best_epoch


@dataclass
class EpochReport:
    """What an epoch came to.

    train_loss, train_accuracy: means over the epoch's batches as they were trained on, augmentation and class
    weights included, L2 not. val_loss, val_accuracy: on the held-out letters after the epoch, with the same
    class weights. Losses in nats an image, accuracies from 0 to 1. learning_rate: of the last step.
    """

    epoch: int
    train_loss: float
    train_accuracy: float
    val_loss: float
    val_accuracy: float
    learning_rate: float
    seconds: float
    network: Network
    state: State


def class_weights(labels: np.ndarray, classes: int, kind: str) -> np.ndarray:
    """How much an image of each class counts, (classes,): 1, or for "balanced" n / (classes * n of the class).

    As in scikit-learn, classes without a training image do not count among the classes; they keep 1.
    """
    counts = np.bincount(labels, minlength=classes)
    if kind == "none":
        return np.ones(classes)
    return np.where(counts > 0, len(labels) / (np.count_nonzero(counts) * np.maximum(counts, 1)), 1.0)


def fit(
    config: Config,
    letters: Letters,
    *,
    device: Device | None = None,
    state: State | None = None,
    on_batch: Callable[[int], None] = lambda images: None,
) -> Iterator[EpochReport]:
    """Train a network, or an ensemble of them; yield a report after each epoch.

    At the end the network holds the best parameters, or those of the last epoch where there is no patience: a schedule
    that ends at 0 is not to be cut off by a chance low.

    state: where an earlier training of the same configuration and letters stood; this one goes on from there
    and comes to the same parameters, bit for bit, on the same device. on_batch: called after each batch (or
    piece of one) with its number of images, without waiting for the device.
    Raises Diverged if the loss becomes NaN or infinite, and LettergpuError if the letters cannot be split.
    """
    device = device or resolve(config.device, config.precision)[0]
    rows, held = letters.hold_out(config.validation, config.seed)
    xp = device.namespace
    network = Network(
        (SIDE * SIDE, *config.hidden, len(letters.classes)),
        activation=config.activation,
        loss=config.loss,
        classes=letters.classes,
        batch_norm=config.batch_norm,
        moment_norm=config.moment_norm,
        members=config.ensemble,
        device=device,
    )
    initialize(network, config)
    optimizer = Momentum(
        network.parameters,
        learning_rate=config.learning_rate,
        momentum=config.momentum,
        nesterov=config.nesterov,
        l2=config.l2,
        decayed=network.weight_count,
    )
    if state is None:
        state = State(0, *_snapshot(network, optimizer), 0, math.inf, device.fetch(network.parameters).copy())
    else:
        network.parameters[...] = device.put(state.parameters)
        optimizer.velocity[...] = device.put(state.velocity)

    dtype = network.parameters.dtype
    frames = _frames(letters.train.images) if config.moment_norm else None
    images = letters.train.images.reshape(-1, SIDE * SIDE)  # (n, 784) uint8
    held_images, held_labels = device.put_if_it_fits(images[held]), device.put(letters.train.labels[held])
    images, labels = device.put_if_it_fits(images), device.put(letters.train.labels)
    weights = class_weights(letters.train.labels[rows], len(letters.classes), config.class_weight)
    weights = xp.astype(device.put(weights), dtype)  # (classes,)

    while not state.finished(config):
        began = time.perf_counter()
        epoch = state.epoch + 1
        rates = learning_rates(config, epoch, steps_an_epoch(len(rows), config))
        pieces = batches(images, labels, rows, config, epoch, device, dtype, frames)
        with np.errstate(over="ignore", invalid="ignore"):  # a diverging run is told below, once
            loss, accuracy = train_epoch(
                network, optimizer, pieces, weights, on_batch, rates=rates, smoothing=config.label_smoothing
            )
            val_loss, val_accuracy = loss_and_accuracy(network, held_images, held_labels, weights)
        if not (math.isfinite(loss) and math.isfinite(val_loss)):
            network.parameters[...] = device.put(state.best_parameters)
            raise Diverged(
                f"the loss became {loss if not math.isfinite(loss) else val_loss} in epoch {epoch} at learning "
                f"rate {config.learning_rate:g}: try --lr {config.learning_rate / 10:g}"
            )
        parameters, velocity = _snapshot(network, optimizer)
        best = state.best_epoch, state.best_loss, state.best_parameters
        if val_loss < state.best_loss or not config.patience:
            best = epoch, val_loss, parameters
        state = State(epoch, parameters, velocity, *best)
        rate, seconds = optimizer.learning_rate, time.perf_counter() - began
        yield EpochReport(epoch, loss, accuracy, val_loss, val_accuracy, rate, seconds, network, state)
    network.parameters[...] = device.put(state.best_parameters)


def initialize(network: Network, config: Config) -> None:
    """Draw the parameters that a training begins with, each member's by a seed of its own."""
    for number, seed in enumerate(config.seeds):
        member = network.member(number)
        member.initialize(generator(seed, "parameters"), config.init)
        network.set_member(number, member)


def _frames(images: np.ndarray) -> np.ndarray:
    """Those of images of any number, (n, 2, 3)."""
    starts = range(0, len(images), PIECE)  # all at once, they would take four times their room
    return np.concatenate([moment_frames(images[start : start + PIECE], np.float32) for start in starts])


def learning_rates(config: Config, epoch: int, steps: int) -> Iterator[float]:
    """The learning rate of each of an epoch's steps."""
    for step in range(steps):
        done = (epoch - 1 + step / steps) / config.epochs
        yield config.learning_rate * SCHEDULES[config.schedule](done, config.warmup)


def train_epoch(
    network: Network,
    optimizer: Momentum,
    pieces: Any,
    weights: Any,
    on_batch: Callable[[int], None],
    *,
    rates: Iterator[float] | None = None,
    smoothing: float = 0.0,
) -> tuple[float, float]:
    """One pass over the training set; its mean loss and accuracy. The device is asked only at the end.

    pieces: of `batches`. weights: (classes,), how much an image of each class counts. rates: the learning rate of each
    step, where it changes. smoothing: of the labels.
    """
    xp, loss, tally = network.device.namespace, LOSSES[network.loss].outcome, Tally()
    for piece in pieces:
        logits = network.forward(piece.x, keep=True)  # (rows, classes), or (members, rows, classes)
        outcome = loss(xp.reshape(logits, (-1, logits.shape[-1])), piece.labels, weights, piece.batch, smoothing)
        network.backward(xp.reshape(outcome.gradient, logits.shape), add=not piece.first)
        if piece.last:
            if rates:
                optimizer.learning_rate = next(rates)
            optimizer.step(network.parameters, network.gradients)
        tally.add(outcome)
        on_batch(piece.labels.shape[0])
    return tally.means()


def _snapshot(network: Network, optimizer: Momentum) -> tuple[np.ndarray, np.ndarray]:
    """The parameters and the velocity, copied to the host."""
    fetch = network.device.fetch
    return fetch(network.parameters).copy(), fetch(optimizer.velocity).copy()
