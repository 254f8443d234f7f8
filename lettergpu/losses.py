"""The two output losses of the report, from the logits.

Each function takes logits (batch, classes) and integer labels (batch,) and returns the loss of each example
(batch,), in nats, with its gradient with respect to the logits (batch, classes). Averaging and class weights
are the training step's: it scales both. For both losses the gradient is the report's y_hat - y.
"""

from collections.abc import Callable
from typing import Any, NamedTuple

from array_api_compat import array_namespace, device

from .activations import sigmoid


class Loss(NamedTuple):
    losses_and_gradient: Callable[[Any, Any], tuple[Any, Any]]
    probabilities: Callable[[Any], Any]


def one_hot(labels: Any, like: Any) -> Any:
    """Rows of zeros with a one at the label, in the shape, dtype and place of `like` (batch, classes)."""
    xp = array_namespace(like)
    classes = xp.arange(like.shape[-1], dtype=labels.dtype, device=device(like))
    return xp.astype(labels[:, None] == classes, like.dtype)


def softmax(logits: Any) -> Any:
    """e^z / sum(e^z) over the classes, the maximum subtracted first so that nothing overflows."""
    xp = array_namespace(logits)
    exps = xp.exp(logits - xp.max(logits, axis=-1, keepdims=True))
    return exps / xp.sum(exps, axis=-1, keepdims=True)


def softmax_cross_entropy(logits: Any, labels: Any) -> tuple[Any, Any]:
    """Categorical cross-entropy of the softmax: -log y_hat[label]."""
    xp = array_namespace(logits)
    shifted = logits - xp.max(logits, axis=-1, keepdims=True)
    exps = xp.exp(shifted)
    total = xp.sum(exps, axis=-1, keepdims=True)  # (batch, 1), at least 1
    losses = xp.log(total) - xp.take_along_axis(shifted, labels[:, None], axis=-1)
    return losses[:, 0], exps / total - one_hot(labels, logits)


def sigmoid_binary_cross_entropy(logits: Any, labels: Any) -> tuple[Any, Any]:
    """Binary cross-entropy of a sigmoid for each class, summed over the classes.

    -y log s(z) - (1 - y) log(1 - s(z)) is max(z, 0) - y z + log(1 + e^-|z|), which never meets log(0).
    """
    xp = array_namespace(logits)
    y = one_hot(labels, logits)
    each = xp.maximum(logits, 0.0) - y * logits + xp.log1p(xp.exp(-xp.abs(logits)))
    return xp.sum(each, axis=-1), sigmoid(logits) - y


LOSSES = {
    "softmax": Loss(softmax_cross_entropy, softmax),
    "sigmoid": Loss(sigmoid_binary_cross_entropy, sigmoid),
}
