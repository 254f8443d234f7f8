"""The two output losses of the report, from the logits.

Each function takes logits (rows, classes), integer labels (rows,), how much an example of each class counts
(classes,), how many rows the whole batch has (these may be a part of it), and how much of each target is spread evenly
over the classes, which are then aimed at by y = smoothing / classes, and 1 - smoothing more at the label: Szegedy et
al. 2016, arXiv:1512.00567. The gradient of both losses with respect to a logit is the report's y_hat - y, times the
weight of the row over the batch.
"""

from collections.abc import Callable
from typing import Any, NamedTuple

from array_api_compat import array_namespace, device

from ..backends.dispatch import dispatched
from .activations import sigmoid


class Outcome(NamedTuple):
    """losses: (rows,), each example's loss in nats, times its weight. right: (rows,) bool, whether the logit at the
    label is the first of the highest. gradient: (rows, classes), of the sum of the losses over the batch's rows.
    """

    losses: Any
    right: Any
    gradient: Any


class Loss(NamedTuple):
    outcome: Callable[..., Outcome]
    probabilities: Callable[[Any], Any]


def one_hot(labels: Any, like: Any) -> Any:
    """Rows of zeros with a one at the label, in the shape, dtype and place of `like` (batch, classes)."""
    xp = array_namespace(like)
    classes = xp.arange(like.shape[-1], dtype=labels.dtype, device=device(like))
    return xp.astype(labels[:, None] == classes, like.dtype)


def targets(labels: Any, like: Any, smoothing: float) -> Any:
    """What each class should be answered with, y."""
    y = one_hot(labels, like)
    return y * (1.0 - smoothing) + smoothing / like.shape[-1] if smoothing else y


@dispatched
def softmax(logits: Any) -> Any:
    """e^z / sum(e^z) over the classes, the maximum subtracted first so that nothing overflows."""
    xp = array_namespace(logits)
    exps = xp.exp(logits - xp.max(logits, axis=-1, keepdims=True))
    return exps / xp.sum(exps, axis=-1, keepdims=True)


@dispatched(outcome=Outcome)
def softmax_cross_entropy(logits: Any, labels: Any, weights: Any, batch: int, smoothing: float = 0.0) -> Outcome:
    """Categorical cross-entropy of the softmax: the sum of -y log y_hat over the classes."""
    xp = array_namespace(logits)
    shifted = logits - xp.max(logits, axis=-1, keepdims=True)
    exps = xp.exp(shifted)
    total = xp.sum(exps, axis=-1, keepdims=True)  # (rows, 1), at least 1
    aimed_at = xp.take_along_axis(shifted, labels[:, None], axis=-1)
    if smoothing:
        aimed_at = (1.0 - smoothing) * aimed_at + smoothing * xp.mean(shifted, axis=-1, keepdims=True)
    losses = xp.log(total) - aimed_at
    y = targets(labels, logits, smoothing)
    return _weighted(losses[:, 0], exps / total - y, logits, labels, weights, batch)


@dispatched(outcome=Outcome)
def sigmoid_binary_cross_entropy(logits: Any, labels: Any, weights: Any, batch: int, smoothing: float = 0.0) -> Outcome:
    """Binary cross-entropy of a sigmoid for each class, summed over the classes.

    -y log s(z) - (1 - y) log(1 - s(z)) is max(z, 0) - y z + log(1 + e^-|z|), which never meets log(0).
    """
    xp = array_namespace(logits)
    y = targets(labels, logits, smoothing)
    each = xp.maximum(logits, 0.0) - y * logits + xp.log1p(xp.exp(-xp.abs(logits)))
    return _weighted(xp.sum(each, axis=-1), sigmoid(logits) - y, logits, labels, weights, batch)


def _weighted(losses: Any, gradient: Any, logits: Any, labels: Any, weights: Any, batch: int) -> Outcome:
    xp = array_namespace(logits)
    weight = xp.take(weights, labels)  # (rows,)
    losses *= weight
    gradient *= weight[:, None] / batch
    return Outcome(losses, xp.argmax(logits, axis=-1) == labels, gradient)


def weighed(outcome: Outcome, weights: Any) -> Outcome:
    """The same where each row counts so many times, (rows,), also fractions; None: once."""
    if weights is None:
        return outcome
    return Outcome(outcome.losses * weights, outcome.right, outcome.gradient * weights[:, None])


LOSSES = {
    "softmax": Loss(softmax_cross_entropy, softmax),
    "sigmoid": Loss(sigmoid_binary_cross_entropy, sigmoid),
}
