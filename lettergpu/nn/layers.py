"""Dense layers, plain and normalised: forward, backward, and nothing hidden between them.

A layer owns no memory: its parameters and their gradients are views into two flat vectors of the network. All arrays
may have one axis more in front, for the layers of several networks that learn side by side; their input may be shared.
"""

from typing import Any

from array_api_compat import array_namespace

from ..backends.dispatch import dispatched
from ..backends.ranks import ALONE, Ranks
from .activations import ACTIVATIONS, Activation

EPSILON = 1e-5  # added to a variance
PACE = 0.05  # how far the running mean and variance go to a batch's own


class Dense:
    """a = g(x W + b).

    weight, weight_gradient: (fan_in, fan_out). bias, bias_gradient: (fan_out,). Any float dtype. ranks: the processes,
    each of which has a share of every batch.
    """

    ranks: Ranks = ALONE

    def __init__(self, weight: Any, bias: Any, weight_gradient: Any, bias_gradient: Any, activation: Activation):
        self.weight, self.bias = weight, bias
        self.weight_gradient, self.bias_gradient = weight_gradient, bias_gradient
        self.activation = activation

    def forward(self, x: Any, *, keep: bool = False) -> Any:
        """The layer's output (batch, fan_out) for its input x (batch, fan_in).

        keep: remember what `backward` needs.
        """
        a, kept = dense(x, self.weight, self.bias, self.activation, keep)
        if keep:
            self.x, self.kept = x, kept
        return a

    def delta(self, gradient: Any, *, add: bool = False) -> Any:
        """The gradient of the loss with respect to z = x W + b, from that with respect to g(z), both (batch, fan_out).

        That is of the last `forward(x, keep=True)`. add: as for `backward`.
        """
        return gradient_before(gradient, self.kept, self.activation)

    def backward(self, delta: Any, *, add: bool = False, before: "Dense | None" = None) -> Any:
        """Set the gradients of the parameters; return the `delta` of the layer before this one, (batch, fan_in).

        delta: the gradient with respect to z, (batch, fan_out). add: add to the gradients of the parameters instead,
        for a batch that comes in pieces. before: None where there is none, and None is returned.
        """
        return self._backward(delta, self.bias_gradient, add, before)

    def _backward(self, delta: Any, bias_gradient: Any, add: bool, before: "Dense | None") -> Any:
        given = delta, self.x, self.weight, self.weight_gradient, bias_gradient, add
        if type(before) is Dense:
            return gradients(*given, before.kept, before.activation, False)
        gradient = gradients(*given, None, self.activation, before is None)
        return before.delta(gradient, add=add) if before else None

    def folded(self) -> tuple[Any, Any]:
        """Weight and bias of the plain layer that answers as this one does when it does not learn."""
        return self.weight, self.bias


class NormalisedDense(Dense):
    """a = g(scale (x W - mean) / sqrt(variance + EPSILON) + b). Ioffe, Szegedy 2015, "Batch normalization".

    mean and variance are those of each node over the batch, or over the piece of a batch that comes in pieces. Without
    `keep` they are what the layer holds of the batches before, `mean` and `variance`, an average that forgets; both are
    0 before the first batch. scale, scale_gradient, mean, variance: (fan_out,); all else as in Dense.
    """

    def __init__(
        self,
        weight: Any,
        bias: Any,
        weight_gradient: Any,
        bias_gradient: Any,
        activation: Activation,
        scale: Any,
        scale_gradient: Any,
        mean: Any,
        variance: Any,
    ):
        super().__init__(weight, bias, weight_gradient, bias_gradient, activation)
        self.scale, self.scale_gradient, self.mean, self.variance = scale, scale_gradient, mean, variance

    def forward(self, x: Any, *, keep: bool = False) -> Any:
        if not keep:
            return dense(x, *self.folded(), self.activation, False)[0]
        z, _ = dense(x, self.weight, None, ACTIVATIONS["identity"], False)
        self.x = x
        a, self.kept, self.standard, self.factor = normalised(
            z, self.scale, self.bias, self.mean, self.variance, self.activation, self.ranks
        )
        return a

    def delta(self, gradient: Any, *, add: bool = False) -> Any:
        """The gradient with respect to z = x W; those of scale and bias are set."""
        kept = self.kept, self.standard, self.factor
        return gradient_before_normalised(
            gradient, *kept, self.activation, self.scale_gradient, self.bias_gradient, add, self.ranks
        )

    def backward(self, delta: Any, *, add: bool = False, before: "Dense | None" = None) -> Any:
        return self._backward(delta, None, add, before)

    def folded(self) -> tuple[Any, Any]:
        factor = self.scale / array_namespace(self.scale).sqrt(self.variance + EPSILON)
        return self.weight * factor[..., None, :], self.bias - self.mean * factor


@dispatched
def dense(x: Any, weight: Any, bias: Any, activation: Activation, keep: bool) -> tuple[Any, Any]:
    """g(z) with z = x W + b, both (batch, fan_out), and with `keep` what `gradient_before` wants to know of z.

    That is here z itself; a backend may keep something else, which only its own functions understand. A bias of None
    is 0.
    """
    z = x @ weight
    if bias is not None:
        z += bias[..., None, :]
    return activation.value(z), z


def moments(z: Any, ranks: Ranks) -> tuple[Any, Any]:
    """Mean and variance of each node, (fan_out,), over the rows of all ranks; z (rows, fan_out) are this one's.

    From each one's own, which may have no rows: Chan, Golub, LeVeque 1979, "Updating formulae and a pairwise
    algorithm for computing sample variances".
    """
    xp, rows = array_namespace(z), z.shape[-2]
    if rows == 0:
        mean = variance = xp.sum(z, axis=-2)
    else:
        mean = xp.mean(z, axis=-2)
        away = z - mean[..., None, :]
        away *= away
        variance = xp.mean(away, axis=-2)
    if ranks.size == 1:
        return mean, variance
    of_each = ranks.gather(xp.stack([xp.full_like(mean, rows), mean, variance]))
    counts, means, variances = (of_each[:, i, ...] for i in range(3))  # (ranks, fan_out)
    shares = counts / xp.sum(counts, axis=0)
    mean = xp.sum(shares * means, axis=0)
    return mean, xp.sum(shares * (variances + (means - mean) ** 2), axis=0)


@dispatched(epsilon=EPSILON, pace=PACE, moments=moments)
def normalised(
    z: Any, scale: Any, bias: Any, mean: Any, variance: Any, activation: Activation, ranks: Ranks
) -> tuple[Any, Any, Any, Any]:
    """g(y) with y = scale standard + bias, and standard = (z - its mean) / sqrt(its variance + EPSILON), of each node.

    Also what `gradient_before_normalised` wants to know of y, standard, all (batch, fan_out), and scale / sqrt(variance
    + EPSILON), (fan_out,). The running mean and variance are changed in place. z may be, too.
    """
    xp = array_namespace(z)
    batch_mean, batch_variance = moments(z, ranks)
    standard = z - batch_mean[..., None, :]
    per_deviation = 1.0 / xp.sqrt(batch_variance + EPSILON)
    standard *= per_deviation[..., None, :]
    pace = PACE + (1.0 - PACE) * xp.astype(variance == 0, z.dtype)
    mean += pace * (batch_mean - mean)
    variance += pace * (batch_variance - variance)
    y = standard * scale[..., None, :] + bias[..., None, :]
    return activation.value(y), y, standard, scale * per_deviation


@dispatched
def gradient_before_normalised(
    gradient: Any,
    kept: Any,
    standard: Any,
    factor: Any,
    activation: Activation,
    scale_gradient: Any,
    bias_gradient: Any,
    add: bool,
    ranks: Ranks,
) -> Any:
    """The gradient with respect to z of `normalised` from that with respect to g(y), both (batch, fan_out).

    factor: scale / sqrt(variance + EPSILON), (fan_out,). The gradients of scale and bias are set, or added to: those of
    this process's rows.
    """
    xp = array_namespace(gradient)
    delta = gradient_before(gradient, kept, activation)
    scales, biases = xp.sum(delta * standard, axis=-2), xp.sum(delta, axis=-2)
    if add:
        scale_gradient += scales
        bias_gradient += biases
    else:
        scale_gradient[...] = scales
        bias_gradient[...] = biases
    totals = ranks.sum(xp.stack([scales, biases, xp.full_like(biases, delta.shape[-2])]))
    scales, biases = (totals[i, ..., None, :] / totals[2, ..., None, :] for i in range(2))
    return (delta - standard * scales - biases) * factor[..., None, :]


@dispatched
def gradients(
    delta: Any,
    x: Any,
    weight: Any,
    weight_gradient: Any,
    bias_gradient: Any,
    add: bool,
    kept: Any,
    activation: Activation,
    first: bool,
) -> Any:
    """All that a layer does on the way back, from the gradient with respect to z, delta (batch, fan_out).

    kept, activation: of the layer before, with respect to whose z the gradient is returned, (batch, fan_in). With
    respect to x if kept is None; None if there is nothing before. bias_gradient: None where there is no bias.
    """
    set_gradients(weight_gradient, bias_gradient, x, delta, add)
    if first:
        return None
    gradient = gradient_of_input(delta, weight)
    return gradient if kept is None else gradient_before(gradient, kept, activation)


@dispatched
def gradient_before(gradient: Any, kept: Any, activation: Activation) -> Any:
    """The gradient with respect to z, gradient * g'(z), from that with respect to g(z). All (batch, fan_out)."""
    delta = activation.slope(kept)
    delta *= gradient
    return delta


@dispatched
def set_gradients(weight_gradient: Any, bias_gradient: Any, x: Any, delta: Any, add: bool) -> None:
    """From the gradient with respect to z, delta (batch, fan_out): x^T delta, and the sum of its rows.

    bias_gradient: None where there is no bias.
    """
    xp = array_namespace(delta)
    sums = [(weight_gradient, xp.matrix_transpose(x) @ delta)]
    if bias_gradient is not None:
        sums.append((bias_gradient, xp.sum(delta, axis=-2)))
    for total, part in sums:
        if add:
            total += part
        else:
            total[...] = part


@dispatched
def gradient_of_input(delta: Any, weight: Any) -> Any:
    """The gradient with respect to x, delta W^T, (batch, fan_in)."""
    return delta @ array_namespace(weight).matrix_transpose(weight)
