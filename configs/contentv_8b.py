# Copyright 2026 The mugv_jax Authors
# SPDX-License-Identifier: Apache-2.0
"""ContentV 8B as published (arXiv:2506.05343): MM-DiT, Wan VAE, two CLIPs and T5.

    mugv-jax generate --model contentv --weights FOLDER --config configs/contentv_8b.py "a prompt"

Given with weights, the config checks their sizes, as above.

    mugv-jax info configs/contentv_8b.py --size 16:9 --frames 125
    mugv-jax compile --config configs/contentv_8b.py --topology v5p:2x2x2 --sampler \\
        --config.mesh.sequence=4 --config.mesh.tensor=2

These print what a video needs, and compile a step of the sampler.

    mugv-jax train --config configs/contentv_8b.py --output runs/first \\
        --config.run.weights=ContentV-8B/transformer --config.data.paths="('samples',)" \\
        --config.mesh.fsdp=8 --config.mesh.sequence=8

This trains published weights further on samples of `mugv-jax data encode --model contentv`. The
stages of the paper are in configs/contentv.

Parameters: 8,056,627,520 (MM-DiT), 126,892,531 (VAE), 123,650,304 and 694,659,840 (CLIPs),
4,762,310,656 (T5). A video of 125 frames at 768x432 is 41,472 tokens.
"""

from ml_collections import ConfigDict

from configs import training

EVERY_LINEAR_OF_A_BLOCK = ("^(blocks|last_block)/(video|text)/(q|k|v|out|mlp/up|mlp/down)$",)


def get_config() -> ConfigDict:
    config = training.get_config()
    config.update(
        {
            "system": "contentv",
            "dit": {
                "depth": 38,
                "num_heads": 38,
                "head_dim": 64,
                "in_channels": 16,
                "out_channels": 16,
                "patch": (1, 2, 2),
                "text_dim": 4096,
                "pooled_dim": 2048,
            },
            "vae": {
                "width": 96,
                "multipliers": (1, 2, 4, 4),
                "layers": 2,
                "latent_channels": 16,
                "halve_time": (False, True, True),
            },
            "clip_l": {
                "vocab_size": 49408,
                "width": 768,
                "mlp_dim": 3072,
                "depth": 12,
                "num_heads": 12,
                "features": 768,
                "length": 77,
                "activation": "quick_gelu",
                "end": 49407,
            },
            "clip_g": {
                "vocab_size": 49408,
                "width": 1280,
                "mlp_dim": 5120,
                "depth": 32,
                "num_heads": 20,
                "features": 1280,
                "length": 77,
                "activation": "gelu",
                "end": 49407,
            },
            "text": {
                "vocab_size": 32128,
                "width": 4096,
                "head_dim": 64,
                "mlp_dim": 10240,
                "depth": 24,
                "num_heads": 64,
            },
        }
    )
    config.data.text_tokens = 334  # the summaries, 77 tokens of the CLIPs and 256 of T5
    config.data.tokens_per_shard = 41_472  # one clip of 125 frames at 768x432
    config.loss.image_weight = 1.0  # the paper tells of no other
    config.lora.targets = EVERY_LINEAR_OF_A_BLOCK
    config.log.guidance = 6.0
    config.log.sample_steps = 50
    return config
