"""Every published file the diffusion engine can use: the one table of constants.

Sizes and hashes are written down where a public source states them; where they are None the hub
says them when the file is pulled, and the hub's own hash is what the file is verified against.
``revision`` is a commit where one is known to hold these files, otherwise a branch: then the commit
that is pulled first is recorded (``holdings``), and is the one ever after.

Knows names, terms and who needs what; knows no network's inside and imports nothing heavy.
"""

from __future__ import annotations

from dataclasses import dataclass

from limner.diffusion.lcm_weights import LCM
from limner.diffusion.weight import MB, File, Weight, base_files, model_files

_FACEID = "h94/IP-Adapter-FaceID"
_FACEID_TERMS = "research only (the model card: not for commercial use)"


def _faceid(name: str, file: str, size: int, sha256: str | None) -> Weight:
    what = "IP-Adapter-FaceID with its LoRA"
    files = (File(file, size, sha256),)
    return Weight(name, _FACEID, "main", files, _FACEID_TERMS, False, what)


WEIGHTS: dict[str, Weight] = {
    weight.name: weight
    for weight in (
        _faceid(
            "faceid-sd15",
            "ip-adapter-faceid_sd15.bin",
            96_740_574,
            "201344e22e6f55849cf07ca7a6e53d8c3b001327c66cb9710d69fd5da48a8da7",
        ),
        _faceid("faceid-plus-sd15", "ip-adapter-faceid-plus_sd15.bin", 157 * MB, None),
        _faceid(
            "faceid-plusv2-sd15",
            "ip-adapter-faceid-plusv2_sd15.bin",
            157 * MB,
            "26d0d86a1d60d6cc811d3b8862178b461e1eeb651e6fe2b72ba17aa95411e313",
        ),
        _faceid(
            "faceid-sdxl",
            "ip-adapter-faceid_sdxl.bin",
            1_070 * MB,
            "f455fed24e207c878ec1e0466b34a969d37bab857c5faa4e8d259a0b4ff63d7e",
        ),
        _faceid(
            "faceid-plusv2-sdxl",
            "ip-adapter-faceid-plusv2_sdxl.bin",
            1_490 * MB,
            "c6945d82b543700cc3ccbb98d363b837e9c596281607857c74b713a876daf5fb",
        ),
        Weight(
            "auraface-sd15",
            "",
            "",
            (File("ip-adapter-auraface_sd15"),),
            "its owner's",
            True,
            "the AuraFace IP-Adapter, which fal has never published: bring your own file",
        ),
        Weight(
            "realistic-vision-v4",
            "SG161222/Realistic_Vision_V4.0_noVAE",
            "main",
            base_files(xl=False, vae=False),
            "CreativeML OpenRAIL-M",
            True,
            "the default Stable Diffusion 1.5 base",
        ),
        Weight(
            "vae-ft-mse",
            "stabilityai/sd-vae-ft-mse",
            "main",
            (File("config.json"), File("diffusion_pytorch_model.safetensors", 335 * MB)),
            "MIT",
            True,
            "the VAE that goes with Realistic Vision",
        ),
        Weight(
            "realvisxl-v3",
            "SG161222/RealVisXL_V3.0",
            "main",
            base_files(xl=True, vae=True),
            "CreativeML OpenRAIL++-M",
            True,
            "the default Stable Diffusion XL base",
        ),
        Weight(
            "clip-vit-h",
            "h94/IP-Adapter",
            "018e402774aeeddd60609b4ecdb7e298259dc729",
            (
                File("models/image_encoder/config.json"),
                File(
                    "models/image_encoder/model.safetensors",
                    2_528_373_448,
                    "6ca9667da1ca9e0b0f75e46bb030f7e011f44f86cbfb8d5a36590fcd7507b030",
                ),
            ),
            "Apache-2.0",
            True,
            "OpenCLIP ViT-H/14, the eye of the Plus adapters",
        ),
        Weight(
            "arcface-buffalo-l",
            "public-data/insightface",
            "33c1063c49c785b7652d3fd529f86fa4f149392b",
            (
                File(
                    "models/buffalo_l/w600k_r50.onnx",
                    174_383_860,
                    "4c06341c33c2ca1f86781dab0e829f88ad5b64be9fba56e56bc9ebdefc619e43",
                ),
            ),
            "InsightFace: non-commercial research",
            False,
            "the face embedding that the FaceID adapters were trained on",
        ),
        Weight(
            "arcface-auraface",
            "fal/AuraFace-v1",
            "af6d057c9b0ec4071d4c49c80e3539258798b609",
            (
                File(
                    "glintr100.onnx",
                    260_694_151,
                    "a7933ea5330113b01c9b60351d8f4c33003f145d8470ac5f0e52ee2effe25c60",
                ),
            ),
            "Apache-2.0",
            True,
            "AuraFace's face embedding",
        ),
        Weight(
            "albedobase-xl",
            "frankjoshua/albedobaseXL_v13",
            "main",
            base_files(xl=True, vae=True),
            "CreativeML OpenRAIL++-M with an addendum",
            True,
            "the Stable Diffusion XL base of stickers",
        ),
        Weight(
            "instantid",
            "InstantX/InstantID",
            "main",
            (
                File("ip-adapter.bin", 1_690 * MB),
                *model_files("ControlNetModel", 2_500 * MB, "diffusion_pytorch_model.safetensors"),
            ),
            "Apache-2.0, and its authors: for research only",
            False,
            "InstantID's adapter and ControlNet",
        ),
        Weight(
            "plus-face-sdxl",
            "h94/IP-Adapter",
            "018e402774aeeddd60609b4ecdb7e298259dc729",
            (
                File(
                    "sdxl_models/ip-adapter-plus-face_sdxl_vit-h.safetensors",
                    848 * MB,
                    "677ad8860204f7d0bfba12d29e6c31ded9beefdf3e4bbd102518357d31a292c1",
                ),
            ),
            "Apache-2.0",
            True,
            "the second adapter of stickers",
        ),
        Weight(
            "stickers-redmond",
            "artificialguybr/StickersRedmond",
            "main",
            (File("StickersRedmond.safetensors", 171 * MB),),
            "unclear: the author's other LoRAs are bespoke-lora-trained-license",
            False,
            "the LoRA that draws stickers",
        ),
        Weight(
            "arcface-antelopev2",
            "DIAMONIK7777/antelopev2",
            "main",
            (
                File(
                    "glintr100.onnx",
                    261 * MB,
                    "4ab1d6435d639628a6f3e5008dd4f929edf4c4124b1a7169e1048f9fef534cdf",
                ),
            ),
            "InsightFace: non-commercial research",
            False,
            "the face embedding that InstantID was trained on",
        ),
        Weight(
            "birefnet-lite",
            "onnx-community/BiRefNet_lite-ONNX",
            "main",
            (File("onnx/model.onnx", 224 * MB),),
            "MIT",
            True,
            "cuts a sticker out of its background",
        ),
        Weight(
            "nsfw-falconsai",
            "Falconsai/nsfw_image_detection",
            "main",
            (File("config.json"), File("model.safetensors", 343 * MB)),
            "Apache-2.0",
            True,
            "tells whether a picture is safe for work",
        ),
        Weight(
            "zoe-depth",
            "Intel/zoedepth-nyu",
            "main",
            (File("config.json"), File("model.safetensors")),
            "MIT",
            True,
            "sees how far away things are, for controlnet-zoe-depth; optional",
        ),
        Weight(
            "controlnet-zoe-depth",
            "diffusers/controlnet-zoe-depth-sdxl-1.0",
            "main",
            (File("config.json"), File("diffusion_pytorch_model.safetensors")),
            "CreativeML OpenRAIL++-M",
            True,
            "keeps a sticker to the photo's depth; optional",
        ),
        *LCM.values(),
    )
}


@dataclass(frozen=True, slots=True)
class ModelType:
    """One of ip-adapter-face-id's ``model_type``s: which files it is made of, and how."""

    name: str
    adapter: str
    recogniser: str
    #: Reads CLIP's view of the face too.
    plus: bool
    #: PlusV2: adds what it reads to the tokens. Nothing in the file says so.
    shortcut: bool
    xl: bool

    @property
    def base(self) -> str:
        """The default base's weight."""
        return "realvisxl-v3" if self.xl else "realistic-vision-v4"

    @property
    def field(self) -> str:
        """The input that names another base."""
        return "base_sdxl_model_repo" if self.xl else "base_1_5_model_repo"

    @property
    def needs(self) -> tuple[str, ...]:
        """The weights that it is drawn with on its default base."""
        vae = () if self.xl else ("vae-ft-mse",)
        clip = ("clip-vit-h",) if self.plus else ()
        return (self.adapter, self.recogniser, *clip, self.base, *vae)


MODEL_TYPES: dict[str, ModelType] = {
    kind.name: kind
    for kind in (
        ModelType("1_5-v1", "faceid-sd15", "arcface-buffalo-l", False, False, False),
        ModelType("1_5-v1-plus", "faceid-plus-sd15", "arcface-buffalo-l", True, False, False),
        ModelType("1_5-v2-plus", "faceid-plusv2-sd15", "arcface-buffalo-l", True, True, False),
        ModelType("SDXL-v1", "faceid-sdxl", "arcface-buffalo-l", False, False, True),
        ModelType("SDXL-v2-plus", "faceid-plusv2-sdxl", "arcface-buffalo-l", True, True, True),
        ModelType("1_5-auraface-v1", "auraface-sd15", "arcface-auraface", False, False, False),
    )
}

#: What an endpoint needs at least before the diffusion engine is taken for it by itself.
ENDPOINT_NEEDS: dict[str, tuple[str, ...]] = {
    "fal-ai/ip-adapter-face-id": MODEL_TYPES["1_5-v1"].needs,
    "fal-ai/face-to-sticker": (
        "albedobase-xl",
        "instantid",
        "plus-face-sdxl",
        "clip-vit-h",
        "stickers-redmond",
        "arcface-antelopev2",
        "birefnet-lite",
    ),
}

#: Looks at what was drawn. Pulled with every endpoint; without it open_nsfw looks alone.
SAFETY = "nsfw-falconsai"
#: The network that sees depth and the ControlNet that reads it. Stickers are drawn with both or
#: without; neither is pulled unless it is asked for by name.
DEPTH = ("zoe-depth", "controlnet-zoe-depth")
