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
from safetensors.numpy import save as to_bytes

from ..backends.device import CPU, Device
from ..config import MOST_EPOCHS, VIEWS, Config
from ..data import SIDE
from ..errors import LettergpuError, brief
from ..files import read_tensors, replacing
from ..nn.network import Network, layout
from .loop import State

FORMAT = "1"
ADVICE = "copy it anew, or train it again"
DRAWS = "2"  # by counters, nn/draws.py; a state that does not say was drawn otherwise, and cannot be gone on from
BEST, LAST = "best.safetensors", "last.safetensors"
BOXED = Path(__file__).parent / "models" / "boxed.safetensors"  # the network in the package
LETTERLIKE = BOXED.with_name("letterlike.safetensors")  # and the one that tells letters from other ink,
FIGURES = BOXED.with_name("figures.safetensors")  # and from figures, by the last hidden layer of the first


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


def read(path: Path, device: Device = CPU, inputs: int = SIDE * SIDE) -> Checkpoint:
    """The content of a file; of a run folder, that of its best network; of `boxed`, that of the one in the package.

    inputs: how many numbers the network takes; an image's pixels, but for one that reads what another makes of them.
    Raises LettergpuError if there is none, it is damaged, not of this program, or not all of it is numbers.
    """
    try:
        path = BOXED if is_boxed(path) else path / BEST if path.is_dir() else path
        tensors, header = read_tensors(path)
    except FileNotFoundError:
        raise LettergpuError(f"{path}: there is no such file; give a run folder or a .safetensors file") from None
    except (OSError, ValueError) as error:
        raise LettergpuError(f"{path} is damaged or not a .safetensors file ({brief(error)})") from error
    if header.get("lettergpu") != FORMAT:
        raise LettergpuError(f"{path} is not a network that this version of lettergpu wrote")
    try:
        config = Config.from_table(tomllib.loads(header["config"]), str(path))
        network = _network(header, tensors, device, inputs)
        state = _state(header, tensors) if "epoch" in header else None
    except (KeyError, ValueError, TypeError, IndexError, AttributeError, ArithmeticError, RecursionError) as error:
        raise LettergpuError(f"{path} is damaged: {brief(error)}; {ADVICE}") from error
    return Checkpoint(network, config, header.get("fingerprint", ""), state, header.get("draws", ""))


def _network(header: dict[str, str], tensors: dict[str, np.ndarray], device: Device, inputs: int) -> Network:
    """The network that a file holds. Raises ValueError, among others, where what it holds does not fit together."""
    sizes, classes = json.loads(header["sizes"]), json.loads(header["classes"])
    members, views = json.loads(header.get("members", "1")), json.loads(header.get("views", "1"))
    if not all(type(number) is int and number > 0 for number in (*sizes, members, views)) or len(sizes) < 2:
        raise ValueError(f"sizes {sizes}, {members} members and {views} views are not those of a network")
    if sizes[0] != inputs:
        wanted = f"{SIDE} x {SIDE}" if inputs == SIDE * SIDE else inputs
        raise ValueError(f"it is for images of {sizes[0]} pixels, not of {wanted}")
    if len(classes) != sizes[-1] or not all(isinstance(name, str) for name in classes):
        raise ValueError("it does not name each of its classes")
    if views not in VIEWS:
        raise ValueError(f"there are no {views} views")
    table = {name: (offset, tuple(shape)) for name, (offset, shape) in json.loads(header["layout"]).items()}
    batch_norm = any(name.endswith("scale") for name in table)
    if table != layout(sizes, batch_norm, members):
        raise ValueError("its layout is not that of its sizes")
    _check_numbers(tensors, table)
    # half floats only save space
    parameters = tensors["parameters"].astype(np.promote_types(tensors["parameters"].dtype, np.float32), copy=False)
    network = Network(
        sizes,
        activation=header["activation"],
        loss=header["loss"],
        classes=classes,
        batch_norm=batch_norm,
        moment_norm=json.loads(header.get("moment_norm", "false")),
        views=views,
        members=members,
        device=device,
        dtype=str(parameters.dtype),
    )
    network.parameters[...] = device.put(parameters)
    return network


def _check_numbers(tensors: dict[str, np.ndarray], table: dict[str, tuple[int, tuple[int, ...]]]) -> None:
    """Raises ValueError where a tensor is not of finite numbers, as many as the table has, or a variance not one."""
    count = sum(math.prod(shape) for _, shape in table.values())
    variances = [
        slice(offset, offset + math.prod(shape)) for name, (offset, shape) in table.items() if name.endswith("variance")
    ]
    for name, tensor in tensors.items():
        if tensor.shape != (count,) or tensor.dtype.kind != "f":
            raise ValueError(f"its {brief(name)} are not the {count:,} numbers that its header promises")
        if not np.isfinite(tensor).all():
            raise ValueError(f"its {brief(name)} hold NaN or infinity")
        if name != "velocity" and any((tensor[part] < 0).any() for part in variances):
            raise ValueError(f"its {brief(name)} hold a negative variance")


def _state(header: dict[str, str], tensors: dict[str, np.ndarray]) -> State:
    """The state of a training that a file holds, likewise."""
    best = int(header["best_epoch"]), float.fromhex(header["best_loss"]), tensors["best_parameters"]
    state = State(int(header["epoch"]), tensors["parameters"], tensors["velocity"], *best)
    if not (1 <= state.best_epoch <= state.epoch <= MOST_EPOCHS and math.isfinite(state.best_loss)):
        raise ValueError(f"epoch {state.epoch} with the best, of loss {state.best_loss}, in epoch {state.best_epoch}")
    return state


def is_boxed(path: Path) -> bool:
    """Whether the network in the package is meant: nothing else here has its name."""
    return path == Path(BOXED.stem) and not path.exists()


def load(path: str | Path, device: Device = CPU, inputs: int = SIDE * SIDE) -> Network:
    """The trained network of a run folder or a .safetensors file, or the one in the package, `boxed`; as for `read`."""
    return read(Path(path), device, inputs).network
