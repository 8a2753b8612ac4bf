# Copyright 2026 The mugv_jax Authors
# SPDX-License-Identifier: Apache-2.0
"""Weights onto devices: straight from a published file or an Orbax checkpoint, shard by shard."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
from flax import traverse_util
from jax.sharding import Sharding, SingleDeviceSharding
from jax.typing import DTypeLike
from tqdm import tqdm

from mugv_jax.axes import Array
from mugv_jax.nn import lora as low_rank
from mugv_jax.nn.quantize import quantized_paths
from mugv_jax.weights.adapter_files import open_adapter
from mugv_jax.weights.check import check, identify
from mugv_jax.weights.formats import open_source
from mugv_jax.weights.lora import adapted
from mugv_jax.weights.parameters import LazyTensor, cast_weights
from mugv_jax.weights.place import place
from mugv_jax.weights.quantize import place_quantized
from mugv_jax.weights.registry import abstract_variables

COLLECTIONS = ("params", "constants")


def read_config(path: str | Path, kind: str | None = None) -> tuple[str, Any]:
    """(kind, config) of a checkpoint that `load` will accept, without reading its tensors.

    Raises:
        ValueError: no checkpoint, another model than `kind`, or one that is not whole.
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
    lora: str | Path | None = None,
    lora_alpha: float | None = None,
    lora_scale: float = 1.0,
    lora_merged: bool = True,
    ema: bool = False,
    quantize: str | None = None,
) -> tuple[Any, dict[str, Any]]:
    """(config, variables) of a checkpoint, every tensor placed on its shards as it is read.

    shardings: a tree of `jax.sharding.Sharding` like the variables (see `abstract_variables` and
        `read_config`); None places all on the default device.
    dtype: cast floating params on the way; constants keep theirs.
    collections: which of the variables to load; the rest is not read.
    lora: an adapter to load too, a file or folder (see `open_adapter`).
    lora_alpha: alpha of the adapter, where its file does not tell it.
    lora_scale: of its low-rank updates, beside alpha / rank.
    lora_merged: add the updates to the weights. Otherwise they are the collection "lora", which
        `shardings` has then too, like `abstract_lora(..., open_adapter(...).lora)`.
    ema: the averaged weights of a training run.
    quantize: hold the kernels of all stacked layers in 8 bits, a name of `nn.quantize.DTYPES`;
        `shardings` are then those of `abstract_quantized`. What is merged is added before.

    The host holds no more than one parameter's shards at a time beside what lives on devices.

    Raises:
        ValueError: no checkpoint, another model than `kind`, one that is not whole, an adapter
            that does not fit, or an unknown `quantize`.
    """
    with open_source(path, ema=ema) as source:
        model, config = identify(source, kind)
        parameters = check(source, model, config)
        if lora is not None:
            adapter = open_adapter(lora, model, config, alpha=lora_alpha)
            parameters = adapted(parameters, adapter, scale=lora_scale, merge=lora_merged)
        parameters = cast_weights(parameters, None if dtype is None else jnp.dtype(dtype))
        wanted = (*collections, low_rank.COLLECTION)
        chosen = {name: lazy for name, lazy in parameters.items() if name.split("/")[0] in wanted}
        narrow = quantized_paths(abstract_variables(model.kind, config), quantize)
        placed = traverse_util.flatten_dict(shardings or {}, sep="/")
        variables = _place_all(chosen, placed, narrow, f"loading {model.kind}")
    return config, traverse_util.unflatten_dict(variables, sep="/")


def _place_all(
    parameters: Mapping[str, LazyTensor],
    shardings: Mapping[str, Sharding],
    narrow: Mapping[str, DTypeLike],
    described: str,
) -> dict[str, Array]:
    """Path -> array; those in `narrow` in 8 bits, with their scales. No shardings: one device."""
    default = SingleDeviceSharding(jax.local_devices()[0])
    total = sum(lazy.nbytes for lazy in parameters.values())
    arrays = {}
    with tqdm(total=total, unit="B", unit_scale=True, desc=described, disable=None) as bar:
        for name, lazy in parameters.items():
            if name in narrow:
                arrays |= place_quantized(name, lazy, shardings, narrow[name])
            else:
                arrays[name] = place(lazy, shardings[name] if shardings else default)
            bar.update(lazy.nbytes)
    return arrays
