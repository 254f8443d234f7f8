"""Trains by each of CASES among the processes that mpiexec started, or one alone: what test_ranks.py compares."""

import json
import os
import signal
import sys
from contextlib import nullcontext
from dataclasses import replace
from pathlib import Path

import numpy as np

sys.path.append(str(Path(__file__).parents[1]))
from conftest import numpy_by

from lettergpu.backends.device import CPU
from lettergpu.backends.ranks import ALONE, Mpi, together
from lettergpu.config import Config
from lettergpu.data.idx import Mapped
from lettergpu.data.letters import Examples
from lettergpu.training import batches
from lettergpu.training.loop import Trainer

EPOCHS, PIECE, STRETCH = 3, batches.PIECE, batches.STRETCH
SMALL = replace(
    Config.recipe("report"), hidden=(24, 16), batch_size=32, learning_rate=0.01, init="he", epochs=EPOCHS, device="cpu"
)
DISTORTED = {"batch_norm": True, "moment_norm": True, "augment": "elastic", "nesterov": True, "label_smoothing": 0.1}
CASES = {
    "momentum and rotations": {},
    "batch normalisation and distortions": DISTORTED,
    "the formulas": DISTORTED | {"formulas": True},
    "an ensemble": DISTORTED | {"ensemble": 2, "loss": "sigmoid", "class_weight": "balanced"},
    "in pieces": {"batch_norm": True, "batch_size": 50, "piece": 30, "l2": 1e-3},
    "in stretches": DISTORTED | {"batch_size": 25, "stretch": 55},
    "in their file": DISTORTED | {"batch_size": 25, "stretch": 55, "file": True},
    "in their file, two networks": {"ensemble": 2, "batch_size": 3, "learning_rate": 0.001, "file": True},
    "all at once": {"batch_size": 0, "hidden": (), "augment": "none"},
    # slowly: over 3 rows roundings are soon seen, and of 2 rows, which are 1 and -1 when normalised, all is rounding
    "fewer rows than processes": {"batch_size": 3, "learning_rate": 0.001},
    "fewer rows in the end": {"batch_norm": True, "batch_size": 8, "learning_rate": 0.0001},
}


def letters():
    """103 noisy patterns of four classes, weighted; which to train on, and to validate on."""
    rng = np.random.default_rng(0)
    prototypes, labels = np.kron(rng.integers(0, 256, (4, 7, 7)), np.ones((4, 4), int)), rng.integers(0, 4, 103)
    images = ((prototypes[labels] + rng.integers(0, 256, (103, 28, 28))) // 2).astype(np.uint8)
    rows = rng.permutation(103)
    return Examples(images, labels, rng.uniform(0.5, 2, 103)), tuple("ABCD"), rows[:83], rows[83:]


def told(examples, file, ranks):
    """The same examples, of images that stay in a file which rank 0 tells the others of."""
    if ranks.rank == 0:
        file.write_bytes(examples.images.tobytes())
        examples = replace(examples, images=Mapped.of(file, 0, examples.images.shape))
    return ranks.tell(examples)


def trained(case, file, ranks=ALONE):
    """Each epoch's losses and accuracies, and how far the parameters of one process are from another's.

    file: to be written where images are to stay in one.
    """
    changes = dict(CASES[case])
    formulas, batches.PIECE = changes.pop("formulas", False), changes.pop("piece", PIECE)
    batches.STRETCH = changes.pop("stretch", STRETCH)
    examples, *rest = letters()
    examples = told(examples, file, ranks) if changes.pop("file", False) else examples
    with numpy_by(None) if formulas else nullcontext():
        trainer = Trainer(replace(SMALL, **changes), examples, *rest, CPU, ranks)
        epochs = [trainer.epoch(epoch) for epoch in range(1, EPOCHS + 1)]
    return epochs, float(np.ptp(ranks.gather(trainer.network.parameters), axis=0).max())


def fatal(sums, sent):
    """Have process 1 send itself a signal where others wait for what it would add to a sum, the so manieth."""
    real, left = Mpi.sum, iter(range(sums))

    def sum_or_end(self, array):
        if self.rank == 1 and next(left, None) is None:
            os.kill(os.getpid(), sent)
        return real(self, array)

    Mpi.sum = sum_or_end


if __name__ == "__main__":
    if sys.argv[1:2] == ["--fatal"]:
        from lettergpu.__main__ import main

        fatal(int(sys.argv[2]), getattr(signal, sys.argv[3]))
        sys.argv = ["lettergpu", *sys.argv[4:]]
        main()
    with together("") as ranks:
        found = {case: trained(case, Path(sys.argv[1]).with_suffix(".images"), ranks) for case in CASES}
        if ranks.rank == 0:
            Path(sys.argv[1]).write_text(json.dumps(found))
        ranks.tell()
