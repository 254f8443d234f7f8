"""Levels of difficulty, and what pictures of them are drawn from. Each has what the ones before it have:

0  a canvas or a screenshot: one ink, one ground, no camera, PNG
1  clean paper, even light, dark ink, letters well apart, turned by 2 degrees at most
2  paper with texture, a gradient of light, small and large letters, coloured inks, sometimes light on dark
3  ruled or squared paper, soft shadows, perspective, thin and thick pens, blur, noise, JPEG 40 to 70
4  edges of shadows, letters that nearly touch, weak ink, specks, wavy paper, the table beside it, JPEG 30
5  letters that touch, creases, dark corners, movement, ink that runs and shows through
"""

from dataclasses import dataclass

Range = tuple[float, float]


@dataclass(frozen=True)
class Level:
    """What pictures of a level are drawn from: a Range uniformly, a share as the chance that a picture has it."""

    height: Range  # of letters, pixels
    turn: float  # degrees at most
    gap: Range  # between the ink of neighbours, in heights of a letter
    pen: Range  # width of a stroke, in heights of a letter
    blur: Range  # sigma, pixels, though no more than a fortieth of a letter's height
    jpeg: tuple[int, int] | None  # qualities; else PNG
    noise: Range = (0.0, 0.0)  # of the sensor, of the full range
    texture: Range = (0.0, 0.0)  # of the paper
    gradient: Range = (0.0, 0.05)  # of the light
    contrast: Range = (0.85, 1.0)  # of the ink
    colours: float = 0.0
    light_on_dark: float = 0.0
    perspective: float = 0.0  # how much larger the near end may be
    lines: float = 0.0
    shadow: float = 0.0
    hard_edge: float = 0.0  # of those shadows
    specks: float = 0.0  # a square of a letter's height
    waves: float = 0.0  # in heights of a letter
    table: float = 0.0
    creases: float = 0.0
    vignette: float = 0.0
    movement: float = 0.0  # in heights of a letter
    runs: float = 0.0
    shows_through: float = 0.0


LEVELS = {
    0: Level((40, 120), 0, (0.12, 0.4), (0.07, 0.14), (0, 0), None, gradient=(0, 0), contrast=(1, 1), colours=0.2,
             light_on_dark=0.2),
    1: Level((40, 120), 2, (0.2, 0.5), (0.08, 0.13), (0.5, 0.9), (88, 95), noise=(0, 0.008)),
    2: Level((28, 140), 4, (0.14, 0.4), (0.07, 0.14), (0.5, 1.1), (75, 95), noise=(0, 0.015), texture=(0, 0.03),
             gradient=(0, 0.25), contrast=(0.75, 1), colours=0.5, light_on_dark=0.1),
    3: Level((28, 140), 6, (0.09, 0.32), (0.05, 0.16), (0.6, 1.8), (40, 70), noise=(0.005, 0.03), texture=(0, 0.04),
             gradient=(0.05, 0.45), contrast=(0.65, 1), colours=0.5, light_on_dark=0.1, perspective=0.08, lines=0.7,
             shadow=0.5),
    4: Level((26, 140), 9, (0.02, 0.16), (0.045, 0.17), (0.6, 2.2), (30, 60), noise=(0.01, 0.04), texture=(0, 0.05),
             gradient=(0.1, 0.6), contrast=(0.4, 0.9), colours=0.5, light_on_dark=0.1, perspective=0.14, lines=0.7,
             shadow=0.8, hard_edge=0.6, specks=0.4, waves=0.05, table=0.15),
    5: Level((26, 120), 10, (-0.02, 0.1), (0.04, 0.18), (0.7, 2.6), (25, 50), noise=(0.015, 0.055),
             texture=(0.01, 0.06), gradient=(0.1, 0.7), contrast=(0.33, 0.8), colours=0.5, light_on_dark=0.1,
             perspective=0.2, lines=0.8, shadow=0.9, hard_edge=0.6, specks=0.8, waves=0.1, table=0.2, creases=0.5,
             vignette=0.5, movement=0.06, runs=0.3, shows_through=0.25),
}  # fmt: skip
