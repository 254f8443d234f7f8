"""A process that fine-tunes the network on what was taught, and tells what that made of letters it knew."""

import signal
from contextlib import suppress
from dataclasses import replace
from multiprocessing.connection import Connection
from pathlib import Path

import numpy as np

from ..config import Config
from ..data.letters import NONE, Examples, Letters, load_test
from ..data.splits import find_split
from ..errors import LettergpuError
from ..nn.network import Network
from ..training import checkpoint, tuning
from ..training.metrics import evaluate
from .workers import Worker, limit

SECONDS = 30.0  # that a lesson may take
MEMORY = 1_000_000_000  # bytes that it may, besides what is there before
OLD_LETTERS = 2000  # an epoch, so that one waits no longer than for a page
WATCHED = 1300  # built-in test letters by which forgetting is told
LEAST_HELD = 1e-9  # share of what was taught that is not learnt: nothing


class Teacher:
    """Its process, with a network and letters of the kind that it knows. One lesson at a time.

    model: a run or file; None is the network in the box. before: the share of the watched letters that it reads.
    Raises LettergpuError where there is no such model.
    """

    def __init__(self, model: Path | None):
        self._model = checkpoint.BOXED if model is None else model
        self._worker = Worker(self._model, work=_work)

    def wait(self) -> float:
        """Until it is ready; the share of the watched letters that the network reads before all lessons."""
        try:
            self._worker.wait()
        except EOFError:
            raise LettergpuError("the process that teaches ended as it started: is there enough memory?") from None
        assert self._worker.network is not None
        before: float = self._worker.network["before"]
        return before

    def teach(self, examples: Examples, fingerprint: str, path: Path) -> float:
        """Write to `path` what the network becomes; the share of the watched letters that this one reads.

        Raises LettergpuError where that takes too long, or goes wrong.
        """
        self.wait()
        try:
            told = self._worker.ask((examples, fingerprint, path), SECONDS)
        except (TimeoutError, EOFError, OSError) as error:
            self.close()
            self._worker = Worker(self._model, work=_work)
            why = f"it took longer than {SECONDS:g} s" if isinstance(error, TimeoutError) else "it took too much memory"
            raise LettergpuError(f"nothing was learnt: {why}; teach fewer letters") from None
        if isinstance(told, str):
            raise LettergpuError(told)
        after: float = told
        return after

    def close(self) -> None:
        """End it, whatever it does."""
        self._worker.end()


def _work(pipe: Connection, model: Path) -> None:
    """What the process does until the pipe is closed."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        parent = checkpoint.read(model)
        config = replace(Config.recipe(tuning.RECIPE), old_letters=OLD_LETTERS, validation=LEAST_HELD, device="cpu")
        config = replace(tuning.settings(parent.network, config), data="taught", parent=str(model))
        old = tuning.old_letters(config, parent.config)
        watched = _watched(parent.network.classes)
        before = _share(parent.network, watched)
    except LettergpuError as error:
        pipe.send(str(error))
        return
    limit(MEMORY)
    pipe.send({"before": before})
    with suppress(EOFError, OSError):
        while True:
            examples, fingerprint, path = pipe.recv()
            try:
                network = tuning.fine_tune(parent.network, examples, old=old, config=config)
                checkpoint.save(path, network, config, fingerprint)
                pipe.send(_share(network, watched))
            except LettergpuError as error:
                pipe.send(str(error))


def _watched(classes: tuple[str, ...]) -> Examples:
    """Built-in test letters, about as many of each, labelled as the network's."""
    test, _ = load_test("builtin", "letters")
    letters = Letters(NONE, test, find_split("letters").classes, "builtin", "")
    return tuning.relabelled(letters, classes).test.take(np.arange(WATCHED))


def _share(network: Network, watched: Examples) -> float:
    """Of the letters those that it reads, each looked at once: all of its views would take as long as the lesson."""
    if not len(watched):
        return 1.0
    views, network.views = network.views, 1
    share = evaluate(network, watched.images, watched.labels).top(1)
    network.views = views
    return share
