# Copyright 2026 The mugv_jax Authors
# SPDX-License-Identifier: Apache-2.0
"""Guided steps of the systems that are only sampled, compiled for the CPU's devices."""

from pathlib import Path

import jax
import pytest

from mugv_jax import config as configs
from mugv_jax.compile import hlo, report
from mugv_jax.compile.collectives import collectives
from mugv_jax.compile.samplers import read_config, sampler_of
from mugv_jax.compile.steps import Compiled, Memory, compile_sampler_step
from mugv_jax.systems.contentv.cost import mmdit_forward
from mugv_jax.systems.enhancer.cost import COSTS
from mugv_jax.systems.mugv.cost import dit_forward
from mugv_jax.systems.mugv.size import VideoSize
from mugv_jax.systems.sizes import WanSize
from mugv_jax.systems.system import find

CONFIGS = Path(__file__).parents[2] / "configs"
SIZES = {
    "contentv_8b": ("depth=5", "num_heads=4", "head_dim=8"),
    "enhancer": ("depth=5", "width=32", "mlp_dim=48", "num_heads=4", "text_tokens=6"),
}
LATENT = (2, 4, 6)
SCANNED = 4  # at least; the last of ContentV's five blocks is separate
SMALL = WanSize(width_px=48, height_px=32, frames=5)


def read(name, *overrides):
    values = configs.read(CONFIGS / f"{name}.py")
    sizes = [f"--config.dit.{each}" for each in SIZES.get(name, ())]
    return read_config(configs.override(values, [*sizes, *overrides]))


@pytest.mark.parametrize("name", SIZES)
def test_a_step_is_compiled_from_shapes_alone(name):
    config = read(name, "--config.mesh.sequence=2", "--config.run.dtype=float32")
    mesh = config.mesh.make_mesh(jax.devices()[:4])
    compiled = compile_sampler_step(config, mesh, LATENT, 2)
    program = hlo.parse(compiled.text)
    assert program.unknown_loops() == ()
    found = [each for each in collectives(program, mesh.size) if each.kind == "all-to-all"]
    # Tokens are exchanged for heads in both forwards.
    assert sum(each.times for each in found) >= 2 * SCANNED
    assert compiled.memory.arguments > 0
    # The latent reuses its own buffer; the velocity is a new one.
    assert compiled.memory.outputs < compiled.memory.arguments


def test_the_config_of_a_system_says_which_it_is():
    enhancer = read("enhancer")
    assert (enhancer.system, enhancer.text_tokens) == (find("enhancer"), 6)
    assert sampler_of(enhancer) is enhancer
    for name, system, tokens in (("mugv_10b", "mugv", 300), ("contentv_8b", "contentv", 333)):
        sampler = sampler_of(read(name))
        assert (sampler.system, sampler.text_tokens) == (find(system), tokens)
        assert sampler.run.dtype == "bfloat16"


def test_groups_that_nobody_sets_have_their_defaults():
    values = configs.read(CONFIGS / "enhancer.py")
    expected = read_config(values)
    for name in ("mesh", "kernels", "run"):
        del values[name]
    assert read_config(values) == expected


@pytest.mark.parametrize(
    ("override", "message"),
    [
        ("--config.run.dtype=float16", "dtype='float16' must be one of bfloat16, float32"),
        ("--config.kernels.attention=fast", "attention='fast' must be one of"),
        ("--config.dit.text_dim=32", "text states of width 32, but the text encoder makes 4096"),
    ],
)
def test_a_config_that_does_not_fit_is_refused(override, message):
    with pytest.raises(ValueError, match=message):
        read("contentv_8b", override)


def test_a_config_without_training_groups_has_no_step_of_training():
    with pytest.raises(ValueError, match=r"enhancer has no training groups: .* with --sampler"):
        report.Request(config=read("enhancer"), topology="v5p:2x2x1", size=SMALL)


@pytest.mark.parametrize("name", [*SIZES, "mugv_debug"])
def test_the_report_counts_the_work_of_its_system(monkeypatch, name):
    memory = Memory(arguments=1, temporaries=2, outputs=3, code=4)
    text = "ENTRY %main (x: f32[]) -> f32[] {\n  ROOT %x = f32[] parameter(0)\n}\n"
    compiled = Compiled(text=text, memory=memory, seconds=0)
    monkeypatch.setattr(report, "compile_sampler_step", lambda *_, **__: compiled)
    config, size = read(name), SMALL
    if name == "mugv_debug":
        size = VideoSize(width_px=48, height_px=32, frames=9)
        expected = dit_forward(config.dit, size.latent_shape, 300)
    elif name == "enhancer":
        expected = COSTS.forward(config.dit, size.latent_shape, 6)
    else:
        expected = mmdit_forward(config.dit, size.latent_shape, 333)
    request = report.Request(config=config, topology="h200:1", size=size, kind="sampler", rows=3)
    found = report.report(request, jax.devices()[:1])
    assert found["flops"] == {"model": 6 * expected, "hardware": 6 * expected}
    assert found["video"]["tokens"] == 2 * 2 * 3 + 2 * (name == "mugv_debug")
    assert found["memory"]["total"] == 10
