# Copyright 2026 The mugv_jax Authors
# SPDX-License-Identifier: Apache-2.0
"""Modulation by the Triton kernels: their numbers, their machine code, and their calls from JAX.

The numbers come from Triton's interpreter and the machine code from its compiler, both without a
GPU and in processes of their own.
"""

import importlib.util
import json
import logging
import os
import subprocess
import sys

import jax
import jax.numpy as jnp
import pytest
from jax.export import DisabledSafetyCheck, export
from jax.sharding import AbstractDevice, AbstractMesh, AxisType

from mugv_jax.kernels import select
from mugv_jax.kernels.modulate import Modulation, module
from tests.kernels.float64 import arguments, heads

needs_triton = pytest.mark.skipif(
    importlib.util.find_spec("triton") is None or importlib.util.find_spec("torch") is None,
    reason="Triton or PyTorch is not installed: pip install 'mugv_jax[test]' on Linux",
)
needs_jax_triton = pytest.mark.skipif(
    any(importlib.util.find_spec(name) is None for name in ("jax_triton", "jax_cuda13_plugin")),
    reason="jax-triton or jax's CUDA plugin is not installed: pip install mugv_jax[cuda13,triton]",
)
OPERATIONS = {
    "norm_modulate": "x shift scale group",
    "gate_residual": "x update bias gate group",
    "gate_residual_norm_modulate": "x update bias gate shift scale group",
    "norm_rotate": None,
}


def run(program, folder):
    """Output of a program of this folder."""
    done = subprocess.run(
        [sys.executable, "-m", f"tests.kernels.{program}"],
        env=os.environ | {"TRITON_CACHE_DIR": str(folder)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-3000:]
    return done.stdout


@needs_triton
def test_kernels_equal_float64_in_the_interpreter(tmp_path):
    run("interpreted_triton", tmp_path)


@needs_triton
def test_one_kernel_forward_and_one_backward_compile_for_hopper_without_spilling(tmp_path):
    kernels = [name + half for name in OPERATIONS for half in ("", "_backward")]
    assert json.loads(run("compiled_triton", tmp_path)) == [[name, 0] for name in kernels]


def on(kind):
    """Traces for an absent GPU."""
    device = AbstractDevice(device_kind=kind, num_cores=None, platform="gpu")
    axes = {"axis_types": (AxisType.Auto,), "abstract_device": device}
    return jax.sharding.use_abstract_mesh(AbstractMesh((1,), ("data",), **axes))


@needs_jax_triton
@pytest.mark.parametrize("name", OPERATIONS)
def test_kernels_are_lowered_for_a_gpu_that_is_not_there(name):
    target = "triton_kernel_call"
    if OPERATIONS[name] is None:
        given = heads((1, 50, 16, 72), jnp.bfloat16)
    else:
        given = arguments(OPERATIONS[name], (1, 50, 1152, 4), jnp.bfloat16)
    operation = getattr(Modulation(), name)

    def derived(given, weights):
        return jax.vjp(lambda given: operation(**given), given)[1](weights)

    with on("NVIDIA H200"):
        assert select.modulation() == "triton"
        weights = jax.eval_shape(lambda given: operation(**given), given)
        options = {
            "platforms": ["cuda"],
            "disabled_checks": [DisabledSafetyCheck.custom_call(target)],
        }
        forward = export(jax.jit(lambda given: operation(**given)), **options)(given)
        both = export(jax.jit(derived), **options)(given, weights)
    assert forward.mlir_module().count(f"@{target}") == 1
    # (c) keeps its first output for its derivative; the others keep their inputs only.
    kept = name == "gate_residual_norm_modulate"
    assert both.mlir_module().count(f"@{target}") == 1 + kept


def test_a_gpu_without_jax_triton_uses_xla_and_says_so_once(monkeypatch, caplog):
    monkeypatch.setitem(sys.modules, "jax_triton", None)
    select._gpu_modulation.cache_clear()
    with on("NVIDIA H200"), caplog.at_level(logging.WARNING):
        assert [select.modulation() for _ in range(3)] == ["xla"] * 3
    select._gpu_modulation.cache_clear()
    (line,) = caplog.messages
    assert "pip install 'mugv_jax[triton]'" in line


def test_without_jax_triton_the_extra_is_named(monkeypatch):
    monkeypatch.setitem(sys.modules, "jax_triton", None)
    monkeypatch.delitem(sys.modules, "mugv_jax.kernels.modulate_triton", raising=False)
    with pytest.raises(ValueError, match=r"install mugv_jax\[triton\].*choose modulation='xla'"):
        module("triton")


@needs_jax_triton
def test_a_program_for_a_cpu_is_refused():
    given = arguments(OPERATIONS["norm_modulate"], (1, 5, 24, 2), jnp.float32)
    with pytest.raises(ValueError, match="NVIDIA GPUs, but this program is for a cpu"):
        Modulation("triton").norm_modulate(**given)
