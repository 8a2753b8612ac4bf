# Copyright 2026 The mugv_jax Authors
# SPDX-License-Identifier: Apache-2.0
"""Folders in the layout of diffusers and transformers, of one model or of a whole pipeline.

config.json    sizes
STEM.safetensors
STEM-00001-of-00002.safetensors, ..., STEM.safetensors.index.json    for more than 10 GB

STEM is "diffusion_pytorch_model" for models of diffusers, "model" for those of transformers.

transformer/  vae/  text_encoder/ ...    models of a pipeline, published or Orbax
tokenizer/  scheduler/ ...               small files
model_index.json                         the classes of all parts
"""

import dataclasses
import json
import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from mugv_jax.files import read_json
from mugv_jax.weights.registry import Model
from mugv_jax.weights.safetensors_files import SafetensorsWriter
from mugv_jax.weights.shards import INDEX_SUFFIX
from mugv_jax.weights.sources import TensorSpec, Writer

CONFIG_FILE = "config.json"
INDEX_FILE = "model_index.json"
SCHEDULER = "scheduler"
_CLASS = "_class_name"  # of the pipeline, in the index
# Files of weights, which may lie beside a tokenizer.
WEIGHTS = ("*.safetensors", "*.bin", "*.pt", "*.h5", "*.msgpack", "*.index.json")
SHARD_BYTES = 10 * 10**9  # limit per file in both libraries


class FolderWriter(Writer):
    """Writer of the folder of one model, which must not exist yet.

    Raises:
        ValueError: a model that neither library has, or a dtype that safetensors cannot hold.
    """

    def __init__(self, folder: Path, model: Model, config: Any, specs: Mapping[str, TensorSpec]):
        described = folder_config(model, config)
        self.specs = specs
        stem = "diffusion_pytorch_model" if "_class_name" in described else "model"
        shards = _shards(specs)
        names = _file_names(stem, len(shards))
        folder.mkdir()
        write_json(folder / CONFIG_FILE, described)
        if len(shards) > 1:
            homes = {tensor: file for file, shard in zip(names, shards) for tensor in shard}
            total = sum(spec.nbytes for spec in specs.values())
            index = {"metadata": {"total_size": total}, "weight_map": homes}
            write_json(folder / f"{stem}.safetensors{INDEX_SUFFIX}", index)
        self.parts = [SafetensorsWriter(folder / file, shard) for file, shard in zip(names, shards)]
        self._writers = {name: part for part in self.parts for name in part.specs}

    def add(self, name: str, array: np.ndarray) -> None:
        self._writers[name].add(name, array)


def folder_config(model: Model, config: Any) -> dict[str, Any]:
    """Content of `config.json` for a model.

    Raises:
        ValueError: a model that neither library has.
    """
    if model.published_config is None:
        raise ValueError(f"neither diffusers nor transformers has {model.kind}.")
    return dict(model.published_config(config))


def write_json(path: Path, content: Mapping[str, Any]) -> None:
    """Writes a JSON file, formatted as by both libraries."""
    path.write_text(json.dumps(content, indent=2) + "\n")


def _shards(specs: Mapping[str, TensorSpec]) -> list[dict[str, TensorSpec]]:
    """Tensors divided in order over the fewest files of at most SHARD_BYTES."""
    shards: list[dict[str, TensorSpec]] = [{}]
    filled = 0
    for name, spec in specs.items():
        if shards[-1] and filled + spec.nbytes > SHARD_BYTES:
            shards.append({})
            filled = 0
        shards[-1][name] = spec
        filled += spec.nbytes
    return shards


def _file_names(stem: str, count: int) -> list[str]:
    if count == 1:
        return [f"{stem}.safetensors"]
    return [f"{stem}-{i:05d}-of-{count:05d}.safetensors" for i in range(1, count + 1)]


@dataclasses.dataclass(frozen=True, kw_only=True, eq=False)
class PipelineFolder:
    """Layout of the folder in which one system's pipeline is published.

    title: name of the system.
    models: folder -> kind of the model in it.
    tokenizers: folders of tokenizers.
    files: other small files that belong to it.
    index: contents of the index, part -> [library, class].
    scheduler: contents of `scheduler/scheduler_config.json`.
    """

    title: str
    models: Mapping[str, str]
    tokenizers: Sequence[str]
    index: Mapping[str, Any]
    scheduler: Mapping[str, Any]
    files: Sequence[str] = ()

    @property
    def small(self) -> tuple[str, ...]:
        """Names of all parts but the models, which are copied as they are."""
        return (*self.tokenizers, SCHEDULER, *self.files, INDEX_FILE)

    def check(self, folder: Path) -> None:
        """Raises a ValueError that names all missing and unknown parts, if there are any."""
        missing = [name for name in self.models if not (folder / name).is_dir()]
        unknown = [name for name in _parts(folder / INDEX_FILE) if name not in self.index]
        if missing or unknown:
            problems = "; ".join(
                f"{what} {', '.join(names)}"
                for what, names in (("without", missing), ("with an unknown", unknown))
                if names
            )
            raise ValueError(
                f"{folder}: a pipeline {problems}. The known one that is nearest is {self.title}'s,"
                f" whose models are {', '.join(self.models)}; convert another's models one by one."
            )

    def write_small_files(self, small: Mapping[str, Path], target: Path) -> None:
        """Copies all parts but the models; writes index and scheduler where they are missing.

        small: place of each part that there is; of a tokenizer's folder, weights are left out.
        """
        for name, place in small.items():
            if place.is_dir():
                shutil.copytree(place, target / name, ignore=shutil.ignore_patterns(*WEIGHTS))
            else:
                shutil.copy(place, target / name)
        if not (target / SCHEDULER).exists():
            (target / SCHEDULER).mkdir()
            write_json(target / SCHEDULER / "scheduler_config.json", self.scheduler)
        if not (target / INDEX_FILE).exists():
            write_json(target / INDEX_FILE, self.index)


def find_layout(folder: Path, known: Sequence[PipelineFolder]) -> PipelineFolder | None:
    """The layout of `known` that fits a folder best; None for a folder that is no pipeline.

    A pipeline has an index, or a folder for every model of a layout. The best fit has most of its
    models in the folder, of several such layouts lacks fewest, and of several of those is the one
    whose class the index names.
    """
    if not known:
        return None
    found = [sum((folder / name).is_dir() for name in layout.models) for layout in known]
    lacking = [len(layout.models) - count for layout, count in zip(known, found, strict=True)]
    stated = _entries(folder / INDEX_FILE).get(_CLASS)
    named = [layout.index[_CLASS] == stated for layout in known]
    best = max(range(len(known)), key=lambda i: (found[i], -lacking[i], named[i]))
    return known[best] if (folder / INDEX_FILE).is_file() or not lacking[best] else None


def _parts(index: Path) -> list[str]:
    """Names of the parts in an index; none if there is no index."""
    # A part is [library, class]; an optional part that is absent is [null, null].
    entries = _entries(index).items()
    return [name for name, value in entries if isinstance(value, list) and any(value)]


def _entries(index: Path) -> Mapping[str, Any]:
    """Content of an index; nothing if there is none."""
    if not index.is_file():
        return {}
    try:
        return dict(read_json(index).items())
    except (ValueError, AttributeError) as error:
        raise ValueError(f"{index}: no index of a pipeline ({error}).") from error
