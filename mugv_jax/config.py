# Copyright 2026 The mugv_jax Authors
# SPDX-License-Identifier: Apache-2.0
"""`configs/*.py` (nested ConfigDict) -> frozen dataclasses; a misspelt key fails at once."""

import dataclasses
import importlib.util
import os
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any, TypeVar

from mugv_jax.nn.mugdit.config import DiTConfig
from mugv_jax.nn.text.t5 import T5Config
from mugv_jax.nn.vae.config import VAEConfig

Group = TypeVar("Group")


@dataclasses.dataclass(frozen=True, kw_only=True)
class MugvConfig:
    """Sizes of the three models of one system.

    Raises:
        ValueError: models that do not fit together.
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


def load(path: str | os.PathLike) -> MugvConfig:
    """The configuration that `get_config()` of the file `path` returns.

    Raises:
        ValueError: no such file, no `get_config`, or groups that do not fit the dataclasses.
    """
    path = Path(path)
    if not path.is_file():
        raise ValueError(f"config {path} does not exist: give a file such as configs/mugv_10b.py.")
    spec = importlib.util.spec_from_file_location(path.stem, path)
    if spec is None or spec.loader is None:
        raise ValueError(f"config {path} is not a Python file.")
    module = importlib.util.module_from_spec(spec)
    root = os.fspath(path.resolve().parent.parent)  # a child imports its parent from `configs`
    sys.path.insert(0, root)
    try:
        spec.loader.exec_module(module)
        values = module.get_config()
    except (AttributeError, ImportError, SyntaxError) as error:
        raise ValueError(f"config {path} cannot be read: {error}.") from error
    finally:
        sys.path.remove(root)
    return from_config_dict(values)


def from_config_dict(values: Mapping[str, Any]) -> MugvConfig:
    """Checks every group and field name.

    Raises:
        ValueError: unknown or missing names, or values the dataclasses refuse.
    """
    classes = {"dit": DiTConfig, "vae": VAEConfig, "text": T5Config}
    missing = sorted(set(classes) - set(values))
    if missing:
        raise ValueError(f"config has no group {missing[0]!r}; it needs {', '.join(classes)}.")
    return MugvConfig(**{name: _group(name, cls, values[name]) for name, cls in classes.items()})


def _group(name: str, cls: type[Group], values: Mapping[str, Any]) -> Group:
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
    return cls(**values)
