"""A dense layer: forward, backward, and nothing hidden between them.

A layer owns no memory: its parameters and their gradients are views into two flat vectors of the network.
"""

from typing import Any

from array_api_compat import array_namespace

from .activations import Activation
from .dispatch import dispatched


class Dense:
    """a = g(x W + b).

    weight, weight_gradient: (fan_in, fan_out). bias, bias_gradient: (fan_out,). Any float dtype.
    """

    def __init__(self, weight: Any, bias: Any, weight_gradient: Any, bias_gradient: Any, activation: Activation):
        self.weight, self.bias = weight, bias
        self.weight_gradient, self.bias_gradient = weight_gradient, bias_gradient
        self.activation = activation

    def forward(self, x: Any, *, keep: bool = False) -> Any:
        """The layer's output (batch, fan_out) for its input x (batch, fan_in).

        keep: remember x and the pre-activation for `backward`.
        """
        z = x @ self.weight  # (batch, fan_out)
        a = activate(z, self.bias, self.activation)
        if keep:
            self.x, self.z = x, z
        return a

    def backward(self, gradient: Any, *, add: bool = False, first: bool = False) -> Any:
        """Set the gradients of the parameters; return the gradient with respect to the input (batch, fan_in).

        gradient: that of the loss with respect to the output of the last `forward(x, keep=True)`, (batch, fan_out).
        add: add to the gradients of the parameters instead, for a batch that comes in pieces.
        first: nothing lies before this layer; the gradient of its input is not computed, and None is returned.
        """
        delta = gradient_before(gradient, self.z, self.activation)  # (batch, fan_out)
        set_product(self.weight_gradient, self.x.T, delta, add)
        set_sum(self.bias_gradient, delta, add)
        return None if first else delta @ self.weight.T


@dispatched
def activate(z: Any, bias: Any, activation: Activation) -> Any:
    """g(z + b). z: (batch, width), which is turned into z + b. bias: (width,)."""
    z += bias
    return activation.value(z)


@dispatched
def gradient_before(gradient: Any, z: Any, activation: Activation) -> Any:
    """The gradient with respect to z, gradient * g'(z), from that with respect to g(z). All (batch, width)."""
    delta = activation.slope(z)
    delta *= gradient
    return delta


@dispatched
def set_product(total: Any, a: Any, b: Any, add: bool) -> None:
    """total <- a b, or with `add` total + a b. Matrices."""
    if add:
        total += a @ b
    else:
        total[...] = a @ b


@dispatched
def set_sum(total: Any, rows: Any, add: bool) -> None:
    """total <- the sum of the rows, or with `add` that plus total. total: (width,). rows: (batch, width)."""
    column_sums = array_namespace(rows).sum(rows, axis=0)
    if add:
        total += column_sums
    else:
        total[...] = column_sums
