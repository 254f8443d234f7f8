"""The page that trains, used as a person would, in a headless Chromium."""

import re
from contextlib import ExitStack, closing

import pytest
from playwright import sync_api as playwright
from serving import listening
from test_page import write

from lettergpu.reading.reader import Reader
from lettergpu.web.answers import answer
from lettergpu.web.app import _application
from lettergpu.web.queue import Limits
from lettergpu.web.trainings import Trainings

expect = playwright.expect


@pytest.fixture(scope="module")
def port():
    reader = Reader.of(None)
    with ExitStack() as stack:
        there = stack.enter_context(closing(Trainings(1)))
        app = _application(
            lambda image, **asked: answer(reader, image, **asked), {}, True, Limits(threads=1), None, there
        )
        yield stack.enter_context(listening(app))


@pytest.fixture
def open_page(visit, port):
    """Opens the page, with few letters chosen."""

    def open_page(**options):
        page = visit(port, "train", **options)
        expect(page.locator("#count")).not_to_be_empty()
        return page

    return open_page


def choose(page, preset=None, **values):
    if preset:
        page.get_by_label("Try").select_option(preset)
    for name, value in values.items():
        page.locator(f"#{name}").fill(str(value))


def draw(page, letter, left):
    page.locator("#paper").scroll_into_view_if_needed()
    write(page, letter, size=0.35, left=left, top=0.15)


def reaches(page, epoch, timeout=30_000):
    """Wait until so many epochs are done."""
    done = "|".join(str(number) for number in range(epoch, 100))
    expect(page.locator("#stage")).to_have_text(re.compile(rf"^(Epoch|Step) ({done}) of"), timeout=timeout)


def drawn(page, selector):
    return page.locator(selector).evaluate("canvas => canvas.toDataURL()")


def points(page, selector):
    return page.locator(selector).evaluate("line => line.getAttribute('points').split(' ').length")


def test_a_training_is_watched_stopped_and_gone_on_with(open_page):
    page = open_page()
    choose(page, count=600, epochs=60)
    draw(page, "S", left=0.35)
    page.get_by_role("button", name="Start").focus()
    page.keyboard.press("Enter")
    reaches(page, 2)
    before = drawn(page, "#weights"), drawn(page, "#confusion"), points(page, "#accuracy .now.val")
    expect(page.locator("#guesses li").first).to_have_text(re.compile("^[A-Z]$"))
    expect(page.locator("#answers li")).to_have_count(5)
    expect(page.locator("#mistakes li").first).to_have_text(re.compile(r"^[A-Z], read as [A-Z], \d+ %$"))
    reaches(page, 5)
    after = drawn(page, "#weights"), drawn(page, "#confusion"), points(page, "#accuracy .now.val")
    assert all(one != other for one, other in zip(before, after, strict=True))

    other = open_page()  # another tab
    choose(other, count=600, epochs=2)
    other.get_by_role("button", name="Start").click()
    expect(other.locator("#told")).to_contain_text("Another page of this server trains")

    page.get_by_role("button", name="Stop").click()
    expect(page.locator("#told")).to_contain_text(re.compile(r"Stopped after \d+ of 60 epochs"))
    stopped = int(re.search(r"\d+", page.locator("#told").inner_text())[0])
    page.get_by_role("button", name="Go on").click()
    reaches(page, stopped + 2)
    assert points(page, "#accuracy .now.val") > stopped  # of what was done as it was stopped nothing was heard
    draw(page, "L", left=0.6)  # drawn meanwhile: it goes on with what is there now
    reaches(page, stopped + 4)
    page.context.close()  # in the middle

    other.get_by_role("button", name="Start").click()
    expect(other.locator("#told")).to_contain_text("test letters, which it had never seen", timeout=60_000)
    expect(other.get_by_role("button", name="Go on")).to_be_disabled()


def test_two_runs_are_seen_beside_each_other(open_page):
    page = open_page()
    page.get_by_label("Show").select_option("0")
    choose(page, count=600, epochs=3)
    page.get_by_role("button", name="Start").click()
    expect(page.locator("#told")).to_contain_text("test letters", timeout=60_000)
    choose(page, "All weights zero", count=600, epochs=4)
    page.get_by_role("button", name="Start").click()
    expect(page.locator("#told")).to_contain_text("test letters", timeout=60_000)
    expect(page.locator("#legend li")).to_have_text(
        [re.compile("first weights all zero"), re.compile("how many 600"), re.compile("dashed")]
    )
    assert [points(page, f"#accuracy .{run}.val") for run in ("before", "now")] == [3, 4]
    share = page.locator("#accuracy").get_attribute("aria-label")
    assert float(re.search(r"[\d.]+ %", share)[0][:-2]) < 8
    page.get_by_label("Compare with").select_option("nothing")
    expect(page.locator("#accuracy .before")).to_have_count(0)


def test_the_reports_first_try_says_why_it_fails(open_page):
    page = open_page()
    page.get_by_label("Show").select_option("0")
    choose(page, "The report's first try: large weights")
    expect(page.locator("#activation")).to_be_disabled()
    page.get_by_role("button", name="Start").click()
    expect(page.locator("#told")).to_contain_text("infinity over infinity is no number", timeout=60_000)
    expect(page.locator("#accuracy .broken")).to_have_text("NaN")
    expect(page.locator("#confusion")).to_be_hidden()
    choose(page, "Ours, small")
    expect(page.locator("#activation")).to_be_enabled()
    choose(page, count=600, epochs=1, learning_rate=-1)
    page.get_by_role("button", name="Start").click()
    expect(page.locator("#learning_rate:invalid")).to_have_count(1)
    choose(page, hidden="90000", learning_rate=0.1)
    page.get_by_role("button", name="Start").click()
    expect(page.locator("#told")).to_contain_text("That is too much for a page")


@pytest.mark.parametrize(("scheme", "width"), [("light", 320), ("dark", 1280)])
def test_it_fits_and_has_names(open_page, scheme, width):
    page = open_page(color_scheme=scheme, viewport={"width": width, "height": 900})
    page.get_by_label("Show").select_option("0")
    choose(page, count=600, epochs=2)
    page.get_by_role("button", name="Start").click()
    expect(page.locator("#told")).to_contain_text("test letters", timeout=60_000)
    assert page.evaluate("document.documentElement.scrollWidth") <= width
    tree = page.locator("body").aria_snapshot()
    for name in (
        'region "What becomes of it"',
        'textbox "Hidden layers"',
        'combobox "First weights"',
        'progressbar "Epochs done"',
        'img "Letters read right: ',
        'img "Which letters are read as which',
        "navigation",
    ):
        assert name in tree
    page.get_by_role("link", name="Read").click()
    expect(page.locator("#pages")).to_be_visible()
    page.get_by_role("link", name="Train").click()
    expect(page.locator("#settings")).to_be_visible()
