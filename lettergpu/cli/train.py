"""`lettergpu train`: every setting of Config is an option of it."""

import os
import shlex
from contextlib import nullcontext
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from ..config import Config, option
from ..errors import LettergpuError
from ..files import as_path, as_text
from .options import (
    VIEWS_HELP,
    AsJson,
    Data,
    DeviceName,
    Lying,
    Quiet,
    SplitName,
    TestShare,
    flag,
    parse_hidden,
    setting,
)

if TYPE_CHECKING:
    from ..backends.device import Device
    from ..backends.ranks import Ranks
    from ..data.letters import Letters
    from ..training.checkpoint import Checkpoint
    from ..training.runs import Run

TURNED = f"{Config.rotation_chance:.0%} of the images by {{:.0f}} to {{:.0f}} degrees".format(*Config.rotation_degrees)
MAY_CHANGE = {"data", "orientation", "old", "device", "precision", "epochs", "patience", "log"}  # in a run that goes on
AUGMENT = f"rotate turns {TURNED}; affine turns, shifts, stretches, shears all; elastic bends too."


def train(
    context: typer.Context,
    data: Data = None,
    split: SplitName = None,
    orientation: Lying = None,
    test: TestShare = None,
    parent: Annotated[
        str | None,
        typer.Option(
            "--from",
            help="Go on from a network to letters of another hand: boxed, a run folder, a .safetensors file.",
            show_default="a network of its own",
        ),
    ] = None,
    old: Annotated[
        str | None,
        setting("old", "With --from: letters that the network knows, mixed in; auto, builtin, a folder, none."),
    ] = None,
    old_letters: Annotated[
        int | None, setting("old_letters", "So many of them an epoch, or more among many new ones.")
    ] = None,
    device: DeviceName = None,
    precision: Annotated[
        str | None,
        setting("precision", "Of matrix products; faster: tf32 on a GPU, 10 bits of 23; bf16 on a CPU with AMX, 7."),
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
    log: Annotated[str | None, setting("log", "Besides metrics.csv, into the run folder.")] = None,
    out: Annotated[
        Path | None, typer.Option(help="The run folder to make.", show_default="runs/DATE-TIME-SHAPE-ACTIVATION")
    ] = None,
    recipe: Annotated[
        Path | None, typer.Option(help="report, fast, small, best, or a TOML file such as a run's config.toml.")
    ] = None,
    resume: Annotated[
        Path | None, typer.Option(help="Go on with the run in this folder; more --epochs have the rate it came to.")
    ] = None,
    warm_restart: Annotated[
        bool, typer.Option("--warm-restart", help="With --resume: more --epochs have a schedule of their own.")
    ] = False,
    quiet: Quiet = False,
    as_json: AsJson = False,
) -> None:
    """Train a network and evaluate it. The defaults are what is best in about a minute of CPU.

    mpiexec -n 4 lettergpu train has four processes share the work.
    """
    from ..backends.libraries import installing, resolve
    from ..backends.ranks import together

    ranks = context.with_resource(together(installing("mpi")))
    if ranks.rank:
        _assist(ranks)
        return
    given = {
        "data": None if data is None else as_text(data),
        "split": split,
        "orientation": orientation,
        "test": test,
        "parent": parent,
        "old": None if old is None else as_text(old),
        "old_letters": old_letters,
        "device": device,
        "precision": precision,
        "hidden": None if hidden is None else parse_hidden(hidden),
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
        "log": log,
    }
    changes: dict[str, Any] = {name: value for name, value in given.items() if value is not None}
    if data is not None:
        changes.setdefault("orientation", Config.orientation)  # other files than the run's may lie otherwise
    if resume and (recipe or out):
        raise LettergpuError(f"--resume {resume}: it keeps its folder and settings; drop --out and --recipe")
    if warm_restart and not resume:
        raise LettergpuError("--warm-restart: it is for a run that goes on; say --resume RUN and --epochs, too")
    if resume and (fixed := changes.keys() - MAY_CHANGE):
        raise LettergpuError(f"{option(min(fixed))}: it belongs to the run and cannot be changed on --resume")

    from ..reading.eyes import letters_of
    from ..training.runs import Run
    from . import progress

    if quiet:
        progress.hush()
    if resume:
        with Run.resume(resume, changes, warm_restart=warm_restart) as run:
            place, why = resolve(ranks.place(run.config.device), run.config.precision)
            letters = _mixed(letters_of(run.config, progress.preparing), run.config, run.parent)
            run.go_on_with(letters)
            _follow(run, letters, place, why, quiet, as_json, ranks)
        return
    config, found = _begun(Config.from_file(recipe) if recipe else None, changes)
    place, why = resolve(ranks.place(config.device), config.precision)
    own = letters_of(config, progress.preparing)
    letters = _mixed(own, config, found)
    config = replace(config, **letters.settings, old=getattr(letters, "old_source", config.old))
    with Run.create(out, config, letters, found) as run:
        _follow(run, letters, place, why, quiet, as_json, ranks)


def _begun(recipe: Config | None, changes: dict[str, Any]) -> tuple[Config, "Checkpoint | None"]:
    """The settings of a new run, and the network that it goes on from, if it does."""
    parent = changes.get("parent", recipe.parent if recipe else "")
    if not parent:
        if needless := changes.keys() & {"old", "old_letters"}:
            raise LettergpuError(f"{option(min(needless))}: it is for a network that is gone on from; say --from")
        return replace(recipe or Config(), **changes), None

    from ..training import checkpoint, tuning

    found = checkpoint.read(as_path(parent))
    if fixed := changes.keys() & tuning.OF_THE_NETWORK:
        raise LettergpuError(f"{option(min(fixed))}: it is that of the network in {parent}, and cannot be changed")
    known = found.config
    of_letters = ("split",) if "data" in changes else ("data", "split", "orientation", "test")
    began = recipe or replace(Config.recipe(tuning.RECIPE), **{name: getattr(known, name) for name in of_letters})
    boxed = checkpoint.is_boxed(as_path(parent))
    place = parent if boxed else as_text(os.path.realpath(as_path(parent)))
    return replace(tuning.settings(found.network, began), **changes | {"parent": place}), found


def _mixed(letters: "Letters", config: Config, found: "Checkpoint | None") -> "Letters":
    """The letters, with such as the network knows mixed in where the training goes on from one."""
    if found is None:
        return letters

    from ..reading.eyes import letters_of
    from ..training import tuning
    from . import progress

    old = tuning.old_letters(config, found.config, lambda known: letters_of(known, progress.preparing))
    return tuning.mixed(letters, old, found.network, config)


def _assist(ranks: "Ranks") -> None:
    """Do what rank 0 asks for, which alone takes options, and Ctrl-C."""
    import signal

    from ..training.loop import assist

    signal.signal(signal.SIGINT, signal.SIG_IGN)
    assist(ranks)


def _follow(
    run: "Run", letters: "Letters", place: "Device", why: str, quiet: bool, as_json: bool, ranks: "Ranks"
) -> None:
    """Train, evaluate, and show both. why: that device."""
    from ..training import tuning
    from . import console, progress, streams
    from .plots import draw_run

    if plain := not (quiet or as_json):
        each = f" in each of {ranks.size} processes" if ranks.size > 1 else ""
        console.heading(run, letters, f"{place.name} ({why}){each}")
    start = tuning.begun(run.parent.network, letters.classes, run.config) if run.parent else None
    folder = shlex.quote(str(run.folder))
    killed = f"error: one of the processes was killed; any number of them go on with: lettergpu train --resume {folder}"
    with streams.said_if_killed(killed) if ranks.size > 1 else nullcontext():
        progress.follow(run, letters, place, start, ranks, lines=plain)
    summary = run.finish(letters, place, evaluating=progress.evaluating, draw=draw_run)
    console.answer(
        {"run": as_text(run.folder)} | summary, as_json, lambda: console.scores(summary, run), quiet and str(run.folder)
    )


def _parse_validation(text: str) -> float | str:
    try:
        return float(text)
    except ValueError:
        return text
