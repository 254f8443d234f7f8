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

        keep: remember what `backward` needs.
        """
        a, kept = dense(x, self.weight, self.bias, self.activation, keep)
        if keep:
            self.x, self.kept = x, kept
        return a

    def backward(self, gradient: Any, *, add: bool = False, first: bool = False) -> Any:
        """Set the gradients of the parameters; return the gradient with respect to the input (batch, fan_in).

        gradient: that of the loss with respect to the output of the last `forward(x, keep=True)`, (batch, fan_out).
        add: add to the gradients of the parameters instead, for a batch that comes in pieces.
        first: nothing lies before this layer; the gradient of its input is not computed, and None is returned.
        """
        delta = gradient_before(gradient, self.kept, self.activation)  # (batch, fan_out)
        set_gradients(self.weight_gradient, self.bias_gradient, self.x, delta, add)
        return None if first else gradient_of_input(delta, self.weight)


@dispatched
def dense(x: Any, weight: Any, bias: Any, activation: Activation, keep: bool) -> tuple[Any, Any]:
    """g(z) with z = x W + b, both (batch, fan_out), and with `keep` what `gradient_before` wants to know of z.

    That is here z itself, and elsewhere may be g'(z).
    """
    z = x @ weight
    z += bias
    return activation.value(z), z


@dispatched
def gradient_before(gradient: Any, kept: Any, activation: Activation) -> Any:
    """The gradient with respect to z, gradient * g'(z), from that with respect to g(z). All (batch, fan_out)."""
    delta = activation.slope(kept)
    delta *= gradient
    return delta


@dispatched
def set_gradients(weight_gradient: Any, bias_gradient: Any, x: Any, delta: Any, add: bool) -> None:
    """From the gradient with respect to z, delta (batch, fan_out): x^T delta, and the sum of its rows."""
    weights, biases = x.T @ delta, array_namespace(delta).sum(delta, axis=0)
    if add:
        weight_gradient += weights
        bias_gradient += biases
    else:
        weight_gradient[...] = weights
        bias_gradient[...] = biases


@dispatched
def gradient_of_input(delta: Any, weight: Any) -> Any:
    """The gradient with respect to x, delta W^T, (batch, fan_in)."""
    return delta @ weight.T
