# Copyright 2026 The mugv_jax Authors
# SPDX-License-Identifier: Apache-2.0
"""Weights of a picture VAE as the spatial half of a video VAE.

An `AutoencoderKL` saved by `diffusers` has the names of `vae.pt` below SPATIAL. A video VAE has no
counterpart of the layers around its latent: end of encoder, start of decoder, quantisation.
"""

from pathlib import Path
from typing import Any

import numpy as np
from flax import traverse_util

from mugv_jax.files import user_path
from mugv_jax.nn.vae.sizes import VAEConfig
from mugv_jax.weights.check import published_shapes, require_same
from mugv_jax.weights.formats import open_source
from mugv_jax.weights.parameters import to_ours
from mugv_jax.weights.registry import MODELS
from mugv_jax.weights.tables.mugv_vae import table

SPATIAL = "spatial_vae.module."
FILE = "diffusion_pytorch_model.safetensors"  # name in a folder
OWN_LATENT = (
    "encoder.conv_norm_out.", "encoder.conv_out.", "decoder.conv_in.", "quant_conv.",
    "post_quant_conv.",
)  # fmt: skip


def load_picture_vae(path: str | Path, config: VAEConfig) -> dict[str, Any]:
    """Parameters of spatial encoder and decoder in float32, as a part of the video VAE's tree.

    path: a file, or a folder written by `save_pretrained`.

    Raises:
        ValueError: no weights, another architecture or other widths; all differences are listed.
    """
    path = user_path(path)
    path = path / FILE if (path / FILE).is_file() else path
    rules_of = table(config)
    rules = [rule for rule in rules_of.rules if rule.name.startswith(SPATIAL)]
    shapes = published_shapes(MODELS["mugv_vae"], config)
    names = {rule: rule.name.removeprefix(SPATIAL) for rule in rules}
    expected = {name: shapes[rule.name] for rule, name in names.items()}
    with open_source(path) as source:
        found = {n: shape for n, shape in source.shapes.items() if not n.startswith(OWN_LATENT)}
        require_same(
            found,
            expected,
            f"{path}: is no picture VAE for spatial_channels={config.spatial_channels} and "
            f"spatial_layers={config.spatial_layers}",
        )
        params = {
            rule.path.removeprefix("params/"): to_ours(
                rule, rules_of, np.asarray(source.read(name), np.float32)
            )
            for rule, name in names.items()
        }
    return traverse_util.unflatten_dict(params, sep="/")
