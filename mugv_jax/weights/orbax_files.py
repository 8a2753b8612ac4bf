# Copyright 2026 The mugv_jax Authors
# SPDX-License-Identifier: Apache-2.0
"""Orbax folders: converted weights (`store.save`), and weights inside a training checkpoint.

    RUN/checkpoints/STEP/meta     JSON: `store.training_metadata`
    RUN/checkpoints/STEP/state    {"params", "frozen", "ema", "opt", "step", ...}, float32

`params` holds the trained weights, `frozen` the others, and `ema` the average of `params`.
Constants and unused tensors are stored under "constants" and "unused". With LoRA, `params` holds
low-rank factors, whose product is added to the `frozen` weights. If `frozen` is absent, "weights"
in `meta` is the path that the run loaded them from, and "ema_weights" whether it read the average.
"""

import dataclasses
import functools
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import jax.numpy as jnp
import numpy as np
import orbax.checkpoint as ocp
import tensorstore
from etils import epath
from flax import traverse_util

from mugv_jax.weights import checksums
from mugv_jax.weights.check import check, identify, require_same, variable_shapes
from mugv_jax.weights.lora import Adapter, factors_of, merged
from mugv_jax.weights.parameter_source import ParameterSource
from mugv_jax.weights.parameters import UNUSED, Index, LazyTensor, rows_per_piece
from mugv_jax.weights.registry import MODELS
from mugv_jax.weights.sources import Source
from mugv_jax.weights.store import METADATA_KEY, stated_lora, stated_model

ORBAX_METADATA = "_METADATA"
CHECKPOINTS = "checkpoints"
STATE, META, CONSTANTS = "state", "meta", "constants"
_DAMAGED = (OSError, ValueError, TypeError, KeyError, AttributeError, RecursionError)


class OrbaxSource(ParameterSource):
    """A checkpoint written by `store.save`.

    Its files are compared with their checksums before the first value is read.
    """

    def __init__(self, path: Path):
        self._unverified = True
        with ocp.PyTreeCheckpointer() as checkpointer:
            try:
                step = checkpointer.metadata(epath.Path(path).absolute())
                parameters = {
                    name: dataclasses.replace(lazy, read=functools.partial(self._verified, lazy))
                    for name, lazy in _leaves(path, step.item_metadata).items()
                }
            except _DAMAGED as error:
                raise ValueError(f"{path}: a damaged Orbax checkpoint ({error}).") from error
        stated = (step.custom_metadata or {}).get(METADATA_KEY, {})
        kind, config = stated_model(path, stated)
        super().__init__(path, "orbax", kind, config, parameters, stated["dtypes"])

    def _verified(self, lazy: LazyTensor, index: Index) -> np.ndarray:
        """The part of `lazy` at `index`; the first call verifies all files."""
        if self._unverified:
            checksums.verify(self.path)
            self._unverified = False
        return lazy.read(index)


class TrainingSource(ParameterSource):
    """Weights of a training checkpoint, in float32.

    path: folder of a step, or of a run, whose newest step is read.
    ema: read the running average of the weights instead.
    open_source: opens the weights beneath low-rank updates if the checkpoint only names them.
    """

    def __init__(self, path: Path, *, ema: bool = False, open_source: Callable[..., Source]):
        folder, stated = _step(path)
        kind, config = stated_model(folder, stated)
        lora, parts = stated_lora(stated), _read_parts(folder, ema=ema)
        parameters = {f"params/{name}": lazy for name, lazy in parts["frozen"].items()}
        for part in (CONSTANTS, UNUSED):
            parameters |= {f"{part}/{name}": lazy for name, lazy in parts[part].items()}
        if lora is None:
            parameters |= {f"params/{name}": lazy for name, lazy in parts["params"].items()}
        else:
            if not parts["frozen"]:
                base = _open_base(folder, stated, open_source)
                self.parts = (base,)
                found = check(base, *identify(base, kind))
                parameters |= {name: lazy.cast(np.dtype("float32")) for name, lazy in found.items()}
            parameters = merged(parameters, factors_of(parts["params"]), lora.scale)
        whole = {name: lazy.shape for name, lazy in parameters.items() if UNUSED not in name}
        complaint = f"{folder}: does not fit {kind} with {config}"
        require_same(whole, variable_shapes(MODELS[kind], config), complaint)
        super().__init__(folder, "training", kind, config, parameters)


def trained_adapter(path: Path, *, ema: bool) -> tuple[str, Any, Adapter]:
    """Kind, config and low-rank updates of a training checkpoint, without its other weights.

    Raises:
        ValueError: a checkpoint that is damaged or was not trained with LoRA.
    """
    if not (path.is_dir() and is_training(path)):
        raise ValueError(f"{path}: no training checkpoint, so has no adapter.")
    folder, stated = _step(path)
    kind, config = stated_model(folder, stated)
    lora = stated_lora(stated)
    if lora is None:
        raise ValueError(f"{folder}: was not trained with LoRA, so has no adapter.")
    factors = factors_of(_read_parts(folder, ema=ema)["params"])
    stacked = {rule.path for rule in MODELS[kind].table(config).rules if rule.stacked}
    marked = {}
    for layer, (a, b) in factors.items():
        of_layers = f"params/{layer}/kernel" in stacked
        marked[layer] = tuple(dataclasses.replace(each, stacked=of_layers) for each in (a, b))
    return kind, config, Adapter(lora, marked)


def _open_base(
    folder: Path, stated: Mapping[str, Any], open_source: Callable[..., Source]
) -> Source:
    """Opens the weights that low-rank updates were trained on."""
    try:
        return open_source(stated["weights"], ema=stated.get("ema_weights", False))
    except (KeyError, ValueError) as error:
        raise ValueError(
            f"{folder}: holds low-rank updates of weights that lie elsewhere, and those cannot be "
            f"opened: {error} Export the adapter alone with --format peft, and merge that into "
            "the weights with --lora."
        ) from error


def _step(path: Path) -> tuple[Path, Mapping[str, Any]]:
    """Folder and description of one checkpoint: `path` itself, or the newest of a run."""
    folder = path if _is_step(path) else steps(path)[-1]
    try:
        with ocp.Checkpointer(ocp.JsonCheckpointHandler()) as checkpointer:
            return folder, checkpointer.restore(epath.Path(folder / META).absolute())
    except _DAMAGED as error:
        raise ValueError(f"{folder / META}: a damaged training checkpoint ({error}).") from error


def _read_parts(folder: Path, *, ema: bool) -> dict[str, dict[str, LazyTensor]]:
    """Weights in a training state, by part; a missing part is empty. `ema` replaces "params"."""
    path = folder / STATE
    try:
        metadata = ocp.PyTreeCheckpointHandler().metadata(epath.Path(path).absolute())
        leaves = _leaves(path, metadata)
    except _DAMAGED as error:
        raise ValueError(f"{path}: a damaged training checkpoint ({error}).") from error
    parts: dict[str, dict[str, LazyTensor]] = {
        name: {} for name in ("params", "frozen", "ema", CONSTANTS, UNUSED)
    }
    for name, lazy in leaves.items():
        part, _, rest = name.partition("/")
        if part in parts:
            parts[part][rest] = lazy
    if ema and not parts["ema"]:
        raise ValueError(f"{folder}: this run kept no running average (EMA) of its weights.")
    return parts | {"params": parts["ema"]} if ema else parts


def is_training(path: Path) -> bool:
    """Whether the folder `path` is a training checkpoint, or a run that has a complete one."""
    return _is_step(path) or bool(steps(path))


def steps(path: Path) -> list[Path]:
    """Complete checkpoints of a run, or of its folder of checkpoints, oldest first."""
    folder = path / CHECKPOINTS if (path / CHECKPOINTS).is_dir() else path
    named = {int(child.name): child for child in folder.iterdir() if child.name.isdecimal()}
    return [
        named[step]
        for step in sorted(named)
        if _is_step(named[step]) and ocp.utils.is_checkpoint_finalized(named[step])
    ]


def _is_step(path: Path) -> bool:
    return (path / STATE / ORBAX_METADATA).is_file() and (path / META).is_dir()


def _leaves(path: Path, metadata: Any) -> dict[str, LazyTensor]:
    """Arrays on disk by path; only those in dictionaries, which leaves out optimizer states."""
    context = ocp.type_handlers.get_ts_context(use_ocdbt=True)
    zarr3 = bool(metadata.use_zarr3)
    return {
        name: _stored(path, leaf, zarr3, context)
        for name, leaf in traverse_util.flatten_dict(metadata.tree, sep="/").items()
        if hasattr(leaf, "shape")
    }


def _stored(path: Path, leaf: Any, zarr3: bool, context: tensorstore.Context) -> LazyTensor:
    """Array on disk with the shape and dtype of its metadata; it is opened when it is read."""
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
        try:
            array = tensorstore.open(tensorstore.Spec(spec), context=context).result()
            return np.asarray(array[index].read().result())
        except (ValueError, OSError) as error:
            reason = " ".join(str(error).split())[:200]
            raise ValueError(f"{path}: a damaged checkpoint: {leaf.name} ({reason}).") from error

    shape, dtype = tuple(leaf.shape), jnp.dtype(leaf.dtype)
    return LazyTensor(shape, dtype, read, rows_per_piece(shape, dtype))
