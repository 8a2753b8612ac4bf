# Copyright 2026 The mugv_jax Authors
# SPDX-License-Identifier: Apache-2.0
"""The models of a pipeline: loaded one at a time onto the mesh, freed when done."""

import contextlib
import dataclasses
import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp
from jax.sharding import Mesh
from jax.typing import DTypeLike

from mugv_jax.axes import Bool, Int
from mugv_jax.config import MugvConfig
from mugv_jax.kernels import select
from mugv_jax.kernels.select import KernelConfig
from mugv_jax.nn.quantize import abstract_quantized, quantized_dtype
from mugv_jax.nn.text import tokenizer as tokenizers
from mugv_jax.pipelines.pretrained import find_weights
from mugv_jax.sharding.mesh import make_mesh
from mugv_jax.sharding.parallel import build_dit
from mugv_jax.sharding.place import variable_shardings
from mugv_jax.weights.adapter_files import open_adapter
from mugv_jax.weights.load import load, read_config
from mugv_jax.weights.models import MODELS, abstract_variables
from mugv_jax.weights.random import random_variables

GROUPS = {"mugv_dit": "dit", "mugv_vae": "vae", "t5_encoder": "text"}  # fields of MugvConfig

# (kind, shardings, dtype) -> variables on the mesh
Fetch = Callable[[str, Any, DTypeLike], Any]


@dataclasses.dataclass
class Zoo:
    """Three models by kind, and the tokenizer; of weights without a DiT only two.

    fetch: where their variables come from.  dtype: of weights and arithmetic.
    kernels: implementations in place of those that the platform would choose.
    keep_loaded: hold on to variables after their first use instead of freeing them.
    quantize: hold the transformers' weights in 8 bits, a name of `nn.quantize.DTYPES`.
    sources: the file or folder of each model, of the tokenizer and of an adapter; none if random.
    """

    config: MugvConfig
    mesh: Mesh
    dtype: DTypeLike
    fetch: Fetch
    load_tokenizer: Callable[[], tokenizers.Tokenizer]
    kernels: KernelConfig | None = None
    keep_loaded: bool = False
    quantize: str | None = None
    sources: Mapping[str, Path] = dataclasses.field(default_factory=dict)
    _held: dict[str, Any] = dataclasses.field(default_factory=dict)

    @classmethod
    def from_pretrained(
        cls,
        weights: str | os.PathLike,
        *,
        dit: str | os.PathLike | None = None,
        lora: str | os.PathLike | None = None,
        text_encoder: str | os.PathLike | None = None,
        tokenizer: str | os.PathLike | None = None,
        expected: MugvConfig | None = None,
        mesh: dict[str, int] | None = None,
        dtype: DTypeLike | None = None,
        kernels: KernelConfig | None = None,
        keep_loaded: bool = False,
        quantize: str | None = None,
        needs_dit: bool = True,
    ) -> "Zoo":
        """From published or converted files; see `pretrained.find_weights`.

        lora: folder of a peft adapter to merge into the DiT.
        expected: sizes that the weights must have.
        needs_dit: weights without a DiT are an error.

        Raises:
            ValueError: weights that are missing, damaged or of another size, or an unknown
                `quantize`.
        """
        quantized_dtype(quantize)  # refused before a download
        placed_on = make_mesh(mesh)
        found = find_weights(
            weights,
            dit=dit,
            text_encoder=text_encoder,
            tokenizer=tokenizer,
            needs_dit=needs_dit,
        )
        paths = {} if found.dit is None else {"mugv_dit": found.dit}
        paths |= {"mugv_vae": found.vae, "t5_encoder": found.text_encoder}
        read = {GROUPS[kind]: read_config(path, kind)[1] for kind, path in paths.items()}
        config = MugvConfig(**{"dit": None, **read})
        if expected is not None:
            _check_expected(config, expected, paths)
        if lora is not None:
            open_adapter(lora, MODELS["mugv_dit"], config.dit)  # says now if it does not fit

        sources = paths | {"tokenizer": found.tokenizer}
        if lora is not None:
            sources["lora"] = Path(lora)

        def fetch(kind: str, shardings: Any, dtype: DTypeLike) -> Any:
            adapter = lora if kind == "mugv_dit" else None
            return load(
                paths[kind], kind, shardings=shardings, dtype=dtype, lora=adapter, quantize=quantize
            )[1]

        return cls(
            config=config,
            mesh=placed_on,
            dtype=dtype or default_dtype(),
            kernels=kernels,
            fetch=fetch,
            load_tokenizer=lambda: tokenizers.load(os.fspath(found.tokenizer)),
            keep_loaded=keep_loaded,
            quantize=quantize,
            sources=sources,
        )

    @classmethod
    def random(
        cls,
        config: MugvConfig,
        *,
        seed: int = 0,
        mesh: dict[str, int] | None = None,
        dtype: DTypeLike | None = None,
        kernels: KernelConfig | None = None,
        keep_loaded: bool = False,
        quantize: str | None = None,
    ) -> "Zoo":
        """Seeded random weights and a byte-level tokenizer: for trying things, not for pictures."""

        def fetch(kind: str, shardings: Any, dtype: DTypeLike) -> Any:
            abstract = abstract_variables(kind, getattr(config, GROUPS[kind]))
            return random_variables(
                abstract, seed, shardings=shardings, dtype=dtype, quantize=quantize
            )

        quantized_dtype(quantize)

        return cls(
            config=config,
            mesh=make_mesh(mesh),
            dtype=dtype or default_dtype(),
            kernels=kernels,
            fetch=fetch,
            load_tokenizer=tokenizers.byte_level,
            keep_loaded=keep_loaded,
            quantize=quantize,
        )

    @contextlib.contextmanager
    def model(self, kind: str) -> Iterator[tuple[nn.Module, Any]]:
        """The module of `kind` and its variables on the mesh."""
        config = getattr(self.config, GROUPS[kind])
        if kind == "mugv_dit":
            module = build_dit(config, self.mesh, dtype=self.dtype, kernels=self.kernels)
        else:
            module = MODELS[kind].build(config, self.dtype)
        shared = kind in self._held  # kept, or in use further out
        if not shared:
            abstract = abstract_quantized(abstract_variables(kind, config), self.quantize)
            shardings = variable_shardings(abstract, self.mesh)
            self._held[kind] = self.fetch(kind, shardings, self.dtype)
        try:
            yield module, self._held[kind]
        finally:
            if not shared and not self.keep_loaded:
                for leaf in jax.tree.leaves(self._held.pop(kind)):
                    leaf.delete()

    def tokenize(self, prompts: Sequence[str]) -> tuple[Int[Any, "b s"], Bool[Any, "b s"]]:
        """Ids and mask of every prompt, padded to the published 300 tokens.

        Raises:
            ValueError: a tokenizer whose ids the text encoder does not have.
        """
        tokenizer = self.load_tokenizer()
        if tokenizer.vocab_size > self.config.text.vocab_size:
            raise ValueError(
                f"the tokenizer has {tokenizer.vocab_size} tokens, but the text encoder only "
                f"{self.config.text.vocab_size}: they are not of one model."
            )
        return tokenizer.tokenize(prompts)


def default_dtype() -> DTypeLike:
    """bfloat16 where the matrix units have it; float32 on CPU, which is faster there."""
    return jnp.float32 if select.platform() == "cpu" else jnp.bfloat16


def _check_expected(config: MugvConfig, expected: MugvConfig, paths: dict[str, Any]) -> None:
    for kind in paths:
        found, wanted = getattr(config, GROUPS[kind]), getattr(expected, GROUPS[kind])
        differences = [
            f"{field.name}={getattr(found, field.name)} (expected {getattr(wanted, field.name)})"
            for field in dataclasses.fields(found)
            if getattr(found, field.name) != getattr(wanted, field.name)
        ]
        if differences:
            raise ValueError(
                f"{paths[kind]} has other sizes than the config: {', '.join(differences)}."
            )
