# Copyright 2026 The mugv_jax Authors
# SPDX-License-Identifier: Apache-2.0
"""Small runs on samples made up on disk."""

import dataclasses
from pathlib import Path
from typing import Any

import numpy as np
from ml_collections import ConfigDict

from mugv_jax import config as configs
from mugv_jax.data.pt_files import latent_bytes, text_bytes
from mugv_jax.train.train_config import DiTTrainConfig, from_config_dict

CONFIGS = Path(__file__).parents[2] / "configs"


@dataclasses.dataclass(frozen=True)
class Tiny:
    """A system with a model of two narrow blocks.

    config: its config, which `fields` make smaller.  tasks: shares of its training tasks.
    channels, text_dim: of latents and text states.
    """

    config: Path
    channels: int
    text_dim: int
    fields: tuple[str, ...]
    tasks: tuple[str, ...] = ()


MUGV = Tiny(
    CONFIGS / "mugv_debug.py",
    channels=24,
    text_dim=8,
    fields=("dit.depth=2", "dit.width=24", "dit.num_heads=2", "dit.text_dim=8", "text.width=8"),
    tasks=("tasks.probability.t2v=0.5", "tasks.probability.i2v=0.5"),
)
CONTENTV = Tiny(
    CONFIGS / "contentv_debug.py",
    channels=16,
    text_dim=64,  # as wide as the states of two CLIPs
    fields=("dit.depth=2", "dit.num_heads=2", "dit.head_dim=16"),
)
CONFIG, TEXT_DIM = MUGV.config, MUGV.text_dim
SHAPES = ((1, 4, 6), (3, 4, 4), (2, 4, 4), (3, 4, 4))  # latents (f, h, w), taken in turns


def write_samples(
    folder: Path, count: int, seed: int = 0, shapes=SHAPES, system: Tiny = MUGV
) -> Path:
    """`count` smooth latents with captions, in the published format, and an empty caption."""
    rng = np.random.default_rng(seed)
    for name in ("latents", "text_features"):
        (folder / name).mkdir(parents=True)
    rows = ["sample_id,source,latent_path,text_feat_path"]
    for i in range(count):
        latent = rng.standard_normal((*shapes[i % len(shapes)], system.channels)).astype(np.float32)
        (folder / f"latents/{i}.pt").write_bytes(latent_bytes(latent))
        text = rng.standard_normal((3 + i % 4, system.text_dim)).astype(np.float32)
        write_text(folder / f"text_features/{i}_text.pt", text)
        rows.append(f"{i},generated,latents/{i}.pt,text_features/{i}_text.pt")
    (folder / "train.csv").write_text("\n".join(rows) + "\n")
    write_text(folder / "empty_text.pt", np.ones((1, system.text_dim), np.float32))
    return folder


def write_text(path: Path, text: np.ndarray) -> None:
    path.write_bytes(text_bytes(text, np.ones(len(text), bool)))


def tiny_fields(samples: Path | str, *overrides: str, system: Tiny = MUGV) -> list[str]:
    """A model of two narrow blocks, and everything switched on that is quick."""
    fields = (
        *system.fields, *system.tasks, f"data.paths=('{samples}',)", "data.text_tokens=6",
        "data.tokens_per_shard=40", "data.threads=1", "mesh.data=1",
        "run.steps=6", "run.remat=none", "optimizer.warmup_steps=2",
        "checkpoint.every=3", "log.every=2", "log.validate_every=0", *overrides,
    )  # fmt: skip
    return [f"--config.{field}" for field in fields]


def tiny(
    samples: Path | str,
    *overrides: str,
    objective: dict[str, Any] | None = None,
    system: Tiny = MUGV,
) -> DiTTrainConfig:
    """The config of `tiny_fields`; objective: its group of that name, if it has one."""
    values = configs.read(system.config)
    if objective is not None:
        values.objective = ConfigDict(objective)
    return from_config_dict(
        configs.override(values, tiny_fields(samples, *overrides, system=system))
    )
