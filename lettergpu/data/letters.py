"""The letters to train and test on: those of a file or a folder, the downloaded EMNIST, or the built-in fonts."""

import hashlib
import math
import os
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

from ..errors import LettergpuError, brief
from ..files import as_path, as_text
from ..randomness import WHOLE, generator
from . import SIDE, emnist, glyphs, sources
from .folders import Eyes, Progress, seen
from .idx import Images, Mapped, settled
from .orientation import Orientation, find, is_dark
from .sources import Source
from .splits import find_split

PIECE = 8192  # images that are gone through at once
BUILTIN = "built-in letters, drawn from fonts (not handwriting)"


@dataclass(frozen=True)
class Examples:
    """images: (n, 28, 28) uint8, upright, light on dark. labels: (n,) int64, from 0.

    In place of images there may be features, (n, any) of a float dtype, which are taken as they are. weights: (n,),
    how many times each counts when it is trained or validated on; None: once. Where there are many images they stay in
    their file.
    """

    images: Images
    labels: np.ndarray
    weights: np.ndarray | None = None

    def __len__(self) -> int:
        return len(self.labels)

    def take(self, rows: np.ndarray) -> "Examples":
        """Copies of these rows (k,), but of images that stay in their file."""
        images = self.images.chosen(rows) if isinstance(self.images, Mapped) else self.images[rows]
        return Examples(images, self.labels[rows], None if self.weights is None else self.weights[rows])

    @property
    def flat(self) -> Images:
        """The images, (n, pixels), or the features."""
        return self.images.reshape(len(self), math.prod(self.images.shape[1:]))


NONE = Examples(np.empty((0, SIDE, SIDE), np.uint8), np.empty(0, np.int64))
INK = ("", "dark on light, so turned light on dark")


@dataclass(frozen=True)
class Letters:
    """source: "builtin" or the full path of a folder or file. description: one line that says what these letters are.

    orientation: how its files hold them, upright or transposed; auto of built-in ones. found: what else was understood
    of its files, in words by what it is about. held_out: the share that is tested on where they have no test part.
    """

    train: Examples
    test: Examples
    classes: tuple[str, ...]
    source: str
    description: str
    orientation: str = "auto"
    found: dict[str, str] = field(default_factory=dict)
    held_out: float = 0.2

    @property
    def settings(self) -> dict[str, Any]:
        """The settings that lead to the same letters again, also where auto would lead elsewhere."""
        return {"data": self.source, "orientation": self.orientation, "test": self.held_out}

    @cached_property
    def fingerprint(self) -> str:
        """sha256 of all training images and labels, whatever files they came from."""
        digest = hashlib.sha256()
        for begin in range(0, len(self.train), PIECE):
            digest.update(np.ascontiguousarray(self.train.images[begin : begin + PIECE]).data)
        digest.update(self.train.labels.tobytes())
        return digest.hexdigest()

    def hold_out(self, validation: float | str, seed: int) -> tuple[np.ndarray, np.ndarray]:
        """The rows of `train` to train on, and those to validate on.

        validation: a share of a permutation drawn from the seed, or "last": as many as the test set has, from the
        end of the train file, as in Cohen et al. 2017 (20,800 for letters). Of more than WHOLE letters both are in the
        order of the file.
        Raises LettergpuError if that leaves nothing to train on or nothing to validate on.
        """
        count = len(self.train)
        if validation == "last":
            held = len(self.test)
            rows = np.roll(np.arange(count), held)
        else:
            held = round(count * float(validation))
            rows = generator(seed, "split").permutation(count)
        if not 0 < held < count:
            raise LettergpuError(
                f"--validation {validation}: of {count:,} images that leaves {max(count - held, 0):,} to train on and "
                f"{min(held, count):,} to validate on"
            )
        learnt, validated = rows[held:], rows[:held]
        return (learnt, validated) if count <= WHOLE else (np.sort(learnt), np.sort(validated))

    def named(self, classes: tuple[str, ...]) -> "Letters":
        """The same, labelled for a network of these classes, which may write a name in other capitals.

        Raises LettergpuError if it has no such class.
        """
        exact = {name: number for number, name in enumerate(classes)}
        folded = {name.casefold(): number for name, number in exact.items()}
        alike = folded if len(folded) == len(classes) else exact
        places = [exact.get(name, alike.get(name.casefold())) for name in self.classes]
        if None in places:
            strange, known = brief(self.classes[places.index(None)]), brief(", ".join(classes), 300)
            raise LettergpuError(f"{self.source}: the network knows no class {strange}, but {known}")
        moved = [Examples(part.images, np.array(places)[part.labels]) for part in (self.train, self.test)]
        return replace(self, train=moved[0], test=moved[1], classes=classes)


@dataclass(frozen=True)
class Parted(Letters):
    """Letters that come parted: the first `learnt` rows of `train` are to be trained on, the others validated on."""

    learnt: int = 0

    def hold_out(self, validation: float | str, seed: int) -> tuple[np.ndarray, np.ndarray]:
        """The rows as they come, whatever is asked for."""
        return np.arange(self.learnt), np.arange(self.learnt, len(self.train))


def find_source(data: str, split: str) -> Path | None:
    """The folder or file that `data` means, or None for the built-in letters.

    data: "auto" (the downloaded EMNIST if it is there, else the built-in letters), "builtin", or a folder or file.
    """
    find_split(split)
    if data == "auto":
        folder = emnist.download_folder(split)
        if os.path.isdir(folder):  # unlike Path.is_dir, not an error where it may not be looked for
            return folder
    if data in ("auto", "builtin"):
        if split != "letters":
            raise LettergpuError(
                f"--split {split}: only letters are built in; lettergpu data download --split {split} gets EMNIST's"
            )
        return None
    try:
        path = Path(os.path.realpath(as_path(os.path.expanduser(data))))
        if os.path.exists(path):
            return path
    except (OSError, RuntimeError):  # a name that is too long, or nobody's home
        pass
    raise LettergpuError(
        f"--data {brief(data, 300)}: there is no such folder or file; give auto, builtin, a folder or a file"
    )


def load_letters(
    data: str = "auto",
    split: str = "letters",
    progress: Progress = iter,
    *,
    orientation: str = "auto",
    held_out: float = 0.2,
    eyes: Eyes | None = None,
    test_only: bool = False,
) -> Letters:
    """Training and test letters.

    data: "auto" (the downloaded EMNIST if it is there, else the built-in letters), "builtin", or a folder or file of
    a kind that sources.py knows. split: letters, balanced, byclass, bymerge, digits or mnist, the classes of all but
    pictures, whose folders' names are theirs. progress: what shows how far drawing or reading of pictures is, from the
    steps that it is handed. orientation: how the files hold their images, one of ORIENTATIONS. held_out: the share of
    each class to test on where there is no test part, 1 for all; drawn by a seed of its own, so that runs of other
    seeds are tested on the same letters. eyes: what sees pictures and how images lie.
    test_only: letters to train on are not needed.
    Raises LettergpuError if files are missing, damaged or do not belong together.
    """
    path = find_source(data, split)
    classes = find_split(split).classes
    if path is None:
        train = NONE if test_only else Examples(*glyphs.load("train", progress))
        test = Examples(*glyphs.load("test", progress))
        return Letters(train, test, classes, "builtin", BUILTIN)
    if not 0 < held_out <= 1:
        raise LettergpuError(f"--test {held_out}: give a share above 0, or 1 for all")
    source = sources.read(path, split, test_only=test_only)
    way, parts, found = _upright(source, orientation, eyes, progress)
    if "" in parts or "test" not in parts:
        parts = _parted(parts.get("", parts.get("train", NONE)), held_out)
        found["test part"] = "all" if held_out == 1 else f"{held_out:.0%} of each class, held out here (--test)"
    train, test = parts.get("train", NONE), parts["test"]
    name = as_text(path)
    told = found | {"orientation": way.name}  # without how that is known, which a run that goes on knows otherwise
    notes = [source.verdict, *(() if source.known else told.values())]
    description = f"{source.what} from {name} ({'; '.join(filter(None, notes))})"
    return Letters(train, test, source.classes, name, description, way.name, {"kind": source.kind} | found, held_out)


def load_test(data: str, split: str, progress: Progress = iter, **how: Any) -> tuple[Examples, str]:
    """The test letters alone, and what they are; all as `load_letters` takes it."""
    letters = load_letters(data, split, progress, **how, test_only=True)
    return letters.test, letters.description


def _upright(
    source: Source, asked: str, eyes: Eyes | None, progress: Progress
) -> tuple[Orientation, dict[str, Examples], dict[str, str]]:
    """How the images lie, the parts as they should, and both in words."""
    images, notes = {}, {}
    for part, table in source.parts.items():
        images[part], notes[part] = seen(table, eyes, progress)
    dark = {part for part in images if is_dark(images[part])}
    light = {part: 255 - images[part] if part in dark else images[part] for part in images}
    labels, first = {part: table.labels for part, table in source.parts.items()}, next(iter(images))
    way = source.usual
    if asked != "auto":
        way = Orientation(asked == "transposed", "as it was set")
    elif not source.known:
        way = find(light[first], labels[first], source.classes, eyes, source.usual)
    if way.transposed:
        light = {part: images.swapaxes(1, 2) for part, images in light.items()}
    parts = {part: Examples(settled(light[part]), labels[part]) for part in light}
    found = {"orientation": f"{way.name}: {way.why}", "ink": INK[bool(dark)], "pictures": notes[first]}
    return way, parts, {about: said for about, said in found.items() if said}


def _parted(examples: Examples, share: float) -> dict[str, Examples]:
    """Examples to train on, and of each class about this share to test on: the same for whoever asks again."""
    order = generator(0, "test").permutation(len(examples))
    place = np.empty(len(order), np.int64)  # among those of its class
    for label in np.unique(examples.labels):
        own = order[examples.labels[order] == label]
        place[own] = np.arange(len(own))
    counts = np.bincount(examples.labels)
    least = np.where(counts > 1, 1, 0)  # of a class
    held = place < np.maximum(np.rint(counts * share), least)[examples.labels]
    return {"train": examples.take(np.flatnonzero(~held)), "test": examples.take(np.flatnonzero(held))}
