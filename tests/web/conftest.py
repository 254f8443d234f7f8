"""A headless Chromium for the tests of the pages."""

import shutil

import pytest

PATH = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
QUIET = ["--headless=new", "--no-sandbox", "--disable-gpu", "--no-first-run", "--disable-sync"]
QUIET += ["--disable-background-networking", "--disable-component-update"]


@pytest.fixture(scope="module")
def launch():
    """Starts a browser, with arguments more than the usual ones."""
    if not PATH:
        pytest.skip("no Chromium is installed")
    from playwright import sync_api as playwright

    browsers = []
    with playwright.sync_playwright() as play:

        def launch(*arguments):
            browsers.append(play.chromium.launch(executable_path=PATH, args=[*QUIET, *arguments]))
            return browsers[-1]

        yield launch
        for browser in browsers:
            browser.close()


@pytest.fixture(scope="module")
def browser(launch):
    return launch()


@pytest.fixture
def visit(browser):
    """Opens a page; at the end nothing must have been fetched from elsewhere, and no script have failed."""
    opened, wrong = [], []

    def visit(port, path="", **options):
        page = browser.new_context(**options).new_page()
        address = f"http://127.0.0.1:{port}/"
        page.set_default_timeout(30_000)
        page.on("pageerror", lambda error: wrong.append(str(error)))
        page.on("console", lambda message: wrong.append(message.text) if "Content Security" in message.text else None)
        page.on("request", lambda request: None if request.url.startswith(address) else wrong.append(request.url))
        page.goto(address + path)
        opened.append(page)
        return page

    yield visit
    for page in opened:
        page.context.close()
    assert not wrong
