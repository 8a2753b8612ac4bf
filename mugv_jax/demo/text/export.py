# Copyright 2026 The mugv_jax Authors
# SPDX-License-Identifier: Apache-2.0
"""A trained text encoder as a folder in the published layout of T5.

config.json    model.safetensors (bfloat16)    spiece.model
"""

import json
from pathlib import Path
from typing import Any

import jax
import numpy as np
from flax import traverse_util

from mugv_jax.data.whole_files import write_whole
from mugv_jax.demo.text.run import TrainedText
from mugv_jax.weights.convert import Target
from mugv_jax.weights.convert import write as write_weights
from mugv_jax.weights.parameter_source import ParameterSource
from mugv_jax.weights.parameters import LazyTensor
from mugv_jax.weights.tables.t5 import published_config

WEIGHTS, CONFIG, PIECES = "model.safetensors", "config.json", "spiece.model"
DTYPE = "bfloat16"


def target(folder: Path, *, overwrite: bool = False) -> Target:
    """Destination of the weights in a folder.

    Raises:
        ValueError: the folder has weights, and `overwrite` is false.
    """
    weights = Target(folder / WEIGHTS, dtype=DTYPE, overwrite=overwrite)
    weights.check_path()
    return weights


def write(trained: TrainedText, target: Target) -> None:
    """Writes vocabulary, config and weights, each as a whole file, the weights last."""
    folder = target.path.parent
    folder.mkdir(parents=True, exist_ok=True)
    write_whole(folder / PIECES, trained.vocabulary.model)
    described = {**published_config(trained.config), "torch_dtype": DTYPE}
    write_whole(folder / CONFIG, (json.dumps(described, indent=2) + "\n").encode())
    flat: dict[str, Any] = traverse_util.flatten_dict(
        {"params": jax.device_get(trained.params)}, sep="/"
    )
    parameters = {path: _lazy(array) for path, array in flat.items()}
    write_weights(
        ParameterSource(target.path, "trained", "t5_encoder", trained.config, parameters), target
    )


def _lazy(array: np.ndarray) -> LazyTensor:
    return LazyTensor(array.shape, array.dtype, array.__getitem__, rows=len(array))
