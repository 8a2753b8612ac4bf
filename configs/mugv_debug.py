# Copyright 2026 The mugv_jax Authors
# SPDX-License-Identifier: Apache-2.0
"""The published `debug` size of the DiT, with a small VAE and text encoder; runs anywhere.

    mugv-jax generate --random-weights --config configs/mugv_debug.py "a prompt"

There are no trained weights of this size, so the video is noise. A small one takes seconds on two
CPU cores.

Parameters: 3,667,296 (DiT), 7,885,307 (VAE), 98,944 (T5).
"""

from ml_collections import ConfigDict

from configs import mugv_10b


def get_config() -> ConfigDict:
    config = mugv_10b.get_config()
    config.dit.depth = 2
    config.dit.width = 288
    config.dit.num_heads = 4
    config.dit.text_dim = 64
    config.vae.spatial_channels = (32, 32, 64, 64)
    config.vae.spatial_layers = 1
    config.vae.temporal_filters = 32
    config.vae.temporal_layers = 1
    config.text.vocab_size = 259  # bytes, and three special tokens
    config.text.width = 64
    config.text.head_dim = 16
    config.text.mlp_dim = 128
    config.text.depth = 2
    config.text.num_heads = 4
    config.tiny_decoder.width = 32
    config.tiny_decoder.layers = 2
    config.tiny_decoder.frame_widths = (32, 16)
    config.run.dtype = "float32"
    config.optimizer.learning_rate = 1e-3
    return config
