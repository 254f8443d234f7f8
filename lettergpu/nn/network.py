"""A fully-connected network, or several side by side: a list of dense layers over one flat vector of parameters."""

import math
from collections.abc import Iterator, Sequence
from itertools import pairwise
from typing import Any

import numpy as np
from array_api_compat import array_namespace, device

from ..backends.device import CPU, Device
from ..backends.dispatch import dispatched
from ..backends.libraries import adopted
from ..config import Config
from ..data import SIDE
from ..errors import LettergpuError
from ..randomness import generator
from .activations import ACTIVATIONS
from .initializers import INITIALIZERS
from .layers import Dense, NormalisedDense
from .losses import LOSSES
from .pixels import assemble, to_floats
from .warps import SIZE, STEEPEST, composed, moment_frames, view_maps

CHUNK = 2048  # images whose activations are held at once
NO_ANSWER = "the network's answers are no numbers: its parameters are too large; take another one, or train it again"


class Network:
    """Dense layers from `sizes[0]` inputs to `sizes[-1]` classes, the last one without an activation.

    sizes: (inputs, hidden..., classes); without a hidden layer it is a perceptron. activation: a key of
    ACTIVATIONS. loss: a key of LOSSES. classes: the name of each class. batch_norm: whether hidden layers normalise.
    moment_norm: whether images are moved by `moment_frames` before they are answered; `forward` expects it done.
    views: in how many ways each image is looked at, those of `view_maps`; the logits are the mean of theirs.
    members: of how many networks of this kind it is an ensemble. Then each tensor of the parameters has one axis more
    in front, `forward` gives each member's logits (members, batch, classes), and the answer is their mean.
    parameters, gradients: flat vectors, first all `weight_count` weights, layer by layer, then all biases, and with
    batch_norm the scales, running means and running variances of the hidden layers; the gradients of the latter two
    stay 0. layers[i].weight (fan_in, fan_out) and layers[i].bias (fan_out,) are writable views into parameters.
    All parameters are zero until `initialize`.
    """

    def __init__(
        self,
        sizes: Sequence[int],
        *,
        activation: str = Config.activation,
        loss: str = Config.loss,
        classes: Sequence[str] | None = None,
        batch_norm: bool = False,
        moment_norm: bool = False,
        views: int = 1,
        members: int = 1,
        device: Device = CPU,
        dtype: str = "float32",
    ):
        for name, table in ((activation, ACTIVATIONS), (loss, LOSSES)):
            if name not in table:
                raise ValueError(f"{name!r} is none of {', '.join(table)}")
        xp = device.namespace
        device.use()
        self.sizes, self.activation, self.loss, self.device = tuple(sizes), activation, loss, device
        self.dtype, self.moment_norm, self.views = dtype, moment_norm, views
        self.classes = tuple(classes) if classes is not None else tuple(str(i) for i in range(sizes[-1]))
        self.batch_norm, self.members = batch_norm, members
        self.layout = layout(self.sizes, batch_norm, members)
        self.weight_count = members * (parameter_count(self.sizes) - sum(self.sizes[1:]))
        count = sum(math.prod(shape) for _, shape in self.layout.values())
        self.parameters = xp.zeros(count, dtype=getattr(xp, dtype), device=device.handle)
        self.gradients = xp.zeros_like(self.parameters)
        self.layers = [self._layer(i, last=i == len(self.sizes) - 2) for i in range(len(self.sizes) - 1)]

    @classmethod
    def begun(
        cls, config: Config, classes: Sequence[str], device: Device = CPU, inputs: int = SIDE * SIDE
    ) -> "Network":
        """The network that a training by `config` begins with, each member's parameters drawn from its own seed."""
        network = cls(
            (inputs, *config.hidden, len(classes)),
            activation=config.activation,
            loss=config.loss,
            classes=classes,
            batch_norm=config.batch_norm,
            moment_norm=config.moment_norm,
            members=config.ensemble,
            device=device,
        )
        for number, seed in enumerate(config.seeds):
            member = network.member(number)
            member.initialize(generator(seed, "parameters"), config.init)
            network.set_member(number, member)
        return network

    def _layer(self, i: int, *, last: bool) -> Dense:
        def value(name: str) -> Any:
            return self._view(self.parameters, f"layers.{i}.{name}")

        def gradient(name: str) -> Any:
            return self._view(self.gradients, f"layers.{i}.{name}")

        own = ACTIVATIONS["identity" if last else self.activation]
        plain = value("weight"), value("bias"), gradient("weight"), gradient("bias"), own
        if last or not self.batch_norm:
            return Dense(*plain)
        return NormalisedDense(*plain, value("scale"), gradient("scale"), value("mean"), value("variance"))

    def _view(self, vector: Any, name: str) -> Any:
        offset, shape = self.layout[name]
        return self.device.namespace.reshape(vector[offset : offset + math.prod(shape)], shape, copy=False)

    def initialize(self, rng: np.random.Generator, init: str) -> None:
        """Draw all weights and biases of a network alone, layer by layer. init: a key of INITIALIZERS."""
        xp = self.device.namespace
        for layer in self.layers:
            weight, bias = INITIALIZERS[init](rng, *layer.weight.shape)
            layer.weight[...] = xp.astype(self.device.put(weight), layer.weight.dtype)
            layer.bias[...] = 0.0 if bias is None else xp.astype(self.device.put(bias), layer.bias.dtype)
            if isinstance(layer, NormalisedDense):
                layer.scale[...] = 1.0
                layer.mean[...] = 0.0
                layer.variance[...] = 0.0

    def member(self, number: int) -> "Network":
        """A network of its own with the parameters of one member."""
        alone = self._like(batch_norm=self.batch_norm, members=1)
        for name in self.layout:
            alone._view(alone.parameters, name)[...] = self._of_member(number, name)
        return alone

    def set_member(self, number: int, network: "Network") -> None:
        """Take over the parameters of a network of this kind as one member's."""
        for name in self.layout:
            self._of_member(number, name)[...] = network._view(network.parameters, name)

    def _of_member(self, number: int, name: str) -> Any:
        tensor = self._view(self.parameters, name)
        return tensor[number, ...] if self.members > 1 else tensor

    def folded(self) -> "Network":
        """The same network without normalisation, whose running means and variances its weights and biases take up."""
        plain = self._like(batch_norm=False, members=self.members)
        for layer, own in zip(plain.layers, self.layers, strict=True):
            layer.weight[...], layer.bias[...] = own.folded()
        return plain

    def with_parameters(self, parameters: np.ndarray) -> "Network":
        """A network of the same kind, with these parameters from the host."""
        other = self._like(batch_norm=self.batch_norm, members=self.members)
        other.parameters[...] = self.device.put(parameters)
        return other

    def _like(self, *, batch_norm: bool, members: int) -> "Network":
        return Network(
            self.sizes,
            activation=self.activation,
            loss=self.loss,
            classes=self.classes,
            batch_norm=batch_norm,
            moment_norm=self.moment_norm,
            views=self.views,
            members=members,
            device=self.device,
            dtype=self.dtype,
        )

    def forward(self, x: Any, *, keep: bool = False) -> Any:
        """Logits (batch, classes) of pixels x (batch, inputs) in [0, 1]. keep: remember what `backward` needs.

        With several members: (members, batch, classes), of pixels for all or, (members, batch, inputs), for each. x may
        be of any array library; the logits are where the network is.
        """
        self.device.use()
        if type(x) is not type(self.parameters):
            x = adopted(x, self.device)
        for layer in self.layers:
            x = layer.forward(x, keep=keep)
        return x

    def backward(self, gradient: Any, *, add: bool = False) -> None:
        """Set `gradients` from the gradient of the loss with respect to `forward`'s logits, or add to them."""
        delta = self.layers[-1].delta(gradient, add=add)
        for layer, before in zip(reversed(self.layers), [*self.layers[-2::-1], None], strict=True):
            delta = layer.backward(delta, add=add, before=before)

    def answers(self, images: Any, frames: Any = None) -> Iterator[tuple[slice, Any]]:
        """Logits of uint8 images (n, ...), a chunk at a time: (which rows, their logits (rows, classes)).

        images: of `sizes[0]` pixels each, on the host or on the device, or as many features of a float dtype. frames:
        their `moment_frames`, if known.
        """
        for rows, some in self._chunks(images):
            yield rows, self.logits(some, None if frames is None else frames[rows, ...])

    def _chunks(self, images: Any) -> Iterator[tuple[slice, Any]]:
        """As many images at a time as are answered at once, on the device: (which rows, those)."""
        step = max(1, CHUNK // (self.views * self.members))
        for start in range(0, images.shape[0], step):
            rows = slice(start, min(start + step, images.shape[0]))
            yield rows, self.device.put(images[rows, ...])

    def logits(self, images: Any, frames: Any = None) -> Any:
        """Logits (n, classes) of few uint8 images (n, ...) on the device. frames: as for `answers`."""
        xp, logits = self.device.namespace, self.forward(self._pixels(images, self.views, frames))
        if self.members > 1:
            logits = xp.mean(logits, axis=0)
        if self.views > 1:
            logits = xp.mean(xp.reshape(logits, (-1, self.views, logits.shape[1])), axis=1)
        return logits

    def _pixels(self, images: Any, views: int, frames: Any = None) -> Any:
        """What `forward` expects (n * views, inputs) of uint8 images (n, ...), the first one's views in front."""
        xp, dtype, there = self.device.namespace, self.parameters.dtype, self.device.handle
        count, side = images.shape[0], math.isqrt(self.sizes[0])
        flat = xp.reshape(images, (count, self.sizes[0]))
        if views == 1 and not self.moment_norm:
            return to_floats(flat, dtype)
        if self.moment_norm and frames is None:
            frames = moment_frames(xp.reshape(images, (count, side, side)), dtype)
        maps = frames
        if views > 1:
            maps = xp.asarray(view_maps(views, side, side), dtype=dtype, device=there)  # (views, 2, 3)
            if self.moment_norm:
                maps = composed(frames[:, None, :, :], maps[None, :, :, :])  # (n, views, 2, 3)
            else:
                maps = xp.asarray(xp.broadcast_to(maps, (count, views, 2, 3)), copy=True)
        rows = xp.arange(count * views, device=there) // views
        return assemble(flat, rows, xp.reshape(maps, (count * views, 2, 3)), dtype)

    def seen(self, images: np.ndarray) -> np.ndarray:
        """What comes to the first layer of a few uint8 images (n, 28, 28), in the view that is straight, likewise."""
        pixels = self.device.fetch(self._straight(images))
        return np.round(255 * np.clip(pixels, 0, 1)).astype(np.uint8).reshape(images.shape)

    def _straight(self, images: np.ndarray) -> Any:
        return self._pixels(self.device.put(images), 1)

    def hidden(self, images: np.ndarray) -> list[np.ndarray]:
        """The activations of each hidden layer, (n, nodes), on the host, of uint8 images (n, 28, 28) as `seen`.

        Of an ensemble those of its first member.
        """
        x = self._straight(images)
        found = []
        for layer in (self if self.members == 1 else self.member(0)).layers[:-1]:
            x = layer.forward(x, keep=False)
            found.append(self.device.fetch(x))
        return found

    def predict_proba(self, images: Any) -> Any:
        """Probabilities (n, classes) of upright uint8 images (n, 28, 28), letter light on dark.

        With the softmax loss they sum to 1 in each row; with the sigmoid loss each class has its own. images: of any
        array library, on any device; the probabilities are of the same one, and where the images are.
        Raises LettergpuError if those that come to the host are no numbers.
        """
        host = isinstance(images, np.ndarray)
        side, given = math.isqrt(self.sizes[0]), CPU.namespace if host else array_namespace(images)
        if images.dtype != given.uint8 or images.ndim != 3 or tuple(images.shape[1:]) != (side, side):
            raise ValueError(f"images must be uint8 (n, {side}, {side}), not {images.dtype} {tuple(images.shape)}")
        if images.shape[0] == 0:
            return given.empty((0, self.sizes[-1]), dtype=given.float32, device=device(images))
        here = images if host else adopted(images, self.device)
        chunks = [probabilities(some, self) for _, some in self._chunks(here)]
        if given is self.device.namespace and not host:
            return given.asarray(given.concat(chunks), device=device(images))
        parts = [self.device.fetch(chunk) for chunk in chunks]
        fetched = parts[0] if len(parts) == 1 else np.concatenate(parts)
        if not np.isfinite(fetched).all():
            raise LettergpuError(NO_ANSWER)
        return fetched if host else given.asarray(fetched, device=device(images))


@dispatched(steepest=STEEPEST, size=SIZE)
def probabilities(images: Any, network: Network) -> Any:
    """Probabilities (n, classes) of few uint8 images (n, ...), all by the operations that `Network` is made of."""
    with np.errstate(over="ignore", invalid="ignore"):  # `predict_proba` tells it, once
        return LOSSES[network.loss].probabilities(network.logits(images))


def parameter_count(sizes: Sequence[int]) -> int:
    """How many weights and biases a network of these sizes has, those of its normalisation left out: they fold."""
    return sum((fan_in + 1) * fan_out for fan_in, fan_out in pairwise(sizes))


def layout(sizes: Sequence[int], batch_norm: bool = False, members: int = 1) -> dict[str, tuple[int, tuple[int, ...]]]:
    """Where each parameter stands in the flat vector: name -> (offset, shape)."""
    pairs = list(pairwise(sizes))
    shapes: dict[str, tuple[int, ...]] = {f"layers.{i}.weight": pair for i, pair in enumerate(pairs)}
    shapes |= {f"layers.{i}.bias": (fan_out,) for i, (_, fan_out) in enumerate(pairs)}
    for name in ("scale", "mean", "variance") if batch_norm else ():
        shapes |= {f"layers.{i}.{name}": (fan_out,) for i, (_, fan_out) in enumerate(pairs[:-1])}
    table, offset = {}, 0
    for name, shape in shapes.items():
        if members > 1:
            shape = (members, *shape)
        table[name] = offset, shape
        offset += math.prod(shape)
    return table
