"""Where networks run, in which numbers, and how they are fitted into its memory.

Knows torch's devices; knows no network.
"""

from __future__ import annotations

import gc
import importlib.util
import os
import traceback
from collections.abc import Callable, Generator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import psutil
import torch

from limner.diffusion.plan import Memory, Offload, Parts, Plan, choose_dtype, plan
from limner.errors import OutOfMemory

#: Guided samples that one call has places for, for (SD 1.5, SDXL) at their usual size: what
#: memory is planned for. What a call really has is ``denoiser.buckets``'.
_AT_ONCE = {"cpu": (1, 1), "cuda": (4, 1)}

#: How allocators without an exception of their own say that memory is out.
_SAYINGS = ("not enough memory", "can't allocate memory", "cannot allocate memory")


@dataclass(frozen=True, slots=True)
class Machine:
    """A device, the numbers its networks compute in, and what a plan decided for them.

    ``converts``: before a plan, whether networks that draw can be converted for this CPU; after
    it, whether they are to be, in fp32 (``denoiser.openvino``).
    """

    device: torch.device
    dtype: torch.dtype
    offload: Offload = Offload.NONE
    #: Largest picture that is decoded in one piece, pixels; None: any.
    whole: int | None = None
    #: Whether networks may be compiled for the device, a GPU.
    compiles: bool = False
    converts: bool = False

    def samples_at_once(self, *, xl: bool) -> int:
        """How many guided samples one call has places for."""
        return _AT_ONCE.get(self.device.type, (1, 1))[xl]

    @property
    def rest(self) -> torch.device:
        """Where a network lies while it is not used."""
        return self.device if self.offload is Offload.NONE else torch.device("cpu")

    @property
    def compiled(self) -> bool:
        """Whether what draws is compiled and recorded: on a GPU that it never leaves."""
        return self.compiles and self.device.type == "cuda" and self.offload is Offload.NONE

    @property
    def is_host(self) -> bool:
        """Whether the device's memory is the host's."""
        return self.device.type == "cpu"

    def in_fp32(self) -> Machine:
        """The same device, computing in fp32 whatever it costs; not planned yet."""
        return Machine(self.device, torch.float32)

    def plan(self, parts: Parts, pixels: int, memory: Memory) -> Plan:
        """How ``pixels`` are drawn here with networks of these ``parts``."""
        name = str(self.dtype).removeprefix("torch.")
        return plan(parts, pixels, memory, name, host=self.is_host, converts=self.converts)

    def planned(self, parts: Parts, pixels: int, memory: Memory) -> Machine:
        """This machine as :meth:`plan` has it."""
        made = self.plan(parts, pixels, memory)
        return Machine(
            self.device,
            getattr(torch, made.dtype),
            made.offload,
            made.whole,
            compiles=self.compiles and made.roomy,
            converts=made.converted,
        )


#: How much memory a device has.
Measure = Callable[[torch.device], Memory]


def memory_of(device: torch.device) -> Memory:
    """What ``device`` has, and what of it this process could have now."""
    if device.type != "cuda":
        host = psutil.virtual_memory()
        return Memory(host.total, host.available)
    free, total = torch.cuda.mem_get_info(device)
    # What torch keeps for itself without using it is ours as well.
    kept = torch.cuda.memory_reserved(device) - torch.cuda.memory_allocated(device)
    return Memory(total, free + kept)


def name_of(device: torch.device) -> str:
    """What people call a device."""
    if device.type == "cuda":
        return torch.cuda.get_device_name(device)
    return f"CPU, {os.cpu_count()} cores"


def this_machine(*, compile: bool = False) -> Machine:
    """An NVIDIA GPU if there is one, otherwise the CPU, in the numbers it is made for.

    ``compile``: may networks be compiled for it, on a CPU by OpenVINO where that is installed?
    """
    if torch.cuda.is_available():
        device, bf16 = "cuda", torch.cuda.is_bf16_supported(including_emulation=False)
    else:
        device, bf16 = "cpu", _cpu_has_bf16()
    dtype: torch.dtype = getattr(torch, choose_dtype(device, bf16=bf16))
    converts = compile and device == "cpu" and importlib.util.find_spec("openvino") is not None
    return Machine(torch.device(device), dtype, compiles=compile, converts=converts)


def as_many_threads_as_told() -> None:
    """Have the thread that calls this compute with no more threads than torch was told to use.

    OpenMP keeps that number for each thread by itself, and torch passes it on only with the first
    work of its own kernels there: a product before that is shared by all cores of the machine.
    """
    torch.get_num_threads()  # passes it on


def keep_compiled(folder: Path) -> None:
    """Keep what is compiled for a device, for the next start; to be said before the first call.

    It is code that is run, and torch would keep it where every user of the machine can write.
    """
    os.environ.setdefault("TORCHINDUCTOR_CACHE_DIR", str(folder))


def _cpu_has_bf16() -> bool:
    """Whether this CPU multiplies in bf16 (AVX512-BF16, AMX): twice as fast as fp32 there."""
    # torch tells by no public name, and by these from 2.6 on.
    told = (
        getattr(torch.cpu, f"_is_{name}_supported", None) for name in ("avx512_bf16", "amx_tile")
    )
    return any(tell() for tell in told if tell is not None)


@contextmanager
def out_of_memory_told(what: str, less: str) -> Generator[None]:
    """Memory that is out becomes OutOfMemory, once what the work held is given back.

    ``what`` says what does not fit; ``less`` is what to ask for instead.
    """
    try:
        yield
    except (MemoryError, RuntimeError) as fault:
        if not is_out_of_memory(fault):
            raise
        # The frames that failed hold the tensors: without them the memory is free again.
        traceback.clear_frames(fault.__traceback__)
    else:
        return
    forget()
    raise OutOfMemory(
        f"{what} into the memory of this server. Ask for {less}. Its operator sees"
        " what fits with `limner doctor`."
    )


def is_out_of_memory(fault: BaseException) -> bool:
    """Whether a fault says that memory is out: CUDA's, the CPU allocator's or Python's."""
    if isinstance(fault, (torch.OutOfMemoryError, MemoryError)):
        return True
    return isinstance(fault, RuntimeError) and any(say in str(fault).lower() for say in _SAYINGS)


def forget() -> None:
    """Give memory back that nothing needs any more."""
    gc.collect()
    if torch.cuda.is_available():
        torch.cuda.empty_cache()


def accelerator_memory() -> tuple[int, int] | None:
    """Free and total bytes of the accelerator that networks run on; None when there is none."""
    if not torch.cuda.is_available():
        return None
    memory = memory_of(torch.device("cuda"))
    return int(memory.free), int(memory.total)
