"""Translates the face stylizer's TFLite graph into two ONNX networks, once, without torch.

The graph is cut at the W+ latent: the *encoder* makes it of a picture, a *generator* draws it.
The generator's random numbers become an input, so that a seed decides the drawing.

Knows how the graph is cut and where noise goes; operators are :mod:`limner.sketch.onnx_rules`
and :mod:`limner.sketch.onnx_shapes`, the file format is :mod:`limner.sketch.tflite_graph`.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import onnx

from limner.sketch.catalogue import Part
from limner.sketch.onnx_builder import OnnxBuilder, Value
from limner.sketch.onnx_rules import ARITHMETIC, UnknownOperator
from limner.sketch.onnx_shapes import REARRANGING
from limner.sketch.tflite_graph import Graph, Operator, read_graph

#: How the name of the tensor that holds the W+ latent, [1, 12, 512], ends.
_WPLUS = "add_2/AddV2"
_WPLUS_SHAPE = (1, 12, 512)
_NOISE = "RANDOM_STANDARD_NORMAL"


def translate(graph: bytes, part: Part, output: Path) -> None:
    """Write one half of a face stylizer as ONNX to ``output``.

    encoder: ``image`` [1,256,256,3] RGB 0…1 → ``wplus`` [1,12,512];
    generator: ``wplus`` and ``noise`` [11,128,128,1] of N(0,1) → ``image`` [1,256,256,3] 0…1.
    Raises UnknownOperator for a graph that holds anything we have no rule for.
    """
    stylizer = read_graph(graph)
    cut = stylizer.tensor(_WPLUS)
    if part == "encoder":
        source = next(iter(stylizer.inputs))
        inputs = {source: ("image", stylizer.inputs[source])}
        outputs = {"wplus": cut}
    else:
        inputs = {cut: ("wplus", _WPLUS_SHAPE)}
        outputs = {"image": stylizer.outputs[0]}
    model = to_onnx(stylizer, inputs, outputs)
    output.write_bytes(model.SerializeToString(deterministic=True))


def to_onnx(
    graph: Graph,
    inputs: Mapping[int, tuple[str, tuple[int, ...]]],
    outputs: Mapping[str, int],
) -> onnx.ModelProto:
    """The part of ``graph`` between ``inputs`` and ``outputs`` as ONNX, opset 17.

    ``inputs`` maps a tensor to the name and shape it gets, ``outputs`` a name to a tensor; both
    are float32 and keep TFLite's layout. Random normals are read from an input ``noise``
    [count, height, width, 1] in the order of the graph, each from its upper left corner.
    """
    builder = OnnxBuilder()
    needed = _needed(graph, set(inputs), set(outputs.values()))
    values = {index: Value.of(array) for index, array in graph.constants.items()}
    for index, (name, shape) in inputs.items():
        values[index] = builder.input(name, shape)
    grains: list[tuple[int, ...]] = []
    for op in needed:
        if op.kind == _NOISE:
            values[op.outputs[0]] = _grain(builder, values[op.inputs[0]], len(grains))
            grains.append(values[op.outputs[0]].shape)
        else:
            values[op.outputs[0]] = _translated(builder, op, values)
    if grains:
        height, width = (max(shape[axis] for shape in grains) for axis in (1, 2))
        builder.declare_input("noise", (len(grains), height, width, 1))
    for name, index in outputs.items():
        builder.output(name, values[index])
    return builder.model({})


def _needed(graph: Graph, given: set[int], wanted: set[int]) -> list[Operator]:
    """The operators that the wanted tensors are made by, starting from the given ones."""
    needed: list[Operator] = []
    wanted = set(wanted)
    for op in reversed(graph.operators):
        made = set(op.outputs) - given
        if made & wanted:
            needed.append(op)
            wanted |= set(op.inputs)
    return needed[::-1]


def _grain(builder: OnnxBuilder, shape: Value, number: int) -> Value:
    """Random normals of ``shape``: the upper left corner of picture ``number`` of the noise."""
    if (
        shape.constant is None
        or shape.constant.size != 4
        or shape.constant[[0, 3]].tolist() != [1, 1]
    ):
        raise UnknownOperator(f"{_NOISE} that is not one grey picture")
    _, height, width, _ = sides = tuple(int(side) for side in shape.constant)
    starts, ends = builder.integers(number, 0, 0), builder.integers(number + 1, height, width)
    corner = builder.emit("Slice", ["noise", starts, ends, builder.integers(0, 1, 2)])
    return builder.from_tflite_order(corner, sides)


def _translated(builder: OnnxBuilder, op: Operator, values: Mapping[int, Value]) -> Value:
    rule = ARITHMETIC.get(op.kind) or REARRANGING.get(op.kind)
    if rule is None:
        raise UnknownOperator(f"no rule for the TFLite operator {op.kind}")
    return rule(builder, op, [values[index] if index >= 0 else None for index in op.inputs])
