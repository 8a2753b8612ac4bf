# Copyright 2026 The mugv_jax Authors
# SPDX-License-Identifier: Apache-2.0
"""`mugv-jax train-vae`: train the video VAE from a config and folders of clips."""

import functools
from collections.abc import Collection
from pathlib import Path
from typing import Any

from ml_collections import ConfigDict

from mugv_jax.commands import training

DESCRIPTION = """Train the video VAE, or a tiny decoder of its latents (configs tiny_decoder_*).

Running the same command again resumes the run."""
EXAMPLES = """examples:
  mugv-jax train-vae --config vae_demo --output runs/vae \\
    --config.data.paths="('clips',)"
  mugv-jax train-vae --config tiny_decoder_mugv --output runs/tiny \\
    --config.data.paths="('clips',)" --config.run.vae=weights/vae.pt
"""
MEMORY = (
    "decrease config.data.rows, config.data.picture_rows, config.data.size or config.data.frames; "
    "rows are per data shard, so more devices make up for fewer rows"
)


def _read(values: ConfigDict) -> Any:
    from mugv_jax.train.vae import tiny_config, vae_config

    return (tiny_config if tiny_config.GROUP in values else vae_config).from_config_dict(values)


def _train(config: Any, folder: Path, asked: Collection[str]) -> None:
    from mugv_jax.train.vae import run, tiny_config, tiny_run

    tiny = isinstance(config, tiny_config.TinyTrainConfig)
    (tiny_run if tiny else run).train(config, folder, asked=asked)


add_arguments = functools.partial(
    training.add_arguments, description=DESCRIPTION, examples=EXAMPLES, config="vae_mugv"
)
run = functools.partial(training.run, read=_read, train=_train, memory=MEMORY)
