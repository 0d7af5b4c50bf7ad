"""One rule per TFLite operator: what it is in ONNX.

Every rule follows the operator's definition in TensorFlow Lite's reference kernels
(tensorflow/lite/kernels/internal/reference). A rule gets its inputs as values and answers with
the value of the operator's first output; its shape is computed, never read from the file.

Knows nothing of files or of any network.
"""

# Every rule has one signature, whether it needs all of it or not.
# pyright: reportMissingTypeStubs=false
# ruff: noqa: ARG001
from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from types import MappingProxyType

import numpy as np
import tflite

from limner.sketch.onnx_builder import OnnxBuilder, Value
from limner.sketch.tflite_graph import Array, Operator

Rule = Callable[[OnnxBuilder, Operator, Sequence[Value | None]], Value]


class UnknownOperator(ValueError):
    """The graph holds an operator, or a form of one, that has no rule."""


def _given(value: Value | None) -> Value:
    if value is None:
        raise UnknownOperator("an input is left out that must be there")
    return value


def _known(value: Value | None) -> Array:
    constant = _given(value).constant
    if constant is None:
        raise UnknownOperator("an input must be constant but is computed")
    return constant


def _integers(value: Value | None) -> list[int]:
    return [int(number) for number in _known(value).reshape(-1)]


def _activated(onnx: OnnxBuilder, op: Operator, shape: tuple[int, ...], name: str) -> Value:
    """The value after the operator's fused activation."""
    kind = op.options.get("fused_activation_function", tflite.ActivationFunctionType.NONE)
    if kind == tflite.ActivationFunctionType.RELU:
        name = onnx.emit("Relu", [name])
    elif kind == tflite.ActivationFunctionType.RELU6:
        name = onnx.emit("Clip", [name, *_bounds(onnx, 0, 6)])
    elif kind == tflite.ActivationFunctionType.RELU_N1_TO_1:
        name = onnx.emit("Clip", [name, *_bounds(onnx, -1, 1)])
    elif kind == tflite.ActivationFunctionType.TANH:
        name = onnx.emit("Tanh", [name])
    elif kind != tflite.ActivationFunctionType.NONE:
        raise UnknownOperator(f"{op.kind} with fused activation {kind}")
    return Value(shape, name)


def _bounds(onnx: OnnxBuilder, low: float, high: float) -> tuple[str, str]:
    return onnx.constant(np.array(low, np.float32)), onnx.constant(np.array(high, np.float32))


def _conv(onnx: OnnxBuilder, op: Operator, inputs: Sequence[Value | None]) -> Value:
    picture, kernel = _given(inputs[0]), _known(inputs[1])
    batch, height, width, channels = picture.shape
    if op.kind == "DEPTHWISE_CONV_2D":
        weights, groups = kernel.transpose(3, 0, 1, 2), channels  # 1HWO → O1HW
    else:
        weights, groups = kernel.transpose(0, 3, 1, 2), channels // kernel.shape[3]  # OHWI → OIHW
    options = op.options
    strides = (int(options["stride_h"]), int(options["stride_w"]))
    dilations = (int(options["dilation_h_factor"]), int(options["dilation_w_factor"]))
    spans = [(k - 1) * d + 1 for k, d in zip(weights.shape[2:], dilations, strict=True)]
    if options["padding"] == tflite.Padding.SAME:
        sides = [-(-n // s) for n, s in zip((height, width), strides, strict=True)]
    else:
        sides = [(n - k) // s + 1 for n, k, s in zip((height, width), spans, strides, strict=True)]
    # TFLite's SAME puts the odd row and column of padding at the bottom and right.
    sizes = zip(sides, strides, spans, (height, width), strict=True)
    missing = [max((side - 1) * stride + span - size, 0) for side, stride, span, size in sizes]
    top, left = (each // 2 for each in missing)
    bias = [onnx.name(each) for each in inputs[2:3] if each]
    name = onnx.emit(
        "Conv",
        [onnx.name(picture), onnx.constant(weights), *bias],
        strides=strides,
        dilations=dilations,
        group=groups,
        pads=(top, left, missing[0] - top, missing[1] - left),
    )
    return _activated(onnx, op, (batch, sides[0], sides[1], weights.shape[0]), name)


def _fully_connected(onnx: OnnxBuilder, op: Operator, inputs: Sequence[Value | None]) -> Value:
    rows, weights = _given(inputs[0]), _given(inputs[1])
    outputs, depth = weights.shape
    count = int(np.prod(rows.shape)) // depth
    flat = onnx.emit("Reshape", [onnx.in_tflite_order(rows), onnx.integers(count, depth)])
    bias = [onnx.name(each) for each in inputs[2:3] if each]
    name = onnx.emit("Gemm", [flat, onnx.name(weights), *bias], transB=1)
    return _activated(onnx, op, (count, outputs), name)


def _arithmetic(onnx: OnnxBuilder, op: Operator, inputs: Sequence[Value | None]) -> Value:
    left, right = _given(inputs[0]), _given(inputs[1])
    shape = np.broadcast_shapes(left.shape, right.shape)
    if len(shape) == 4:
        left, right = onnx.as_rank_4(left), onnx.as_rank_4(right)
    kind = {"ADD": "Add", "MUL": "Mul"}[op.kind]
    return _activated(onnx, op, shape, onnx.emit(kind, [onnx.name(left), onnx.name(right)]))


def _leaky_relu(onnx: OnnxBuilder, op: Operator, inputs: Sequence[Value | None]) -> Value:
    value = _given(inputs[0])
    alpha = float(op.options["alpha"])
    return Value(value.shape, onnx.emit("LeakyRelu", [onnx.name(value)], alpha=alpha))


def _relu6(onnx: OnnxBuilder, op: Operator, inputs: Sequence[Value | None]) -> Value:
    value = _given(inputs[0])
    return Value(value.shape, onnx.emit("Clip", [onnx.name(value), *_bounds(onnx, 0, 6)]))


def _tanh(onnx: OnnxBuilder, op: Operator, inputs: Sequence[Value | None]) -> Value:
    value = _given(inputs[0])
    return Value(value.shape, onnx.emit("Tanh", [onnx.name(value)]))


def _batch_norm(onnx: OnnxBuilder, op: Operator, inputs: Sequence[Value | None]) -> Value:
    """TensorFlow's FusedBatchNormV3 in training mode: the statistics of this very batch.

    With one picture in the batch that is an instance norm. The stored mean and variance are
    inputs too, but training mode only updates them, and washes nothing with them.
    """
    value = _given(inputs[0])
    if not op.options["is_training"] or value.shape[0] != 1:
        raise UnknownOperator("FusedBatchNormV3 that is not in training mode with a batch of one")
    scale, offset = onnx.name(_given(inputs[1])), onnx.name(_given(inputs[2]))
    name = onnx.emit(
        "InstanceNormalization",
        [onnx.name(value), scale, offset],
        epsilon=float(op.options["epsilon"]),
    )
    return Value(value.shape, name)


def _resize(onnx: OnnxBuilder, op: Operator, inputs: Sequence[Value | None]) -> Value:
    value = _given(inputs[0])
    height, width = _integers(inputs[1])
    batch, _, _, channels = value.shape
    aligned, half = op.options["align_corners"], op.options["half_pixel_centers"]
    # TFLite's nearest floors; with half pixels or aligned corners it rounds halves up.
    rounding = "round_prefer_ceil" if half or aligned else "floor"
    name = onnx.emit(
        "Resize",
        [onnx.name(value), "", "", onnx.integers(batch, channels, height, width)],
        mode="linear" if op.kind == "RESIZE_BILINEAR" else "nearest",
        coordinate_transformation_mode=(
            "align_corners" if aligned else "half_pixel" if half else "asymmetric"
        ),
        nearest_mode=rounding,
    )
    return Value((batch, height, width, channels), name)


def _space_to_batch(onnx: OnnxBuilder, op: Operator, inputs: Sequence[Value | None]) -> Value:
    value = _given(inputs[0])
    down, across = _integers(inputs[1])
    top, bottom, left, right = _integers(inputs[2])
    batch, height, width, channels = value.shape
    height, width = height + top + bottom, width + left + right
    padded = onnx.emit(
        "Pad", [onnx.name(value), onnx.integers(0, 0, top, left, 0, 0, bottom, right)]
    )
    rows, columns = height // down, width // across
    split = onnx.integers(batch, channels, rows, down, columns, across)
    blocks = onnx.emit("Reshape", [padded, split])
    # Block position first, then batch: the order of TFLite's output batches.
    blocks = onnx.emit("Transpose", [blocks], perm=(3, 5, 0, 1, 2, 4))
    batch *= down * across
    name = onnx.emit("Reshape", [blocks, onnx.integers(batch, channels, rows, columns)])
    return Value((batch, rows, columns, channels), name)


def _batch_to_space(onnx: OnnxBuilder, op: Operator, inputs: Sequence[Value | None]) -> Value:
    value = _given(inputs[0])
    down, across = _integers(inputs[1])
    top, bottom, left, right = _integers(inputs[2])
    batch, rows, columns, channels = value.shape
    batch //= down * across
    split = onnx.integers(down, across, batch, channels, rows, columns)
    blocks = onnx.emit("Reshape", [onnx.name(value), split])
    blocks = onnx.emit("Transpose", [blocks], perm=(2, 3, 4, 0, 5, 1))
    height, width = rows * down, columns * across
    whole = onnx.emit("Reshape", [blocks, onnx.integers(batch, channels, height, width)])
    starts, ends = onnx.integers(top, left), onnx.integers(height - bottom, width - right)
    name = onnx.emit("Slice", [whole, starts, ends, onnx.integers(2, 3)])
    return Value((batch, height - top - bottom, width - left - right, channels), name)


#: Rules of operators that compute with pictures and vectors.
ARITHMETIC: Mapping[str, Rule] = MappingProxyType(
    {
        "ADD": _arithmetic,
        "BATCH_TO_SPACE_ND": _batch_to_space,
        "CONV_2D": _conv,
        "DEPTHWISE_CONV_2D": _conv,
        "FULLY_CONNECTED": _fully_connected,
        "FusedBatchNormV3": _batch_norm,
        "LEAKY_RELU": _leaky_relu,
        "MUL": _arithmetic,
        "RELU6": _relu6,
        "RESIZE_BILINEAR": _resize,
        "RESIZE_NEAREST_NEIGHBOR": _resize,
        "SPACE_TO_BATCH_ND": _space_to_batch,
        "TANH": _tanh,
    }
)
