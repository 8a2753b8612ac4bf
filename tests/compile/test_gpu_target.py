# Copyright 2026 The mugv_jax Authors
# SPDX-License-Identifier: Apache-2.0
"""GPU programs, compiled to machine code without a GPU."""

import importlib.util
from pathlib import Path

import jax
import jax.numpy as jnp
import pytest
from jax.sharding import SingleDeviceSharding

from mugv_jax import config as configs
from mugv_jax.compile import gpu_target
from mugv_jax.compile.gpu_target import gpu_devices
from mugv_jax.compile.report import Request, report
from mugv_jax.compile.samplers import read_config
from mugv_jax.kernels import select
from mugv_jax.kernels.attention import attend
from mugv_jax.systems.mugv.size import VideoSize
from mugv_jax.systems.sizes import WanSize
from mugv_jax.train.train_config import from_config_dict

needs_compiler = pytest.mark.skipif(
    importlib.util.find_spec("jax_cuda13_plugin") is None,
    reason="jax's compiler for CUDA is not installed: pip install 'mugv_jax[cuda13]'",
)


@pytest.mark.parametrize("topology", ["h900:1", "h200", "h200:0", "h200:2x2"])
def test_machines_that_cannot_be_are_refused(topology):
    with pytest.raises(ValueError, match="as h200:8; known are h100, h200"):
        gpu_devices(topology)


def test_a_missing_compiler_is_told(monkeypatch):
    monkeypatch.setattr(gpu_target.importlib.util, "find_spec", lambda _: None)
    with pytest.raises(ValueError, match=r"pip install 'mugv_jax\[cuda13\]'"):
        gpu_devices("h200:1")


def test_kernels_know_the_compute_capability_of_every_machine():
    kinds = {gpu["kind"] for gpu in gpu_target.GPUS.values()}
    assert dict.fromkeys(kinds, 90) == select.COMPUTE_CAPABILITIES


@needs_compiler
@pytest.mark.parametrize(
    ("implementation", "tokens"), [("hopper", 50402), ("cudnn", 50402), ("cudnn", 50401)]
)
def test_attention_and_its_derivatives_compile_at_full_size(monkeypatch, implementation, tokens):
    monkeypatch.setattr(select, "platform", lambda: "gpu")
    here = SingleDeviceSharding(gpu_devices("h200:1")[0])
    x = jax.ShapeDtypeStruct((1, tokens, 48, 72), jnp.bfloat16, sharding=here)

    def loss(q, k, v):
        return jnp.sum(attend(q, k, v, implementation=implementation).astype(jnp.float32))

    compiled = jax.jit(jax.grad(loss, argnums=(0, 1, 2))).lower(x, x, x).compile()
    whole_scores = tokens**2
    assert compiled.memory_analysis().temp_size_in_bytes < 2 * whole_scores


@needs_compiler
def test_a_step_with_8_bit_weights_fits_a_card_of_24_gb():
    """The 10B at 720p, 5 s, from the compiled program, without the VAE's convolutions."""
    values = configs.override(
        configs.read(Path(__file__).parents[2] / "configs" / "mugv_10b.py"),
        ["--config.run.dtype=bfloat16"],
    )
    size = VideoSize(width_px=1280, height_px=720, frames=105)
    request = Request(
        config=from_config_dict(values),
        topology="h200:1",
        size=size,
        kind="sampler",
        quantize="int8",
    )
    found = report(request, gpu_devices("h200:1"))
    assert "estimate" not in found
    assert 10e9 < found["memory"]["arguments"] < found["memory"]["total"] <= 22e9


@needs_compiler
@pytest.mark.parametrize("name", ["contentv_8b", "enhancer"])
def test_steps_of_the_other_systems_compile_at_full_width(name):
    values = configs.override(
        configs.read(Path(__file__).parents[2] / "configs" / f"{name}.py"),
        ["--config.dit.depth=2"],
    )
    request = Request(
        config=read_config(values),
        topology="h200:1",
        size=WanSize(width_px=128, height_px=64, frames=9),
        kind="sampler",
    )
    found = report(request, gpu_devices("h200:1"))
    assert found["memory"]["fits"]
    assert found["memory"]["temporaries"] > 0
