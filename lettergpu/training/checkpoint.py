"""Networks and training states as .safetensors files: flat tensors, with all else as text in the header.

Tensors: `parameters`, and in a training state also `velocity` and `best_parameters`, all (parameters,). A network that
was trained with batch normalisation is folded into plain dense layers, but for a training state's.
Header: `lettergpu` (the version of this format), `sizes`, `activation`, `loss`, `classes`, `moment_norm`, `views`,
`members`, and `layout` (name -> [offset, shape] of each parameter in the flat vector), as JSON; a run's files also
hold `config`, as TOML, `fingerprint` (sha256 of the training data) and, with a state, its `epoch`, `best_epoch`,
`best_loss`, and `draws`, how its orders and distortions were drawn.
"""

import json
import math
import tomllib
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from safetensors import SafetensorError, safe_open
from safetensors.numpy import save as to_bytes

from ..backends.device import CPU, Device
from ..config import VIEWS, Config
from ..errors import LettergpuError
from ..files import replacing
from ..nn.network import Network, layout
from .loop import State

FORMAT = "1"
DRAWS = "2"  # by counters, nn/draws.py; a state that does not say was drawn otherwise, and cannot be gone on from
BEST, LAST = "best.safetensors", "last.safetensors"
BOXED = Path(__file__).parent / "models" / "boxed.safetensors"  # the network in the package
LETTERLIKE = BOXED.with_name("letterlike.safetensors")  # and the one that tells letters from other ink


@dataclass(frozen=True)
class Checkpoint:
    """A file's content. state: None in a file that holds a network only. draws: as DRAWS, of a state."""

    network: Network
    config: Config
    fingerprint: str
    state: State | None
    draws: str = ""


def save(
    path: Path,
    network: Network,
    config: Config,
    fingerprint: str,
    state: State | None = None,
    *,
    best: bool = False,
    half: bool = False,
) -> None:
    """Write a network, or with `state` all that it takes to resume its training; with `best` too, the best of that.

    half: a network's parameters as float16, half as large; they are read as float32 again.
    """
    if best:
        assert state is not None
        network = network.with_parameters(state.best_parameters)
    if best or state is None:
        network = network.folded()
    header = {
        "lettergpu": FORMAT,
        "sizes": json.dumps(network.sizes),
        "activation": network.activation,
        "loss": network.loss,
        "classes": json.dumps(network.classes),
        "moment_norm": json.dumps(network.moment_norm),
        "views": json.dumps(network.views),
        "members": json.dumps(network.members),
        "layout": json.dumps(network.layout),
        "config": config.to_toml(),
        "fingerprint": fingerprint,
    }
    if best or state is None:
        parameters = network.device.fetch(network.parameters)
        tensors = {"parameters": parameters.astype(np.float16) if half else parameters}
    else:
        tensors = {name: getattr(state, name) for name in ("parameters", "velocity", "best_parameters")}
        header |= {"epoch": str(state.epoch), "best_epoch": str(state.best_epoch), "best_loss": state.best_loss.hex()}
        header["draws"] = DRAWS
    with replacing(path) as partial:
        partial.write_bytes(to_bytes(tensors, header))


def read(path: Path, device: Device = CPU) -> Checkpoint:
    """The content of a file; of a run folder, that of its best network; of `boxed`, that of the one in the package.

    Raises LettergpuError if there is none, or it is damaged or not of this program.
    """
    if is_boxed(path):
        path = BOXED
    if path.is_dir():
        path = path / BEST
    try:
        with safe_open(path, framework="np") as file:
            header = file.metadata() or {}
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118, it is no mapping
    except FileNotFoundError:
        raise LettergpuError(f"{path}: there is no such file; give a run folder or a .safetensors file") from None
    except (SafetensorError, OSError, TypeError) as error:
        raise LettergpuError(f"{path} is damaged or not a .safetensors file ({error})") from error
    if header.get("lettergpu") != FORMAT:
        raise LettergpuError(f"{path} is not a network that this version of lettergpu wrote")
    try:
        config = Config.from_table(tomllib.loads(header["config"]), str(path))
        sizes = tuple(json.loads(header["sizes"]))
        table = {name: (offset, tuple(shape)) for name, (offset, shape) in json.loads(header["layout"]).items()}
        batch_norm = any(name.endswith("scale") for name in table)
        expected = (sum(math.prod(shape) for _, shape in table.values()),)
        members = json.loads(header.get("members", "1"))
        if table != layout(sizes, batch_norm, members) or any(tensor.shape != expected for tensor in tensors.values()):
            raise ValueError("its tensors are not of the shape that its header promises")
        if len(json.loads(header["classes"])) != sizes[-1]:
            raise ValueError("it does not name each of its classes")
        views = json.loads(header.get("views", "1"))
        if views not in VIEWS:
            raise ValueError(f"there are no {views} views")
        # half floats only save space
        parameters = tensors["parameters"].astype(np.promote_types(tensors["parameters"].dtype, np.float32), copy=False)
        network = Network(
            sizes,
            activation=header["activation"],
            loss=header["loss"],
            classes=json.loads(header["classes"]),
            batch_norm=batch_norm,
            moment_norm=json.loads(header.get("moment_norm", "false")),
            views=views,
            members=members,
            device=device,
            dtype=str(parameters.dtype),
        )
        network.parameters[...] = device.put(parameters)
        state = None
        if "epoch" in header:
            best_loss = float.fromhex(header["best_loss"])
            best = int(header["best_epoch"]), best_loss, tensors["best_parameters"]
            state = State(int(header["epoch"]), tensors["parameters"], tensors["velocity"], *best)
            if not 1 <= state.best_epoch <= state.epoch:
                raise ValueError(f"epoch {state.epoch} with the best in epoch {state.best_epoch}")
    except (KeyError, ValueError, TypeError, IndexError, AttributeError, ArithmeticError) as error:
        raise LettergpuError(f"{path} is damaged: {error}") from error
    return Checkpoint(network, config, header.get("fingerprint", ""), state, header.get("draws", ""))


def is_boxed(path: Path) -> bool:
    """Whether the network in the package is meant: nothing else here has its name."""
    return path == Path(BOXED.stem) and not path.exists()


def load(path: str | Path, device: Device = CPU) -> Network:
    """The trained network of a run folder or a .safetensors file, or the one in the package, `boxed`."""
    return read(Path(path), device).network
