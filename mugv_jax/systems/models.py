# Copyright 2026 The mugv_jax Authors
# SPDX-License-Identifier: Apache-2.0
"""Models of a pipeline, loaded onto the mesh one at a time and freed after use."""

import contextlib
import dataclasses
from collections.abc import Callable, Collection, Iterator, Mapping
from pathlib import Path
from typing import Any, TypedDict, TypeVar

import jax
import jax.numpy as jnp
from jax.sharding import Mesh
from jax.typing import DTypeLike

from mugv_jax.kernels import select
from mugv_jax.kernels.select import KernelConfig
from mugv_jax.nn.lora import abstract_lora
from mugv_jax.nn.quantize import abstract_quantized, quantized_dtype
from mugv_jax.sharding.mesh import make_mesh
from mugv_jax.sharding.parallel import build_dit
from mugv_jax.sharding.place import variable_shardings
from mugv_jax.systems.system import SystemConfig
from mugv_jax.weights.adapters import Adapters, listed, open_adapters, require_alpha, require_finite
from mugv_jax.weights.load import load, read_config
from mugv_jax.weights.random import random_variables
from mugv_jax.weights.registry import MODELS, abstract_variables

# (name, shardings, dtype) -> variables on the mesh
Fetch = Callable[[str, Any, DTypeLike], Any]
Own = TypeVar("Own", bound="Models")  # the system's class of models
DIT = "dit"  # field of the model that is built for the mesh


class Options(TypedDict, total=False):
    """Options that the constructors of all systems' models take; see `Models`."""

    mesh: Mapping[str, int] | None
    dtype: DTypeLike | None
    kernels: KernelConfig | None
    keep_loaded: bool


class LoadingOptions(Options, total=False):
    """Options of models that are read from files.

    expected: sizes that the weights must have.
    """

    expected: SystemConfig | None


class RandomOptions(Options, total=False):
    """Options of models with random weights."""

    quantize: str | None


@dataclasses.dataclass(kw_only=True)
class Models:
    """Models of one system, by the fields of its config.

    fetch: makes or reads the variables of a model.
    dtype: dtype of weights and arithmetic.
    kernels: implementations in place of the platform's defaults.
    keep_loaded: keep variables after their first use instead of freeing them.
    quantize: dtype of 8-bit weights of the transformers, a name of `nn.quantize.DTYPES`.
    sources: file or folder of each model, tokenizer and adapter; empty for random weights.
    """

    config: SystemConfig
    mesh: Mesh
    dtype: DTypeLike
    fetch: Fetch
    kernels: KernelConfig | None = None
    keep_loaded: bool = False
    quantize: str | None = None
    sources: Mapping[str, Path] = dataclasses.field(default_factory=dict)
    _held: dict[str, Any] = dataclasses.field(default_factory=dict)

    @classmethod
    def from_files(
        cls: type[Own],
        config_class: type[SystemConfig],
        paths: Mapping[str, Path],
        *,
        absent: Collection[str] = (),
        loading: Mapping[str, Mapping[str, Any]] | None = None,
        sources: Mapping[str, Path] | None = None,
        expected: SystemConfig | None = None,
        mesh: Mapping[str, int] | None = None,
        dtype: DTypeLike | None = None,
        quantize: str | None = None,
        **fields: Any,
    ) -> Own:
        """Models from published or converted files, by field; only headers are read now.

        absent: fields without a model.
        loading: further options of `weights.load.load`, by field.
        sources: files beside `paths` that the result depends on.
        expected: sizes that the weights must have.
        fields: further fields of the class.

        Raises:
            ValueError: weights that are damaged or of another size, low-rank updates or a mesh
                that do not fit, or an unknown `quantize`.
        """
        placed_on = make_mesh(mesh)
        kinds, sizes = read_sizes(config_class, paths)
        config = config_class(**dict.fromkeys(absent), **sizes)
        if expected is not None:
            _check_expected(config, expected, paths)

        # Opened now, so that an adapter that does not fit is refused before models load.
        adapters = {
            name: open_adapters(
                more["lora"], MODELS[kinds[name]], sizes[name], alpha=more.get("lora_alpha")
            )
            for name, more in (loading or {}).items()
            if more.get("lora") is not None
        }

        def fetch(name: str, shardings: Any, dtype: DTypeLike) -> Any:
            more = (loading or {}).get(name, {})
            if name in adapters and not more.get("lora_merged", True):
                params = abstract_variables(kinds[name], sizes[name])["params"]
                factors = abstract_lora(params, adapters[name].lora)
                shardings = shardings | {"lora": variable_shardings(factors, placed_on)}
            options = {"shardings": shardings, "dtype": dtype, "quantize": quantize}
            return load(paths[name], kinds[name], **options, **more)[1]

        return cls(
            config=config,
            mesh=placed_on,
            dtype=dtype or default_dtype(),
            fetch=fetch,
            quantize=quantize,
            sources={**paths, **(sources or {})},
            **fields,
        )

    @classmethod
    def random(
        cls: type[Own],
        config: SystemConfig,
        *,
        seed: int = 0,
        mesh: Mapping[str, int] | None = None,
        dtype: DTypeLike | None = None,
        quantize: str | None = None,
        **fields: Any,
    ) -> Own:
        """Models with seeded random weights: everything runs, but the pictures are noise."""
        quantized_dtype(quantize)

        def fetch(name: str, shardings: Any, dtype: DTypeLike) -> Any:
            abstract = abstract_variables(config.KINDS[name][0], getattr(config, name))
            return random_variables(
                abstract, seed, shardings=shardings, dtype=dtype, quantize=quantize
            )

        return cls(
            config=config,
            mesh=make_mesh(mesh),
            dtype=dtype or default_dtype(),
            fetch=fetch,
            quantize=quantize,
            **fields,
        )

    @contextlib.contextmanager
    def model(self, name: str) -> Iterator[tuple[Any, Any]]:
        """A field's module and its variables on the mesh, which are freed when the context ends."""
        kind, config = self.config.KINDS[name][0], getattr(self.config, name)
        module = MODELS[kind].build
        if name == DIT:
            built = build_dit(
                config, self.mesh, dtype=self.dtype, kernels=self.kernels, module=module
            )
        else:
            built = module(config, self.dtype)
        shared = name in self._held  # kept, or in use by an enclosing call
        if not shared:
            abstract = abstract_quantized(abstract_variables(kind, config), self.quantize)
            shardings = variable_shardings(abstract, self.mesh)
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
        ValueError: an adapter that is no path or pair, or a scale or alpha out of range.
    """
    require_finite(scale, "lora_scale")
    require_alpha(alpha)
    pairs = listed(lora)
    if not pairs:
        return {}
    return {"lora": pairs, "lora_alpha": alpha, "lora_scale": scale, "lora_merged": merged}


def adapter_sources(lora: Adapters | None) -> dict[str, Path]:
    """Adapters by name, as `Models.sources` lists them: "lora", "lora 2", ..."""
    paths = [path for path, _ in listed(lora)]
    return {f"lora {i}" if i > 1 else "lora": path for i, path in enumerate(paths, start=1)}


def read_sizes(
    config_class: type[SystemConfig], paths: Mapping[str, Path]
) -> tuple[dict[str, str], dict[str, Any]]:
    """(kinds, sizes) of checkpoints, by field; tensors are not read.

    Raises:
        ValueError: no checkpoint, an incomplete one, or one of another model.
    """
    kinds, sizes = {}, {}
    for name, path in paths.items():
        accepted = config_class.KINDS[name]
        kind, sizes[name] = read_config(path, accepted[0] if len(accepted) == 1 else None)
        if kind not in accepted:
            raise ValueError(f"{path}: holds {kind}, not {' or '.join(accepted)}.")
        kinds[name] = kind
    return kinds, sizes


def default_dtype() -> DTypeLike:
    """Type of weights and arithmetic: bfloat16, or float32 on CPU, where it is faster."""
    return jnp.float32 if select.platform() == "cpu" else jnp.bfloat16


def _check_expected(config: SystemConfig, expected: SystemConfig, paths: Mapping[str, Any]) -> None:
    """Raise a ValueError that names the sizes in which a model of `paths` differs."""
    for name in paths:
        found, wanted = getattr(config, name), getattr(expected, name)
        differences = [
            f"{field.name}={getattr(found, field.name)} (expected {getattr(wanted, field.name)})"
            for field in dataclasses.fields(found)
            if getattr(found, field.name) != getattr(wanted, field.name)
        ]
        if differences:
            raise ValueError(
                f"{paths[name]} has other sizes than the config: {', '.join(differences)}."
            )
