# Copyright 2026 The mugv_jax Authors
# SPDX-License-Identifier: Apache-2.0
"""Loading of weights onto devices, shard by shard, from published files or Orbax checkpoints."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import jax.numpy as jnp
from flax import traverse_util
from jax.sharding import Sharding
from jax.typing import DTypeLike

from mugv_jax.axes import Array
from mugv_jax.nn import lora as low_rank
from mugv_jax.nn.quantize import Rounding, quantize_of, quantized_paths
from mugv_jax.progress import Bar
from mugv_jax.weights.adapters import Adapters, open_adapters, require_alpha, require_finite
from mugv_jax.weights.check import check, identify, require_equal_twins
from mugv_jax.weights.formats import open_source
from mugv_jax.weights.lora import adapted
from mugv_jax.weights.parameters import LazyTensor, cast_weights
from mugv_jax.weights.place import place, place_quantized
from mugv_jax.weights.registry import abstract_variables

COLLECTIONS = ("params", "constants")


def read_config(path: str | Path, kind: str | None = None) -> tuple[str, Any]:
    """Kind and config of a checkpoint that `load` accepts, without reading its tensors.

    Raises:
        ValueError: no checkpoint, another model than `kind`, or an incomplete one.
    """
    with open_source(path) as source:
        model, config = identify(source, kind)
        check(source, model, config)
    return model.kind, config


def load(
    path: str | Path,
    kind: str | None = None,
    *,
    shardings: Any = None,
    dtype: DTypeLike | None = None,
    collections: Sequence[str] = COLLECTIONS,
    lora: Adapters | None = None,
    lora_alpha: float | None = None,
    lora_scale: float = 1.0,
    lora_merged: bool = True,
    ema: bool = False,
    quantize: str | None = None,
) -> tuple[Any, dict[str, Any]]:
    """Config and variables of a checkpoint; every tensor goes to its shards as it is read.

    shardings: tree of `jax.sharding.Sharding` with the structure of the variables (see
        `abstract_variables` and `read_config`); None places all on the default device.
    dtype: cast floating params as they are read; constants keep their dtype.
    collections: collections of variables to load; others are not read.
    lora: adapters to load as well: a path, a list of paths, or (path, scale) pairs; each is a
        file, a folder or a training run (see `open_adapter`).
    lora_alpha: alpha of the adapters, if their files do not state it.
    lora_scale: factor of all low-rank updates, in addition to alpha / rank and their own scales.
    lora_merged: add the updates to the weights. Otherwise they form the collection "lora", which
        `shardings` must then include, like `abstract_lora(..., open_adapters(...).lora)`.
    ema: load the averaged weights of a training run.
    quantize: name in `nn.quantize.NAMES`; holds the kernels of all stacked layers in 8 bits.
        `shardings` are then those of `abstract_quantized`. Updates are merged before quantisation.

    The host holds at most the shards of one parameter, besides what its own devices hold.

    Raises:
        ValueError: no checkpoint, another model than `kind`, an incomplete one, an adapter that
            does not fit, or an unknown `quantize`.
    """
    require_finite(lora_scale, "lora_scale")
    require_alpha(lora_alpha)
    with open_source(path, ema=ema) as source:
        model, config = identify(source, kind)
        parameters = check(source, model, config)
        require_equal_twins(source, model)
        if lora is not None:
            adapter = open_adapters(lora, model, config, alpha=lora_alpha)
            parameters = adapted(parameters, adapter, scale=lora_scale, merge=lora_merged)
        parameters = cast_weights(parameters, None if dtype is None else jnp.dtype(dtype))
        wanted = (*collections, low_rank.COLLECTION)
        chosen = {name: lazy for name, lazy in parameters.items() if name.split("/")[0] in wanted}
        abstract = abstract_variables(model.kind, config)
        narrow = quantized_paths(abstract, quantize_of(model.kind, quantize))
        placed: dict[str, Any] = traverse_util.flatten_dict(shardings or {}, sep="/")
        variables = _place_all(chosen, placed, narrow, f"loading {model.kind}")
    return config, traverse_util.unflatten_dict(variables, sep="/")


def _place_all(
    parameters: Mapping[str, LazyTensor],
    shardings: Mapping[str, Sharding],
    narrow: Mapping[str, Rounding],
    described: str,
) -> dict[str, Array]:
    """Arrays by path; those in `narrow` in 8 bits with scales. Without `shardings`: one device."""
    total = sum(lazy.nbytes for lazy in parameters.values())
    arrays = {}
    with Bar(described, total=total, unit="B") as bar:
        for name, lazy in parameters.items():
            if name in narrow:
                arrays |= place_quantized(name, lazy, shardings, narrow[name])
            else:
                arrays[name] = place(lazy, shardings[name] if shardings else None)
            bar.update(lazy.nbytes)
    return arrays
