"""The walks of a UNet and of a ControlNet by OpenVINO, for a CPU.

A walk is traced once, at the smallest size, with its sides and the lengths of what is attended to
left open: one conversion serves every picture. All is fp32, so that it makes the numbers that
torch makes but for rounding. Rows are computed one after the other: two at once gain nothing here.

OpenVINO lays the weights out anew for its kernels: they take their memory a second time. Knows
OpenVINO and walks; knows no sample and no request.
"""

# diffusers' own annotations are partial.
# pyright: reportUnknownMemberType=false
from __future__ import annotations

import importlib
import sys
import warnings
from collections.abc import Mapping, Sequence
from typing import Any, cast

import numpy as np
import torch
from torch import Tensor, nn

from limner.diffusion.adapter import Context, ImageAttention, Layer, attention_names, read
from limner.diffusion.denoiser.network import Controller, Network

#: Side of the latents that a walk is traced with: the smallest that ends in a pixel.
SIDE = 8

#: A side or length that is left open, in OpenVINO's words.
_OPEN = -1


def convert(trunk: Network | Controller, threads: int, *, lent: bool = False) -> None:
    """Let ``trunk``, whose weights are fp32 and on the CPU, walk by OpenVINO from now on.

    ``threads``: of one call. ``lent``: whether ControlNets may lend to it. Takes seconds.
    """
    trunk.walk = _Converted(trunk, threads, lent=lent)


class _Converted:
    """A walk in place of ``trunk``'s own: the same arguments, the same answers."""

    def __init__(self, trunk: Network | Controller, threads: int, *, lent: bool) -> None:
        self._answers_alone = isinstance(trunk, Network)
        with torch.no_grad():
            given, embedded, context, beside = _example(trunk, lent=lent)
            #: What is lent where nothing is: in one pixel, which is taken for all of them.
            self._nothing = [torch.zeros(1, each.shape[1], 1, 1) for each in beside]
            told = [given, embedded, *_flat(context, beside)]
            model = _model(_Flat(trunk, context), told)
        strengths, layers = 2 + len(context.strengths), len(told) - len(beside)
        opened = {0: (2, 3), **dict.fromkeys(range(strengths, layers), (2,))}
        opened |= dict.fromkeys(range(layers, len(told)), (2, 3))
        self._call = _compiled(model, told, opened, threads)

    def __call__(
        self, given: Tensor, embedded: Tensor, context: Context, beside: Sequence[Tensor] | Tensor
    ) -> Any:
        """``beside``: what is lent to a UNet, or what a ControlNet has seen."""
        more = [beside] if isinstance(beside, Tensor) else [*beside] or self._nothing
        told = [given, embedded, *_flat(context, more)]
        rows = [self._row([_row_of(each, number) for each in told]) for number in range(len(given))]
        answers = [torch.cat(of_rows) for of_rows in zip(*rows, strict=True)]
        return answers[0] if self._answers_alone else answers

    def _row(self, told: Sequence[Tensor]) -> list[Tensor]:
        """What is made of one row; its memory is the caller's own."""
        made = self._call.infer([_array(each) for each in told], share_inputs=True)
        return [torch.from_numpy(made[at]) for at in range(len(made))]


class _Flat(nn.Module):
    """A walk whose arguments are tensors alone: what is traced."""

    def __init__(self, trunk: Network | Controller, like: Context) -> None:
        super().__init__()
        # Among its own modules, or the trace would not find the weights.
        self.net = trunk.net
        self._trunk: Any = trunk
        self._is_network = isinstance(trunk, Network)
        self._adapters = len(like.strengths)
        self._layers = len(like.layers)

    def forward(self, given: Tensor, embedded: Tensor, *told: Tensor) -> Any:
        """:func:`_flat` undone, and the walk."""
        at = iter(told)
        strengths = tuple(next(at) for _ in range(self._adapters))
        layers = [
            Layer(next(at), next(at), tuple((next(at), next(at)) for _ in range(self._adapters)))
            for _ in range(self._layers)
        ]
        context = Context(layers, strengths)
        if self._is_network:
            return self._trunk(given, embedded, context, list(at))
        return tuple(self._trunk(given, embedded, context, next(at)))


def _flat(context: Context, beside: Sequence[Tensor]) -> list[Tensor]:
    """Strengths [1] (0 of who is silent), every layer's keys and values, and what is beside."""
    told = [torch.zeros(1) if each is None else each for each in context.strengths]
    for layer in context.layers:
        told += layer.tensors()
    return [*told, *beside]


def _example(
    trunk: Network | Controller, *, lent: bool
) -> tuple[Tensor, Tensor, Context, list[Tensor]]:
    """A call's arguments at the smallest size, in a list what is lent or seen."""
    net = trunk.net
    first = net.get_submodule(attention_names(net)[1]).processor
    assert isinstance(first, ImageAttention)
    adapters = len(first.keys)
    text = torch.zeros(1, 2, net.config.cross_attention_dim)
    context = Context(read(net, text, [text] * adapters), (torch.ones(1),) * adapters)
    given, embedded = torch.zeros(1, 4, SIDE, SIDE), trunk.embed_time(0.0).clone()
    start = net.conv_in(given)
    if isinstance(trunk, Controller):
        return given, embedded, context, [torch.zeros_like(start)]
    if not lent:
        return given, embedded, context, []
    deepest, features = trunk.down(start, embedded, context)
    return given, embedded, context, [torch.zeros_like(each) for each in (*features, deepest)]


def _model(walk: nn.Module, told: Sequence[Tensor]) -> Any:
    """The walk as OpenVINO has it, sharing its weights; nothing of its shapes is fixed."""
    _openvino()
    frontends: Any = importlib.import_module("openvino.frontend")
    decoders: Any = importlib.import_module("openvino.frontend.pytorch.ts_decoder")
    with warnings.catch_warnings():
        # The trace tells of every shape that it takes for fixed: there is a test for each.
        warnings.simplefilter("ignore")
        traced = cast("Any", torch.jit).trace(
            walk.eval(), tuple(told), check_trace=False, strict=False
        )
        decoder = decoders.TorchScriptPythonDecoder(traced, example_input=tuple(told))
        frontend = frontends.FrontEndManager().load_by_framework("pytorch")
        return frontend.convert(frontend.load(decoder))


def _compiled(
    model: Any, told: Sequence[Tensor], opened: Mapping[int, tuple[int, ...]], threads: int
) -> Any:
    """The model ready to be called, its arguments of ``told``'s shapes but for ``opened`` sides."""
    openvino = _openvino()
    shapes: dict[int, Any] = {}
    for at, each in enumerate(told):
        sides = [_OPEN if side in opened.get(at, ()) else n for side, n in enumerate(each.shape)]
        shapes[at] = openvino.PartialShape(sides)
    model.reshape(shapes)
    how = {
        "INFERENCE_PRECISION_HINT": "f32",
        "PERFORMANCE_HINT": "LATENCY",
        "INFERENCE_NUM_THREADS": threads,
        # Pinned to cores, the threads of two workers would share some and leave others idle.
        "ENABLE_CPU_PINNING": False,
    }
    return openvino.Core().compile_model(model, "CPU", how).create_infer_request()


def _row_of(each: Tensor, number: int) -> Tensor:
    """One row of an argument; what has but one is the same for all rows."""
    return each if len(each) == 1 else each[number : number + 1]


def _array(tensor: Tensor) -> Any:
    """The tensor's own memory where it can be, for numpy."""
    return np.ascontiguousarray(tensor.numpy())


def _openvino() -> Any:
    """OpenVINO without its telemetry, which reports to Google Analytics when it is imported.

    It goes by whether the package for that can be had: so it cannot.
    """
    if "openvino" not in sys.modules:
        cast("dict[str, Any]", sys.modules)["openvino_telemetry"] = None
    return importlib.import_module("openvino")
