"""A network made for a GPU is the same network; what only a GPU does is seen by bench.floor there.

Here dynamo traces every block as it does there and runs the traces with torch's own operations;
recordings are played by a stand-in that makes each call anew.
"""

from __future__ import annotations

import copy
import dataclasses
import gc
import threading
import weakref
from collections.abc import Callable, Hashable, Iterator
from typing import Any

import pytest
import torch
from diffusers.models.attention import BasicTransformerBlock
from diffusers.models.downsampling import Downsample2D
from diffusers.models.resnet import ResnetBlock2D
from diffusers.models.upsampling import Upsample2D
from torch import Tensor, nn
from torch._dynamo import config as dynamo
from torch._dynamo.utils import counters

from limner.diffusion.denoiser import compiling, steady
from limner.diffusion.denoiser.bucket import Bucket
from limner.diffusion.denoiser.graphs import Recorder
from limner.diffusion.denoiser.network import Controller, Network
from limner.diffusion.denoiser.norm import ChannelsLastGroupNorm
from limner.diffusion.denoiser.sample import Verdict
from limner.diffusion.denoiser.steady import WAYS, SteadyConvolution
from tests.diffusion.denoiser.small import Request, networks
from tests.diffusion.denoiser.stage import alone, denoiser, equal, latents, rest, together
from tests.diffusion.denoiser.test_bucket import asked

pytestmark = pytest.mark.filterwarnings(
    "ignore:__array__ implementation:DeprecationWarning",
    "ignore:Dynamo detected a call to a `functools.lru_cache`:UserWarning",
)


@pytest.fixture
def traced(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """torch.compile without its code generator, which takes minutes on a CPU."""
    real = torch.compile

    def trace(method: Any, *, options: Any, **told: Any) -> Any:
        assert options == {"deterministic": True}, "kernels are not chosen by timing them"
        return real(method, backend="eager", **told)

    torch.compiler.reset()
    counters.clear()  # another test may have compiled before
    monkeypatch.setattr(compiling.torch, "compile", trace)
    yield
    monkeypatch.undo()
    torch.compiler.reset()


@pytest.mark.usefixtures("traced")
def test_a_compiled_network_is_the_same_and_another_of_its_shape_is_compiled_with_it() -> None:
    """Each row as it was to fp64's rounding, ControlNet and windows included."""
    requests = [
        (Request(control=0.8, words=1), 0, 981.0),
        (Request(control=0.5, words=2, window=1), 2, 301.5),
        (Request(strengths=(0.0, 0.6), guidance=1.0, words=4), 1, 44.0),
    ]
    rows = [row for each in requests for row in asked(*each)]
    nets = networks("sd15", torch.float64)
    expected = Bucket(nets.network, 8)(rows)
    nets = dataclasses.replace(
        nets,
        network=Network(copy.deepcopy(nets.network.net), compiled=True),
        controller=Controller(copy.deepcopy(nets.controller.net), compiled=True),
    )
    lent = [
        dataclasses.replace(
            each,
            row=dataclasses.replace(
                each.row, controls=tuple((nets.controller, own) for _, own in each.row.controls)
            ),
        )
        for each in rows
    ]
    for answer, own in zip(Bucket(nets.network, 8)(lent), expected, strict=True):
        torch.testing.assert_close(answer, own, atol=1e-12, rtol=1e-12)
    kinds = counters["stats"]["unique_graphs"]
    assert 5 < kinds < 30, "blocks of a shape are compiled once"
    other = Network(copy.deepcopy(networks("sd15", torch.float64).network.net), compiled=True)
    with torch.no_grad():
        for parameter in other.net.parameters():
            parameter.mul_(1.01)
    changed = Bucket(other, 8)(lent)
    assert not torch.equal(changed[0], expected[0])
    assert counters["stats"]["unique_graphs"] == kinds, "other weights need no compiling"


@pytest.mark.parametrize("family", ["sd15", "sdxl"])
def test_what_is_made_for_a_gpu_lies_channels_last_and_all_that_it_repeats_is_compiled(
    family: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What only shows on a GPU, as slowness or as bits that depend on a row's place."""
    compiled: list[Any] = []

    def kept(method: Any, **_: Any) -> Any:
        compiled.append(method)
        return method

    monkeypatch.setattr(compiling.torch, "compile", kept)
    nets = networks(family)
    bare = [copy.deepcopy(nets.network.net), copy.deepcopy(nets.controller.net)]
    made = Network(bare[0], compiled=True), Controller(bare[1], compiled=True)
    blocks = BasicTransformerBlock, ResnetBlock2D, Downsample2D, Upsample2D
    for trunk in made:
        kinds = [type(module) for module in trunk.net.modules()]
        assert nn.Conv2d not in kinds
        assert nn.GroupNorm not in kinds
        for module in trunk.net.modules():
            if isinstance(module, blocks):
                assert module.forward in compiled, f"{type(module).__name__} is called as it was"
        for name, weight in trunk.net.named_parameters():
            if weight.ndim == 4:
                assert weight.is_contiguous(memory_format=torch.channels_last), name
    bucket = Bucket(made[0], 2)
    bucket(asked(Request(family, guidance=1.0), 1, 500.0, torch.float32))
    assert bucket._given is not None
    assert bucket._given.is_contiguous(memory_format=torch.channels_last)


def test_on_a_gpu_a_compiled_networks_calls_are_recorded(monkeypatch: pytest.MonkeyPatch) -> None:
    """Without CUDA: the network says that it lies on a GPU, and its recordings are played."""
    net = networks("sd15").network.net
    with monkeypatch.context() as patched:
        patched.setattr(type(net), "device", property(lambda _: torch.device("cuda")))
        assert not Network(copy.deepcopy(net)).recorded
        assert Network(copy.deepcopy(net), compiled=True).recorded
    played, ours, request = _Played(), denoiser(4), Request(steps=3)
    monkeypatch.setattr(ours._recorder, "recordings", lambda: played)
    network = Network(copy.deepcopy(net))
    network.recorded = True
    work = dataclasses.replace(request.work(), network=network)
    assert equal(latents(ours.draw(work, request.seeds)), alone(request, 4))
    assert len(played.keys) == request.steps


def test_every_thread_has_room_for_all_shapes() -> None:
    """Networks are opened in one thread and called in another."""
    unet = networks("sd15").network.net
    seen: list[int] = []
    compiled = copy.deepcopy(unet)
    Network(compiled, compiled=True)
    work = lambda: seen.append(dynamo.recompile_limit)  # noqa: E731
    thread = threading.Thread(target=compiled, args=(work,))
    thread.start()
    thread.join()
    assert seen == [compiling.MOST_SHAPES]


@pytest.mark.parametrize(("kernel", "stride"), [(3, 1), (3, 2), (1, 1)])
def test_every_way_of_a_convolution_is_that_convolution(kernel: int, stride: int) -> None:
    conv = nn.Conv2d(8, 16, kernel, stride, kernel // 2).double()
    x = torch.randn(4, 8, 10, 7).double()
    expected = conv(x)
    for way in WAYS.values():
        answer = way(x, conv.weight, conv.bias, stride, kernel // 2)
        torch.testing.assert_close(answer, expected, atol=1e-12, rtol=1e-12)
    torch.testing.assert_close(SteadyConvolution(conv)(x), expected, atol=1e-12, rtol=1e-12)


def _by_place(way: steady.Way) -> steady.Way:
    """One that rounds the first row otherwise than the rest, as tiles summed in parts do."""

    def compute(x: Tensor, *told: Any) -> Tensor:
        answer = way(x, *told)
        return torch.cat([answer[:1] * (1 + 1e-6), answer[1:]])

    return compute


@pytest.mark.parametrize("odd", [(), ("whole",), ("whole", "product")])
def test_a_way_that_rounds_by_place_is_not_taken(
    odd: tuple[str, ...], monkeypatch: pytest.MonkeyPatch
) -> None:
    threads = torch.get_num_threads()
    torch.set_num_threads(1)  # with two, a CPU's products round by place themselves
    for name in odd:
        monkeypatch.setitem(WAYS, name, _by_place(WAYS[name]))
    shape = (4, 8, 6 + len(odd), 5), (16, 8, 3, 3), 1, 1, torch.float32, "cpu"
    assert steady.way_of(shape) == list(WAYS)[len(odd)]
    torch.set_num_threads(threads)


def test_the_norm_of_channels_last_is_torchs() -> None:
    norm = nn.GroupNorm(4, 16).double()
    nn.init.normal_(norm.weight)
    nn.init.normal_(norm.bias)
    x = 3 * torch.randn(3, 16, 5, 7).double() + 50
    torch.testing.assert_close(ChannelsLastGroupNorm(norm)(x), norm(x), atol=1e-11, rtol=1e-11)
    half = nn.GroupNorm(4, 16).bfloat16()
    assert ChannelsLastGroupNorm(half)(x.bfloat16()).dtype == torch.bfloat16


@pytest.fixture
def heard_late(monkeypatch: pytest.MonkeyPatch) -> None:
    """As on a GPU, which is at the next step when the last one's numbers are looked at."""
    monkeypatch.setattr(Verdict, "is_known", False)


@pytest.mark.usefixtures("heard_late")
def test_what_is_heard_a_step_late_is_the_same() -> None:
    requests = [
        Request(arrives=0, steps=5, seeds=(1, 2), control=0.5),
        Request(arrives=2, steps=3, seeds=(3,), sampler="euler_ancestral", guidance=1.0),
        Request("sdxl", arrives=3, steps=1, seeds=(5,), caller="b"),
    ]
    for request, own in zip(requests, together(requests, 4), strict=True):
        assert equal(own, alone(request, 4))


@pytest.mark.usefixtures("heard_late")
def test_who_is_done_is_told_even_if_everybody_else_gives_up(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The last step of one is looked at while the other's next is under way, if there is one."""
    ours = denoiser(1)
    short, long = Request(steps=2), Request(steps=50, seeds=(2,), caller="b")
    other, step = ours.begin(long.work(), long.seeds), ours._step
    done = ours.begin(short.work(), short.seeds)

    def give_up_then() -> None:
        step()
        other.over |= done.samples[0].done

    monkeypatch.setattr(ours, "_step", give_up_then)
    assert equal(latents(done.follow()), alone(short, 1))


class _Played:
    """Recordings without CUDA: which calls would have been recorded, and on what memory."""

    def __init__(self) -> None:
        self.keys: list[Hashable] = []

    def __call__(self, key: Hashable, call: Callable[[], Tensor]) -> Tensor:
        self.keys.append(key)
        return call().clone()


def test_a_call_is_known_by_what_runs_in_it_and_reads_the_same_memory() -> None:
    network = networks("sd15").network
    played = _Played()
    bucket = Bucket(network, 4, played)
    inputs: list[list[int]] = []

    def look(_: Any, given: tuple[Any, ...]) -> None:
        if given[0] == network._walk:
            _, latent, embedded, context, _lent = given
            read = [latent, embedded, *(layer.key for layer in context.layers)]
            inputs.append([tensor.data_ptr() for tensor in read])

    hook = network.net.register_forward_pre_hook(look, prepend=True)
    float32 = torch.float32
    for request in (Request(control=0.5), Request(words=3, strengths=(0.0, 1.0)), Request(words=2)):
        bucket(asked(request, 1, 500.0, float32))
    hook.remove()
    silent, lending = zip(*played.keys, strict=True)
    assert silent == ((False, False), (True, False), (False, False))
    assert [len(each) for each in lending] == [1, 0, 0]
    assert inputs[0] == inputs[1] == inputs[2]


def test_nothing_of_a_request_stays_in_the_places_it_left() -> None:
    ours = denoiser(4)
    request = Request(control=0.5)
    work = request.work()
    latents(ours.draw(work, request.seeds))
    rest(ours)
    (bucket,) = ours._buckets[work.network].values()
    own, lenders = bucket._own, bucket._lenders.values()
    assert own is not None
    assert len(lenders) == 1
    for bench in (own, *lenders):
        assert not any(tensor.any() for tensor in bench._whole.tensors())
    assert bucket._given is not None
    assert not bucket._given.any()
    assert equal(latents(ours.draw(work, request.seeds)), alone(request, 4))
    assert list(ours._buckets[work.network].values()) == [bucket], "it serves the next"


def test_a_bucket_does_not_keep_a_network_that_is_closed() -> None:
    ours = denoiser(2)
    request = Request(steps=1)
    network = Network(copy.deepcopy(networks("sd15").network.net))
    latents(ours.draw(dataclasses.replace(request.work(), network=network), request.seeds))
    rest(ours)
    assert len(ours._buckets) == 1
    gone = weakref.ref(network)
    del network
    gc.collect()
    assert gone() is None
    assert len(ours._buckets) == 0


def test_recordings_are_for_cuda_alone() -> None:
    assert not networks("sd15").network.recorded
    assert Recorder().recordings() is not Recorder().recordings()
