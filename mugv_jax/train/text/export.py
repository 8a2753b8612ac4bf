# Copyright 2026 The mugv_jax Authors
# SPDX-License-Identifier: Apache-2.0
"""A trained text encoder as a folder in the layout in which T5 is published.

config.json    model.safetensors (bfloat16)    spiece.model
"""

import json
from pathlib import Path

import jax
import numpy as np
from flax import traverse_util

from mugv_jax.data.whole_files import write_whole
from mugv_jax.nn.text.t5 import T5Config
from mugv_jax.train.text.run import TrainedText
from mugv_jax.train.text.vocabulary import END, PAD
from mugv_jax.weights.convert import Target
from mugv_jax.weights.convert import write as write_weights
from mugv_jax.weights.parameter_source import ParameterSource
from mugv_jax.weights.parameters import LazyTensor

WEIGHTS, CONFIG, PIECES = "model.safetensors", "config.json", "spiece.model"
DTYPE = "bfloat16"


def target(folder: Path, *, overwrite: bool = False) -> Target:
    """The weights of a folder.

    Raises:
        ValueError: there are some, and they may not be replaced.
    """
    weights = Target(folder / WEIGHTS, dtype=DTYPE, overwrite=overwrite)
    weights.check_path()
    return weights


def write(trained: TrainedText, target: Target) -> None:
    """Vocabulary, config and weights, each as a whole file; the weights come last."""
    folder = target.path.parent
    folder.mkdir(parents=True, exist_ok=True)
    write_whole(folder / PIECES, trained.vocabulary.model)
    write_whole(folder / CONFIG, _published(trained.config).encode())
    flat = traverse_util.flatten_dict({"params": jax.device_get(trained.params)}, sep="/")
    parameters = {path: _lazy(array) for path, array in flat.items()}
    write_weights(
        ParameterSource(target.path, "trained", "t5_encoder", trained.config, parameters), target
    )


def _lazy(array: np.ndarray) -> LazyTensor:
    return LazyTensor(array.shape, array.dtype, array.__getitem__, rows=len(array))


def _published(config: T5Config) -> str:
    """The `config.json` of a `T5EncoderModel`."""
    names = {
        "vocab_size": "vocab_size",
        "width": "d_model",
        "head_dim": "d_kv",
        "mlp_dim": "d_ff",
        "depth": "num_layers",
        "num_heads": "num_heads",
        "num_buckets": "relative_attention_num_buckets",
        "max_distance": "relative_attention_max_distance",
    }
    sizes = {theirs: getattr(config, ours) for ours, theirs in names.items()}
    fixed = {
        "architectures": ["T5EncoderModel"],
        "model_type": "t5",
        "feed_forward_proj": "gated-gelu",
        "layer_norm_epsilon": 1e-6,
        "is_encoder_decoder": False,
        "pad_token_id": PAD,
        "eos_token_id": END,
        "torch_dtype": DTYPE,
    }
    return json.dumps(fixed | sizes, indent=2) + "\n"
