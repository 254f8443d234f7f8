"""Image files, bytes, Pillow images and arrays, all brought to one form: a page of pixels, upright and opaque."""

import io
import warnings
from dataclasses import dataclass
from functools import reduce
from pathlib import Path
from typing import IO, Any

import numpy as np
from PIL import Image, ImageOps

from ..backends.libraries import to_host
from ..errors import LettergpuError
from .filters import border_of
from .page import is_drawing

MAX_BYTES = 50_000_000  # of a file
MAX_PIXELS = 50_000_000  # as decoded: a JPEG can be at an eighth of its size
HEIC = (b"heic", b"heix", b"heim", b"heis", b"hevc", b"mif1", b"msf1")  # brands of such a file, after "ftyp"
FORMATS = ("PNG", "JPEG", "WEBP", "BMP", "TIFF", "GIF")
ORIENTATION = 0x0112  # EXIF's tag
FRAMES = 3  # around each other that are left out at most, each of which costs a look
LONG_SIDE = 2000  # pixels of a page at most: larger pictures are reduced, letters need no more
FRAME, SPECK = 16.0, 0.005  # of 255: how even a frame is; and how much of a row or column of it may be other
FILLED, MOSTLY = 0.9, 0.5  # of each side of what is within, and of all of it, that is other than the frame
FRAMED, SOFT = 100, 0.005  # pixels of the long side at least; and of it, how far what is within runs into its frame

warnings.filterwarnings("ignore", category=Image.DecompressionBombWarning)  # MAX_PIXELS is lower, and an error


@dataclass(frozen=True)
class Page:
    """A picture as it is read.

    pixels: uint8 (height, width, 3). size: (width, height) of the original, upright, in pixels. name: for messages.
    """

    pixels: np.ndarray
    size: tuple[int, int]
    name: str

    def within(self, rows: slice, columns: slice) -> tuple["Page", tuple[int, int]]:
        """The page of these of its pixels, and its place in the original: left, top."""
        across, down = (long / seen for long, seen in zip(self.size, self.pixels.shape[1::-1], strict=True))
        left, right = round(columns.start * across), round(columns.stop * across)
        top, bottom = round(rows.start * down), round(rows.stop * down)
        return Page(self.pixels[rows, columns], (right - left, bottom - top), self.name), (left, top)


def open_page(source: str | Path | bytes | IO[bytes] | Image.Image | Any) -> Page:
    """The page in an image file (its path, content or open file), a Pillow image or an array.

    An array, NumPy's or of another library that knows DLPack, is uint8: (height, width) grey, or (height, width, 3 or
    4) RGB with or without alpha. Of several frames the first is taken; EXIF's rotation is applied; what is transparent
    becomes the opposite of what is drawn on it.
    Raises LettergpuError for what is no picture, is damaged, or is larger than MAX_BYTES or MAX_PIXELS.
    """
    name = str(source) if isinstance(source, str | Path) else "the picture"
    if hasattr(source, "__dlpack__"):
        source = to_host(source)
        if source.dtype != np.uint8 or source.ndim not in (2, 3) or source.shape[2:] not in ((), (3,), (4,)):
            raise LettergpuError(f"an array must be uint8 (height, width[, 3 or 4]), not {source.dtype} {source.shape}")
        if 0 in source.shape:
            raise LettergpuError("the picture is empty: it has no pixels")
        image = Image.fromarray(source)
    elif isinstance(source, Image.Image):
        image = source
    else:
        image = _opened(_content(source, name), name)
    size = image.size
    if max(size) > LONG_SIDE and not image.info.get("progressive"):  # such a JPEG is held whole, whatever its scale
        width, height = (max(1, side * LONG_SIDE // max(size)) for side in size)
        image.draft("RGB", (width, height))
    if image.width * image.height > MAX_PIXELS:
        raise _too_large(name, f"{image.width * image.height / 1e6:.0f}")
    try:
        return _page(image, size, name)
    except Exception as error:  # Pillow's decoders raise whatever a damaged file leads them to
        raise LettergpuError(f"{name} is damaged: {_reason(error)}") from error


def _content(source: str | Path | bytes | IO[bytes], name: str) -> bytes:
    if isinstance(source, bytes | bytearray | memoryview):
        content = bytes(source)
    else:
        try:
            if isinstance(source, str | Path):
                with open(source, "rb") as file:
                    content = file.read(MAX_BYTES + 1)
            else:
                content = source.read(MAX_BYTES + 1)
        except FileNotFoundError:
            raise LettergpuError(f"{name}: there is no such file") from None
        except OSError as error:
            raise LettergpuError(f"{name} cannot be read: {error.strerror}") from error
    if not content:
        raise LettergpuError(f"{name} is empty: it has no bytes")
    if len(content) > MAX_BYTES:
        raise LettergpuError(f"{name} is larger than {MAX_BYTES // 10**6} MB: make it smaller, or save it as JPEG")
    return content


def _opened(content: bytes, name: str) -> Image.Image:
    if content.startswith(b"%PDF"):
        raise LettergpuError(f"{name} is a PDF: give a picture of a page, as pdftoppm -png -r 200 FILE page makes it")
    heic = content[4:8] == b"ftyp" and content[8:12] in HEIC
    if heic:
        try:
            import pillow_heif
        except ImportError:
            raise LettergpuError(
                f"{name} is a HEIC picture, which needs pillow-heif (pip install 'lettergpu[heic]'); or save it as JPEG"
            ) from None
        pillow_heif.register_heif_opener()
    try:
        return Image.open(io.BytesIO(content), formats=["HEIF"] if heic else FORMATS)
    except Image.DecompressionBombError as error:
        raise _too_large(name, "too many") from error
    except Exception as error:  # Pillow's headers, as its decoders
        raise LettergpuError(f"{name} is no image that can be read: give {', '.join(FORMATS)}") from error


def _too_large(name: str, megapixels: str) -> LettergpuError:
    return LettergpuError(
        f"{name} has {megapixels} megapixels: at most {MAX_PIXELS // 10**6} are read, make it smaller"
    )


def _reason(error: Exception) -> str:
    return (str(error).strip() or type(error).__name__).splitlines()[0]


def _page(image: Image.Image, size: tuple[int, int], name: str) -> Page:
    width, height = size
    turned = ImageOps.exif_transpose(image) if image.getexif().get(ORIENTATION, 1) != 1 else image
    if (turned.width > turned.height) != (image.width > image.height):
        width, height = height, width
    highest = 65535.0 if image.mode.startswith("I;16") else None
    return Page(np.asarray(_opaque(_eight_bits(_reduced(turned), highest))), (width, height), name)


def _reduced(image: Image.Image) -> Image.Image:
    """The picture, its long side no longer than LONG_SIDE: first of all, as whatever follows makes copies of it."""
    if max(image.size) <= LONG_SIDE:
        return image
    if image.mode.startswith("I;16"):
        image = image.convert("I")
    elif image.mode in ("1", "P", "PA") or "transparency" in image.info:  # no means of colours are colours, there
        image = image.convert("RGBA" if "transparency" in image.info or image.mode == "PA" else "RGB")
    size = [max(1, round(side * LONG_SIDE / max(image.size))) for side in image.size]
    return image.resize(size, Image.Resampling.BOX)


def _eight_bits(image: Image.Image, highest: float | None) -> Image.Image:
    """Modes of 16 and 32 bits a pixel as 8 bits, which Pillow's own conversion would cut off at 255.

    highest: what is white; None: the largest value there is, and the smallest black.
    """
    if image.mode not in ("I", "F") and not image.mode.startswith("I;16"):
        return image
    values = np.nan_to_num(np.asarray(image, np.float64), posinf=0.0, neginf=0.0)
    low, high = (0.0, highest) if highest else (values.min(), values.max())
    return Image.fromarray(np.uint8(np.clip((values - low) / max(high - low, 1e-9), 0.0, 1.0) * 255))


def _opaque(image: Image.Image) -> Image.Image:
    if "A" not in image.mode and "a" not in image.mode and "transparency" not in image.info:
        return image.convert("RGB")
    image = image.convert("RGBA")
    levels, alpha = np.asarray(image.convert("L"), np.float32), np.asarray(image)[..., 3]
    drawn = float(np.average(levels, weights=alpha)) if alpha.any() else 0.0
    paper = Image.new("RGBA", image.size, "black" if drawn > 127 else "white")
    return Image.alpha_composite(paper, image).convert("RGB")


def as_grey(pixels: np.ndarray) -> Any:
    """Luma, uint8 (height, width), of RGB pixels."""
    return np.asarray(Image.fromarray(pixels).convert("L"))


def unframed(page: Page) -> tuple[Page, int, int]:
    """The page without the frames around it, and its place in the original: left, top."""
    left = above = 0
    for _ in range(FRAMES):
        if not (box := within_frame(page.pixels)):
            break
        page, (right, down) = page.within(*box)
        left, above = left + right, above + down
    return page, left, above


def within_frame(pixels: np.ndarray) -> tuple[slice, slice] | None:
    """The rows and columns of a picture (height, width, 3) that are within an even frame; None if there is none.

    White around a photo on a page, or black around a film's picture: on its sides all is other than the frame, where
    around writing there is paper. What has but one colour more may be a letter as square as a frame.
    """
    if max(pixels.shape) < FRAMED or is_drawing(pixels):
        return None
    ring = border_of(pixels).astype(np.float32)
    colour = np.median(ring, axis=0)
    even = float(np.percentile(np.abs(ring - colour).max(axis=1), 99))
    if even > FRAME:
        return None
    low, high = (np.clip(colour + off, 0, 255).astype(np.uint8) for off in (-even - 2, even + 2))
    other = reduce(np.logical_or, np.moveaxis((pixels < low) | (pixels > high), 2, 0))
    rows, columns = (np.flatnonzero(other.mean(axis=axis) > SPECK) for axis in (1, 0))
    if min(len(rows), len(columns)) < FRAMED // 2:
        return None
    inner = other[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1]
    framed = rows[0] > 0, rows[-1] + 1 < len(other), columns[0] > 0, columns[-1] + 1 < other.shape[1]
    sides = inner[:3].T, inner[-3:].T, inner[:, :3], inner[:, -3:]
    filled = [side.any(axis=1).mean() for side, cut in zip(sides, framed, strict=True) if cut]
    if not filled or min(filled) < FILLED or inner.mean() < MOSTLY:
        return None
    top, bottom, left, right = (cut * max(2, round(SOFT * max(pixels.shape))) for cut in framed)
    box = np.s_[rows[0] + top : rows[-1] + 1 - bottom, columns[0] + left : columns[-1] + 1 - right]
    some = np.s_[:: 1 + len(rows) // 100, :: 1 + len(columns) // 100]
    colours = np.percentile(pixels[box][some][other[box][some]], (1, 99), axis=0)
    return box if np.ptp(colours, axis=0).max() > 2 * FRAME else None
