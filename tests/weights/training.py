# Copyright 2026 The mugv_jax Authors
# SPDX-License-Identifier: Apache-2.0
"""Training checkpoints as a run writes them, with seeded weights."""

from pathlib import Path
from typing import Any

import jax
import numpy as np
import optax
import orbax.checkpoint as ocp

from mugv_jax.nn.lora import LoraConfig
from mugv_jax.nn.mugdit.sizes import DiTConfig
from mugv_jax.weights.random import random_variables
from mugv_jax.weights.registry import abstract_variables
from mugv_jax.weights.store import save_args, training_metadata


def weights(config: DiTConfig, seed: int) -> Any:
    """Parameters of a DiT in float32."""
    return random_variables(abstract_variables("mugv_dit", config), seed)["params"]


def save_steps(
    run: Path,
    config: Any,
    states: dict[int, dict],
    lora: LoraConfig | None = None,
    weights: str = "",
    kind: str = "mugv_dit",
) -> Path:
    """Writes a run with one checkpoint per step.

    states: params of each step, and optionally frozen and ema.
    weights: path that the checkpoints state as the start of the run.
    The optimizer's state is included, since a reader must skip it.
    """
    with ocp.CheckpointManager(run / "checkpoints") as manager:
        for step, state in states.items():
            state = {"step": np.int32(step)} | state
            state["opt"] = optax.adam(1e-3).init(jax.tree.map(np.asarray, state["params"]))
            meta = training_metadata(kind, config, lora) | {"weights": weights}
            manager.save(
                step,
                args=ocp.args.Composite(
                    state=ocp.args.StandardSave(state, save_args=save_args(state)),
                    meta=ocp.args.JsonSave(meta),
                ),
            )
        manager.wait_until_finished()
    return run
