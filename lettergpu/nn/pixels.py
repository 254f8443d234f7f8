"""How the bytes of a picture become the numbers that a network sees, moved on the way where they are to be."""

from typing import Any

from array_api_compat import array_namespace

from ..backends.dispatch import dispatched
from ..data import SIDE
from .warps import moved, waves


def to_floats(images: Any, dtype: Any) -> Any:
    """uint8 pixels, of any shape, as floats in [0, 1]; what is no uint8 stays as it is."""
    xp = array_namespace(images)
    x = xp.astype(images, dtype)
    if images.dtype == xp.uint8:
        x /= 255.0
    return x


@dispatched(waves=waves)
def assemble(images: Any, rows: Any, maps: Any, dtype: Any) -> Any:
    """Pixels in [0, 1], (batch, 784), of some rows (batch,) of uint8 images (n, 784).

    maps: of `moved`, for the first k of the batch; the others stay as they are. Without maps there may be features,
    (n, any) of a float dtype, in place of images, and are returned likewise.
    """
    xp = array_namespace(images)
    x = to_floats(xp.take(images, rows, axis=0), dtype)
    if k := maps.shape[0]:
        squares = xp.reshape(x[:k, :], (k, SIDE, SIDE))
        x[:k, :] = xp.reshape(moved(squares, maps), (k, SIDE * SIDE))
    return x
