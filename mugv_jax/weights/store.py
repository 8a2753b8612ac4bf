# Copyright 2026 The mugv_jax Authors
# SPDX-License-Identifier: Apache-2.0
"""Writer of Orbax checkpoints of weights, piece by piece; `orbax_files.py` reads them.

On disk they are ordinary arrays of Orbax, so `orbax.checkpoint.StandardCheckpointer` restores them
as well. The tree is {"params": ..., "constants": ..., "unused": {published name: tensor}}; the
custom metadata of the checkpoint states the model.
"""

import asyncio
import dataclasses
import hashlib
import importlib.metadata
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import orbax.checkpoint as ocp
import tensorstore
from etils import epath
from flax import traverse_util
from orbax.checkpoint import future

from mugv_jax.nn.lora import LoraConfig
from mugv_jax.weights import checksums
from mugv_jax.weights.parameters import PIECE_BYTES, UNUSED, LazyTensor
from mugv_jax.weights.registry import MODELS
from mugv_jax.weights.table import Table

METADATA_KEY = "mugv_jax"
# A reader fetches and decompresses a whole chunk; the writer buffers a whole data file.
CHUNK_BYTES = 32 * 2**20
DATA_FILE_BYTES = 128 * 2**20


class _LazyHandler(ocp.type_handlers.NumpyHandler):
    """Handler that writes a `LazyTensor` as an ordinary array, a few pieces at a time."""

    def __init__(self, progress: Callable[[int], object]):
        super().__init__()
        self._progress = progress

    async def serialize(
        self,
        values: Sequence[LazyTensor],
        infos: Sequence[ocp.type_handlers.ParamInfo],
        args: Sequence[ocp.SaveArgs] | None = None,
    ) -> Sequence[future.Future]:
        arrays = await _all(
            _create(*each) for each in zip(values, infos, args or [None] * len(values))
        )
        writes, waiting = [], 0
        for value, array in zip(values, arrays):
            for index, piece in value.pieces():
                writes.append(array[index].write(piece))
                waiting += piece.nbytes
                self._progress(piece.nbytes)
                # Every wait costs a commit of the whole index, so small tensors share one.
                if waiting >= PIECE_BYTES:
                    await _all(writes)
                    writes, waiting = [], 0
        await _all(writes)
        return [future.NoopFuture()]


async def _all(awaitables: Iterable[Awaitable[Any]]) -> list[Any]:
    """Results of all; raises the first error once none is under way any more.

    TensorStore would report a later end to an event loop that is closed by then.
    """
    results = await asyncio.gather(*awaitables, return_exceptions=True)
    for result in results:
        if isinstance(result, BaseException):
            raise result
    return results


async def _create(
    value: LazyTensor, info: ocp.type_handlers.ParamInfo, arg: ocp.SaveArgs | None
) -> tensorstore.TensorStore:
    """Creates the array of `value` on disk, still empty."""
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
    progress: Callable[[int], object],
) -> None:
    """Writes `parameters` (path -> tensor) as an Orbax checkpoint; `path` must not exist yet.

    Its files get checksums (`checksums.py`).

    dtypes: dtypes by published name, where narrower than that of the tensor's parameter.
    progress: called with the number of bytes of each written piece.
    """
    tree = _nested(parameters)
    by_layer = jax.tree.map(lambda lazy: _save_args(by_layer=lazy.stacked), tree)
    registry = ocp.type_handlers.create_type_handler_registry(
        (LazyTensor, _LazyHandler(progress)),
        (jax.Array, ocp.type_handlers.get_type_handler(jax.Array)),
    )
    more = {"dtypes": dict(dtypes), "source_format": source_format}
    handler = ocp.PyTreeCheckpointHandler(type_handler_registry=registry)
    with ocp.Checkpointer(handler) as checkpointer:
        checkpointer.save(
            epath.Path(path).absolute(),
            args=ocp.args.PyTreeSave(
                tree, save_args=by_layer, ocdbt_target_data_file_size=DATA_FILE_BYTES
            ),
            custom_metadata={METADATA_KEY: _metadata(kind, config) | more},
        )
    checksums.write(path)


def save_args(tree: Any) -> Any:
    """Save options of a training state that let one layer of a weight be read without the rest."""
    return jax.tree.map(lambda leaf: _save_args(by_layer=jnp.ndim(leaf) > 0), tree)


def _save_args(*, by_layer: bool) -> ocp.SaveArgs:
    return ocp.SaveArgs(chunk_byte_size=CHUNK_BYTES, shard_axes=(0,) if by_layer else ())


def training_metadata(kind: str, config: Any, lora: LoraConfig | None = None) -> dict[str, Any]:
    """Description of the weights of a training checkpoint, its JSON item "meta".

    lora: LoRA config if the state's `params` are low-rank updates of its `frozen` weights.
    """
    return _metadata(kind, config) | {"lora": lora and dataclasses.asdict(lora)}


def _metadata(kind: str, config: Any) -> dict[str, Any]:
    return {
        "kind": kind,
        "config": dataclasses.asdict(config),
        "layout": layout(MODELS[kind].table(config)),
        "version": _version(),
    }


def stated_model(path: Path, stated: Mapping[str, Any]) -> tuple[str, Any]:
    """Kind and config that the metadata of a checkpoint state.

    Raises:
        ValueError: no known model, or one whose layout of parameters has changed since.
    """
    try:
        kind, version = stated["kind"], stated["version"]
        config = MODELS[kind].config_class(**_tuples(stated["config"]))
        same = stated["layout"] == layout(MODELS[kind].table(config))
    except (KeyError, TypeError, ValueError) as error:
        raise ValueError(
            f"{path}: an Orbax checkpoint without the description of a known model ({error}); it "
            "must come from `mugv-jax convert` or `mugv-jax train`."
        ) from error
    if not same:
        raise ValueError(
            f"{path}: written by version {version}, which laid {kind} out differently; convert "
            "the published file anew, or a training run with the version that wrote it."
        )
    return kind, config


def stated_lora(stated: Mapping[str, Any]) -> LoraConfig | None:
    """LoRA config of a training checkpoint; None if it holds no low-rank updates."""
    lora = stated.get("lora")
    return None if lora is None else LoraConfig(**_tuples(lora))


def refuse_other_model(path: Path, stated: Mapping[str, Any], kind: str, config: Any) -> None:
    """Raises a ValueError with all differences if a checkpoint is not of (kind, config)."""
    found_kind, found = stated_model(path, stated)
    if found_kind != kind:
        raise ValueError(f"{path}: holds {found_kind}, not {kind}.")
    differences = [
        f"{field.name}={getattr(found, field.name)} (not {getattr(config, field.name)})"
        for field in dataclasses.fields(config)
        if getattr(found, field.name) != getattr(config, field.name)
    ]
    if differences:
        raise ValueError(f"{path}: holds a {kind} of other sizes: {', '.join(differences)}.")


def layout(table: Table) -> str:
    """Fingerprint of a table, equal if every parameter has the same meaning."""
    rules = sorted((rule.name, rule.path, rule.axes) for rule in table.rules)
    described = repr((rules, table.layers, sorted(table.sizes.items())))
    return hashlib.sha256(described.encode()).hexdigest()[:16]


def _nested(parameters: Mapping[str, LazyTensor]) -> dict:
    """Tree of dictionaries; names under `unused/` are not split."""
    keys = {
        tuple(path.split("/", 1)) if path.startswith(f"{UNUSED}/") else tuple(path.split("/")): lazy
        for path, lazy in parameters.items()
    }
    return traverse_util.unflatten_dict(keys)


def _tuples(value: Any) -> Any:
    """`value` with tuples for lists: configs have tuples, which JSON turns into lists."""
    if isinstance(value, Mapping):
        return {key: _tuples(item) for key, item in value.items()}
    return tuple(map(_tuples, value)) if isinstance(value, list) else value


def _version() -> str:
    try:
        return importlib.metadata.version("mugv_jax")
    except importlib.metadata.PackageNotFoundError:
        return "from source"
