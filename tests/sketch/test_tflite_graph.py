"""Reading .tflite files that are built here with the schema's own builders."""

from collections.abc import Sequence
from typing import Any

import flatbuffers
import numpy as np
import pytest
import tflite
from flatbuffers import flexbuffers

from limner.sketch.tflite_graph import read_graph

Array = np.ndarray[Any, Any]


def ints(*numbers: Any) -> Array:
    return np.array(numbers, np.int32)


class Flatbuffer:
    """Builds small .tflite files with the schema's own builders."""

    def __init__(self) -> None:
        self.b = flatbuffers.Builder(1024)
        self.buffers = [self._table(tflite.Buffer)]
        self.codes: list[int] = []

    def _table(self, module: Any, **fields: Any) -> int:
        name = module.__name__.rpartition(".")[2]
        getattr(tflite, f"{name}Start")(self.b)
        for field, value in fields.items():
            getattr(tflite, f"{name}Add{field}")(self.b, value)
        return int(getattr(tflite, f"{name}End")(self.b))

    def vector(self, module: str, field: str, offsets: Sequence[int]) -> int:
        getattr(tflite, f"{module}Start{field}Vector")(self.b, len(offsets))
        for offset in reversed(offsets):
            self.b.PrependUOffsetTRelative(offset)
        return int(self.b.EndVector())

    def tensor(self, name: str, shape: Sequence[int], value: Array | None = None) -> int:
        number = 0
        if value is not None:
            raw = self.b.CreateNumpyVector(np.frombuffer(value.tobytes(), np.uint8))
            self.buffers.append(self._table(tflite.Buffer, Data=raw))
            number = len(self.buffers) - 1
        label, sides = self.b.CreateString(name), self.b.CreateNumpyVector(ints(*shape))
        return self._table(tflite.Tensor, Name=label, Shape=sides, Buffer=number)

    def operator(
        self, builtin: int, inputs: Sequence[int], outputs: Sequence[int], **more: Any
    ) -> int:
        custom = more.pop("custom", "")
        label = {"CustomCode": self.b.CreateString(custom)} if custom else {}
        small = min(builtin, 127)
        self.codes.append(
            self._table(
                tflite.OperatorCode, BuiltinCode=builtin, DeprecatedBuiltinCode=small, **label
            )
        )
        reads, writes = (
            self.b.CreateNumpyVector(ints(*inputs)),
            self.b.CreateNumpyVector(ints(*outputs)),
        )
        return self._table(
            tflite.Operator, OpcodeIndex=len(self.codes) - 1, Inputs=reads, Outputs=writes, **more
        )

    def subgraph(
        self, tensors: Sequence[int], ops: Sequence[int], ins: Sequence[int], outs: Sequence[int]
    ) -> int:
        fields = {
            "Tensors": self.vector("SubGraph", "Tensors", tensors),
            "Operators": self.vector("SubGraph", "Operators", ops),
            "Inputs": self.b.CreateNumpyVector(ints(*ins)),
            "Outputs": self.b.CreateNumpyVector(ints(*outs)),
        }
        return self._table(tflite.SubGraph, **fields)

    def finish(self, subgraphs: Sequence[int]) -> bytes:
        fields = {
            "OperatorCodes": self.vector("Model", "OperatorCodes", self.codes),
            "Subgraphs": self.vector("Model", "Subgraphs", subgraphs),
            "Buffers": self.vector("Model", "Buffers", self.buffers),
        }
        self.b.Finish(self._table(tflite.Model, **fields))
        return bytes(self.b.Output())


def test_variables_of_a_file_become_the_constants_they_start_as() -> None:
    file = Flatbuffer()
    codes = tflite.BuiltinOperator

    def handle(name: str, output: int) -> int:
        label = file.b.CreateString(name)
        tflite.VarHandleOptionsStart(file.b)
        tflite.VarHandleOptionsAddSharedName(file.b, label)
        options = tflite.VarHandleOptionsEnd(file.b)
        kind = tflite.BuiltinOptions.VarHandleOptions
        return file.operator(
            codes.VAR_HANDLE, [], [output], BuiltinOptionsType=kind, BuiltinOptions=options
        )

    tflite.LeakyReluOptionsStart(file.b)
    tflite.LeakyReluOptionsAddAlpha(file.b, 0.25)
    leak = tflite.LeakyReluOptionsEnd(file.b)
    attributes = flexbuffers.Dumps({"epsilon": 0.5, "is_training": True})
    raw = file.b.CreateByteVector(bytes(attributes))
    mean = np.array([1.5, -2.0], np.float32)
    main = file.subgraph(
        [
            file.tensor("x", (1, 2)),
            file.tensor("v", ()),
            file.tensor("read", (2,)),
            file.tensor("a", ()),
            file.tensor("deep/y", (1, 2)),
        ],
        [
            file.operator(codes.CALL_ONCE, [], []),
            handle("mean", 1),
            file.operator(codes.READ_VARIABLE, [1], [2]),
            file.operator(codes.CUSTOM, [0, 2], [3], custom="FusedBatchNormV3", CustomOptions=raw),
            file.operator(
                codes.LEAKY_RELU,
                [3],
                [4],
                BuiltinOptionsType=tflite.BuiltinOptions.LeakyReluOptions,
                BuiltinOptions=leak,
            ),
        ],
        [0],
        [4],
    )
    start = file.subgraph(
        [file.tensor("h", ()), file.tensor("zero", (2,), mean)],
        [handle("mean", 0), file.operator(codes.ASSIGN_VARIABLE, [0, 1], [])],
        [],
        [],
    )
    graph = read_graph(file.finish([main, start]))

    np.testing.assert_array_equal(graph.constants[2], mean)
    assert [op.kind for op in graph.operators] == ["FusedBatchNormV3", "LEAKY_RELU"]
    assert graph.operators[0].options == {"epsilon": 0.5, "is_training": True}
    assert graph.operators[1].options == {"alpha": 0.25}
    assert (graph.inputs, graph.outputs) == ({0: (1, 2)}, (4,))
    assert graph.tensor("p/y") == 4
    with pytest.raises(ValueError, match="0 tensors"):
        graph.tensor("nowhere")
