"""How the learning rate goes over a training, as a share of the highest, from the share of all steps already done."""

import math
from collections.abc import Callable, Iterator
from dataclasses import replace

from ..config import Config


def constant(done: float, warmup: float) -> float:
    """1 after the warm-up."""
    return _rise(done, warmup)


def linear(done: float, warmup: float) -> float:
    """Down to 0 in a straight line."""
    return _rise(done, warmup) if done < warmup else (1 - done) / (1 - warmup)


def cosine(done: float, warmup: float) -> float:
    """Down to 0 along half a cosine. Loshchilov, Hutter 2017, arXiv:1608.03983, without restarts."""
    return _rise(done, warmup) if done < warmup else (1 + math.cos(math.pi * (done - warmup) / (1 - warmup))) / 2


def step(done: float, warmup: float) -> float:
    """A tenth from half of the training on, a hundredth over its last quarter."""
    return _rise(done, warmup) * (1.0 if done < 0.5 else 0.1 if done < 0.75 else 0.01)


def exponential(done: float, warmup: float) -> float:
    """By the same factor each step, down to a hundredth."""
    return _rise(done, warmup) if done < warmup else 0.01 ** ((done - warmup) / (1 - warmup))


def _rise(done: float, warmup: float) -> float:
    """From near 0 (a rate of 0 would waste the first step) to 1 in a straight line over the warm-up, then 1."""
    return min(1.0, (done + 0.01) / (warmup + 0.01))


SCHEDULES: dict[str, Callable[[float, float], float]] = {
    "constant": constant,
    "linear": linear,
    "cosine": cosine,
    "step": step,
    "exponential": exponential,
}


def learning_rates(config: Config, epoch: int, steps: int) -> Iterator[float]:
    """The learning rate of each of an epoch's steps; the first epoch is 1.

    Where a course of the schedule has ended and no other one begun, it is that of the course's last step.
    """
    begin, end = _course(config, epoch)
    for step in range(steps):
        at, of = (epoch, step) if epoch <= end else (end, steps - 1)
        done = (at - 1 - begin + of / steps) / (end - begin)
        yield config.learning_rate * SCHEDULES[config.schedule](done, config.warmup)


def _course(config: Config, epoch: int) -> tuple[int, int]:
    """How many epochs precede the latest course of the schedule that has begun by then, and which is its last."""
    cycles = config.cycles or (0, config.epochs)
    return max(pair for pair in zip(cycles[::2], cycles[1::2], strict=True) if pair[0] < epoch)


def over_epochs(config: Config, epochs: int, *, warm_restart: bool = False) -> Config:
    """The settings of a training that goes on to another number of epochs than was planned.

    Those that were planned keep their rates. What more there are have the last of these, or with warm_restart a course
    of the schedule of their own: Loshchilov, Hutter 2017, arXiv:1608.03983.
    """
    if epochs == config.epochs:
        return config
    courses = config.cycles or (0, config.epochs)
    if warm_restart:
        begun = 2 * sum(begin < config.epochs for begin in courses[::2])
        courses = (*courses[:begun], config.epochs, epochs)
    return replace(config, epochs=epochs, cycles=courses)
