"""Pictures: loss curves, the confusion matrix, misclassified letters, a contact sheet, what was read, a study's."""

import shutil
import textwrap
import warnings
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from matplotlib import colormaps
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Rectangle
from matplotlib.ticker import MaxNLocator

from ..data.idx import Images
from ..files import replacing
from ..nn.activations import ACTIVATIONS
from ..study import writing
from ..training.history import read_metrics
from ..training.metrics import Evaluation, confusion_matrix, most_confident_errors

if TYPE_CHECKING:
    import optuna

    from ..data.letters import Examples
    from ..nn.network import Network
    from ..reading.pictures import Page
    from ..reading.reading import Reading
    from ..study.writing import Findings
    from ..training.runs import Run

NAMED = 80  # classes that a confusion matrix has room for


def _save(figure: Figure, path: Path) -> None:
    with replacing(path) as partial:
        figure.savefig(partial, format="png", dpi=100)


def plot_loss(path: Path, rows: Sequence[dict[str, float]]) -> None:
    """Loss and accuracy by epoch, trained and held out. rows: those of metrics.csv."""
    epochs = [row["epoch"] for row in rows]
    best = min(rows, key=lambda row: row["val_loss"])
    figure = Figure(figsize=(11, 4.5), layout="constrained")
    for axes, quantity in zip(figure.subplots(1, 2), ("loss", "accuracy"), strict=True):
        axes.plot(epochs, [row[f"train_{quantity}"] for row in rows], marker=".", label="training")
        axes.plot(epochs, [row[f"val_{quantity}"] for row in rows], marker=".", label="validation")
        axes.axvline(best["epoch"], color="grey", linestyle=":", label=f"lowest validation loss: {best['epoch']:.0f}")
        axes.set(xlabel="epoch", ylabel=quantity)
        axes.xaxis.set_major_locator(MaxNLocator(integer=True))
        axes.grid(alpha=0.3)
        axes.legend()
    _save(figure, path)


def plot_comparison(path: Path, names: Sequence[str], runs: Sequence[Sequence[dict[str, float]]]) -> None:
    """Loss and accuracy of several runs by epoch. runs: the rows of metrics.csv of each."""
    figure = Figure(figsize=(11, 5 + 0.25 * len(runs)), layout="constrained")
    many = colormaps["turbo"](np.linspace(0.05, 0.95, len(runs)))
    colours = many if len(runs) > 10 else [f"C{number}" for number in range(len(runs))]
    for axes, quantity in zip(figure.subplots(1, 2), ("loss", "accuracy"), strict=True):
        for rows, colour in zip(runs, colours, strict=True):
            epochs = [row["epoch"] for row in rows]
            for part, style in (("train", "--"), ("val", "-")):
                axes.plot(epochs, [row[f"{part}_{quantity}"] for row in rows], style, marker=".", color=colour)
        axes.set(xlabel="epoch", ylabel=quantity)
        axes.xaxis.set_major_locator(MaxNLocator(integer=True))
        axes.grid(alpha=0.3)
    labels = [textwrap.fill(name, 110).replace("$", r"\$") for name in names]  # no formula
    title = "solid: validation, dashed: training"
    figure.legend([Line2D([], [], color=colour) for colour in colours], labels, title=title, loc="outside lower left")
    _save(figure, path)


def draw_run(run: "Run", test: "Examples", network: "Network", result: Evaluation) -> None:
    """The pictures of a run folder: loss.png, confusion.png and misclassified.png."""
    plot_loss(run.folder / "loss.png", run.rows)
    draw_evaluation(run.folder, test, network, result)


def draw_evaluation(folder: Path, test: "Examples", network: "Network", result: Evaluation) -> None:
    """confusion.png and misclassified.png, of a network's answers to the test letters."""
    matrix = confusion_matrix(test.labels, result.predicted, len(network.classes))
    plot_confusion(folder / "confusion.png", matrix, network.classes)
    plot_misclassified(folder / "misclassified.png", test.images, test.labels, result, network.classes)


def plot_confusion(path: Path, matrix: np.ndarray, classes: Sequence[str]) -> None:
    """A confusion matrix with its counts: rows, what it is; columns, what it was taken for.

    Of more than NAMED classes every second, third... is named, and counts are colours alone.
    """
    step = -(-len(classes) // NAMED)
    side = 3 + 0.38 * min(len(classes), NAMED)
    figure = Figure(figsize=(side + 0.6, side), layout="constrained")
    axes = figure.subplots()
    image = axes.imshow(matrix, cmap="Blues")
    figure.colorbar(image, ax=axes, shrink=0.8)
    ticks, names = range(0, len(classes), step), classes[::step]
    axes.set(xticks=ticks, yticks=ticks, xticklabels=names, yticklabels=names)
    axes.set(xlabel="Predicted label", ylabel="True label", title=f"{np.trace(matrix):,} of {matrix.sum():,} right")
    for row, column in np.argwhere(matrix) if step == 1 else ():
        colour = "white" if matrix[row, column] > matrix.max() / 2 else "black"
        axes.text(column, row, str(matrix[row, column]), ha="center", va="center", fontsize=7, color=colour)
    _save(figure, path)


def plot_misclassified(
    path: Path, images: Images, labels: np.ndarray, result: Evaluation, classes: Sequence[str], count: int = 48
) -> None:
    """The most confident errors, each with what it is, what it was taken for, and how surely."""
    wrong = most_confident_errors(labels, result, count)
    columns, rows = 8, max(1, -(-len(wrong) // 8))
    figure = Figure(figsize=(1.35 * columns, 1.55 * rows + 0.4), layout="constrained")
    figure.suptitle(f"Most confident errors: what it is → what it was taken for ({len(wrong)} shown)")
    for axes in (cells := figure.subplots(rows, columns).ravel()):
        axes.set_axis_off()
    for axes, i in zip(cells, wrong, strict=False):
        axes.imshow(images[i], cmap="gray", vmin=0, vmax=255)
        title = f"{classes[labels[i]]} → {classes[result.predicted[i]]}  {result.confidence[i]:.0%}"
        axes.set_title(title, fontsize=9)
    _save(figure, path)


def plot_preview(path: Path, images: Images, labels: np.ndarray, classes: Sequence[str], columns: int = 20) -> None:
    """A contact sheet: the first images of each class, a class a row."""
    side = images.shape[1]
    sheet = np.zeros((len(classes) * side, columns * side), np.uint8)
    for row in range(len(classes)):
        for column, image in enumerate(images[np.flatnonzero(labels == row)[:columns]]):
            sheet[row * side : (row + 1) * side, column * side : (column + 1) * side] = image
    figure = Figure(figsize=(0.45 * columns + 0.6, 0.45 * len(classes) + 0.3), layout="constrained")
    axes = figure.subplots()
    axes.imshow(sheet, cmap="gray", vmin=0, vmax=255)
    axes.set(xticks=[], yticks=[(row + 0.5) * side for row in range(len(classes))], yticklabels=classes)
    _save(figure, path)


def plot_reading(path: Path, page: "Page", reading: "Reading", most: int = 60) -> None:
    """A picture with the letters found in it, and of up to `most` what the network saw and their likeliest names."""
    letters = reading.letters[:most]
    columns = min(10, len(letters))
    rows = -(-len(letters) // columns)
    height, width = page.pixels.shape[:2]
    wide = max(6.0, 1.2 * columns)
    tall = min(wide * height / width, 9.0)
    figure = Figure(figsize=(wide, tall + 1.9 * rows), layout="constrained")
    above, below = figure.subfigures(2, 1, height_ratios=(tall, 1.9 * rows), squeeze=False)[:, 0]
    axes = above.subplots()
    axes.imshow(page.pixels, extent=(0, page.size[0], page.size[1], 0))
    axes.set_axis_off()
    for letter in reading.letters:
        left, top, right, bottom = letter.box
        axes.add_patch(Rectangle((left, top), right - left, bottom - top, fill=False, edgecolor="tab:red"))
        axes.text(left, top, letter.top[0][0], color="tab:red", va="bottom")
    cells = below.subplots(2 * rows, columns, squeeze=False, height_ratios=(1.0, 0.9) * rows)
    for axes in cells.ravel():
        axes.set_axis_off()
    for number, letter in enumerate(letters):
        row, column = divmod(number, columns)
        cells[2 * row, column].imshow(letter.seen, cmap="gray", vmin=0, vmax=255)
        bars = cells[2 * row + 1, column]
        for place, (name, probability) in enumerate(letter.top[:5]):
            bars.barh(place, probability, color="tab:blue", height=0.8)
            bars.text(-0.05, place, name, ha="right", va="center", fontsize=8)
            bars.text(probability + 0.03, place, f"{probability:.0%}", va="center", fontsize=7)
        bars.set(xlim=(-0.25, 1.35), ylim=(4.6, -0.6))
    _save(figure, path)


def plot_curves(
    path: Path, curves: Mapping[str, Sequence[dict[str, float]]], *, over_seconds: bool = False, columns: int = 4
) -> None:
    """Training and validation loss, a panel a model; or all validation losses in one panel, over seconds.

    curves: each model's rows of metrics.csv.
    """
    if over_seconds:
        figure = Figure(figsize=(8, 5), layout="constrained")
        axes = figure.subplots()
        for name, rows in curves.items():
            seconds = np.cumsum([row["seconds"] for row in rows])
            axes.plot(seconds, [row["val_loss"] for row in rows], label=name)
        axes.set(xlabel="seconds", ylabel="validation loss", xscale="log")
        axes.grid(alpha=0.3)
        axes.legend()
        return _save(figure, path)
    columns = min(columns, len(curves))
    lines = -(-len(curves) // columns)
    figure = Figure(figsize=(3.2 * columns, 2.6 * lines), layout="constrained")
    panels = np.ravel(figure.subplots(lines, columns, sharey=True))
    for axes in panels[len(curves) :]:
        axes.set_axis_off()
    for axes, (name, rows) in zip(panels, curves.items(), strict=False):
        for part, label in (("train", "training"), ("val", "validation")):
            axes.plot([row["epoch"] for row in rows], [row[f"{part}_loss"] for row in rows], label=label)
        axes.set_title(name, fontsize=8)
        axes.grid(alpha=0.3)
    later = [row["train_loss"] for rows in curves.values() for row in rows[len(rows) // 50 :]]
    panels[0].set(ylabel="loss", ylim=(0, 1.1 * max(later)))  # the first few may be many times as high
    panels[0].legend()
    return _save(figure, path)


def plot_activations(path: Path) -> None:
    """Every activation with its derivative."""
    shown = [activation for activation in ACTIVATIONS.values() if activation.name != "identity"]
    z = np.linspace(-5.0, 5.0, 501)
    figure = Figure(figsize=(13, 5.5), layout="constrained")
    panels = figure.subplots(2, -(-len(shown) // 2)).ravel()
    for axes in panels[len(shown) :]:
        axes.set_axis_off()
    for axes, activation in zip(panels, shown, strict=False):
        axes.plot(z, activation.value(z), label="g(z)")
        axes.plot(z, activation.slope(z), label="g'(z)", linestyle="--")
        axes.set(title=activation.name, ylim=(-1.5, 3))
        axes.grid(alpha=0.3)
    panels[0].legend()
    _save(figure, path)


def plot_error_bars(path: Path, scores: dict[str, list[float]], label: str) -> None:
    """Each name's scores as points, with their mean and standard deviation."""
    figure = Figure(figsize=(8, 4.5), layout="constrained")
    axes = figure.subplots()
    for place, values in enumerate(scores.values()):
        axes.plot([place] * len(values), values, "o", color="C0", alpha=0.5)
        axes.errorbar(place + 0.15, np.mean(values), np.std(values, ddof=min(1, len(values) - 1)), fmt="s", color="C1")
    axes.set(xticks=range(len(scores)), xticklabels=scores, ylabel=label)
    axes.grid(alpha=0.3)
    _save(figure, path)


def draw_study(findings: "Findings") -> None:
    """The figures that the rows which are done allow; none shows an image of a letter."""
    place = findings.place
    results = {model: found for model, found in findings.results.items() if found["iterations"]}
    runs, figures = place.folder / "runs", place.folder / "figures"
    every = {model: read_metrics(runs / model / "metrics.csv", found["iterations"]) for model, found in results.items()}
    plot_activations(figures / "activations.png")
    for table in findings.tables:
        curves = {row.model: every[row.model] for row in table.rows if row.model in every}
        if curves:
            plot_curves(figures / f"loss-{table.name}.png", curves)
    both = {name: every[name] for name in writing.AGAINST_SECONDS if name in every}
    if len(both) > 1:
        plot_curves(figures / "batch.png", both, over_seconds=True)
    if scores := writing.by_activation(results):
        plot_error_bars(figures / "seeds.png", scores, "test accuracy in %")
    for model in writing.CONFUSION:
        picture = runs / model / "confusion.png"
        if model in results and picture.is_file():
            shutil.copyfile(picture, figures / f"confusion-{model}.png")


def draw_sweep(study: "optuna.Study", folder: Path) -> None:
    """Optuna's own figures, as PNG: how the best came about, each trial's losses, which choices matter, and how."""
    import optuna.visualization.matplotlib as drawn

    pictures = {
        "history": drawn.plot_optimization_history,
        "losses": drawn.plot_intermediate_values,
        "importances": drawn.plot_param_importances,
        "choices": drawn.plot_parallel_coordinate,
    }
    for name, draw in pictures.items():
        # experimental, says Optuna; too few trials, or scikit-learn is not there to weigh them
        with warnings.catch_warnings(), suppress(ImportError, ValueError, RuntimeError):
            warnings.simplefilter("ignore")
            if figure := draw(study).get_figure(root=True):
                _save(figure, folder / f"{name}.png")
