# Copyright 2026 The mugv_jax Authors
# SPDX-License-Identifier: Apache-2.0
"""Training objectives of diffusion transformers, one per module of this package.

A module defines `Settings`, the frozen dataclass of the config group "objective", whose field
`name` is the module's name, and `OBJECTIVE`, a class with `build(config, mesh)`. New modules are
discovered automatically.
"""

import importlib
import pkgutil
from types import ModuleType

DEFAULT = "flow_matching"


def names() -> tuple[str, ...]:
    """Names of all objectives, which are the names of their modules."""
    return tuple(sorted(module.name for module in pkgutil.iter_modules(__path__)))


def find(name: str = DEFAULT) -> ModuleType:
    """Module of an objective.

    Raises:
        ValueError: no such objective.
    """
    if name not in names():
        raise ValueError(f"objective.name={name!r} must be one of {', '.join(names())}.")
    return importlib.import_module(f"{__name__}.{name}")
