"""Teaching on the page, as a person would, in a headless Chromium."""

import re

import numpy as np
import pytest
from playwright import sync_api as playwright
from test_lessons import LETTERS, teaching
from test_page import shows, write

from lettergpu.web.taught import Collection

expect = playwright.expect
SIGN = [[(0.5, 0), (0.5, 1)], [(0.05, 0.3), (0.95, 0.3)], [(0.05, 0.7), (0.95, 0.7)]]  # that is no letter


@pytest.fixture
def open_page(visit):
    """Opens the page of a port that can be taught."""

    def open_page(port, **options):
        page = visit(port, **options)
        expect(page.locator("#taught")).to_be_visible()
        return page

    return open_page


@pytest.fixture(autouse=True)
def sign(monkeypatch):
    monkeypatch.setitem(write.__globals__["STROKES"], "#", SIGN)


def drawn(page):
    """Draw the sign; what it is read as."""
    write(page, "#", size=0.3, left=0.35, top=0.15)
    expect(page.locator("#inside")).to_be_visible()
    expect(page.locator("#spoken")).to_have_text(re.compile("It reads: "))
    return page.locator("#text button").inner_text()


def is_told(page, sentence):
    expect(page.locator("#told")).to_contain_text(sentence, timeout=60_000)


def test_a_letter_is_taught_by_keyboard_read_right_and_taken_back(open_page, tmp_path):
    with teaching(tmp_path) as port:
        page = open_page(port)
        expect(page.locator("#teach")).to_be_hidden()
        expect(page.locator("#learn")).to_be_disabled()
        before = drawn(page)
        assert before != "Q"
        page.locator("#text [aria-checked=true]").focus()
        page.keyboard.press("Tab")
        expect(page.get_by_label("The chosen letter is")).to_be_focused()
        page.keyboard.type("q")
        page.keyboard.press("Enter")
        is_told(page, "Taught: this is Q.")
        expect(page.locator("#lessons li")).to_have_text(re.compile("^Q"))
        shows(page, before)
        page.locator("#learn").focus()
        page.keyboard.press("Enter")
        is_told(page, "Learnt in")
        shows(page, "Q")
        expect(page.locator("#learn")).to_be_disabled()
        with page.expect_download() as download:
            page.locator("#download").click()
        assert download.value.suggested_filename == "taught.zip"

        other = open_page(port)  # another tab
        expect(other.locator("#lessons li")).to_have_count(1)
        assert drawn(other) == "Q"
        page.get_by_role("button", name="Take back Q").click()
        is_told(page, "It reads as it did before it was taught.")
        shows(page, before)
        other.get_by_role("button", name="Take back Q").click()
        expect(other.locator("#lessons li")).to_have_count(0)
        assert not [*tmp_path.rglob("*.png")]


def test_a_late_reading_leaves_what_is_being_typed(open_page, tmp_path):
    with teaching(tmp_path) as port:
        page = open_page(port)
        write(page, "H", size=0.3, left=0.2, top=0.15)
        expect(page.locator("#spoken")).to_have_text("It reads: H")
        page.route("**/predict?*", lambda held: None)
        with page.expect_request("**/predict?*"):
            write(page, "A", size=0.3, left=0.6, top=0.15)
        page.locator("#is").fill("Q")
        expect(page.locator("#text button")).to_have_count(1)
        page.unroute("**/predict?*")  # which lets go of what was held
        shows(page, "HA")
        expect(page.locator("#is")).to_have_value("Q")
        page.locator("#text button").first.click()
        expect(page.locator("#is")).to_have_value("")


def test_a_restart_keeps_what_was_taught(open_page, tmp_path):
    with teaching(tmp_path) as port:
        page = open_page(port)
        before = drawn(page)
        for word, sentence in (("7", "7 is none of the network's letters"), ("Q", "Taught: this is Q.")):
            page.locator("#is").fill(word)
            page.get_by_role("button", name="Teach").click()
            is_told(page, sentence)
        page.locator("#learn").click()
        is_told(page, "Learnt in")
        page.context.close()
    with teaching(tmp_path) as port:
        page = open_page(port)
        expect(page.locator("#lessons li")).to_have_count(1)
        expect(page.locator("#learn")).to_be_disabled()
        assert drawn(page) == "Q" != before


def test_what_was_taught_fits_and_has_names(open_page, tmp_path):
    taught = Collection(tmp_path, LETTERS)
    for image in np.random.default_rng(0).integers(1, 256, (20, 784)).astype(np.uint8):
        taught.add(image.tobytes(), "W")
    with teaching(tmp_path) as port:
        for scheme, width in (("light", 320), ("dark", 320), ("light", 1280), ("dark", 1280)):
            page = open_page(port, color_scheme=scheme, viewport={"width": width, "height": 900})
            expect(page.locator("#lessons li")).to_have_count(20)
            drawn(page)
            assert page.evaluate("document.documentElement.scrollWidth") <= width
        tree = page.locator("body").aria_snapshot()
        for name in (
            'region "What it was taught"',
            'textbox "The chosen letter is"',
            'button "Take back W, W/0001.png"',
        ):
            assert name in tree
        assert page.locator("#told").get_attribute("role") == "status"
