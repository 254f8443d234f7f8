"""A hand that the network in the package does not know: how much of it is learnt from a few letters, and what it costs.

python bench/learning/hand.py [--data DIR] [--hands 5] [--shots 5 3] [--old DIR|builtin] [--json FILE]

DIR by default is what LETTERGPU_EMNIST names. A hand is 26 shapes, a training letter of EMNIST each, bent strongly, of
which it writes ten, turned, sheared, stretched, shifted and bent a little, each otherwise. Of each letter the first
SHOTS are learnt, by the recipe `tune`, and the last five are read before and after it, as are EMNIST's test letters.
old: the letters that are mixed in, by default EMNIST's training letters.
"""

import argparse
import json
import os
import statistics
import sys
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
from tqdm import tqdm

import lettergpu
from lettergpu.config import Config
from lettergpu.data.letters import Examples, Letters, load_letters
from lettergpu.nn.network import Network
from lettergpu.nn.warps import moved
from lettergpu.training.distortions import draw_maps
from lettergpu.training.metrics import evaluate

sys.path.append(str(Path(__file__).parents[1] / "speed"))

from rounds import RESULTS, machine  # of speed/

WRITTEN, TESTED = 10, 5  # of each letter
SHAPE = Config(affine=(0.0, 0.0, 0.0, 0.0), elastic=(3.5, 6.0))  # how far a hand's letters are from EMNIST's
WRITING = Config(affine=(8.0, 1.0, 0.1, 0.12), elastic=(1.0, 4.0))  # and from each other


def bent(images: np.ndarray, how: Config, seed: int) -> np.ndarray:
    """Each of the images (n, 28, 28) moved in a way of its own, its ink as dark as before."""
    maps = draw_maps(np.arange(len(images)), how, seed, 1).astype(np.float32)
    found = moved(images.astype(np.float32), maps)
    return np.uint8(255 * found / np.maximum(found.max(axis=(1, 2), keepdims=True), 1.0))


def hand(letters: Examples, seed: int) -> np.ndarray:
    """What a hand writes, (26, WRITTEN, 28, 28) uint8."""
    rng = np.random.default_rng(seed)
    rows = [rng.choice(np.flatnonzero(letters.labels == label)) for label in range(26)]
    shapes = bent(letters.images[rows], SHAPE, seed)
    return bent(np.repeat(shapes, WRITTEN, axis=0), WRITING, seed + 1000).reshape(26, WRITTEN, 28, 28)


def examples(images: np.ndarray) -> Examples:
    """Images (26, n, 28, 28) with their labels."""
    return Examples(images.reshape(-1, 28, 28), np.repeat(np.arange(26), images.shape[1]))


def score(network: Network, some: Examples) -> dict[str, float]:
    """The share that is read rightly, and how far probabilities are from it, in %."""
    found = evaluate(network, some.images, some.labels).scores()
    return {name: 100 * found[name] for name in ("top1", "calibration_error")}


def lesson(
    boxed: Network, written: np.ndarray, shots: int, emnist: Letters, old: Letters, seed: int
) -> dict[str, float]:
    """What learning so many of each letter came to."""
    began = time.perf_counter()
    config = replace(Config.recipe("tune"), seed=seed)
    tuned = lettergpu.fine_tune(boxed, examples(written[:, :shots]), old=old, config=config)
    seconds, others = time.perf_counter() - began, examples(written[:, -TESTED:])
    after = score(tuned, emnist.test)
    return {
        "hand_before": score(boxed, others)["top1"],
        "hand": score(tuned, others)["top1"],
        "emnist": after["top1"],
        "calibration_error": after["calibration_error"],
        "seconds": seconds,
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", default=os.environ.get("LETTERGPU_EMNIST"), metavar="DIR")
    parser.add_argument("--hands", type=int, default=5)
    parser.add_argument("--shots", type=int, nargs="+", default=[5, 3])
    parser.add_argument("--old", metavar="DIR")
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    if not options.data:
        raise SystemExit("name EMNIST's letters with --data")
    emnist, boxed = load_letters(options.data), lettergpu.load("boxed")
    old = load_letters(options.old) if options.old else emnist
    before = score(boxed, emnist.test)
    rows = {
        shots: [
            lesson(boxed, hand(emnist.train, seed), shots, emnist, old, seed) for seed in tqdm(range(options.hands))
        ]
        for shots in options.shots
    }
    print(
        f"EMNIST's test letters before: {before['top1']:.2f} %, calibration error {before['calibration_error']:.2f} %"
    )
    print(f"{'of each':>8}{'hand before':>14}{'after':>16}{'EMNIST':>17}{'calibration':>13}{'seconds':>9}")
    for shots, found in rows.items():
        mean = {name: statistics.mean(row[name] for row in found) for name in found[0]}
        least, most = min(row["hand"] for row in found), max(row["hand"] for row in found)
        costs = [row["emnist"] - before["top1"] for row in found]
        print(
            f"{shots:8}{mean['hand_before']:12.1f} %{mean['hand']:6.1f} ({least:.0f}-{most:.0f})"
            f"{statistics.mean(costs):+9.2f} ({min(costs):+.2f})"
            f"{mean['calibration_error']:11.2f} %{mean['seconds']:9.1f}"
        )
    mixed_in = "emnist" if old is emnist else Path(old.source).name
    path = options.json or RESULTS / f"hand-{mixed_in}.json"
    path.write_text(
        json.dumps({"machine": machine(), "old": mixed_in, "before": before, "rows": rows}, indent=2) + "\n"
    )


if __name__ == "__main__":
    main()
