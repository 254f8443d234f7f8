"""Random rotation: one batched bilinear warp."""

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


def rotate(images: Any, angles: Any) -> Any:
    """Turn each image about its centre, counter-clockwise.

    images: (batch, height, width), float. angles: (batch,), same dtype, in radians. Returns (batch, height, width).
    """
    xp = array_namespace(images)
    _, height, width = images.shape
    cos, sin = xp.cos(angles)[:, None, None], xp.sin(angles)[:, None, None]
    rows = xp.arange(height, dtype=images.dtype, device=device(images))[None, :, None] - (height - 1) / 2
    columns = xp.arange(width, dtype=images.dtype, device=device(images))[None, None, :] - (width - 1) / 2
    y = (sin * columns + (height - 1) / 2) + cos * rows  # where each pixel comes from: the inverse rotation
    x = (cos * columns + (width - 1) / 2) - sin * rows
    return warp(images, y, x)
