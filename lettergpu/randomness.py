"""Random numbers as a function of (seed, purpose, epoch), never of history: so a resumed run is the same run.

Here for what NumPy draws once, on the host: the splits, the first weights, the built-in letters. What each epoch needs
anew is drawn where the training lives (nn/draws.py).
"""

import numpy as np

WHOLE = 1_000_000  # rows that are shuffled all at once; more of them are read in the order of their file, in part
PURPOSES = (
    "split",
    "parameters",
    "order",
    "rotation",
    "glyphs",
    "affine",
    "elastic",
    "pictures",
    "test",
    "lesson",
    "trial",
)


def generator(seed: int, purpose: str, number: int = 0) -> np.random.Generator:
    """A fresh generator for one purpose, or for one of several things of that purpose."""
    return np.random.default_rng([seed, PURPOSES.index(purpose), number])
