# Copyright 2026 The mugv_jax Authors
# SPDX-License-Identifier: Apache-2.0
"""Weights onto devices: straight from a published file or an Orbax checkpoint, shard by shard."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
from flax import traverse_util
from jax.sharding import SingleDeviceSharding
from jax.typing import DTypeLike
from tqdm import tqdm

from mugv_jax.nn.quantize import quantized_paths
from mugv_jax.weights.adapter_files import with_adapter
from mugv_jax.weights.check import check, identify
from mugv_jax.weights.formats import open_source
from mugv_jax.weights.models import abstract_variables
from mugv_jax.weights.parameters import cast_weights
from mugv_jax.weights.place import place
from mugv_jax.weights.quantize import place_quantized

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
    ema: bool = False,
    quantize: str | None = None,
) -> tuple[Any, dict[str, Any]]:
    """(config, variables) of a checkpoint, every tensor placed on its shards as it is read.

    shardings: a tree of `jax.sharding.Sharding` like the variables (see `abstract_variables` and
        `read_config`); None places all on the default device.
    dtype: cast floating params on the way; constants keep theirs.
    collections: which of the variables to load; the rest is not read.
    lora: folder of an adapter, saved by `peft`, to merge into the weights.
    ema: the averaged weights of a training run.
    quantize: hold the kernels of all stacked layers in 8 bits, a name of `nn.quantize.DTYPES`;
        `shardings` are then those of `abstract_quantized`. What `lora` adds is added before.

    The host holds no more than one parameter's shards at a time beside what lives on devices.

    Raises:
        ValueError: no checkpoint, another model than `kind`, one that is not whole, or an unknown
            `quantize`.
    """
    placed = traverse_util.flatten_dict(shardings or {}, sep="/")
    default = SingleDeviceSharding(jax.local_devices()[0])
    with open_source(path, ema=ema) as opened:
        source = opened if lora is None else with_adapter(opened, lora, kind)
        model, config = identify(source, kind)
        parameters = check(source, model, config)
        parameters = cast_weights(parameters, None if dtype is None else jnp.dtype(dtype))
        chosen = {
            name: lazy for name, lazy in parameters.items() if name.split("/")[0] in collections
        }
        narrow = quantized_paths(abstract_variables(model.kind, config), quantize)
        total = sum(lazy.nbytes for lazy in chosen.values())
        variables = {}
        with tqdm(
            total=total, unit="B", unit_scale=True, desc=f"loading {model.kind}", disable=None
        ) as bar:
            for name, lazy in chosen.items():
                if name in narrow:
                    variables |= place_quantized(name, lazy, placed, narrow[name])
                else:
                    variables[name] = place(lazy, placed[name] if placed else default)
                bar.update(lazy.nbytes)
    return config, traverse_util.unflatten_dict(variables, sep="/")
