"""Fine-tuning: from a trained network on to letters of another kind, those of one hand say, a few of each class.

The network is taken folded: its normalisation is part of its weights, with the means and variances of all the letters
that it was trained on. Those of batches in which one hand has many letters would be others than it answers with. So
that nothing is forgotten, letters of the old kind are mixed in (rehearsal: Robins 1995, "Catastrophic forgetting,
rehearsal and pseudorehearsal"). The rate and the length of recipes/tune.toml suit some 30 to 1,000 letters.
"""

from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, fields, replace
from pathlib import Path

import numpy as np

from ..config import Config
from ..data import SIDE
from ..data.letters import NONE, Examples, Letters, Parted, load_letters
from ..errors import LettergpuError, brief
from ..nn.network import Network
from ..randomness import generator
from .calibration import calibrate
from .loop import State, fit

RECIPE = "tune"
OF_THE_NETWORK = ("hidden", "activation", "batch_norm", "moment_norm", "loss", "init", "ensemble")  # not to be chosen
OWN = 1300  # letters of one's own that an epoch has, if copies can make as many of them,
COPIES = 20  # of each at most, all moved in other ways
OLD_HELD = 1300  # letters of the old kind that are validated on
OLD_TESTED = 5200  # by which it is told what was forgotten


@dataclass(frozen=True)
class Lesson(Parted):
    """One's own letters, each in several copies, and letters of the old kind; test: of one's own.

    The copies of a letter are either trained on or validated on, and of what is validated on most is of the old kind.
    old_source: where letters of the old kind come from, or none. old_test: such as it is not trained on.
    """

    old_source: str = "none"
    old_test: Examples = NONE


def settings(network: Network, config: Config) -> Config:
    """The settings of a training that goes on from a network."""
    return replace(
        config,
        hidden=network.sizes[1:-1],
        activation=network.activation,
        loss=network.loss,
        moment_norm=network.moment_norm,
        ensemble=network.members,
        batch_norm=False,
        views=network.views,
    )


def old_letters(config: Config, parent: Config, load: Callable[[Config], Letters] | None = None) -> Letters | None:
    """Letters of the kind that a network of the settings `parent` knows; None where `config` says that there be none.

    old: "auto" are those that it was trained on, if they are still there, else the downloaded EMNIST, else the built-in
    ones. load: what finds letters by settings, as reading/eyes.py does where there are pictures.
    """
    if config.old == "none":
        return None
    known = parent.old if parent.parent else parent.data
    there = known == "builtin" or (known not in ("auto", "none") and Path(known).exists())
    data = known if there and config.old == "auto" else config.old
    orientation = parent.orientation if data == parent.data else "auto"
    try:
        if load is None:
            return load_letters(data, parent.split, orientation=orientation, held_out=parent.test)
        return load(replace(parent, data=data, orientation=orientation))
    except LettergpuError as error:
        raise LettergpuError(f"--old {config.old}: {error}; or none, to mix no letters in") from error


def mixed(own: Letters, old: Letters | None, network: Network, config: Config) -> Lesson:
    """What a network is fine-tuned on. It keeps its classes if it has all of one's own, and else gets these.

    old: letters of the kind that it knows; those that one's own are as well, and classes that it shall not have, are
    left out. Raises LettergpuError where that leaves nothing to train on or to validate on.
    """
    with suppress(LettergpuError):
        own = own.named(network.classes)
    rng = generator(config.seed, "lesson")
    learnt, kept = _split(own.train, rng.permutation(len(own.train)), _held(own.train, own.test, config.validation))
    copies = min(COPIES, max(1, round(OWN / max(len(learnt), 1))))
    known, old_test = NONE, NONE
    if old is not None and old.source != own.source:
        of_old = relabelled(old, own.classes)
        known, old_test = of_old.train, of_old.test
    rows = _evenly(known.labels, rng)[: OLD_HELD + max(config.old_letters, copies * len(learnt))]
    old_learnt, old_kept = _split(known, rows, min(OLD_HELD, len(rows) // 2))
    train = joined([*[learnt] * copies, old_learnt, *[kept] * copies, old_kept])
    count = copies * len(learnt) + len(old_learnt)
    if not len(learnt) or count == len(train):
        raise LettergpuError(
            f"--validation {config.validation}: of {len(own.train):,} letters that leaves {len(learnt):,} to train on "
            f"and {len(kept):,} to validate on, and there are no others"
        )
    told = f"{own.description}; {len(learnt):,} to learn, in {copies} copies"
    if old is not None and len(rows):
        told += f", among {len(old_learnt):,} of {old.description}"
    changed = {
        "train": train,
        "description": told,
        "learnt": count,
        "old_source": old.source if old is not None and len(rows) else "none",
        "old_test": old_test.take(np.sort(rng.permutation(len(old_test))[:OLD_TESTED])),
    }
    return Lesson(**{field.name: getattr(own, field.name) for field in fields(Letters)} | changed)


def begun(network: Network, classes: Sequence[str], config: Config) -> State:
    """Where a training stands that begins with a network's parameters.

    A last layer for other classes is drawn anew, but for the classes that the network has as well.
    """
    fresh, fetch = Network.begun(config, classes), network.device.fetch
    *inner, last = zip(fresh.layers, network.folded().layers, strict=True)
    for layer, known in inner:
        layer.weight[...], layer.bias[...] = fetch(known.weight), fetch(known.bias)
    layer, known = last
    for place, name in enumerate(classes):
        if name in network.classes:
            column = network.classes.index(name)
            layer.weight[..., place] = fetch(known.weight[..., column])
            layer.bias[..., place] = fetch(known.bias[..., column])
    return State(0, fresh.parameters, np.zeros_like(fresh.parameters), 0, np.inf, fresh.parameters)


def before_and_after(letters: Letters, before: Network, after: Network) -> dict[str, tuple[Network, Examples]]:
    """Which network is to be asked about which letters, beside the new one about its own, to tell what it came to."""
    if not isinstance(letters, Lesson):
        return {}
    asked = {"old": (after, letters.old_test)}
    if before.classes == after.classes:
        asked |= {"test_before": (before, letters.test), "old_before": (before, letters.old_test)}
    return {name: each for name, each in asked.items() if len(each[1])}


def fine_tune(
    network: Network,
    examples: Examples,
    *,
    classes: Sequence[str] | None = None,
    old: Letters | None = None,
    config: Config | None = None,
) -> Network:
    """A network that goes on from a trained one to examples of another kind; the one that is given stays as it is.

    examples: images uint8 (n, 28, 28), upright, light on dark, and labels (n,), the numbers of `classes`, by default
    the network's. Where all of these are the network's, it keeps its classes; else it gets a new last layer. old:
    letters of the kind that it knows, to be mixed in, by default as config.old says: EMNIST's if they have been
    downloaded, else the built-in ones. config: settings, by default those of the recipe `tune`.
    Raises LettergpuError where the examples are of another form, or none, or there are no letters to validate on.
    """
    config = settings(network, config or Config.recipe(RECIPE))
    names = tuple(classes) if classes is not None else network.classes
    _check(examples, names)
    old = old or old_letters(config, config)
    lesson = mixed(Letters(examples, NONE, names, "examples", f"{len(examples):,} examples"), old, network, config)
    for report in fit(config, lesson, device=network.device, state=begun(network, lesson.classes, config)):
        tuned = report.network
    tuned.views = network.views
    if config.calibrate:
        held = lesson.train.take(lesson.hold_out(config.validation, config.seed)[1])
        calibrate(tuned, held.images, held.labels, np.ones(len(lesson.classes)))
    return tuned


def _check(examples: Examples, classes: tuple[str, ...]) -> None:
    images, labels = examples.images, examples.labels
    if images.dtype != np.uint8 or images.shape != (len(labels), SIDE, SIDE):
        form = f"{brief(images.dtype)} {images.shape} with {len(labels)} labels"
        raise LettergpuError(f"the examples are {form}: give images of uint8 (n, {SIDE}, {SIDE}) and as many labels")
    if not len(labels):
        raise LettergpuError("there are no examples to learn from")
    if not 0 <= labels.min() <= labels.max() < len(classes):
        raise LettergpuError(f"the labels are {labels.min()} to {labels.max()}: give 0 to {len(classes) - 1}")


def joined(parts: Sequence[Examples]) -> Examples:
    """All of them, one after the other."""
    return Examples(np.concatenate([part.images for part in parts]), np.concatenate([part.labels for part in parts]))


def _split(examples: Examples, rows: np.ndarray, held: int) -> tuple[Examples, Examples]:
    """Those of these rows, but for so many, and those."""
    return examples.take(rows[held:]), examples.take(rows[:held])


def _held(train: Examples, test: Examples, validation: float | str) -> int:
    """How many of one's own letters to validate on: at least one stays to be learnt."""
    wanted = len(test) if validation == "last" else round(len(train) * float(validation))
    return max(0, min(wanted, len(train) - 1))


def _evenly(labels: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """All rows in an order of which any part has as many of each class as of the others, as long as there are."""
    order, place = rng.permutation(len(labels)), np.empty(len(labels), np.int64)
    for label in np.unique(labels):
        rows = order[labels[order] == label]
        place[rows] = np.arange(len(rows))
    return order[np.argsort(place[order], kind="stable")]


def relabelled(letters: Letters, classes: tuple[str, ...]) -> Letters:
    """Those whose class is among `classes`, with its number there."""
    numbers = np.array([classes.index(name) if name in classes else -1 for name in letters.classes])
    parts = [Examples(part.images, numbers[part.labels]) for part in (letters.train, letters.test)]
    train, test = (part.take(np.flatnonzero(part.labels >= 0)) for part in parts)
    return replace(letters, train=train, test=test, classes=classes)
