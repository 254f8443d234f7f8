"""Affine maps of the plane, elastic bends, and the one bilinear warp that they all go through."""

import math
from typing import Any

from array_api_compat import array_namespace, device


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
