"""The page, used as a person would, in a headless Chromium."""

import io
import math
import re
from base64 import b64encode
from functools import partial

import numpy as np
import pytest
from PIL import Image
from playwright import sync_api as playwright
from test_web import on_paper, png, running

from lettergpu.data.letters import load_test
from lettergpu.reading.reader import Reader

expect = playwright.expect
CAMERA = ["--use-fake-device-for-media-stream", "--use-fake-ui-for-media-stream"]
STROKES = {  # of each letter, in a square from (0, 0) to (1, 1)
    "A": [[(0.05, 1), (0.5, 0), (0.95, 1)], [(0.22, 0.65), (0.78, 0.65)]],
    "E": [[(0.9, 0), (0.1, 0), (0.1, 1), (0.9, 1)], [(0.1, 0.5), (0.75, 0.5)]],
    "H": [[(0.1, 0), (0.1, 1)], [(0.9, 0), (0.9, 1)], [(0.1, 0.5), (0.9, 0.5)]],
    "L": [[(0.1, 0), (0.1, 1), (0.85, 1)]],
    "O": [[(0.5 + 0.5 * math.sin(t / 8 * math.pi), 0.5 - 0.5 * math.cos(t / 8 * math.pi)) for t in range(17)]],
    "S": [[(0.85, 0.15), (0.5, 0), (0.15, 0.15), (0.2, 0.4), (0.8, 0.6), (0.85, 0.85), (0.5, 1), (0.12, 0.85)]],
}


@pytest.fixture(scope="module")
def reader():
    return Reader.of(None)


@pytest.fixture(scope="module")
def port(reader):
    with running(reader) as port:
        yield port


@pytest.fixture
def address(port):
    return f"http://127.0.0.1:{port}/"


@pytest.fixture
def open_page(visit, port):
    """Opens the page."""
    return partial(visit, port)


@pytest.fixture
def page(open_page):
    return open_page()


def write(page, word, *, size=0.15, left=0.08, top=0.3):
    """Draw letters with the mouse, each as wide as this share of the paper."""
    box = page.locator("#paper").bounding_box()
    for letter in word:
        for stroke in STROKES[letter]:
            for i, (x, y) in enumerate(stroke):
                at = box["x"] + (left + x * 0.7 * size) * box["width"], box["y"] + top * box["height"]
                page.mouse.move(at[0], at[1] + y * size * box["width"], steps=5 if i else 1)
                if i == 0:
                    page.mouse.down()
            page.mouse.up()
        left += size


def shows(page, text):
    """Wait until the page reads this, and has no newer reading on its way."""
    found = page.locator("#text[aria-busy=true], #text button")
    expect(found).to_have_text(list(text.replace(" ", "").replace("\n", "")), timeout=20_000)


def ink(page, selector="#paper"):
    """How many points of a canvas are drawn on, after the next frame, for which the page may have left its drawing."""
    script = """async canvas => {
        await new Promise(requestAnimationFrame);
        return canvas.getContext("2d").getImageData(0, 0, canvas.width, canvas.height).data
            .filter((value, i) => i % 4 === 3 && value > 0).length;
    }"""
    return page.locator(selector).evaluate(script)


def jpeg(pixels):
    file = io.BytesIO()
    Image.fromarray(pixels).save(file, "JPEG", quality=85)
    return file.getvalue()


@pytest.fixture(scope="module")
def photo(emnist):
    """Real letters, on paper that is lit from one side and grained, as a camera would hand it over."""
    test, _ = load_test(str(emnist), "letters")
    rows = [int(np.flatnonzero(test.labels == ord(letter) - 65)[2]) for letter in "HOUSE"]
    page = np.asarray(Image.open(io.BytesIO(on_paper(test.images[rows]))), np.float32)
    light = np.linspace(1.0, 0.65, page.shape[1]) + np.random.default_rng(0).normal(0, 0.015, page.shape)
    return jpeg(np.uint8(np.clip(page * light, 0, 255))[..., None].repeat(3, 2))


@pytest.mark.parametrize("letter", ["S", "A"])
def test_a_letter_that_is_drawn_is_read_and_explained(page, reader, letter):
    expect(page.locator("#inside")).to_be_hidden()
    expect(page.locator("#nothing")).to_be_visible()
    write(page, letter, size=0.35, left=0.35, top=0.1)
    shows(page, letter)
    answers = page.locator("#answers li")
    expect(answers).to_have_count(5)
    expect(answers.first).to_have_text(re.compile(rf"^{letter}[> \d.]+%$"))
    nodes = [int(re.search(r"(\d+) nodes", text)[1]) for text in page.locator("figcaption").all_inner_texts()]
    assert nodes == list(reader.network.sizes[1:-1])
    for canvas, count in zip(page.locator("figure canvas").all(), nodes, strict=True):
        width, height = canvas.evaluate("canvas => [canvas.width, canvas.height]")
        assert 0 <= width * height - count < width  # all nodes in rows, of which the last may end early
    grey = page.locator("#seen").evaluate("c => [...c.getContext('2d').getImageData(0, 0, 28, 28).data]")
    assert max(grey[::4]) > 200  # it saw strokes
    assert sorted(grey[::4])[400] < 30  # on black
    expect(page.locator("#spoken")).to_have_text(f"It reads: {letter}")
    expect(page.locator("#trouble")).to_be_empty()


def test_a_word_and_the_keys_that_go_through_it(page):
    write(page, "HELLO")
    shows(page, "HELLO")
    chosen = page.locator("#text [aria-checked=true]")
    expect(chosen).to_have_text("O")  # where the pen was last
    chosen.focus()
    seen = []
    for key, letter in (("ArrowLeft", "L"), ("Home", "H"), ("ArrowRight", "E"), ("End", "O"), ("ArrowRight", "H")):
        page.keyboard.press(key)
        expect(chosen).to_have_text(letter)
        expect(chosen).to_be_focused()
        seen.append(page.locator("#seen").evaluate("canvas => canvas.toDataURL()"))
    assert seen[0] != seen[1] != seen[2] != seen[3]
    assert seen[1] == seen[4]
    page.locator("#text button", has_text="E").click()
    expect(chosen).to_have_text("E")
    expect(page.locator("#answers li").first).to_contain_text("E")


def test_undo_and_clear(page):
    expect(page.locator("#undo")).to_be_disabled()
    write(page, "LO", size=0.3)
    shows(page, "LO")
    page.keyboard.press("Control+z")
    shows(page, "L")
    page.locator("#clear").click()
    shows(page, "")
    expect(page.locator("#inside")).to_be_hidden()
    expect(page.locator("#clear")).to_be_disabled()
    assert ink(page) == 0
    page.locator("#undo").click()
    shows(page, "L")
    page.locator("#undo").click()
    expect(page.locator("#undo")).to_be_disabled()
    shows(page, "")


def test_a_wider_pen_draws_more(page):
    drawn = []
    for width in ("8", "48"):
        page.locator("#pen").fill(width)
        write(page, "L", size=0.4)
        expect(page.locator("#text button")).to_have_count(1)
        drawn.append(ink(page))
        page.locator("#clear").click()
        shows(page, "")
    assert drawn[1] > 2 * drawn[0] > 0


def test_a_photo_is_read_and_its_boxes_can_be_picked(page, reader, photo):
    reading = reader.read(photo)
    assert len(reading.letters) == 5
    page.locator("#file").set_input_files({"name": "photo.jpg", "mimeType": "image/jpeg", "buffer": photo})
    shows(page, reading.text)
    chosen = page.locator("#text [aria-checked=true]")
    expect(chosen).to_have_text(reading.letters[0].top[0][0])
    width, height = Image.open(io.BytesIO(photo)).size
    paper = page.locator("#paper").bounding_box()
    scale = min(paper["width"] / width, paper["height"] / height)
    for i in (3, 1):
        left, top, right, bottom = reading.letters[i].box
        x = paper["x"] + paper["width"] / 2 + ((left + right) / 2 - width / 2) * scale
        y = paper["y"] + paper["height"] / 2 + ((top + bottom) / 2 - height / 2) * scale
        page.mouse.click(x, y)
        expect(page.locator("#text button").nth(i)).to_have_attribute("aria-checked", "true")
    page.locator("#clear").click()
    shows(page, "")
    write(page, "L", size=0.3)
    shows(page, "L")


@pytest.mark.parametrize("event", ["paste", "drop"])
def test_a_picture_is_pasted_or_dropped(page, reader, photo, event):
    script = """([event, base64]) => {
        const data = new DataTransfer();
        const bytes = Uint8Array.from(atob(base64), (c) => c.charCodeAt(0));
        data.items.add(new File([bytes], "photo.jpg", { type: "image/jpeg" }));
        const made = event === "paste" ? new ClipboardEvent("paste", { clipboardData: data, bubbles: true })
            : new DragEvent("drop", { dataTransfer: data, bubbles: true, cancelable: true });
        document.body.dispatchEvent(made);
    }"""
    page.evaluate(script, [event, b64encode(photo).decode()])
    shows(page, reader.read(photo).text)


@pytest.mark.parametrize(
    ("content", "sentence"),
    [(b"no picture", "picture"), (png(np.full((80, 80), 255, np.uint8)), "no letter"), (bytes(10_000_001), "10 MB")],
)
def test_what_cannot_be_read_is_said_and_then_forgotten(page, content, sentence):
    page.locator("#file").set_input_files({"name": "a.png", "mimeType": "image/png", "buffer": content})
    trouble = page.locator("#trouble")
    expect(trouble).to_contain_text(sentence)
    assert re.fullmatch(r"[A-Z][^\n]*\.", trouble.inner_text())
    expect(page.locator("#inside")).to_be_hidden()
    page.locator("#clear").click()
    write(page, "L", size=0.3)
    shows(page, "L")
    expect(trouble).to_be_empty()


def test_a_picture_that_is_not_to_be_believed_is_read_with_a_warning(page):
    page.evaluate("""() => {
        const real = window.fetch;
        window.fetch = async (...all) => {
            const response = await real(...all);
            if (!response.ok) return response;  // half a letter may be none
            return Response.json({ ...(await response.json()), warning: "much of the ink hangs together" });
        };
    }""")
    write(page, "L", size=0.3)
    shows(page, "L")
    expect(page.locator("#trouble")).to_have_text("Much of the ink hangs together.")


def test_a_server_that_is_gone_is_said(page):
    page.route("**/predict*", lambda route: route.abort())
    write(page, "L", size=0.3)
    expect(page.locator("#trouble")).to_contain_text("is lettergpu serve still running?")


def test_one_request_at_a_time_and_the_newest_drawing_wins(open_page):
    page = open_page()
    page.evaluate("""() => {
        const real = window.fetch;
        window.flying = window.most = window.sent = 0;
        window.fetch = async (...all) => {
            window.sent += 1;
            window.most = Math.max(window.most, ++window.flying);
            await (window.gate ?? new Promise((resolve) => setTimeout(resolve, 300)));
            try { return await real(...all); } finally { window.flying -= 1; }
        };
    }""")
    write(page, "HELLO")
    shows(page, "HELLO")
    assert page.evaluate("most") == 1
    assert page.evaluate("sent") < 15
    before = page.evaluate("""() => {
        window.gate = new Promise((resolve) => { window.let = resolve; });
        return window.sent;
    }""")
    page.locator("#undo").click()  # is read again
    page.wait_for_function("before => window.sent > before", arg=before)
    expect(page.locator("#text")).to_have_attribute("aria-busy", "true")
    page.locator("#clear").click()
    page.evaluate("""() => {
        const text = document.getElementById("text");
        window.late = [];
        new MutationObserver(() => window.late.push(text.textContent)).observe(text, { childList: true });
    }""")
    write(page, "L", size=0.3)
    page.evaluate("window.let()")
    shows(page, "L")
    assert not [text for text in page.evaluate("late") if "H" in text]  # answers to what is no longer there


def test_read_as_one_letter_or_as_text(page):
    write(page, "LO", size=0.3)
    shows(page, "LO")
    page.locator("#form").select_option("single")
    expect(page.locator("#text button")).to_have_count(1)
    page.locator("#form").select_option("text")
    shows(page, "LO")


def test_all_can_be_reached_by_tab_and_the_focus_is_seen(page):
    write(page, "LO", size=0.3)
    shows(page, "LO")
    page.evaluate("document.activeElement.blur()")
    reached = []
    for _ in range(7):
        page.keyboard.press("Tab")
        element = page.evaluate_handle("document.activeElement")
        reached.append(element.get_property("id").json_value() or element.get_attribute("role"))
        assert element.evaluate("element => getComputedStyle(element).outlineStyle") != "none", reached
    assert reached == ["undo", "clear", "pen", "choose", "copy", "form", "radio"]
    page.keyboard.press("Tab")  # past all letters at once
    assert page.evaluate("document.activeElement.getAttribute('role')") != "radio"
    page.locator("#clear").focus()
    page.keyboard.press("Enter")
    shows(page, "")


def test_all_is_named_for_who_does_not_see_it(page):
    write(page, "LO", size=0.3)
    shows(page, "LO")
    tree = page.locator("body").aria_snapshot()
    for name in ('img "Paper to write on', 'radiogroup "What it reads"', 'button "Undo"', 'slider "Pen"', 'radio "L, '):
        assert name in tree
    assert re.search(r'radio "O, .+" \[checked\]', tree)
    assert page.locator("#spoken").get_attribute("aria-live") == "polite"


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [320, 1280])
def test_it_fits_and_can_be_read(open_page, scheme, width):
    page = open_page(color_scheme=scheme, viewport={"width": width, "height": 720}, device_scale_factor=2)
    write(page, "HELLO")
    shows(page, "HELLO")
    assert page.evaluate("document.documentElement.scrollWidth") <= width
    assert page.locator("#paper").evaluate("canvas => canvas.width === Math.round(2 * canvas.clientWidth)")
    script = """(name) => {
        const probe = document.body.appendChild(document.createElement("i"));
        probe.style.color = `var(--${name})`;
        return getComputedStyle(probe).color.match(/[0-9]+/g).map(Number);
    }"""
    colour = {name: page.evaluate(script, name) for name in ("ink", "quiet", "accent", "wrong", "paper", "ground")}
    for text in ("ink", "quiet", "accent", "wrong"):
        for ground in ("paper", "ground"):
            assert contrast(colour[text], colour[ground]) >= 4.5, (text, ground)
    assert (sum(colour["paper"]) < 300) == (scheme == "dark")


def contrast(one, other):
    """WCAG 2's contrast ratio of two sRGB colours."""

    def luminance(colour):
        shares = [c / 255 for c in colour]
        linear = [c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in shares]
        return float(np.dot(linear, (0.2126, 0.7152, 0.0722)))

    low, high = sorted((luminance(one), luminance(other)))
    return (high + 0.05) / (low + 0.05)


def test_a_finger_writes_and_does_not_scroll(open_page):
    page = open_page(has_touch=True, viewport={"width": 320, "height": 330})
    fingers = page.context.new_cdp_session(page)
    box = page.locator("#paper").bounding_box()
    for stroke in STROKES["L"]:
        for i, (x, y) in enumerate(reversed(stroke)):  # upwards, as one scrolls down
            at = {"x": box["x"] + box["width"] * (0.4 + 0.2 * x), "y": box["y"] + box["height"] * (0.2 + 0.6 * y)}
            fingers.send("Input.dispatchTouchEvent", {"type": "touchMove" if i else "touchStart", "touchPoints": [at]})
        fingers.send("Input.dispatchTouchEvent", {"type": "touchEnd", "touchPoints": []})
    shows(page, "L")
    assert page.evaluate("scrollY") == 0


def test_the_camera(launch, page, address):
    page.wait_for_timeout(300)
    expect(page.locator("#camera")).to_be_hidden()  # where there is none
    browser = launch(*CAMERA)
    try:
        page = browser.new_page()
        page.goto(address)
        page.locator("#camera").click()
        expect(page.locator("#video")).to_have_js_property("readyState", 4)
        with page.expect_request("**/predict*") as sent:
            page.locator("#shutter").click()
        assert sent.value.header_value("content-type") == "image/jpeg"
        expect(page.locator("#viewfinder")).to_be_hidden()
        assert page.evaluate("document.getElementById('video').srcObject") is None  # its light is off
        expect(page.locator("#board")).to_have_attribute("data-state", "picture")
    finally:
        browser.close()
