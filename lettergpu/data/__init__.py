"""From IDX files, or from fonts, to upright uint8 images and labels 0, 1, 2, ..."""

SIDE = 28  # pixels, of every image
