"""The rules of operators that only move numbers: pad, reshape, slice, join.

If every input is known already so is the output (a shape read off a tensor, the batch size of
one taken out of it, …), and nothing is added to the ONNX graph.

Knows nothing of files or of any network.
"""

# Every rule has one signature, whether it needs all of it or not.
# ruff: noqa: ARG001
from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from types import MappingProxyType

import numpy as np

from limner.sketch.onnx_builder import OnnxBuilder, Value
from limner.sketch.onnx_rules import Rule, UnknownOperator
from limner.sketch.tflite_graph import Array, Operator

Fold = Callable[[Operator, Sequence[Array]], Array]


def fold(op: Operator, inputs: Sequence[Array]) -> Array:
    """The output of an operator of this module, by numpy."""
    return _FOLDS[op.kind](op, inputs)


def _numbers(array: Array) -> list[int]:
    return [int(number) for number in array.reshape(-1)]


def _fold_pad(op: Operator, inputs: Sequence[Array]) -> Array:
    return np.pad(inputs[0], inputs[1])


def _fold_concatenation(op: Operator, inputs: Sequence[Array]) -> Array:
    return np.concatenate(inputs, int(op.options["axis"]))


def _fold_pack(op: Operator, inputs: Sequence[Array]) -> Array:
    return np.stack(inputs, int(op.options["axis"]))


def _fold_reshape(op: Operator, inputs: Sequence[Array]) -> Array:
    return inputs[0].reshape(_numbers(inputs[1]))


def _fold_slice(op: Operator, inputs: Sequence[Array]) -> Array:
    begins, sizes = _numbers(inputs[1]), _numbers(inputs[2])
    ends = [None if size < 0 else begin + size for begin, size in zip(begins, sizes, strict=True)]
    return inputs[0][tuple(map(slice, begins, ends))]


def _fold_strided_slice(op: Operator, inputs: Sequence[Array]) -> Array:
    if op.options["ellipsis_mask"] or op.options["new_axis_mask"]:
        raise UnknownOperator("STRIDED_SLICE with an ellipsis or a new axis")
    cuts: list[slice | int] = []
    for axis, (begin, end, step) in enumerate(zip(*map(_numbers, inputs[1:4]), strict=True)):
        if op.options["shrink_axis_mask"] >> axis & 1:
            cuts.append(begin)
        else:
            first = None if op.options["begin_mask"] >> axis & 1 else begin
            last = None if op.options["end_mask"] >> axis & 1 else end
            cuts.append(slice(first, last, step))
    return inputs[0][tuple(cuts)]


def _fold_tile(op: Operator, inputs: Sequence[Array]) -> Array:
    return np.tile(inputs[0], _numbers(inputs[1]))


def _fold_transpose(op: Operator, inputs: Sequence[Array]) -> Array:
    return inputs[0].transpose(_numbers(inputs[1]))


_FOLDS: Mapping[str, Fold] = MappingProxyType(
    {
        "CONCATENATION": _fold_concatenation,
        "PACK": _fold_pack,
        "PAD": _fold_pad,
        "RESHAPE": _fold_reshape,
        "SLICE": _fold_slice,
        "STRIDED_SLICE": _fold_strided_slice,
        "TILE": _fold_tile,
        "TRANSPOSE": _fold_transpose,
    }
)


def _moved(onnx: OnnxBuilder, op: Operator, inputs: Sequence[Value | None]) -> Value:
    """RESHAPE, SLICE, STRIDED_SLICE, TILE and TRANSPOSE, in TFLite's own order of axes.

    Runtimes drop the transposes to that order where they move nothing.
    """
    value, amounts = inputs[0], [each.constant for each in inputs[1:] if each]
    known = [each for each in amounts if each is not None]
    if value is None or len(known) != len(amounts):
        raise UnknownOperator(f"{op.kind} by computed amounts")
    if value.constant is not None:
        return Value.of(fold(op, [value.constant, *known]))
    # What the operator makes of a grid of that shape tells the output's shape.
    shape = fold(op, [np.zeros(value.shape, np.bool_), *known]).shape
    name = onnx.in_tflite_order(value)
    if op.kind == "TRANSPOSE":
        name = onnx.emit("Transpose", [name], perm=_numbers(known[0]))
    elif op.kind == "TILE":
        name = onnx.emit("Tile", [name, onnx.integers(*_numbers(known[0]))])
    elif op.kind != "RESHAPE":
        name = onnx.emit("Slice", [name, *_cuts(onnx, op, value.shape, known)])
    if op.kind in ("RESHAPE", "STRIDED_SLICE"):  # the latter may drop axes
        name = onnx.emit("Reshape", [name, onnx.integers(*shape)])
    return onnx.from_tflite_order(name, shape)


def _cuts(
    onnx: OnnxBuilder, op: Operator, shape: tuple[int, ...], known: Sequence[Array]
) -> tuple[str, str, str, str]:
    """Starts, ends, axes and steps for ONNX's Slice."""
    starts: list[int] = []
    ends: list[int] = []
    steps: list[int] = []
    for axis, size in enumerate(shape):
        # What the operator leaves of the positions 0, 1, … along one axis.
        line = [1] * len(shape)
        line[axis] = size
        along = np.arange(size).reshape(line)
        left = fold(op, [np.broadcast_to(along, shape), *known])
        kept = np.unique(left)
        steps.append(int(kept[1] - kept[0]) if kept.size > 1 else 1)
        starts.append(int(kept[0]))
        ends.append(int(kept[-1]) + 1)
        if left.flat[0] != kept[0]:
            raise UnknownOperator(f"{op.kind} backwards")
    axes = onnx.integers(*range(len(shape)))
    return onnx.integers(*starts), onnx.integers(*ends), axes, onnx.integers(*steps)


#: TFLite's axis of a rank-4 tensor → ONNX's.
_NCHW_AXIS = (0, 2, 3, 1)


def _concatenation(onnx: OnnxBuilder, op: Operator, inputs: Sequence[Value | None]) -> Value:
    values = [each for each in inputs if each]
    known = [each.constant for each in values if each.constant is not None]
    if len(known) == len(values):
        return Value.of(fold(op, known))
    if op.options.get("fused_activation_function"):
        raise UnknownOperator("CONCATENATION with a fused activation")
    rank = len(values[0].shape)
    axis = int(op.options["axis"]) % rank
    shape = list(values[0].shape)
    shape[axis] = sum(each.shape[axis] for each in values)
    names = [onnx.name(each) for each in values]
    name = onnx.emit("Concat", names, axis=_NCHW_AXIS[axis] if rank == 4 else axis)
    return Value(tuple(shape), name)


def _pad(onnx: OnnxBuilder, op: Operator, inputs: Sequence[Value | None]) -> Value:
    value, amounts = inputs[0], inputs[1] and inputs[1].constant
    if value is None or amounts is None:
        raise UnknownOperator("PAD by computed amounts")
    if value.constant is not None:
        return Value.of(fold(op, [value.constant, amounts]))
    before, after = ([int(each) for each in column] for column in amounts.T)
    sizes = zip(before, value.shape, after, strict=True)
    shape = tuple(first + size + last for first, size, last in sizes)
    if len(shape) == 4:
        before, after = ([side[axis] for axis in (0, 3, 1, 2)] for side in (before, after))
    name = onnx.emit("Pad", [onnx.name(value), onnx.integers(*before, *after)])
    return Value(shape, name)


def _pack(onnx: OnnxBuilder, op: Operator, inputs: Sequence[Value | None]) -> Value:
    known = [each.constant for each in inputs if each and each.constant is not None]
    if len(known) != len(inputs):
        raise UnknownOperator("PACK of computed values")
    return Value.of(fold(op, known))


def _shape(onnx: OnnxBuilder, op: Operator, inputs: Sequence[Value | None]) -> Value:
    if inputs[0] is None:
        raise UnknownOperator("SHAPE of nothing")
    return Value.of(np.array(inputs[0].shape, np.int32))


#: Rules of operators that only move numbers.
REARRANGING: Mapping[str, Rule] = MappingProxyType(
    {
        "CONCATENATION": _concatenation,
        "PACK": _pack,
        "PAD": _pad,
        "RESHAPE": _moved,
        "SHAPE": _shape,
        "SLICE": _moved,
        "STRIDED_SLICE": _moved,
        "TILE": _moved,
        "TRANSPOSE": _moved,
    }
)
