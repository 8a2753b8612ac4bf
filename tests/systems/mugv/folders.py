# Copyright 2026 The mugv_jax Authors
# SPDX-License-Identifier: Apache-2.0
"""A small MUG-V: its sizes, and its files in the published form."""

import dataclasses
import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from mugv_jax import golden
from mugv_jax.nn.mugdit.sizes import DiTConfig
from mugv_jax.nn.text.t5 import T5Config
from mugv_jax.nn.vae.sizes import VAEConfig
from mugv_jax.systems.mugv.system import MugvConfig
from mugv_jax.weights.check import published_shapes
from mugv_jax.weights.random import random_variables
from mugv_jax.weights.registry import MODELS, abstract_variables
from tests.vocabulary import train_vocabulary
from tests.weights.training import save_steps

if TYPE_CHECKING:
    import torch

# Four heads: they divide over two tensor and two sequence shards.
SMALL = MugvConfig(
    dit=DiTConfig(depth=2, width=96, num_heads=4, text_dim=32),
    vae=VAEConfig(
        spatial_channels=(32, 32, 32, 32),
        spatial_layers=1,
        temporal_filters=32,
        temporal_multipliers=(1, 1, 1, 1),
        temporal_layers=1,
    ),
    text=T5Config(vocab_size=260, width=32, head_dim=8, mlp_dim=64, depth=1, num_heads=4),
)
CORPUS = ("a red paper boat drifts down a rainy street", "a cat sits on the mat", "ugly, blurry")


def write_config(path: Path, **dit: int) -> Path:
    """Writes a config file of SMALL, with changed fields of the DiT."""
    groups = {name: dataclasses.asdict(getattr(SMALL, name)) for name in ("dit", "vae", "text")}
    groups["dit"] |= dit
    path.write_text(
        f"from ml_collections import ConfigDict\n\n\ndef get_config():\n"
        f"    return ConfigDict({groups!r})\n"
    )
    return path


def published_tensors(kind: str, config: Any) -> "dict[str, torch.Tensor]":
    """Every tensor of the published file, by the golden recipe."""
    import torch

    model = MODELS[kind]
    shapes = published_shapes(model, config)
    return {name: torch.from_numpy(golden.recipe(name, shape)) for name, shape in shapes.items()}


def write_published(folder: Path) -> Path:
    """Writes SMALL as published: dit.pt, vae.pt, and T5 as a Hugging Face folder."""
    import torch

    torch.save(published_tensors("mugv_dit", SMALL.dit), folder / "dit.pt")
    torch.save(published_tensors("mugv_vae", SMALL.vae), folder / "vae.pt")
    write_text_encoder(folder / "text_encoder")
    return folder


def write_text_encoder(text: Path) -> Path:
    """Writes the T5 of SMALL as a Hugging Face folder with its vocabulary."""
    import torch

    sizes = SMALL.text
    text.mkdir()
    torch.save(published_tensors("t5_encoder", sizes), text / "pytorch_model.bin")
    published = {
        "model_type": "t5",
        "vocab_size": sizes.vocab_size,
        "d_model": sizes.width,
        "d_kv": sizes.head_dim,
        "d_ff": sizes.mlp_dim,
        "num_layers": sizes.depth,
        "num_heads": sizes.num_heads,
        "feed_forward_proj": "gated-gelu",
    }
    (text / "config.json").write_text(json.dumps(published))
    train_vocabulary(text, CORPUS)
    return text


def write_run(path: Path, kind: str, config: Any, *, ema: bool = True) -> Path:
    """Writes a training run of one model: weights of seed 2, their average of seed 1."""
    average, last = (random_variables(abstract_variables(kind, config), seed) for seed in (1, 2))
    state = {
        "params": last["params"],
        "ema": average["params"] if ema else {},
        "constants": average.get("constants", {}),
        "unused": {name: np.zeros(s, np.float32) for name, s in _unused(kind, config).items()},
    }
    return save_steps(path, config, {1: state}, kind=kind)


def _unused(kind: str, config: Any) -> dict[str, tuple[int, ...]]:
    return dict(MODELS[kind].table(config).unused)


def write_runs(folder: Path) -> dict[str, Path]:
    """Writes SMALL as trained: runs of the DiT and of the VAE, and the folder of T5."""
    return {
        "dit": write_run(folder / "dit", "mugv_dit", SMALL.dit),
        "vae": write_run(folder / "vae", "mugv_vae", SMALL.vae),
        "text": write_text_encoder(folder / "text"),
    }
