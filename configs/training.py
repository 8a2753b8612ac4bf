# Copyright 2026 The mugv_jax Authors
# SPDX-License-Identifier: Apache-2.0
"""Training settings of the released trainer, which the configs of all sizes include.

Every group is one dataclass, whose docstring explains the fields: mesh `sharding/parallel.py`, data
`data/data_config.py`, tasks `train/tasks.py`, loss `train/loss.py`, optimizer `train/optimizer.py`,
lora `nn/lora.py`, the rest `train/train_config.py`.
"""

from ml_collections import ConfigDict

EVERY_LINEAR_OF_A_BLOCK = (
    "^blocks/self_attention/(qkv|out)$",
    "^blocks/cross_attention/(q|kv|out)$",
    "^blocks/mlp/(up|down)$",
)


def get_config() -> ConfigDict:
    return ConfigDict(
        {
            "mesh": {
                "data": None,  # all devices that the other axes leave
                "fsdp": 1,
                "sequence": 1,
                "tensor": 1,
                "pipeline": 1,
                "sequence_method": "auto",
                "microbatches": 1,
            },
            "kernels": {"attention": None, "modulation": None},  # by platform
            "data": {
                "paths": (),
                "holdout_paths": (),
                "holdout": 0.0,
                "max_holdout": 256,
                "text_tokens": 300,
                "tokens_per_shard": 50_402,  # one clip of 5 s at 720p
                "batch": 0,
                "max_rows": 32,
                "shapes": (),
                "max_buckets": 32,
                "crop_limit": 0.3,
                "image_share": (),
                "image_share_steps": 1,
                "threads": 4,
                "prefetch": 4,
                "workers": 0,
                "max_bad": 16,
            },
            "tasks": {
                "probability": {
                    "t2v": 1.0,
                    "i2v": 0.0,
                    "last": 0.0,
                    "first_last": 0.0,
                    "random": 0.0,
                    "continuation": 0.0,
                },
                "drop_caption": {
                    "t2i": 0.1,
                    "t2v": 0.1,
                    "i2v": 0.5,
                    "last": 0.5,
                    "first_last": 0.5,
                    "random": 0.5,
                    "continuation": 0.5,
                },
            },
            "loss": {"times": "logit_normal", "shift": True, "image_weight": 0.3},
            "optimizer": {
                "method": "adamw",
                "learning_rate": 1e-5,
                "schedule": "constant",
                "warmup_steps": 100,
                "decay_steps": 0,
                "final_fraction": 0.0,
                "b1": 0.9,
                "b2": 0.999,
                "epsilon": 1e-10,
                "weight_decay": 0.0,
                "clip": 1.0,
                "moment_dtype": "float32",
                "groups": (),
                "freeze": (),
            },
            "ema": {"enabled": True, "decay": 0.9999},
            # Rank 0 trains the full weights; the released trainer's rank is 64.
            "lora": {"rank": 0, "alpha": 32.0, "targets": EVERY_LINEAR_OF_A_BLOCK},
            "run": {
                "steps": 1000,
                "seed": 0,
                "weights": "",
                "ema_weights": False,
                "null_text": "",
                "dtype": "bfloat16",
                "remat": "full",
                "accumulate": 1,
            },
            "checkpoint": {"every": 500, "keep": 3, "archive": 0},
            "log": {
                "every": 10,
                "validate_every": 500,
                "sample_every": 0,
                "sample_steps": 25,
                "guidance": 4.0,
                "vae": "",
                "wandb": "",
            },
        }
    )
