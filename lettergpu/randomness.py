"""Random numbers as a function of (seed, purpose, epoch), never of history.

So a resumed run is the same run, and both devices see the same weights, order and rotations: NumPy draws
them on the host, once an epoch.
"""

import numpy as np

PURPOSES = ("split", "parameters", "order", "rotation", "glyphs", "affine", "elastic")


def generator(seed: int, purpose: str, epoch: int = 0) -> np.random.Generator:
    """A fresh generator for one purpose in one epoch."""
    return np.random.default_rng([seed, PURPOSES.index(purpose), epoch])
