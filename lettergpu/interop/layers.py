"""Dense layers as other people's files hold them, and the network that they are here."""

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from typing import NamedTuple

import numpy as np

from .. import config
from ..data import SIDE
from ..nn.network import Network

MOST = 10_000_000  # weights; the largest network in the package has 700,000
MOST_CLASSES = 1000
PIXELS = SIDE * SIDE


class Layer(NamedTuple):
    """weight: (fan_in, nodes), bias: (nodes,), float."""

    weight: np.ndarray
    bias: np.ndarray


@dataclass(frozen=True)
class Layers:
    """What a file holds. activation: of the hidden layers, loss: what its answers are; None where it does not tell.

    white: what a white pixel is to it. transposed: whether its images lie as those in EMNIST's files do. about: what it
    says of itself.
    """

    layers: Sequence[Layer]
    activation: str | None = None
    loss: str | None = None
    white: float = 1.0
    transposed: bool = False
    about: dict[str, str] = field(default_factory=dict)

    @property
    def sizes(self) -> tuple[int, ...]:
        return PIXELS, *(len(layer.bias) for layer in self.layers)

    def check(self) -> None:
        """Raises ValueError, with a sentence, where these are no layers of a network, or too large for one."""
        hidden, classes = self.sizes[1:-1], self.sizes[-1]
        for (fan_in, nodes), layer in zip(pairwise(self.sizes), self.layers, strict=True):
            if layer.weight.shape != (fan_in, nodes):
                rows, columns = layer.weight.shape
                raise ValueError(f"weights from {rows:,} to {columns:,} nodes follow a layer of {fan_in:,}")
        if not 2 <= classes <= MOST_CLASSES:
            raise ValueError(f"it has {classes:,} classes, not 2 to {MOST_CLASSES:,}")
        if len(hidden) > config.MOST_LAYERS or max(self.sizes) > config.MOST_NODES:
            raise ValueError(f"it has more than {config.MOST_LAYERS} layers, or {config.MOST_NODES:,} nodes in one")
        if sum(math.prod(layer.weight.shape) for layer in self.layers) > MOST:
            raise ValueError(f"it has more than {MOST:,} weights")

    def network(self, activation: str, loss: str, classes: Sequence[str]) -> Network:
        """The network that answers upright images as these layers do. Raises ValueError where a number is none."""
        network = Network(self.sizes, activation=activation, loss=loss, classes=classes)
        with np.errstate(over="ignore"):  # told below
            for own, (weight, bias) in zip(network.layers, self.layers, strict=True):
                own.weight[...], own.bias[...] = weight, bias
            first = network.layers[0].weight
            if self.transposed:
                first[...] = first.reshape(SIDE, SIDE, -1).swapaxes(0, 1).reshape(first.shape)
            first *= np.float32(self.white)
        if not np.isfinite(network.parameters).all():
            raise ValueError("its weights hold NaN, infinity, or numbers beyond what float32 holds")
        return network
