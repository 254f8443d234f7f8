"""Gradient descent with momentum, on the one flat vector of parameters."""

from typing import Any

from array_api_compat import array_namespace


class Momentum:
    """v <- momentum v - rate g;  w <- w + v, or with Nesterov's look-ahead  w <- w + momentum v - rate g.

    Momentum 0 is plain gradient descent. Sutskever, Martens, Dahl, Hinton 2013, "On the importance of
    initialization and momentum in deep learning".

    velocity: a vector like the parameters; the only state.
    """

    def __init__(self, parameters: Any, *, learning_rate: float, momentum: float, nesterov: bool):
        self.learning_rate, self.momentum, self.nesterov = learning_rate, momentum, nesterov
        self.velocity = array_namespace(parameters).zeros_like(parameters)

    def step(self, parameters: Any, gradients: Any) -> None:
        """Change the parameters in place. `gradients` serves as scratch space."""
        gradients *= -self.learning_rate
        self.velocity *= self.momentum
        self.velocity += gradients
        if self.nesterov:
            parameters += gradients
            parameters += self.momentum * self.velocity
        else:
            parameters += self.velocity
