"""The largest sum of tensors that live at once in a call, counted on the meta device."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch.multiprocessing.reductions import StorageWeakRef
from torch.overrides import TorchFunctionMode
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves


class _Living(TorchDispatchMode):
    """Keeps account of the storages that operations made and nobody has dropped yet."""

    def __init__(self) -> None:
        super().__init__()
        self.peak = 0
        self._kept: dict[int, tuple[StorageWeakRef, int]] = {}

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        made = func(*args, **(kwargs or {}))
        for tensor in tree_leaves(made):
            if isinstance(tensor, torch.Tensor):
                storage = tensor.untyped_storage()
                self._kept[storage._cdata] = StorageWeakRef(storage), storage.nbytes()
        self._kept = {key: kept for key, kept in self._kept.items() if not kept[0].expired()}
        self.peak = max(self.peak, sum(size for _, size in self._kept.values()))
        return made


class _Fused(TorchFunctionMode):
    """Attention as accelerators compute it: without its matrix of all with all."""

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        if func is torch.nn.functional.scaled_dot_product_attention:
            return torch.empty_like(args[0])
        return func(*args, **(kwargs or {}))


def most_alive(call: Callable[[], Any]) -> int:
    """Bytes; views of weights are among them, so compare two sizes."""
    with torch.no_grad(), _Living() as living, _Fused():
        call()
    return living.peak
