"""Pictures of any format and mode, opened or refused."""

import io
import sys

import numpy as np
import pytest
from drawings import drawn
from PIL import Image

from lettergpu.errors import LettergpuError
from lettergpu.reading import pictures as opening
from lettergpu.reading.pictures import open_page
from lettergpu.reading.reader import Reader


@pytest.fixture(scope="module")
def reader():
    return Reader.of()


def saved(image, kind, **options):
    file = io.BytesIO()
    image.save(file, kind, **options)
    return file.getvalue()


def transparent(ink):
    return drawn(mode="RGBA", paper=(0, 0, 0, 0), ink=ink)


def heic(image):
    import pillow_heif

    file = io.BytesIO()
    pillow_heif.from_pillow(image).save(file)
    return file.getvalue()


def sixteen_bits():
    return Image.fromarray(np.asarray(drawn().convert("L"), np.uint16) * 257)


STORED = {
    **{kind: lambda kind=kind: saved(drawn(), kind) for kind in opening.FORMATS},
    "HEIC": lambda: heic(drawn()),
    "grey": lambda: saved(drawn().convert("L"), "PNG"),
    "one bit": lambda: saved(drawn().convert("1"), "PNG"),
    "palette": lambda: saved(drawn().convert("P"), "PNG"),
    "palette with transparency": lambda: saved(transparent("navy").quantize(), "PNG"),
    "CMYK": lambda: saved(drawn().convert("CMYK"), "JPEG"),
    "grey with alpha": lambda: saved(transparent("black").convert("LA"), "PNG"),
    "dark on transparent": lambda: saved(transparent("navy"), "PNG"),
    "light on transparent": lambda: saved(transparent("white"), "PNG"),
    "16 bits": lambda: saved(sixteen_bits(), "PNG"),
    "32 bits": lambda: saved(Image.fromarray(np.asarray(drawn().convert("L"), np.int32) * 1000), "TIFF"),
    "float": lambda: saved(Image.fromarray(np.asarray(drawn().convert("L"), np.float32) / 255), "TIFF"),
    "several frames": lambda: saved(drawn(), "GIF", save_all=True, append_images=[Image.new("RGB", (240, 240))]),
    "a Pillow image": drawn,
    "an open file": lambda: io.BytesIO(saved(drawn(), "PNG")),
    "a grey array": lambda: np.asarray(drawn().convert("L")),
    "an RGBA array": lambda: np.asarray(drawn().convert("RGBA")),
}


@pytest.mark.parametrize("name", STORED)
def test_however_a_picture_is_stored_it_is_read(reader, name):
    reading = reader.read(STORED[name]())
    assert reading.text == "T"
    left, top, right, bottom = reading.letters[0].box
    assert abs(left - 60) < 8
    assert abs(top - 51) < 8
    assert abs(right - 181) < 8
    assert abs(bottom - 191) < 8


def test_a_rotation_told_by_exif_is_applied():
    turned = drawn((240, 300)).rotate(90, expand=True)
    exif = turned.getexif()
    exif[0x0112] = 6
    page = open_page(saved(turned, "JPEG", exif=exif.tobytes()))
    assert page.size == (240, 300)
    assert page.pixels.shape == (300, 240, 3)
    assert np.abs(page.pixels.astype(int) - np.asarray(drawn((240, 300)))).mean() < 2


def test_a_large_picture_is_reduced_and_its_boxes_are_not(reader):
    big = drawn().resize((5040, 5040))
    page = open_page(saved(big, "JPEG"))
    assert max(page.pixels.shape) <= opening.LONG_SIDE
    left, top, right, bottom = reader.read(big).letters[0].box
    assert np.allclose((left, top, right, bottom), np.array([60, 51, 181, 191]) * 21, atol=80)


@pytest.mark.filterwarnings("ignore::PIL.Image.DecompressionBombWarning")  # as it is outside of pytest
def test_a_jpeg_of_108_megapixels_is_decoded_at_a_part_of_its_size(reader, monkeypatch):
    content = saved(drawn().convert("L").resize((12_000, 9_000), Image.Resampling.NEAREST), "JPEG")
    decoded = []
    page_of = opening._page
    monkeypatch.setattr(opening, "_page", lambda image, *rest: decoded.append(image.size) or page_of(image, *rest))
    left, top, right, bottom = reader.read(content).letters[0].box
    assert decoded[0][0] < 4_000
    assert np.allclose((left, top, right, bottom), np.array([60 * 50, 51 * 37.5, 181 * 50, 191 * 37.5]), atol=150)


@pytest.mark.parametrize("size", [(9000, 2), (3, 7000)])
def test_a_jpeg_a_few_pixels_wide_may_be_long(size, reader):
    jpeg = saved(Image.new("RGB", size, "white"), "JPEG")
    assert min(open_page(jpeg).pixels.shape[:2]) >= 1
    with pytest.raises(LettergpuError, match="no letter"):
        reader.read(jpeg)


def test_what_heic_needs_is_told(monkeypatch):
    content = heic(drawn())
    monkeypatch.setitem(sys.modules, "pillow_heif", None)
    with pytest.raises(LettergpuError, match=r"which needs pillow-heif \(pip install 'lettergpu\[heic\]'\); or save"):
        open_page(content)


WRONG = {
    "no bytes": (lambda: b"", "is empty"),
    "text": (lambda: b"hello", "is no image that can be read"),
    "an SVG": (lambda: b"<svg xmlns='http://www.w3.org/2000/svg'/>", "is no image that can be read"),
    "half a PNG": (lambda: saved(Image.effect_noise((99, 99), 50), "PNG")[:2000], "is damaged"),
    "half a JPEG": (lambda: saved(drawn(), "JPEG")[:700], "is damaged"),
    "too many bytes": (lambda: b"\x89PNG" + bytes(opening.MAX_BYTES), "larger than 50 MB"),
    "a bomb": (lambda: saved(Image.new("1", (8000, 8000)), "PNG"), "64 megapixels: at most 50"),
    "a huge bomb": (lambda: saved(Image.new("1", (20_000, 20_000)), "PNG"), "megapixels: at most 50"),
    "a PDF": (lambda: b"%PDF-1.7\n", "is a PDF: give a picture of a page"),
    "a progressive JPEG": (
        lambda: saved(Image.new("L", (8000, 8000)), "JPEG", progressive=True),
        "64 megapixels: at most 50",
    ),
    "half a HEIC": (lambda: heic(drawn())[:300], "is damaged|is no image"),
    "a pixel": (lambda: saved(Image.new("RGB", (1, 1)), "PNG"), "no letter"),
    "a row": (lambda: saved(Image.new("RGB", (500, 1)), "PNG"), "no letter"),
    "white": (lambda: saved(Image.new("RGB", (300, 200), "white"), "PNG"), "no letter"),
    "black": (lambda: saved(Image.new("L", (28, 28)), "PNG"), "no letter"),
    "all transparent": (lambda: saved(Image.new("RGBA", (99, 99)), "PNG"), "no letter"),
    "an empty array": (lambda: np.zeros((0, 5), np.uint8), "no pixels"),
    "an array of floats": (lambda: np.zeros((5, 5)), "must be uint8"),
    "no file": (lambda: "/nowhere.png", "there is no such file"),
    "a folder": (lambda: "/", "cannot be read"),
}


@pytest.mark.parametrize("form", ["auto", "single"])
@pytest.mark.parametrize("name", WRONG)
def test_what_cannot_be_read_is_told_in_a_sentence(reader, name, form):
    source, said = WRONG[name]
    with pytest.raises(LettergpuError, match=said) as caught:
        reader.read(source(), form=form)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("name", ["white", "a pixel"])
def test_the_reports_way_says_too_when_there_is_nothing(reader, name):
    with pytest.raises(LettergpuError, match="no letter"):
        reader.read(WRONG[name][0](), binarize="kmeans")


@pytest.mark.parametrize("seed", range(6))
def test_noise_of_any_kind_ends_in_letters_or_a_sentence(reader, seed):
    rng = np.random.default_rng(seed)
    height, width = rng.integers(1, 400, 2)
    noise = rng.integers(0, 256, (height, width, 3)) if seed % 2 else 200 + rng.normal(0, 2, (height, width))
    try:
        said = reader.read(noise.astype(np.uint8)).text
    except LettergpuError as error:
        said = str(error)
    assert said.isupper() or "no letter" in said


@pytest.mark.parametrize("mode", ["RGBA", "LA", "P", "I;16", "RGB", "L"])
def test_a_large_picture_of_any_mode_is_reduced_before_all_else(mode, monkeypatch):
    levels = np.zeros((4100, 20), np.uint16)
    levels[400:800] = 0xFFFF
    image = Image.fromarray(levels) if mode == "I;16" else Image.fromarray(np.uint8(levels >> 8)).convert(mode)
    if mode == "P":
        image.info["transparency"] = 7
    seen = []
    opaque = opening._opaque
    monkeypatch.setattr(opening, "_opaque", lambda image: seen.append(image.size) or opaque(image))
    page = open_page(image)
    assert seen == [(10, 2000)]
    assert page.pixels.shape == (2000, 10, 3)
    assert page.size == (20, 4100)
    assert page.pixels[293, 5].tolist() == [255] * 3
    assert page.pixels[878, 5].tolist() == [0] * 3
