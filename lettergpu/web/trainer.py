"""A process that trains a network, and after each epoch tells what has become of it."""

import math
import os
import signal
import time
from base64 import b64encode
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass, replace
from multiprocessing.connection import Connection
from typing import Any, TypeVar

import numpy as np

from ..backends.device import CPU
from ..config import Config
from ..data.letters import Examples, Letters, load_letters
from ..errors import LettergpuError
from ..nn.network import Network, parameter_count
from ..study import naive
from ..training.loop import Diverged, State, fit
from ..training.metrics import confusion_matrix, evaluate, most_confident_errors
from .workers import limit

MEMORY = 1_500_000_000  # bytes that a training may take, besides what is there before
NICE = 10  # so that reading comes first
WATCHED = 2600  # letters held out, at most, by which it is told how it stands
NODES = 48  # of the first layer, whose weights are shown
MISTAKES = 12
TOLD_SECONDS = 0.2  # between words on how far an epoch is

T = TypeVar("T")
Event = dict[str, Any]  # as JSON; "event" says what it tells
Tell = Callable[..., None]  # an event, and the state to go on from where there is one


@dataclass(frozen=True)
class Job:
    """A training. start: one of naive.STARTS, or "" for one by `config`. count: letters of the train part, at most.

    pace: seconds that an epoch takes at least, so that one can watch. letter: 28x28 bytes of a letter to be read after
    each epoch. state: where to go on from.
    """

    config: Config
    count: int
    start: str = ""
    pace: float = 0.0
    letter: bytes = b""
    state: State | None = None


def work(pipe: Connection, job: Job, cores: int) -> None:
    """What the process does: send each event, with the state to go on from where there is one, until it is done."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is the server's to hear
    with suppress(AttributeError, OSError):  # where the system has no such thing
        os.nice(NICE)
        os.sched_setaffinity(0, sorted(os.sched_getaffinity(0))[-cores:])
    limit(MEMORY)

    def tell(event: Event, state: State | None = None) -> None:
        pipe.send((event, state))

    with suppress(OSError):  # nobody listens any more
        try:
            letters = _some(load_letters(job.config.data), job.count)
            end = (_naive if job.start else _fit)(job, letters, tell)
        except LettergpuError as error:
            end = {"sentence": str(error)}
        except MemoryError:
            end = {"sentence": "it takes too much memory: choose a smaller shape"}
        tell({"event": "ended"} | end)


def _some(letters: Letters, count: int) -> Letters:
    """As many to train on, the same ones each time."""
    rows = np.random.default_rng(0).permutation(len(letters.train))[:count]
    return replace(letters, train=letters.train.take(np.sort(rows)))


def _fit(job: Job, letters: Letters, tell: Tell) -> Event:
    config = job.config
    rows, held = letters.hold_out(config.validation, config.seed)
    watched = letters.train.take(held[:WATCHED])
    sizes = 784, *config.hidden, len(letters.classes)
    tell(_began(letters, sizes, len(rows), len(watched), config.epochs))
    report, on_batch = None, _progress(tell, len(rows))
    try:
        for report in _paced(fit(config, letters, device=CPU, state=job.state, on_batch=on_batch), job.pace):
            numbers = {
                "epoch": report.epoch,
                "train_loss": report.train_loss,
                "train_accuracy": report.train_accuracy,
                "seconds": report.seconds,
            }
            tell(numbers | _standing(report.network, watched, job.letter), report.state)
    except Diverged as error:
        return {"diverged": True, "sentence": f"{error}".split(": try")[0] + ". " + _slower(config)}
    if report is None:
        return {"sentence": "all its epochs are done"}
    top = evaluate(report.network, letters.test.images, letters.test.labels).top(1)
    return {
        "test": top,
        "sentence": f"of {len(letters.test):,} test letters, which it had never seen, it reads {top:.1%}",
    }


def _paced(epochs: Iterator[T], seconds: float) -> Iterator[T]:
    """The same, each after so many seconds at the soonest."""
    for epoch in epochs:
        began = time.monotonic()
        yield epoch
        time.sleep(max(0.0, seconds - (time.monotonic() - began)))


def _slower(config: Config) -> str:
    return f"Its steps go further than they see: try a learning rate of {config.learning_rate / 10:g}"


def _naive(job: Job, letters: Letters, tell: Tell) -> Event:
    """The network of the report that learned nothing, and what it took to make it learn, a step an epoch."""
    network = naive.begun(job.start, len(letters.classes), CPU)
    watched = letters.test.take(np.arange(min(WATCHED, len(letters.test))))
    count = min(naive.IMAGES, len(letters.train))
    tell(_began(letters, network.sizes, count, len(watched), naive.STEPS))
    for step, (loss, _) in enumerate(_paced(naive.steps(job.start, network, letters.train), job.pace), 1):
        standing = _standing(network, watched, job.letter)
        tell({"epoch": step, "train_loss": _number(loss), "train_accuracy": None, "seconds": None} | standing)
    return {"sentence": naive.VERDICTS[job.start]}


def _began(letters: Letters, sizes: tuple[int, ...], train: int, held: int, epochs: int) -> Event:
    return {
        "event": "began",
        "classes": letters.classes,
        "description": letters.description,
        "sizes": sizes,
        "parameters": parameter_count(sizes),
        "train": train,
        "held": held,
        "epochs": epochs,
    }


def _progress(tell: Tell, images: int) -> Any:
    """What says now and then how far the epoch is."""
    seen, told = 0, time.monotonic()

    def on_batch(count: int) -> None:
        nonlocal seen, told
        seen += count
        if time.monotonic() - told > TOLD_SECONDS:
            told = time.monotonic()
            tell({"event": "batch", "share": seen % images / images})

    return on_batch


def _standing(network: Network, watched: Examples, letter: bytes) -> Event:
    """What a network makes of letters that it does not learn from, and how its first layer looks."""
    event: Event = {"event": "epoch", "val_loss": None, "val_accuracy": None, "weights": _weights(network)}
    try:
        found = evaluate(network, watched.images, watched.labels)
    except LettergpuError:  # its answers are no numbers
        return event | {"broken": True}
    errors = most_confident_errors(watched.labels, found, MISTAKES)
    event |= {
        "val_loss": found.loss,
        "val_accuracy": found.top(1),
        "confusion": confusion_matrix(watched.labels, found.predicted, len(network.classes)).tolist(),
        "mistakes": [
            {
                "image": b64encode(watched.images[row].tobytes()).decode(),
                "is": int(watched.labels[row]),
                "taken": int(found.predicted[row]),
                "probability": float(found.confidence[row]),
            }
            for row in errors
        ],
    }
    if letter:
        image = np.frombuffer(letter, np.uint8).reshape(1, 28, 28)
        event["letter"] = [round(float(share), 4) for share in network.predict_proba(image)[0]]
    return event


def _weights(network: Network) -> dict[str, Any]:
    """Those of the first layer's first nodes, as signed bytes, 784 a node."""
    weights = np.nan_to_num(np.asarray(network.layers[0].weight)[:, :NODES].T, posinf=0, neginf=0)
    highest = float(np.abs(weights).max()) or 1.0
    return {
        "nodes": len(weights),
        "values": b64encode(np.rint(weights * (127 / highest)).astype(np.int8).tobytes()).decode(),
    }


def _number(value: float) -> float | None:
    return value if math.isfinite(value) else None
