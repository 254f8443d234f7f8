"""What the study trains: the rows of the report's tables, and those that put a number on what it only says."""

import csv
from dataclasses import dataclass, field, replace
from importlib.resources import files
from typing import Any

from ..config import Config
from ..errors import LettergpuError

# The regime of the full-batch rows. The report gives the learning rate and the 500 iterations, its authors' code the
# rest: plain gradient descent, weights and biases uniform, the lowest validation loss kept, 50 iterations of patience.
FULL_BATCH = Config(
    init="report", learning_rate=0.5, momentum=0.0, batch_size=0, epochs=500, patience=50, augment="none"
)
MINI_BATCH = Config(augment="none")  # 0.1, momentum 0.9, batch 256, shuffled: the defaults but for the rotation
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
            "The three runs that the report prints: learning rate 0.1, momentum 0.9, batch 256.",
            mini_batch,
        ),
        Table(
            "momentum",
            "Momentum",
            "Faster convergence, says the report. 512-256-128, ReLU, shuffled mini-batches, 6 epochs each.",
            tuple(Row(f"Momentum_{m:g}", replace(relu, momentum=m, epochs=6, patience=0)) for m in (0.0, 0.5, 0.9)),
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
                    Row(f"Dropped_decay_{name}", replace(best.config, schedule=name, epochs=30, patience=0))
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
        config = replace(MINI_BATCH, **settings, shuffle=False, epochs=6, patience=0)
    else:
        config = replace(Config() if "rotation" in line["regime"] else MINI_BATCH, **settings)
    parts = ("train", "validation", "test")
    accuracies = {part: float(line[f"{part}_accuracy"]) for part in parts if line[f"{part}_accuracy"]}
    return Row(line["model"], config, accuracies)
