"""A trained network as a file of ONNX, which runs where Python does not, and answers as the network does."""

import json
from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np

from .. import __version__
from ..data import SIDE
from ..errors import LettergpuError, one_of
from ..files import replacing
from ..nn.activations import LEAK
from ..nn.network import Network
from ..nn.warps import ASPECT, SCALES, SIZE, STEEPEST, view_maps
from ..training.checkpoint import Checkpoint
from .graph import OPSET as OPSET
from .graph import Graph, Value

MOST = 2_000_000_000  # bytes: no file of ONNX is longer
NEEDED = "files of ONNX need the package onnx: pip install 'lettergpu[onnx]'"
INPUTS = {"uint8": "UINT8", "float32": "FLOAT"}  # pixels from 0 to 255, or from 0 to 1; as ONNX calls them
PIXELS, MIDDLE = SIDE * SIDE, (SIDE - 1) / 2
ROWS, COLUMNS, LAST = [1], [2], [-1]  # axes

ACTIVATIONS: dict[str, Callable[[Graph, Value], Value]] = {
    "identity": lambda graph, z: z,
    "sigmoid": lambda graph, z: graph.Sigmoid(z),
    "tanh": lambda graph, z: graph.Tanh(z),
    "relu": lambda graph, z: graph.Relu(z),
    "leaky_relu": lambda graph, z: graph.LeakyRelu(z, alpha=LEAK),
    "swish": lambda graph, z: z * graph.Sigmoid(z),
    "mish": lambda graph, z: graph.Mish(z),
    "tanhexp": lambda graph, z: z * graph.Tanh(graph.Exp(z)),
}
PROBABILITIES: dict[str, Callable[[Graph, Value], Value]] = {
    "softmax": lambda graph, z: graph.Softmax(z, axis=-1),
    "sigmoid": lambda graph, z: graph.Sigmoid(z),
}


def export(found: Checkpoint, path: Path, pixels: str = "uint8", *, moved: bool = False) -> None:
    """Write the network of a file as `model_of` has it. Raises LettergpuError where that cannot be."""
    one_of("--input", pixels, INPUTS)
    if found.network.parameters.nbytes > MOST:
        raise LettergpuError(f"{path}: a file of ONNX holds at most 2 GB; of an ensemble, take one --member")
    content = model_of(found.network, pixels, found.fingerprint, moved=moved).SerializeToString()
    with replacing(path) as partial:
        partial.write_bytes(content)


def model_of(network: Network, pixels: str = "uint8", fingerprint: str = "", *, moved: bool = False) -> Any:
    """An onnx.ModelProto from `images` (n, 28, 28), upright, light on dark, to `probabilities` (n, classes), float32.

    They are those of `predict_proba`, with the network's moment normalisation, views and members. pixels: the dtype of
    the images, a key of INPUTS. fingerprint: of the letters that it was trained on. moved: the images are normalised by
    their moments already, if they are to be. Raises LettergpuError where the package onnx is missing.
    """
    if not find_spec("onnx"):
        raise LettergpuError(NEEDED)
    graph = Graph()
    within = network.moment_norm and not moved
    logits = _logits(graph, network.folded(), _seen(graph, network.views, within, pixels))
    PROBABILITIES[network.loss](graph, logits)
    images, answer = {"images": (INPUTS[pixels], ["n", SIDE, SIDE])}, ("probabilities", ["n", network.sizes[-1]])
    return graph.model(images, answer, _about(network, within, pixels, fingerprint))


def _about(network: Network, within: bool, pixels: str, fingerprint: str) -> dict[str, str]:
    """What stands in the file for programs to read, and for people."""
    most = {"uint8": 255, "float32": 1}[pixels]
    when = ("within" if within else "before") if network.moment_norm else "none"
    moved = f", moved to one place, slant and size by their moments {when}" if network.moment_norm else ""
    return {
        "lettergpu": __version__,
        "fingerprint": fingerprint,
        "classes": json.dumps(network.classes),
        "sizes": json.dumps(network.sizes),
        "activation": network.activation,
        "loss": network.loss,
        "moment_norm": when,
        "views": str(network.views),
        "members": str(network.members),
        "pixels": f"{SIDE} x {SIDE}, upright, row by row, light ({most}) on dark (0){moved}",
    }


def _seen(graph: Graph, views: int, moment_norm: bool, pixels: str) -> Value:
    """What `Network.forward` expects, (n * views, 784), as `Network._pixels` makes it."""
    images = Value(graph, "images")
    x = graph.Cast(images, to=1) / 255.0 if pixels == "uint8" else images  # 1: float32
    if views == 1 and not moment_norm:
        return graph.Reshape(x, [-1, PIXELS])
    down, right = _places(views)
    shape = [-1, views * SIDE, SIDE, 2]
    if moment_norm:
        across, slanted, upwards, x_shift, y_shift = _moment_frames(graph, x * 255.0)  # (n, 1) each
        moved = across * right + slanted * down + x_shift, upwards * down + y_shift
        grid = graph.Reshape(graph.Concat(*(graph.Unsqueeze(each, LAST) for each in moved), axis=-1), shape)
        squares = graph.Reshape(x, [-1, 1, SIDE, SIDE])
    else:  # one grid for all, which are the channels of one picture
        grid = graph.constant(np.stack([right, down], axis=-1).reshape(shape))
        squares = graph.Reshape(x, [1, -1, SIDE, SIDE])
    warped = graph.GridSample(squares, grid, mode="bilinear", padding_mode="zeros", align_corners=1)
    return graph.Reshape(warped, [-1, PIXELS])


def _places(views: int) -> np.ndarray:
    """Where each pixel of each view comes from, (2, views * 784): the middle is 0, the outermost pixels -1 and 1."""
    pixels = np.stack([*np.divmod(np.arange(PIXELS), SIDE), np.ones(PIXELS)])  # (row, column, 1)
    sources = np.array(view_maps(views, SIDE, SIDE)) @ pixels  # (views, 2, 784)
    return sources.swapaxes(0, 1).reshape(2, -1) / MIDDLE - 1


def _moment_frames(graph: Graph, ink: Value) -> tuple[Value, ...]:
    """nn/warps.py's `moment_frames`, line by line, in the coordinates of `_places`.

    ink: (n, 28, 28), 0 to 255. Returns across, slanted, upwards, x, y, each (n, 1): what is to be at (right, down)
    comes from (across right + slanted down + x, upwards down + y).
    """

    def within(x: Value, least: float, most: float) -> Value:
        return graph.Min(graph.Max(x, least), most)

    def total(x: Value) -> Value:
        return graph.ReduceSum(x, LAST)  # (n, 1)

    places = graph.constant(np.arange(SIDE) - MIDDLE)
    of_row, of_column = graph.ReduceSum(ink, COLUMNS, keepdims=0), graph.ReduceSum(ink, ROWS, keepdims=0)
    along = graph.ReduceSum(ink * places, LAST, keepdims=0)  # (n, 28)
    mass = graph.Max(total(of_row), 1.0)
    y, x = total(of_row * places) / mass, total(of_column * places) / mass
    down, right = places - y, places - x
    tall = graph.Max(total(of_row * (down * down)) / mass, 1.0)
    together = total(along * down) / mass
    slant = within(together / tall, -STEEPEST, STEEPEST)
    wide = graph.Max(total(of_column * (right * right)) / mass - slant * together, 1.0)
    scale = within(graph.Sqrt(wide + tall) / SIZE, *SCALES)
    aspect = graph.Sqrt(graph.Sqrt(within(graph.Sqrt(wide / tall), 1 / ASPECT, ASPECT)))
    across, upwards = scale * aspect, scale / aspect
    return across, slant * upwards, upwards, x / MIDDLE, y / MIDDLE


def _logits(graph: Graph, network: Network, x: Value) -> Value:
    """Logits (n, classes) of pixels (n * views, 784), the mean of the views' and of the members'."""
    ensemble = network.members > 1
    for i, layer in enumerate(network.layers):
        weight, bias = map(network.device.fetch, (layer.weight, layer.bias))
        bias = bias[:, None, :] if ensemble else bias  # beside (members, n * views, nodes)
        z = x @ graph.constant(weight, f"layers.{i}.weight") + graph.constant(bias, f"layers.{i}.bias")
        x = ACTIVATIONS[layer.activation.name](graph, z)
    if ensemble:
        x = graph.ReduceMean(x, [0], keepdims=0)
    if network.views > 1:
        x = graph.ReduceMean(graph.Reshape(x, [-1, network.views, network.sizes[-1]]), [1], keepdims=0)
    return x
