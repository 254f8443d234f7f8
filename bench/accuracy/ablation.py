"""What each piece of the default recipe brings: trainings that differ from it in one, by the validation letters.

python bench/accuracy/ablation.py [--data DIR] [--epochs 40] [--seeds 3] [--only NAME ...] [--json FILE]

DIR by default is what LETTERGPU_EMNIST names. Each row is trained once a seed; a seed draws the weights, the order, the
distortions, and which fifth of the train file is held out. accuracy: of the held-out letters after the last epoch, all
classes counting alike, as in a test file that has as many of each; its mean over seeds, and the mean and the standard
deviation of the difference from the recipe's with the same seed. The test file is not looked at. What is in the JSON
file already is not trained again.

Pieces that are not in the package are here, as what they change of it.
"""

import argparse
import json
import math
import os
import statistics
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any
from unittest.mock import patch

import numpy as np
from tqdm import tqdm

from lettergpu.config import Config
from lettergpu.data.letters import Letters, load_letters
from lettergpu.nn.layers import Dense
from lettergpu.nn.losses import LOSSES, Loss, Outcome, softmax
from lettergpu.nn.network import Network
from lettergpu.training import loop
from lettergpu.training.batches import Batches
from lettergpu.training.loop import class_weights, fit
from lettergpu.training.metrics import evaluate
from lettergpu.training.optimizers import Momentum

sys.path.append(str(Path(__file__).parents[1] / "speed"))

from rounds import RESULTS, machine  # of speed/

Piece = Callable[..., Any]  # makes a context manager within which fit() has it


def finished(network: Network) -> Network:
    """What is evaluated of a network after its last step."""
    return network


class Labels:
    """Labels (rows,) that come with something else for the loss."""

    def __init__(self, labels: np.ndarray, *rest: Any):
        self.labels, self.rest, self.shape = labels, rest, labels.shape


@contextmanager
def other_batches(change: Callable[..., Any], outcome: Callable[..., Outcome]) -> Iterator[None]:
    """Batches whose pieces are changed, and a loss that understands their Labels."""
    piece, plain = Batches.piece, LOSSES["softmax"].outcome

    def changed(batches: Batches, number: int) -> Any:
        return change(piece(batches, number))

    def loss(logits: Any, labels: Any, *rest: Any) -> Outcome:
        if isinstance(labels, Labels):
            return outcome(plain, logits, labels, *rest)
        return plain(logits, labels, *rest)

    with patch.object(Batches, "piece", changed), patch.dict(LOSSES, softmax=Loss(loss, softmax)):
        yield


def blend(share: float, one: Outcome, other: Outcome) -> Outcome:
    own, rest = np.float32(share), np.float32(1 - share)
    return Outcome(own * one.losses + rest * other.losses, one.right, own * one.gradient + rest * other.gradient)


def mixup(alpha: float) -> Any:
    """Two images are laid over each other, and the loss is that of both labels. Zhang et al. 2018, arXiv:1710.09412."""
    rng = np.random.default_rng(0)

    def change(piece: Any) -> Any:
        share, order = rng.beta(alpha, alpha), rng.permutation(len(piece.x))
        x = np.float32(share) * piece.x + np.float32(1 - share) * piece.x[order]
        return piece._replace(x=x, labels=Labels(piece.labels, piece.labels[order], share))

    def outcome(plain: Any, logits: Any, labels: Labels, *rest: Any) -> Outcome:
        others, share = labels.rest
        return blend(share, plain(logits, labels.labels, *rest), plain(logits, others, *rest))

    return other_batches(change, outcome)


def taught_by(teacher: Network, share: float = 0.8) -> Any:
    """A share of the target is what a larger network answers. Hinton, Vinyals, Dean 2015, arXiv:1503.02531."""

    def change(piece: Any) -> Any:
        return piece._replace(labels=Labels(piece.labels, softmax(teacher.forward(piece.x))))

    def outcome(plain: Any, logits: Any, labels: Labels, weights: Any, batch: int, smoothing: float = 0.0) -> Outcome:
        (aims,) = labels.rest
        p, weight = softmax(logits), weights[labels.labels]
        own = plain(logits, labels.labels, weights, batch, smoothing)
        losses = -np.sum(aims * np.log(np.maximum(p, 1e-12)), axis=1) * weight
        return blend(share, Outcome(losses, own.right, (p - aims) * (weight / batch)[:, None]), own)

    return other_batches(change, outcome)


def other_layers(change: Callable[[Dense, int, bool], Any]) -> Any:
    """Layers of which `change` makes others, in place; it is told their number, and whether it is the last."""
    make = Network._layer

    def made(network: Network, i: int, *, last: bool) -> Dense:
        layer = make(network, i, last=last)
        if network.batch_norm:  # not what it is folded to
            change(layer, i, last)
        return layer

    return patch.object(Network, "_layer", made)


def through(before: Dense, change: Callable[[Any], Any]) -> Any:
    """The layer before, which gets its gradient changed."""
    return SimpleNamespace(delta=lambda gradient, *, add: before.delta(change(gradient), add=add))


def dropout(of_pixels: float, of_nodes: float) -> Any:
    """Some of a layer's inputs are 0, and the others larger. Srivastava et al. 2014."""
    rng = np.random.default_rng(0)

    def change(layer: Dense, i: int, last: bool) -> None:
        forward, backward, rate = layer.forward, layer.backward, of_nodes if i else of_pixels
        kept = []

        def dropping(x: Any, *, keep: bool = False) -> Any:
            if keep and rate:
                kept[:] = [np.float32(1 / (1 - rate)) * (rng.random(x.shape, np.float32) >= rate)]
                x = x * kept[0]
            return forward(x, keep=keep)

        def back(delta: Any, *, add: bool = False, before: Any = None) -> Any:
            between = through(before, lambda gradient: gradient * kept[0]) if before and rate else before
            return backward(delta, add=add, before=between)

        layer.forward, layer.backward = dropping, back  # type: ignore[method-assign]

    return other_layers(change)


def residual() -> Any:
    """A layer as wide as its input adds to it. He, Zhang, Ren, Sun 2016, arXiv:1512.03385."""

    def change(layer: Dense, i: int, last: bool) -> None:
        forward, delta_of, backward = layer.forward, layer.delta, layer.backward
        kept = []

        def delta(gradient: Any, *, add: bool = False) -> Any:
            kept[:] = [gradient]
            return delta_of(gradient, add=add)

        def back(delta: Any, *, add: bool = False, before: Any = None) -> Any:
            return backward(delta, add=add, before=through(before, lambda gradient: gradient + kept[0]))

        if not last and layer.weight.shape[0] == layer.weight.shape[1]:
            layer.forward = lambda x, *, keep=False: x + forward(x, keep=keep)  # type: ignore[method-assign]
            layer.delta, layer.backward = delta, back  # type: ignore[method-assign]

    return other_layers(change)


class AdamW(Momentum):
    """Loshchilov, Hutter 2019, arXiv:1711.05101, with a decay of 0.05."""

    def step(self, parameters: Any, gradients: Any) -> None:
        if not hasattr(self, "steps"):
            self.steps, self.mean, self.square = 0, np.zeros_like(parameters), np.zeros_like(parameters)
        self.steps += 1
        self.mean += np.float32(0.1) * (gradients - self.mean)
        self.square += np.float32(0.001) * (gradients * gradients - self.square)
        parameters[: self.decayed] *= 1 - self.learning_rate * 0.05
        rate = self.learning_rate * math.sqrt(1 - 0.999**self.steps) / (1 - 0.9**self.steps)
        parameters -= np.float32(rate) * self.mean / (np.sqrt(self.square) + 1e-8)


@contextmanager
def averaged(decay: float) -> Iterator[None]:
    """The network that is evaluated is an average of those of the last steps. Polyak, Juditsky 1992."""
    made = []

    class Averaged(Momentum):
        average: Any = None

        def step(self, parameters: Any, gradients: Any) -> None:
            super().step(parameters, gradients)
            if self.average is None:
                self.average = parameters.copy()
                made.append(self)
            self.average += np.float32(1 - decay) * (parameters - self.average)

    def finished(network: Network) -> Network:
        return network.with_parameters(made[-1].average)

    with patch.object(loop, "Momentum", Averaged), patch.dict(globals(), finished=finished):
        yield


@contextmanager
def sampled() -> Iterator[None]:
    """Each class is drawn as often as the others, instead of counting for more where it is rare."""
    draw = Batches.draw

    def changed(batches: Batches, epoch: int, rates: Any) -> None:
        every = batches.rows
        of_row = np.bincount(batches.labels[every])[batches.labels[every]]
        rng = np.random.default_rng([batches.config.seed, epoch])
        batches.rows = rng.choice(every, len(every), p=1 / of_row / (1 / of_row).sum())
        draw(batches, epoch, rates)
        batches.rows = every

    with patch.object(Batches, "draw", changed):
        yield


WIDE = {"hidden": (512, 512, 512, 512)}
TEACHER = {"hidden": (1024, 512, 256)}
ROWS: dict[str, tuple[dict[str, Any], Piece]] = {
    "the recipe": ({}, nullcontext),
    "without batch normalisation, learning rate 0.1": ({"batch_norm": False, "learning_rate": 0.1}, nullcontext),
    "without moment normalisation": ({"moment_norm": False}, nullcontext),
    "without augmentation": ({"augment": "none"}, nullcontext),
    "rotation of half of the images instead of all": ({"augment": "rotate"}, nullcontext),
    "affine distortions without elastic ones": ({"augment": "affine"}, nullcontext),
    "without label smoothing": ({"label_smoothing": 0.0}, nullcontext),
    "without class weights": ({"class_weight": "none"}, nullcontext),
    "class-balanced sampling instead of weights": ({"class_weight": "none"}, sampled),
    "a constant learning rate": ({"schedule": "constant"}, nullcontext),
    "one cycle: linear instead of cosine": ({"schedule": "linear"}, nullcontext),
    "a warm-up of 5 % instead of 25": ({"warmup": 0.05}, nullcontext),
    "without Nesterov's momentum": ({"nesterov": False}, nullcontext),
    "with L2 1e-4": ({"l2": 1e-4}, nullcontext),
    "ReLU instead of TanhExp": ({"activation": "relu"}, nullcontext),
    "Swish instead of TanhExp": ({"activation": "swish"}, nullcontext),
    "Mish instead of TanhExp": ({"activation": "mish"}, nullcontext),
    "AdamW, learning rate 0.003": ({"learning_rate": 0.003}, lambda: patch.object(loop, "Momentum", AdamW)),
    "averaged weights, decay 0.999": ({}, lambda: averaged(0.999)),
    "dropout of 10 % of the pixels": ({}, lambda: dropout(0.1, 0.0)),
    "dropout of 10 % of the nodes": ({}, lambda: dropout(0.0, 0.1)),
    "mix-up, alpha 0.2": ({}, lambda: mixup(0.2)),
    "512-512-512-512": (WIDE, nullcontext),
    "512-512-512-512, residual": (WIDE, residual),
    "1024-512-256": (TEACHER, nullcontext),
    "taught by that 1024-512-256": ({}, taught_by),
    "27 views": ({"views": 27}, nullcontext),
    "an ensemble of three": ({"ensemble": 3}, nullcontext),
    "half as many letters, batches of 128": ({"validation": 0.6, "batch_size": 128}, nullcontext),
}


def accuracy(config: Config, letters: Letters, piece: Any, bar: tqdm) -> tuple[float, Network]:
    """Of the held-out letters, classes counting alike, after the last epoch; and the network."""
    with piece:
        for report in fit(config, letters, on_batch=bar.update):
            if report.epoch == config.epochs:
                network = finished(report.network.with_parameters(report.state.parameters))
    network.views = config.views
    rows, held = letters.hold_out(config.validation, config.seed)
    found = letters.train.take(held)
    right = evaluate(network, found.images, found.labels).ranks == 0
    weights = class_weights(letters.train.labels[rows], len(letters.classes), "balanced")[found.labels]
    return float((right * weights).sum() / weights.sum()), network


def table(rows: dict[str, list[float]]) -> list[str]:
    lines = ["| | accuracy | difference |", "|---|---|---|"]
    plain = rows["the recipe"]
    for name, shares in rows.items():
        line = f"| {name} | {100 * statistics.mean(shares):.2f} % |"
        apart = [100 * (share - own) for share, own in zip(shares, plain, strict=False)]
        if name != "the recipe" and len(apart) > 1:
            line += f" {statistics.mean(apart):+.2f} ± {statistics.stdev(apart):.2f}"
        lines.append(line + " |")
    return lines


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", default=os.environ.get("LETTERGPU_EMNIST", "auto"))
    parser.add_argument("--epochs", type=int, default=Config.epochs)
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument(
        "--only", nargs="*", choices=ROWS, default=list(ROWS), metavar="NAME", help="rows, by their names"
    )
    parser.add_argument("--json", type=Path, default=RESULTS / "ablation.json", metavar="FILE")
    options = parser.parse_args()
    chosen = {name: ROWS[name] for name in ROWS if name in options.only}
    letters = load_letters(options.data)
    base = replace(Config(), class_weight="balanced", epochs=options.epochs, device="cpu")
    known = json.loads(options.json.read_text()) if options.json.exists() else {"rows": {}}
    if known["rows"] and known["epochs"] != options.epochs:
        parser.error(f"{options.json} is of {known['epochs']} epochs: name another --json")
    rows: dict[str, list[float]] = known["rows"]
    images = round(len(letters.train) * (1 - base.validation)) * options.epochs
    bar = tqdm(total=images * sum(options.seeds - len(rows.get(name, [])) for name in chosen), unit_scale=True)
    with bar:
        for seed in range(options.seeds):
            networks: dict[str, Network] = {}
            for name, (changes, piece) in chosen.items():
                if len(rows.get(name, [])) > seed:
                    continue
                bar.set_description(f"{name}, seed {seed}")
                config = replace(base, seed=seed, **changes)
                if piece is taught_by:
                    teacher = networks.get("1024-512-256")
                    if not teacher:
                        teacher = accuracy(replace(config, **TEACHER), letters, nullcontext(), bar)[1]
                    within = taught_by(teacher)
                else:
                    within = piece()
                share, networks[name] = accuracy(config, letters, within, bar)
                rows.setdefault(name, []).append(share)
                content = {"benchmark": "ablation", "machine": machine(), "epochs": options.epochs, "rows": rows}
                options.json.write_text(json.dumps(content, indent=2) + "\n")
    print(*table({name: rows[name] for name in chosen if name in rows}), sep="\n")


if __name__ == "__main__":
    main()
