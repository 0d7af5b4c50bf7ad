"""Tiny random checkpoints in the published file layouts, under the published names.

What is small is free in the real files too (widths, text layers, LoRA rank); what is fixed there
is fixed here: 32 and 140 attention layers, a resampler of depth 4 with heads of 64, 512 numbers
of a face, pickled fp16 ``.bin`` adapters, text encoders with the ``text_model.`` prefix.
"""

from __future__ import annotations

import copy
import functools
import json
import re
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import torch
from diffusers.models.autoencoders.autoencoder_kl import AutoencoderKL
from diffusers.models.controlnets.controlnet import ControlNetModel
from diffusers.models.unets.unet_2d_condition import UNet2DConditionModel
from diffusers.schedulers.scheduling_ddim import DDIMScheduler
from onnx import helper, numpy_helper
from safetensors.torch import load_file, save_file
from torch import Tensor
from transformers import (
    BeitConfig,
    CLIPTextConfig,
    CLIPTextModel,
    CLIPTextModelWithProjection,
    CLIPVisionConfig,
    CLIPVisionModelWithProjection,
    ViTConfig,
    ViTForImageClassification,
    ZoeDepthConfig,
    ZoeDepthForDepthEstimation,
)

#: Widths. SDXL's two text encoders differ, as they do there.
CLIP, TEXT, TEXT_XL, TEXT_XL_2 = 32, 64, 32, 96
WIDTHS = {"sd15": TEXT, "sdxl": TEXT_XL + TEXT_XL_2}
LORA_RANK = 4

REFERENCE_DDIM: dict[str, Any] = {
    "num_train_timesteps": 1000,
    "beta_start": 0.00085,
    "beta_end": 0.012,
    "beta_schedule": "scaled_linear",
    "clip_sample": False,
    "set_alpha_to_one": False,
    "steps_offset": 1,
}

BASES = {"sd15": "SG161222/Realistic_Vision_V4.0_noVAE", "sdxl": "SG161222/RealVisXL_V3.0"}
VAE_REPO = "stabilityai/sd-vae-ft-mse"
FACEID_REPO = "h94/IP-Adapter-FaceID"
CLIP_FOLDER = "h94/IP-Adapter/models/image_encoder"
ARCFACE = "public-data/insightface/models/buffalo_l/w600k_r50.onnx"

NSFW_REPO = "Falconsai/nsfw_image_detection"

#: File of the FaceID repository → (family, has a perceiver).
ADAPTERS = {
    "ip-adapter-faceid_sd15.bin": ("sd15", False),
    "ip-adapter-faceid-plus_sd15.bin": ("sd15", True),
    "ip-adapter-faceid-plusv2_sd15.bin": ("sd15", True),
    "ip-adapter-faceid_sdxl.bin": ("sdxl", False),
    "ip-adapter-faceid-plusv2_sdxl.bin": ("sdxl", True),
}


def build(root: Path) -> Path:
    """Everything ip-adapter-face-id needs, as ``root/<owner>/<name>/<file>``."""
    torch.manual_seed(0)
    for family in BASES:
        write_base(root / BASES[family], family)
    vae(0.18215).save_pretrained(root / VAE_REPO)
    write_clip_vision(root / CLIP_FOLDER)
    for name, (family, plus) in ADAPTERS.items():
        write_adapter(root / FACEID_REPO / name, family, plus=plus)
    write_arcface(root / ARCFACE)
    write_nsfw(root / NSFW_REPO)
    for family, file in LCM_LORAS.items():
        write_lcm_lora(root / file, family)
    return root


_UNETS: dict[str, dict[str, Any]] = {
    "sd15": {
        "sample_size": 64,
        "block_out_channels": (32, 64, 64, 64),
        "down_block_types": (*["CrossAttnDownBlock2D"] * 3, "DownBlock2D"),
        "up_block_types": ("UpBlock2D", *["CrossAttnUpBlock2D"] * 3),
        "cross_attention_dim": WIDTHS["sd15"],
        "attention_head_dim": 8,
    },
    "sdxl": {
        "sample_size": 128,
        "block_out_channels": (32, 64, 64),
        "down_block_types": ("DownBlock2D", "CrossAttnDownBlock2D", "CrossAttnDownBlock2D"),
        "up_block_types": ("CrossAttnUpBlock2D", "CrossAttnUpBlock2D", "UpBlock2D"),
        "cross_attention_dim": WIDTHS["sdxl"],
        "transformer_layers_per_block": (1, 2, 10),
        "attention_head_dim": (2, 4, 4),
        "use_linear_projection": True,
        "addition_embed_type": "text_time",
        "addition_time_embed_dim": 8,
        "projection_class_embeddings_input_dim": TEXT_XL_2 + 6 * 8,
    },
}

_VAE: dict[str, Any] = {
    "down_block_types": ("DownEncoderBlock2D",) * 4,
    "up_block_types": ("UpDecoderBlock2D",) * 4,
    "block_out_channels": (8, 8, 8, 8),
    "norm_num_groups": 4,
    "latent_channels": 4,
    "sample_size": 64,
}


def unet(family: str) -> Any:
    """A narrow UNet with every attention layer of the real one; always the same numbers."""
    return copy.deepcopy(_unet(family))


@functools.cache
def _unet(family: str) -> UNet2DConditionModel:
    with torch.random.fork_rng():
        torch.manual_seed(3)
        return UNet2DConditionModel(**_UNETS[family])


def vae(scaling_factor: float, **changes: Any) -> Any:
    """A narrow VAE of four levels, so that it scales by 8."""
    return AutoencoderKL(**_VAE, scaling_factor=scaling_factor, **changes)


def write_base(folder: Path, family: str) -> None:
    """A diffusers folder, as the base repositories are."""
    xl = family == "sdxl"
    write_tokenizer(folder / "tokenizer", pad="<|endoftext|>")
    unet(family).save_pretrained(folder / "unet")
    vae(0.13025 if xl else 0.18215, force_upcast=xl).save_pretrained(folder / "vae")
    DDIMScheduler(**REFERENCE_DDIM).save_pretrained(folder / "scheduler")
    _write_text(folder / "text_encoder", CLIPTextModel(text_config(TEXT_XL if xl else TEXT)))
    parts = {
        "scheduler": ["diffusers", "DDIMScheduler"],
        "text_encoder": ["transformers", "CLIPTextModel"],
        "tokenizer": ["transformers", "CLIPTokenizer"],
        "unet": ["diffusers", "UNet2DConditionModel"],
        "vae": ["diffusers", "AutoencoderKL"],
    }
    if xl:
        write_tokenizer(folder / "tokenizer_2", pad="!")
        second = CLIPTextModelWithProjection(text_config(TEXT_XL_2, "gelu"))
        second.save_pretrained(folder / "text_encoder_2")
        parts["text_encoder_2"] = ["transformers", "CLIPTextModelWithProjection"]
        parts["tokenizer_2"] = ["transformers", "CLIPTokenizer"]
    pipeline = "StableDiffusionXLPipeline" if xl else "StableDiffusionPipeline"
    index = {"_class_name": pipeline, "_diffusers_version": "0.30.0", **parts}
    (folder / "model_index.json").write_text(json.dumps(index))


def text_config(hidden: int, act: str = "quick_gelu") -> CLIPTextConfig:
    return CLIPTextConfig(
        vocab_size=514,
        hidden_size=hidden,
        intermediate_size=2 * hidden,
        num_hidden_layers=3,
        num_attention_heads=2,
        projection_dim=hidden,
        hidden_act=act,
        bos_token_id=512,
        eos_token_id=513,
        pad_token_id=1,
    )


def _write_text(folder: Path, model: CLIPTextModel) -> None:
    """With the ``text_model.`` prefix of published files, which transformers no longer writes."""
    model.save_pretrained(folder)
    path = folder / "model.safetensors"
    weights = load_file(path)
    prefixed = {f"text_model.{key.removeprefix('text_model.')}": weights[key] for key in weights}
    save_file(prefixed, path, metadata={"format": "pt"})


def write_tokenizer(folder: Path, pad: str) -> None:
    """CLIP's byte-level tokenizer that merges nothing: one token for each letter."""
    folder.mkdir(parents=True)
    shown = [*range(33, 127), *range(161, 173), *range(174, 256)]
    letters = [chr(byte) for byte in shown] + [chr(256 + n) for n in range(256 - len(shown))]
    words = [*letters, *(letter + "</w>" for letter in letters), "<|startoftext|>", "<|endoftext|>"]
    (folder / "vocab.json").write_text(json.dumps({word: at for at, word in enumerate(words)}))
    (folder / "merges.txt").write_text("#version: 0.2\n")
    special = {
        "bos_token": "<|startoftext|>",
        "eos_token": "<|endoftext|>",
        "unk_token": "<|endoftext|>",
        "pad_token": pad,
    }
    (folder / "special_tokens_map.json").write_text(json.dumps(special))
    config = {"tokenizer_class": "CLIPTokenizer", "model_max_length": 77, "do_lower_case": True}
    (folder / "tokenizer_config.json").write_text(json.dumps({**config, **special}))


def write_clip_vision(folder: Path) -> None:
    config = CLIPVisionConfig(
        hidden_size=CLIP,
        intermediate_size=2 * CLIP,
        num_hidden_layers=3,
        num_attention_heads=2,
        image_size=224,
        patch_size=56,
        projection_dim=16,
        hidden_act="gelu",
    )
    CLIPVisionModelWithProjection(config).save_pretrained(folder)


def write_nsfw(folder: Path, flags: float = -1.0) -> None:
    """Falconsai's ViT, leaning to "nsfw" by ``flags``: above 0 to it, below 0 away from it."""
    config = ViTConfig(
        hidden_size=16,
        intermediate_size=32,
        num_hidden_layers=2,
        num_attention_heads=2,
        image_size=224,
        patch_size=56,
        id2label={0: "normal", 1: "nsfw"},
        label2id={"normal": 0, "nsfw": 1},
    )
    model: Any = ViTForImageClassification(config)
    with torch.no_grad():
        model.classifier.bias.copy_(torch.tensor([0.0, flags]))
    model.save_pretrained(folder)


ZOE_REPO = "Intel/zoedepth-nyu"
DEPTH_REPO = "diffusers/controlnet-zoe-depth-sdxl-1.0"


def build_depth(root: Path) -> None:
    """What a sticker may be kept to a photo's depth with."""
    with torch.random.fork_rng():
        torch.manual_seed(7)
        beit: Any = BeitConfig
        backbone = beit(
            image_size=64,
            patch_size=16,
            hidden_size=32,
            intermediate_size=64,
            num_hidden_layers=4,
            num_attention_heads=2,
            use_relative_position_bias=True,
            reshape_hidden_states=False,
            out_features=[f"stage{number}" for number in range(1, 5)],
        )
        config = ZoeDepthConfig(
            backbone_config=backbone,
            neck_hidden_sizes=[8, 8, 16, 16],
            fusion_hidden_size=16,
            bottleneck_features=16,
            num_relative_features=8,
            bin_configurations=[{"n_bins": 16, "min_depth": 0.001, "max_depth": 10.0}],
            bin_embedding_dim=16,
            num_attractors=[4, 4, 2, 1],
            initializer_range=0.2,
        )
        ZoeDepthForDepthEstimation(config).save_pretrained(root / ZOE_REPO)
        write_controlnet(root / DEPTH_REPO)


def write_controlnet(folder: Path) -> None:
    """Of SDXL's kind; what is zero as it is made would prove nothing."""
    control: Any = ControlNetModel.from_unet(
        unet("sdxl"), conditioning_embedding_out_channels=(16, 32, 96, 256)
    )
    for name, parameter in control.named_parameters():
        if "controlnet_" in name:
            torch.nn.init.normal_(parameter, std=0.05)
    control.save_pretrained(folder)


def write_adapter(path: Path, family: str, *, plus: bool) -> None:
    """A FaceID adapter as tencent-ailab saved them: two dictionaries, pickled, fp16."""
    parts = {
        "image_proj": faceid_projection(WIDTHS[family], plus=plus),
        "ip_adapter": attention_tensors(unet(family), lora=True),
    }
    path.parent.mkdir(parents=True, exist_ok=True)
    halved = {name: {k: v.half() for k, v in part.items()} for name, part in parts.items()}
    torch.save(halved, path)


def faceid_projection(width: int, *, plus: bool) -> dict[str, Tensor]:
    tensors: dict[str, Tensor] = {}
    _linear(tensors, "proj.0", 512, 1024, scale=0.5)
    _linear(tensors, "proj.2", 1024, 4 * width, scale=0.3)
    _norm(tensors, "norm", width)
    if plus:
        perceiver(tensors, "perceiver_resampler.", (CLIP, width, width))
    return tensors


def perceiver(tensors: dict[str, Tensor], prefix: str, widths: tuple[int, int, int]) -> None:
    """Four blocks, ``widths``: read, inside, out."""
    reads, inside, out = widths
    _linear(tensors, f"{prefix}proj_in", reads, inside)
    _linear(tensors, f"{prefix}proj_out", inside, out)
    _norm(tensors, f"{prefix}norm_out", out)
    for block in range(4):
        name = f"{prefix}layers.{block}"
        _norm(tensors, f"{name}.0.norm1", inside)
        _norm(tensors, f"{name}.0.norm2", inside)
        _linear(tensors, f"{name}.0.to_q", inside, inside, bias=False)
        _linear(tensors, f"{name}.0.to_kv", inside, 2 * inside, bias=False)
        _linear(tensors, f"{name}.0.to_out", inside, inside, bias=False)
        _norm(tensors, f"{name}.1.0", inside)
        _linear(tensors, f"{name}.1.1", inside, 4 * inside, bias=False)
        _linear(tensors, f"{name}.1.3", 4 * inside, inside, bias=False)


def resampler_projection(reads: int, out: int, queries: int = 16) -> dict[str, Tensor]:
    """InstantID's (reads 512) and IP-Adapter-plus's (reads CLIP) projection; 1280 wide there."""
    tensors = {"latents": torch.randn(1, queries, 64) / 8}
    perceiver(tensors, "", (reads, 64, out))
    return tensors


def attention_tensors(model: Any, *, lora: bool) -> dict[str, Tensor]:
    """``{i}.to_k_ip.weight`` … for each layer, by diffusers' order of them."""
    tensors: dict[str, Tensor] = {}
    width = int(model.config["cross_attention_dim"])
    for number, name in enumerate(model.attn_processors):
        hidden = model.get_submodule(name.removesuffix(".processor")).to_q.weight.shape[0]
        reads = width if number % 2 else hidden
        if lora:
            for part, into in (("q", hidden), ("k", reads), ("v", reads), ("out", hidden)):
                stem = f"{number}.to_{part}_lora"
                _linear(tensors, f"{stem}.down", into, LORA_RANK, bias=False, scale=0.15)
                _linear(tensors, f"{stem}.up", LORA_RANK, hidden, bias=False, scale=0.15)
        if number % 2:
            _linear(tensors, f"{number}.to_k_ip", width, hidden, bias=False, scale=0.15)
            _linear(tensors, f"{number}.to_v_ip", width, hidden, bias=False, scale=0.15)
    return tensors


INSTANTID_REPO = "InstantX/InstantID"
PLUS_FACE = "h94/IP-Adapter/sdxl_models/ip-adapter-plus-face_sdxl_vit-h.safetensors"
STICKER_LORA = "artificialguybr/StickersRedmond/StickersRedmond.safetensors"


def build_sticker(root: Path) -> None:
    """What face-to-sticker needs besides :func:`build`'s SDXL base and CLIP."""
    torch.manual_seed(5)
    model = unet("sdxl")
    image_keys = {"ip_adapter": attention_tensors(model, lora=False)}
    (root / INSTANTID_REPO).mkdir(parents=True)
    instantid = {"image_proj": resampler_projection(512, WIDTHS["sdxl"]), **image_keys}
    torch.save(instantid, root / INSTANTID_REPO / "ip-adapter.bin")
    plus = {
        "image_proj": resampler_projection(CLIP, WIDTHS["sdxl"]),
        "ip_adapter": attention_tensors(model, lora=False),
    }
    flat = {f"{part}.{key}": value for part, all in plus.items() for key, value in all.items()}
    (root / PLUS_FACE).parent.mkdir(parents=True, exist_ok=True)
    save_file(flat, root / PLUS_FACE)
    write_controlnet(root / INSTANTID_REPO / "ControlNetModel")
    write_sticker_lora(root / STICKER_LORA)


def write_sticker_lora(path: Path) -> None:
    """In kohya's names, for one attention layer of the UNet and one of each text encoder."""
    block = "lora_unet_input_blocks_4_1_transformer_blocks_0_attn1_to"
    text = "text_model_encoder_layers_0_self_attn"
    widths = {f"{block}_{part}": 64 for part in ("q", "k", "v", "out_0")}
    for part in ("q", "k", "v", "out"):
        widths[f"lora_te1_{text}_{part}_proj"] = TEXT_XL
        widths[f"lora_te2_{text}_{part}_proj"] = TEXT_XL_2
    tensors: dict[str, Tensor] = {}
    for name, width in widths.items():
        _linear(tensors, f"{name}.lora_down", width, LORA_RANK, bias=False, scale=0.15)
        _linear(tensors, f"{name}.lora_up", LORA_RANK, width, bias=False, scale=0.15)
        tensors[f"{name}.alpha"] = torch.tensor(float(LORA_RANK))
    path.parent.mkdir(parents=True, exist_ok=True)
    save_file(tensors, path)


#: Families' LCM-LoRAs.
LCM_LORAS = {
    family: f"latent-consistency/lcm-lora-{name}/pytorch_lora_weights.safetensors"
    for family, name in (("sd15", "sdv1-5"), ("sdxl", "sdxl"))
}
#: The layers that they change: every linear map and convolution in the UNet's blocks.
_LCM_LAYERS = re.compile(
    r"(down_blocks|mid_block|up_blocks)\..*"
    r"(to_(q|k|v|out\.0)|proj_in|proj_out|net\.0\.proj|net\.2|conv\d?|conv_shortcut|time_emb_proj)"
)


def write_lcm_lora(path: Path, family: str) -> None:
    """In kohya's names of diffusers' layers, with an alpha that is not its rank."""
    tensors: dict[str, Tensor] = {}
    for name, layer in unet(family).named_modules():
        if _LCM_LAYERS.fullmatch(name):
            stem, weight = f"lora_unet_{name.replace('.', '_')}", layer.weight
            out, into, *sides = weight.shape
            tensors[f"{stem}.lora_down.weight"] = 0.1 * torch.randn(LORA_RANK, into, *sides)
            tensors[f"{stem}.lora_up.weight"] = 0.1 * torch.randn(
                out, LORA_RANK, *(1 for _ in sides)
            )
            tensors[f"{stem}.alpha"] = torch.tensor(LORA_RANK / 2)
    path.parent.mkdir(parents=True, exist_ok=True)
    save_file(tensors, path)


def write_cutter(path: Path) -> None:
    """In BiRefNet's shape, seeing brightness: [1, 3, 1024, 1024] → logits [1, 1, 1024, 1024]."""
    side, floats = [1, 3, 1024, 1024], onnx.TensorProto.FLOAT
    graph = helper.make_graph(
        [helper.make_node("ReduceMean", ["input_image", "axes"], ["output_image"])],
        "birefnet",
        [helper.make_tensor_value_info("input_image", floats, side)],
        [helper.make_tensor_value_info("output_image", floats, [1, 1, *side[2:]])],
        [numpy_helper.from_array(np.array([1], np.int64), "axes")],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=9)
    path.parent.mkdir(parents=True, exist_ok=True)
    onnx.save(model, path)


def write_arcface(path: Path, seed: int = 0) -> None:
    """A recogniser in ArcFace's shape: [n, 3, 112, 112] → [n, 512], not normalised."""
    random = np.random.default_rng(seed)
    tensors = {
        "w": random.normal(0, 0.2, (8, 3, 16, 16)),
        "fc": random.normal(0, 0.3, (512, 8 * 49)),
        "b": np.zeros(512),
    }
    graph = helper.make_graph(
        [
            helper.make_node("Conv", ["data", "w"], ["c"], kernel_shape=[16, 16], strides=[16, 16]),
            helper.make_node("Relu", ["c"], ["a"]),
            helper.make_node("Flatten", ["a"], ["f"]),
            helper.make_node("Gemm", ["f", "fc", "b"], ["out"], transB=1),
        ],
        "arcface",
        [helper.make_tensor_value_info("data", onnx.TensorProto.FLOAT, ["n", 3, 112, 112])],
        [helper.make_tensor_value_info("out", onnx.TensorProto.FLOAT, ["n", 512])],
        [numpy_helper.from_array(t.astype(np.float32), name) for name, t in tensors.items()],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 13)], ir_version=8)
    path.parent.mkdir(parents=True, exist_ok=True)
    onnx.save(model, path)


def _linear(
    tensors: dict[str, Tensor],
    name: str,
    into: int,
    out: int,
    *,
    bias: bool = True,
    scale: float = 0.08,
) -> None:
    tensors[f"{name}.weight"] = torch.randn(out, into) * scale
    if bias:
        tensors[f"{name}.bias"] = torch.randn(out) * scale


def _norm(tensors: dict[str, Tensor], name: str, width: int) -> None:
    tensors[f"{name}.weight"] = 1 + 0.1 * torch.randn(width)
    tensors[f"{name}.bias"] = 0.1 * torch.randn(width)
