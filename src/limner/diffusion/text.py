"""What a prompt says to a UNet: CLIP's hidden states, however long the prompt is.

CLIP reads 77 tokens. A longer prompt is read in chunks of 75 words' tokens, each with its own
begin and end, and the states are laid one after another: nothing at its end is lost, as it is
where prompts are cut. Knows tokenizers and text encoders; knows no prompt template.
"""

# transformers' own annotations are partial.
# pyright: reportUnknownMemberType=false, reportUnknownVariableType=false
# pyright: reportUnknownArgumentType=false
from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import torch
from torch import Tensor

from limner.stages.remembered import Remembered

#: The tokenizers' mark of a word's last token.
WORD_END = "</w>"

#: Chunks a prompt may have. Beyond it a prompt's price grows and its meaning does not.
MOST_CHUNKS = 16

#: Chunks whose states are remembered: 77 of 2048 halves, SDXL's, are 0.3 MB each.
MOST_REMEMBERED = 256

#: Hidden states of a chunk [1, 77, width] and, if the model has one, its pooled text [1, width].
Read = tuple[Tensor, Tensor | None]


class Said(NamedTuple):
    """A prompt as the UNet reads it: ``states`` [1, n, width]; ``pooled`` [1, width] for SDXL."""

    states: Tensor
    pooled: Tensor | None


def _memory() -> Remembered[Read]:
    return Remembered(MOST_REMEMBERED)


@dataclass(frozen=True, eq=False)
class TextEncoder:
    """A tokenizer and its CLIP text model. ``skip_last``: read the layer before the last (SDXL)."""

    tokenizer: Any
    model: Any
    skip_last: bool = False
    _known: Remembered[Read] = field(init=False, default_factory=_memory)

    def chunks(self, prompt: str) -> list[list[int]]:
        """Token ids without begin and end, at least one chunk, split between words if it can be."""
        room = int(self.tokenizer.model_max_length) - 2
        ids: list[int] = self.tokenizer(
            prompt, add_special_tokens=False, truncation=False, verbose=False
        ).input_ids
        chunks: list[list[int]] = []
        while len(ids) > room and len(chunks) + 1 < MOST_CHUNKS:
            words = self.tokenizer.convert_ids_to_tokens(ids[:room])
            ends = [at + 1 for at, token in enumerate(words) if token.endswith(WORD_END)]
            cut = ends[-1] if ends else room
            chunks.append(ids[:cut])
            ids = ids[cut:]
        return [*chunks, ids[:room]]

    def read(
        self, chunks: Sequence[Sequence[int]], whose: str = ""
    ) -> tuple[Tensor, Tensor | None]:
        """Hidden states [1, n·77, width] and, if the model has one, the first chunk's pooled text.

        Each chunk is read alone, so that it says the same in whatever company, and again;
        ``whose``: what of it is remembered serves nobody else.
        """
        read = [self._read(self._framed(chunk), whose) for chunk in chunks]
        return torch.cat([states for states, _ in read], dim=1), read[0][1]

    def _read(self, ids: Sequence[int], whose: str) -> Read:
        def ask() -> Read:
            given = torch.tensor([list(ids)], device=self.model.device)
            answer = self.model(given, output_hidden_states=self.skip_last)
            states = answer.hidden_states[-2] if self.skip_last else answer[0]
            return states, getattr(answer, "text_embeds", None)

        return self._known.of(repr(list(ids)).encode(), ask, whose)

    def _framed(self, chunk: Sequence[int]) -> list[int]:
        """A chunk between begin and end, filled up to the model's length."""
        tokenizer = self.tokenizer
        framed = [tokenizer.bos_token_id, *chunk, tokenizer.eos_token_id]
        return framed + [tokenizer.pad_token_id] * (tokenizer.model_max_length - len(framed))


def say(encoders: Sequence[TextEncoder], prompts: Sequence[str], whose: str = "") -> list[Said]:
    """Each prompt as the UNet reads it, all of the same length in tokens.

    One encoder for SD 1.5; SDXL's two are laid side by side in width, and the second's pooled
    text is SDXL's. A shorter prompt is followed by empty chunks. ``whose``: as in
    :meth:`TextEncoder.read`.
    """
    with torch.inference_mode():
        split = [[encoder.chunks(prompt) for encoder in encoders] for prompt in prompts]
        length = max(len(chunks) for by_encoder in split for chunks in by_encoder)
        said: list[Said] = []
        for by_encoder in split:
            read = [
                encoder.read([*chunks, *([[]] * (length - len(chunks)))], whose)
                for encoder, chunks in zip(encoders, by_encoder, strict=True)
            ]
            said.append(Said(torch.cat([states for states, _ in read], dim=-1), read[-1][1]))
        return said
