"""The command line: parse, call, print. Everything heavy is imported inside the commands."""

import json
import sys
import warnings
from dataclasses import replace
from pathlib import Path
from typing import Annotated, Any

import typer

from .config import Config, option
from .data.cli import data_app
from .data.splits import SPLITS
from .errors import LettergpuError
from .images.cli import predict, serve
from .options import Data, DeviceName, SplitName, flag, setting

app = typer.Typer(
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
    help="Train fully-connected networks to recognise handwritten letters.",
)
app.command()(predict)
app.command()(serve)
app.add_typer(data_app, name="data")


TURNED = f"{Config.rotation_chance:.0%} of the images by {{:.0f}} to {{:.0f}} degrees".format(*Config.rotation_degrees)
AUGMENT = f"rotate turns {TURNED}; affine turns, shifts, stretches, shears all; elastic bends too."
VIEWS_HELP = "Looks at an image turned, sheared, scaled that the finished network averages over: 1, 3, 9, 27."
UsageError: Any = typer.BadParameter.__bases__[0]  # that of all that can be wrong with a command line


def main() -> None:
    """Run the command line; what a user can cause ends in one line and exit code 2."""
    for stream in (sys.stdout, sys.stderr):
        stream.reconfigure(errors="backslashreplace")  # type: ignore[union-attr]
    warnings.showwarning = lambda message, *_: typer.echo(f"warning: {message}", err=True)
    try:
        sys.exit(app(standalone_mode=False))
    except LettergpuError as error:
        typer.echo(f"error: {error}", err=True)
    except UsageError as error:
        typer.echo(f"error: {error.format_message()} See lettergpu --help", err=True)
    except MemoryError as error:
        from .device import shortage

        typer.echo(f"error: not enough memory: {shortage(error)}; try a smaller --batch-size or --hidden", err=True)
    except typer.Abort:
        typer.echo("stopped", err=True)
        sys.exit(130)
    sys.exit(2)


@app.command()
def train(
    data: Data = None,
    split: SplitName = None,
    device: DeviceName = None,
    precision: Annotated[
        str | None, setting("precision", "Of matrix products on a GPU; tf32 is faster and rounds to 10 bits of 23.")
    ] = None,
    hidden: Annotated[str | None, setting("hidden", "Nodes of each hidden layer; none for a perceptron.")] = None,
    activation: Annotated[str | None, setting("activation", "Of the hidden layers.")] = None,
    batch_norm: Annotated[bool | None, flag("batch_norm", "Normalise hidden nodes.")] = None,
    moment_norm: Annotated[bool | None, flag("moment_norm", "Bring letters to one place, slant and size.")] = None,
    loss: Annotated[
        str | None, setting("loss", "Output: softmax with categorical, sigmoid with binary cross-entropy.")
    ] = None,
    class_weight: Annotated[str | None, setting("class_weight", "balanced lets rare classes count for more.")] = None,
    init: Annotated[str | None, setting("init", "How weights are drawn; report draws biases too.")] = None,
    lr: Annotated[float | None, setting("learning_rate", "Learning rate.")] = None,
    schedule: Annotated[str | None, setting("schedule", "How the learning rate falls, step by step.")] = None,
    warmup: Annotated[float | None, setting("warmup", "Share of all steps over which it first rises.")] = None,
    momentum: Annotated[float | None, setting("momentum", "0 is plain gradient descent.")] = None,
    nesterov: Annotated[bool | None, flag("nesterov", "Nesterov's momentum.")] = None,
    l2: Annotated[float | None, setting("l2", "Adds l2/2 times the squared weights to the loss.")] = None,
    label_smoothing: Annotated[
        float | None, setting("label_smoothing", "Share of each target that is spread over all classes.")
    ] = None,
    batch_size: Annotated[int | None, setting("batch_size", "0 is the whole training set.")] = None,
    shuffle: Annotated[bool | None, flag("shuffle", "Each epoch in another order.")] = None,
    epochs: Annotated[int | None, setting("epochs", "At most this many.")] = None,
    patience: Annotated[
        int | None,
        setting(
            "patience", "Stop after so many epochs without a lower validation loss, and keep the lowest; 0: the last."
        ),
    ] = None,
    augment: Annotated[str | None, setting("augment", AUGMENT)] = None,
    ensemble: Annotated[
        int | None, setting("ensemble", "Networks that learn side by side and answer together.")
    ] = None,
    views: Annotated[int | None, setting("views", VIEWS_HELP)] = None,
    calibrate: Annotated[
        bool | None, flag("calibrate", "In the end, make 90 % mean 9 of 10, by the validation letters.")
    ] = None,
    validation: Annotated[
        str | None, setting("validation", "Share to hold out, or last: the train file's end, as EMNIST's authors do.")
    ] = None,
    seed: Annotated[int | None, setting("seed", "Of the split, the weights, the order and the rotations.")] = None,
    out: Annotated[
        Path | None, typer.Option(help="The run folder to make.", show_default="runs/DATE-TIME-SHAPE-ACTIVATION")
    ] = None,
    recipe: Annotated[
        Path | None, typer.Option(help="report, fast, small, best, or a TOML file such as a run's config.toml.")
    ] = None,
    resume: Annotated[Path | None, typer.Option(help="Go on with the run in this folder.")] = None,
) -> None:
    """Train a network and evaluate it. The defaults are what is best in about a minute of CPU."""
    given = {
        "data": data,
        "split": split,
        "device": device,
        "precision": precision,
        "hidden": None if hidden is None else _parse_hidden(hidden),
        "activation": activation,
        "batch_norm": batch_norm,
        "moment_norm": moment_norm,
        "loss": loss,
        "class_weight": class_weight,
        "init": init,
        "learning_rate": lr,
        "schedule": schedule,
        "warmup": warmup,
        "momentum": momentum,
        "nesterov": nesterov,
        "l2": l2,
        "label_smoothing": label_smoothing,
        "batch_size": batch_size,
        "shuffle": shuffle,
        "epochs": epochs,
        "patience": patience,
        "augment": augment,
        "ensemble": ensemble,
        "views": views,
        "calibrate": calibrate,
        "validation": None if validation is None else _parse_validation(validation),
        "seed": seed,
    }
    changes: dict[str, Any] = {name: value for name, value in given.items() if value is not None}
    if resume and (recipe or out):
        raise LettergpuError(f"--resume {resume}: it keeps its folder and settings; drop --out and --recipe")
    if resume and (fixed := changes.keys() - {"data", "device", "epochs", "patience"}):
        raise LettergpuError(f"{option(min(fixed))}: it belongs to the run and cannot be changed on --resume")

    from . import console
    from .data.letters import load_letters
    from .device import resolve
    from .runs import Run

    if resume:
        run = Run.resume(resume, changes)
        place, why = resolve(run.config.device, run.config.precision)
        letters = load_letters(run.config.data, run.config.split)
        run.go_on_with(letters)
    else:
        config = replace(Config.from_file(recipe) if recipe else Config(), **changes)
        place, why = resolve(config.device, config.precision)
        letters = load_letters(config.data, config.split)
        run = Run.create(out, replace(config, data=letters.source), letters)
    console.heading(run, letters, f"{place.name} ({why})")
    console.follow(run, letters, place)
    with console.evaluating(run.evaluations(letters)) as on_batch:
        summary = run.finish(letters, place, on_batch)
    console.scores(summary, run)


def _parse_hidden(text: str) -> tuple[int, ...]:
    if text.strip() in ("", "none"):
        return ()
    try:
        return tuple(int(part) for part in text.split(","))
    except ValueError:
        raise LettergpuError(f"--hidden {text}: give numbers of nodes such as 512,256,128, or none") from None


def _parse_validation(text: str) -> float | str:
    try:
        return float(text)
    except ValueError:
        return text


@app.command()
def evaluate(
    run: Annotated[Path, typer.Argument(help="A run folder, a .safetensors file, or boxed.", metavar="RUN_OR_FILE")],
    data: Annotated[
        str | None, typer.Option(help="auto, builtin, or a folder with EMNIST's IDX files.", show_default="the run's")
    ] = None,
    views: Annotated[int | None, typer.Option(help=VIEWS_HELP, show_default="the run's")] = None,
    first: Annotated[int | None, typer.Option(min=1, help="So many test letters, from the first on.")] = None,
    split: Annotated[str | None, typer.Option(help="Which of EMNIST's splits.", show_default="the run's")] = None,
    device: DeviceName = None,
    out: Annotated[
        Path | None,
        typer.Option(help="The folder for the pictures.", show_default="evaluation/ beside the network, or here"),
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON instead of tables.")] = False,
) -> None:
    """Test a network, or boxed, the one in the package: top-1/2/5, each class, the most confused pairs, pictures."""
    import numpy as np

    from . import checkpoint, console, runs
    from .data.letters import load_test
    from .device import resolve
    from .metrics import evaluate as evaluate_network

    found = checkpoint.read(run, resolve(device or Config.device)[0])
    split = split or found.config.split
    test, description = load_test(data or found.config.data, split)
    if found.network.classes != SPLITS[split].classes:
        raise LettergpuError(f"--split {split}: {run} was trained for other classes, those of {found.config.split}")
    test = test.take(np.arange(len(test))[:first])
    if views is not None:
        found.network.views = replace(found.config, views=views).views
    with console.evaluating(len(test)) as on_batch:
        result = evaluate_network(found.network, test.images, test.labels, on_batch)
    folder = out or (run if run.is_dir() else run.parent) / "evaluation"  # that of boxed is the current one
    table = {"data": description} | runs.evaluation_table(found.network, test, result) | {"pictures": str(folder)}
    if as_json:
        typer.echo(json.dumps(table, indent=2))
    else:
        console.evaluation(table)
    runs.draw_evaluation(folder, found.network, test, result)


@app.command()
def bench(
    device: Annotated[str | None, typer.Option(help="auto, cpu, cuda or cuda:N.", show_default="all usable")] = None,
    activation: Annotated[str | None, setting("activation", "Of the hidden layers.")] = None,
    hidden: Annotated[str | None, setting("hidden", "Nodes of each hidden layer; none for a perceptron.")] = None,
    batch_size: Annotated[int | None, setting("batch_size", "Images a step.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON instead of tables.")] = False,
) -> None:
    """Measure in half a minute how fast this machine trains and answers."""
    from . import console
    from .device import CPU, cuda_devices, resolve

    config = replace(
        Config.recipe("report"),
        activation=activation or Config.activation,
        hidden=Config.hidden if hidden is None else _parse_hidden(hidden),
        batch_size=Config.batch_size if batch_size is None else batch_size,
        augment="none",
    )
    if device:
        devices = [resolve(device)[0]]
    else:
        devices = [CPU, *(resolve(f"cuda:{i}")[0] for i in range(len(cuda_devices()[0])))]
    found = console.benchmark(config, devices)
    if as_json:
        typer.echo(json.dumps(found, indent=2))
    else:
        console.benchmark_table(config, found)


@app.command()
def study(
    only: Annotated[
        str | None, typer.Option(help="One table (such as one-hidden-layer) or one model.", show_default="all")
    ] = None,
    data: Data = None,
    device: DeviceName = None,
    class_weight: Annotated[str | None, setting("class_weight", "balanced lets rare classes count for more.")] = None,
    seeds: Annotated[int, typer.Option(min=1, help="Trainings of each activation that is compared.")] = 3,
    out: Annotated[
        Path | None, typer.Option(help="The folder to make or go on with.", show_default="study or study-quick")
    ] = None,
    quick: Annotated[bool, typer.Option("--quick", help="Train on a tenth of the letters, to see it work.")] = False,
) -> None:
    """Run the report's whole investigation again, and lay what it measures beside what was published.

    Takes hours on a CPU. Stop it whenever you like: the same command goes on where it was.
    """
    from .data.letters import load_letters
    from .device import resolve
    from .study import console
    from .study.running import Place, tenth

    letters = load_letters(data or Config.data)
    folder = out or Path("study-quick" if quick else "study")
    place = Place(folder, tenth(letters) if quick else letters, resolve(device or Config.device)[0])
    console.follow(place, only, class_weight or Config.class_weight, seeds, quick)


@app.command()
def info() -> None:
    """Show versions, devices, and what is usable and why not."""
    from . import console

    console.environment()
