"""What tests of reading draw."""

import numpy as np
from PIL import Image, ImageDraw


def drawn(size=(240, 240), ink="black", paper="white", mode="RGB"):
    """A T with round ends."""
    image = Image.new(mode, size, paper)
    pen = ImageDraw.Draw(image)
    pen.line([(60, 60), (180, 60)], ink, 18)
    pen.line([(120, 60), (120, 190)], ink, 18)
    return image


def pixels_of(image):
    return np.asarray(image.convert("RGB"))
