# Copyright 2026 The mugv_jax Authors
# SPDX-License-Identifier: Apache-2.0
"""All models of a pipeline written into one folder in the layout of diffusers."""

import os
from typing import Any

from mugv_jax.files import user_path
from mugv_jax.systems.models import DIT
from mugv_jax.weights.adapters import listed
from mugv_jax.weights.convert import Target, write_pipeline


def save_pipeline(
    models: Any, folder: str | os.PathLike, *, dtype: str | None = None, overwrite: bool = False
) -> None:
    """Write the files behind `models` to `folder`; see `Pipeline.save_pretrained`."""
    system = models.system
    if system.folder is None:
        raise ValueError(f"{system.title} has no layout of one folder: use `mugv-jax convert`.")
    if not models.sources:
        raise ValueError("random weights are not saved: their seed and sizes make them again.")
    beside = models.sources["vae"].parent  # where the other small files are
    small = {name: models.sources[name] for name in system.folder.tokenizers}
    small |= {name: beside / name for name in system.folder.files if (beside / name).is_file()}
    fields = {name: field for field, names in system.files.items() for name in names}
    write_pipeline(
        {name: models.sources[fields[name]] for name in system.folder.models},
        small,
        Target(user_path(folder), "diffusers", dtype=dtype, overwrite=overwrite),
        system.folder,
        adapters={
            name: listed(models.arguments.get("lora"))
            for name in system.folder.models
            if fields[name] == DIT
        },
        lora_alpha=models.arguments.get("lora_alpha"),
    )
