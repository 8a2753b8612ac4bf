# Copyright 2026 The mugv_jax Authors
# SPDX-License-Identifier: Apache-2.0
"""Identity of the weights that are measured: names and digests of their files."""

import dataclasses
import hashlib
from pathlib import Path
from typing import Any

import jax.numpy as jnp

from mugv_jax.systems.mugv.models import MugvModels
from mugv_jax.weights.orbax_files import steps


def identify(models: MugvModels) -> dict[str, Any]:
    """Sizes and precision of models, and path and digest of each file; random weights have none."""
    files = {name: newest(path) for name, path in models.sources.items()}
    return {
        "files": {name: {"path": str(p), "sha256": digest(p)} for name, p in files.items()},
        "sizes": dataclasses.asdict(models.config),
        "dtype": jnp.dtype(models.dtype).name,
        "quantize": models.quantize,
    }


def newest(path: Path) -> Path:
    """The checkpoint at `path`: the newest of a training run, or else `path` itself."""
    return (steps(path) or [path])[-1] if path.is_dir() else path


def digest(path: Path) -> str:
    """SHA-256 of a file, or of a folder's lines "SHA-256  NAME", one for each file, by name."""
    if path.is_file():
        with open(path, "rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    names = sorted(p.relative_to(path).as_posix() for p in path.rglob("*") if p.is_file())
    lines = "".join(f"{digest(path / name)}  {name}\n" for name in names)
    return hashlib.sha256(lines.encode()).hexdigest()
