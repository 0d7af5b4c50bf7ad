"""Reads a TFLite flatbuffer into a plain graph: tensors, constants, operators.

Variables (VAR_HANDLE, ASSIGN_VARIABLE, READ_VARIABLE) are resolved to the constants the model's
initialisation subgraph assigns, so the graph that comes out is a pure function. Shapes in the
file are not trusted: some are placeholders.

Knows the file format (schema.fbs of TensorFlow Lite) and nothing of ONNX or of any network.
"""

# tflite and flatbuffers ship no types.
# pyright: reportMissingTypeStubs=false, reportUnknownMemberType=false
from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, cast

import numpy as np
import numpy.typing as npt
import tflite
from flatbuffers import flexbuffers

Array = npt.NDArray[Any]

_DTYPES: Mapping[int, type[np.generic]] = {
    tflite.TensorType.FLOAT32: np.float32,
    tflite.TensorType.FLOAT16: np.float16,
    tflite.TensorType.INT32: np.int32,
    tflite.TensorType.INT64: np.int64,
    tflite.TensorType.BOOL: np.bool_,
}
_VARIABLES = frozenset({"CALL_ONCE", "VAR_HANDLE", "ASSIGN_VARIABLE", "READ_VARIABLE"})


@dataclass(frozen=True, slots=True)
class Operator:
    """One operator; tensors are known by their index, -1 is an input left out."""

    #: TFLite's name of the operator (``CONV_2D``), or the custom operator's own name.
    kind: str
    inputs: tuple[int, ...]
    outputs: tuple[int, ...]
    #: The operator's options in snake_case, as far as translating needs them.
    options: Mapping[str, Any] = field(default_factory=dict[str, Any])


@dataclass(frozen=True, slots=True)
class Graph:
    """A model's main subgraph without variables."""

    #: Tensor index → its name.
    names: tuple[str, ...]
    #: Tensor index → its value, in TFLite's own layout (pictures NHWC, kernels OHWI).
    constants: Mapping[int, Array]
    operators: tuple[Operator, ...]
    #: Tensor index → shape, of the graph's inputs only.
    inputs: Mapping[int, tuple[int, ...]]
    outputs: tuple[int, ...]

    def tensor(self, suffix: str) -> int:
        """The index of the only tensor whose name ends with ``suffix``."""
        found = [index for index, name in enumerate(self.names) if name.endswith(suffix)]
        if len(found) != 1:
            raise ValueError(f"{len(found)} tensors are named …{suffix}, not one")
        return found[0]


def read_graph(content: bytes) -> Graph:
    """Parse the bytes of a ``.tflite`` file."""
    model: Any = tflite.Model.GetRootAs(content)
    main: Any = model.Subgraphs(0)
    constants = dict(_constants(model, main))
    variables = _initial_variables(model)
    handles: dict[int, str] = {}
    operators: list[Operator] = []
    for op in _operators(model, main):
        if op.kind == "VAR_HANDLE":
            handles[op.outputs[0]] = op.options["shared_name"]
        elif op.kind == "READ_VARIABLE":
            constants[op.outputs[0]] = variables[handles[op.inputs[0]]]
        elif op.kind not in _VARIABLES:
            operators.append(op)
    tensors = [main.Tensors(index) for index in range(main.TensorsLength())]
    return Graph(
        names=tuple(tensor.Name().decode() for tensor in tensors),
        constants=constants,
        operators=tuple(operators),
        inputs={
            index: tuple(int(side) for side in tensors[index].ShapeAsNumpy())
            for index in map(main.Inputs, range(main.InputsLength()))
        },
        outputs=tuple(main.Outputs(index) for index in range(main.OutputsLength())),
    )


def _initial_variables(model: Any) -> dict[str, Array]:
    """Variable name → the constant that an initialisation subgraph assigns to it."""
    variables: dict[str, Array] = {}
    for number in range(1, model.SubgraphsLength()):
        subgraph = model.Subgraphs(number)
        constants = dict(_constants(model, subgraph))
        handles: dict[int, str] = {}
        for op in _operators(model, subgraph):
            if op.kind == "VAR_HANDLE":
                handles[op.outputs[0]] = op.options["shared_name"]
            elif op.kind == "ASSIGN_VARIABLE":
                variables[handles[op.inputs[0]]] = constants[op.inputs[1]]
    return variables


def _constants(model: Any, subgraph: Any) -> Iterator[tuple[int, Array]]:
    for index in range(subgraph.TensorsLength()):
        tensor = subgraph.Tensors(index)
        buffer = model.Buffers(tensor.Buffer())
        dtype = _DTYPES.get(tensor.Type())
        if buffer.DataLength() and dtype is not None:
            shape = tuple(tensor.ShapeAsNumpy()) if tensor.ShapeLength() else ()
            yield index, cast("Array", buffer.DataAsNumpy().view(dtype).reshape(shape))


def _operators(model: Any, subgraph: Any) -> Iterator[Operator]:
    names = {
        number: name
        for name, number in vars(tflite.BuiltinOperator).items()
        if isinstance(number, int)
    }
    for number in range(subgraph.OperatorsLength()):
        op = subgraph.Operators(number)
        code = model.OperatorCodes(op.OpcodeIndex())
        # Codes above 127 are in the new field only, small ones in both.
        builtin = max(code.BuiltinCode(), code.DeprecatedBuiltinCode())
        custom = builtin == tflite.BuiltinOperator.CUSTOM
        kind = code.CustomCode().decode() if custom else names[builtin]
        yield Operator(
            kind=kind,
            inputs=tuple(op.Inputs(each) for each in range(op.InputsLength())),
            outputs=tuple(op.Outputs(each) for each in range(op.OutputsLength())),
            options=_custom_options(op) if custom else _builtin_options(kind, op),
        )


#: Operator → its options' table, and the fields that translating needs.
_OPTIONS: Mapping[str, tuple[Callable[[], Any], tuple[str, ...]]] = {
    "CONV_2D": (
        tflite.Conv2DOptions,
        ("Padding", "StrideH", "StrideW", "DilationHFactor", "DilationWFactor"),
    ),
    "DEPTHWISE_CONV_2D": (
        tflite.DepthwiseConv2DOptions,
        ("Padding", "StrideH", "StrideW", "DilationHFactor", "DilationWFactor"),
    ),
    "FULLY_CONNECTED": (tflite.FullyConnectedOptions, ()),
    "ADD": (tflite.AddOptions, ()),
    "MUL": (tflite.MulOptions, ()),
    "LEAKY_RELU": (tflite.LeakyReluOptions, ("Alpha",)),
    "CONCATENATION": (tflite.ConcatenationOptions, ("Axis",)),
    "PACK": (tflite.PackOptions, ("Axis",)),
    "RESIZE_BILINEAR": (tflite.ResizeBilinearOptions, ("AlignCorners", "HalfPixelCenters")),
    "RESIZE_NEAREST_NEIGHBOR": (
        tflite.ResizeNearestNeighborOptions,
        ("AlignCorners", "HalfPixelCenters"),
    ),
    "STRIDED_SLICE": (
        tflite.StridedSliceOptions,
        ("BeginMask", "EndMask", "EllipsisMask", "NewAxisMask", "ShrinkAxisMask"),
    ),
    "VAR_HANDLE": (tflite.VarHandleOptions, ("SharedName",)),
}
_ACTIVATED = {"CONV_2D", "DEPTHWISE_CONV_2D", "FULLY_CONNECTED", "ADD", "MUL", "CONCATENATION"}


def _builtin_options(kind: str, op: Any) -> dict[str, Any]:
    table = op.BuiltinOptions()
    if kind not in _OPTIONS or table is None:
        return {}
    make, fields = _OPTIONS[kind]
    options = make()
    options.Init(table.Bytes, table.Pos)
    if kind in _ACTIVATED:
        fields = (*fields, "FusedActivationFunction")
    found = {_snake_case(name): getattr(options, name)() for name in fields}
    return {
        name: value.decode() if isinstance(value, bytes) else value for name, value in found.items()
    }


def _snake_case(name: str) -> str:
    return "".join(f"_{c.lower()}" if c.isupper() else c for c in name).removeprefix("_")


def _custom_options(op: Any) -> dict[str, Any]:
    """TensorFlow's own operators carry their attributes as a FlexBuffer map."""
    if not op.CustomOptionsLength():
        return {}
    return cast("dict[str, Any]", flexbuffers.Loads(op.CustomOptionsAsNumpy().tobytes()))
