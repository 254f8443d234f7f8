"""The deeper network as first written: why it learned nothing.

The softmax is computed as its formula stands, e^z over the sum of e^z, and the weights are drawn as one would without
thinking: all equal, or large. A few steps of gradient descent show what comes of it.
"""

import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from array_api_compat import array_namespace, device

from ..backends.device import Device
from ..data.letters import Examples
from ..nn.losses import softmax_cross_entropy
from ..nn.network import Network
from ..nn.pixels import to_floats
from ..randomness import generator
from ..training.metrics import ranks

HIDDEN, IMAGES, STEPS, RATE = (512, 256, 128), 4096, 30, 0.5
STARTS = {
    "Naive_equal": "naive softmax, all weights 0.005",
    "Naive_large": "naive softmax, weights uniform within 1",
    "Stable_large": "stable softmax, weights uniform within 1",
    "Stable_he": "stable softmax, weights as He draws them",
}
VERDICTS = {
    "Naive_equal": "All nodes of a layer compute the same and are changed alike, so the layer is one node wide: the "
    "loss stays about that of guessing, ln 26 = 3.26.",
    "Naive_large": "Logits grow with each layer until e^z is infinite; infinity over infinity is no number, and "
    "after one step no weight is one.",
    "Stable_large": "With the maximum subtracted e^z is at most 1 and the loss a number, but the gradients are as "
    "large as the logits: the first step throws the weights far away.",
    "Stable_he": "With the variance of each layer's outputs kept, the same steps learn.",
}


@dataclass(frozen=True)
class Outcome:
    """losses: after each step, in nats. highest_logit: at the start, by its size. gradient: the norm of the first.

    accuracy: on the images trained on, at the end. broken_at: the first step with a weight that is no finite number.
    """

    losses: list[float]
    highest_logit: float
    gradient: float
    accuracy: float
    broken_at: int | None
    parameters: int


def naive_softmax_cross_entropy(logits: Any, labels: Any) -> tuple[Any, Any]:
    """The mean loss and its gradient, by the formulas of the report as they stand."""
    xp = array_namespace(logits)
    e = xp.exp(logits)
    p = e / xp.sum(e, axis=-1, keepdims=True)
    y = xp.astype(xp.arange(logits.shape[-1], dtype=labels.dtype, device=device(logits)) == labels[:, None], p.dtype)
    rows = logits.shape[0]
    return xp.sum(-xp.log(xp.sum(p * y, axis=-1))) / rows, (p - y) / rows


def begun(start: str, classes: int, place: Device) -> Network:
    """The network as it is before the first step from one of STARTS."""
    network = Network((784, *HIDDEN, classes), activation="relu", device=place)
    rng = generator(0, "parameters")
    if start == "Stable_he":
        network.initialize(rng, "he")
    elif start == "Naive_equal":
        network.parameters[...] = 0.005
    else:
        weights = rng.uniform(-1.0, 1.0, network.parameters.shape[0])
        network.parameters[...] = place.namespace.astype(place.put(weights), network.parameters.dtype)
    return network


def steps(start: str, network: Network, letters: Examples) -> Iterator[tuple[float, Any]]:
    """Thirty steps of gradient descent on the first letters: after each the loss, and the logits that gave it."""
    place, xp = network.device, network.device.namespace
    images = letters.images[:IMAGES].reshape(-1, 784)
    x, labels = to_floats(place.put(images), network.parameters.dtype), place.put(letters.labels[:IMAGES])
    ones = xp.ones(network.sizes[-1], dtype=network.parameters.dtype, device=place.handle)
    for _ in range(STEPS):
        with np.errstate(all="ignore"):
            logits = network.forward(x, keep=True)
            if start.startswith("Naive"):
                loss, gradient = naive_softmax_cross_entropy(logits, labels)
            else:
                outcome = softmax_cross_entropy(logits, labels, ones, labels.shape[0])
                loss, gradient = xp.mean(outcome.losses), outcome.gradient
            network.backward(gradient)
            network.parameters -= RATE * network.gradients
        yield float(loss), logits


def run(start: str, letters: Examples, classes: int, place: Device) -> Outcome:
    """What comes of one of STARTS."""
    xp, network = place.namespace, begun(start, classes, place)
    losses: list[float] = []
    broken_at, first_logit, first_gradient = None, math.nan, math.nan
    with np.errstate(all="ignore"):
        for step, (loss, logits) in enumerate(steps(start, network, letters), 1):
            losses.append(loss)
            if step == 1:
                first_logit = float(xp.max(xp.abs(logits)))
                first_gradient = math.sqrt(float(xp.sum(network.gradients * network.gradients)))
            if broken_at is None and not bool(xp.all(xp.isfinite(network.parameters))):
                broken_at = step
        taken = letters.take(np.arange(min(IMAGES, len(letters))))
        answers = [ranks(logits, place.put(taken.labels[rows])) for rows, logits in network.answers(taken.images)]
    accuracy = float(sum(int(xp.sum(xp.astype(found == 0, xp.int64))) for found in answers)) / len(taken)
    return Outcome(losses, first_logit, first_gradient, accuracy, broken_at, int(network.parameters.shape[0]))
