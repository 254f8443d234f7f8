"""Rotation, as an affine map of the plane, and the one bilinear warp that every map goes through."""

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


def affine(images: Any, maps: Any) -> Any:
    """Move each image: the pixel at (row, column) comes from maps @ (row, column, 1), bilinearly.

    images: (batch, height, width), float. maps: (batch, 2, 3), same dtype. Returns (batch, height, width).
    """
    xp = array_namespace(images)
    _, height, width = images.shape
    rows = xp.arange(height, dtype=images.dtype, device=device(images))[None, :, None]
    columns = xp.arange(width, dtype=images.dtype, device=device(images))[None, None, :]
    (a, b, c), (d, e, f) = ([maps[:, i, j][:, None, None] for j in range(3)] for i in range(2))
    y = (b * columns + c) + a * rows
    x = (e * columns + f) + d * rows
    return warp(images, y, x)


def rotations(angles: Any, height: int, width: int) -> Any:
    """The maps (batch, 2, 3) of `affine` that turn images about their centre, counter-clockwise.

    angles: (batch,), float, in radians.
    """
    xp = array_namespace(angles)
    cos, sin = xp.cos(angles), xp.sin(angles)
    linear = xp.stack([xp.stack([cos, sin], axis=-1), xp.stack([-sin, cos], axis=-1)], axis=1)
    return about_centre(linear, xp.zeros_like(linear[:, 0, :]), height, width)


def about_centre(linear: Any, shifts: Any, height: int, width: int) -> Any:
    """The maps (batch, 2, 3) of `affine` that keep the centre of an image, but for shifts (batch, 2) in pixels.

    linear: (batch, 2, 2), what a place relative to the centre is multiplied by.
    """
    xp = array_namespace(linear)
    row, column = (height - 1) / 2, (width - 1) / 2
    middle = linear[:, :, 0] * row + linear[:, :, 1] * column  # (batch, 2)
    offsets = xp.stack([row - middle[:, 0], column - middle[:, 1]], axis=-1) + shifts
    return xp.concat([linear, offsets[:, :, None]], axis=-1)
