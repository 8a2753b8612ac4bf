# Copyright 2026 The mugv_jax Authors
# SPDX-License-Identifier: Apache-2.0
"""Folder of one model in the layout of diffusers and transformers:

config.json    sizes
STEM.safetensors
STEM-00001-of-00002.safetensors, ..., STEM.safetensors.index.json    for more than 10 GB

STEM is "diffusion_pytorch_model" for models of diffusers, "model" for those of transformers.
"""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from mugv_jax.weights.registry import Model
from mugv_jax.weights.safetensors_files import SafetensorsWriter
from mugv_jax.weights.shards import INDEX_SUFFIX
from mugv_jax.weights.sources import TensorSpec, Writer

CONFIG_FILE = "config.json"
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
        self._files: dict[str, SafetensorsWriter] = {}  # by tensor
        for file, shard in zip(names, shards, strict=True):
            self._files |= dict.fromkeys(shard, SafetensorsWriter(folder / file, shard))

    def add(self, name: str, array: np.ndarray) -> None:
        self._files[name].add(name, array)

    def close(self) -> None:
        for file in set(self._files.values()):
            file.close()

    def abandon(self) -> None:
        for file in set(self._files.values()):
            file.abandon()


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
