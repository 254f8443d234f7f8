"""Makes the README's pictures anew: the page of `lettergpu serve` reading a drawn word, a run's curves and matrix.

python docs/site/pictures.py RUN

RUN is a run folder on the built-in letters, such as `lettergpu train --data builtin --out RUN` leaves. The page is
drawn on with a mouse, in Chromium by Playwright (`pip install -e '.[test]'`), and no letter of EMNIST's is shown.
"""

import argparse
import json
import math
import re
import shutil
import subprocess
import sys
from contextlib import contextmanager
from io import BytesIO
from pathlib import Path

from PIL import Image
from playwright.sync_api import Page, expect, sync_playwright

PICTURES = Path(__file__).parents[1] / "pictures"
WORD, SIZE, LEFT, TOP = "HELLO", 0.17, 0.06, 0.3  # of the paper's width
STROKES = {  # of each letter, from (0, 0) to (1, 1)
    "H": [[(0.12, 0.02), (0.06, 0.98)], [(0.86, 0), (0.9, 1)], [(0.08, 0.55), (0.88, 0.46)]],
    "E": [[(0.86, 0.02), (0.14, 0.05), (0.1, 0.97), (0.9, 0.94)], [(0.12, 0.5), (0.72, 0.47)]],
    "L": [[(0.16, 0), (0.1, 0.97), (0.82, 0.95)]],
    "O": [[(0.5 + 0.46 * math.sin(t / 10 * math.pi), 0.5 - 0.5 * math.cos(t / 10 * math.pi)) for t in range(21)]],
}


@contextmanager
def served():
    """The address of a server of the network in the package."""
    command = [sys.executable, "-m", "lettergpu", "serve", "--port", "0"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as server:
        try:
            yield re.search(r"http://\S+", server.stdout.readline())[0]
        finally:
            server.terminate()


def write(page: Page) -> None:
    """Draw the word, each stroke a little bent."""
    box = page.locator("#paper").bounding_box()
    for number, letter in enumerate(WORD):
        low = 0.015 * math.sin(2.3 * number)
        for stroke in STROKES[letter]:
            for i, (x, y) in enumerate(stroke):
                across = LEFT + (number + 0.75 * x) * SIZE
                page.mouse.move(
                    box["x"] + across * box["width"],
                    box["y"] + TOP * box["height"] + (low + 1.15 * y * SIZE) * box["width"],
                    steps=6 if i else 1,
                )
                if i == 0:
                    page.mouse.down()
            page.mouse.up()


def read_page() -> Image.Image:
    """The page, once it has read the word."""
    with served() as address, sync_playwright() as play:
        browser = play.chromium.launch(executable_path=shutil.which("chromium"), args=["--no-sandbox"])
        options = {"viewport": {"width": 1080, "height": 644}, "device_scale_factor": 1.5, "color_scheme": "light"}
        page = browser.new_page(**options)
        page.goto(address)
        write(page)
        expect(page.locator("#text button")).to_have_text(list(WORD), timeout=20_000)
        page.locator("#text button").nth(1).click()
        expect(page.locator("#inside")).to_be_visible()
        page.mouse.move(0, 0)
        page.wait_for_timeout(1000)  # for what fades in
        return Image.open(BytesIO(page.screenshot()))


def keep(picture: Image.Image, name: str, colours: int) -> None:
    """Write a picture in few colours."""
    few = picture.convert("RGB").quantize(colours, dither=Image.Dither.NONE)
    few.save(PICTURES / name, optimize=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("run", type=Path, metavar="RUN")
    run = parser.parse_args().run
    if json.loads((run / "summary.json").read_text("utf-8"))["data"]["source"] != "builtin":
        sys.exit(f"{run}: it was trained on other letters than the built-in ones")
    keep(read_page(), "page.png", 128)
    keep(Image.open(run / "loss.png"), "loss.png", 64)
    matrix = Image.open(run / "confusion.png").convert("RGB")
    matrix.thumbnail((700, 700), Image.Resampling.LANCZOS)  # they stand side by side
    keep(matrix, "confusion.png", 256)


if __name__ == "__main__":
    main()
