"""Collects ONNX nodes while keeping account of shapes and layout.

TFLite's rank-4 tensors are pictures in NHWC; ONNX wants NCHW. Here every rank-4 value that is
computed lives in NCHW, while its ``shape`` is told in TFLite's order, so that the rules can be
read beside TFLite's definitions. Values that depend on no input are kept as numpy arrays.

Knows ONNX (opset 17) and layouts, and nothing of single operators or of any network.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from limner.sketch.tflite_graph import Array

OPSET = 17
_TO_NCHW = (0, 3, 1, 2)
_TO_NHWC = (0, 2, 3, 1)


@dataclass(frozen=True, slots=True)
class Value:
    """A tensor: either a node's output (``name``) or known already (``constant``)."""

    #: In TFLite's order: NHWC for rank 4.
    shape: tuple[int, ...]
    #: ONNX name; a rank-4 value of that name is NCHW. Empty for a constant.
    name: str = ""
    #: In TFLite's order.
    constant: Array | None = None

    @staticmethod
    def of(constant: Array) -> Value:
        """A value that is known already."""
        return Value(constant.shape, constant=constant)


class OnnxBuilder:
    """Grows one ONNX graph; made for one translation and thrown away."""

    def __init__(self) -> None:
        self._nodes: list[onnx.NodeProto] = []
        self._initializers: dict[str, onnx.TensorProto] = {}
        self._inputs: list[onnx.ValueInfoProto] = []
        self._outputs: list[onnx.ValueInfoProto] = []

    def input(self, name: str, shape: Sequence[int]) -> Value:
        """Declare a graph input, float32 in TFLite's order, and use it."""
        self.declare_input(name, shape)
        return self.from_tflite_order(name, tuple(shape))

    def declare_input(self, name: str, shape: Sequence[int]) -> None:
        """Declare a graph input, float32 in TFLite's order."""
        self._inputs.append(helper.make_tensor_value_info(name, TensorProto.FLOAT, list(shape)))

    def output(self, name: str, value: Value) -> None:
        """Declare a graph output, float32 in TFLite's order."""
        self._nodes.append(helper.make_node("Identity", [self.in_tflite_order(value)], [name]))
        info = helper.make_tensor_value_info(name, TensorProto.FLOAT, list(value.shape))
        self._outputs.append(info)

    def emit(self, kind: str, inputs: Sequence[str], **attributes: Any) -> str:
        """Add a node with one output; that output's name."""
        name = f"{kind.lower()}_{len(self._nodes)}"
        self._nodes.append(helper.make_node(kind, list(inputs), [name], name=name, **attributes))
        return name

    def constant(self, array: Array) -> str:
        """An initializer with exactly these values, in ONNX's order; equal ones are shared."""
        array = np.ascontiguousarray(array)
        tensor = numpy_helper.from_array(array)
        key = tensor.SerializeToString(deterministic=True)
        for name, known in self._initializers.items():
            if len(known.raw_data) == len(tensor.raw_data) and (
                known.SerializeToString(deterministic=True) == key
            ):
                return name
        name = f"constant_{len(self._initializers)}"
        self._initializers[name] = tensor
        return name

    def integers(self, *numbers: int) -> str:
        """A 1-d int64 initializer."""
        return self.constant(np.array(numbers, np.int64))

    def name(self, value: Value) -> str:
        """The value's ONNX name, rank 4 in NCHW; constants become initializers."""
        if value.constant is None:
            return value.name
        array = value.constant
        return self.constant(array.transpose(_TO_NCHW) if array.ndim == 4 else array)

    def in_tflite_order(self, value: Value) -> str:
        """The value's ONNX name in TFLite's order: rank 4 transposed back to NHWC."""
        if value.constant is not None:
            return self.constant(value.constant)
        if len(value.shape) != 4:
            return value.name
        return self.emit("Transpose", [value.name], perm=_TO_NHWC)

    def from_tflite_order(self, name: str, shape: tuple[int, ...]) -> Value:
        """A value of an ONNX tensor that is in TFLite's order."""
        if len(shape) == 4:
            name = self.emit("Transpose", [name], perm=_TO_NCHW)
        return Value(shape, name)

    def as_rank_4(self, value: Value) -> Value:
        """The value with leading ones, so that it broadcasts as it does in TFLite."""
        if len(value.shape) == 4:
            return value
        shape = (1,) * (4 - len(value.shape)) + value.shape
        if value.constant is not None:
            return Value.of(value.constant.reshape(shape))
        spread = self.emit("Reshape", [value.name, self.integers(*shape)])
        return self.from_tflite_order(spread, shape)

    def model(self, properties: Mapping[str, str]) -> onnx.ModelProto:
        """The finished, checked model; ``properties`` become its metadata."""
        for name, tensor in self._initializers.items():
            tensor.name = name
        graph = helper.make_graph(
            self._nodes, "limner", self._inputs, self._outputs, [*self._initializers.values()]
        )
        model = helper.make_model(
            graph,
            producer_name="limner",
            opset_imports=[helper.make_opsetid("", OPSET)],
            ir_version=9,
        )
        helper.set_model_props(model, dict(properties))
        onnx.checker.check_model(model)  # pyright: ignore[reportUnknownMemberType]
        return model
