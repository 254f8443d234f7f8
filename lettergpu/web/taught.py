"""Letters that somebody said the names of: a folder of pictures by class, such as A/0001.png."""

import hashlib
import io
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryFile

import numpy as np
from PIL import Image

from ..data import SIDE
from ..data.letters import Examples
from ..errors import LettergpuError, brief
from ..files import replacing

MOST = 1000  # letters
LARGEST = 10_000  # bytes of a file: 28x28 pixels take a tenth


@dataclass(frozen=True)
class Taught:
    """letter: what it is said to be. image: uint8 (28, 28), in EMNIST's form. name: of its file in the folder."""

    name: str
    letter: str
    image: np.ndarray


class Collection:
    """What was taught, in the folder and in memory. classes: what letters may be said to be, the network's.

    Raises LettergpuError where the folder cannot be read, holds something else, or cannot be written to.
    """

    def __init__(self, folder: Path, classes: Sequence[str]):
        self.folder, self.classes = folder, tuple(classes)
        if strange := [name for name in classes if not name.isalnum()]:
            raise LettergpuError(f"--teach: a class of the network, {brief(strange[0])}, cannot be a folder's name")
        self.letters: dict[str, Taught] = {}
        try:
            with TemporaryFile(dir=folder):
                pass
            for letter in self.classes:
                for path in sorted((folder / letter).glob("*.png")):
                    name = f"{letter}/{path.name}"
                    self.letters[name] = Taught(name, letter, _read(path))
        except OSError as error:
            raise LettergpuError(f"--teach {folder}: it cannot be used ({error.strerror}); name another") from error
        if len(self.letters) > MOST:
            raise LettergpuError(f"--teach {folder}: it holds {len(self.letters):,} letters, of at most {MOST:,}")

    def add(self, content: bytes, letter: str) -> str:
        """Keep a letter of 28x28 bytes, row by row; its name. One that is there under another name gives way.

        Raises LettergpuError for what is no letter of such a class, or where there is no room.
        """
        letter = self._class(letter)
        if len(content) != SIDE * SIDE:
            raise LettergpuError(f"a letter is {SIDE} x {SIDE} bytes, {SIDE * SIDE} in all, not {len(content):,}")
        image = np.frombuffer(content, np.uint8).reshape(SIDE, SIDE)
        if not image.any():
            raise LettergpuError("there is no ink on this picture: choose a letter")
        alike = [each for each in self.letters.values() if np.array_equal(each.image, image)]
        if same := [each.name for each in alike if each.letter == letter]:
            return same[0]
        if len(self.letters) >= MOST:
            raise LettergpuError(f"{MOST:,} letters were taught, which is the most: take some back")
        numbers = [int(stem) for path in (self.folder / letter).glob("*.png") if (stem := path.stem).isdecimal()]
        name = f"{letter}/{max(numbers, default=0) + 1:04}.png"
        try:
            with replacing(self.folder / name) as partial:
                Image.fromarray(image).save(partial, "PNG")
        except LettergpuError as error:
            why = error.__cause__.strerror if isinstance(error.__cause__, OSError) else error
            raise LettergpuError(f"{self.folder / name} cannot be written ({why}): make room, or start anew") from error
        self.letters[name] = Taught(name, letter, image)
        for other in alike:
            self.remove(other.name)
        return name

    def remove(self, name: str) -> None:
        """Take a letter back. Raises LettergpuError where there is none of this name."""
        if name not in self.letters:
            raise LettergpuError(f"{brief(name)} is not among what was taught, or was taken back before")
        try:
            (self.folder / name).unlink(missing_ok=True)
        except OSError as error:
            raise LettergpuError(f"{self.folder / name} cannot be taken away ({error.strerror})") from error
        del self.letters[name]

    def examples(self) -> Examples:
        """All of them, labelled by the classes."""
        images = [each.image for each in self.letters.values()]
        return Examples(np.stack(images), np.array([self.classes.index(each.letter) for each in self.letters.values()]))

    def fingerprint(self, parameters: np.ndarray) -> str:
        """sha256 of them and of the parameters of the network that they were taught to."""
        digest = hashlib.sha256(np.ascontiguousarray(parameters).data)
        for name in sorted(self.letters):
            digest.update(name.encode() + self.letters[name].image.tobytes())
        return digest.hexdigest()

    def _class(self, letter: str) -> str:
        """The class that is meant, whatever its case where that leaves no doubt."""
        alike = [name for name in self.classes if name == letter] or [
            name for name in self.classes if name.casefold() == letter.strip().casefold()
        ]
        if len(alike) != 1:
            known = ", ".join(self.classes)
            raise LettergpuError(
                f"{brief(letter, 20) or 'nothing'} is none of the network's letters: {brief(known, 300)}"
            )
        return alike[0]


def _read(path: Path) -> np.ndarray:
    """A picture that was taught. Raises LettergpuError if it is no such picture."""
    try:
        with path.open("rb") as file:
            content = file.read(LARGEST + 1)
        if len(content) > LARGEST:
            raise ValueError(f"it is larger than {LARGEST:,} bytes")
        with Image.open(io.BytesIO(content), formats=["PNG"]) as picture:
            if picture.size != (SIDE, SIDE):
                raise ValueError(f"it has {picture.width} x {picture.height} pixels")
            return np.asarray(picture.convert("L"))
    except (OSError, ValueError, SyntaxError) as error:
        advice = f"a taught letter is a PNG of {SIDE} x {SIDE} pixels; take it away"
        raise LettergpuError(f"{path}: {brief(error)}: {advice}") from error
