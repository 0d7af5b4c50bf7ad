"""A UNet and a ControlNet as the denoiser runs them: from embedded time to prediction.

The blocks are diffusers' own, walked here and not by its ``forward``, because what that makes anew
at every step is ready: the embedded time comes from a table, what is attended to was read before
the first step. Either network keeps nothing of a call. All that is done with one goes through its
module's call, where hooks bring the weights of a network that lies elsewhere (``residence``).
Where a device has a faster way to the same numbers, that is ``walk`` (``openvino``).

Knows diffusers' blocks; knows no scheduler and no request.
"""

# diffusers' own annotations are partial.
# pyright: reportUnknownMemberType=false, reportUnknownVariableType=false
# pyright: reportUnknownArgumentType=false
from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor

from limner.diffusion.adapter import Context
from limner.diffusion.denoiser.compiling import compile_network, with_all_shapes
from limner.errors import NetworkUnfit

#: Timesteps whose embedding is kept. A schedule of integers has 1000; Euler's are no integers.
MOST_TIMES = 2048

#: Bytes.
CACHE_LINE = 64

#: What a network may have that is not walked here, and what it must be for that.
_PLAIN: dict[str, Any] = {
    "class_embed_type": None,
    "num_class_embeds": None,
    "encoder_hid_dim_type": None,
    "encoder_hid_dim": None,
    "time_embedding_act_fn": None,
    "center_input_sample": False,
    "global_pool_conditions": False,
    "controlnet_conditioning_channel_order": "rgb",
}


class Trunk:
    """What a UNet and a ControlNet have in common: embedded times and words, and the way down."""

    def __init__(self, net: Any, *, compiled: bool = False) -> None:
        """``net``: fitted (``adapter.fit``). Raises NetworkUnfit if it has parts unknown here.

        ``compiled``: for the device it is on, where it then stays.
        """
        odd = {
            name: net.config[name]
            for name, plain in _PLAIN.items()
            if net.config.get(name, plain) != plain
        }
        if net.config.get("addition_embed_type") not in (None, "text_time") or odd:
            raise NetworkUnfit(f"{type(net).__name__} has parts that are not run here: {odd}")
        self.net = net
        _align(net)
        #: How its features lie in memory.
        self.layout = torch.contiguous_format
        #: Are its calls recorded (``graphs``)?
        self.recorded = compiled and net.device.type == "cuda"
        if compiled:
            self.layout = torch.channels_last
            compile_network(net)
        net.forward = with_all_shapes if compiled else _done
        #: Is it of Stable Diffusion XL's family?
        self.xl = net.config.get("addition_embed_type") is not None
        self._times: OrderedDict[float, Tensor] = OrderedDict()
        #: A faster way to what a call does, for ``_walk``'s arguments; None: that itself.
        self.walk: Callable[..., Any] | None = None

    def here(self, *tensors: Tensor) -> list[Tensor]:
        """The tensors where this network is, in its numbers."""
        return [each.to(self.net.device, self.net.dtype) for each in tensors]

    def embed_time(self, timestep: float) -> Tensor:
        """A timestep [1, width]. Made alone and kept: the same bits for all rows."""
        if timestep not in self._times:
            if len(self._times) >= MOST_TIMES:
                self._times.popitem(last=False)
            self._times[timestep] = self.net(self._timed, timestep)
        return self._times[timestep]

    def _timed(self, timestep: float) -> Tensor:
        waves = self.net.time_proj(torch.tensor([timestep], device=self.net.device))
        return self.net.time_embedding(waves.to(self.net.dtype))

    def embed_words(self, pooled: Tensor, numbers: Sequence[int]) -> Tensor:
        """SDXL's pooled text [1, n] and six numbers of size and crop, embedded [1, width]."""
        waves = self.net.add_time_proj(torch.tensor(numbers, device=self.net.device))
        words = self.here(pooled)[0]
        given = torch.cat([words, waves[None].flatten(1).to(words)], dim=-1)
        return self.net(self.net.add_embedding, given)

    def down(
        self, sample: Tensor, embedded: Tensor, context: Context
    ) -> tuple[Tensor, list[Tensor]]:
        """Through the down blocks: the deepest features, and those on the way from the first on."""
        features = [sample]
        for block in self.net.down_blocks:
            sample, passed = block(sample, embedded, **_reads(block, context))
            features += passed
        return sample, features


class Network(Trunk):
    """A UNet with its adapters in it."""

    def __call__(
        self, given: Tensor, embedded: Tensor, context: Context, lent: Sequence[Tensor] = ()
    ) -> Tensor:
        """Latents [b, 4, h, w] and embedded times [b, width] → predictions [b, 4, h, w].

        ``lent``: what ControlNets add to the features on the way down, and to the middle's, last.
        """
        return self.net(self.walk or self._walk, given, embedded, context, lent)

    def _walk(
        self, given: Tensor, embedded: Tensor, context: Context, lent: Sequence[Tensor]
    ) -> Tensor:
        net = self.net
        sample, features = self.down(net.conv_in(given), embedded, context)
        if lent:
            features = [own + more for own, more in zip(features, lent[:-1], strict=True)]
        sample = net.mid_block(sample, embedded, encoder_hidden_states=context)
        if lent:
            sample = sample + lent[-1]
        for block in net.up_blocks:
            passed = tuple(features[-len(block.resnets) :])
            del features[-len(block.resnets) :]
            # Odd sides are not twice those below: the features on the way down know what they were.
            size = features[-1].shape[2:] if features else None
            sample = block(sample, passed, embedded, upsample_size=size, **_reads(block, context))
        return net.conv_out(net.conv_act(net.conv_norm_out(sample)))


class Controller(Trunk):
    """A ControlNet (Zhang et al. 2023, arXiv 2302.05543)."""

    @torch.inference_mode()
    def see(self, hint: Tensor) -> Tensor:
        """A picture [1, 3, 8h, 8w], 0…1, as the features [1, width, h, w] that it starts from."""
        return self.net(self.net.controlnet_cond_embedding, self.here(hint)[0])

    def __call__(
        self, given: Tensor, embedded: Tensor, context: Context, seen: Tensor
    ) -> list[Tensor]:
        """What it lends to a UNet's features on the way down, and to the middle's, last."""
        return self.net(self.walk or self._walk, given, embedded, context, seen)

    def _walk(
        self, given: Tensor, embedded: Tensor, context: Context, seen: Tensor
    ) -> list[Tensor]:
        net = self.net
        sample, features = self.down(net.conv_in(given) + seen, embedded, context)
        sample = net.mid_block(sample, embedded, encoder_hidden_states=context)
        lent = [made(own) for own, made in zip(features, net.controlnet_down_blocks, strict=True)]
        return [*lent, net.controlnet_mid_block(sample)]


def _done(work: Callable[..., Any], *given: Any) -> Any:
    """A network's ``forward``: what is done with it is said with each call."""
    return work(*given)


def _align(net: Any) -> None:
    """Lay the weights where products begin alike, wherever in a file they were mapped from.

    A CPU's product with one row sums in another order if its matrix begins beside a cache line:
    the same numbers from another file would draw another picture, by a bit.
    """
    for parameter in net.parameters():
        if parameter.device.type == "cpu" and parameter.data_ptr() % CACHE_LINE:
            parameter.data = parameter.data.clone()


def _reads(block: Any, context: Context) -> dict[str, Any]:
    """A block without cross-attention takes no context."""
    has = getattr(block, "has_cross_attention", False)
    return {"encoder_hidden_states": context} if has else {}
