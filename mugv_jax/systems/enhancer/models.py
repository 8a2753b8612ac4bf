# Copyright 2026 The mugv_jax Authors
# SPDX-License-Identifier: Apache-2.0
"""The enhancer's models and tokenizer: their files, and the encoding of texts."""

import dataclasses
import functools
import html
import logging
import os
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Unpack

from mugv_jax.axes import Bool, Int
from mugv_jax.nn.quantize import quantized_dtype
from mugv_jax.nn.text import tokenizer as tokenizers
from mugv_jax.systems.enhancer.system import SYSTEM, EnhancerConfig
from mugv_jax.systems.models import (
    LoadingOptions,
    Models,
    RandomOptions,
    adapter_options,
    adapter_sources,
)
from mugv_jax.systems.pretrained import first_of, local_folder, required
from mugv_jax.systems.text import tokenize
from mugv_jax.weights.adapters import Adapters

log = logging.getLogger(__name__)

WAN = "Wan-AI/Wan2.1-T2V-1.3B"
FOLDER = "enhancer"  # subfolder of MUG-V's repository
NAMES = {
    **SYSTEM.files,
    "tokenizer": ("tokenizer", "google/umt5-xxl"),
    "lora": ("lora", "pytorch_model.bin"),
}
OF_WAN = ("vae", "text", "tokenizer")  # files that Wan2.1 provides


def find_enhancer(
    weights: str | os.PathLike, *, wan: str | os.PathLike | None = None
) -> dict[str, Path]:
    """Path of each of `NAMES` in the folder or repository `weights`, or in its folder `enhancer`.

    "lora" may be missing: a converted DiT can hold its updates already.

    wan: folder or repository with the files of Wan2.1 that `weights` lacks; by default Wan's own.

    Raises:
        ValueError: a missing file; the message names what was looked for.
    """
    files = [name for names in NAMES.values() for name in names]
    folder = local_folder(weights, [*files, f"{FOLDER}/*"])
    folder = folder / FOLDER if (folder / FOLDER).is_dir() else folder
    found = {name: first_of(folder, names) for name, names in NAMES.items()}
    found["dit"] = required(folder, "enhancer's DiT", NAMES["dit"])
    if any(found[name] is None for name in OF_WAN):
        other = local_folder(wan or WAN, [name for each in OF_WAN for name in NAMES[each]])
        for name in OF_WAN:
            found[name] = found[name] or required(other, name, NAMES[name])
    return {name: path for name, path in found.items() if path is not None}


@dataclasses.dataclass(kw_only=True)
class EnhancerModels(Models):
    """DiT, VAE and UMT5, and the tokenizer of UMT5."""

    config: EnhancerConfig
    load_tokenizer: Callable[[], tokenizers.Tokenizer]

    @classmethod
    def from_pretrained(
        cls,
        weights: str | os.PathLike,
        *,
        wan: str | os.PathLike | None = None,
        lora: Adapters | None = None,
        lora_alpha: float | None = None,
        lora_scale: float = 1.0,
        lora_merged: bool = True,
        quantize: str | None = None,
        **options: Unpack[LoadingOptions],
    ) -> "EnhancerModels":
        """Models from published or converted files; see `find_enhancer`.

        lora: low-rank updates instead of those beside the weights: a path, a list of paths, or
            (path, scale) pairs; each is a file, a folder or a training run.
        lora_alpha, lora_scale, lora_merged: see `weights.load.load`.
        options: expected, mesh, dtype, kernels and keep_loaded; see `Models`.

        Raises:
            ValueError: weights that are missing, damaged or of another size, or an unknown
                `quantize`.
        """
        quantized_dtype(quantize)  # refused before a download
        options_of = functools.partial(
            adapter_options, alpha=lora_alpha, scale=lora_scale, merged=lora_merged
        )
        adapter = options_of(lora)
        paths = find_enhancer(weights, wan=wan)
        if lora is None:
            adapter = options_of(paths.get("lora"))
        else:
            paths.pop("lora", None)
            paths |= adapter_sources(lora)
        of_models = {name: paths.pop(name) for name in EnhancerConfig.KINDS}
        models = cls.from_files(
            EnhancerConfig,
            of_models,
            loading={"dit": adapter},
            sources=paths,
            load_tokenizer=lambda: tokenizers.load(os.fspath(paths["tokenizer"])),
            quantize=quantize,
            **options,
        )
        named = ", ".join(str(path) for path, _ in adapter.get("lora", ()))
        updates = f"with the updates of {named}" if named else "without updates"
        log.info("the enhancer is %s, %s.", of_models["dit"], updates)
        return models

    @classmethod
    def random(
        cls, config: EnhancerConfig, *, seed: int = 0, **options: Unpack[RandomOptions]
    ) -> "EnhancerModels":
        """Seeded random weights and a byte-level tokenizer; options: see `Models.random`."""
        return super().random(config, seed=seed, load_tokenizer=tokenizers.byte_level, **options)

    def tokenize(self, prompts: Sequence[str]) -> tuple[Int[Any, "b s"], Bool[Any, "b s"]]:
        """Ids and mask of every cleaned prompt, padded to the DiT's number of text tokens.

        Raises:
            ValueError: a tokenizer whose ids the text encoder does not have.
        """
        texts = [cleaned(prompt) for prompt in prompts]
        sizes = self.config
        return tokenize(self.load_tokenizer(), sizes.text.vocab_size, texts, sizes.dit.text_tokens)


def cleaned(prompt: str) -> str:
    """Text in the form of UMT5's training: repaired characters, no HTML entities, single spaces."""
    import ftfy

    return " ".join(html.unescape(html.unescape(ftfy.fix_text(prompt))).split())
