# Copyright 2026 The mugv_jax Authors
# SPDX-License-Identifier: Apache-2.0
"""The video VAE, trained as in the paper (section 4.1): published sizes, three phases.

    mugv-jax train-vae --config configs/vae_mugv.py --output runs/vae \\
        --config.data.paths="('clips',)" --config.run.picture_weights=sdxl-vae

Phases: mean square, l1, perceptual and KL loss; from `adaptive_from` on, l1 is weighted by moving
detail; from `gan_from` on, a discriminator is added. 412 M parameters. The paper gives neither
steps nor weights of the terms: these are ours, and are untested at this size.

Every group is one dataclass, whose docstring explains the fields: data `data/pixels.py`, vae
`nn/vae/sizes.py`, loss `train/vae/loss.py`, optimizers `train/optimizer.py`, discriminator
`nn/vae/discriminator.py`, ema and checkpoint `train/train_config.py`, the rest
`train/vae/vae_config.py`.
"""

from ml_collections import ConfigDict


def get_config() -> ConfigDict:
    optimizer = {
        "method": "adamw",
        "learning_rate": 1e-4,
        "schedule": "constant",
        "warmup_steps": 1000,
        "decay_steps": 0,
        "final_fraction": 0.0,
        "b1": 0.9,
        "b2": 0.999,
        "epsilon": 1e-8,
        "weight_decay": 0.0,
        "clip": 1.0,
        "moment_dtype": "float32",
        "groups": (),
        "freeze": (),
    }
    return ConfigDict(
        {
            "vae": {
                "spatial_channels": (128, 256, 512, 512),
                "spatial_layers": 2,
                "spatial_latent_channels": 4,
                "temporal_filters": 128,
                "temporal_multipliers": (1, 2, 2, 4),
                "temporal_layers": 4,
                "latent_channels": 24,
                "scaling_factor": 0.18215,
                "window_frames": 48,
            },
            "data": {
                "paths": (),
                "split": "train",
                "holdout_paths": (),
                "holdout_split": "",
                "holdout_clips": 16,
                "size": (256, 256),
                "frames": 64,  # eight latents, the longest window
                "read_frames": 128,
                "rows": 1,
                "picture_rows": 8,
                "picture_share": 0.2,
                "threads": 4,
                "prefetch": 4,
                "workers": 0,
            },
            "loss": {
                "mse": 1.0,
                "l1": 1.0,
                "perceptual": 1.0,
                "frames": None,
                "perceptual_frames": None,
                "kl": 1e-6,
                "saliency": 1.0,
                "gan": 0.1,
                "adaptive_from": 200_000,
                "gan_from": 280_000,
            },
            "discriminator": {"channels": (64, 128, 256)},
            "optimizer": optimizer,
            "discriminator_optimizer": dict(optimizer, b1=0.5),
            "ema": {"enabled": True, "decay": 0.9999},
            "run": {
                "steps": 300_000,
                "seed": 0,
                "weights": "",
                "ema_weights": False,
                "picture_weights": "",
                "perceptual": "",
                "part": "whole",
                "windows": (1, 4, 8),
                "dtype": "bfloat16",
                "accumulate": 1,
                "statistics_batches": 64,
            },
            "checkpoint": {"every": 2000, "keep": 3, "archive": 0},
            "log": {"every": 50, "validate_every": 2000, "sample_every": 2000, "wandb": ""},
        }
    )
