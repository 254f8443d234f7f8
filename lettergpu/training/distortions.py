"""Which map moves each letter in an epoch: turned, sheared, stretched, shifted and bent, as the seed has it."""

import math
from typing import Any

from array_api_compat import array_namespace, device

from ..config import Config
from ..data import SIDE
from ..nn.draws import stream, uniforms
from ..nn.warps import about_centre, rotations, wave_heights

WAVES = 5  # a side: the others would hold 0.7 % of the bends' mean square at elastic's default smoothness


def draw_maps(rows: Any, config: Config, seed: int, epoch: int) -> Any:
    """The maps of `moved` of letters in one epoch, (n, 2, 3) or bent (n, 2, 3 + WAVES^2), float32.

    rows: (n,) int64, the numbers of the letters, from which the maps follow wherever they stand in the epoch. config:
    what may happen to them, `augment` and its settings; not "none".
    """
    if config.augment == "rotate":
        return rotations(draw_angles(rows, config, seed, epoch), SIDE, SIDE)
    maps = _affine_maps(rows, config, seed, epoch)
    if config.augment == "elastic":
        return array_namespace(maps).concat([maps, _bends(rows, config, seed, epoch)], axis=-1)
    return maps


def draw_angles(rows: Any, config: Config, seed: int, epoch: int) -> Any:
    """Each letter's rotation in one epoch, (n,) in radians; 0 where it is not turned."""
    xp, drawn = array_namespace(rows), uniforms(rows, 3, stream(seed, "rotation", epoch))
    least, most = (math.radians(degrees) for degrees in config.rotation_degrees)
    angles = least + (most - least) * drawn[:, 1]
    angles = xp.where(drawn[:, 2] < 0.5, -angles, angles)
    return xp.where(drawn[:, 0] < config.rotation_chance, angles, xp.zeros_like(angles))


def _affine_maps(rows: Any, config: Config, seed: int, epoch: int) -> Any:
    """Turned, sheared, stretched and shifted, each uniformly up to the most of `config.affine`, (n, 2, 3)."""
    xp, drawn = array_namespace(rows), 2.0 * uniforms(rows, 6, stream(seed, "affine", epoch)) - 1.0
    degrees, pixels, log_scale, shear = config.affine
    angles, slant = math.radians(degrees) * drawn[:, 0], shear * drawn[:, 1]  # a column moves with its row
    cos, sin, scales = xp.cos(angles), xp.sin(angles), xp.exp(log_scale * drawn[:, 2:4])
    linear = xp.stack(
        [xp.stack([cos + sin * slant, sin], axis=-1), xp.stack([cos * slant - sin, cos], axis=-1)], axis=1
    )
    return about_centre(linear * scales[:, :, None], pixels * drawn[:, 4:6], SIDE, SIDE)


def _bends(rows: Any, config: Config, seed: int, epoch: int) -> Any:
    """What bends each letter, by `config.elastic`: root mean square and smoothness in pixels; (n, 2, WAVES^2).

    Uniform numbers, not normal ones: so few that are summed up for a pixel are as good, and they are drawn faster.
    """
    xp, drawn = array_namespace(rows), uniforms(rows, 2 * WAVES**2, stream(seed, "elastic", epoch))
    pixels, sigma = config.elastic
    heights = [height for line in wave_heights(sigma, WAVES, SIDE) for height in line]
    most = 12**0.5 * pixels * xp.asarray(heights, dtype=drawn.dtype, device=device(rows))
    return (xp.reshape(drawn, (-1, 2, WAVES**2)) - 0.5) * most
