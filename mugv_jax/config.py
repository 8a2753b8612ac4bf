# Copyright 2026 The mugv_jax Authors
# SPDX-License-Identifier: Apache-2.0
"""`configs/*.py` (nested ConfigDict) -> frozen dataclasses; a misspelt key fails at once."""

import dataclasses
import importlib.util
import os
import sys
import typing
from pathlib import Path
from typing import Any, TypeVar

from ml_collections import ConfigDict

from mugv_jax.nn.mugdit.config import DiTConfig
from mugv_jax.nn.text.t5 import T5Config
from mugv_jax.nn.vae.config import VAEConfig
from mugv_jax.pipelines.size import STRIDE

Group = TypeVar("Group")


@dataclasses.dataclass(frozen=True, kw_only=True)
class MugvConfig:
    """Sizes of the three models of one system.

    Raises:
        ValueError: models that do not fit together, or not to the pipeline's grid.
    """

    dit: DiTConfig
    vae: VAEConfig
    text: T5Config

    def __post_init__(self):
        if self.dit.in_channels != self.vae.latent_channels:
            raise ValueError(
                f"the DiT takes {self.dit.in_channels} latent channels, but the VAE makes "
                f"{self.vae.latent_channels}: they are not of one system."
            )
        if self.dit.text_dim != self.text.width:
            raise ValueError(
                f"the DiT reads text states of width {self.dit.text_dim}, but the text encoder "
                f"makes {self.text.width}: they are not of one system."
            )
        strides = self.vae.time_factor, self.vae.spatial_factor
        if strides != (STRIDE, STRIDE):
            raise ValueError(
                f"the VAE makes one latent of {strides[0]} frames and {strides[1]} pixels a side, "
                f"but videos are planned on a grid of {STRIDE}: give spatial_channels and "
                "temporal_multipliers 4 entries each."
            )


def load(path: str | os.PathLike) -> MugvConfig:
    """The configuration that `get_config()` of the file `path` returns.

    Raises:
        ValueError: no such file, no `get_config`, or groups that do not fit the dataclasses.
    """
    path = Path(path)
    if not path.is_file():
        raise ValueError(f"config {path} is not a file: give one such as configs/mugv_10b.py.")
    spec = importlib.util.spec_from_file_location(path.stem, path)
    if spec is None or spec.loader is None:
        raise ValueError(f"config {path} is not a Python file.")
    module = importlib.util.module_from_spec(spec)
    root = os.fspath(path.resolve().parent.parent)  # a child imports its parent from `configs`
    sys.path.insert(0, root)
    try:
        spec.loader.exec_module(module)
        values = module.get_config()
    except Exception as error:  # the file is the user's, and may do anything
        reason = " ".join(f"{type(error).__name__}: {error}".split())
        raise ValueError(f"config {path} cannot be read: {reason}.") from error
    finally:
        sys.path.remove(root)
    if not isinstance(values, ConfigDict):
        raise ValueError(f"config {path} must return a ConfigDict, not {type(values).__name__}.")
    return from_config_dict(values)


def from_config_dict(values: ConfigDict) -> MugvConfig:
    """Checks every group and field, by name and type.

    Raises:
        ValueError: unknown or missing names, or values the dataclasses refuse.
    """
    classes = {"dit": DiTConfig, "vae": VAEConfig, "text": T5Config}
    for name in sorted(set(classes) ^ set(values)):
        what = "no" if name in classes else "an unknown"
        raise ValueError(f"config has {what} group {name!r}; it needs {', '.join(classes)}.")
    return MugvConfig(**{name: _group(name, cls, values[name]) for name, cls in classes.items()})


def _group(name: str, cls: type[Group], values: Any) -> Group:
    if not isinstance(values, ConfigDict):
        raise ValueError(f"config group {name!r} must be a ConfigDict, not {values!r}.")
    fields = {field.name: field for field in dataclasses.fields(cls)}
    unknown = sorted(set(values) - set(fields))
    if unknown:
        raise ValueError(
            f"config group {name!r} has no field {unknown[0]!r}; it has {', '.join(fields)}."
        )
    missing = sorted(
        field
        for field, spec in fields.items()
        if spec.default is dataclasses.MISSING and field not in values
    )
    if missing:
        raise ValueError(f"config group {name!r} lacks {', '.join(missing)}.")
    types = typing.get_type_hints(cls)
    for field, value in values.items():
        if not _fits(value, types[field]):
            wanted = getattr(types[field], "__name__", types[field])
            raise ValueError(f"config {name}.{field}={value!r} must be of type {wanted}.")
    try:
        return cls(**values)
    except ValueError as error:
        raise ValueError(f"config group {name!r}: {error}") from error


def _fits(value: Any, wanted: Any) -> bool:
    """Whether `value` is an int, a float (an int will do) or a sequence of ints, as `wanted`."""
    if wanted is int:
        return isinstance(value, int) and not isinstance(value, bool)
    if wanted is float:
        return isinstance(value, float) or _fits(value, int)
    return isinstance(value, tuple | list) and all(_fits(item, int) for item in value)
