# Copyright 2026 The mugv_jax Authors
# SPDX-License-Identifier: Apache-2.0
"""ContentV's five models and three tokenizers: their files, and the encoding of texts."""

import os
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Unpack

import jax
import numpy as np

from mugv_jax.axes import Array, Bool, Float, Int
from mugv_jax.files import user_path
from mugv_jax.nn.quantize import check_quantize
from mugv_jax.nn.text import tokenizer as tokenizers
from mugv_jax.nn.text.clip import ClipText
from mugv_jax.sharding import mesh as meshes
from mugv_jax.systems import wan_windows
from mugv_jax.systems.contentv.denoiser import T5_TOKENS, ContentvCondition, caption_states
from mugv_jax.systems.contentv.system import FOLDERS, SYSTEM, TOKENIZERS, ContentvConfig
from mugv_jax.systems.encoding import SampleEncoder
from mugv_jax.systems.models import LoadingOptions, adapter_options
from mugv_jax.systems.pretrained import local_folder, required
from mugv_jax.systems.record import arguments
from mugv_jax.systems.text import text_states, tokenize
from mugv_jax.systems.tiles import Tiling
from mugv_jax.weights.adapters import Adapters

CLIPS = ("clip_l", "clip_g")


def find_contentv(
    weights: str | os.PathLike, *, dit: str | os.PathLike | None = None
) -> dict[str, Path]:
    """Path of each model by field, and of each tokenizer by its folder's name.

    weights: folder or Hugging Face repository.
    dit: another transformer than the one in `weights`: a checkpoint, or a training run.

    Raises:
        ValueError: a missing part; the message names what was looked for.
    """
    wanted = {field: name for field, name in FOLDERS.items() if field != "dit" or dit is None}
    folder = local_folder(weights, (*wanted.values(), *TOKENIZERS.values()))
    found = {} if dit is None else {"dit": user_path(dit)}
    for field, name in wanted.items():
        found[field] = required(folder, SYSTEM.kinds[field], (name,))
    return found | {name: required(folder, "tokenizer", (name,)) for name in TOKENIZERS.values()}


class ContentvModels(SampleEncoder[ContentvConfig]):
    """Transformer, VAE, both CLIPs and T5, by field, and the tokenizers of the last three."""

    TEXT_MODELS = (*CLIPS, "text")
    SAMPLES_POSTERIOR = False

    system = SYSTEM

    @classmethod
    def from_pretrained(
        cls,
        weights: str | os.PathLike,
        *,
        dit: str | os.PathLike | None = None,
        lora: Adapters | None = None,
        lora_alpha: float | None = None,
        **options: Unpack[LoadingOptions],
    ) -> "ContentvModels":
        """Models from published or converted files; see `find_contentv` and `from_files`.

        lora: adapters that are merged into the transformer: a path, a list of paths, or (path,
            scale) pairs; each is a file, a folder or a training run.
        lora_alpha: alpha of the adapters, if their files do not state it.
        """
        check_quantize(options.get("quantize"))  # refused before a download
        adapter = adapter_options(lora, alpha=lora_alpha)
        paths = find_contentv(weights, dit=dit)
        models = cls.from_files(paths, adapter=adapter, **options)
        models.arguments = arguments(weights=weights, dit=dit, lora=lora, lora_alpha=lora_alpha)
        return models

    def load_tokenizers(self) -> dict[str, tokenizers.Tokenizer]:
        """Tokenizer of each text encoder; byte-level ones for random weights."""
        if not self.sources:
            ends = {field: getattr(self.config, field).end for field in CLIPS}
            made = {field: tokenizers.byte_level_clip(end) for field, end in ends.items()}
            return {**made, "text": tokenizers.byte_level()}
        paths = {field: os.fspath(self.sources[name]) for field, name in TOKENIZERS.items()}
        made = {field: tokenizers.load_clip(paths[field]) for field in CLIPS}
        return {**made, "text": tokenizers.load(paths["text"])}

    def tokenize(self, prompts: Sequence[str]) -> dict[str, Int[np.ndarray, "b s"]]:
        """Padded ids of every prompt for each text encoder; padding is not masked, as published.

        Raises:
            ValueError: a tokenizer of another model than its text encoder.
        """
        clips = {field: getattr(self.config, field) for field in CLIPS}
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

    def read_texts(self, texts: Sequence[str]) -> list[ContentvCondition]:
        """Condition of each text, without a batch axis; encoders are loaded one at a time."""
        return self._conditions(self.tokenize(texts), batch_size=1)

    def caption_states(
        self, captions: Sequence[str], *, batch_size: int
    ) -> Iterator[tuple[Float[Any, "s d"], Bool[Any, "s"]]]:
        """Summaries and states of all encoders, none of them masked; see `denoiser.caption_states`.

        They keep the precision in which they were computed.
        """
        all_ids = self.tokenize(captions)
        for start in range(0, len(captions), batch_size):
            ids = {field: each[start : start + batch_size] for field, each in all_ids.items()}
            for condition in self._conditions(ids, batch_size=batch_size):
                states = caption_states(condition).astype(self.dtype)
                yield states, np.ones(len(states), bool)

    def latent(
        self, pixels: Float[Any, "1 f h w 3"], key: Array | None, *, tiling: Tiling | None
    ) -> Float[Any, "_f _h _w c"]:
        """The posterior's mean; see `SampleEncoder.latent`."""
        assert key is None  # SAMPLES_POSTERIOR
        with meshes.use(self.mesh), self.model("vae") as (vae, variables):
            return wan_windows.encode(vae, variables, np.asarray(pixels), tiling=tiling)[0]

    def _conditions(
        self, ids: Mapping[str, Int[np.ndarray, "b s"]], *, batch_size: int
    ) -> list[ContentvCondition]:
        """Condition of each text, from its ids for every encoder."""
        read = {}
        with meshes.use(self.mesh):
            for field, own in ids.items():
                inputs = (own,) if field in CLIPS else (own, np.ones_like(own, bool))
                with self.model(field) as text:
                    read[field] = text_states(*text, *inputs, batch_size=batch_size)
        whole = joined(read["clip_l"], read["clip_g"], read["text"])
        count = len(whole.text)
        return [jax.tree.map(lambda array, i=i: array[i].copy(), whole) for i in range(count)]


def joined(clip_l: ClipText, clip_g: ClipText, t5: np.ndarray) -> ContentvCondition:
    """Text states and summaries in the transformer's layout, float32:

        text = [[clip_l, clip_g, 0], t5]    pooled = [clip_l, clip_g]

    The states of both CLIPs are concatenated over channels and padded to the width of T5's states,
    which follow as further tokens. The summaries are concatenated too.
    """
    states = np.concatenate([clip_l.penultimate, clip_g.penultimate], axis=-1)
    states = np.pad(states, ((0, 0), (0, 0), (0, t5.shape[-1] - states.shape[-1])))
    text = np.concatenate([states.astype(np.float32), t5.astype(np.float32)], axis=1)
    pooled = np.concatenate([clip_l.pooled, clip_g.pooled], axis=-1)
    return ContentvCondition(text=text, pooled=pooled.astype(np.float32))
