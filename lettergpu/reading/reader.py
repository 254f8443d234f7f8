"""Letters out of pictures: what `lettergpu predict` and the page do, for Python.

import lettergpu
lettergpu.read("note.jpg").text
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import IO, Any

import numpy as np

from ..backends.device import CPU, Device
from ..errors import LettergpuError
from ..nn.network import Network
from ..training import checkpoint
from .ink import EMPTY, THRESHOLDS, find_ink
from .layout import find_letters, single_letter
from .pictures import Page, open_page
from .sheet import Glyph
from .workaround import as_the_report_did

FORMS = ("auto", "single", "text")
BINARIZERS = (*THRESHOLDS, "kmeans")


@dataclass(frozen=True)
class Letter:
    """A letter read.

    box: left, top, right, bottom in pixels of the picture, upright. top: the likeliest letters with their
    probabilities, likeliest first. image: uint8 (28, 28), in EMNIST's form. seen: likewise, what the network saw of it.
    """

    box: tuple[int, int, int, int]
    top: tuple[tuple[str, float], ...]
    image: np.ndarray
    seen: np.ndarray


@dataclass(frozen=True)
class Reading:
    """What stands in a picture. text: the likeliest letters, words apart by a space, lines by a line feed."""

    text: str
    letters: tuple[Letter, ...]

    def table(self) -> dict[str, Any]:
        """The reading as JSON holds it, without images."""
        return {
            "text": self.text,
            "letters": [
                {"box": list(letter.box), "top": [{"letter": name, "probability": p} for name, p in letter.top]}
                for letter in self.letters
            ],
        }


class Reader:
    """A network that reads pictures. Threads may share one."""

    def __init__(self, network: Network):
        if network.sizes[0] != 784:
            raise LettergpuError(f"the network reads {network.sizes[0]} pixels, not 28x28: it cannot read pictures")
        self.network = network

    @classmethod
    def of(cls, model: str | Path | None = None, device: Device = CPU) -> "Reader":
        """The reader with the network of a run folder or a .safetensors file; None: the one in the package."""
        return cls(checkpoint.load(checkpoint.BOXED if model is None else model, device))

    def read(
        self,
        source: "str | Path | bytes | IO[bytes] | np.ndarray | Any",
        *,
        form: str = FORMS[0],
        binarize: str = BINARIZERS[0],
        top: int = 5,
    ) -> Reading:
        """The letters of a picture: a path, the content of an image file, an open one, a Pillow image, a uint8 array.

        form: single takes all ink for one letter, text looks for lines of letters, auto is text but for a picture that
        is in EMNIST's form already. binarize: how ink is told from paper, one of BINARIZERS; kmeans is the report's own
        way, which takes the picture for a single letter. top: how many of the likeliest letters to name.
        Raises LettergpuError for what cannot be read, also where there is no letter.
        """
        _check("form", form, FORMS)
        _check("binarize", binarize, BINARIZERS)
        if not 1 <= top <= len(self.network.classes):
            raise LettergpuError(f"top {top}: give a number from 1 to {len(self.network.classes)}")
        if binarize == "kmeans" and form == "text":
            raise LettergpuError(
                "binarize kmeans takes a picture for a single letter, as the report does: leave out text"
            )
        page = source if isinstance(source, Page) else open_page(source)
        lines = [[_inked(word) for word in line] for line in self._lines(page, form, binarize)]
        lines = [words for line in lines if (words := [word for word in line if word])]
        glyphs = [glyph for line in lines for word in line for glyph in word]
        if not glyphs:
            raise LettergpuError(EMPTY)
        images = np.stack([glyph.image for glyph in glyphs])
        probabilities = self.network.predict_proba(images)
        seen = self.network.seen(images)
        names = self.network.classes
        letters = []
        for glyph, row, saw in zip(glyphs, probabilities, seen, strict=True):
            likeliest = np.argsort(-row, kind="stable")[:top]
            found = tuple((names[i], float(row[i])) for i in likeliest)
            letters.append(Letter(_box(glyph, page), found, glyph.image, saw))
        answers = iter(letters)
        text = "\n".join(" ".join("".join(next(answers).top[0][0] for _ in word) for word in line) for line in lines)
        return Reading(text, tuple(letters))

    def _lines(self, page: Page, form: str, binarize: str) -> list[list[list[Glyph]]]:
        if binarize == "kmeans":
            return [[[as_the_report_did(page)]]]
        if form != "text" and (glyph := _emnist(page)):
            return [[[glyph]]]
        ink = find_ink(page.pixels, binarize)
        return [[[single_letter(ink)]]] if form == "single" else find_letters(ink, self.network.predict_proba)

    def hidden(self, letters: Sequence[Letter]) -> list[np.ndarray]:
        """The activations of each hidden layer, (letters, nodes), for letters read."""
        return self.network.hidden(np.stack([letter.image for letter in letters]))


@lru_cache(maxsize=1)
def _boxed() -> Reader:
    return Reader.of()


def read(source: Any, *, model: str | Path | None = None, **how: Any) -> Reading:
    """The letters of a picture, as `Reader.read` takes and tells them. model: as `Reader.of` takes it."""
    return (_boxed() if model is None else Reader.of(model)).read(source, **how)


def _check(option: str, value: str, names: tuple[str, ...]) -> None:
    if value not in names:
        raise LettergpuError(f"{option} {value}: choose one of {', '.join(names)}")


def _inked(word: list[Glyph]) -> list[Glyph]:
    """The glyphs of which something is left in EMNIST's form: a network would name nothing, too."""
    return [glyph for glyph in word if glyph.image.any()]


def _emnist(page: Page) -> Glyph | None:
    """The page as it stands, where it has EMNIST's form: 28x28, grey, light on dark, with a dark border."""
    pixels = page.pixels
    if pixels.shape != (28, 28, 3) or page.size != (28, 28) or np.ptp(pixels, axis=2).any():
        return None
    grey = pixels[..., 0]
    border = np.concatenate([grey[:1].ravel(), grey[-1:].ravel(), grey[:, 0], grey[:, -1]])
    if border.max() > 32 or grey.max() < 128:
        return None
    return Glyph(grey, (0.0, 0.0, 28.0, 28.0))


def _box(glyph: Glyph, page: Page) -> tuple[int, int, int, int]:
    """The glyph's box in the original's pixels, inside it and not empty."""
    wide, high = page.size
    across, down = wide / page.pixels.shape[1], high / page.pixels.shape[0]
    left, top, right, bottom = glyph.box
    left, top = min(max(int(left * across), 0), wide - 1), min(max(int(top * down), 0), high - 1)
    return left, top, min(max(round(right * across), left + 1), wide), min(max(round(bottom * down), top + 1), high)
