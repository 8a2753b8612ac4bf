# Copyright 2026 The mugv_jax Authors
# SPDX-License-Identifier: Apache-2.0
"""Orbax checkpoints of weights: written in one stream, read tensor by tensor.

On disk they are what Orbax writes for arrays, so `orbax.checkpoint.StandardCheckpointer` restores
them as well. The tree is {"params": ..., "constants": ..., "unused": {published name: tensor}};
the checkpoint's own metadata says which model it is.
"""

import asyncio
import dataclasses
import hashlib
import importlib.metadata
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import orbax.checkpoint as ocp
import tensorstore
from etils import epath
from flax import traverse_util

from mugv_jax.weights.models import MODELS
from mugv_jax.weights.parameters import (
    PIECE_BYTES,
    UNUSED,
    Index,
    LazyTensor,
    published_shape,
    rows_per_piece,
    to_published,
)
from mugv_jax.weights.sources import Source, TensorSpec
from mugv_jax.weights.table import Rule, Table

METADATA_KEY = "mugv_jax"
# A chunk is what a reader fetches and decompresses at once, a data file what the writer buffers.
CHUNK_BYTES = 32 * 2**20
DATA_FILE_BYTES = 128 * 2**20


class _LazyHandler(ocp.type_handlers.NumpyHandler):
    """Writes each `LazyTensor` as an ordinary array, with a few pieces in memory at a time."""

    def __init__(self, progress: Callable[[int], None]):
        super().__init__()
        self._progress = progress

    async def serialize(
        self,
        values: Sequence[LazyTensor],
        infos: Sequence[ocp.type_handlers.ParamInfo],
        args: Sequence[ocp.SaveArgs] | None = None,
    ) -> Sequence[ocp.future.Future]:
        arrays = await asyncio.gather(
            *(_create(*each) for each in zip(values, infos, args or [None] * len(values)))
        )
        writes, waiting = [], 0
        for value, array in zip(values, arrays):
            for index, piece in value.pieces():
                writes.append(array[index].write(piece))
                waiting += piece.nbytes
                self._progress(piece.nbytes)
                # Every wait costs a commit of the whole index, so small tensors share one.
                if waiting >= PIECE_BYTES:
                    await asyncio.gather(*writes)
                    writes, waiting = [], 0
        await asyncio.gather(*writes)
        return [ocp.future.NoopFuture()]


async def _create(
    value: LazyTensor, info: ocp.type_handlers.ParamInfo, arg: ocp.SaveArgs | None
) -> tensorstore.TensorStore:
    """The array of `value` on disk, still empty."""
    await info.await_path_creation()
    spec = ocp.type_handlers.get_json_tspec_write(
        info,
        use_ocdbt=True,
        global_shape=value.shape,
        local_shape=value.shape,
        dtype=value.dtype,
        process_index=jax.process_index(),
        arg=arg,
    )
    return await tensorstore.open(
        tensorstore.Spec(spec), create=True, open=True, context=info.ts_context
    )


def save(
    path: Path,
    parameters: Mapping[str, LazyTensor],
    *,
    kind: str,
    config: Any,
    dtypes: Mapping[str, str],
    source_format: str,
    progress: Callable[[int], None],
) -> None:
    """Write `parameters` (path -> tensor) as an Orbax checkpoint; `path` must not exist yet.

    dtypes: published names whose dtype is narrower than that of the parameter they are part of.
    progress: called with the number of bytes of each piece written.
    """
    tree = _nested(parameters)
    save_args = jax.tree.map(
        lambda lazy: ocp.SaveArgs(
            chunk_byte_size=CHUNK_BYTES, shard_axes=(0,) if lazy.stacked else ()
        ),
        tree,
    )
    registry = ocp.type_handlers.create_type_handler_registry(
        (LazyTensor, _LazyHandler(progress)),
        (jax.Array, ocp.type_handlers.get_type_handler(jax.Array)),
    )
    metadata = {
        "kind": kind,
        "config": dataclasses.asdict(config),
        "layout": layout(MODELS[kind].table(config)),
        "dtypes": dict(dtypes),
        "source_format": source_format,
        "version": _version(),
    }
    handler = ocp.PyTreeCheckpointHandler(type_handler_registry=registry)
    with ocp.Checkpointer(handler) as checkpointer:
        checkpointer.save(
            epath.Path(path).absolute(),
            args=ocp.args.PyTreeSave(
                tree, save_args=save_args, ocdbt_target_data_file_size=DATA_FILE_BYTES
            ),
            custom_metadata={METADATA_KEY: metadata},
        )


class OrbaxSource(Source):
    """A checkpoint written by `save`.

    kind, model_config: the model and its sizes.  parameters: path -> tensor, `unused/` included.
    specs, read: the same under published names, with their published dtypes.

    Raises:
        ValueError: damaged, or not a checkpoint of weights.
    """

    format = "orbax"

    def __init__(self, path: Path):
        self.path = path
        with ocp.PyTreeCheckpointer() as checkpointer:
            try:
                step = checkpointer.metadata(epath.Path(path).absolute())
                leaves = traverse_util.flatten_dict(step.item_metadata.tree, sep="/")
                zarr3 = bool(step.item_metadata.use_zarr3)
            except (OSError, ValueError, TypeError, KeyError, AttributeError) as error:
                raise ValueError(f"{path}: a damaged Orbax checkpoint ({error}).") from error
        stated = (step.custom_metadata or {}).get(METADATA_KEY)
        if stated is None or stated["kind"] not in MODELS:
            raise ValueError(
                f"{path}: an Orbax checkpoint without the description of a known model; it must "
                "come from `mugv-jax convert`."
            )
        self.kind = stated["kind"]
        self.model_config = MODELS[self.kind].config_class(**_tuples(stated["config"]))
        table = MODELS[self.kind].table(self.model_config)
        if stated["layout"] != layout(table):
            raise ValueError(
                f"{path}: converted by version {stated['version']}, which laid {self.kind} out "
                "differently; convert the published file anew."
            )
        context = ocp.type_handlers.get_ts_context(use_ocdbt=True)
        stacked = {rule.path for rule in table.rules if rule.stacked}
        self.parameters = {
            name: dataclasses.replace(_stored(path, leaf, zarr3, context), stacked=name in stacked)
            for name, leaf in leaves.items()
        }
        self._index(table, stated["dtypes"])

    def _index(self, table: Table, dtypes: Mapping[str, str]) -> None:
        """Where each published name lies: (rule, parameter, layer)."""
        self._table, self._homes, self.specs = table, {}, {}
        extras = [name for name in self.parameters if name.startswith(f"{UNUSED}/")]
        rules = [Rule(path.removeprefix(f"{UNUSED}/"), path) for path in extras]
        for rule in (*table.rules, *rules):
            lazy = self.parameters.get(rule.path)
            if lazy is None:
                raise ValueError(f"{self.path}: a damaged Orbax checkpoint: lacks {rule.path}.")
            shape = published_shape(rule, table, lazy.shape)
            for layer, name in enumerate(table.names(rule)):
                self._homes[name] = rule, lazy, layer
                self.specs[name] = TensorSpec(shape, jnp.dtype(dtypes.get(name, lazy.dtype)))

    def read(self, name: str) -> np.ndarray:
        rule, lazy, layer = self._homes[name]
        index = tuple(slice(0, size) for size in lazy.shape)
        if rule.stacked:
            array = lazy.read((slice(layer, layer + 1), *index[1:]))[0]
        else:
            array = lazy.read(index)
        array = array.astype(self.specs[name].dtype, copy=False)
        return to_published(rule, self._table, array)


def _stored(path: Path, leaf: Any, zarr3: bool, context: tensorstore.Context) -> LazyTensor:
    """An array on disk; it is opened by the metadata already and read by range."""
    info = ocp.type_handlers.ParamInfo(
        name=leaf.name,
        parent_dir=epath.Path(path).absolute(),
        use_zarr3=zarr3,
        ts_context=context,
    )
    spec = ocp.type_handlers.get_json_tspec_read(
        info, use_ocdbt=ocp.type_handlers.is_ocdbt_checkpoint(info.parent_dir)
    )

    def read(index: Index) -> np.ndarray:
        array = tensorstore.open(tensorstore.Spec(spec), context=context).result()
        return np.asarray(array[index].read().result())

    shape, dtype = tuple(leaf.shape), jnp.dtype(leaf.dtype)
    return LazyTensor(shape, dtype, read, rows_per_piece(shape, dtype))


def layout(table: Table) -> str:
    """A fingerprint of where a table puts what: equal for equal meaning of the parameters."""
    rules = sorted((rule.name, rule.path, rule.axes) for rule in table.rules)
    described = repr((rules, table.layers, sorted(table.sizes.items())))
    return hashlib.sha256(described.encode()).hexdigest()[:16]


def _nested(parameters: Mapping[str, LazyTensor]) -> dict:
    """A tree of dictionaries; names under `unused/` are kept whole."""
    keys = {
        tuple(path.split("/", 1)) if path.startswith(f"{UNUSED}/") else tuple(path.split("/")): lazy
        for path, lazy in parameters.items()
    }
    return traverse_util.unflatten_dict(keys)


def _tuples(value: Any) -> Any:
    """JSON has lists where configs have tuples."""
    if isinstance(value, Mapping):
        return {key: _tuples(item) for key, item in value.items()}
    return tuple(map(_tuples, value)) if isinstance(value, list) else value


def _version() -> str:
    try:
        return importlib.metadata.version("mugv_jax")
    except importlib.metadata.PackageNotFoundError:
        return "from source"
