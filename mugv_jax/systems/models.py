# Copyright 2026 The mugv_jax Authors
# SPDX-License-Identifier: Apache-2.0
"""Models of a pipeline, loaded onto the mesh one at a time and freed after use."""

import contextlib
import dataclasses
import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, ClassVar, Generic, TypedDict, TypeVar, Unpack

import jax
import jax.numpy as jnp
import numpy as np
from jax.sharding import Mesh
from jax.typing import DTypeLike

from mugv_jax.axes import Bool, Float, Int
from mugv_jax.kernels import select
from mugv_jax.kernels.select import KernelConfig
from mugv_jax.nn.lora import abstract_lora
from mugv_jax.nn.quantize import abstract_quantized, check_quantize, quantize_of
from mugv_jax.nn.stream import in_host_memory
from mugv_jax.nn.text import tokenizer as tokenizers
from mugv_jax.sharding import mesh as meshes
from mugv_jax.sharding.parallel import build_dit
from mugv_jax.sharding.place import variable_shardings
from mugv_jax.systems.record import digests_of
from mugv_jax.systems.system import System, SystemConfig
from mugv_jax.systems.text import text_states, tokenize
from mugv_jax.weights.adapters import Adapters, listed, open_adapters, require_alpha, require_finite
from mugv_jax.weights.load import load, read_config
from mugv_jax.weights.random import random_variables
from mugv_jax.weights.registry import MODELS, abstract_variables

# (name, shardings, dtype) -> variables on the mesh
Fetch = Callable[[str, Any, DTypeLike], Any]
Own = TypeVar("Own", bound="Models")  # the system's class of models
Sizes = TypeVar("Sizes", bound=SystemConfig)
DIT = "dit"  # field of the model that is built for the mesh, and that an adapter changes
LORA, TOKENIZER = "lora", "tokenizer"  # names of files beside those of the models


class Options(TypedDict, total=False):
    """Options that the models and pipelines of all systems take.

    mesh: devices per axis, such as {"tensor": 4}; one device by default.
    dtype: dtype of weights and arithmetic, by default bfloat16, or float32 on a CPU.
    kernels: implementations in place of the platform's defaults.
    keep_loaded: keep variables after their first use instead of freeing them.
    quantize: "int8" or "fp8" weights in the transformers, for half the memory; an adapter is
        merged before.
    offload: keep the transformer's layers in the host's memory, from which every evaluation copies
        them to the devices one by one.
    """

    mesh: Mapping[str, int] | None
    dtype: DTypeLike | None
    kernels: KernelConfig | None
    keep_loaded: bool
    quantize: str | None
    offload: bool


class LoadingOptions(Options, total=False):
    """Options of models that are read from files.

    expected: sizes that the weights must have.
    """

    expected: SystemConfig | None


@dataclasses.dataclass(kw_only=True)
class Models(Generic[Sizes]):
    """Models of one system, by the fields of its config; see `Options`.

    fetch: makes or reads the variables of a model.
    sources: file or folder of each model, tokenizer and adapter; empty for random weights.
    arguments: what `from_pretrained` was called with, for records of results and for a further
        call; {"random": seed} for random weights.
    """

    system: ClassVar[System]

    config: Sizes
    mesh: Mesh
    dtype: DTypeLike
    fetch: Fetch
    kernels: KernelConfig | None = None
    keep_loaded: bool = False
    quantize: str | None = None
    offload: bool = False
    sources: Mapping[str, Path] = dataclasses.field(default_factory=dict)
    arguments: Mapping[str, Any] = dataclasses.field(default_factory=dict)
    _held: dict[str, Any] = dataclasses.field(default_factory=dict)
    _digests: dict[str, str] | None = None

    def __post_init__(self):
        if self.kernels is not None and self.kernels.attention is not None:
            select.check_attention(self.kernels.attention, self.dtype, select.platform())

    @classmethod
    def from_files(
        cls: type[Own],
        sources: Mapping[str, Path],
        *,
        adapter: Mapping[str, Any] | None = None,
        expected: SystemConfig | None = None,
        **options: Unpack[Options],
    ) -> Own:
        """Models from published or converted files; only headers are read now.

        sources: files of the models, by field, and all others that the result depends on.
        adapter: options of `weights.load.load` for adapters; see `adapter_options`.

        Raises:
            ValueError: weights that are damaged or of another size, low-rank updates or a mesh
                that do not fit, or an unknown `quantize`.
        """
        built, config_class = _built(options), cls.system.config
        kinds, sizes = read_sizes(config_class, sources)
        config = config_class(**dict.fromkeys(config_class.KINDS) | sizes)
        if expected is not None:
            _check_expected(sizes, expected, sources)
        lora, factors = dict(adapter or {}), None
        if lora:
            # Opened now, so that an adapter that does not fit is refused before models load.
            opened = open_adapters(
                lora[LORA], MODELS[kinds[DIT]], sizes[DIT], alpha=lora.get("lora_alpha")
            )
            if not lora.get("lora_merged", True):
                params = abstract_variables(kinds[DIT], sizes[DIT])["params"]
                factors = variable_shardings(abstract_lora(params, opened.lora), built["mesh"])

        def fetch(name: str, shardings: Any, dtype: DTypeLike) -> Any:
            more: dict[str, Any] = {"dtype": dtype, "quantize": options.get("quantize")}
            if name == DIT:
                more |= lora
                shardings = shardings if factors is None else shardings | {LORA: factors}
            return load(sources[name], kinds[name], shardings=shardings, **more)[1]

        paths = [path for path, _ in listed(lora.get(LORA))]
        named = {f"{LORA} {i}" if i > 1 else LORA: path for i, path in enumerate(paths, start=1)}
        return cls(config=config, fetch=fetch, sources={**sources, **named}, **built)

    @classmethod
    def random(cls: type[Own], config: Sizes, *, seed: int = 0, **options: Unpack[Options]) -> Own:
        """Models with seeded random weights: everything runs, but the pictures are noise."""

        def fetch(name: str, shardings: Any, dtype: DTypeLike) -> Any:
            kind = config.kinds_of(name)[0]
            abstract = abstract_variables(kind, getattr(config, name))
            quantize = quantize_of(kind, options.get("quantize"))
            return random_variables(
                abstract, seed, shardings=shardings, dtype=dtype, quantize=quantize
            )

        return cls(config=config, fetch=fetch, arguments={"random": seed}, **_built(options))

    def digests(self) -> dict[str, str]:
        """Digest of every file among `sources`, computed once; see `weights/digests.py`."""
        if self._digests is None:
            self._digests = digests_of(self.sources)
        return self._digests

    def with_adapters(self: Own, lora: Sequence[tuple[Path, float]]) -> Own:
        """The same models with other adapters, and nothing loaded yet.

        Raises:
            ValueError: adapters that do not fit, or models that were not read by `from_pretrained`.
        """
        if "weights" not in self.arguments:
            raise ValueError("random weights take no adapters: read the pipeline's weights.")
        return type(self).from_pretrained(  # pyright: ignore[reportAttributeAccessIssue]
            **{**self.arguments, "lora": list(lora) or None},
            mesh={axis: count for axis, count in self.mesh.shape.items() if count > 1},
            dtype=self.dtype,
            kernels=self.kernels,
            keep_loaded=self.keep_loaded,
            quantize=self.quantize,
            offload=self.offload,
        )

    def read_texts(self, texts: Sequence[str]) -> list[Any]:
        """What the system's text encoders make of each text."""
        raise NotImplementedError

    def release(self) -> None:
        """Frees the variables of all models that are kept; they are read again when needed."""
        while self._held:
            for leaf in jax.tree.leaves(self._held.popitem()[1]):
                leaf.delete()

    @contextlib.contextmanager
    def model(self, name: str) -> Iterator[tuple[Any, Any]]:
        """A field's module and its variables on the mesh, which are freed when the context ends."""
        kind, config = self.config.kinds_of(name)[0], getattr(self.config, name)
        module = MODELS[kind].build
        if name == DIT:
            built = build_dit(
                config, self.mesh, dtype=self.dtype, kernels=self.kernels, module=module
            )
        else:
            built = module(config, self.dtype)
        shared = name in self._held  # kept, or in use by an enclosing call
        if not shared:
            quantize = quantize_of(kind, self.quantize)
            abstract = abstract_quantized(abstract_variables(kind, config), quantize)
            shardings = variable_shardings(abstract, self.mesh)
            if self.offload and name == DIT:
                shardings = in_host_memory(shardings)
            self._held[name] = self.fetch(name, shardings, self.dtype)
        try:
            yield built, self._held[name]
        finally:
            if not shared and not self.keep_loaded:
                for leaf in jax.tree.leaves(self._held.pop(name)):
                    leaf.delete()


def adapter_options(
    lora: Adapters | None,
    *,
    alpha: float | None = None,
    scale: float = 1.0,
    merged: bool = True,
) -> dict[str, Any]:
    """Options of `weights.load.load` for adapters, checked before anything is read; {} for none.

    lora, alpha, scale, merged: see `weights.load.load`.

    Raises:
        ValueError: a scale or alpha out of range.
    """
    require_finite(scale, "lora_scale")
    require_alpha(alpha)
    pairs = listed(lora)
    if not pairs:
        return {}
    return {LORA: pairs, "lora_alpha": alpha, "lora_scale": scale, "lora_merged": merged}


class TextModels(Models[Sizes]):
    """Models of a system with one text encoder, the field "text", and its tokenizer."""

    def load_tokenizer(self) -> tokenizers.Tokenizer:
        """Tokenizer among the files; a byte-level one for random weights."""
        if TOKENIZER in self.sources:
            return tokenizers.load(os.fspath(self.sources[TOKENIZER]))
        return tokenizers.byte_level()

    def tokenize(self, prompts: Sequence[str]) -> tuple[Int[Any, "b s"], Bool[Any, "b s"]]:
        """Ids and mask of every prompt, padded to the number of text tokens that the DiT reads.

        Raises:
            ValueError: a tokenizer whose ids the text encoder does not have.
        """
        sizes: Any = self.config
        length = self.system.text_tokens(sizes.dit)
        return tokenize(self.load_tokenizer(), sizes.text.vocab_size, prompts, length)

    def read_texts(self, texts: Sequence[str]) -> list[Float[np.ndarray, "_s d"]]:
        """Encoder states of each text, without padding."""
        ids, mask = self.tokenize(texts)
        with meshes.use(self.mesh), self.model("text") as (module, variables):
            states = text_states(module, variables, ids, mask)
        return [each[valid] for each, valid in zip(states, mask, strict=True)]


def _built(options: Options) -> dict[str, Any]:
    """Fields of `Models` from its options."""
    check_quantize(options.get("quantize"))
    return {
        **options,
        "mesh": meshes.make_mesh(options.get("mesh")),
        "dtype": options.get("dtype") or default_dtype(),
    }


def read_sizes(
    config_class: type[SystemConfig], paths: Mapping[str, Path]
) -> tuple[dict[str, str], dict[str, Any]]:
    """(kinds, sizes) of the checkpoints in `paths`, by field; tensors are not read.

    Raises:
        ValueError: no checkpoint, an incomplete one, or one of another model.
    """
    kinds, sizes = {}, {}
    for name, accepted in {**config_class.KINDS, **config_class.OPTIONAL}.items():
        if name in paths:
            kind, sizes[name] = read_config(
                paths[name], accepted[0] if len(accepted) == 1 else None
            )
            if kind not in accepted:
                raise ValueError(f"{paths[name]}: holds {kind}, not {' or '.join(accepted)}.")
            kinds[name] = kind
    return kinds, sizes


def default_dtype() -> DTypeLike:
    """Type of weights and arithmetic: bfloat16, or float32 on CPU, where it is faster."""
    return jnp.float32 if select.platform() == "cpu" else jnp.bfloat16


def _check_expected(
    sizes: Mapping[str, Any], expected: SystemConfig, paths: Mapping[str, Path]
) -> None:
    """Raise a ValueError that names the sizes in which a model differs; None expects nothing."""
    for name, found in sizes.items():
        wanted = getattr(expected, name)
        if wanted is None:
            continue
        differences = [
            f"{field.name}={getattr(found, field.name)} (expected {getattr(wanted, field.name)})"
            for field in dataclasses.fields(found)
            if getattr(found, field.name) != getattr(wanted, field.name)
        ]
        if differences:
            raise ValueError(
                f"{paths[name]} has other sizes than the config: {', '.join(differences)}."
            )
