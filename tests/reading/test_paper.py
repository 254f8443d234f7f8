"""Paper is found on what it lies on, and what is no such picture stays as it is."""

import numpy as np
import pictures
import pytest
from PIL import Image, ImageDraw, ImageFilter
from scipy import ndimage
from test_spans import font_of

from lettergpu.errors import LettergpuError
from lettergpu.reading import ink as ink_module
from lettergpu.reading import page as page_module
from lettergpu.reading.ink import find_ink
from lettergpu.reading.page import is_drawing, on_paper
from lettergpu.reading.reader import Reader


@pytest.fixture(scope="module")
def reader():
    return Reader.of()


def written(index, paper=225, pen=40):
    """A word drawn with a pen, dark on paper with a margin, grey; and its text."""
    word = pictures.word(0, index, source="strokes")
    strokes = np.asarray(word.image.convert("L"), np.float32)
    strokes = np.abs(strokes - np.median(strokes))
    sheet = np.pad(strokes / strokes.max(), 60)
    return Image.fromarray(np.uint8(paper + (pen - paper) * sheet)), word.text


def on_table(sheet, turn=4.0, share=0.6, seed=0):
    """A sheet on dark, grainy wood, `share` of the picture's width, a shadow at its edge, slightly turned."""
    width, height = int(sheet.width / share), int(sheet.height / share)
    rng = np.random.default_rng(seed)
    grain = 45 + 18 * np.sin(np.arange(width) / 7 + rng.normal(size=(height, 1))) + rng.normal(0, 4, (height, width))
    table = Image.fromarray(np.uint8(np.clip(grain, 0, 255)))
    mask = Image.new("L", sheet.size, 255).rotate(turn, expand=True)
    turned = sheet.rotate(turn, Image.Resampling.BICUBIC, expand=True, fillcolor=225)
    place = (width - turned.width) // 2, (height - turned.height) // 2
    shadow = Image.new("L", table.size, 0)
    shadow.paste(110, (place[0] + 8, place[1] + 8, place[0] + 8 + turned.width, place[1] + 8 + turned.height))
    table.paste(15, (0, 0), shadow.filter(ImageFilter.GaussianBlur(6)))
    table.paste(turned, place, mask)
    return np.asarray(table.filter(ImageFilter.GaussianBlur(0.8)).convert("RGB"))


@pytest.mark.parametrize("index", range(4))
@pytest.mark.parametrize("share", [0.7, 0.85])
def test_a_note_on_a_table_is_read_as_without_it(index, share, reader):
    sheet, text = written(index)
    found = reader.read(on_table(sheet, share=share), form="text")
    assert found.text.replace("\n", "") == text
    left, right = min(letter.box[0] for letter in found.letters), max(letter.box[2] for letter in found.letters)
    width = sheet.width / share
    assert (width - sheet.width) / 2 < left < right < (width + sheet.width) / 2  # the boxes are the picture's


def test_what_surrounds_a_sheet_becomes_paper():
    sheet, _ = written(0)
    picture = on_table(sheet)
    page, *_ = on_paper(picture)
    assert page.shape == picture.shape
    assert page.dtype == np.uint8
    assert picture[:40].mean() < 80
    assert page[:40].mean() > 200
    middle = tuple(slice(side // 2 - 30, side // 2 + 30) for side in picture.shape[:2])
    np.testing.assert_array_equal(page[middle], picture[middle])


@pytest.mark.parametrize("side", [0.31, 0.36, 0.7])
def test_a_note_on_one_colour_is_found_however_small_it_is(side):
    note, _ = written(0)
    width = round(note.width / side)
    table = Image.new("L", (width, round(note.height / side)), 60)
    table.paste(note, ((width - note.width) // 2, round(0.4 * table.height)))
    pixels = np.asarray(table.convert("RGB"))
    assert max(pixels.shape) >= page_module.PHOTO
    assert not is_drawing(pixels)
    page, *_ = on_paper(pixels)
    assert (pixels[:9] == 60).all()
    assert page[:9].min() > 200


def test_neither_a_sheet_nor_grain_is_looked_for_in_a_drawing(monkeypatch):
    def looked_for(pixels):
        raise AssertionError("it was")

    monkeypatch.setattr(page_module, "_sheet", lambda pixels, dark: looked_for(pixels))
    monkeypatch.setattr(ink_module, "grain_of", looked_for)
    for index in range(20):
        drawing = np.asarray(pictures.letter(0, index, source="strokes").image.convert("RGB"))
        assert find_ink(on_paper(drawing)[0]).mask.any()


def striped(size, seed=0):
    """Wood whose red is as bright as paper, (height, width, 3), 0 to 255: no brightness tells it from that."""
    rng = np.random.default_rng(seed)
    height, width = size
    bend = 0.1 * np.cumsum(rng.normal(size=(height, 1)), axis=0)
    grain = 1 + 0.14 * np.sin((np.arange(width) + bend) / 9) + rng.normal(0, 0.02, (height, width))
    return np.clip(grain[..., None] * np.array([205, 130, 70]), 0, 255)


@pytest.mark.parametrize(("index", "share"), [(4, 0.35), (4, 0.6), (5, 0.6)])
def test_a_note_on_wood_is_found_by_its_colour_however_small_it_is(index, share, reader):
    sheet, text = written(index)
    page = np.asarray(sheet.convert("RGB"))
    size = int(page.shape[0] / share), int(page.shape[1] / share)
    picture = np.uint8(striped(size))
    top, left = (size[0] - page.shape[0]) // 2, (size[1] - page.shape[1]) // 3
    picture[top : top + page.shape[0], left : left + page.shape[1]] = page
    found = reader.read(np.asarray(Image.fromarray(picture).filter(ImageFilter.GaussianBlur(0.8))), form="text")
    assert found.text.replace("\n", "") == text


@pytest.mark.parametrize("table", [170, 130])
def test_a_note_on_grey_is_found_where_all_its_edge_is_seen(table):
    sheet, _ = written(0)
    wide = np.full((sheet.height * 2, int(sheet.width * 1.4), 3), table, np.uint8)
    wide[150 : 150 + sheet.height, 90 : 90 + sheet.width] = np.asarray(sheet)[..., None]
    page, *_ = on_paper(wide)
    assert page[:60].mean() > 215
    np.testing.assert_array_equal(page[200:-240, 150:-150][:100, :100], wide[200:-240, 150:-150][:100, :100])


def shadowed():
    """A sheet that fills the picture, a corner of it in a hard shadow as deep as a note on grey stands out."""
    sheet, _ = written(1)
    across, down = np.arange(sheet.width) / sheet.width, np.arange(sheet.height)[:, None] / sheet.height
    light = np.where(across + 0.3 * down < 0.55, 0.7, 1.0)
    return np.repeat(np.uint8(np.asarray(sheet) * light)[..., None], 3, axis=2)


def shaded():
    """A sheet that fills the picture, half of it in a soft shadow."""
    sheet, _ = written(1)
    light = 1 - 0.6 / (1 + np.exp(-(np.arange(sheet.width) - sheet.width / 2) / (sheet.width / 12)))
    return np.repeat(np.uint8(np.asarray(sheet) * light)[..., None], 3, axis=2)


def board():
    """Bright writing on the dark."""
    sheet, _ = written(2, paper=20, pen=240)
    return np.asarray(sheet.convert("RGB"))


@pytest.mark.parametrize(
    "picture",
    [
        np.asarray(written(0)[0].convert("RGB")),
        shaded(),
        shadowed(),
        board(),
        np.full((90, 70, 3), 128, np.uint8),
        np.random.default_rng(3).integers(0, 256, (120, 160, 3)).astype(np.uint8),
        np.zeros((1, 300, 3), np.uint8),
    ],
    ids=["page", "shadow", "hard shadow", "board", "nothing", "noise", "line"],
)
def test_other_pictures_stay_as_they_are(picture):
    assert on_paper(picture)[0] is picture


@pytest.mark.parametrize("colour", [(232, 110, 160), (235, 235, 60), (120, 230, 240)])
@pytest.mark.parametrize("indices", [(1, 4), (5, 1), (4, 5)])
def test_a_line_that_is_marked_in_colour_is_read_with_the_others(indices, colour, reader):
    """The paper beside it seems to end there."""
    (above, first), (below, second) = (written(index) for index in indices)
    page = np.full((above.height + below.height, max(above.width, below.width)), 225.0)
    page[: above.height, : above.width] = above
    page[above.height :, : below.width] = below
    photo = np.repeat(page[..., None], 3, axis=2) * np.linspace(1, 0.85, page.shape[1])[:, None]
    photo[25 : above.height - 25, 20:-20] *= np.array(colour) / 255
    photo += np.random.default_rng(0).normal(0, 2, photo.shape)
    assert reader.read(np.uint8(photo.clip(0, 255))).text.split() == [first, second]


@pytest.mark.parametrize("index", [1, 4, 5])
@pytest.mark.parametrize("dim", [0.4, 0.5, 0.6, 0.7])
def test_a_word_is_read_across_a_shadow_on_even_paper(dim, index, reader):
    """Most of the border has one colour, but for the grain, as a screen's has."""
    sheet, text = written(index, paper=236)
    across, down = np.arange(sheet.width) / sheet.width, np.arange(sheet.height)[:, None] / sheet.height
    light = ndimage.gaussian_filter(np.where(np.abs(across + 0.2 * down - 0.55) < 0.18, dim, 1.0), 5)
    photo = np.asarray(sheet) * light + np.random.default_rng(0).normal(0, 2, light.shape)
    assert reader.read(np.repeat(np.uint8(photo.clip(0, 255))[..., None], 3, axis=2)).text == text


def under_print(below):
    """A word in bold print, black, above something else, as a photo in light from the left has it; and its text."""
    bold = Image.new("L", (700, 160), 225)
    ImageDraw.Draw(bold).text((60, 40), "HEADING", 20, font_of("DejaVuSans-Bold", 80))
    page = np.full((160 + below.height, max(700, below.width)), 225.0)
    page[:160, :700] = bold
    page[160:, : below.width] = below
    page = page * np.linspace(1, 0.75, page.shape[1]) + np.random.default_rng(0).normal(0, 2, page.shape)
    return np.repeat(np.uint8(np.clip(page, 0, 255))[..., None], 3, axis=2), "HEADING"


@pytest.mark.parametrize("index", [1, 4, 5])
def test_a_pencil_is_seen_beside_bold_print(index, reader):
    sheet, text = written(index, pen=190)
    picture, heading = under_print(sheet)
    assert reader.read(picture, form="text").text.split("\n") == [heading, text]


@pytest.mark.parametrize("squares", [185, 195])
def test_a_pencil_is_seen_beside_bold_print_on_paper_with_squares(squares, reader):
    sheet, text = written(4, pen=150)
    pen = ImageDraw.Draw(sheet)
    for at in range(0, max(sheet.size), 70):
        pen.line((0, at, sheet.width, at), squares, 3)
        pen.line((at, 0, at, sheet.height), squares, 3)
    picture, heading = under_print(sheet)
    assert reader.read(picture, form="text").text.split("\n") == [heading, text]


def fold(pen):
    pen.line([(0, 60), (320, 66), (699, 62)], 195, 6)


def specks(pen):
    for x, y in np.random.default_rng(1).integers((20, 20), (660, 200), (60, 2)).tolist():
        pen.ellipse((x, y, x + 11, y + 11), 195)


def corner(pen):
    pen.polygon([(500, 249), (560, 150), (699, 120), (699, 249)], 195)  # of a shadow


def cells(pen):
    for at in range(80, 640, 50):
        pen.line((at, 60, at, 150), 190, 6)  # what is between them; the lines along them are rules


@pytest.mark.parametrize("draw", [fold, specks, corner, cells])
def test_what_is_as_weak_and_no_writing_is_no_ink_beside_bold_print(draw):
    below = Image.new("L", (700, 250), 225)
    draw(ImageDraw.Draw(below))
    found = find_ink(under_print(below)[0])
    assert found.also is None
    assert not found.mask[int(165 / found.scale) :].any()


def test_weak_ink_that_makes_no_letters_is_left_out(reader):
    sheet = Image.new("L", (700, 250), 225)
    for x in range(40, 640, 67):
        scribble = (x, 90, x + 10, 150, x + 20, 90, x + 30, 150, x + 40, 90)
        ImageDraw.Draw(sheet).line(scribble, 180, 9)
    picture, heading = under_print(sheet)
    assert find_ink(picture).also is not None
    assert reader.read(picture, form="text").text == heading


@pytest.mark.parametrize("ink", [0, 255], ids=["dark", "light"])
def test_a_letter_that_fills_its_picture_has_paper_at_the_border(ink, reader):
    image = Image.new("L", (300, 300), 255 - ink)
    pen = ImageDraw.Draw(image)
    pen.rectangle((20, 0, 64, 299), fill=ink)  # an L, cut off on three sides
    pen.rectangle((20, 255, 299, 299), fill=ink)
    mask = find_ink(np.asarray(image.convert("RGB"))).mask
    assert mask.mean() == pytest.approx(np.mean(np.asarray(image) == ink), abs=0.03)
    assert reader.read(np.asarray(image), form="single").text == "L"


@pytest.mark.parametrize(("width", "scale"), [(5, 1), (9, 1), (13, 2), (30, 4)])
def test_a_page_is_seen_as_finely_as_its_strokes_need(width, scale):
    page = np.full((500, 600, 3), 245, np.uint8)
    for left in (100, 250, 400):
        page[100:300, left : left + width] = 60
    found = find_ink(page)
    assert found.scale == scale
    assert found.stroke * scale == pytest.approx(width, abs=scale)


def test_lines_of_small_print_are_no_bars():
    """From afar they run together into one, as wide as a stroke is that is seen well enough."""
    page, font = Image.new("RGB", (1900, 760), "white"), font_of("DejaVuSans", 30)
    words = "THE QUICK BROWN FOX JUMPS OVER THE LAZY DOG WHILE FIVE WIZARDS BOX"
    for line in range(18):
        ImageDraw.Draw(page).text((20, 20 + 40 * line), words, "black", font)
    lines = Reader.of().read(page).text.split("\n")
    assert [line.replace(" ", "") for line in lines] == [words.replace(" ", "")] * 18


def test_where_neither_side_is_ink_it_is_said(monkeypatch):
    monkeypatch.setattr(ink_module.Ink, "mask", np.ones((9, 9), bool))
    assert find_ink(board()).mask.any()
    with pytest.raises(LettergpuError, match="there is no letter"):
        find_ink(np.full((90, 70, 3), 128, np.uint8))


def joined_up():
    """Two words of loops that a pen made without being lifted."""
    board = Image.new("L", (900, 300), 240)
    pen = ImageDraw.Draw(board)
    for left in (60, 480):
        along = np.linspace(0, 12 * np.pi, 400)
        points = np.column_stack([left + 8 * along + 26 * np.sin(along), 150 - 45 * np.cos(along)])
        pen.line([tuple(point) for point in points], 30, 7, joint="curve")
    return np.asarray(board.convert("RGB"))


def test_joined_up_writing_is_warned_of(reader):
    found = reader.read(joined_up(), form="text")
    assert "joined-up writing is not read" in found.warning
    assert found.table()["warning"] == found.warning
    assert reader.read(joined_up(), form="single").warning == ""
    assert reader.read(np.asarray(written(0)[0].convert("RGB")), form="text").warning == ""
