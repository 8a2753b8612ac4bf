# Copyright 2026 The mugv_jax Authors
# SPDX-License-Identifier: Apache-2.0
"""Files of Wan2.1's models and tokenizer."""

import os
from pathlib import Path
from typing import Unpack

from mugv_jax.files import user_path
from mugv_jax.nn.quantize import check_quantize
from mugv_jax.systems.models import DIT, TOKENIZER, LoadingOptions, adapter_options
from mugv_jax.systems.pretrained import local_folder, required
from mugv_jax.systems.record import arguments
from mugv_jax.systems.wan.system import FILES, SYSTEM, TOKENIZERS, WanConfig
from mugv_jax.systems.wan_text import WanTextModels
from mugv_jax.weights.adapters import Adapters

_SHARDS = "diffusion_pytorch_model-*.safetensors"  # of the 14B model in the authors' layout


def find_wan(
    weights: str | os.PathLike, *, dit: str | os.PathLike | None = None
) -> dict[str, Path]:
    """Path of each model by field, and of the tokenizer, in either layout.

    weights: folder or Hugging Face repository.
    dit: another transformer than the one in `weights`: a checkpoint, or a training run.

    Raises:
        ValueError: a missing part; the message names what was looked for.
    """
    wanted = {field: names for field, names in FILES.items() if field != DIT or dit is None}
    wanted[TOKENIZER] = TOKENIZERS
    files = [name for names in wanted.values() for name in names]
    folder = local_folder(weights, [*files, _SHARDS] if DIT in wanted else files)
    found = {} if dit is None else {DIT: user_path(dit)}
    kinds = {**SYSTEM.kinds, TOKENIZER: TOKENIZER}
    return found | {name: required(folder, kinds[name], names) for name, names in wanted.items()}


class WanModels(WanTextModels[WanConfig]):
    """WanDiT, VAE and UMT5, and the tokenizer of UMT5."""

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
    ) -> "WanModels":
        """Models from published or converted files; see `find_wan` and `from_files`.

        lora: adapters that are merged into the transformer: a path, a list of paths, or (path,
            scale) pairs; each is a file, a folder or a training run.
        lora_alpha: alpha of the adapters, if their files do not state it.
        """
        check_quantize(options.get("quantize"))  # refused before a download
        adapter = adapter_options(lora, alpha=lora_alpha)
        models = cls.from_files(find_wan(weights, dit=dit), adapter=adapter, **options)
        models.arguments = arguments(weights=weights, dit=dit, lora=lora, lora_alpha=lora_alpha)
        return models
