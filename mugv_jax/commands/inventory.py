# Copyright 2026 The mugv_jax Authors
# SPDX-License-Identifier: Apache-2.0
"""Which models a path holds, and of which system they are: for `mugv-jax info`."""

import contextlib
import dataclasses
import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from mugv_jax import config as configs
from mugv_jax.systems import pretrained
from mugv_jax.systems.contentv import models as contentv_models
from mugv_jax.systems.enhancer import models as enhancer_models
from mugv_jax.systems.pretrained import find_local, first_of, local_folder
from mugv_jax.systems.system import SYSTEMS, ContentvConfig, EnhancerConfig, MugvConfig
from mugv_jax.weights.check import variable_shapes
from mugv_jax.weights.describe import Description, describe
from mugv_jax.weights.formats import FOLDER_FILES
from mugv_jax.weights.load import read_config
from mugv_jax.weights.registry import MODELS

# Of every system: what its models are called, and what their files are called in a folder.
TITLES = {
    MugvConfig: {"dit": "DiT", "vae": "VAE", "text": "text encoder"},
    EnhancerConfig: {"dit": "DiT", "vae": "VAE", "text": "text encoder"},
    ContentvConfig: {
        "dit": "DiT",
        "vae": "VAE",
        "clip_l": "CLIP",
        "clip_g": "second CLIP",
        "text": "T5",
    },
}
NAMES: dict[type, dict[str, Sequence[str]]] = {
    MugvConfig: {field: pretrained.NAMES[kind] for field, (kind,) in MugvConfig.KINDS.items()},
    EnhancerConfig: {field: enhancer_models.NAMES[field] for field in EnhancerConfig.KINDS},
    ContentvConfig: {field: (name,) for field, name in contentv_models.FOLDERS.items()},
}


class Inventory(NamedTuple):
    """The models that there are of one system, by field: their sizes, and what is told of them."""

    system: type
    sizes: Mapping[str, Any]
    told: Mapping[str, dict[str, Any]]


def take_inventory(weights: str) -> Inventory:
    """The models of a config file, of a checkpoint, or of a pipeline's folder.

    Raises:
        ValueError: no weights, damaged ones, or models that are not of one system.
    """
    path = Path(weights).expanduser()
    if path.suffix == ".py":
        config = configs.load(path)
        sizes = {field: getattr(config, field) for field in config.KINDS}
        told = {
            field: _planned(config.KINDS[field][0], each, path) for field, each in sizes.items()
        }
        return Inventory(type(config), sizes, told)
    system, paths = (MugvConfig, {}) if path.is_file() else _find(weights)
    if any(place.name not in FOLDER_FILES for place in paths.values()):
        described = {field: _describe(place, system, field) for field, place in paths.items()}
    else:  # one checkpoint, not a pipeline's folder
        system, field, model = _alone(path)
        described = {field: model}
    sizes = {field: model.config for field, model in described.items()}
    if set(sizes) == set(system.KINDS):
        system(**sizes)  # says if they are not of one system
    return Inventory(system, sizes, {field: _told(each) for field, each in described.items()})


def _find(weights: str) -> tuple[type, Mapping[str, Path]]:
    """The system of a folder, and the places of its models on this machine, by field.

    It is the one that knows most of what is in the folder; of several that know as much, the one
    whose models these are.
    """
    folder = local_folder(weights, (), download=False)
    found = {system: _named(folder, names) for system, names in NAMES.items()}
    most = max(map(len, found.values()))
    likely = [system for system, paths in found.items() if len(paths) == most]
    if most and len(likely) > 1:
        likely = [system for system in likely if _fits(system, found[system])] or likely
    system = likely[0]
    if system is MugvConfig:  # whose T5 may lie elsewhere
        by_kind = find_local(weights)
        found[system] = {
            field: by_kind[kind] for field, (kind,) in system.KINDS.items() if kind in by_kind
        }
    return system, found[system]


def _named(folder: Path, names: Mapping[str, Sequence[str]]) -> dict[str, Path]:
    """The first of its names that is in `folder`, for every field that has one there."""
    found = {field: first_of(folder, each) for field, each in names.items()}
    return {field: path for field, path in found.items() if path is not None}


def _fits(system: type, paths: Mapping[str, Path]) -> bool:
    """Whether every path holds a model of the system's field."""
    with contextlib.suppress(ValueError):
        return all(read_config(path)[0] in system.KINDS[field] for field, path in paths.items())
    return False


def _describe(path: Path, system: type, field: str) -> Description:
    kinds = system.KINDS[field]
    found = describe(path, kinds[0] if len(kinds) == 1 else None)
    if found.kind not in kinds:
        raise ValueError(f"{path}: holds {found.kind}, not {' or '.join(kinds)}.")
    return found


def _alone(path: Path) -> tuple[type, str, Description]:
    """A checkpoint, and the first system and field that have such a model before others."""
    found = describe(path)
    system, field = next(
        (system, field)
        for system in SYSTEMS.values()
        for field, kinds in system.KINDS.items()
        if kinds[0] == found.kind
    )
    return system, field, found


def _planned(kind: str, config: Any, path: Path) -> dict[str, Any]:
    """A model of which there are only sizes."""
    shapes = variable_shapes(MODELS[kind], config)
    parameters = sum(
        math.prod(shape) for name, shape in shapes.items() if name.startswith("params/")
    )
    sizes = dataclasses.asdict(config)
    return {"kind": kind, "path": str(path), "sizes": sizes, "parameters": parameters}


def _told(model: Description) -> dict[str, Any]:
    return {
        "kind": model.kind,
        "format": model.format,
        "path": str(model.path),
        "file_bytes": model.file_bytes,
        "sizes": dataclasses.asdict(model.config),
        "parameters": model.parameters,
        "unused": model.unused,
        "stored": {dtype: dataclasses.asdict(each) for dtype, each in model.stored.items()},
    }
