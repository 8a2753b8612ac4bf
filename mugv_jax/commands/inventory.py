# Copyright 2026 The mugv_jax Authors
# SPDX-License-Identifier: Apache-2.0
"""Models that a path holds, and their system, for `mugv-jax info`."""

import contextlib
import dataclasses
import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

from mugv_jax import config as configs
from mugv_jax import config_files
from mugv_jax.files import user_path
from mugv_jax.systems.pretrained import local_folder
from mugv_jax.systems.system import System, every
from mugv_jax.weights.check import variable_shapes
from mugv_jax.weights.describe import Description, describe
from mugv_jax.weights.formats import FOLDER_FILES
from mugv_jax.weights.load import read_config
from mugv_jax.weights.registry import MODELS


class Inventory(NamedTuple):
    """Models of one system, by field.

    sizes: config of each model.
    described: description of each model as plain values.
    """

    system: System
    sizes: Mapping[str, Any]
    described: Mapping[str, dict[str, Any]]


def take_inventory(weights: str) -> Inventory:
    """Models of a config (its name or file), of a checkpoint, or of a pipeline's folder.

    Raises:
        ValueError: no weights, damaged ones, or models that are not of one system.
    """
    path = user_path(weights)
    planned = None if path.exists() else config_files.named(path)
    if planned is not None or path.suffix == config_files.SUFFIX:
        return _planned(planned or path)
    if path.is_file():
        return _alone(path)
    system, paths = _find(local_folder(weights, (), download=False))
    if all(place.name in FOLDER_FILES for place in paths.values()):
        return _alone(path)  # a single checkpoint
    found = {field: _describe(place, system, field) for field, place in paths.items()}
    sizes = {field: model.config for field, model in found.items()}
    if set(system.groups) <= set(sizes):
        system.config(**sizes)  # refuses models that are not of one system
    return Inventory(system, sizes, {field: _values(model) for field, model in found.items()})


def _planned(path: Path) -> Inventory:
    """Models of a config file, which has sizes only."""
    values = configs.read(path)
    config, system = configs.from_config_dict(values), configs.system_of(values)
    every = {**system.groups, **system.optional_groups}
    sizes = {field: getattr(config, field) for field in every if getattr(config, field)}
    described = {}
    for field in sizes:
        kind = system.kinds[field]
        shapes = variable_shapes(MODELS[kind], sizes[field])
        weights = {name: shape for name, shape in shapes.items() if name.startswith("params/")}
        described[field] = {
            "kind": kind,
            "path": str(path),
            "sizes": dataclasses.asdict(sizes[field]),
            "parameters": sum(map(math.prod, weights.values())),
        }
    return Inventory(system, sizes, described)


def _alone(path: Path) -> Inventory:
    """A single checkpoint, in the first system and field that prefer its kind most."""
    found = describe(path)
    places = [
        (system.config.kinds_of(field).index(found.kind), system, field)
        for system in every()
        for field in system.kinds
        if found.kind in system.config.kinds_of(field)
    ]
    _, system, field = min(places, key=lambda place: place[0])
    return Inventory(system, {field: found.config}, {field: _values(found)})


def _find(folder: Path) -> tuple[System, Mapping[str, Path]]:
    """System of a folder, and the local paths of its models by field.

    The system that recognises most of the folder's contents is taken; among equals, the first whose
    models these are.
    """
    found = {system: system.find_in(folder) for system in every()}
    most = max(map(len, found.values()))
    likely = [system for system, paths in found.items() if len(paths) == most]
    if most and len(likely) > 1:
        likely = [system for system in likely if _fits(system, found[system])] or likely
    system = likely[0]
    paths = found[system]
    return system, paths and system.find_elsewhere() | paths


def _fits(system: System, paths: Mapping[str, Path]) -> bool:
    """Whether every path holds a model of the system's field."""
    kinds = system.config.kinds_of
    with contextlib.suppress(ValueError):
        return all(read_config(path)[0] in kinds(field) for field, path in paths.items())
    return False


def _describe(path: Path, system: System, field: str) -> Description:
    kinds = system.config.kinds_of(field)
    found = describe(path, kinds[0] if len(kinds) == 1 else None)
    if found.kind not in kinds:
        raise ValueError(f"{path}: holds {found.kind}, not {' or '.join(kinds)}.")
    return found


def _values(model: Description) -> dict[str, Any]:
    """Description of a checkpoint as plain values."""
    values = dataclasses.asdict(model)
    return {"sizes": values.pop("config"), **values, "path": str(model.path)}
