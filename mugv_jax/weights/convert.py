# Copyright 2026 The mugv_jax Authors
# SPDX-License-Identifier: Apache-2.0
"""Published checkpoints to Orbax, and back.

published names -> check against the table -> parameters, piece by piece -> Orbax
Orbax           -> published tensors, one by one                         -> published files

`write` is also the last step of all other commands that compute weights.
"""

import dataclasses
import logging
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from mugv_jax.files import resolved, user_path
from mugv_jax.progress import Bar
from mugv_jax.weights import store
from mugv_jax.weights.adapter_files import write_adapter
from mugv_jax.weights.adapters import Adapters, listed, require_alpha, with_adapter
from mugv_jax.weights.check import check, floating_dtype, identify, require_equal_twins
from mugv_jax.weights.diffusers_folder import (
    FolderWriter,
    PipelineFolder,
    find_layout,
    folder_config,
)
from mugv_jax.weights.formats import FORMATS, format_of, open_source, open_writer
from mugv_jax.weights.orbax_files import trained_adapter
from mugv_jax.weights.parameter_source import narrower_dtypes
from mugv_jax.weights.parameters import cast_weights, constant_names
from mugv_jax.weights.registry import Model
from mugv_jax.weights.sources import Changed, Source
from mugv_jax.weights.staging import refuse_existing, staged

PEFT = "peft"
DROPPED_CAPTION = "y_embedder.y_embedding"

logger = logging.getLogger(__name__)


def convert(
    src: str | Path,
    dst: str | Path,
    *,
    kind: str | None = None,
    format: str | None = None,
    tensor_parallel: int = 1,
    ema: bool = False,
    lora: Adapters | None = None,
    lora_alpha: float | None = None,
    dtype: str | None = None,
    overwrite: bool = False,
    pipelines: Sequence[PipelineFolder] = (),
) -> None:
    """Writes the checkpoint at `src` to `dst` in another format.

    If `src` is the folder of a pipeline, all models are converted and other files copied.

    kind: name of the model, if the tensor names are ambiguous.
    format: one of FORMATS; the default follows from the suffix of `dst` (a folder is Orbax).
        "peft" writes only the low-rank updates of a training run with LoRA.
    tensor_parallel: ranks of a Megatron checkpoint to write.
    ema: read the averaged weights of a training checkpoint.
    lora: adapters to merge into the weights: a path, a list of paths, or (path, scale) pairs; each
        is a file, a folder or a training run (see `open_adapter`).
    lora_alpha: alpha of the adapters, if their files do not state it.
    dtype: cast floating tensors, except the model's constants, as they are read.
    pipelines: layouts of known pipelines (`systems.convert` passes those of all systems).

    Raises:
        ValueError: `src` is no checkpoint of a known model, or `dst` cannot be written; then
            nothing is written.
    """
    src, dst = user_path(src), user_path(dst)
    target = Target(dst, format, tensor_parallel=tensor_parallel, dtype=dtype, overwrite=overwrite)
    target.check_path(beside=[src, *(path for path, _ in listed(lora))])
    require_alpha(lora_alpha)
    if lora is None and lora_alpha is not None:
        raise ValueError(f"lora_alpha={lora_alpha} is of an adapter; say which with --lora.")
    if format == PEFT:
        if dtype is not None or lora is not None:
            raise ValueError("an adapter is written as it was trained: give no dtype or lora.")
        _export_adapter(src, target, ema=ema)
        return
    layout = find_layout(src, pipelines)
    if layout is not None:
        if kind is not None or lora is not None or ema:
            raise ValueError(
                f"{src} is a whole pipeline: a model's kind, EMA weights or an adapter are of one "
                "of its models; convert that one alone."
            )
        _convert_pipeline(src, target, layout)
        return
    with open_source(src, ema=ema) as source:
        target.check_path(src)
        if dtype is None and lora is None and target.chosen == source.format:
            raise ValueError(f"{src} is {target.chosen} already; ask for another format or dtype.")
        if lora is not None:
            source = with_adapter(source, lora, kind, alpha=lora_alpha)
        write(source, target, kind)


@dataclasses.dataclass(frozen=True)
class Target:
    """Destination and options of a checkpoint to write; see `convert`.

    Raises:
        ValueError: an unknown format or dtype, or a number of ranks that does not fit the format.
    """

    path: Path
    format: str | None = None
    tensor_parallel: int = 1
    dtype: str | None = None
    overwrite: bool = False

    def __post_init__(self):
        if self.chosen not in (*FORMATS, PEFT):
            raise ValueError(
                f"format {self.chosen!r} must be one of {', '.join(FORMATS)} or {PEFT}."
            )
        if self.tensor_parallel < 1 or (self.tensor_parallel > 1 and self.chosen != "megatron"):
            raise ValueError(
                f"tensor_parallel={self.tensor_parallel} must be at least 1, and 1 for every "
                "format but megatron, which alone splits tensors."
            )
        floating_dtype(self.dtype)

    @property
    def chosen(self) -> str:
        return self.format or format_of(self.path)

    def check_path(self, *sources: Path, beside: Sequence[Path] = ()) -> None:
        """Raises a ValueError, before any work, if the path must not be written or replaced.

        sources: files and folders that are read; links and relative names are followed.
        beside: the same, but a result may lie inside of their folders.
        """
        target = resolved(self.path)
        for source in (user_path(source) for source in (*sources, *beside)):
            place = resolved(source)
            if target == place or (target.exists() and place.exists() and target.samefile(place)):
                raise ValueError(
                    f"{self.path} is {source} itself, which is read; choose another destination."
                )
            if target in place.parents:
                raise ValueError(f"{source} lies inside {self.path}, which would be replaced.")
            if place in target.parents and place.is_dir() and source not in beside:
                raise ValueError(
                    f"{self.path} lies inside {source}, which is read; choose a destination "
                    "outside of it."
                )
        refuse_existing(self.path, overwrite=self.overwrite)


def _convert_pipeline(src: Path, target: Target, layout: PipelineFolder) -> None:
    """Converts every model of a pipeline to a folder, after a check of all of them."""
    if target.chosen not in ("orbax", "diffusers"):
        raise ValueError(
            f"{src} is a whole pipeline, which is a folder of folders: write it as orbax or "
            f"diffusers, or its models one by one as {target.chosen}."
        )
    layout.check(src)
    target.check_path(src)
    models = {name: src / name for name in layout.models}
    small = {name: src / name for name in layout.small if (src / name).exists()}
    write_pipeline(models, small, target, layout)


def write_pipeline(
    models: Mapping[str, Path],
    small: Mapping[str, Path],
    target: Target,
    layout: PipelineFolder,
    *,
    adapters: Mapping[str, Adapters] | None = None,
    lora_alpha: float | None = None,
) -> None:
    """Writes every model of a pipeline to one folder, after a check of all of them.

    models: place of each model by the name of its folder in `layout`.
    small: files and folders to copy, by the names in `PipelineFolder.small`.
    adapters: adapters to merge, by the name of the model's folder.

    Raises:
        ValueError: models that cannot be read or written, or a target that exists.
    """
    target.check_path(*models.values())
    for name, kind in layout.models.items():
        with open_source(models[name]) as source:
            model, config = identify(source, kind)
            check(source, model, config)
            if target.chosen == "diffusers":
                folder_config(model, config)
    with staged(target.path, overwrite=target.overwrite) as partial:
        partial.mkdir()
        layout.write_small_files(small, partial)
        for name, kind in layout.models.items():
            part = dataclasses.replace(target, path=partial / name, format=target.chosen)
            with open_source(models[name]) as source:
                lora = (adapters or {}).get(name)
                if lora:
                    source = with_adapter(source, lora, kind, alpha=lora_alpha)
                _write(source, part, kind)
    logger.info("wrote %s: a whole pipeline, %s", target.path, target.chosen)


def write(source: Source, target: Target, kind: str | None = None) -> None:
    """Writes a checkpoint of a known model, published or computed; raises as `convert` does."""
    target.check_path(*source.files())
    model = _write(source, target, kind)
    logger.info("wrote %s: %s, %s", target.path, model.kind, target.chosen)


def _write(source: Source, target: Target, kind: str | None) -> Model:
    cast = floating_dtype(target.dtype)
    model, config = identify(source, kind)
    parameters = cast_weights(check(source, model, config), cast)
    require_equal_twins(source, model)
    factors = {} if target.chosen == "orbax" else model.published_factors(config)
    source = Changed(source, factors, cast, constant_names(model.table(config)))
    with staged(target.path, overwrite=target.overwrite) as partial:
        if target.chosen != "orbax":
            _export(source, partial, model, config, target)
            return model
        with _progress(sum(lazy.nbytes for lazy in parameters.values()), "Orbax") as bar:
            store.save(
                partial,
                parameters,
                kind=model.kind,
                config=config,
                dtypes=narrower_dtypes(source, parameters, model.table(config)),
                source_format=source.format,
                progress=bar.update,
            )
    return model


def _export_adapter(src: Path, target: Target, *, ema: bool) -> None:
    kind, config, adapter = trained_adapter(src, ema=ema)
    target.check_path(src)
    with staged(target.path, overwrite=target.overwrite) as partial:
        write_adapter(partial, adapter, kind, config)
    logger.info("wrote %s: LoRA adapter of %s", target.path, kind)


def _export(source: Source, path: Path, model: Model, config: Any, target: Target) -> None:
    chosen = target.chosen
    if chosen == "megatron" and model.kind != "mugv_dit":
        raise ValueError(f"{source.path}: the Megatron trainer knows mugv_dit, not {model.kind}.")
    specs = {name: spec for name, spec in source.specs.items() if not model.is_foreign(name)}
    if chosen == "megatron" and DROPPED_CAPTION not in specs:
        logger.warning(
            "%s has no %s (the features of a dropped caption), which the Megatron trainer expects "
            "in a checkpoint; it ships them as fixtures/y_embedding.pt.",
            source.path,
            DROPPED_CAPTION,
        )
    if chosen == "diffusers":
        writer = FolderWriter(path, model, config, specs)
    else:
        writer = open_writer(path, chosen, specs, tensor_parallel=target.tensor_parallel)
    with _progress(sum(spec.nbytes for spec in specs.values()), chosen) as bar, writer:
        for name, spec in specs.items():
            writer.add(name, source.read(name))
            bar.update(spec.nbytes)


def _progress(total: int, format: str) -> Bar:
    """Progress of writing, in bytes."""
    return Bar(f"writing {format}", total=total, unit="B")
