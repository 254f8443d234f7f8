"""The same training for PyTorch, eager and compiled."""

import os
import shutil
from collections.abc import Callable
from functools import partial
from itertools import chain
from typing import Any

import numpy as np
from peers import DRAWN, LeftOut, basis, check, distortions

from lettergpu.cli.benchmark import Epoch, Task
from lettergpu.config import Config
from lettergpu.data import SIDE
from lettergpu.nn.layers import EPSILON, PACE


def torch_activation(name: str) -> Callable:
    import torch

    return {
        "relu": torch.relu,
        "swish": torch.nn.functional.silu,
        "mish": torch.nn.functional.mish,
        "tanhexp": lambda z: z * torch.tanh(torch.exp(z)),
    }[name]


def torch_arrays(task: Task) -> tuple[Any, Any, Any]:
    """The task's layers, as PyTorch wants them: [weight, bias] and, where it normalises, scale; images; labels."""
    import torch

    check(task)
    if task.kind == "cuda" and not torch.cuda.is_available():
        raise LeftOut("PyTorch finds no usable GPU")
    torch.set_float32_matmul_precision({"tf32": "high", "bf16": "medium"}.get(task.config.precision, "highest"))
    layers = []
    for weight, bias in task.parameters():
        arrays = [weight.T if weight.ndim == 2 else weight, bias]
        if task.config.batch_norm and len(layers) < len(task.config.hidden):
            arrays.append(np.ones_like(bias))
        layers.append([torch.tensor(array).to(task.kind) for array in arrays])
    return layers, torch.tensor(task.images).to(task.kind), torch.tensor(task.labels).to(task.kind)


def torch_moves(task: Task) -> Callable[[], Any]:
    """What gives an epoch's maps, (n, 2, any), or None where letters stay where they are."""
    import torch

    if not task.config.moment_norm:
        return lambda: None
    frames = torch.tensor(task.frames()).to(task.kind)
    if task.config.augment == "none":
        return lambda: frames
    return lambda: distortions(torch.rand(len(frames), DRAWN, device=task.kind), frames, task.config)


def torch_pixels(images: Any, maps: Any, grid: Any) -> Any:
    """(batch, 784) in [0, 1] of uint8 images (batch, 784), moved by maps (batch, 2, any); grid: their `basis`."""
    import torch

    x = images.float() / 255
    if maps is None:
        return x
    places = (maps.flip(1) @ grid) * (2 / (SIDE - 1)) - 1  # (batch, 2, 784), x before y, from -1 to 1
    squares, places = x.view(-1, 1, SIDE, SIDE), places.view(-1, 2, SIDE, SIDE).permute(0, 2, 3, 1)
    return torch.nn.functional.grid_sample(squares, places, align_corners=True).view(-1, SIDE * SIDE)


def torch_loss_and_logits(config: Config, layers: list[Any], running: list[Any], x: Any, y: Any) -> tuple[Any, Any]:
    """The mean loss of a batch, of an ensemble the sum of its members' means; the logits."""
    import torch

    activation = torch_activation(config.activation)

    def dense(x: Any, weight: Any, bias: Any = None) -> Any:
        if weight.dim() == 2:
            return torch.nn.functional.linear(x, weight, bias)
        return torch.baddbmm(bias[:, None], x, weight)

    for (weight, bias, *scale), moments in zip(layers, running, strict=False):
        if scale:
            z = torch.nn.functional.batch_norm(dense(x, weight), *moments, *scale, bias, True, PACE, EPSILON)
        else:
            z = dense(x, weight, bias)
        x = activation(z)
    logits = dense(x, *layers[-1])
    smoothing = config.label_smoothing
    loss = torch.nn.functional.cross_entropy(
        logits.flatten(0, -2), y.flatten(), reduction="sum", label_smoothing=smoothing
    )
    return loss / y.shape[-1], logits


def torch_running(layers: list[Any]) -> list[Any]:
    """Mean and variance of each hidden layer to begin with."""
    import torch

    return [[torch.zeros_like(bias), torch.ones_like(bias)] for _, bias, *_ in layers[:-1]]


def torch_eager(task: Task) -> Epoch:
    import torch

    layers, images, labels = torch_arrays(task)
    config, running, moves = task.config, torch_running(layers), torch_moves(task)
    parameters = [parameter.requires_grad_() for parameter in chain(*layers)]
    optimizer = torch.optim.SGD(parameters, momentum=config.momentum, nesterov=config.nesterov)

    def epoch(number: int) -> tuple[float, float]:
        order = torch.from_numpy(task.order(number)).to(task.kind)
        maps = moves()
        grid = None if maps is None else torch.from_numpy(basis(maps.shape[2])).to(task.kind)
        loss_sum = torch.zeros((), device=task.kind)
        correct = torch.zeros((), dtype=torch.int64, device=task.kind)
        for rows, rate in zip(order.split(config.batch_size, dim=-1), task.rates(number), strict=True):
            x = torch_pixels(images[rows], None if maps is None else maps[rows], grid)
            y = labels[rows]
            loss, logits = torch_loss_and_logits(config, layers, running, x, y)
            optimizer.param_groups[0]["lr"] = rate
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            with torch.no_grad():
                loss_sum += loss * y.shape[-1]
                correct += (logits.argmax(dim=-1) == y).sum()
        return float(loss_sum) / order.numel(), float(correct) / order.numel()

    return epoch


def torch_compiled(task: Task) -> Epoch:
    """Gather, warp, forward, backward, step and bookkeeping as one graph, which torch.func's gradients allow."""
    import torch

    if task.kind == "cpu" and not shutil.which(os.environ.get("CXX", "g++")):
        raise LeftOut("torch.compile needs g++")
    layers, images, labels = torch_arrays(task)
    config, running, moves = task.config, torch_running(layers), torch_moves(task)
    parameters = list(chain(*layers))
    velocities = [[torch.zeros_like(parameter) for parameter in layer] for layer in layers]
    loss_sum = torch.zeros((), device=task.kind)
    correct = torch.zeros((), dtype=torch.int64, device=task.kind)
    loss_and_logits = partial(torch_loss_and_logits, config)
    maps = moves()
    grid = None if maps is None else torch.from_numpy(basis(maps.shape[2])).to(task.kind)

    def step(layers: list[Any], velocities: list[Any], loss_sum: Any, correct: Any, rows: Any, rate: Any) -> None:
        x, y = torch_pixels(images[rows], None if maps is None else maps[rows], grid), labels[rows]
        gradients, (loss, logits) = torch.func.grad_and_value(loss_and_logits, has_aux=True)(layers, running, x, y)
        for parameter, velocity, gradient in zip(chain(*layers), chain(*velocities), chain(*gradients), strict=True):
            velocity.mul_(config.momentum).add_(gradient)
            parameter.sub_(rate * (gradient + config.momentum * velocity if config.nesterov else velocity))
        loss_sum.add_(loss * y.shape[-1])
        correct.add_((logits.argmax(dim=-1) == y).sum())

    if task.kind == "cuda":  # a CUDA graph may change these in place, as they stay where they are
        for tensor in (*parameters, *chain(*velocities), *chain(*running), loss_sum, correct, images, labels):
            torch._dynamo.mark_static_address(tensor)
    compiled = torch.compile(step, dynamic=False, mode="reduce-overhead" if task.kind == "cuda" else None)

    def epoch(number: int) -> tuple[float, float]:
        loss_sum.zero_()
        correct.zero_()
        if maps is not None:
            maps.copy_(moves())
        order = torch.from_numpy(task.order(number)).to(task.kind)
        rates = torch.tensor(task.rates(number)).to(task.kind)
        for rows, rate in zip(order.split(config.batch_size, dim=-1), rates, strict=True):
            compiled(layers, velocities, loss_sum, correct, rows, rate)
        return float(loss_sum) / order.numel(), float(correct) / order.numel()

    return epoch
