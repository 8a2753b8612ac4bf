# Copyright 2026 The mugv_jax Authors
# SPDX-License-Identifier: Apache-2.0
"""Weights onto devices: straight from a published file or an Orbax checkpoint, shard by shard."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from flax import traverse_util
from jax.sharding import Sharding, SingleDeviceSharding
from jax.typing import DTypeLike
from tqdm import tqdm

from mugv_jax.weights.adapter_files import with_adapter
from mugv_jax.weights.check import check, identify
from mugv_jax.weights.formats import open_source
from mugv_jax.weights.parameters import Index, LazyTensor, cast_weights

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
) -> tuple[Any, dict[str, Any]]:
    """(config, variables) of a checkpoint, every tensor placed on its shards as it is read.

    shardings: a tree of `jax.sharding.Sharding` like the variables (see `abstract_variables` and
        `read_config`); None places all on the default device.
    dtype: cast floating params on the way; constants keep theirs.
    collections: which of the variables to load; the rest is not read.
    lora: folder of an adapter, saved by `peft`, to merge into the weights.
    ema: the averaged weights of a training run.

    The host holds no more than one parameter's shards at a time beside what lives on devices.

    Raises:
        ValueError: no checkpoint, another model than `kind`, or one that is not whole.
    """
    placed = traverse_util.flatten_dict(shardings or {}, sep="/")
    with open_source(path, ema=ema) as opened:
        source = opened if lora is None else with_adapter(opened, lora, kind)
        model, config = identify(source, kind)
        parameters = check(source, model, config)
        parameters = cast_weights(parameters, None if dtype is None else jnp.dtype(dtype))
        chosen = {
            name: lazy for name, lazy in parameters.items() if name.split("/")[0] in collections
        }
        total = sum(lazy.nbytes for lazy in chosen.values())
        variables = {}
        with tqdm(
            total=total, unit="B", unit_scale=True, desc=f"loading {model.kind}", disable=None
        ) as bar:
            for name, lazy in chosen.items():
                sharding = placed[name] if placed else SingleDeviceSharding(jax.local_devices()[0])
                variables[name] = place(lazy, sharding)
                bar.update(lazy.nbytes)
    return config, traverse_util.unflatten_dict(variables, sep="/")


def place(lazy: LazyTensor, sharding: Sharding) -> jax.Array:
    """A tensor on the devices of `sharding`; this host reads what its own devices hold, once."""
    indices = {
        device: _explicit(index, lazy.shape)
        for device, index in sharding.addressable_devices_indices_map(lazy.shape).items()
    }
    shards = {
        _key(index): np.empty(tuple(part.stop - part.start for part in index), lazy.dtype)
        for index in indices.values()
    }
    for piece_index, piece in lazy.pieces(_bounding_box(list(indices.values()))):
        for index in indices.values():
            _copy_overlap(piece, piece_index, shards[_key(index)], index)
    array = jax.make_array_from_callback(
        lazy.shape, sharding, lambda index: shards[_key(_explicit(index, lazy.shape))]
    )
    return jax.block_until_ready(array)  # frees the host's copy before the next tensor is read


def _copy_overlap(
    source: np.ndarray, source_at: Index, target: np.ndarray, target_at: Index
) -> None:
    """Copy what `source` and `target`, at these places of one tensor, have in common."""
    low = [max(s.start, t.start) for s, t in zip(source_at, target_at)]
    high = [min(s.stop, t.stop) for s, t in zip(source_at, target_at)]
    if all(a < b for a, b in zip(low, high)):
        taken = tuple(slice(a - s.start, b - s.start) for a, b, s in zip(low, high, source_at))
        given = tuple(slice(a - t.start, b - t.start) for a, b, t in zip(low, high, target_at))
        target[given] = source[taken]


def _explicit(index: Index, shape: tuple[int, ...]) -> Index:
    return tuple(slice(*part.indices(size)[:2]) for part, size in zip(index, shape))


def _key(index: Index) -> tuple[tuple[int, int], ...]:
    return tuple((part.start, part.stop) for part in index)


def _bounding_box(indices: Sequence[Index]) -> Index:
    return tuple(
        slice(min(part.start for part in parts), max(part.stop for part in parts))
        for parts in zip(*indices)
    )
