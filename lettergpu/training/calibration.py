"""Temperature scaling: one number that makes a probability of 0.9 mean that 9 of 10 such answers are right.

Guo, Pleiss, Sun, Weinberger 2017, arXiv:1706.04599. The logits are divided by the temperature of the lowest loss on
letters that were not trained on. The order of the answers stays, and so does the network's form: its last layer takes
the number up.
"""

import math

import numpy as np

from ..data.idx import Images
from ..nn.losses import LOSSES
from ..nn.network import Network

MOST = 200_000  # images to tell by
PIECE = 8192  # of them whose losses are computed at once
HIGHEST = 10.0  # a temperature lies between this and its inverse


def calibrate(network: Network, images: Images, labels: np.ndarray, weights: np.ndarray) -> float:
    """Divide the last layer of a network by the temperature of the lowest loss; return it.

    images: uint8 (n, 28, 28), labels: (n,), weights: (classes,), how much an image of each class counts; on the host.
    """
    from scipy.optimize import minimize_scalar

    device, xp = network.device, network.device.namespace
    images = images.reshape(len(images), network.sizes[0])
    logits = np.concatenate([device.fetch(part) for _, part in network.answers(images)]).astype(np.float64)
    outcome = LOSSES[network.loss].outcome

    def loss(logarithm: float) -> float:
        scale, pieces = math.exp(-logarithm), [slice(at, at + PIECE) for at in range(0, len(labels), PIECE)]
        losses = [outcome(logits[piece] * scale, labels[piece], weights, len(labels)).losses for piece in pieces]
        return float(np.sum(np.concatenate(losses)))

    widest = math.log(HIGHEST)
    temperature = math.exp(minimize_scalar(loss, bounds=(-widest, widest), method="bounded").x)
    for parameters in (network.layers[-1].weight, network.layers[-1].bias):
        parameters *= xp.asarray(1.0 / temperature, dtype=parameters.dtype, device=device.handle)
    return temperature
