"""What ONNX's operators make of dense layers, one after the other: a closed table, in which others are refused."""

import math
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any, NamedTuple

import numpy as np

from ..nn.activations import LEAK
from .layers import MOST, Layer

ACTIVATIONS = {  # by what is done to z = x W + b
    "Sigmoid(z)": "sigmoid",
    "Tanh(z)": "tanh",
    "Relu(z)": "relu",
    "LeakyRelu(z)": "leaky_relu",
    "z*Sigmoid(z)": "swish",
    "Swish(z)": "swish",
    "Mish(z)": "mish",
    "z*Tanh(Softplus(z))": "mish",
    "z*Tanh(Exp(z))": "tanhexp",
}
LOSSES = {"z": None, "Softmax(z)": "softmax", "LogSoftmax(z)": "softmax", "Sigmoid(z)": "sigmoid"}  # z: of either
FORMS = {*ACTIVATIONS, *LOSSES, "Softplus(z)", "Exp(z)", "Tanh(Softplus(z))", "Tanh(Exp(z))"}
EXPECTED: dict[str, tuple[str, float, set[float]]] = {
    "LeakyRelu": ("alpha", 0.01, {LEAK}),
    "Swish": ("alpha", 1.0, {1.0}),
    "Softmax": ("axis", -1, {-1, 1}),
    "LogSoftmax": ("axis", -1, {-1, 1}),
}
FLOATS = {1, 10, 11, 16}  # float32, float16, float64, bfloat16, as TensorProto counts them


class Unfit(Exception):
    """Why these are no dense layers, one after the other, for the user."""


@dataclass(frozen=True, eq=False)
class Affine:
    """z = x W + b, x what the layers before come to. weight: (fan_in, nodes), or, W's diagonal, (nodes,)."""

    before: tuple[tuple[Layer, str], ...]
    weight: np.ndarray
    bias: np.ndarray

    def followed_by(self, matrix: np.ndarray) -> "Affine":
        if len(self.weight) * matrix.shape[1] > MOST:
            raise Unfit(f"it has more than {MOST:,} weights")
        weight = self.weight[:, None] * matrix if self.weight.ndim == 1 else self.weight @ matrix
        return Affine(self.before, weight, self.bias @ matrix)


class Tensor(NamedTuple):
    """What follows from the images: `form` of z. shape: of what follows from one image."""

    z: Affine
    shape: tuple[int, ...]
    form: str = "z"

    def closed(self) -> Layer:
        """z's layer, which nothing is added to any more."""
        if self.z.weight.ndim == 1:
            raise Unfit(f"there is no layer before {self.form}")
        return Layer(self.z.weight, self.z.bias)

    def linear(self) -> "Tensor":
        """The same as a z, of the next layer where an activation ends this one."""
        if self.form == "z":
            return self
        if self.form not in ACTIVATIONS:
            raise Unfit(f"a layer follows {self.form}, which is none of our activations")
        count = math.prod(self.shape)
        before = (*self.z.before, (self.closed(), ACTIVATIONS[self.form]))
        return Tensor(Affine(before, np.ones(count), np.zeros(count)), self.shape)


def array_of(tensor: Any) -> np.ndarray:
    """A constant. No other file is opened for it."""
    from onnx import numpy_helper

    if tensor.data_location or tensor.external_data:
        raise Unfit("its numbers stand in another file; save it as one")
    return numpy_helper.to_array(tensor)


def _numbers(constant: Any) -> np.ndarray:
    if not isinstance(constant, np.ndarray) or constant.size > MOST:
        raise Unfit(f"two results of it meet, or more than {MOST:,} weights")
    return constant.astype(np.float64)


def _constant(inputs: list[Any], settings: dict[str, Any]) -> Any:
    if "value" in settings:
        return array_of(settings["value"])
    return np.asarray(next(iter(settings.values())))


def _matmul(inputs: list[Any], settings: dict[str, Any]) -> Tensor:
    if not isinstance(inputs[0], Tensor):
        raise Unfit("weights stand before what they are multiplied by")
    x, matrix = inputs[0].linear(), _numbers(inputs[1])
    if matrix.ndim != 2 or x.shape != matrix.shape[:1]:
        shapes = (" x ".join(map(str, shape)) for shape in (matrix.shape, x.shape))
        raise Unfit("weights of {} follow {} numbers".format(*shapes))
    return Tensor(x.z.followed_by(matrix), matrix.shape[1:])


def _gemm(inputs: list[Any], settings: dict[str, Any]) -> Tensor:
    if settings.get("transA"):
        raise Unfit("a Gemm takes images for columns")
    matrix = _numbers(inputs[1]) * settings.get("alpha", 1.0)
    product = _matmul([inputs[0], matrix.T if settings.get("transB") else matrix], {})
    return _plus(product, _numbers(inputs[2]) * settings.get("beta", 1.0)) if len(inputs) > 2 else product


def _spread(numbers: np.ndarray, x: Tensor) -> np.ndarray:
    """One for each of the numbers of a tensor, (nodes,)."""
    try:
        return np.broadcast_to(numbers, (1, *x.shape)).reshape(-1)
    except ValueError:
        raise Unfit(f"numbers of shape {numbers.shape} meet others of shape (n, {str(x.shape)[1:]}") from None


def _plus(x: Tensor, numbers: np.ndarray) -> Tensor:
    return x._replace(z=replace(x.z, bias=x.z.bias + _spread(numbers, x)))


def _times(x: Tensor, numbers: np.ndarray) -> Tensor:
    factor = _spread(numbers, x)
    return x._replace(z=replace(x.z, weight=x.z.weight * factor, bias=x.z.bias * factor))


def _add(inputs: list[Any], settings: dict[str, Any]) -> Tensor:
    x, other = inputs if isinstance(inputs[0], Tensor) else inputs[::-1]
    return _plus(x.linear(), _numbers(other))


def _subtract(inputs: list[Any], settings: dict[str, Any]) -> Tensor:
    first, second = inputs
    if isinstance(first, Tensor):
        return _plus(first.linear(), -_numbers(second))
    return _plus(_times(second.linear(), np.array(-1.0)), _numbers(first))


def _divide(inputs: list[Any], settings: dict[str, Any]) -> Tensor:
    if not isinstance(inputs[0], Tensor):
        raise Unfit("it divides by what follows from an image")
    return _times(inputs[0].linear(), 1.0 / _numbers(inputs[1]))


def _multiply(inputs: list[Any], settings: dict[str, Any]) -> Tensor:
    x, other = inputs if isinstance(inputs[0], Tensor) else inputs[::-1]
    if not isinstance(other, Tensor):
        return _times(x.linear(), _numbers(other))
    form = f"z*{other.form if x.form == 'z' else x.form}"
    if x.z is not other.z or "z" not in (x.form, other.form) or form not in FORMS:
        raise Unfit(f"it multiplies {x.form} by {other.form}, which is none of our activations")
    return x._replace(form=form)


def _normalised(inputs: list[Any], settings: dict[str, Any]) -> Tensor:
    """Batch normalisation that does not learn any more."""
    x, (scale, bias, mean, variance) = inputs[0].linear(), map(_numbers, inputs[1:])
    if len(x.shape) != 1:
        raise Unfit("it normalises pictures by their rows")
    factor = scale / np.sqrt(variance + settings.get("epsilon", 1e-5))
    return _plus(_times(x, factor), bias - mean * factor)


def _applied(operator: str) -> Callable[[list[Any], dict[str, Any]], Tensor]:
    def work(inputs: list[Any], settings: dict[str, Any]) -> Tensor:
        form = f"{operator}({inputs[0].form})"
        if form not in FORMS:
            raise Unfit(f"it computes {form}, z a layer, which is none of our activations")
        return inputs[0]._replace(form=form)

    return work


def _reshaped(inputs: list[Any], settings: dict[str, Any]) -> Tensor:
    """A picture's numbers in another shape, in their order."""
    x, target = inputs
    if target is None:  # it depends on how many images there are: rows of them
        return x._replace(shape=(math.prod(x.shape),))
    asked = [int(side) for side in target][1:]
    asked = [x.shape[i] if side == 0 else side for i, side in enumerate(asked)]
    known = math.prod(side for side in asked if side != -1)
    shape = tuple(math.prod(x.shape) // max(known, 1) if side == -1 else side for side in asked)
    if math.prod(shape) != math.prod(x.shape) or min(shape, default=0) < 1:
        raise Unfit("it takes pictures apart, or several for one")
    return x._replace(shape=shape)


def _flattened(inputs: list[Any], settings: dict[str, Any]) -> Tensor:
    if settings.get("axis", 1) not in (1, -len(inputs[0].shape)):
        raise Unfit("it takes pictures apart, or several for one")
    return inputs[0]._replace(shape=(math.prod(inputs[0].shape),))


def _cast(inputs: list[Any], settings: dict[str, Any]) -> Any:
    if settings.get("to") not in FLOATS:
        raise Unfit("it rounds to whole numbers")
    return inputs[0]


def _same(inputs: list[Any], settings: dict[str, Any]) -> Any:
    return inputs[0]


Work = Callable[[list[Any], dict[str, Any]], Any]
ON_TENSORS: dict[str, Work] = {
    "Add": _add,
    "BatchNormalization": _normalised,
    "Cast": _cast,
    "Div": _divide,
    "Dropout": _same,  # of what has learnt
    "Flatten": _flattened,
    "Gemm": _gemm,
    "Identity": _same,
    "MatMul": _matmul,
    "Mul": _multiply,
    "Reshape": _reshaped,
    "Shape": lambda inputs, settings: None,
    "Sub": _subtract,
}
ON_TENSORS |= {
    name: _applied(name)
    for name in ("Exp", "LeakyRelu", "LogSoftmax", "Mish", "Relu", "Sigmoid", "Softmax", "Softplus", "Swish", "Tanh")
}
ON_CONSTANTS: dict[str, Work] = {
    "Cast": _same,
    "Constant": _constant,
    "Identity": _same,
    "Transpose": lambda inputs, settings: inputs[0].transpose(settings.get("perm")),
}
