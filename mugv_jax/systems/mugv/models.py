# Copyright 2026 The mugv_jax Authors
# SPDX-License-Identifier: Apache-2.0
"""MUG-V's three models and their tokenizer: their files, and the tokenizing of texts."""

import dataclasses
import importlib.resources
import os
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Unpack

from mugv_jax.axes import Bool, Int
from mugv_jax.nn.quantize import quantized_dtype
from mugv_jax.nn.text import tokenizer as tokenizers
from mugv_jax.systems.models import LoadingOptions, Models, RandomOptions
from mugv_jax.systems.mugv.aesthetic import AESTHETIC
from mugv_jax.systems.mugv.size import MAX_TOKENS
from mugv_jax.systems.mugv.system import SYSTEM, TEXT_ENCODER, MugvConfig
from mugv_jax.systems.pretrained import first_of, local_folder, required
from mugv_jax.systems.text import tokenize

_SHARDS = ("pytorch_model-*.bin",)
_T5_FILES = ("*.json", "spiece.model", "*.safetensors", "pytorch_model*.bin")


@dataclasses.dataclass(frozen=True, kw_only=True)
class WeightPaths:
    """Path of each model's weights, published or converted, and of the tokenizer's folder.

    dit: None where the weights hold no DiT and none is needed.
    """

    dit: Path | None
    vae: Path
    text_encoder: Path
    tokenizer: Path


def find_weights(
    weights: str | os.PathLike,
    *,
    dit: str | os.PathLike | None = None,
    text_encoder: str | os.PathLike | None = None,
    tokenizer: str | os.PathLike | None = None,
    needs_dit: bool = True,
) -> WeightPaths:
    """Paths in the folder or Hugging Face repository `weights`.

    dit: another DiT than the one in `weights`: a checkpoint, or a training run.
    text_encoder: folder or repository of T5; by default a subfolder of `weights`, else the
        published `DeepFloyd/t5-v1_1-xxl`.
    tokenizer: folder or repository; by default `weights/tokenizer`, else where T5 is.
    needs_dit: weights without a DiT are an error; encoding samples needs none.

    Raises:
        ValueError: a missing model; the message names what was looked for.
    """
    names = SYSTEM.files
    folder = local_folder(weights, (*(name for each in names.values() for name in each), *_SHARDS))
    if dit is not None:
        transformer = Path(dit).expanduser()
    elif needs_dit:
        transformer = required(folder, "mugv_dit", names["dit"])
    else:
        transformer = first_of(folder, names["dit"])
    vae = required(folder, "mugv_vae", names["vae"])
    if text_encoder is not None:
        text = local_folder(text_encoder, _T5_FILES)
    else:
        text = first_of(folder, names["text"]) or _published_text_encoder(folder)
    if tokenizer is not None:
        tokens = local_folder(tokenizer, ("*.json", "spiece.model"))
    else:
        tokens = first_of(folder, ("tokenizer",)) or text
    return WeightPaths(dit=transformer, vae=vae, text_encoder=text, tokenizer=tokens)


def demo_weights() -> Path:
    """Folder of the demo's weights, which are part of the package.

    Raises:
        ValueError: this installation lacks them.
    """
    folder = Path(str(importlib.resources.files("mugv_jax") / "assets" / "demo"))
    if first_of(folder, SYSTEM.files["dit"]) is None:
        raise ValueError(
            f"no weights: this installation lacks those of the demo ({folder}), which are used "
            "where no others are given. Name a folder of published or converted ones."
        )
    return folder


def _published_text_encoder(folder: Path) -> Path:
    try:
        return local_folder(TEXT_ENCODER, _T5_FILES)
    except ValueError as error:
        looked = ", ".join(SYSTEM.files["text"])
        raise ValueError(
            f"{folder} holds no text encoder (looked for {looked}), and {error}"
        ) from error


@dataclasses.dataclass(kw_only=True)
class MugvModels(Models):
    """DiT (unless the weights hold none), VAE and T5, and the tokenizer of T5."""

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
        **options: Unpack[LoadingOptions],
    ) -> "MugvModels":
        """Models from published or converted files; see `find_weights`.

        lora: folder of a peft adapter that is merged into the DiT.
        needs_dit: weights without a DiT are an error.
        options: expected, mesh, dtype, kernels and keep_loaded; see `Models`.

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
    def random(
        cls, config: MugvConfig, *, seed: int = 0, **options: Unpack[RandomOptions]
    ) -> "MugvModels":
        """Seeded random weights and a byte-level tokenizer; options: see `Models.random`."""
        return super().random(config, seed=seed, load_tokenizer=tokenizers.byte_level, **options)

    def tokenize(self, prompts: Sequence[str]) -> tuple[Int[Any, "b s"], Bool[Any, "b s"]]:
        """Ids and mask of every prompt, padded to the published 300 tokens.

        Where a prompt is too long, an aesthetic score at its end is kept, and text before it cut.

        Raises:
            ValueError: a tokenizer whose ids the text encoder does not have.
        """
        tokenizer = dataclasses.replace(self.load_tokenizer(), ending=AESTHETIC)
        return tokenize(tokenizer, self.config.text.vocab_size, prompts, MAX_TOKENS)
