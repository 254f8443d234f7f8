"""How good a network is: loss, top-k accuracy, the confusion matrix."""

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from array_api_compat import array_namespace, device

from ..backends.dispatch import dispatched
from ..backends.ranks import ALONE, Ranks
from ..data.idx import Images
from ..data.letters import Examples
from ..errors import LettergpuError
from ..nn.losses import LOSSES, Outcome, weighed
from ..nn.network import NO_ANSWER, Network

TOP = (1, 2, 5)
BINS = 15  # of confidence, of one width: Guo et al. 2017, arXiv:1706.04599


def ranks(logits: Any, labels: Any) -> Any:
    """How many classes a row puts before its label: 0 where the prediction is right. (batch, classes) -> (batch,).

    Of equal logits the first class comes first, as in argmax; a NaN comes before everything, so that a broken
    network scores 0.
    """
    xp = array_namespace(logits)
    classes = xp.arange(logits.shape[-1], dtype=labels.dtype, device=device(logits))
    own = xp.take_along_axis(logits, labels[:, None], axis=-1)  # (batch, 1)
    before = xp.logical_not(logits <= own) | ((logits == own) & (classes < labels[:, None]))
    return xp.sum(xp.astype(before, xp.int64), axis=-1)


@dataclass(frozen=True)
class Evaluation:
    """loss: mean cross-entropy in nats, without class weights or L2. ranks: (n,). predicted: (n,).

    confidence: (n,), the probability of the predicted class.
    """

    loss: float
    ranks: np.ndarray
    predicted: np.ndarray
    confidence: np.ndarray

    def top(self, k: int) -> float:
        """The share of images whose label is among the k likeliest classes."""
        return float(np.mean(self.ranks < k))

    def calibration_error(self) -> float:
        """The expected calibration error: how far confidence is from accuracy, a mean over bins of confidence."""
        bins = np.minimum((self.confidence * BINS).astype(int), BINS - 1)
        surplus = np.bincount(bins, (self.ranks == 0) - self.confidence.astype(np.float64), BINS)
        return float(np.abs(surplus).sum() / len(self.ranks))

    def scores(self) -> dict[str, float]:
        """loss, top1, top2, top5 and calibration_error, as summary.json has them."""
        found = {"loss": self.loss} | {f"top{k}": self.top(k) for k in TOP}
        return found | {"calibration_error": self.calibration_error()}


class Tally:
    """Mean loss and accuracy of rows that come in parts of at most `rows`, summed up where they live.

    The device is not asked before `means`. like: an array whose dtype and place the losses have.
    """

    def __init__(self, rows: int, like: Any):
        xp = array_namespace(like)
        self.losses = xp.zeros(rows, dtype=like.dtype, device=device(like))
        self.right = xp.zeros(rows, dtype=xp.int64, device=device(like))

    def clear(self) -> None:
        self.losses[...] = 0.0
        self.right[...] = 0

    def add(self, outcome: Outcome) -> None:
        """Count in what came of some rows."""
        rows = outcome.losses.shape[0]
        count_in(self.losses[:rows], self.right[:rows], outcome.losses, outcome.right)

    def means(self, count: int, ranks: Ranks = ALONE) -> tuple[float, float]:
        """The mean loss, and the share of right answers, of so many rows, of which each rank counted in its share."""
        xp = array_namespace(self.losses)
        loss, right = (ranks.sum(xp.sum(each, keepdims=True)) for each in (self.losses, self.right))
        return float(loss[0]) / count, float(right[0]) / count


@dispatched
def count_in(losses: Any, right: Any, of_losses: Any, of_right: Any) -> None:
    """Add to the losses (rows,) and, int64, to the right answers (rows,)."""
    losses += of_losses
    right += array_namespace(right).astype(of_right, right.dtype)


def tally_answers(
    tally: Tally, network: Network, images: Any, frames: Any, labels: Any, class_weights: Any, weights: Any
) -> None:
    """Count in the weighted losses and the right answers, without waiting for the device.

    All arrays are on it: images (n, 784) uint8 and their frames, as `network.answers` takes them, labels (n,),
    class_weights (classes,), weights (n,) or None.
    """
    for rows, logits in network.answers(images, frames):
        outcome = LOSSES[network.loss].outcome(logits, labels[rows], class_weights, labels.shape[0])
        tally.add(weighed(outcome, None if weights is None else weights[rows]))


def evaluate(
    network: Network, images: Images, labels: np.ndarray, on_batch: Callable[[int], None] = lambda images: None
) -> Evaluation:
    """The network's answers to uint8 images (n, 28, 28) with labels (n,), on the host.

    on_batch: called now and then, with how many images were answered since.
    Raises LettergpuError if the answers are no numbers.
    """
    xp, fetch = network.device.namespace, network.device.fetch
    ones = xp.ones(network.sizes[-1], dtype=network.parameters.dtype, device=network.device.handle)
    loss, parts = 0.0, []
    with np.errstate(over="ignore", invalid="ignore"):  # told below, once
        for rows, logits in network.answers(images):
            y = network.device.put(labels[rows])
            loss += float(xp.sum(LOSSES[network.loss].outcome(logits, y, ones, len(labels)).losses))
            confidence = xp.max(LOSSES[network.loss].probabilities(logits), axis=-1)
            parts.append([fetch(a) for a in (ranks(logits, y), xp.argmax(logits, axis=-1), confidence)])
            on_batch(logits.shape[0])
    if not math.isfinite(loss):
        raise LettergpuError(NO_ANSWER)
    return Evaluation(loss / len(labels), *(np.concatenate(column) for column in zip(*parts, strict=True)))


def confusion_matrix(labels: np.ndarray, predicted: np.ndarray, classes: int) -> np.ndarray:
    """Counts (classes, classes): row, what it is; column, what it was taken for."""
    return np.bincount(labels * classes + predicted, minlength=classes * classes).reshape(classes, classes)


def most_confident_errors(labels: np.ndarray, result: Evaluation, count: int) -> np.ndarray:
    """The rows that were taken for another class, the surest first, at most `count`."""
    wrong = np.flatnonzero(result.predicted != labels)
    return wrong[np.argsort(-result.confidence[wrong], kind="stable")][:count]


def most_confused(matrix: np.ndarray, count: int = 10) -> list[tuple[int, int, int]]:
    """The unordered pairs of classes mistaken for each other most: (class, class, errors)."""
    both = np.triu(matrix + matrix.T, k=1)
    order = np.argsort(-both, axis=None, kind="stable")[:count]
    pairs = np.transpose(np.unravel_index(order, both.shape))
    return [(int(a), int(b), int(both[a, b])) for a, b in pairs if both[a, b] > 0]


def evaluation_table(network: Network, test: Examples, result: Evaluation) -> dict[str, Any]:
    """Scores, per-class accuracy and the most confused pairs, as `evaluate --json` prints them."""
    matrix = confusion_matrix(test.labels, result.predicted, len(network.classes))
    return result.scores() | {
        "images": len(test),
        "per_class": {
            name: int(matrix[i, i]) / int(matrix[i].sum()) if matrix[i].any() else None
            for i, name in enumerate(network.classes)
        },
        "most_confused": [
            {"classes": [network.classes[a], network.classes[b]], "errors": errors}
            for a, b, errors in most_confused(matrix)
        ],
    }
