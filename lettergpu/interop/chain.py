"""What a file of ONNX computes, where that is dense layers one after the other. Nothing in it is run."""

import math
from collections.abc import Sequence
from dataclasses import replace
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np

from ..errors import LettergpuError, brief
from .layers import PIXELS, Layers
from .onnx import NEEDED
from .operators import EXPECTED, FLOATS, LOSSES, ON_CONSTANTS, ON_TENSORS, Affine, Tensor, Unfit, array_of

MOST_BYTES = 32_000_000  # of a file: one that was made to harm takes 80 times as much memory
MOST_NODES = 1000
BYTES = 2


def read(path: Path) -> Layers:
    """The dense layers in a file. Raises LettergpuError where it holds others, or the package onnx is missing."""
    if not find_spec("onnx"):
        raise LettergpuError(NEEDED)
    from google.protobuf.message import DecodeError
    from onnx import ModelProto

    advice = ""
    try:
        with path.open("rb") as file:
            content = file.read(MOST_BYTES + 1)
        if len(content) > MOST_BYTES:
            raise Unfit(f"it is larger than {MOST_BYTES // 10**6} MB")
        model = ModelProto.FromString(content)
        if model.producer_name == "lettergpu":
            advice = "; export it again with --no-moment-norm --views 1, of an ensemble one --member"
        with np.errstate(all="ignore"):  # what is no number is told at the end
            found = _layers(model.graph)
        return replace(found, about={entry.key: entry.value for entry in model.metadata_props})
    except Unfit as error:
        raise LettergpuError(f"{path}: {error}{advice}") from None
    except OSError as error:
        raise LettergpuError(f"{path} cannot be read ({error.strerror})") from error
    except (DecodeError, ValueError, TypeError, KeyError, IndexError, AttributeError, ArithmeticError) as error:
        raise LettergpuError(f"{path} is damaged, or no file of ONNX ({brief(error)})") from error


def _layers(graph: Any) -> Layers:
    if len(graph.node) > MOST_NODES:
        raise Unfit(f"it has more than {MOST_NODES:,} operators")
    known: dict[str, Any] = {tensor.name: array_of(tensor) for tensor in graph.initializer}
    inputs = [each for each in graph.input if each.name not in known]
    outputs = [each.name for each in graph.output if each.type.tensor_type.elem_type in FLOATS]  # others name a class
    if len(inputs) != 1 or len(outputs) != 1:
        raise Unfit(f"it has {len(inputs)} inputs, and {len(outputs)} outputs of real numbers, not one of each")
    images = inputs[0].type.tensor_type
    known[inputs[0].name] = _images(images)
    for node in _leading_to(outputs[0], graph.node):
        known[node.output[0]] = _result(node, [known[name] for name in node.input if name])
    answer: Any = known[outputs[0]]
    if not isinstance(answer, Tensor) or answer.form not in LOSSES or len(answer.shape) != 1:
        raise Unfit("what it answers with is no softmax, sigmoid or layer")
    layers = [*(layer for layer, _ in answer.z.before), answer.closed()]
    activations: list[str] = sorted({activation for _, activation in answer.z.before})
    if len(activations) > 1:
        raise Unfit(f"its hidden layers have {' and '.join(activations)}; one activation is what all have here")
    white = 255.0 if images.elem_type == BYTES else 1.0
    return Layers(layers, activations[0] if activations else None, LOSSES[answer.form], white)


def _leading_to(name: str, nodes: Sequence[Any]) -> list[Any]:
    """The operators, in their order, that this output follows from."""
    needed, leading = {name}, []
    for node in reversed(nodes):
        if needed.intersection(node.output):
            needed.update(node.input)
            leading.append(node)
    return leading[::-1]


def _images(kind: Any) -> Tensor:
    """The input, if it is images, of a type of tensors."""
    sides = [dimension.dim_value for dimension in kind.shape.dim]
    if math.prod(sides[1:]) != PIXELS or kind.elem_type not in {*FLOATS, BYTES}:
        raise Unfit("its input is not images: uint8 or floats, n x 28 x 28 or n x 784")
    return Tensor(Affine((), np.ones(PIXELS), np.zeros(PIXELS)), tuple(sides[1:]))


def _result(node: Any, inputs: list[Any]) -> Any:
    """What an operator comes to: a Tensor, a constant, or None for what depends on how many images there are."""
    from onnx.helper import get_attribute_value

    settings = {each.name: get_attribute_value(each) for each in node.attribute}
    operator = node.op_type if node.domain in ("", "ai.onnx") else f"{brief(node.domain, 30)}.{brief(node.op_type, 30)}"
    if any(isinstance(each, Tensor) for each in inputs):
        work = ON_TENSORS.get(operator)
    elif any(each is None for each in inputs):
        return None
    else:
        work = ON_CONSTANTS.get(operator)
    if work is None:
        raise Unfit(f"its operator {brief(operator, 60)} is none that dense layers have")
    if operator in EXPECTED:
        name, usual, fine = EXPECTED[operator]
        if not any(math.isclose(settings.get(name, usual), each, rel_tol=1e-6) for each in fine):
            raise Unfit(f"its {operator} has another {name} than {' or '.join(map(str, sorted(fine)))}")
    return work(inputs, settings)
