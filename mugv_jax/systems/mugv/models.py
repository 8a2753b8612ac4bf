# Copyright 2026 The mugv_jax Authors
# SPDX-License-Identifier: Apache-2.0
"""Files of MUG-V's three models and their tokenizer."""

import dataclasses
import importlib.resources
import os
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, Unpack

import jax.numpy as jnp
import numpy as np

from mugv_jax.axes import Array, Bool, Float
from mugv_jax.files import resolved, user_path
from mugv_jax.nn.quantize import check_quantize
from mugv_jax.nn.text import tokenizer as tokenizers
from mugv_jax.sharding import mesh as meshes
from mugv_jax.systems.encoding import SampleEncoder
from mugv_jax.systems.models import TOKENIZER, LoadingOptions, TextModels, adapter_options
from mugv_jax.systems.mugv import windows
from mugv_jax.systems.mugv.aesthetic import AESTHETIC
from mugv_jax.systems.mugv.system import SYSTEM, TEXT_ENCODER, MugvConfig
from mugv_jax.systems.pretrained import first_of, local_folder, required
from mugv_jax.systems.record import arguments
from mugv_jax.systems.text import text_states
from mugv_jax.systems.tiles import Tiling
from mugv_jax.weights.adapters import Adapters

_SHARDS = ("pytorch_model-*.bin",)
_T5_FILES = ("*.json", "spiece.model", "*.safetensors", "pytorch_model*.bin")


def find_weights(
    weights: str | os.PathLike,
    *,
    dit: str | os.PathLike | None = None,
    text_encoder: str | os.PathLike | None = None,
    tokenizer: str | os.PathLike | None = None,
    needs_dit: bool = True,
) -> dict[str, Path]:
    """Path of each model by field, published or converted, and of the tokenizer's folder.

    weights: folder or Hugging Face repository.
    dit: another DiT than the one in `weights`: a checkpoint, a training run, or the name of a
        folder in `weights` that has one.
    text_encoder: folder or repository of T5; by default a subfolder of `weights`, else the
        published `DeepFloyd/t5-v1_1-xxl`.
    tokenizer: folder or repository; by default `weights/tokenizer`, else where T5 is.
    needs_dit: weights without a DiT are an error; encoding samples needs none.

    Raises:
        ValueError: a missing model; the message names what was looked for.
    """
    names = SYSTEM.files
    wanted = (*(name for each in names.values() for name in each), TOKENIZER, *_SHARDS)
    folder = local_folder(weights, wanted)
    if dit is None and not needs_dit:
        transformer = first_of(folder, names["dit"])
    else:
        transformer = find_dit(folder, dit)
    vae = required(folder, "mugv_vae", names["vae"])
    if text_encoder is not None:
        text = local_folder(text_encoder, _T5_FILES)
    else:
        text = first_of(folder, names["text"]) or _published_text_encoder(folder)
    if tokenizer is not None:
        tokens = local_folder(tokenizer, ("*.json", "spiece.model"))
    else:
        tokens = first_of(folder, ("tokenizer",)) or text
    tiny = first_of(folder, names["tiny_decoder"])
    found = {"dit": transformer, "vae": vae, "text": text, "tiny_decoder": tiny, TOKENIZER: tokens}
    return {name: path for name, path in found.items() if path is not None}


def find_dit(weights: str | os.PathLike, dit: str | os.PathLike | None = None) -> Path:
    """Path of the DiT alone, published or converted; arguments as in `find_weights`.

    Raises:
        ValueError: no DiT in `weights`, and no other one named.
    """
    if dit is not None:
        return named_dit(weights, dit)
    names = SYSTEM.files["dit"]
    return required(local_folder(weights, (*names, *_SHARDS)), "mugv_dit", names)


def named_dit(weights: str | os.PathLike, dit: str | os.PathLike) -> Path:
    """Path of another DiT: `dit`, or where nothing has that path, the one in `weights`/`dit`."""
    path, beside = user_path(dit), user_path(weights) / dit
    if not path.exists() and beside.is_dir():
        return first_of(beside, SYSTEM.files["dit"]) or path
    return path


def demo_weights() -> Path:
    """Folder of the demo's weights, which are part of the package.

    Raises:
        ValueError: this installation lacks them.
    """
    folder = _demo_folder()
    if first_of(folder, SYSTEM.files["dit"]) is None:
        raise ValueError(
            f"no weights: this installation lacks those of the demo ({folder}), which are used "
            "where no others are given. Name a folder of published or converted ones."
        )
    return folder


def _demo_folder() -> Path:
    return Path(str(importlib.resources.files("mugv_jax") / "assets" / "demo"))


def _published_text_encoder(folder: Path) -> Path:
    try:
        return local_folder(TEXT_ENCODER, _T5_FILES)
    except ValueError as error:
        looked = ", ".join(SYSTEM.files["text"])
        raise ValueError(
            f"{folder} holds no text encoder (looked for {looked}), and {error}"
        ) from error


class MugvModels(TextModels[MugvConfig], SampleEncoder[MugvConfig]):
    """DiT (unless the weights hold none), VAE and T5, the tokenizer of T5, and a tiny decoder."""

    system = SYSTEM

    @classmethod
    def from_pretrained(
        cls,
        weights: str | os.PathLike | None,
        *,
        dit: str | os.PathLike | None = None,
        lora: Adapters | None = None,
        lora_alpha: float | None = None,
        text_encoder: str | os.PathLike | None = None,
        tokenizer: str | os.PathLike | None = None,
        needs_dit: bool = True,
        **options: Unpack[LoadingOptions],
    ) -> "MugvModels":
        """Models from published or converted files; see `find_weights` and `from_files`.

        weights: None for the demo's weights.
        lora: adapters that are merged into the transformer: a path, a list of paths, or (path,
            scale) pairs; each is a file, a folder or a training run.
        lora_alpha: alpha of the adapters, if their files do not state it.
        """
        if weights is not None and resolved(weights) == resolved(_demo_folder()):
            weights = None  # told apart from folders of the user in records
        check_quantize(options.get("quantize"))  # refused before a download
        adapter = adapter_options(lora, alpha=lora_alpha)
        folder = demo_weights() if weights is None else weights
        paths = find_weights(
            folder, dit=dit, text_encoder=text_encoder, tokenizer=tokenizer, needs_dit=needs_dit
        )
        models = cls.from_files(paths, adapter=adapter, **options)
        models.arguments = arguments(
            weights=weights, dit=dit, text_encoder=text_encoder, tokenizer=tokenizer,
            lora=lora, lora_alpha=lora_alpha,
        )  # fmt: skip
        return models

    def require_tiny_decoder(self) -> None:
        """Check that there is a tiny decoder.

        Raises:
            ValueError: there is none.
        """
        if self.config.tiny_decoder is None:
            looked = ", ".join(SYSTEM.files["tiny_decoder"])
            raise ValueError(
                f"a fast decode needs a tiny decoder beside the weights (looked for {looked}): "
                "train one with `mugv-jax train-vae --config tiny_decoder_mugv`, or decode with "
                "the VAE."
            )

    def load_tokenizer(self) -> tokenizers.Tokenizer:
        """As for all systems, but an aesthetic score at the end of a long text is kept."""
        return dataclasses.replace(super().load_tokenizer(), ending=AESTHETIC)

    def caption_states(
        self, captions: Sequence[str], *, batch_size: int
    ) -> Iterator[tuple[Float[Any, "s d"], Bool[Any, "s"]]]:
        """States of T5, zero where they are masked; see `SampleEncoder.caption_states`."""
        all_ids, all_masks = self.tokenize(captions)
        for start in range(0, len(captions), batch_size):
            ids, masks = (each[start : start + batch_size] for each in (all_ids, all_masks))
            with meshes.use(self.mesh), self.model("text") as text:
                states = text_states(*text, ids, masks, batch_size=batch_size)
            for each, mask in zip(states, masks, strict=True):
                yield np.where(mask[:, None], each, np.zeros((), each.dtype)), mask

    def latent(
        self, pixels: Float[Any, "1 f h w 3"], key: Array | None, *, tiling: Tiling | None
    ) -> Float[Any, "_f _h _w c"]:
        """See `SampleEncoder.latent`."""
        with meshes.use(self.mesh), self.model("vae") as (vae, variables):
            return windows.encode(vae, variables, jnp.asarray(pixels), key, tiling=tiling)[0]
