# Copyright 2026 The mugv_jax Authors
# SPDX-License-Identifier: Apache-2.0
"""mugv_jax: MUG-V video generation in JAX/Flax.

Importing the package imports nothing else; the names below come when they are first used.
"""

import importlib
from typing import Any

_PUBLIC = {
    "ContentvPipeline": "mugv_jax.systems.contentv.pipeline",
    "EnhancerPipeline": "mugv_jax.systems.enhancer.pipeline",
    "MugvPipeline": "mugv_jax.systems.mugv.pipeline",
    "Video": "mugv_jax.video",
    "convert": "mugv_jax.weights.convert",
    "load": "mugv_jax.weights.load",
}

__all__ = sorted(_PUBLIC)


def __getattr__(name: str) -> Any:
    if name not in _PUBLIC:
        raise AttributeError(f"module 'mugv_jax' has no attribute {name!r}")
    return getattr(importlib.import_module(_PUBLIC[name]), name)


def __dir__() -> list[str]:
    return __all__
