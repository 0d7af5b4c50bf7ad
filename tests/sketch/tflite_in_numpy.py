"""TFLite's operators in plain numpy, straight from their definitions, to judge translations by.

Written from tensorflow/lite/kernels/internal/reference, independent of the ONNX rules. Slow.
"""

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from limner.sketch.tflite_graph import Graph, Operator

Array = np.ndarray[Any, Any]


def run(
    graph: Graph, feeds: Mapping[int, Array], wanted: int, noise: Sequence[Array] = ()
) -> Array:
    """The tensor ``wanted``, given ``feeds``; random normals are taken from ``noise`` in order."""
    values: dict[int, Array] = {**graph.constants, **feeds}
    grains = iter(noise)
    for op in graph.operators:
        if op.outputs[0] in values or any(i >= 0 and i not in values for i in op.inputs):
            continue
        inputs = [values[index] if index >= 0 else None for index in op.inputs]
        if op.kind == "RANDOM_STANDARD_NORMAL":
            values[op.outputs[0]] = next(grains)
        else:
            values[op.outputs[0]] = compute(op, inputs)
        if op.outputs[0] == wanted:
            break
    return values[wanted]


def compute(op: Operator, inputs: Sequence[Any]) -> Array:
    """The first output of one operator."""
    result = _COMPUTE[op.kind](op.options, *inputs)
    activation = op.options.get("fused_activation_function", 0)
    if activation == 1:
        return np.maximum(result, 0)
    if activation == 2:
        return np.clip(result, -1, 1)
    if activation == 3:
        return np.clip(result, 0, 6)
    return np.tanh(result) if activation == 4 else result


def _padding(size: int, kernel: int, stride: int, dilation: int, same: bool) -> tuple[int, int]:
    """Output size and how much is missing before the first pixel (ComputePaddingWithOffset)."""
    effective = (kernel - 1) * dilation + 1
    out = (size + stride - 1) // stride if same else (size + stride - effective) // stride
    return out, max((out - 1) * stride + effective - size, 0) // 2 if same else 0


def _windows(o: Mapping[str, Any], x: Array, high: int, wide: int) -> Any:
    """For each kernel position: its row, column, and the input under it for all outputs."""
    sy, sx, dy, dx = o["stride_h"], o["stride_w"], o["dilation_h_factor"], o["dilation_w_factor"]
    rows, top = _padding(x.shape[1], high, sy, dy, o["padding"] == 0)
    columns, left = _padding(x.shape[2], wide, sx, dx, o["padding"] == 0)
    bottom = max((rows - 1) * sy + (high - 1) * dy + 1 - top - x.shape[1], 0)
    right = max((columns - 1) * sx + (wide - 1) * dx + 1 - left - x.shape[2], 0)
    padded = np.pad(x, ((0, 0), (top, bottom), (left, right), (0, 0)))
    for ky in range(high):
        for kx in range(wide):
            y, z = ky * dy, kx * dx
            yield (
                ky,
                kx,
                padded[:, y : y + (rows - 1) * sy + 1 : sy, z : z + (columns - 1) * sx + 1 : sx],
            )


def _conv(o: Mapping[str, Any], x: Array, w: Array, b: Array | None = None) -> Array:
    groups = x.shape[3] // w.shape[3]
    parts: list[Array] = []
    for xs, ws in zip(np.split(x, groups, 3), np.split(w, groups, 0), strict=True):
        taps = [under @ ws[:, ky, kx].T for ky, kx, under in _windows(o, xs, *w.shape[1:3])]
        parts.append(np.add.reduce(taps))
    result = np.concatenate(parts, 3)
    return result if b is None else result + b


def _depthwise(o: Mapping[str, Any], x: Array, w: Array, b: Array | None = None) -> Array:
    repeated = np.repeat(x, w.shape[3] // x.shape[3], 3)  # output channel = input·multiplier + m
    result = np.float32(0)
    for ky, kx, under in _windows(o, repeated, *w.shape[1:3]):
        result = result + under * w[0, ky, kx]
    return np.asarray(result) if b is None else result + b


def _connected(o: Mapping[str, Any], x: Array, w: Array, b: Array | None = None) -> Array:
    result = x.reshape(-1, w.shape[1]) @ w.T
    return result if b is None else result + b


def _training_norm(o: Mapping[str, Any], x: Array, scale: Array, offset: Array, *_: Array) -> Array:
    wide = x.astype(np.float64)
    mean, variance = wide.mean((0, 1, 2)), wide.var((0, 1, 2))
    return ((wide - mean) / np.sqrt(variance + o["epsilon"]) * scale + offset).astype(np.float32)


def _scale(size: int, out: int, o: Mapping[str, Any]) -> float:
    return (size - 1) / (out - 1) if o["align_corners"] and out > 1 else size / out


def _bilinear(o: Mapping[str, Any], x: Array, size: Array) -> Array:
    half = 0.5 if o["half_pixel_centers"] else 0.0
    for axis, out in ((1, int(size[0])), (2, int(size[1]))):
        lines: list[Array] = []
        for place in range(out):
            spot = (place + half) * _scale(x.shape[axis], out, o) - half
            low = max(math.floor(spot), 0)
            high = min(math.ceil(spot), x.shape[axis] - 1)
            lines.append(
                x.take(low, axis) * np.float32(1 - (spot - low))
                + x.take(high, axis) * np.float32(spot - low)
            )
        x = np.stack(lines, axis)
    return x


def _nearest(o: Mapping[str, Any], x: Array, size: Array) -> Array:
    half = 0.5 if o["half_pixel_centers"] else 0.0
    for axis, out in ((1, int(size[0])), (2, int(size[1]))):
        spots = [(place + half) * _scale(x.shape[axis], out, o) for place in range(out)]
        whole = [
            math.floor(spot + 0.5) if o["align_corners"] else math.floor(spot) for spot in spots
        ]
        x = x.take([min(each, x.shape[axis] - 1) for each in whole], axis)
    return x


def _space_to_batch(o: Mapping[str, Any], x: Array, block: Array, pads: Array) -> Array:
    padded = np.pad(x, ((0, 0), tuple(pads[0]), tuple(pads[1]), (0, 0)))
    high, wide = int(block[0]), int(block[1])
    return np.concatenate([padded[:, y::high, z::wide] for y in range(high) for z in range(wide)])


def _batch_to_space(o: Mapping[str, Any], x: Array, block: Array, crops: Array) -> Array:
    high, wide = int(block[0]), int(block[1])
    batch = x.shape[0] // (high * wide)
    whole = np.zeros((batch, x.shape[1] * high, x.shape[2] * wide, x.shape[3]), x.dtype)
    for place in range(high * wide):
        whole[:, place // wide :: high, place % wide :: wide] = x[
            place * batch : (place + 1) * batch
        ]
    (top, bottom), (left, right) = crops
    return whole[:, top : whole.shape[1] - bottom, left : whole.shape[2] - right]


def _slice(o: Mapping[str, Any], x: Array, begin: Array, size: Array) -> Array:
    for axis, (first, count) in enumerate(zip(begin, size, strict=True)):
        x = x.take(range(first, x.shape[axis] if count < 0 else first + count), axis)
    return x


def _strided_slice(o: Mapping[str, Any], x: Array, begin: Array, end: Array, step: Array) -> Array:
    for axis in reversed(range(len(begin))):
        if o["shrink_axis_mask"] >> axis & 1:
            x = x.take(begin[axis], axis)
            continue
        size = x.shape[axis]
        first = 0 if o["begin_mask"] >> axis & 1 else int(begin[axis])
        last = size if o["end_mask"] >> axis & 1 else int(end[axis])
        first, last = (each + size if each < 0 else min(each, size) for each in (first, last))
        x = x.take(range(first, last, int(step[axis])), axis)
    return x


_COMPUTE: dict[str, Any] = {
    "ADD": lambda _, x, y: x + y,
    "MUL": lambda _, x, y: x * y,
    "CONV_2D": _conv,
    "DEPTHWISE_CONV_2D": _depthwise,
    "FULLY_CONNECTED": _connected,
    "FusedBatchNormV3": _training_norm,
    "LEAKY_RELU": lambda o, x: np.where(x >= 0, x, x * np.float32(o["alpha"])),
    "RELU6": lambda _, x: np.clip(x, 0, 6),
    "TANH": lambda _, x: np.tanh(x),
    "PAD": lambda _, x, p: np.pad(x, p),
    "CONCATENATION": lambda o, *xs: np.concatenate(xs, o["axis"]),
    "RESHAPE": lambda _, x, s: x.reshape(tuple(int(n) for n in s)),
    "SHAPE": lambda _, x: np.array(x.shape, np.int32),
    "PACK": lambda o, *xs: np.stack(xs, o["axis"]),
    "TILE": lambda _, x, n: np.tile(x, n),
    "SLICE": _slice,
    "STRIDED_SLICE": _strided_slice,
    "TRANSPOSE": lambda _, x, p: x.transpose(tuple(int(n) for n in p)),
    "RESIZE_BILINEAR": _bilinear,
    "RESIZE_NEAREST_NEIGHBOR": _nearest,
    "SPACE_TO_BATCH_ND": _space_to_batch,
    "BATCH_TO_SPACE_ND": _batch_to_space,
}
