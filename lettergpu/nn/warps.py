"""Affine maps of the plane, elastic bends, and the one bilinear warp that they all go through."""

import math
from functools import cache
from itertools import product
from typing import Any

from array_api_compat import array_namespace, device

from ..backends.dispatch import dispatched

TURN, SHEAR, LOG_SCALE = 6.0, 0.1, 0.07  # of `view_maps`: degrees, columns a row, the logarithm of a factor
STEEPEST = 0.8  # the most slant, in columns a row, that is taken from a letter
SCALES, ASPECT = (0.6, 1.5), 3.0  # within which a letter is scaled; how far its aspect counts, either way
SIZE = 8.5  # pixels, root mean square: EMNIST's letters have 7.3 at the median


def warp(images: Any, y: Any, x: Any) -> Any:
    """Sample each image at the given places, bilinearly; outside an image everything is 0.

    images: (batch, height, width), float. y, x: (batch, height, width), same dtype, in pixels from the centre
    of the top left pixel. Returns (batch, height, width).
    """
    xp = array_namespace(images)
    batch, height, width = images.shape
    stride = width + 2  # a border of zeros, so that a neighbour outside is a pixel like any other
    bordered = xp.zeros((batch, height + 2, stride), dtype=images.dtype, device=device(images))
    bordered[:, 1:-1, 1:-1] = images
    pixels = xp.reshape(bordered, (-1,))

    y = xp.minimum(xp.maximum(y + 1.0, 0.0), height + 1.0)
    x = xp.minimum(xp.maximum(x + 1.0, 0.0), width + 1.0)
    top = xp.minimum(xp.floor(y), float(height))
    left = xp.minimum(xp.floor(x), float(width))
    y -= top
    x -= left
    first = xp.arange(batch, dtype=xp.int64, device=device(images)) * ((height + 2) * stride)
    index = xp.reshape(xp.astype(top * stride + left, xp.int64) + first[:, None, None], (-1,))

    def corner(down: int, right: int) -> Any:
        return xp.reshape(xp.take(pixels[down * stride + right :], index), (batch, height, width))

    upper = corner(0, 0)
    upper += x * (corner(0, 1) - upper)
    lower = corner(1, 0)
    lower += x * (corner(1, 1) - lower)
    lower -= upper
    lower *= y
    upper += lower
    return upper


def moved(images: Any, maps: Any) -> Any:
    """Move each image: the pixel at (row, column) comes from (y, x) = maps @ (row, column, 1), bilinearly.

    images: (batch, height, width), float. maps: (batch, 2, 3), same dtype; or (batch, 2, 3 + n n), whose further
    numbers c[i, j] bend the image: they add c[i, j] cos(pi i (row + 1/2) / height) cos(pi j (column + 1/2) / width).
    Returns (batch, height, width).
    """
    xp = array_namespace(images)
    _, height, width = images.shape
    rows = xp.arange(height, dtype=images.dtype, device=device(images))[None, :, None]
    columns = xp.arange(width, dtype=images.dtype, device=device(images))[None, None, :]
    (a, b, c), (d, e, f) = ([maps[:, i, j][:, None, None] for j in range(3)] for i in range(2))
    y = (b * columns + c) + a * rows
    x = (e * columns + f) + d * rows
    if maps.shape[2] > 3:
        down, right = waves(maps, height), waves(maps, width)  # (height, n), (width, n)
        bends = xp.reshape(maps[:, :, 3:], (maps.shape[0], 2, down.shape[1], down.shape[1]))
        bends = down @ bends @ right.T  # (batch, 2, height, width)
        y += bends[:, 0, :, :]
        x += bends[:, 1, :, :]
    return warp(images, y, x)


@cache
def view_maps(count: int, height: int, width: int) -> list[list[list[float]]]:
    """Maps (count, 2, 3) of `moved` of the ways to look at one image: turned or not; sheared; scaled; about its centre.

    count: 1, 3, 9 or 27, a power of 3: each of the three either way or not at all, the first before the last.
    """
    turns, shears, scales = ([-1.0, 0.0, 1.0] if count >= least else [0.0] for least in (3, 9, 27))
    row, column = (height - 1) / 2, (width - 1) / 2
    maps = []
    for turn, shear, scale in product(turns, shears, scales):
        cos, sin = math.cos(math.radians(TURN) * turn), math.sin(math.radians(TURN) * turn)
        size = math.exp(LOG_SCALE * scale)
        linear = [[size * (cos + SHEAR * shear * sin), size * sin], [size * (SHEAR * shear * cos - sin), size * cos]]
        maps.append([[a, b, c - a * row - b * column] for (a, b), c in zip(linear, (row, column), strict=True)])
    return maps


def composed(first: Any, then: Any) -> Any:
    """The maps of `moved` that do what moving by `first` (..., 2, 3), and then by `then` (..., 2, 3 + n n), does.

    Without a second interpolation, and without the darkness outside the image that lies between.
    """
    xp = array_namespace(first, then)
    maps = first[..., :2] @ then
    return xp.concat([maps[..., :2], maps[..., 2:3] + first[..., 2:], maps[..., 3:]], axis=-1)


@dispatched(steepest=STEEPEST, size=SIZE)
def moment_frames(images: Any, dtype: Any) -> Any:
    """The maps (batch, 2, 3) of `moved` that bring a letter to the place, slant and size that all letters have.

    images: (batch, height, width), uint8. Its centre of mass comes to the middle; rows are shifted so that ink's
    covariance of row and column vanishes; it is scaled until the root mean square distance of ink from the middle is
    SIZE, and stretched, its area kept, to the square root of its aspect. An image without ink stays empty. Moment
    normalisation: Liu, Nakashima, Sako, Fujisawa 2004, "Handwritten digit recognition: investigation of normalization
    and feature extraction techniques"; size and square root are what had the highest validation accuracy here.
    """
    xp = array_namespace(images)
    _, height, width = images.shape
    ink = xp.astype(images, dtype)

    def places(side: int) -> Any:  # from the middle
        return xp.arange(side, dtype=dtype, device=device(images)) - (side - 1) / 2

    def within(x: Any, least: float, most: float) -> Any:
        return xp.minimum(xp.maximum(x, least), most)

    rows, columns = places(height), places(width)
    of_row, of_column, along = xp.sum(ink, axis=2), xp.sum(ink, axis=1), ink @ columns  # (batch, height or width)
    mass = xp.maximum(xp.sum(of_row, axis=1), 1.0)  # (batch,)
    y, x = (of_row @ rows) / mass, (of_column @ columns) / mass
    down, right = rows[None, :] - y[:, None], columns[None, :] - x[:, None]  # from the centre of mass
    tall = xp.maximum(xp.sum(of_row * down**2, axis=1) / mass, 1.0)
    together = xp.sum(along * down, axis=1) / mass
    slant = within(together / tall, -STEEPEST, STEEPEST)
    wide = xp.maximum(xp.sum(of_column * right**2, axis=1) / mass - slant * together, 1.0)
    scale = within(xp.sqrt(wide + tall) / SIZE, *SCALES)
    aspect = within(xp.sqrt(wide / tall), 1 / ASPECT, ASPECT) ** 0.25
    across, upwards = scale * aspect, scale / aspect
    linear = xp.stack(
        [
            xp.stack([upwards, xp.zeros_like(slant)], axis=-1),
            xp.stack([slant * upwards, across], axis=-1),
        ],
        axis=1,
    )
    return about_centre(linear, xp.stack([y, x], axis=-1), height, width)


def waves(maps: Any, side: int) -> Any:
    """cos(pi i (place + 1/2) / side), (side, n), of the maps (batch, 2, 3 + n n) of `moved`."""
    xp = array_namespace(maps)
    number = xp.arange(math.isqrt(maps.shape[2] - 3), dtype=maps.dtype, device=device(maps))
    place = xp.arange(side, dtype=maps.dtype, device=device(maps)) + 0.5
    return xp.cos(place[:, None] * number[None, :] * (math.pi / side))


def wave_heights(sigma: float, n: int, side: int) -> list[list[float]]:
    """The standard deviations of c[i, j] for white noise smoothed by a Gaussian of `sigma` pixels, of mean square 1.

    That is the elastic deformation of Simard, Steinkraus, Platt 2003, "Best practices for convolutional neural
    networks", but for waves of i or j from n on, and for the shift of the whole image, c[0, 0]. A cosine's mean
    square is 1/2, a constant's 1; the Gaussian lowers wave i by exp(-(pi i sigma / side)^2 / 2).
    """
    power = [[math.exp(-((math.pi * sigma / side) ** 2) * (i * i + j * j)) for j in range(n)] for i in range(n)]
    power[0][0] = 0.0
    total = sum(map(sum, power))
    return [[math.sqrt(2 ** ((i > 0) + (j > 0)) * power[i][j] / total) for j in range(n)] for i in range(n)]


def rotations(angles: Any, height: int, width: int) -> Any:
    """The maps (batch, 2, 3) of `moved` that turn images about their centre, counter-clockwise.

    angles: (batch,), float, in radians.
    """
    xp = array_namespace(angles)
    cos, sin = xp.cos(angles), xp.sin(angles)
    linear = xp.stack([xp.stack([cos, sin], axis=-1), xp.stack([-sin, cos], axis=-1)], axis=1)
    return about_centre(linear, xp.zeros_like(linear[:, 0, :]), height, width)


def about_centre(linear: Any, shifts: Any, height: int, width: int) -> Any:
    """The maps (batch, 2, 3) of `moved` that keep the centre of an image, but for shifts (batch, 2) in pixels.

    linear: (batch, 2, 2), what a place relative to the centre is multiplied by.
    """
    xp = array_namespace(linear)
    row, column = (height - 1) / 2, (width - 1) / 2
    middle = linear[:, :, 0] * row + linear[:, :, 1] * column  # (batch, 2)
    offsets = xp.stack([row - middle[:, 0], column - middle[:, 1]], axis=-1) + shifts
    return xp.concat([linear, offsets[:, :, None]], axis=-1)
