"""The same training for JAX: an epoch is one program."""

import os
from typing import Any

import numpy as np
from peers import DRAWN, LeftOut, basis, check, distortions

from lettergpu.cli.benchmark import Epoch, Task
from lettergpu.data import SIDE
from lettergpu.nn.layers import EPSILON, PACE


def jax_pixels(images: Any, maps: Any) -> Any:
    """(batch, 784) in [0, 1] of uint8 images (batch, 784), moved by maps (batch, 2, any): four gathers of a border."""
    import jax.numpy as jnp

    stride = SIDE + 2
    square = jnp.pad(images.reshape(-1, SIDE, SIDE), ((0, 0), (1, 1), (1, 1))).reshape(-1, stride * stride)
    places = jnp.clip(maps @ basis(maps.shape[2]) + 1, 0, SIDE + 1)  # (batch, 2, 784)
    corner = jnp.minimum(places.astype(jnp.int32), SIDE)
    (down, right), at = jnp.moveaxis(places - corner, 1, 0), corner[:, 0] * stride + corner[:, 1]
    a, b, c, d = (
        jnp.take_along_axis(square, at + beside, axis=1, mode="clip").astype(jnp.float32)
        for beside in (0, 1, stride, stride + 1)
    )
    upper, lower = a + right * (b - a), c + right * (d - c)
    return (upper + down * (lower - upper)) / 255


def jax_scan(task: Task) -> Epoch:
    os.environ.setdefault("XLA_PYTHON_CLIENT_PREALLOCATE", "false")  # leave the others some of a GPU's memory
    import jax
    import jax.numpy as jnp

    check(task)
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
    frames = jnp.asarray(task.frames()) if config.moment_norm else None

    def loss_and_logits(layers: Any, x: Any, y: Any) -> tuple[Any, Any]:
        moments = []
        for weight, bias, *scale in layers[:-1]:
            z = x @ weight
            if scale:
                mean, variance = z.mean(axis=0), z.var(axis=0)
                z = (z - mean) * (scale[0] * jax.lax.rsqrt(variance + EPSILON))
                moments.append((mean, variance))
            x = activation(z + bias[..., None, :])
        weight, bias = layers[-1]
        logits = x @ weight + bias[..., None, :]
        logs = jax.nn.log_softmax(logits)
        aimed_at = jnp.take_along_axis(logs, y[..., None], axis=-1).sum()
        if s := config.label_smoothing:
            aimed_at = (1 - s) * aimed_at + s * logs.mean(axis=-1).sum()
        return -aimed_at / y.shape[-1], (logits, moments)

    def train(state: Any, order: Any, rates: Any, key: Any, images: Any, labels: Any) -> tuple[Any, Any, Any]:
        maps = frames
        if config.augment != "none":
            maps = distortions(jax.random.uniform(key, (count, DRAWN)), frames, config)

        def step(state: Any, given: Any) -> tuple[Any, tuple[Any, Any]]:
            (layers, velocities, running), (rows, rate) = state, given
            x, y = images[rows], labels[rows]
            x = x.astype(jnp.float32) / 255 if maps is None else jax_pixels(x, maps[rows])
            (loss, (logits, moments)), gradients = jax.value_and_grad(loss_and_logits, has_aux=True)(layers, x, y)
            running = jax.tree.map(lambda r, m: r + PACE * (m - r), running, moments)
            velocities = jax.tree.map(lambda v, g: config.momentum * v - rate * g, velocities, gradients)
            if config.nesterov:
                layers = jax.tree.map(lambda p, v, g: p + config.momentum * v - rate * g, layers, velocities, gradients)
            else:
                layers = jax.tree.map(jnp.add, layers, velocities)
            return (layers, velocities, running), (loss * y.shape[-1], (logits.argmax(axis=-1) == y).sum())

        full = count - count % size
        steps = jnp.moveaxis(order[..., :full].reshape(*order.shape[:-1], -1, size), -2, 0)
        state, (losses, corrects) = jax.lax.scan(step, state, (steps, rates[: len(steps)]))
        loss_sum, correct = losses.sum(), corrects.sum()
        if full < count:
            state, (loss, right) = step(state, (order[..., full:], rates[-1]))
            loss_sum, correct = loss_sum + loss, correct + right
        return state, loss_sum, correct

    run = jax.jit(train, donate_argnums=0)
    layers = [[jnp.array(array) for array in layer] for layer in task.parameters()]
    running = []
    if config.batch_norm:
        running = [(jnp.zeros_like(bias), jnp.ones_like(bias)) for _, bias in layers[:-1]]
        layers = [[*layer, jnp.ones_like(layer[1])] for layer in layers[:-1]] + layers[-1:]
    state = layers, jax.tree.map(jnp.zeros_like, layers), running

    def epoch(number: int) -> tuple[float, float]:
        nonlocal state
        order = jnp.asarray(task.order(number).astype(np.int32))
        rates = jnp.asarray(np.float32(task.rates(number)))
        state, loss_sum, correct = run(state, order, rates, jax.random.key(number), images, labels)
        return float(loss_sum) / order.size, float(correct) / order.size

    return epoch
