"""Seconds an epoch of training takes, here and elsewhere: the same network, weights, letters, order and bookkeeping.

python bench/speed/epoch.py [--activation tanhexp|relu|swish|mish] [--batch-size 256] [--threads N] [--rounds 5]
                      [--device cpu|cuda] [--precision float32|tf32|bf16] [--ensemble 1] [--peers NAME ...]
                      [--images 99840] [--letters auto|noise] [--json FILE|-]
python bench/speed/epoch.py --sweep [--peers NAME ...] [--rounds 5] ...

784-512-256-128-26, float32, without augmentation. Letters: the first ones of the folder that LETTERGPU_EMNIST names,
else built-in ones; with --letters noise random pixels, of which lettergpu can leave out none. --ensemble trains so many
networks side by side, each in an order of its own. --precision is of products of matrices: tf32 on a GPU, bf16 on a CPU
that has AMX, lettergpu's and PyTorch's. --threads pins the process to that many cores, by default all; --sweep tries
every activation, batch size and number of threads of SWEEP and prints one table.

The peers, beside lettergpu, are left out where they are not installed (pip install '.[bench]'):
  float32        lettergpu again, without bf16
  products-only  nothing but a step's products of matrices, by NumPy's BLAS into memory that is there already: the
                 floor of whoever uses that BLAS
  torch          PyTorch eager, as its tutorials have it
  torch-compile  PyTorch, the whole step with its optimizer compiled; the compilation is not counted. On a GPU that
                 takes minutes, so there it takes part only where --peers names it
  jax            JAX, the whole epoch compiled as one scan over its steps; the compilation is not counted
  sklearn        scikit-learn's MLPClassifier, ReLU only: its own weights and order, its pixels made float beforehand,
                 and of the loss and the accuracy only the loss
Before they are timed, the loss and the accuracy of their first epoch must be within 1 % of lettergpu's.
"""

import argparse
import json
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from importlib.metadata import version
from itertools import product
from typing import Any

import numpy as np
from rounds import limit_threads, name_after, publish, report, seconds_in_turn, usable_cores

from lettergpu.backends.libraries import resolve
from lettergpu.cli.benchmark import COUNT, Epoch, Task, kernels, letters, products_only, training
from lettergpu.config import CHOICES, Config

SWEEP = {"activation": ("tanhexp", "relu"), "batch-size": (64, 256, 1024, 4096), "threads": (1, 2)}
SHARED = "device", "precision", "ensemble", "rounds", "images", "letters"  # the same in all processes of a sweep


class LeftOut(Exception):
    """Why a contestant does not take part."""


def float32(task: Task) -> Epoch:
    if task.config.precision != "bf16":
        raise LeftOut("it is lettergpu itself")
    epoch_of = training(task)

    def epoch(number: int) -> tuple[float, float] | None:
        resolve("cpu", "float32")
        outcome = epoch_of(number)
        resolve("cpu", "bf16")
        return outcome

    return epoch


def torch_activation(name: str) -> Callable:
    import torch

    return {
        "relu": torch.relu,
        "swish": torch.nn.functional.silu,
        "mish": torch.nn.functional.mish,
        "tanhexp": lambda z: z * torch.tanh(torch.exp(z)),
    }[name]


def torch_arrays(task: Task) -> tuple[Any, Any, Any]:
    """The task's parameters, as PyTorch wants them: weight, bias, weight, ...; images; labels."""
    import torch

    if task.kind == "cuda" and not torch.cuda.is_available():
        raise LeftOut("PyTorch finds no usable GPU")
    torch.set_float32_matmul_precision({"tf32": "high", "bf16": "medium"}.get(task.config.precision, "highest"))
    parameters = []
    for weight, bias in task.parameters():
        if weight.ndim == 2:
            weight = weight.T
        parameters += [torch.tensor(array).to(task.kind) for array in (weight, bias)]
    return parameters, torch.tensor(task.images).to(task.kind), torch.tensor(task.labels).to(task.kind)


def torch_loss_and_logits(activation: Callable, parameters: list[Any], x: Any, y: Any) -> tuple[Any, Any]:
    """The mean loss of a batch, of an ensemble the sum of its members' means; the logits."""
    import torch

    def dense(x: Any, weight: Any, bias: Any) -> Any:
        if weight.dim() == 2:
            return torch.nn.functional.linear(x, weight, bias)
        return torch.baddbmm(bias[:, None], x, weight)

    for weight, bias in zip(parameters[:-2:2], parameters[1:-2:2], strict=True):
        x = activation(dense(x, weight, bias))
    logits = dense(x, *parameters[-2:])
    loss = torch.nn.functional.cross_entropy(logits.flatten(0, -2), y.flatten(), reduction="sum")
    return loss / y.shape[-1], logits


def torch_eager(task: Task) -> Epoch:
    import torch

    parameters, images, labels = torch_arrays(task)
    config, activation = task.config, torch_activation(task.config.activation)
    for parameter in parameters:
        parameter.requires_grad_()
    optimizer = torch.optim.SGD(parameters, lr=config.learning_rate, momentum=config.momentum)

    def epoch(number: int) -> tuple[float, float]:
        order = torch.from_numpy(task.order(number)).to(task.kind)
        loss_sum = torch.zeros((), device=task.kind)
        correct = torch.zeros((), dtype=torch.int64, device=task.kind)
        for rows in order.split(config.batch_size, dim=-1):
            x = images[rows].float().div_(255)
            y = labels[rows]
            loss, logits = torch_loss_and_logits(activation, parameters, x, y)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            with torch.no_grad():
                loss_sum += loss * y.shape[-1]
                correct += (logits.argmax(dim=-1) == y).sum()
        return float(loss_sum) / order.numel(), float(correct) / order.numel()

    return epoch


def torch_compiled(task: Task) -> Epoch:
    """Gather, forward, backward, step and bookkeeping as one graph, which torch.func's gradients allow."""
    import torch

    if task.kind == "cpu" and not shutil.which(os.environ.get("CXX", "g++")):
        raise LeftOut("torch.compile needs g++")
    parameters, images, labels = torch_arrays(task)
    config, activation = task.config, torch_activation(task.config.activation)
    velocities = [torch.zeros_like(parameter) for parameter in parameters]
    loss_sum = torch.zeros((), device=task.kind)
    correct = torch.zeros((), dtype=torch.int64, device=task.kind)
    loss_and_logits = partial(torch_loss_and_logits, activation)

    def step(parameters: list[Any], velocities: list[Any], loss_sum: Any, correct: Any, rows: Any) -> None:
        x, y = images[rows].float() / 255, labels[rows]
        gradients, (loss, logits) = torch.func.grad_and_value(loss_and_logits, has_aux=True)(parameters, x, y)
        for parameter, velocity, gradient in zip(parameters, velocities, gradients, strict=True):
            velocity.mul_(config.momentum).add_(gradient)
            parameter.add_(velocity, alpha=-config.learning_rate)
        loss_sum.add_(loss * y.shape[-1])
        correct.add_((logits.argmax(dim=-1) == y).sum())

    if task.kind == "cuda":  # a CUDA graph may change these in place, as they stay where they are
        for tensor in (*parameters, *velocities, loss_sum, correct, images, labels):
            torch._dynamo.mark_static_address(tensor)
    compiled = torch.compile(step, dynamic=False, mode="reduce-overhead" if task.kind == "cuda" else None)

    def epoch(number: int) -> tuple[float, float]:
        loss_sum.zero_()
        correct.zero_()
        order = torch.from_numpy(task.order(number)).to(task.kind)
        for rows in order.split(config.batch_size, dim=-1):
            compiled(parameters, velocities, loss_sum, correct, rows)
        return float(loss_sum) / order.numel(), float(correct) / order.numel()

    return epoch


def jax_scan(task: Task) -> Epoch:
    os.environ.setdefault("XLA_PYTHON_CLIENT_PREALLOCATE", "false")  # leave the others some of a GPU's memory
    import jax
    import jax.numpy as jnp

    try:
        place = jax.devices(task.kind)[0]
    except RuntimeError as error:
        raise LeftOut(f"JAX finds no {task.kind}") from error
    jax.config.update("jax_default_device", place)
    if task.kind == "cuda":  # else products are TF32's
        precision = "tensorfloat32" if task.config.precision == "tf32" else "highest"
        jax.config.update("jax_default_matmul_precision", precision)
    config, count, size = task.config, len(task.labels), task.config.batch_size
    activation = {
        "relu": jax.nn.relu,
        "swish": jax.nn.silu,
        "mish": jax.nn.mish,
        "tanhexp": lambda z: z * jnp.tanh(jnp.exp(z)),
    }[config.activation]
    images, labels = jnp.asarray(task.images), jnp.asarray(task.labels.astype(np.int32))

    def loss_and_logits(parameters: Any, x: Any, y: Any) -> tuple[Any, Any]:
        for w, b in parameters[:-1]:
            x = activation(x @ w + b[..., None, :])
        weight, bias = parameters[-1]
        logits = x @ weight + bias[..., None, :]
        return -jnp.take_along_axis(jax.nn.log_softmax(logits), y[..., None], axis=-1).sum() / y.shape[-1], logits

    def train(state: Any, order: Any, images: Any, labels: Any) -> tuple[Any, Any, Any]:
        def step(state: Any, rows: Any) -> tuple[Any, tuple[Any, Any]]:
            parameters, velocities = state
            x, y = images[rows].astype(jnp.float32) / 255, labels[rows]
            (loss, logits), gradients = jax.value_and_grad(loss_and_logits, has_aux=True)(parameters, x, y)
            velocities = jax.tree.map(
                lambda v, g: config.momentum * v - config.learning_rate * g, velocities, gradients
            )
            parameters = jax.tree.map(jnp.add, parameters, velocities)
            return (parameters, velocities), (loss * y.shape[-1], (logits.argmax(axis=-1) == y).sum())

        full = count - count % size
        steps = jnp.moveaxis(order[..., :full].reshape(*order.shape[:-1], -1, size), -2, 0)
        state, (losses, corrects) = jax.lax.scan(step, state, steps)
        loss_sum, correct = losses.sum(), corrects.sum()
        if full < count:
            state, (loss, right) = step(state, order[..., full:])
            loss_sum, correct = loss_sum + loss, correct + right
        return state, loss_sum, correct

    run = jax.jit(train, donate_argnums=0)
    parameters = jax.tree.map(jnp.array, task.parameters())
    state = parameters, jax.tree.map(jnp.zeros_like, parameters)

    def epoch(number: int) -> tuple[float, float]:
        nonlocal state
        order = jnp.asarray(task.order(number).astype(np.int32))
        state, loss_sum, correct = run(state, order, images, labels)
        return float(loss_sum) / order.size, float(correct) / order.size

    return epoch


def sklearn_mlp(task: Task) -> Epoch:
    from sklearn.neural_network import MLPClassifier

    config = task.config
    if config.activation != "relu" or task.kind == "cuda" or config.ensemble > 1:
        raise LeftOut("scikit-learn has ReLU, on the CPU, and one network")
    model = MLPClassifier(
        config.hidden,
        solver="sgd",
        alpha=0.0,
        batch_size=config.batch_size,
        learning_rate_init=config.learning_rate,
        momentum=config.momentum,
        nesterovs_momentum=False,
        random_state=0,
    )
    x = task.images.astype(np.float32) / np.float32(255)

    def epoch(number: int) -> None:
        model.partial_fit(x, task.labels, classes=np.arange(26))

    return epoch


PEERS: dict[str, Callable[[Task], Epoch]] = {
    "float32": float32,
    "products-only": products_only,
    "torch": torch_eager,
    "torch-compile": torch_compiled,
    "jax": jax_scan,
    "sklearn": sklearn_mlp,
}
PACKAGES = {"torch": "torch", "torch-compile": "torch", "jax": "jax", "sklearn": "scikit-learn"}


def timed(epoch: Epoch) -> Callable[[], float]:
    """Seconds of one epoch after another, from the second on."""
    number = 1

    def run() -> float:
        nonlocal number
        number += 1
        began = time.perf_counter()
        epoch(number)
        return time.perf_counter() - began

    return run


def contestants(task: Task, peers: list[str]) -> dict[str, Callable[[], float]]:
    """lettergpu and those peers that can take part, each after its first epoch."""
    first = training(task)
    expected = np.asarray(first(1))
    taking_part = {"lettergpu": timed(first)}
    for name in peers:
        print(f"{name} begins", file=sys.stderr)
        try:
            epoch = PEERS[name](task)
        except (ImportError, LeftOut) as reason:
            print(f"{name} is left out: {reason}", file=sys.stderr)
            continue
        outcome = epoch(1)
        if outcome and not np.allclose(outcome, expected, rtol=0.01):
            raise SystemExit(f"{name} trains something else: loss and accuracy {outcome}, not {expected.tolist()}")
        taking_part[name] = timed(epoch)
    return taking_part


def sweep(options: argparse.Namespace) -> None:
    """Each combination in a process of its own; one table, and one file with the rounds of all."""
    names = ["lettergpu", *options.peers]
    settings: dict[str, Any] = {}
    numbers: dict[str, Any] = {"rows": {}, "rounds": {}}
    table = ["| " + " | ".join([*SWEEP, *names]) + " |", "|---" * (len(SWEEP) + len(names)) + "|"]
    for values in product(*SWEEP.values()):
        chosen = dict(zip(SWEEP, map(str, values), strict=True))
        title = ", ".join(f"{option} {value}" for option, value in chosen.items())
        if int(chosen["threads"]) > len(usable_cores()):
            continue
        print(title, file=sys.stderr)
        command = [sys.executable, __file__, "--json", "-", "--peers", *options.peers]
        shared = {name: getattr(options, name) for name in SHARED}
        for option, value in (chosen | shared).items():
            command += [f"--{option}", str(value)]
        finished = subprocess.run(command, stdout=subprocess.PIPE)
        if finished.returncode:
            print(f"{title} is left out: exit code {finished.returncode}", file=sys.stderr)
            continue
        result = json.loads(finished.stdout)
        os.environ["LETTERGPU_BENCH_MACHINE"] = result["machine"]  # a GPU's figures are named after the GPU
        settings |= {key: value for key, value in result["settings"].items() if key.replace("_", "-") not in SWEEP}
        numbers["rows"][title], numbers["rounds"][title] = result["rows"], result["rounds"]
        seconds = [f"{result['rows'][name]:.2f}" if name in result["rows"] else "" for name in names]
        table.append("| " + " | ".join([*chosen.values(), *seconds]) + " |")
    publish("epoch" + variant(options), settings, table, numbers, options.json)


def variant(options: argparse.Namespace) -> str:
    """What a result's name says of them."""
    name = f"-k{options.ensemble}" if options.ensemble > 1 else ""
    name += f"-{options.precision}" if options.precision != "float32" else ""
    return name + ("-cuda" if options.device == "cuda" else "")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--activation", choices=("tanhexp", "relu", "swish", "mish"), default=Config.activation)
    parser.add_argument("--batch-size", type=int, default=Config.batch_size)
    parser.add_argument("--threads", type=int)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--device", choices=("cpu", "cuda"), default="cpu")
    parser.add_argument("--precision", choices=CHOICES["precision"], default=Config.precision)
    parser.add_argument("--ensemble", type=int, default=Config.ensemble)
    parser.add_argument("--peers", nargs="*", choices=list(PEERS), metavar="NAME")
    parser.add_argument("--images", type=int, default=COUNT)
    parser.add_argument("--letters", choices=("auto", "noise"), default="auto")
    parser.add_argument("--sweep", action="store_true")
    parser.add_argument("--json", metavar="FILE|-")
    options = parser.parse_args()
    if options.peers is None:
        options.peers = [name for name in PEERS if options.device == "cpu" or name != "torch-compile"]
    if options.sweep:
        sweep(options)
        return
    threads = limit_threads(options.threads)
    chosen = {name: getattr(options, name) for name in ("activation", "batch_size", "precision", "ensemble")}
    config = replace(Config.recipe("report"), augment="none", **chosen)
    device, _ = resolve(options.device, options.precision)
    name_after(device.name)
    images, labels, kind = letters(options.images, options.letters)
    taking_part = contestants(Task(config, images, labels, device), options.peers)
    settings = {
        **chosen,
        "threads": threads,
        "images": len(labels),
        "letters": kind,
        "device": device.name,
        "kernels": kernels(),
    }
    for package in dict.fromkeys(["numpy", *(PACKAGES[name] for name in taking_part if name in PACKAGES)]):
        settings[package] = version(package)
    blas = np.show_config("dicts")["Build Dependencies"]["blas"]
    settings["blas"] = f"{blas['name']} {blas['version']}"
    name = f"epoch-{options.activation}-b{options.batch_size}-t{threads}" + ("-noise" if kind == "noise" else "")
    seconds = seconds_in_turn(taking_part, options.rounds)
    report(name + variant(options), settings, seconds, options.json)


if __name__ == "__main__":
    main()
