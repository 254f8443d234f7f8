"""Other people's weights as a network of ours: of MATLAB, Theta1, Theta2, ... as the report's are, and of ONNX."""

import json
import re
from collections.abc import Callable, Sequence
from dataclasses import replace
from itertools import takewhile
from pathlib import Path

import numpy as np

from ..config import CHOICES, MOST_LAYERS, Config
from ..data import matlab
from ..data.splits import SPLITS
from ..errors import LettergpuError, brief, one_of
from ..training.checkpoint import Checkpoint
from . import chain
from .layers import PIXELS, Layer, Layers

MOST_NAME = 100  # characters of a class's name
LEAST_WHITE = 1e-6
FINGERPRINT = re.compile("[0-9a-f]{64}")
NONE: tuple[str, Sequence[str]] = ("letters", ())  # no split has as many classes


def of_matlab(path: Path) -> Layers:
    """Theta1, Theta2, ..., each (nodes, 1 + fan_in), the bias in the first column. Raises LettergpuError for others."""
    names = [f"Theta{number}" for number in range(1, MOST_LAYERS + 2)]
    held = matlab.variables(path, names)
    thetas = [np.atleast_2d(held[name]) for name in takewhile(held.__contains__, names)]
    if not thetas:
        raise LettergpuError(f"{path} has no Theta1: the weights of the layers are to be Theta1, Theta2, ...")
    for name, theta in zip(names, thetas, strict=False):
        if theta.ndim != 2 or theta.dtype.kind not in "iuf" or theta.shape[1] < 2:
            raise LettergpuError(f"{path}: {name} is no matrix of numbers, nodes x (1 + nodes before)")
    if thetas[0].shape[1] != PIXELS + 1:
        shape = " x ".join(map(str, thetas[0].shape))
        raise LettergpuError(
            f"{path}: Theta1 is {shape}; it must be nodes x {PIXELS + 1}, the bias in the first column"
        )
    return Layers([Layer(theta[:, 1:].T, theta[:, 0]) for theta in thetas], transposed=True)


READERS: dict[str, Callable[[Path], Layers]] = {".mat": of_matlab, ".onnx": chain.read}


def read(
    path: Path,
    *,
    activation: str | None = None,
    loss: str | None = None,
    orientation: str = "auto",
    white: float | None = None,
    classes: str | None = None,
) -> Checkpoint:
    """The network in a .mat or .onnx file.

    activation: of the hidden layers, and loss: softmax or sigmoid, what the answers are, where the file does not tell.
    orientation: how the images lie that it was trained on; auto: upright for ONNX, for MATLAB as EMNIST's files hold
    them. white: what a white pixel was there; None: 255 where bytes are taken, or else 1. classes: their names, commas
    between; None: those that the file tells, or of EMNIST's split with as many. Raises LettergpuError for what
    is no such network.
    """
    if path.suffix.lower() not in READERS:
        raise LettergpuError(f"{path}: give a file of MATLAB's, .mat, or of ONNX, .onnx")
    one_of("--orientation", orientation, CHOICES["orientation"])
    if white is not None and not LEAST_WHITE <= white <= 1 / LEAST_WHITE:
        raise LettergpuError(f"--white {white}: give what a white pixel is, such as 1 or 255")
    found = READERS[path.suffix.lower()](path)
    transposed = {"auto": found.transposed, "upright": False, "transposed": True}[orientation]
    found = replace(found, white=white or found.white, transposed=transposed)
    try:
        found.check()
        split, names = _classes(found, classes)
        config = Config(
            hidden=found.sizes[1:-1],
            activation=_told(
                "activation", found.activation, activation, None if found.sizes[1:-1] else Config.activation
            ),
            loss=_told("loss", found.loss, loss, Config.loss),
            split=split,
            batch_norm=False,
            moment_norm=found.about.get("moment_norm") == "before",
        )
        network = found.network(config.activation, config.loss, names)
    except ValueError as error:
        raise LettergpuError(f"{path}: {brief(error, 200)}") from error
    network.moment_norm = config.moment_norm
    fingerprint = found.about.get("fingerprint", "")
    return Checkpoint(network, config, fingerprint if FINGERPRINT.fullmatch(fingerprint) else "", None)


def _told(name: str, told: str | None, given: str | None, usual: str | None) -> str:
    """A setting that the file tells, or else whoever imports it."""
    if told and given not in (None, told):
        raise LettergpuError(f"--{name} {brief(given)}: the file itself has {told}; leave it out")
    if chosen := given or told or usual:
        return chosen
    raise LettergpuError(f"weights alone do not tell the --{name}: give one of {', '.join(CHOICES[name])}")


def _classes(found: Layers, given: str | None) -> tuple[str, Sequence[str]]:
    """A split of EMNIST, and the names of the classes: those given, or that the file tells, or the split's."""
    count = found.sizes[-1]
    split, names = next(((name, split.classes) for name, split in SPLITS.items() if len(split.classes) == count), NONE)
    if given is not None:
        names = given.split(",")
    elif "classes" in found.about:
        names = json.loads(found.about["classes"])
    if not names:
        raise LettergpuError(f"it has {count} classes, which no split of EMNIST has: name them, --classes A,B,...")
    named = isinstance(names, Sequence) and all(isinstance(name, str) and 0 < len(name) <= MOST_NAME for name in names)
    if not named or len(set(names)) != count or len(names) != count:
        raise LettergpuError(f"it has {count} classes, but not as many names; give them with --classes A,B,...")
    return split, names
