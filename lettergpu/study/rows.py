"""What the study trains: the rows of the report's tables, and those that put a number on what it only says."""

import csv
from dataclasses import dataclass, field, replace
from importlib.resources import files
from typing import Any

from ..config import Config
from ..errors import LettergpuError

# The regime of the full-batch rows. The report gives the learning rate and the 500 iterations, its authors' code the
# rest: plain gradient descent, weights and biases uniform, the lowest validation loss kept, 50 iterations of patience.
REPORT = Config.recipe("report")
FULL_BATCH = replace(
    REPORT, init="report", learning_rate=0.5, momentum=0.0, batch_size=0, epochs=500, patience=50, augment="none"
)
RATE = 0.1


def averaging(config: Config, momentum: float) -> Config:
    """With a velocity that averages gradients, v <- momentum v + (1 - momentum) g, and the learning rate RATE.

    That is our velocity, which adds them up, with a smaller learning rate.
    """
    return replace(config, momentum=momentum, learning_rate=round(RATE * (1 - momentum), 12))


# The regime of the mini-batch rows: learning rate 0.1, momentum 0.9, batch 256. The report does not say how its
# velocity is counted, nor how its weights began, but its run of 6 epochs does, which ended at a training loss of 0.299.
# As many steps end at 0.295 with a velocity that averages and the weights of the full-batch rows (one that adds up:
# 0.17; weights uniform within 1/sqrt(fan_in): 0.39). Swish stops after 26 epochs then, as the report's did (else 10).
MINI_BATCH = averaging(replace(REPORT, init="report", augment="none"), 0.9)
DEGREES = {"5": (5.0, 5.0), "10-15": (10.0, 15.0), "20": (20.0, 20.0), "30": (30.0, 30.0)}
BEST = "MiniBatch_tanhexp_512_256_128"  # the report's


@dataclass(frozen=True)
class Row:
    """model: its name, that of published.csv if it is there. config: what is trained. published: accuracies in %."""

    model: str
    config: Config
    published: dict[str, float] = field(default_factory=dict)


@dataclass(frozen=True)
class Table:
    """name: for --only. text: what the report says of it. compared_with: the row that the others are measured by."""

    name: str
    title: str
    text: str
    rows: tuple[Row, ...]
    compared_with: str | None = None


def published() -> list[dict[str, str]]:
    """The lines of published.csv: every accuracy that the report prints."""
    return list(csv.DictReader(files(__package__).joinpath("published.csv").read_text().splitlines()))


def tables(class_weight: str = "none", seeds: int = 3) -> list[Table]:
    """All tables. class_weight: of every row. seeds: how many times the comparison with error bars trains."""
    report = [_published_row(line) for line in published()]

    def of_depth(depth: int) -> tuple[Row, ...]:
        return tuple(row for row in report if row.config.batch_size == 0 and len(row.config.hidden) == depth)

    mini_batch = tuple(row for row in report if row.config.batch_size)
    short: dict[str, Any] = {"epochs": 6, "patience": 6}
    relu, swish, tanhexp = (replace(MINI_BATCH, activation=name) for name in ("relu", "swish", "tanhexp"))
    best = next(row for row in mini_batch if row.model == BEST)
    shuffled = next(row for row in mini_batch if "swish" in row.model)

    def turned(name: str, degrees: tuple[float, float], chance: float) -> Row:
        config = replace(tanhexp, augment="rotate", rotation_degrees=degrees, rotation_chance=chance)
        return Row(f"Rotation_{name}_chance_{chance:.0%}".replace("%", ""), config)

    deep = replace(FULL_BATCH, hidden=(512, 256, 128), activation="relu")
    made = [
        Table(
            "perceptrons",
            "Perceptrons",
            "No hidden layer; the two output losses.",
            of_depth(0),
        ),
        Table("one-hidden-layer", "One hidden layer", "Six activations at 64 nodes, four at more.", of_depth(1)),
        Table("two-hidden-layers", "Two hidden layers", "512 nodes, then 64, 128 or 256.", of_depth(2)),
        Table(
            "deeper",
            "Even deeper: 512-256-128",
            "The naive network learns nothing (above); with the maximum subtracted in the softmax and weights as "
            "Xavier or He draw them it trains. Full batch, as the tables before.",
            tuple(Row(f"Deeper_relu_512_256_128_{init}", replace(deep, init=init)) for init in ("xavier", "he")),
        ),
        Table(
            "mini-batch",
            "Mini-batches, momentum, shuffling, rotation",
            "The three runs that the report prints: batch 256, learning rate 0.1, momentum 0.9, of a velocity that "
            "averages gradients.",
            mini_batch,
        ),
        Table(
            "momentum",
            "Momentum",
            "Faster convergence, says the report, whose velocity averages gradients; the last row's adds them up, as "
            "`lettergpu train --recipe report` does. 512-256-128, ReLU, shuffled mini-batches, 6 epochs each.",
            (
                *(Row(f"Momentum_{m:g}", replace(averaging(relu, m), **short)) for m in (0.0, 0.5, 0.9)),
                Row("Momentum_0.9_added_up", replace(relu, momentum=0.9, learning_rate=RATE, **short)),
            ),
            "Momentum_0.9",
        ),
        Table(
            "shuffling",
            "Shuffling",
            "The same order every epoch might introduce some bias, says the report. 512-256-128, Swish.",
            (shuffled, Row("Shuffling_none", replace(swish, shuffle=False))),
            shuffled.model,
        ),
        Table(
            "l2",
            "L2 regularisation",
            "Cherry-picking lambda can be hard, says the report. 512-256-128, Swish, shuffled.",
            (shuffled, *(Row(f"L2_{l2:g}", replace(swish, l2=l2)) for l2 in (1e-5, 1e-4, 1e-3))),
            shuffled.model,
        ),
        Table(
            "rotation",
            "Rotation",
            "Augmentation is generally bad, but small rotations might be useful, says the report, and turns half of "
            "the images by 10 to 15 degrees. 512-256-128, TanhExp.",
            (
                Row("Rotation_none", tanhexp),
                turned("5", DEGREES["5"], 0.5),
                best,
                *(turned(name, DEGREES[name], 0.5) for name in ("20", "30")),
                *(turned("10-15", DEGREES["10-15"], chance) for chance in (0.25, 1.0)),
            ),
            "Rotation_none",
        ),
        Table(
            "activations",
            "TanhExp against the rest",
            f"512-256-128 with the rotation of the report's best run, {seeds} seeds each.",
            tuple(
                Row(f"Activation_{name}_seed_{seed}", replace(best.config, activation=name, seed=seed))
                for name in ("tanhexp", "mish", "swish", "relu", "leaky_relu")
                for seed in range(seeds)
            ),
        ),
        Table(
            "dropped",
            "Tried, and dropped by the report",
            "Deeper, wider, and a learning rate that falls (30 epochs, to a hundredth or to nothing), beside the "
            "report's best run. The report's third, multi-angle prediction, is below.",
            (
                best,
                Row("Dropped_deeper_512_256_128_64", replace(best.config, hidden=(512, 256, 128, 64))),
                Row("Dropped_wider_1024_512_256", replace(best.config, hidden=(1024, 512, 256))),
                *(
                    Row(f"Dropped_decay_{name}", replace(best.config, schedule=name, epochs=30, patience=30))
                    for name in ("step", "exponential", "cosine")
                ),
            ),
            best.model,
        ),
    ]
    return [
        replace(
            table, rows=tuple(replace(row, config=replace(row.config, class_weight=class_weight)) for row in table.rows)
        )
        for table in made
    ]


def chosen(every: list[Table], only: str | None) -> list[Table]:
    """Those tables, or that row, which --only names. Raises LettergpuError if there is none of the name."""
    if only is None:
        return every
    found = [table for table in every if table.name == only]
    found = found or [
        replace(table, rows=(row,), compared_with=None) for table in every for row in table.rows if row.model == only
    ]
    if not found:
        names = ", ".join(table.name for table in every)
        raise LettergpuError(f"--only {only}: choose a table ({names}) or a model of published.csv or study.md")
    return found[:1]


def _published_row(line: dict[str, str]) -> Row:
    hidden = tuple(int(nodes) for nodes in line["hidden"].split("-") if nodes)
    settings: dict[str, Any] = {"hidden": hidden, "loss": line["output_loss"].split("_")[0]}
    if line["activation"]:
        settings["activation"] = line["activation"]
    if line["regime"] == "full-batch":
        config = replace(FULL_BATCH, **settings)
    elif "no shuffling" in line["regime"]:
        config = replace(MINI_BATCH, **settings, shuffle=False, epochs=6, patience=6)
    else:
        config = replace(MINI_BATCH, augment="rotate" if "rotation" in line["regime"] else "none", **settings)
    parts = ("train", "validation", "test")
    accuracies = {part: float(line[f"{part}_accuracy"]) for part in parts if line[f"{part}_accuracy"]}
    return Row(line["model"], config, accuracies)
