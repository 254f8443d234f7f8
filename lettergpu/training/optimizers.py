"""Gradient descent with momentum, on the one flat vector of parameters."""

from typing import Any

from array_api_compat import array_namespace

from ..backends.dispatch import dispatched


class Momentum:
    """v <- momentum v - rate g;  w <- w + v, or with Nesterov's look-ahead  w <- w + momentum v - rate g.

    Momentum 0 is plain gradient descent. Sutskever, Martens, Dahl, Hinton 2013, "On the importance of
    initialization and momentum in deep learning".

    learning_rate: a number, or an array (1,) of one beside the parameters. velocity: a vector like the parameters; the
    only state. The first `decayed` parameters, a network's weights, have l2 w added to their gradient.
    """

    def __init__(
        self, parameters: Any, *, learning_rate: Any, momentum: float, nesterov: bool, l2: float, decayed: int
    ):
        self.learning_rate, self.momentum, self.nesterov = learning_rate, momentum, nesterov
        self.l2, self.decayed = l2, decayed
        self.velocity = array_namespace(parameters).zeros_like(parameters)

    def step(self, parameters: Any, gradients: Any) -> None:
        """Change the parameters in place. `gradients` serves as scratch space."""
        momentum_step(parameters, gradients, self)


@dispatched
def momentum_step(parameters: Any, gradients: Any, settings: Momentum) -> None:
    """One step of `settings`, whose velocity and the parameters are changed in place."""
    velocity = settings.velocity
    if settings.l2:
        gradients[: settings.decayed] += settings.l2 * parameters[: settings.decayed]
    gradients *= -settings.learning_rate
    velocity *= settings.momentum
    velocity += gradients
    if settings.nesterov:
        parameters += gradients
        parameters += settings.momentum * velocity
    else:
        parameters += velocity
