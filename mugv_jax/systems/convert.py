# Copyright 2026 The mugv_jax Authors
# SPDX-License-Identifier: Apache-2.0
"""Conversion of one model, or of all models in a system's published folder."""

import os
from pathlib import Path
from typing import TypedDict, Unpack

from mugv_jax.systems import system as systems
from mugv_jax.weights import convert as weights
from mugv_jax.weights.adapters import Adapters


class Options(TypedDict, total=False):
    """See `weights.convert.convert`."""

    kind: str | None
    format: str | None
    tensor_parallel: int
    ema: bool
    lora: Adapters | None
    lora_alpha: float | None
    dtype: str | None
    overwrite: bool


def convert(src: str | os.PathLike, dst: str | os.PathLike, **options: Unpack[Options]) -> None:
    """Write the checkpoint or the pipeline's folder `src` to `dst` in another format.

    See `weights.convert.convert` for the options and errors.
    """
    folders = [system.folder for system in systems.every() if system.folder is not None]
    weights.convert(Path(src), Path(dst), pipelines=folders, **options)
