"""The published LCM-LoRAs, which draw in a few steps: ``x_fast``'s ``lcm_steps``.

Knows names and terms; knows no network's inside and imports nothing heavy.
"""

from __future__ import annotations

from limner.diffusion.weight import File, Weight

_FILE = "pytorch_lora_weights.safetensors"
_TERMS = "CreativeML OpenRAIL++-M"

#: By whether it is for SDXL.
LCM: dict[bool, Weight] = {
    False: Weight(
        "lcm-lora-sdv1-5",
        "latent-consistency/lcm-lora-sdv1-5",
        "main",
        (
            File(
                _FILE,
                134_621_556,
                "8f90d840e075ff588a58e22c6586e2ae9a6f7922996ee6649a7f01072333afe4",
            ),
        ),
        _TERMS,
        True,
        "draws a Stable Diffusion 1.5 base in a few steps, for x_fast; optional",
    ),
    True: Weight(
        "lcm-lora-sdxl",
        "latent-consistency/lcm-lora-sdxl",
        "a18548dd4956b174ec5b0d78d340c8dae0a129cd",
        (
            File(
                _FILE,
                393_855_224,
                "a764e6859b6e04047cd761c08ff0cee96413a8e004c9f07707530cd776b19141",
            ),
        ),
        _TERMS,
        True,
        "draws a Stable Diffusion XL base in a few steps, for x_fast; optional",
    ),
}
