# Copyright 2026 The mugv_jax Authors
# SPDX-License-Identifier: Apache-2.0
"""Steps of a tiny model, compiled for CPU devices by the functions that compile for a slice."""

import dataclasses
from pathlib import Path

import jax
import pytest

from mugv_jax import config as configs
from mugv_jax.commands.compile import lines
from mugv_jax.compile import hlo
from mugv_jax.compile import steps as compiling
from mugv_jax.compile.collectives import collectives
from mugv_jax.compile.predict import step_flops
from mugv_jax.compile.report import Request, report
from mugv_jax.nn.lora import LoraConfig
from mugv_jax.systems.mugv.size import VideoSize
from mugv_jax.train.objectives import dpo
from mugv_jax.train.train_config import EmaConfig, from_config_dict

LATENT = (2, 4, 6)
DEPTH = 6


@pytest.fixture(scope="module")
def config():
    path = Path(__file__).parents[2] / "configs" / "mugv_debug.py"
    sizes = ("depth=6", "width=24", "num_heads=2", "text_dim=8")
    overrides = [f"--config.dit.{each}" for each in sizes]
    overrides += ["--config.text.width=8", "--config.data.text_tokens=6"]
    overrides += ["--config.mesh.fsdp=2", "--config.mesh.sequence=2", "--config.run.dtype=float32"]
    return from_config_dict(configs.override(configs.read(path), overrides))


@pytest.fixture(scope="module")
def mesh(config):
    return config.mesh.make_mesh(jax.devices()[:4])


def test_a_train_step_is_compiled_from_shapes_alone(config, mesh):
    compiled = compiling.compile_train_step(
        config, mesh, LATENT, compiling.train_step_rows(config, mesh)
    )
    program = hlo.parse(compiled.text)
    assert program.unknown_loops() == ()
    found = list(collectives(program, mesh.size))
    exchanged = [each for each in found if each.kind == "all-to-all" and each.times >= DEPTH]
    assert exchanged  # tokens exchanged for heads, in every layer
    assert compiled.memory.arguments > 0
    assert compiled.memory.temporaries > 0
    # The state reuses its own buffers; only a few numbers are left.
    assert compiled.memory.outputs < 0.01 * compiled.memory.arguments


def test_a_preference_step_is_reported_with_both_sides_and_the_reference(config):
    preference = dataclasses.replace(
        config, objective=dpo.Settings(), lora=LoraConfig(rank=2), ema=EmaConfig(enabled=False)
    )
    size = VideoSize(width_px=48, height_px=32, frames=9)
    found = report(Request(config=preference, topology="h200:4", size=size), jax.devices()[:4])
    assert found["options"]["objective"] == "dpo"
    assert found["options"]["lora_rank"] == 2
    forward = step_flops(config, size.latent_shape).forward
    # Forward and backward of the policy and forward of the reference, for winner and loser.
    assert found["flops"] == {"model": found["samples"] * 2 * (3 + 1) * forward}
    assert found["sent_per_chip"]["all-to-all"] > 0
    assert found["unknown_loops"] == []
    assert "with recomputation" not in "\n".join(lines(found))


def test_a_sampler_step_is_compiled_too(config, mesh):
    compiled = compiling.compile_sampler_step(config, mesh, LATENT, 2)
    program = hlo.parse(compiled.text)
    bodies = [run.times for run in program.runs() if run.instruction.opcode == "while"]
    assert bodies
    assert compiled.memory.arguments > 0


def test_a_batch_that_does_not_divide_is_refused(config, mesh):
    with pytest.raises(ValueError, match="batch of 3 does not divide"):
        compiling.compile_sampler_step(config, mesh, LATENT, 3)


def test_the_smallest_step_has_a_row_for_every_shard_and_microbatch(config, mesh):
    run = dataclasses.replace(config.run, accumulate=3)
    assert compiling.train_step_rows(dataclasses.replace(config, run=run), mesh) == 2 * 3


def test_out_of_memory_is_a_clear_line(mesh):
    class Lowered:
        def compile(self):
            raise jax.errors.JaxRuntimeError(
                "RESOURCE_EXHAUSTED: Ran out of memory in memory space hbm. "
                "Used 167.55G of 95.74G hbm. Exceeded hbm capacity by 71.8G."
            )

    with pytest.raises(compiling.DoesNotFitError, match=r"fsdp=2, sequence=2 .* 167.55G of 95.74G"):
        compiling._compile(Lowered(), mesh)


def test_a_missing_compiler_says_what_to_install(monkeypatch):
    monkeypatch.setattr(compiling.importlib.util, "find_spec", lambda _: None)
    with pytest.raises(ValueError, match="pip install 'mugv_jax\\[tpu\\]'"):
        compiling.slice_devices("v5p:4x4x4")


def test_devices_of_a_slice_have_places_on_its_torus():
    pytest.importorskip("libtpu")
    devices = compiling.slice_devices("v5p:2x2x4")
    assert len(devices) == 16
    assert sorted(tuple(device.coords) for device in devices)[-1] == (1, 1, 3)
    with pytest.raises(ValueError, match="'v5p:9x9' is not known"):
        compiling.slice_devices("v5p:9x9")
