"""Tiny networks that look at pictures: CLIP, the judge of safety, the cutter, the recogniser."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import onnx
import torch
from onnx import helper, numpy_helper
from transformers import (
    CLIPVisionConfig,
    CLIPVisionModelWithProjection,
    ViTConfig,
    ViTForImageClassification,
)

from tests.diffusion.tiny import CLIP


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
