# Copyright 2026 The mugv_jax Authors
# SPDX-License-Identifier: Apache-2.0
"""The training step at the 10B's width, with all kernels, compiled for absent chips."""

from pathlib import Path

import jax
import pytest

from mugv_jax import config as configs
from mugv_jax.compile import hlo
from mugv_jax.compile.steps import compile_train_step, slice_devices, train_step_rows
from mugv_jax.compile.work import work_of
from mugv_jax.train.train_config import from_config_dict

LATENT = (3, 12, 20)
DEPTH = 2
MODULATION = ("norm_modulate", "gate_residual", "gate_residual_norm_modulate", "norm_rotate")
ATTENTION = ("attention_forward", "attention_backward")


@pytest.fixture(autouse=True)
def _little_effort():
    """Reduces the compiler's optimisation, which takes half of its time; the program is not run."""
    before = jax.config.jax_optimization_level
    jax.config.update("jax_optimization_level", "O1")
    yield
    jax.config.update("jax_optimization_level", before)


@pytest.mark.parametrize(("topology", "axis"), [("v5p:2x2x1", "tensor"), ("v6e:2x2", "fsdp")])
def test_the_training_step_compiles_with_every_kernel(topology, axis):
    pytest.importorskip("libtpu", reason="libtpu, which holds the TPU compiler, is not installed")
    path = Path(__file__).parents[2] / "configs" / "mugv_10b.py"
    overrides = [f"--config.dit.depth={DEPTH}", "--config.data.text_tokens=32"]
    overrides += ["--config.mesh.sequence=2", f"--config.mesh.{axis}=2", "--config.run.remat=full"]
    config = from_config_dict(configs.override(configs.read(path), overrides))
    mesh = config.mesh.make_mesh(slice_devices(topology))
    compiled = compile_train_step(config, mesh, LATENT, train_step_rows(config, mesh))
    work = work_of(hlo.parse(compiled.text))
    assert work.uncounted == ()
    for name in MODULATION:
        assert work.kernels[name] >= DEPTH
        assert work.kernels[f"{name}_backward"] >= DEPTH
    for name in ATTENTION:  # self-attention and cross-attention
        assert sum(n for found, n in work.kernels.items() if found.startswith(name)) >= 2 * DEPTH
