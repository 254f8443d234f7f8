"""A dense layer: forward, backward, and nothing hidden between them.

A layer owns no memory: its parameters and their gradients are views into two flat vectors of the network.
"""

from typing import Any

from array_api_compat import array_namespace

from .activations import Activation


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
        z += self.bias
        if keep:
            self.x, self.z = x, z
        return self.activation.value(z)

    def backward(self, gradient: Any, *, add: bool = False, first: bool = False) -> Any:
        """Set the gradients of the parameters; return the gradient with respect to the input (batch, fan_in).

        gradient: that of the loss with respect to the output of the last `forward(x, keep=True)`, (batch, fan_out).
        add: add to the gradients of the parameters instead, for a batch that comes in pieces.
        first: nothing lies before this layer; the gradient of its input is not computed, and None is returned.
        """
        delta = self.activation.slope(self.z)  # (batch, fan_out)
        delta *= gradient
        weight_gradient = self.x.T @ delta
        bias_gradient = array_namespace(delta).sum(delta, axis=0)
        if add:
            self.weight_gradient += weight_gradient
            self.bias_gradient += bias_gradient
        else:
            self.weight_gradient[...] = weight_gradient
            self.bias_gradient[...] = bias_gradient
        return None if first else delta @ self.weight.T
