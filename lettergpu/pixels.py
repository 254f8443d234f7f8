"""How the bytes of a picture become the numbers that a network sees."""

from typing import Any

from array_api_compat import array_namespace


def to_floats(images: Any, dtype: Any) -> Any:
    """uint8 pixels, of any shape, as floats in [0, 1]."""
    x = array_namespace(images).astype(images, dtype)
    x /= 255.0
    return x
