"""Built-in letters: outlines of the fonts that matplotlib ships, varied, and brought to EMNIST's form.

EMNIST crops each letter, centres it in a square with its aspect kept, and leaves a border of 2 pixels; so do
these, give or take a pixel of shift. They are not handwriting: they let the first training need no download.
"""

import hashlib
import warnings
from collections.abc import Callable, Iterable
from functools import cache
from pathlib import Path
from string import ascii_lowercase, ascii_uppercase

import numpy as np
from safetensors.numpy import save as to_bytes

from ..errors import LettergpuError
from ..files import cache_folder, make_private, read_tensors, replacing
from ..randomness import generator
from . import SIDE

INNER = 24.0  # pixels that the longer side of a letter fills
EACH = {"train": 1000, "test": 200}  # images a class
SEED = {"train": 0, "test": 1}
VERSION = 1  # of these drawings: a new number makes cached ones be drawn again
SHEET = 50  # letters a row and rows a sheet when drawing

Progress = Callable[[range], Iterable[int]]

FACES = (
    *("DejaVuSans", "DejaVuSans-Bold", "DejaVuSans-Oblique", "DejaVuSans-BoldOblique"),
    *("DejaVuSerif", "DejaVuSerif-Bold", "DejaVuSerif-Italic", "DejaVuSerif-BoldItalic"),
    *("DejaVuSansMono", "DejaVuSansMono-Bold", "DejaVuSansMono-Oblique", "DejaVuSansMono-BoldOblique"),
    *("STIXGeneral", "STIXGeneralBol", "STIXGeneralItalic", "STIXGeneralBolIta"),
    *("cmr10", "cmb10", "cmmi10", "cmss10", "cmtt10"),
)


def load(part: str, progress: Progress = iter) -> tuple[np.ndarray, np.ndarray]:
    """Upright uint8 images (n, 28, 28) and int64 labels (n,), 0 for A; drawn once, then cached. part: train or test.

    progress: what shows how far the drawing is, from the steps that it is handed, as tqdm does.
    """
    path = cache_folder() / f"glyphs-{VERSION}-{part}.safetensors"
    try:
        return _cached(path, EACH[part])
    except (OSError, ValueError, KeyError):  # not drawn yet, or damaged
        images, labels = draw(EACH[part], SEED[part], progress)
    try:
        make_private(path.parent)
        with replacing(path, mode=0o644) as partial:
            partial.write_bytes(to_bytes({"images": images, "labels": labels}, {"digest": _digest(images, labels)}))
        path.with_suffix(".npz").unlink(missing_ok=True)  # where earlier versions had them
    except LettergpuError as error:
        warnings.warn(f"the built-in letters are drawn each time, as they cannot be kept: {error}", stacklevel=2)
    return images, labels


def _cached(path: Path, each: int) -> tuple[np.ndarray, np.ndarray]:
    """What `draw` gave, of a file that cannot hold anything else. Raises ValueError, among others, if it does."""
    if path.stat().st_size > 2 * 26 * each * SIDE * SIDE:
        raise ValueError("it is too large")
    cached, header = read_tensors(path)
    images, labels = cached["images"], cached["labels"]
    drawn = (images.dtype, images.shape, labels.dtype) == (np.uint8, (26 * each, SIDE, SIDE), np.int64)
    if not drawn or not np.array_equal(np.sort(labels), np.repeat(np.arange(26), each)):
        raise ValueError("it holds something else")
    if header["digest"] != _digest(images, labels):
        raise ValueError("it is damaged")
    return images, labels


def _digest(images: np.ndarray, labels: np.ndarray) -> str:
    return hashlib.sha256(images.tobytes() + labels.tobytes()).hexdigest()


def draw(each: int, seed: int, progress: Progress = iter) -> tuple[np.ndarray, np.ndarray]:
    """`each` images a class, in a shuffled order that, like the letters, follows from the seed."""
    rng = generator(seed, "glyphs")
    labels = rng.permutation(np.repeat(np.arange(26), each))
    images = np.empty((len(labels), SIDE, SIDE), np.uint8)
    for start in progress(range(0, len(labels), SHEET * SHEET)):
        part = labels[start : start + SHEET * SHEET]
        images[start : start + len(part)] = _draw_sheet(part, rng)
    return images, labels


@cache
def _outline(face: str, character: str) -> tuple[np.ndarray, np.ndarray]:
    """A letter's polygons: vertices (n, 2), y upwards, centred, the longer side 1; and matplotlib's path codes (n,)."""
    import matplotlib
    from matplotlib.font_manager import FontProperties
    from matplotlib.path import Path as Outline
    from matplotlib.textpath import TextPath

    file = Path(matplotlib.get_data_path()) / "fonts" / "ttf" / f"{face}.ttf"
    outline = TextPath((0, 0), character, size=100, prop=FontProperties(fname=file))
    polygons = [np.asarray(polygon) for polygon in outline.to_polygons()]
    # enough points on the straight strokes too that bending the letter bends them
    polygons = [np.asarray(Outline(p).interpolated(max(1, 120 // len(p))).vertices) for p in polygons]
    codes = [[Outline.MOVETO, *[Outline.LINETO] * (len(p) - 2), Outline.CLOSEPOLY] for p in polygons]
    vertices = np.concatenate(polygons)
    low, high = vertices.min(axis=0), vertices.max(axis=0)
    vertices = (vertices - (low + high) / 2) / (high - low).max()
    return vertices, np.concatenate(codes).astype(np.uint8)


def _vary(vertices: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Bend, stretch, slant and turn an outline."""
    phase, frequency = rng.uniform(0, 2 * np.pi, (2, 2)), rng.uniform(1.5, 4.5, (2, 2))
    waves = np.sin(vertices[:, None, :] * frequency + phase)  # (points, direction, along)
    vertices = vertices + (waves * rng.uniform(-0.05, 0.05, (2, 2))).sum(axis=2)
    slant, turn, stretch = rng.normal(0.0, 0.18), rng.normal(0.0, 0.09), np.exp(rng.normal(0.0, 0.15))
    sheared = np.array([[stretch, slant], [0.0, 1.0]])
    turned = np.array([[np.cos(turn), -np.sin(turn)], [np.sin(turn), np.cos(turn)]])
    return vertices @ (turned @ sheared).T


def _draw_sheet(labels: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Draw the letters side by side, anti-aliased at their final size, and cut the sheet into (n, 28, 28)."""
    from matplotlib.backends.backend_agg import RendererAgg
    from matplotlib.path import Path as Outline
    from matplotlib.transforms import IdentityTransform

    renderer = RendererAgg(SHEET * SIDE, SHEET * SIDE, 72)  # at 72 dpi a point is a pixel
    pen, still = renderer.new_gc(), IdentityTransform()
    ink = (1.0, 1.0, 1.0)
    pen.set_foreground(ink)
    pen.set_joinstyle("round")
    pen.set_snap(False)
    for place, label in enumerate(labels):
        alphabet = ascii_uppercase if rng.random() < 0.5 else ascii_lowercase
        vertices, codes = _outline(FACES[rng.integers(len(FACES))], alphabet[label])
        vertices = _vary(vertices, rng)
        stroke = rng.uniform(0.0, 2.2)  # pixels that the outline's own line adds to the strokes
        low, high = vertices.min(axis=0), vertices.max(axis=0)
        centre = SIDE * (np.array(divmod(place, SHEET)[::-1]) + 0.5) + rng.uniform(-1.0, 1.0, 2)
        vertices = (vertices - (low + high) / 2) * ((INNER - stroke) / (high - low).max()) + centre
        pen.set_linewidth(stroke)
        renderer.draw_path(pen, Outline(vertices, codes), still, ink)
    sheet = np.asarray(renderer.buffer_rgba())[::-1, :, 3]  # Agg draws with y upwards, row 0 at the top
    squares = sheet.reshape(SHEET, SIDE, SHEET, SIDE).swapaxes(1, 2).reshape(-1, SIDE, SIDE)
    return squares[: len(labels), ::-1]
