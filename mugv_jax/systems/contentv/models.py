# Copyright 2026 The mugv_jax Authors
# SPDX-License-Identifier: Apache-2.0
"""ContentV's five models and three tokenizers: their files, and the encoding of texts."""

import dataclasses
import os
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Unpack

import numpy as np

from mugv_jax.axes import Int
from mugv_jax.nn.quantize import quantized_dtype
from mugv_jax.nn.text import tokenizer as tokenizers
from mugv_jax.nn.text.clip import ClipText
from mugv_jax.systems.contentv.size import T5_TOKENS
from mugv_jax.systems.contentv.system import FOLDERS, SYSTEM, TOKENIZERS, ContentvConfig
from mugv_jax.systems.models import (
    LoadingOptions,
    Models,
    RandomOptions,
    adapter_options,
    adapter_sources,
)
from mugv_jax.systems.pretrained import local_folder, required
from mugv_jax.systems.text import text_states, tokenize
from mugv_jax.weights.adapters import Adapters


def find_contentv(
    weights: str | os.PathLike, *, dit: str | os.PathLike | None = None
) -> tuple[dict[str, Path], dict[str, Path]]:
    """Paths of (models, tokenizers), by field, in the folder or Hugging Face repository `weights`.

    dit: another transformer than the one in `weights`: a checkpoint, or a training run.

    Raises:
        ValueError: a missing part; the message names what was looked for.
    """
    wanted = {field: name for field, name in FOLDERS.items() if field != "dit" or dit is None}
    folder = local_folder(weights, (*wanted.values(), *TOKENIZERS.values()))
    models = {} if dit is None else {"dit": Path(dit).expanduser()}
    for field, name in wanted.items():
        models[field] = required(folder, SYSTEM.kinds[field], (name,))
    found = {field: required(folder, "tokenizer", (name,)) for field, name in TOKENIZERS.items()}
    return models, found


@dataclasses.dataclass(kw_only=True)
class ContentvModels(Models):
    """Transformer, VAE, both CLIPs and T5, by field, and the tokenizers of the last three."""

    config: ContentvConfig
    load_tokenizers: Callable[[], Mapping[str, tokenizers.Tokenizer]]

    @classmethod
    def from_pretrained(
        cls,
        weights: str | os.PathLike,
        *,
        dit: str | os.PathLike | None = None,
        lora: Adapters | None = None,
        lora_alpha: float | None = None,
        quantize: str | None = None,
        **options: Unpack[LoadingOptions],
    ) -> "ContentvModels":
        """Models from published or converted files; see `find_contentv`.

        lora: adapters that are merged into the transformer: a path, a list of paths, or (path,
            scale) pairs; each is a file, a folder or a training run.
        lora_alpha: alpha of the adapters, if their files do not state it.
        options: expected, mesh, dtype, kernels and keep_loaded; see `Models`.

        Raises:
            ValueError: weights that are missing, damaged or of another size, or an unknown
                `quantize`.
        """
        quantized_dtype(quantize)  # refused before a download
        adapters = adapter_options(lora, alpha=lora_alpha)
        paths, found = find_contentv(weights, dit=dit)
        sources = {TOKENIZERS[field]: path for field, path in found.items()}
        sources |= adapter_sources(lora)
        return cls.from_files(
            ContentvConfig,
            paths,
            loading={"dit": adapters},
            sources=sources,
            load_tokenizers=lambda: _load_tokenizers(found),
            quantize=quantize,
            **options,
        )

    @classmethod
    def random(
        cls, config: ContentvConfig, *, seed: int = 0, **options: Unpack[RandomOptions]
    ) -> "ContentvModels":
        """Seeded random weights and byte-level tokenizers; options: see `Models.random`."""
        ends = {"clip_l": config.clip_l.end, "clip_g": config.clip_g.end}
        made = {field: tokenizers.byte_level_clip(end) for field, end in ends.items()}
        made["text"] = tokenizers.byte_level()
        return super().random(config, seed=seed, load_tokenizers=lambda: made, **options)

    def tokenize(self, prompts: Sequence[str]) -> dict[str, Int[np.ndarray, "b s"]]:
        """Padded ids of every prompt for each text encoder; padding is not masked, as published.

        Raises:
            ValueError: a tokenizer of another model than its text encoder.
        """
        clips = {field: getattr(self.config, field) for field in ("clip_l", "clip_g")}
        lengths = dict.fromkeys(clips, int(min(clip.length for clip in clips.values())))
        ids = {}
        for field, tokenizer in self.load_tokenizers().items():
            vocab_size = getattr(self.config, field).vocab_size
            length = lengths.get(field, T5_TOKENS)
            ids[field], _ = tokenize(tokenizer, vocab_size, prompts, length)
        for field, clip in clips.items():
            if not np.all(np.any(ids[field] == clip.end, axis=1)):
                raise ValueError(
                    f"{TOKENIZERS[field]} ends texts with another token than {clip.end}, by which "
                    f"{FOLDERS[field]} knows their end: they are not of one model."
                )
        return ids

    def read_texts(self, prompts: Sequence[str]) -> dict[str, np.ndarray]:
        """States and summaries of every prompt, see `joined`; encoders are loaded one at a time."""
        ids = self.tokenize(prompts)
        read = {}
        for field, of_field in ids.items():
            inputs = (of_field,) if field != "text" else (of_field, np.ones_like(of_field, bool))
            with self.model(field) as (module, variables):
                read[field] = text_states(module, variables, *inputs)
        return joined(read["clip_l"], read["clip_g"], read["text"])


def joined(clip_l: ClipText, clip_g: ClipText, t5: np.ndarray) -> dict[str, np.ndarray]:
    """Text states and summaries in the transformer's layout, float32:

        text = [[clip_l, clip_g, 0], t5]    pooled = [clip_l, clip_g]

    The states of both CLIPs are concatenated over channels and padded to the width of T5's states,
    which follow as further tokens. The summaries are concatenated too.
    """
    states = np.concatenate([clip_l.penultimate, clip_g.penultimate], axis=-1)
    states = np.pad(states, ((0, 0), (0, 0), (0, t5.shape[-1] - states.shape[-1])))
    text = np.concatenate([states.astype(np.float32), t5.astype(np.float32)], axis=1)
    pooled = np.concatenate([clip_l.pooled, clip_g.pooled], axis=-1)
    return {"text": text, "pooled": pooled.astype(np.float32)}


def _load_tokenizers(folders: Mapping[str, Path]) -> dict[str, tokenizers.Tokenizer]:
    made = {
        field: tokenizers.load_clip(os.fspath(folders[field])) for field in ("clip_l", "clip_g")
    }
    return {**made, "text": tokenizers.load(os.fspath(folders["text"]))}
