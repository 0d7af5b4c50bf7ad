"""What a drawing takes of a device's memory, and how it is made to fit.

Weights are counted: parameters of the published networks times the bytes of a number. What lies
between the layers is counted too (the largest sum of live tensors of one call, ``tests/diffusion/
test_plan.py`` counts it again) and taken :data:`SLACK` times, because convolutions take workspace
and the allocator leaves gaps: so a VAE's 1024×1024 comes to the 6–8 GB that are seen in the field.
A plan that is too careful costs seconds; one that is too bold costs the request.

Whether a picture is decoded in tiles depends on the device alone and never on what else is in it,
since tiles change the picture a little: the same request gives the same bytes on the same card.

Knows numbers and no network; imports nothing heavy, so that ``limner doctor`` can ask it.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from enum import IntEnum

from limner.diffusion.weights import MODEL_TYPES, ModelType

GIB = 2**30

#: Parameters of the published networks.
UNET = {False: 859_520_964, True: 2_567_463_684}
CONTROLNET = 1_251_014_160
VAE = 83_653_863
CLIP_L, CLIP_G, CLIP_VISION = 123_060_480, 694_659_840, 632_076_800
#: An adapter's keys and values in the UNet; with the block that is largest by far, and without.
KEYS = {False: 19_169_280, True: 340_787_200}
#: Projections: FaceID's, what Plus adds to it, InstantID's and plus-face's.
FACE_TOKENS, PLUS = {False: 3_675_648, True: 8_926_208}, {False: 29_905_920, True: 208_199_680}
IDENTITY, LOOK = 81_978_624, 82_961_664
#: ZoeDepth, as far as it is published: 0.7 GB in half precision.
DEPTH_EYE = 350_000_000
#: Of a UNet that moves block by block: what is in no block, with its largest block.
LARGEST = {False: 357_443_524, True: 1_627_006_404}

#: Numbers alive at once for each pixel of the picture: of a UNet's call for each row, of the VAE's.
UNET_LIVE, VAE_LIVE = {False: 130, True: 79}, 769
SLACK = 4
#: Side of the tiles that a large picture is decoded in, pixels.
TILE = 512

#: Bytes of a number, and of one of the VAE's: in fp16 SDXL's VAE overflows, so it is given fp32.
NUMBERS = {"bfloat16": (2, 2), "float16": (2, 4), "float32": (4, 4)}

#: Of a host's memory, what networks that are converted may take; there are other programs.
HOSTS_SHARE = 0.75

#: Of a whole card: what its driver and a desktop take, bytes, and the part lost in gaps.
TAKEN, GAPS = 0.75e9, 0.05


class Offload(IntEnum):
    """What of the networks waits in the host's memory; the later, the smaller and slower."""

    #: Nothing: all stay on the device.
    NONE = 0
    #: Those that read (text, the face) and those that draw take turns.
    NETWORKS = 1
    #: And those that draw come block by block.
    BLOCKS = 2

    def __str__(self) -> str:
        return ("all on the device", "networks take turns", "block by block")[self]


@dataclass(frozen=True, slots=True)
class Memory:
    """A device's memory in bytes: all of it, and what can be had now."""

    total: float
    free: float


def card(gib: float) -> Memory:
    """A card of ``gib`` GiB with nothing on it but a driver and a desktop."""
    usable = gib * GIB * (1 - GAPS) - TAKEN
    return Memory(usable, usable)


@dataclass(frozen=True, slots=True)
class Parts:
    """A drawing's networks in parameters, by when they are needed, and the size of one call."""

    #: Read what is asked for, then are done.
    readers: int
    #: Draw, step by step.
    painters: int
    #: Of the painters, what is there at once when they come block by block.
    largest: int
    #: Small or needed all along.
    residents: int
    #: Rows of one call, guidance counted.
    rows: int
    #: Numbers alive in one call, for each row and pixel.
    live: int


@dataclass(frozen=True, slots=True)
class Plan:
    """How a drawing is fitted into a device."""

    offload: Offload
    #: Largest picture that is decoded in one piece, pixels; larger ones are decoded in tiles.
    whole: int
    #: Predicted need, bytes, and whether that much is there.
    peak: float
    fits: bool
    #: Whether there is room for calls that keep what lies between their layers (CUDA graphs).
    roomy: bool
    #: The numbers it computes in, of :data:`NUMBERS`.
    dtype: str
    #: Whether the networks that draw are there a second time, converted for this CPU.
    converted: bool = False


def face_id_parts(kind: ModelType, at_once: int) -> Parts:
    """ip-adapter-face-id's; ``at_once``: samples in one call."""
    xl = kind.xl
    return Parts(
        readers=CLIP_L + CLIP_G * xl + CLIP_VISION * kind.plus,
        painters=UNET[xl] + KEYS[xl],
        largest=LARGEST[xl] + KEYS[xl],
        residents=VAE + FACE_TOKENS[xl] + PLUS[xl] * kind.plus,
        rows=2 * at_once,
        live=UNET_LIVE[xl],
    )


def sticker_parts(*, depth: bool = False) -> Parts:
    """face-to-sticker's; ``depth``: with the ControlNet of depth and the eye for it.

    A ControlNet's largest block is smaller than the UNet's.
    """
    return Parts(
        readers=CLIP_L + CLIP_G + CLIP_VISION,
        painters=UNET[True] + 2 * KEYS[True] + (1 + depth) * CONTROLNET,
        largest=LARGEST[True] + 2 * KEYS[True],
        # The eye is in fp32: two numbers of half precision each.
        residents=VAE + IDENTITY + LOOK + 2 * depth * DEPTH_EYE,
        rows=2,
        live=UNET_LIVE[True],
    )


def choose_dtype(device: str, *, bf16: bool) -> str:
    """bf16 where the device computes in it, since it has fp32's range; otherwise fp16 on an
    accelerator and fp32 on a CPU, which would only emulate the others."""
    if bf16:
        return "bfloat16"
    return "float32" if device == "cpu" else "float16"


def usual(*, at_once: int) -> dict[str, tuple[Parts, int]]:
    """What people ask for: its parts and its size in pixels. ``at_once``: SD 1.5's samples."""
    return {
        "fal-ai/ip-adapter-face-id": (face_id_parts(MODEL_TYPES["1_5-v1"], at_once), 512 * 512),
        "fal-ai/ip-adapter-face-id, SDXL": (face_id_parts(MODEL_TYPES["SDXL-v1"], 1), 512 * 512),
        "fal-ai/face-to-sticker": (sticker_parts(), 1024 * 1024),
    }


def plan(
    parts: Parts,
    pixels: int,
    memory: Memory,
    dtype: str,
    *,
    host: bool = False,
    converts: bool = False,
) -> Plan:
    """The fastest way to draw ``pixels`` that fits; if none does the smallest, and ``fits`` False.

    ``dtype``: of :data:`NUMBERS`. ``host``: the device is the host itself, where moving networks
    away would gain nothing. ``converts``: it can convert those that draw, in fp32 and beside
    themselves; that is done where the host's whole memory has room, whatever else is in it, since
    their numbers are not those of ``dtype``.
    """
    if converts:
        twice, room = replace(parts, painters=2 * parts.painters), HOSTS_SHARE * memory.total
        made = _planned(twice, pixels, Memory(memory.total, room), "float32", host=True)
        if made.fits:
            return replace(made, converted=True, fits=made.peak <= memory.free)
    return _planned(parts, pixels, memory, dtype, host=host)


def _planned(parts: Parts, pixels: int, memory: Memory, dtype: str, *, host: bool) -> Plan:
    ways = (Offload.NONE,) if host else tuple(Offload)
    size = _Size(parts, pixels, *NUMBERS[dtype])
    # What a card of this size does when it is empty decides what is decoded whole.
    empty = next((way for way in ways if size.peak(way, 0) <= memory.total), ways[-1])
    # Tiles are cheaper than calls without recordings, which have their memory while others decode.
    recorded = size.between if empty is Offload.NONE and not host else 0
    room = max(0, memory.total - size.resident(empty) - recorded)
    whole = int(room / (VAE_LIVE * SLACK * size.vae_width))
    peaks = {way: size.peak(way, whole) for way in ways}
    way = next((way for way in ways if peaks[way] <= memory.free), ways[-1])
    roomy = way is Offload.NONE and peaks[way] + size.between <= memory.free
    return Plan(way, whole, peaks[way], peaks[way] <= memory.free, roomy, dtype)


@dataclass(frozen=True, slots=True)
class _Size:
    """A drawing in numbers of ``width`` bytes, its VAE's in ``vae_width``: bytes, by moment."""

    parts: Parts
    pixels: int
    width: int
    vae_width: int

    def resident(self, way: Offload) -> int:
        """What is on the device all along."""
        parts = self.parts
        always = (parts.residents - VAE) * self.width + VAE * self.vae_width
        taken_along = parts.readers + parts.painters if way is Offload.NONE else 0
        return always + taken_along * self.width

    @property
    def between(self) -> int:
        """What lies between the layers of a call."""
        parts = self.parts
        return parts.rows * self.pixels * parts.live * SLACK * self.width

    def peak(self, way: Offload, whole: int) -> float:
        """The worst of reading, drawing and decoding."""
        parts, width = self.parts, self.width
        drawing = self.between
        reading = 0
        if way is not Offload.NONE:
            painters = parts.painters if way is Offload.NETWORKS else parts.largest
            drawing += painters * width
            reading = parts.readers * width
        tiled = min(self.pixels, TILE * TILE)
        decoded = self.pixels if self.pixels <= whole else tiled
        decoding = decoded * VAE_LIVE * SLACK * self.vae_width
        return self.resident(way) + max(reading, drawing, decoding)
