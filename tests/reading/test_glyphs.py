"""Letters on a page: the ink, the form that EMNIST would give it, lines and words."""

import numpy as np
import pictures
import pytest
from drawings import drawn, pixels_of
from PIL import Image, ImageDraw
from scipy import ndimage

from lettergpu.data.letters import load_test
from lettergpu.reading import layout
from lettergpu.reading import reader as reader_module
from lettergpu.reading import reading as reading_module
from lettergpu.reading.ink import find_ink
from lettergpu.reading.layout import find_letters
from lettergpu.reading.normalise import all_to_emnist, as_the_report_did, to_emnist
from lettergpu.reading.pictures import open_page
from lettergpu.reading.reader import Reader
from lettergpu.reading.sheet import Piece, Sheet
from lettergpu.reading.spans import Judge


@pytest.fixture(scope="module")
def reader():
    return Reader.of()


def agreement(one, other):
    """Intersection over union."""
    return (one & other).sum() / (one | other).sum()


@pytest.mark.parametrize(("binarize", "least"), [("otsu", 0.95), ("sauvola", 0.8)])  # a pixel wider
@pytest.mark.parametrize(
    ("ink", "paper"),
    [("black", "white"), ("white", "black"), ("#c03030", "#f0e8d0"), ("#ffffff", "#205030"), ("#8080c0", "#c0c0c0")],
)
def test_ink_is_found_whatever_its_colour(ink, paper, binarize, least):
    found = find_ink(pixels_of(drawn(ink=ink, paper=paper)), binarize)
    truth = pixels_of(drawn())[:: found.scale, :: found.scale, 0] < 128
    assert agreement(found.mask, truth) > least
    assert abs(found.stroke * found.scale - 18) < 5
    assert found.share.min() >= 0
    assert found.share.max() <= 1


def test_a_shadow_is_no_ink():
    pixels = pixels_of(drawn()).astype(float) * 0.8 + 30
    shadow = np.ones((240, 240, 1))
    shadow[:, :130] = 0.55
    shadow *= np.linspace(1.0, 0.7, 240)[:, None, None]
    found = find_ink((pixels * shadow).astype(np.uint8))
    truth = pixels_of(drawn())[:: found.scale, :: found.scale, 0] < 128
    assert agreement(found.mask, truth) > 0.8


def test_a_normalised_letter_has_emnists_size_and_place():
    share = np.zeros((200, 300), np.float32)
    share[40:160, 100:112] = 1
    image = to_emnist(share, 12.0)
    rows, columns = np.flatnonzero((image >= 128).any(axis=1)), np.flatnonzero((image >= 128).any(axis=0))
    assert 22 <= rows[-1] - rows[0] + 1 <= 24
    assert rows[0] + rows[-1] == 27
    assert (columns[0] + columns[-1]) / 2 == 13.5
    assert image.dtype == np.uint8
    assert image.max() == 255


@pytest.mark.parametrize("pen", [1.0, 40.0])
def test_a_pen_unlike_emnists_is_evened_out(pen):
    share = np.zeros((300, 300), np.float32)
    half = int(pen / 2)
    share[50 : 50 + max(1, int(pen)), 50:250] = 1
    share[50:250, 149 - half : 150 + half] = 1
    image = to_emnist(share, pen)
    width = (image[18] / 255).sum()
    assert 1.0 < width < 4.6


def test_real_letters_come_back_from_large_pictures(reader, emnist):
    examples, _ = load_test(str(emnist), "letters")
    chosen = np.arange(0, len(examples.labels), 100)
    images = examples.images[chosen]
    direct = reader.network.predict_proba(images).argmax(axis=1)
    back = []
    for image in images:
        large = Image.new("L", (140, 140))
        large.paste(Image.fromarray(image).resize((112, 112), Image.Resampling.BICUBIC), (14, 14))
        ink = find_ink(pixels_of(large))
        back.append(to_emnist(ink.share, ink.stroke))
    assert (reader.network.predict_proba(np.stack(back)).argmax(axis=1) == direct).mean() > 0.93


def test_the_reports_way_step_by_step():
    image = drawn(ink=(200, 30, 30), paper=(250, 250, 250))
    seen = as_the_report_did(open_page(image).pixels)
    assert seen.shape == (28, 28)
    assert seen[7, 14] > 200
    assert seen[20, 4] == 0
    assert (seen == as_the_report_did(open_page(Image.eval(image, lambda v: 255 - v)).pixels)).mean() > 0.9


@pytest.mark.parametrize("tilt", [-8, 0, 7, 17, -23])
def test_lines_words_and_boxes(reader, tilt):
    picture = pictures.word(0, 3, source="strokes")
    word = picture.image.convert("L")
    page = Image.new("L", (word.width * 2 + 40, word.height * 2 + 40), "white")
    places = [(20, 20), (word.width + 20, 20), (20, word.height + 30)]
    for place in places:
        page.paste(word, place)
    turned = page.rotate(tilt, expand=True, fillcolor="white", resample=Image.Resampling.BICUBIC)
    reading = reader.read(turned, form="text")
    text = picture.text
    assert reading.text == f"{text} {text}\n{text}"
    angle = np.radians(tilt)
    turn = np.array([[np.cos(angle), np.sin(angle)], [-np.sin(angle), np.cos(angle)]])
    truth = [
        (np.add(place, (box[0], box[1])), np.add(place, (box[2], box[3]))) for place in places for box in picture.boxes
    ]
    for letter, (low, high) in zip(reading.letters, truth, strict=True):
        middle = turn @ ((low + high) / 2 - np.array(page.size) / 2) + np.array(turned.size) / 2
        left, top, right, bottom = letter.box
        assert np.abs(middle - ((left + right) / 2, (top + bottom) / 2)).max() < 0.2 * (high - low).max()


def test_a_dot_belongs_to_its_i_and_a_rule_to_nothing(reader):
    image = Image.new("L", (700, 260), "white")
    pen = ImageDraw.Draw(image)
    pen.line([(0, 235), (700, 235)], 0, 3)
    for x in (100, 300):
        pen.line([(x, 100), (x, 200)], 0, 14)
        pen.ellipse([x - 9, 55, x + 9, 73], 0)
    pen.line([(420, 60), (420, 200), (500, 200)], 0, 14)
    pen.point([(600, 30), (50, 120), (650, 190)], 0)
    reading = reader.read(image)
    assert len(reading.letters) == 3
    assert reading.letters[0].box[1] < 60
    assert reading.letters[0].box[3] < 210
    assert reading.letters[2].top[0][0] == "L"


@pytest.mark.parametrize("apart", [4.0, 7.0])
def test_letters_far_apart_in_a_row_are_of_one_line(apart, reader):
    image = Image.new("L", (2400, 300), "white")
    pen = ImageDraw.Draw(image)
    for number, letter in enumerate("LTL"):
        left, top = 60 + int(number * (80 + 140 * apart)), 60
        pen.line([(left + (40 if letter == "T" else 0), top), (left + (40 if letter == "T" else 0), top + 140)], 0, 14)
        across = top if letter == "T" else top + 140
        pen.line([(left, across), (left + 80, across)], 0, 14)
    assert reader.read(image, form="text").text == "LTL"


def test_parts_above_each_other_are_one_letter(reader):
    image = Image.new("L", (420, 260), "white")
    pen = ImageDraw.Draw(image)
    pen.line([(80, 50), (80, 200), (160, 200)], 0, 16)
    pen.line([(230, 58), (350, 58)], 0, 16)
    pen.line([(290, 78), (290, 208)], 0, 16)
    reading = reader.read(image)
    assert reading.text == "LT"
    assert reading.letters[1].box[1] < 55
    assert reading.letters[1].box[3] > 200


@pytest.mark.parametrize("dash", [9, 14])
@pytest.mark.parametrize("name", ["A", "H"])
def test_strokes_that_are_broken_into_dashes_are_of_one_letter(name, dash, reader):
    image, rng = Image.new("L", (800, 500), "white"), np.random.default_rng(0)
    lean = 40 if name == "A" else 0
    for start, end in (
        ((360, 330), (360 + lean, 160)),
        ((450, 330), (450 - lean, 160)),
        ((330 + lean / 2, 252), (470, 250)),
    ):
        along, at = np.subtract(end, start), 0.0
        length = np.hypot(*along)
        while at < length:
            stop = min(length, at + rng.uniform(0.3, 1.7) * dash)
            ends = np.add(start, np.outer((at, stop), along) / length)
            ImageDraw.Draw(image).line([tuple(point) for point in ends], 0, 2)
            at = stop + 3
    reading = reader.read(image)
    assert reading.text == name
    left, top, right, bottom = reading.letters[0].box
    assert left < 365
    assert top < 170
    assert right > 445
    assert bottom > 320


@pytest.mark.parametrize("tilt", [11, 22])
def test_letters_of_a_tilted_line_are_turned_upright(tilt, reader):
    picture = pictures.word(0, 5, source="strokes")
    level = picture.image.convert("L")
    level = Image.eval(level, lambda v: 255 - v) if np.asarray(level).mean() < 128 else level
    tilted = level.rotate(tilt, expand=True, fillcolor=level.getpixel((0, 0)), resample=Image.Resampling.BICUBIC)
    upright, turned = (reader.read(page).letters for page in (level, tilted))
    assert len(turned) == len(upright) == len(picture.text)
    off = [np.abs(a.image.astype(int) - b.image).mean() for a, b in zip(upright, turned, strict=True)]
    assert np.mean(off) < 15


def test_a_network_that_is_sure_of_nothing_still_gets_an_answer():
    image = Image.new("L", (200, 160), "white")
    for x in (80, 108):  # near enough to be an H without its bar
        ImageDraw.Draw(image).line([(x, 30), (x, 130)], 0, 12)
    judge = Judge(*(lambda images, n=n: np.zeros((len(images), n), np.float32) for n in (26, 2)))
    lines = find_letters(find_ink(pixels_of(image)), judge).lines
    assert sum(len(word) for line in lines for word in line) >= 1


def test_letters_that_stand_alone_on_a_sheet_are_not_cut():
    """In a word the same ink is, or with no other letter in the picture, and so is what is wider than a letter."""

    def letters(*combs):
        image = Image.new("L", (1400, 400), "white")
        pen = ImageDraw.Draw(image)
        for x, gaps in combs:
            pen.line([(x, 144), (x + 40 * gaps, 144)], 0, 8)
            for tooth in range(gaps + 1):
                pen.line([(x + 40 * tooth, 140), (x + 40 * tooth, 240)], 0, 8)

        def like(images):
            teeth = (np.diff((images[:, 20] > 99).astype(int), axis=1) > 0).sum(axis=1)
            return np.eye(2)[(teeth == 2).astype(int)]

        against = Judge(lambda images: np.eye(26)[np.zeros(len(images), int)], like)
        lines = find_letters(find_ink(pixels_of(image)), against).lines
        return sum(len(word) for line in lines for word in line)

    assert letters((600, 3)) == 2
    assert letters((200, 3), (600, 3), (1000, 3)) == 3
    assert letters((400, 3), (540, 3), (680, 3)) == 6
    assert letters((600, 7)) == 4


def test_only_so_much_of_a_page_is_cut(monkeypatch, reader):
    image = Image.new("L", (1200, 900), "white")
    for y in range(60, 900, 120):  # rows of touching arches, as a pattern has them
        for x in range(20, 1100, 50):
            ImageDraw.Draw(image).arc([x, y, x + 54, y + 100], 170, 370, 0, 6)
    asked = []
    judge = Judge(
        lambda images: asked.append(len(images)) or np.full((len(images), 26), 1 / 26),
        lambda images: np.full((len(images), 2), 0.5),
    )
    with monkeypatch.context() as patch:
        patch.setattr(layout, "LONGEST", 10.0)
        find_letters(find_ink(pixels_of(image)), judge)
    assert asked == [1] * 7  # each row hangs together over too much to be writing
    asked.clear()
    monkeypatch.setattr(layout, "WIDER", ())  # once is enough to see what is cut
    find_letters(find_ink(pixels_of(image)), judge)
    whole = sum(asked)
    monkeypatch.setattr(layout, "CUTS", 40)
    asked.clear()
    find_letters(find_ink(pixels_of(image)), judge)
    assert 7 < sum(asked) < whole / 3
    assert asked[-1] == 1


def test_a_page_of_many_letters_is_not_read_in_other_ways_too(monkeypatch, reader):
    image = pictures.word(0, 0, source="strokes").image.rotate(180)
    for name, value in {"STAYS": -10.0, "LINED": 100.0}.items():
        monkeypatch.setattr(reader_module if name == "STAYS" else reading_module, name, value)
    assert reader.read(image).turned != 0
    monkeypatch.setattr(reading_module, "MANY", 1)
    assert reader.read(image).turned == 0


def test_a_letter_of_any_size_comes_to_the_same_image():
    """Of one that is large, pixels are left out before all else."""
    share = np.zeros((2400, 2000), np.float32)
    share[200:2200, 300:500] = share[2000:2200, 300:1700] = 1.0  # an L
    small = np.asarray(Image.fromarray(share).reduce(10))
    assert np.abs(to_emnist(share, 200.0).astype(int) - to_emnist(small, 20.0)).max() <= 40


def test_letters_are_normalised_together_as_each_alone():
    shares = [np.zeros((90, 60), np.float32), np.zeros((30, 70), np.float32), np.zeros((500, 450), np.float32)]
    for number, share in enumerate(shares):
        share[10:25, 20:24] = share[12:16, 20 : 40 + number] = 0.6 + 0.2 * number
    together = all_to_emnist(shares, 4.0)
    assert together.dtype == np.uint8
    np.testing.assert_array_equal(together, [to_emnist(share, 4.0) for share in shares])


@pytest.mark.parametrize("own", [(1,), (1, 3)])
def test_a_piece_is_cut_out_with_its_soft_edge_and_nothing_of_others(own):
    rng = np.random.default_rng(60)
    share = rng.random((40, 60), np.float32)
    labels = rng.integers(1, 4, share.shape) * (rng.random(share.shape) < 0.1)
    sheet = Sheet(share, labels, 3.0, np.eye(2, 3), [], 3)
    window = slice(3, 32), slice(5, 50)  # two pixels around the piece, but for what is beyond the page
    mask = np.isin(labels[window], own)
    mask |= (labels[window] == 0) & ndimage.binary_dilation(mask, iterations=2)
    np.testing.assert_array_equal(sheet.crop(Piece(own, 7, 5, 48, 30)), np.where(mask, share[window], 0))


def test_a_thin_letter_gets_no_more_room_than_a_square_of_its_length(monkeypatch):
    """Thousands of long strokes may stand on a page."""
    made, fromarray = [], Image.fromarray
    monkeypatch.setattr(Image, "fromarray", lambda array: made.append(array.size) or fromarray(array))
    share = np.zeros((300, 20), np.float32)
    share[10:290, 8:14] = 1.0
    to_emnist(share, 6.0)
    assert made[-1] < 2 * 280**2
