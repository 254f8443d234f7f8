"""The training loop. It yields, the caller shows: nothing is printed or written here."""

import math
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np

from ..backends.device import CPU, Device, Repeated, one_by_one
from ..backends.libraries import resolve
from ..backends.ranks import ALONE, Ranks
from ..config import Config
from ..data.idx import Images
from ..data.letters import Examples, Letters
from ..errors import LettergpuError
from ..nn.losses import LOSSES, weighed
from ..nn.network import CHUNK, Network
from .batches import Batches, Part, count_batch, placed
from .metrics import Tally, tally_answers
from .optimizers import Momentum
from .schedules import learning_rates

FEW = 4096  # rows of a step on a CPU, up to which it is recorded: what it takes of memory stays taken


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
        """Whether the training has ended."""
        return config.ended(self.epoch, self.best_epoch)

    def after(self, parameters: np.ndarray, velocity: np.ndarray, val_loss: float, *, keep_last: bool) -> "State":
        """Where it stands an epoch later. keep_last: that one is the best, whatever its loss."""
        best = self.best_epoch, self.best_loss, self.best_parameters
        if val_loss < self.best_loss or keep_last:
            best = self.epoch + 1, val_loss, parameters
        return State(self.epoch + 1, parameters, velocity, *best)


@dataclass
class EpochReport:
    """What an epoch came to.

    train_loss, train_accuracy: means over the epoch's batches as they were trained on, augmentation and class
    weights included, L2 not. val_loss, val_accuracy: on the held-out letters after the epoch, with the same
    class weights; where none are held out, those of the training. Losses in nats an image, accuracies from 0 to 1,
    in which all rows count alike. learning_rate: of the last step.
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
    ranks: Ranks = ALONE,
) -> Iterator[EpochReport]:
    """Train a network, or an ensemble of them; yield a report after each epoch.

    At the end the network holds the best parameters, or those of the last epoch where there is no patience: a schedule
    that ends at 0 is not to be cut off by a chance low.

    state: where an earlier training of the same configuration and letters stood; this one goes on from there
    and comes to the same parameters, bit for bit, on the same device. on_batch: called after each batch (or
    piece of one) with its number of images, without waiting for the device. ranks: the processes that train it
    together, of which this is rank 0, and the others `assist`.
    Raises Diverged if the loss becomes NaN or infinite, and LettergpuError if the letters cannot be split.
    """
    device = device or resolve(config.device, config.precision)[0]
    rows, held = letters.hold_out(config.validation, config.seed)
    task = config, letters.train, letters.classes, rows, held
    ranks.tell(task)
    trainer = Trainer(*task, device, ranks)
    network = trainer.network
    state = trainer.begin(state)
    while not state.finished(config):
        began = time.perf_counter()
        epoch = state.epoch + 1
        with ranks.busy():
            ranks.tell(state)
            loss, accuracy, val_loss, val_accuracy = trainer.epoch(epoch, on_batch)
        if not (math.isfinite(loss) and math.isfinite(val_loss)):
            network.parameters[...] = device.put(state.best_parameters)
            raise Diverged(
                f"the loss became {loss if not math.isfinite(loss) else val_loss} in epoch {epoch} at learning "
                f"rate {config.learning_rate:g}: try --lr {config.learning_rate / 10:g}"
            )
        state = state.after(*trainer.snapshot(), val_loss, keep_last=not config.patience)
        rate, seconds = float(trainer.rates[epoch - 1, -1]), time.perf_counter() - began
        yield EpochReport(epoch, loss, accuracy, val_loss, val_accuracy, rate, seconds, network, state)
    ranks.end()
    network.parameters[...] = device.put(state.best_parameters)


def assist(ranks: Ranks) -> None:
    """Compute this process's share of what rank 0 trains, each epoch from where that stands, until there is no more."""
    if task := ranks.tell():
        config, letters, classes, rows, held = task
        device = resolve(ranks.place(config.device), config.precision)[0]
        trainer = Trainer(config, letters, classes, rows, held, device, ranks)
        while state := ranks.tell():
            trainer.begin(state)
            with ranks.busy():
                trainer.epoch(state.epoch + 1)


class Trainer:
    """A network, what changes it, and the letters that it learns from and is validated on, all on one device.

    letters: of the host; rows: those of them to train on, held: those to validate on; of these and of each batch this
    process takes its share among `ranks`. An epoch is its steps, one after
    another. A step asks nothing of the host, which may thus record it once and have it repeated: all that it reads and
    writes is on the device before the stretch begins, and so is its number.
    rates: (epochs, steps), the learning rate of every step, on the host.
    """

    def __init__(
        self,
        config: Config,
        letters: Examples,
        classes: tuple[str, ...],
        rows: np.ndarray,
        held: np.ndarray,
        device: Device,
        ranks: Ranks = ALONE,
    ):
        if len(rows) and not 0 <= letters.labels.min() <= letters.labels.max() < len(classes):
            raise ValueError(f"labels must be from 0 to {len(classes) - 1}, the number of the last class")
        self.config, self.device, xp = config, device, device.namespace
        self.ranks, self.held_count = ranks.on(device), len(held)
        self.network = Network.begun(config, classes, device, letters.flat.shape[1])
        for layer in self.network.layers:
            layer.ranks = self.ranks
        parameters = self.network.parameters
        self.batches = Batches(letters, rows, config, device, parameters.dtype, ranks)
        epochs, steps = range(1, config.epochs + 1), self.batches.steps
        self.rates = np.stack([np.fromiter(learning_rates(config, epoch, steps), float, steps) for epoch in epochs])
        self._rates = xp.astype(device.put(self.rates), parameters.dtype)
        self.optimizer = Momentum(
            parameters,
            learning_rate=config.learning_rate,
            momentum=config.momentum,
            nesterov=config.nesterov,
            l2=config.l2,
            decayed=self.network.weight_count,
        )
        held = held[slice(*ranks.share(len(held)))]
        validation = letters.take(held)
        self.held_images = device.put_if_it_fits(validation.flat)
        self.held_labels = device.put(validation.labels)
        self.held_weights = placed(validation.weights, device, parameters.dtype)
        frames = self.batches.frames
        self.held_frames = None if frames is None else xp.take(frames, device.put(held), axis=0)
        weights = class_weights(letters.labels[rows], len(classes), config.class_weight)
        self.weights = xp.astype(device.put(weights), parameters.dtype)  # (classes,)
        self.outcome = LOSSES[config.loss].outcome
        self.tally = Tally(config.ensemble * max(part.rows for part in self.batches.parts), self.weights)
        self.held_tally = Tally(min(CHUNK, len(held)), self.weights)
        here = xp is CPU.namespace  # where what the library does not do itself, as to weigh rows, is not recorded
        plain = letters.weights is not None or self.tally.losses.shape[0] > FEW
        self._steps = self._repeated(self.step, self.batches.streamed or (here and plain))
        self._validation = self._repeated(self._validate, here or isinstance(self.held_images, Images))

    def _repeated(self, work: Callable[[Any], None], plainly: bool) -> Repeated:
        alone = self.ranks.size == 1  # whether NCCL's sums may be recorded was not tried
        return self.device.repeated(work) if alone and not plainly else one_by_one(work)

    def begin(self, state: State | None) -> State:
        """Stand where an earlier training stood, or where one begins; that state."""
        if state is None:
            parameters, velocity = self.snapshot()
            return State(0, parameters, velocity, 0, math.inf, parameters)
        self.network.parameters[...] = self.device.put(state.parameters)
        self.optimizer.velocity[...] = self.device.put(state.velocity)
        return state

    def epoch(self, epoch: int, on_batch: Callable[[int], None] = lambda images: None) -> tuple[float, ...]:
        """Train for one, then validate: loss and accuracy of both, or where none are held out of the first, twice."""
        with np.errstate(over="ignore", invalid="ignore"):  # who asks for it tells of a diverging run, once
            trained = self.train(epoch, on_batch)
            return *trained, *(self.validate() if self.held_count else trained)

    def train(self, epoch: int, on_batch: Callable[[int], None] = lambda images: None) -> tuple[float, float]:
        """One pass over the training set; its mean loss and accuracy. The device is asked only at the end."""
        self.tally.clear()
        for parts in self.batches.stretches(epoch, self._rates[epoch - 1, :]):
            for part in self._steps(parts):
                on_batch(self.config.ensemble * part.whole)
        return self.tally.means(self.batches.count, self.ranks)

    def step(self, part: Part) -> None:
        """Learn from the batch whose number is reached in the stretch that was drawn, or from a part of it."""
        network, piece = self.network, self.batches.piece(part)
        logits = network.forward(piece.x, keep=True)  # (rows, classes), or (members, rows, classes)
        rows = self.device.namespace.reshape(logits, (-1, logits.shape[-1]))
        outcome = self.outcome(rows, piece.labels, self.weights, part.batch, self.config.label_smoothing)
        outcome = weighed(outcome, piece.weights)
        self.tally.add(outcome)
        gradient = self.device.namespace.reshape(outcome.gradient, logits.shape)
        network.backward(gradient, add=not part.first)
        if part.last:
            self.ranks.sum(network.gradients)
            self.optimizer.learning_rate = piece.rate
            self.optimizer.step(network.parameters, network.gradients)
            count_batch(self.batches.number)

    def validate(self) -> tuple[float, float]:
        """The mean loss and accuracy on the letters held out."""
        self.held_tally.clear()
        list(self._validation(["all"]))
        return self.held_tally.means(self.held_count, self.ranks)

    def _validate(self, part: str) -> None:
        held = self.held_images, self.held_frames, self.held_labels
        tally_answers(self.held_tally, self.network, *held, self.weights, self.held_weights)

    def snapshot(self) -> tuple[np.ndarray, np.ndarray]:
        """The parameters and the velocity, copied to the host."""
        fetch = self.device.fetch
        return fetch(self.network.parameters).copy(), fetch(self.optimizer.velocity).copy()
