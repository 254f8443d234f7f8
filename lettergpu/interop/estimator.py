"""A network as an estimator of scikit-learn's, for its pipelines, searches and cross-validations."""

import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from typing import Any

import numpy as np

from ..backends.libraries import installing
from ..config import Config, option
from ..data import SIDE
from ..data.letters import NONE, Examples, Parted
from ..errors import LettergpuError, brief
from ..nn.losses import softmax
from ..nn.network import NO_ANSWER, Network
from ..training.loop import EpochReport, State, fit
from .trained import Trained

try:
    from sklearn.base import BaseEstimator, ClassifierMixin
    from sklearn.model_selection import train_test_split
    from sklearn.utils import check_random_state
    from sklearn.utils.multiclass import check_classification_targets
    from sklearn.utils.validation import _check_sample_weight, check_is_fitted, validate_data
except ImportError as error:
    raise LettergpuError(f"LetterClassifier needs scikit-learn 1.6 or newer: {installing('sklearn')}") from error

SAME = (  # the settings that go into Config as they are
    *("hidden", "activation", "device", "batch_norm", "moment_norm", "learning_rate", "schedule", "warmup", "momentum"),
    *("nesterov", "l2", "epochs", "augment", "label_smoothing"),
)
LARGEST, STEPS = 256, 16  # of a batch of "auto", unless an epoch has fewer steps


class EstimatorError(LettergpuError, ValueError):
    """What a user can cause here: of lettergpu's own kind, and of that which scikit-learn expects."""


class LetterClassifier(ClassifierMixin, BaseEstimator):
    """A fully-connected network for features of any number and classes of any kind, where MLPClassifier would serve.

    Features are taken as they are: standardise them in a Pipeline, as for MLPClassifier.

    hidden: nodes of each hidden layer. activation: identity, sigmoid, tanh, relu, leaky_relu, swish, mish or tanhexp.
    device: as --device takes it; auto is a GPU of CuPy's, or the CPU. batch_norm, learning_rate (the highest),
    schedule, warmup, momentum, nesterov, l2, epochs, label_smoothing: as in Config; what batch_norm normalises by does
    not know of weights, and wants more than a few rows, of partial_fit too. batch_size: "auto", 256 or as many as make
    16 steps an epoch, or a number, 0 for all rows. early_stopping: hold out `validation_fraction` of each class, or
    take what `fit` is given, stop after `patience` epochs without a lower loss there, and keep the epoch of the lowest.
    moment_norm, augment: as in Config, for pixels of letters, 784 features from 0 to 255, light on dark. random_state:
    two fits with the same one are equal, bit for bit.

    classes_, n_features_in_, feature_names_in_: as scikit-learn has them. n_iter_: epochs that were trained.
    best_epoch_: that which is kept. loss_curve_, train_scores_: mean loss and accuracy of each epoch's batches as they
    were trained on. validation_loss_curve_, validation_scores_: those on rows held out after each epoch, or None; in
    all scores rows count alike, in all losses by their weights. network_: what answers, a Network.

    Raises EstimatorError, both a LettergpuError and a ValueError, where settings or data make no sense, or the loss
    becomes no number.
    """

    def __init__(
        self,
        hidden: Any = (512, 256, 128),
        activation: str = "tanhexp",
        *,
        device: str = "auto",
        batch_norm: bool = True,
        learning_rate: float = 0.1,
        schedule: str = "cosine",
        warmup: float = 0.25,
        momentum: float = 0.9,
        nesterov: bool = True,
        l2: float = 1e-3,
        batch_size: Any = "auto",
        epochs: int = 20,
        label_smoothing: float = 0.0,
        early_stopping: bool = False,
        validation_fraction: float = 0.1,
        patience: int = 10,
        moment_norm: bool = False,
        augment: str = "none",
        random_state: Any = None,
    ):
        self.hidden, self.activation, self.device = hidden, activation, device
        self.batch_norm, self.learning_rate, self.schedule, self.warmup = batch_norm, learning_rate, schedule, warmup
        self.momentum, self.nesterov, self.l2, self.batch_size = momentum, nesterov, l2, batch_size
        self.epochs, self.label_smoothing, self.early_stopping = epochs, label_smoothing, early_stopping
        self.validation_fraction, self.patience = validation_fraction, patience
        self.moment_norm, self.augment, self.random_state = moment_norm, augment, random_state

    def fit(
        self,
        X: Any,
        y: Any,
        sample_weight: Any = None,
        *,
        X_val: Any = None,
        y_val: Any = None,
        sample_weight_val: Any = None,
    ) -> "LetterClassifier":
        """Learn from X (n, features) with labels y (n,), from the beginning.

        sample_weight: (n,), how many times a row counts; only their proportions matter. X_val, y_val,
        sample_weight_val: rows to validate on after each epoch, in place of such as early_stopping holds out.
        """
        X, y = validate_data(self, X, y, dtype=np.float32, order="C")
        check_classification_targets(y)
        self.classes_ = np.unique(y)
        self._seed = self._draw_seed()
        train, held = self._examples(X, y, sample_weight), None
        if X_val is not None:
            X_val, y_val = validate_data(self, X_val, y_val, dtype=np.float32, order="C", reset=False)
            held = self._examples(X_val, y_val, sample_weight_val)
        elif self.early_stopping:
            train, held = self._parted(train)
        self._begin(validated=held is not None)
        self._learn(self._config(len(train)), train, held, None)
        return self

    def partial_fit(self, X: Any, y: Any, classes: Any = None, sample_weight: Any = None) -> "LetterClassifier":
        """Go on learning from these rows: once through, at the highest rate; the first call names all classes."""
        first = not hasattr(self, "_trained")
        X, y = validate_data(self, X, y, dtype=np.float32, order="C", reset=first)
        check_classification_targets(y)
        if first and classes is None:
            raise EstimatorError("classes: name all of them in the first call of partial_fit")
        if not first and classes is not None and not np.array_equal(np.unique(classes), self.classes_):
            raise EstimatorError(f"classes: they are not those of before, {self.classes_}")
        if first:
            self.classes_ = np.unique(classes)
            self._seed = self._draw_seed()
            self._begin(validated=False)
        train = self._examples(X, y, sample_weight)
        config = replace(self._config(len(train)), schedule="constant", warmup=0.0, epochs=1, patience=0)
        state = None if first else self._trained.state
        self._learn(replace(config, seed=self._seed + self.n_iter_), train, None, state)
        return self

    def decision_function(self, X: Any) -> np.ndarray:
        """The logits (n, classes); with two classes how far that of the second is above the first's, (n,)."""
        logits = self._logits(X)
        return logits[:, 1] - logits[:, 0] if logits.shape[1] == 2 else logits

    def predict_proba(self, X: Any) -> np.ndarray:
        """The probability of each class, (n, classes), in the order of classes_."""
        return softmax(self._logits(X))

    def predict(self, X: Any) -> np.ndarray:
        """The likeliest class of each row, (n,)."""
        best = np.argmax(self._logits(X), axis=1)
        return self.classes_[best]

    @property
    def network_(self) -> Network:
        """What answers, on its device."""
        return self._trained.network

    def _logits(self, X: Any) -> np.ndarray:
        """The network's answers to X, (n, classes) float64 on the host."""
        check_is_fitted(self, "_trained")
        X = self._form(validate_data(self, X, dtype=np.float32, order="C", reset=False))
        with in_pythons_words():
            logits = self._trained.logits(X)
        if not np.isfinite(logits).all():
            raise EstimatorError(NO_ANSWER)
        return logits

    def _examples(self, X: np.ndarray, y: np.ndarray, sample_weight: Any) -> Examples:
        """The rows that count, with the numbers of their classes."""
        if len(unknown := np.setdiff1d(y, self.classes_)):
            raise EstimatorError(f"y: {brief(unknown[0])} is none of the classes {self.classes_}")
        weights = _check_sample_weight(sample_weight, X, dtype=np.float64)
        if (weights < 0).any() or not weights.any():
            raise EstimatorError("sample_weight: give no number below 0, and some above")
        labels = np.searchsorted(self.classes_, y)
        if sample_weight is None:
            return Examples(self._form(X), labels)
        return Examples(self._form(X), labels, weights).take(np.flatnonzero(weights))

    def _form(self, X: np.ndarray) -> np.ndarray:
        """The features as they are; where letters are to be moved, images (n, 28, 28) uint8."""
        if not self.moment_norm and self.augment == "none":
            return X
        if X.shape[1] != SIDE * SIDE or (np.clip(np.rint(X), 0, 255) != X).any():
            raise EstimatorError(
                f"X: moment_norm and augment are for {SIDE * SIDE} pixels from 0 to 255; leave them out for features"
            )
        return X.astype(np.uint8).reshape(-1, SIDE, SIDE)

    def _parted(self, examples: Examples) -> tuple[Examples, Examples]:
        """Rows to train on, and of each class about `validation_fraction` to validate on."""
        rows = train_test_split(
            np.arange(len(examples)),
            test_size=self.validation_fraction,
            stratify=examples.labels,
            random_state=self._seed,
        )
        train, held = (examples.take(part) for part in rows)
        return train, held

    def _config(self, rows: int) -> Config:
        batch_size = max(1, min(LARGEST, rows // STEPS)) if self.batch_size == "auto" else self.batch_size
        with in_pythons_words():
            return Config(
                **{name: getattr(self, name) for name in SAME},
                batch_size=batch_size,
                patience=self.patience if self.early_stopping else 0,
                seed=self._seed,
            )

    def _learn(self, config: Config, train: Examples, held: Examples | None, state: State | None) -> None:
        """Train on, from a state or the beginning, and tell what each epoch came to."""
        names = tuple(map(str, self.classes_))
        table = Parted(_joined(train, held), NONE, names, "arrays", "arrays", learnt=len(train))
        with in_pythons_words():
            for report in fit(config, table, state=state):
                self._tell(report)
        end = report.state
        self.best_epoch_ = self.n_iter_ - end.epoch + end.best_epoch
        self._trained = Trained(config, report.network.sizes, end.best_parameters, end.velocity)

    def _draw_seed(self) -> int:
        return int(check_random_state(self.random_state).randint(2**31 - 1))

    def _begin(self, *, validated: bool) -> None:
        """Have nothing learnt and nothing told yet."""
        self.__dict__.pop("_trained", None)
        self.n_iter_ = 0
        self.loss_curve_: list[float] = []
        self.train_scores_: list[float] = []
        self.validation_loss_curve_: list[float] | None = [] if validated else None
        self.validation_scores_: list[float] | None = [] if validated else None

    def _tell(self, report: EpochReport) -> None:
        self.n_iter_ += 1
        self.loss_curve_.append(report.train_loss)
        self.train_scores_.append(report.train_accuracy)
        if self.validation_loss_curve_ is not None and self.validation_scores_ is not None:
            self.validation_loss_curve_.append(report.val_loss)
            self.validation_scores_.append(report.val_accuracy)


def _joined(train: Examples, held: Examples | None) -> Examples:
    """Both, one after the other, with weights in proportion."""
    if held is None:
        return replace(train, weights=None if train.weights is None else _relative(train))
    pairs = [(part.images, part.labels, _relative(part)) for part in (train, held)]
    images, labels, weights = (np.concatenate(pair) for pair in zip(*pairs, strict=True))
    alike = train.weights is None and held.weights is None
    return Examples(images, labels, None if alike else weights)


def _relative(part: Examples) -> np.ndarray:
    """Its weights (n,), of which the mean is 1: a batch is divided by its rows."""
    return np.ones(len(part)) if part.weights is None else part.weights / part.weights.mean()


@contextmanager
def in_pythons_words() -> Iterator[None]:
    """What lettergpu says of options of the command line, told of arguments."""
    try:
        yield
    except LettergpuError as error:
        told = str(error)
        for name in SAME:
            told = re.sub(rf"{option(name)}\b", name, told)
        raise EstimatorError(told.replace("--batch-size", "batch_size")) from error
