"""`lettergpu export` and `import`: networks for other people's tools, and from them."""

from dataclasses import replace
from pathlib import Path
from typing import Annotated

import typer

from ..config import CHOICES
from ..errors import LettergpuError
from ..files import as_text


def export(
    run: Annotated[Path, typer.Argument(help="A run folder, a .safetensors file, or boxed.", metavar="RUN_OR_FILE")],
    out: Annotated[Path, typer.Argument(help="The file of ONNX to write.", metavar="OUT.onnx")],
    pixels: Annotated[
        str, typer.Option("--input", help="What the images are: uint8, 0 to 255, or float32, 0 to 1.")
    ] = "uint8",
    moved: Annotated[
        bool, typer.Option("--no-moment-norm", help="Leave out that letters are moved to one place, slant and size.")
    ] = False,
    views: Annotated[
        int | None,
        typer.Option(help="Looks at an image: 1, 3, 9, 27.", show_default="the run's"),
    ] = None,
    member: Annotated[
        int | None, typer.Option(min=1, help="Of an ensemble this network alone, the first is 1.", show_default="all")
    ] = None,
) -> None:
    """Write a network, or boxed, the one in the package, as a file of ONNX, from images to the same probabilities."""
    from ..interop import onnx
    from ..training import checkpoint

    found = checkpoint.read(run)
    network = found.network
    if member is not None:
        if member > network.members:
            raise LettergpuError(f"--member {member}: {run} has {network.members} of them")
        network = network.member(member - 1)
    if views is not None:
        network.views = replace(found.config, views=views).views
    onnx.export(replace(found, network=network), out, pixels, moved=moved)
    parts = {"moment normalisation": network.moment_norm and not moved, f"{network.views} views": network.views > 1}
    parts |= {f"{network.members} networks": network.members > 1}
    within = ", ".join(name for name, there in parts.items() if there)
    shapes = f"{pixels} images (n, 28, 28) to probabilities (n, {network.sizes[-1]})"
    typer.echo(f"{as_text(out)}: opset {onnx.OPSET}, {shapes}" + (within and f", with {within}"))


def import_(
    weights: Annotated[Path, typer.Argument(help="A .mat with Theta1, Theta2, ..., or a .onnx of dense layers.")],
    out: Annotated[Path, typer.Argument(help="The .safetensors file to write.", metavar="OUT")],
    activation: Annotated[
        str | None,
        typer.Option(
            help="Of the hidden layers, which a .mat does not tell. One of " + ", ".join(CHOICES["activation"])
        ),
    ] = None,
    loss: Annotated[
        str | None,
        typer.Option(help="What its answers are: softmax, sigmoid.", show_default="what a .onnx tells, or softmax"),
    ] = None,
    orientation: Annotated[
        str,
        typer.Option(
            help="Of the images that it learnt: upright; transposed, as EMNIST's files; auto: .mat transposed."
        ),
    ] = "auto",
    white: Annotated[
        float | None, typer.Option(help="What a white pixel was there.", show_default="1, or 255 where it takes bytes")
    ] = None,
    classes: Annotated[
        str | None,
        typer.Option(help="Their names, A,B,...", show_default="those that a .onnx tells, or of EMNIST's split"),
    ] = None,
) -> None:
    """Make a network of other people's weights, for evaluate, predict --model, serve and train --from."""
    from ..interop import weights as reading
    from ..training import checkpoint

    found = reading.read(
        weights, activation=activation, loss=loss, orientation=orientation, white=white, classes=classes
    )
    checkpoint.save(out, found.network, found.config, found.fingerprint)
    shape = "-".join(map(str, found.network.sizes))
    typer.echo(f"{as_text(out)}: {shape}, {found.network.activation}, {found.network.loss}")
