# Copyright 2026 The mugv_jax Authors
# SPDX-License-Identifier: Apache-2.0
"""MUG-V's three models and their tokenizer."""

import dataclasses
import os
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from mugv_jax.axes import Bool, Int
from mugv_jax.nn.quantize import quantized_dtype
from mugv_jax.nn.text import tokenizer as tokenizers
from mugv_jax.systems.models import Models
from mugv_jax.systems.pretrained import find_weights
from mugv_jax.systems.system import MugvConfig
from mugv_jax.systems.text import tokenize


@dataclasses.dataclass(kw_only=True)
class MugvModels(Models):
    """MUG-V's models, those of weights without a DiT being only two, and the tokenizer."""

    config: MugvConfig
    load_tokenizer: Callable[[], tokenizers.Tokenizer]

    @classmethod
    def from_pretrained(
        cls,
        weights: str | os.PathLike,
        *,
        dit: str | os.PathLike | None = None,
        lora: str | os.PathLike | None = None,
        text_encoder: str | os.PathLike | None = None,
        tokenizer: str | os.PathLike | None = None,
        quantize: str | None = None,
        needs_dit: bool = True,
        **options: Any,
    ) -> "MugvModels":
        """From published or converted files; see `pretrained.find_weights`.

        lora: folder of a peft adapter to merge into the DiT.
        needs_dit: weights without a DiT are an error.
        options: expected, mesh, dtype, kernels and keep_loaded as of `Models`.

        Raises:
            ValueError: weights that are missing, damaged or of another size, or an unknown
                `quantize`.
        """
        quantized_dtype(quantize)  # refused before a download
        found = find_weights(
            weights,
            dit=dit,
            text_encoder=text_encoder,
            tokenizer=tokenizer,
            needs_dit=needs_dit,
        )
        paths = {} if found.dit is None else {"dit": found.dit}
        paths |= {"vae": found.vae, "text": found.text_encoder}
        sources = {"tokenizer": found.tokenizer}
        if lora is not None:
            sources["lora"] = Path(lora)
        return cls.from_files(
            MugvConfig,
            paths,
            absent=() if found.dit is not None else ("dit",),
            loading={"dit": {"lora": lora}},
            sources=sources,
            load_tokenizer=lambda: tokenizers.load(os.fspath(found.tokenizer)),
            quantize=quantize,
            **options,
        )

    @classmethod
    def random(cls, config: MugvConfig, **options: Any) -> "MugvModels":
        """Seeded random weights and a byte-level tokenizer; options as of `Models.random`."""
        return super().random(config, load_tokenizer=tokenizers.byte_level, **options)

    def tokenize(self, prompts: Sequence[str]) -> tuple[Int[Any, "b s"], Bool[Any, "b s"]]:
        """Ids and mask of every prompt, padded to the published 300 tokens.

        Raises:
            ValueError: a tokenizer whose ids the text encoder does not have.
        """
        tokenizer, vocab_size = self.load_tokenizer(), self.config.text.vocab_size
        return tokenize(tokenizer, vocab_size, prompts, tokenizers.MAX_TOKENS)
