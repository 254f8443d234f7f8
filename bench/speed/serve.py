"""How long `lettergpu serve` takes to answer, and how many requests a second it answers.

python bench/speed/serve.py [--clients 1,8] [--seconds 5] [--rounds 3] [--training] [--json FILE|-]

The server runs as a process of its own, as a user would start it. Each client, a thread of this process, holds a
connection and asks again as soon as it is answered; what they take of the machine is taken from the server. They send
pictures of single letters drawn on a canvas (pictures.py) in turn, and every answer must be what `lettergpu.read` says.
A round of every number of clients comes in turn; the first one of each does not count. --training: meanwhile the page
trains, the report's shape on all built-in letters.
"""

import argparse
import http.client
import itertools
import json
import re
import statistics
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from pathlib import Path

import numpy as np
from rounds import publish

import lettergpu

sys.path.append(str(Path(__file__).parents[1] / "accuracy"))

import pictures  # of accuracy/

PICTURES = 50
TRAINING = {"hidden": [512, 256, 128], "count": 26_000, "epochs": 1000}


@contextmanager
def served() -> Iterator[tuple[int, int]]:
    """The port of a server that listens, and its process."""
    command = [sys.executable, "-m", "lettergpu", "serve", "--port", "0"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True) as server:
        try:
            assert server.stdout
            for line in server.stdout:
                if found := re.search(r"http://127\.0\.0\.1:(\d+)", line):
                    break
            else:
                raise SystemExit("the server did not start: lettergpu serve says why")
            yield int(found[1]), server.pid
        finally:
            server.terminate()


@contextmanager
def training(port: int) -> Iterator[None]:
    """A training that goes on meanwhile, whose events somebody takes."""
    connection = http.client.HTTPConnection("127.0.0.1", port)
    connection.request("POST", "/training", json.dumps(TRAINING))
    response = connection.getresponse()
    if response.status != 200:
        raise SystemExit(f"no training: {response.status} {response.read()!r}")
    for line in iter(response.readline, b""):
        if line == b"event: epoch\n":
            break
    watching = threading.Thread(target=lambda: [None for _ in iter(response.readline, b"")], daemon=True)
    watching.start()
    yield
    if not watching.is_alive():
        raise SystemExit("the training ended meanwhile")


def ask(port: int, files: list[bytes], answers: list[str], first: int, until: float) -> list[float]:
    """The milliseconds that one client's requests took."""
    connection = http.client.HTTPConnection("127.0.0.1", port)
    taken = []
    for number in itertools.count(first):
        began = time.perf_counter()
        if began > until:
            return taken
        connection.request("POST", "/predict?form=single&top=1", files[number % len(files)])
        response = connection.getresponse()
        content = response.read()
        taken.append(1e3 * (time.perf_counter() - began))
        if response.status != 200 or json.loads(content)["text"] != answers[number % len(files)]:
            raise SystemExit(f"a wrong answer: {response.status} {content!r}")
    return taken


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--clients", default="1,8", help="at a time; several numbers by commas")
    parser.add_argument("--seconds", type=float, default=5.0, help="of a round")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--training", action="store_true", help="while a network is trained on the page")
    parser.add_argument("--json", metavar="FILE|-")
    options = parser.parse_args()
    counts = [int(count) for count in options.clients.split(",")]
    composed = [pictures.letter(0, i, source="strokes") for i in range(PICTURES)]
    files = [picture.file for picture in composed]
    answers = [lettergpu.read(file, form="single").text for file in files]
    rounds: dict[int, list[dict[str, float]]] = {count: [] for count in counts}
    with ExitStack() as stack:
        port, _ = stack.enter_context(served())
        if options.training:
            stack.enter_context(training(port))
        for round_, count in itertools.product(range(options.rounds + 1), counts):
            until = time.perf_counter() + (options.seconds if round_ else 1.0)
            with ThreadPoolExecutor(count) as pool:
                asked = [pool.submit(ask, port, files, answers, 7 * client, until) for client in range(count)]
                taken = np.concatenate([each.result() for each in asked])
            if round_:
                row = {"requests_per_second": len(taken) / options.seconds, "mean_ms": float(taken.mean())}
                rounds[count].append(row | {f"p{p}_ms": float(np.percentile(taken, p)) for p in (50, 99)})
    rows = {
        str(count): {name: statistics.median(row[name] for row in found) for name in found[0]}
        for count, found in rounds.items()
    }
    table = [f"  {'clients':>8}{'requests/s':>12}{'median':>12}{'99 %':>12}"]
    for clients, row in rows.items():
        table.append(f"  {clients:>8}{row['requests_per_second']:12.0f}{row['p50_ms']:9.1f} ms{row['p99_ms']:9.1f} ms")
    sides = [max(picture.image.size) for picture in composed]
    settings = {"pictures": PICTURES, "median_long_side": statistics.median(sides)}
    settings |= {"seconds": options.seconds, "rounds": options.rounds}
    name = "serve-training" if options.training else "serve"
    publish(name, settings, table, {"rows": rows, "rounds": rounds}, options.json)


if __name__ == "__main__":
    main()
