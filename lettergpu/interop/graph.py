"""A graph of ONNX's operators that is being written, as if it were computed."""

from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

import numpy as np

from .. import __version__

OPSET, IR = 18, 8  # the first opset that has Mish, and the version of files of its time: onnxruntime 1.14 reads them


class Value:
    """A tensor in the graph. Python's operators write nodes."""

    def __init__(self, graph: "Graph", name: str):
        self.graph, self.name = graph, name

    def __add__(self, other: Any) -> "Value":
        return self.graph.Add(self, other)

    def __sub__(self, other: Any) -> "Value":
        return self.graph.Sub(self, other)

    def __mul__(self, other: Any) -> "Value":
        return self.graph.Mul(self, other)

    def __truediv__(self, other: Any) -> "Value":
        return self.graph.Div(self, other)

    def __matmul__(self, other: Any) -> "Value":
        return self.graph.MatMul(self, other)


class Graph:
    """`graph.Tanh(x)` writes a node of that operator, and is its output; what is no Value becomes a constant."""

    def __init__(self) -> None:
        self.nodes: list[Any] = []
        self.constants: list[Any] = []

    def __getattr__(self, operator: str) -> Callable[..., Value]:
        return partial(self._write, operator)

    def _write(self, operator: str, *inputs: Any, **attributes: Any) -> Value:
        from onnx import helper

        names = [(each if isinstance(each, Value) else self.constant(each)).name for each in inputs]
        output = f"{operator}_{len(self.nodes)}"
        self.nodes.append(helper.make_node(operator, names, [output], **attributes))
        return Value(self, output)

    def constant(self, value: Any, name: str = "") -> Value:
        """Numbers that stand in the file: real ones as float32, whole ones, which are shapes and axes, as int64."""
        from onnx import numpy_helper

        array = np.asarray(value)
        array = np.asarray(array, np.float32 if array.dtype.kind == "f" else np.int64, order="C")
        name = name or f"constant_{len(self.constants)}"
        self.constants.append(numpy_helper.from_array(array, name))
        return Value(self, name)

    def model(
        self, inputs: Mapping[str, tuple[str, list[Any]]], output: tuple[str, list[Any]], about: dict[str, str]
    ) -> Any:
        """The onnx.ModelProto. inputs: (dtype, shape) by name. output: name and shape of the last node's, float32."""
        from onnx import TensorProto, helper

        self.nodes[-1].output[0] = output[0]
        given = [
            helper.make_tensor_value_info(name, getattr(TensorProto, dtype), shape)
            for name, (dtype, shape) in inputs.items()
        ]
        answer = helper.make_tensor_value_info(output[0], TensorProto.FLOAT, output[1])
        graph = helper.make_graph(self.nodes, "lettergpu", given, [answer], self.constants)
        versions = {"opset_imports": [helper.make_opsetid("", OPSET)], "ir_version": IR}
        model = helper.make_model(graph, producer_name="lettergpu", producer_version=__version__, **versions)
        helper.set_model_props(model, about)
        return model
