# Copyright 2026 The mugv_jax Authors
# SPDX-License-Identifier: Apache-2.0
"""Small VAE runs on synthetic clips."""

from pathlib import Path

import numpy as np
from PIL import Image

from mugv_jax import config as configs
from mugv_jax.train.vae.vae_config import VaeTrainConfig, from_config_dict
from mugv_jax.video import write_video

CONFIG = Path(__file__).parents[3] / "configs" / "vae_demo.py"
SIDE = 16


def moving_square(frames: int = 17, seed: int = 0) -> np.ndarray:
    """uint8 (f h w 3): a coloured square that moves over a plain ground."""
    rng = np.random.default_rng(seed)
    ground, colour = rng.integers(0, 256, (2, 3))
    clip = np.broadcast_to(ground, (frames, SIDE, SIDE, 3)).astype(np.uint8)
    for i, frame in enumerate(clip):
        left = (seed + i) % (SIDE - 6)
        frame[4:10, left : left + 6] = colour
    return clip


def write_clips(folder: Path, count: int = 3) -> Path:
    """`count` videos of 17 frames in one folder, and a picture below it."""
    (folder / "pictures").mkdir(parents=True)
    for seed in range(count):
        write_video(folder / f"{seed}.mp4", moving_square(seed=seed), fps=10)
    Image.fromarray(moving_square()[0]).save(folder / "pictures" / "still.png")
    return folder


def tiny(clips: Path | str, *overrides: str) -> VaeTrainConfig:
    """A VAE of the least widths and of full depth in time."""
    fields = (
        "vae.spatial_channels=(8,8)", "vae.temporal_filters=8", "vae.temporal_multipliers=(1,1)",
        "vae.temporal_layers=1", "vae.spatial_layers=1", "vae.latent_channels=4",
        "vae.window_frames=8", "vae.scaling_factor=0.18215",
        f"data.paths=('{clips}',)", f"data.size=({SIDE},{SIDE})", "data.frames=5",
        "data.rows=1", "data.picture_rows=2", "data.threads=1", "data.picture_share=0.0",
        "discriminator.channels=(8,)", "loss.adaptive_from=2", "loss.gan_from=3",
        "loss.mse=1.0", "optimizer.freeze=()",
        "optimizer.method=adamw", "optimizer.schedule=constant", "optimizer.warmup_steps=1",
        "optimizer.learning_rate=3e-3",
        "discriminator_optimizer.schedule=constant", "discriminator_optimizer.warmup_steps=1",
        "run.steps=6", "run.windows=(4,)", "run.dtype=float32", "run.statistics_batches=2",
        "checkpoint.every=3", "checkpoint.keep=3", "checkpoint.archive=0",
        "log.every=1", "log.validate_every=0", "log.sample_every=0",
        *overrides,
    )  # fmt: skip
    values = configs.override(configs.read(CONFIG), [f"--config.{each}" for each in fields])
    return from_config_dict(values)
