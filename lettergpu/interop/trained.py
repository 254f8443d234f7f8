"""What an estimator has learnt, in a form that can be pickled and then answer on another machine."""

from functools import cached_property
from typing import Any

import numpy as np

from ..backends.libraries import resolve
from ..config import Config
from ..nn.network import Network
from ..training.loop import State


class Trained:
    """Parameters on the host, and as the network that answers, on its device, once it is asked.

    sizes: of the network's layers. parameters, velocity: flat vectors. All but the network is pickled.
    """

    def __init__(self, config: Config, sizes: tuple[int, ...], parameters: np.ndarray, velocity: np.ndarray):
        self.config, self.sizes, self.parameters, self.velocity = config, sizes, parameters, velocity

    @cached_property
    def network(self) -> Network:
        """Without normalisation, which its weights take up. Raises LettergpuError if its device is not there."""
        device = resolve(self.config.device)[0]
        settings = {name: getattr(self.config, name) for name in ("activation", "batch_norm", "moment_norm")}
        made = Network(self.sizes, **settings, device=device)
        made.parameters[...] = device.put(self.parameters)
        return made.folded()

    @property
    def state(self) -> State:
        """Where a training stands that goes on from it."""
        return State(0, self.parameters, self.velocity, 0, np.inf, self.parameters)

    def logits(self, x: np.ndarray) -> np.ndarray:
        """The network's answers to features or images (n, ...), (n, classes) float64, on the host."""
        with np.errstate(over="ignore", invalid="ignore"):  # what is no number is told by whoever asks
            chunks = [self.network.device.fetch(part) for _, part in self.network.answers(x)]
        return np.concatenate(chunks).astype(np.float64)

    def __getstate__(self) -> dict[str, Any]:
        return {name: value for name, value in vars(self).items() if name != "network"}
