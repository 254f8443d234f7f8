"""docs/browser.html: the network in the package, run by Chromium."""

import os
import shutil
import threading
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import numpy as np
import pytest
from playwright.sync_api import expect
from test_page import write

from lettergpu.interop.onnx import export
from lettergpu.training import checkpoint

PAGE = Path(__file__).parents[2] / "docs" / "browser.html"
GIVEN = "seen => [...seen.getContext('2d').getImageData(0, 0, 28, 28).data].filter((value, i) => i % 4 === 0)"


class Quiet(SimpleHTTPRequestHandler):
    def log_message(self, *words):
        pass


@pytest.fixture
def port(tmp_path):
    """Where a server hands out the page, with what its comment says that it needs beside it."""
    if not (named := os.environ.get("LETTERGPU_ORT_WEB")):
        pytest.skip("LETTERGPU_ORT_WEB names no folder in which was said: npm install onnxruntime-web")
    shutil.copy(PAGE, tmp_path)
    export(checkpoint.read(checkpoint.BOXED), tmp_path / "boxed.onnx")
    (tmp_path / "node_modules").symlink_to(Path(named).resolve() / "node_modules")
    with ThreadingHTTPServer(("127.0.0.1", 0), partial(Quiet, directory=tmp_path)) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield server.server_port
        server.shutdown()
        thread.join(20)


@pytest.mark.parametrize("letter", ["A", "S"])
def test_the_browser_reads_a_letter_as_it_is_read_here(letter, port, visit):
    page = visit(port, "browser.html")
    expect(page.locator("#said")).to_have_text("The network is here.", timeout=60_000)
    likeliest = page.locator("#likeliest")
    write(page, letter, size=0.7, left=0.2, top=0.15)
    expect(likeliest).to_have_attribute("aria-busy", "false", timeout=20_000)
    expect(page.locator("#said")).to_have_text(f"It reads {letter}.")
    image = np.uint8(page.locator("#seen").evaluate(GIVEN)).reshape(28, 28)
    assert 20 <= np.flatnonzero(image.max(axis=1) > 128).size <= 24
    network = checkpoint.load(checkpoint.BOXED)
    probabilities = dict(zip(network.classes, network.predict_proba(image[None])[0], strict=True))
    for line in likeliest.locator("li").all_text_contents():
        name, share, _ = line.split(" ")
        assert float(share) == pytest.approx(100 * probabilities[name], abs=0.06)
    page.locator("#clear").click()
    expect(likeliest.locator("li")).to_have_count(0)
