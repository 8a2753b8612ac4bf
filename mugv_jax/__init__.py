# Copyright 2026 The mugv_jax Authors
# SPDX-License-Identifier: Apache-2.0
"""mugv_jax: MUG-V video generation in JAX/Flax.

Importing the package imports no library; public names are imported on first use.
"""

import importlib
from typing import Any

from mugv_jax.systems import NAMES

# Public name -> its module.
_PUBLIC = {
    # Class NamePipeline of every system.
    **{f"{name.capitalize()}Pipeline": f"mugv_jax.systems.{name}.pipeline" for name in NAMES},
    "Rewriter": "mugv_jax.rewriting.rewriter",
    "Video": "mugv_jax.video",
    "convert": "mugv_jax.systems.convert",
    "export_to_video": "mugv_jax.systems.calling",
    "load": "mugv_jax.weights.load",
    "read_record": "mugv_jax.video",
}

__all__ = sorted(_PUBLIC)  # pyright: ignore[reportUnsupportedDunderAll] - imported when used


def __getattr__(name: str) -> Any:
    if name not in _PUBLIC:
        raise AttributeError(f"module 'mugv_jax' has no attribute {name!r}")
    return getattr(importlib.import_module(_PUBLIC[name]), name)


def __dir__() -> list[str]:
    return __all__
