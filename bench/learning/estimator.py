"""LetterClassifier beside scikit-learn's MLPClassifier: the same letters, the same shape, as many epochs.

python bench/learning/estimator.py [--images 10000] [--epochs 10] [--rounds 3] [--threads N] [--json FILE]

Letters are EMNIST's in the folder that LETTERGPU_EMNIST names, else the built-in ones. Both have 512-256-128 nodes and
batches of 256, and all else as it is by default; each round has a seed of its own, and what is given are medians.

  MLPClassifier      ReLU, Adam
  LetterClassifier   TanhExp, as it is
  the same, relu     with MLPClassifier's activation
  the same, letters  told that they are letters: brought to one place and size, and bent anew in each epoch
"""

import argparse
import os
import statistics
import sys
import time
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from sklearn.exceptions import ConvergenceWarning
from sklearn.neural_network import MLPClassifier

from lettergpu import LetterClassifier, load_letters
from lettergpu.data.letters import Examples

sys.path.append(str(Path(__file__).parents[1] / "speed"))

from rounds import limit_threads, medians, publish, seconds_in_turn  # of speed/

HIDDEN, BATCH = (512, 256, 128), 256


def models(epochs: int) -> dict[str, Callable[[int], Any]]:
    """What is compared, each by its seed."""

    def ours(seed: int, **settings: Any) -> LetterClassifier:
        return LetterClassifier(
            HIDDEN,
            batch_size=BATCH,
            epochs=epochs,
            device="cpu",
            random_state=seed,
            **{"activation": "tanhexp"} | settings,
        )

    return {
        "MLPClassifier": lambda seed: MLPClassifier(HIDDEN, batch_size=BATCH, max_iter=epochs, random_state=seed),
        "LetterClassifier": ours,
        "the same, relu": lambda seed: ours(seed, activation="relu"),
        "the same, letters": lambda seed: ours(seed, moment_norm=True, augment="elastic"),
    }


def race(train: Examples, test: Examples, epochs: int, rounds: int) -> tuple[dict[str, list[float]], Any]:
    """Seconds that fitting took and the share of test letters that is right, of each model in each round."""
    right: dict[str, list[float]] = {}

    def run(name: str, make: Callable[[int], Any]) -> float:
        pixels = [part.flat if "letters" in name else part.flat / np.float32(255) for part in (train, test)]
        model, began = make(len(right.setdefault(name, []))), time.perf_counter()
        model.fit(pixels[0], train.labels)
        seconds = time.perf_counter() - began
        right[name].append(float(model.score(pixels[1], test.labels)))
        return seconds

    contestants = {name: (lambda name=name, make=make: run(name, make)) for name, make in models(epochs).items()}
    seconds = seconds_in_turn(contestants, rounds)
    return seconds, {name: shares[1:] for name, shares in right.items()}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--images", type=int, default=10_000)
    parser.add_argument("--epochs", type=int, default=10)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--threads", type=int)
    parser.add_argument("--json", metavar="FILE")
    options = parser.parse_args()
    threads = limit_threads(options.threads)
    warnings.simplefilter("ignore", ConvergenceWarning)  # as many epochs as are asked for
    letters = load_letters(os.environ.get("LETTERGPU_EMNIST", "builtin"))
    rows = np.random.default_rng(0).permutation(len(letters.train))[: options.images]
    seconds, right = race(letters.train.take(rows), letters.test, options.epochs, options.rounds)
    times, shares = medians(seconds), {name: statistics.median(found) for name, found in right.items()}
    table = [f"  {'':20}{'test letters right':>20}{'seconds':>10}   (range)"]
    table += [
        f"  {name:20}{100 * shares[name]:18.2f} %{taken:10.1f}   ({min(seconds[name]):.1f} to {max(seconds[name]):.1f})"
        for name, taken in times.items()
    ]
    kind = "builtin" if letters.source == "builtin" else "emnist"
    settings = {"letters": kind, "images": len(rows), "epochs": options.epochs, "batch": BATCH, "threads": threads}
    numbers = {"seconds": times, "right": shares, "rounds": {"seconds": seconds, "right": right}}
    publish(f"estimator-t{threads}", settings, table, numbers, options.json)


if __name__ == "__main__":
    main()
