"""Letters in the files that people have them in: data/ reads the files, and is handed what sees a picture."""

from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np

from ..config import Config
from ..data import letters
from ..data.folders import Eyes, Progress
from ..data.letters import Letters
from ..nn.network import Network
from ..training import checkpoint


def _opened(source: Path | bytes) -> np.ndarray:
    from .pictures import open_page  # what only pictures need takes a while to be imported

    return open_page(source).pixels


def _normalised(pixels: np.ndarray) -> np.ndarray:
    """What the reader would see of a picture of one letter."""
    from .ink import find_ink
    from .layout import single_letter
    from .normalise import has_emnists_form
    from .page import on_paper

    return pixels[..., 0] if has_emnists_form(pixels) else single_letter(find_ink(on_paper(pixels)[0])).image


@lru_cache(maxsize=1)
def _boxed() -> Network:
    network = checkpoint.load(checkpoint.BOXED)
    network.views = 1  # is enough to tell how letters lie
    return network


def _recognised(images: np.ndarray) -> np.ndarray:
    network = _boxed()
    return np.array(network.classes)[network.predict_proba(images).argmax(axis=1)]


EYES = Eyes(_opened, _normalised, _recognised)


def letters_of(config: Config, progress: Progress = iter, **how: Any) -> Letters:
    """The letters that these settings mean. how: what differs from them, as load_letters takes it."""
    settings = {"orientation": config.orientation, "held_out": config.test} | how
    return load_letters(config.data, config.split, progress, **settings)


def load_letters(data: str = "auto", split: str = "letters", progress: Progress = iter, **how: Any) -> Letters:
    """As data.letters.load_letters, pictures too, and turned as the network in the package reads them best."""
    return letters.load_letters(data, split, progress, eyes=EYES, **how)
