"""What the programs that epoch.py times lettergpu beside have in common, and scikit-learn's.

Each is a function of a Task that returns what trains an epoch, as users of its library would write it. What moves a
letter is a map as lettergpu has it (nn/warps.py), made of numbers that each draws by its own generator.
"""

from typing import Any

import numpy as np
from array_api_compat import array_namespace

from lettergpu.cli.benchmark import Epoch, Task
from lettergpu.config import Config
from lettergpu.data import SIDE
from lettergpu.nn.warps import about_centre, composed, wave_heights, waves
from lettergpu.training.distortions import WAVES

DRAWN = 6 + 2 * WAVES**2  # uniform numbers that distort a letter


class LeftOut(Exception):
    """Why a contestant does not take part."""


def basis(length: int) -> np.ndarray:
    """What a map (2, length) is multiplied by, (length, 784): the places that the pixels come from are maps @ this."""
    rows, columns = np.indices((SIDE, SIDE), np.float32)
    wave = waves(np.zeros((0, 2, 3 + WAVES**2), np.float32), SIDE)  # (SIDE, WAVES)
    bends = np.einsum("ri,cj->ijrc", wave, wave).reshape(WAVES**2, SIDE * SIDE)
    return np.concatenate([np.stack([rows, columns, np.ones_like(rows)]).reshape(3, -1), bends])[:length]


def distortions(drawn: Any, frames: Any, config: Config) -> Any:
    """Maps (n, 2, 28) of letters that `frames` (n, 2, 3) move to their moments, from numbers (n, DRAWN) in [0, 1)."""
    xp = array_namespace(drawn)
    signed = 2.0 * drawn[:, :6] - 1.0
    degrees, pixels, log_scale, shear = config.affine
    angle, slant = np.pi / 180 * degrees * signed[:, 0], shear * signed[:, 1]
    cos, sin = xp.cos(angle), xp.sin(angle)
    linear = xp.stack([xp.stack([cos + sin * slant, sin], -1), xp.stack([cos * slant - sin, cos], -1)], 1)
    linear = linear * xp.exp(log_scale * signed[:, 2:4])[:, :, None]
    most = 12**0.5 * config.elastic[0] * np.float32(wave_heights(config.elastic[1], WAVES, SIDE)).reshape(-1)
    bends = (xp.reshape(drawn[:, 6:], (-1, 2, WAVES**2)) - 0.5) * xp.asarray(most)
    affine = about_centre(linear, pixels * signed[:, 4:6], SIDE, SIDE)
    return composed(frames, xp.concat([affine, bends], axis=-1))


def check(task: Task) -> None:
    """Raise LeftOut for what the peers are not written for."""
    config = task.config
    if (config.ensemble > 1 and config.batch_norm) or (config.augment == "elastic") > config.moment_norm:
        raise LeftOut("the default recipe is written for one network")


def sklearn_mlp(task: Task) -> Epoch:
    from sklearn.neural_network import MLPClassifier

    config = task.config
    if config.activation != "relu" or task.kind == "cuda" or config.ensemble > 1 or config.batch_norm:
        raise LeftOut("scikit-learn has ReLU, on the CPU, and one network that does not normalise")
    model = MLPClassifier(
        config.hidden,
        solver="sgd",
        alpha=0.0,
        batch_size=config.batch_size,
        learning_rate_init=config.learning_rate,
        momentum=config.momentum,
        nesterovs_momentum=False,
        random_state=0,
    )
    x = task.images.astype(np.float32) / np.float32(255)

    def epoch(number: int) -> None:
        model.partial_fit(x, task.labels, classes=np.arange(26))

    return epoch
