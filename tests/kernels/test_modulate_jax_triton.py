# Copyright 2026 The mugv_jax Authors
# SPDX-License-Identifier: Apache-2.0
"""The Triton kernels behind jax-triton against float64, in a process of their own."""

import importlib.util
import subprocess
import sys

import pytest

from mugv_jax.kernels.modulate import module


@pytest.mark.skipif(
    importlib.util.find_spec("triton") is None or importlib.util.find_spec("torch") is None,
    reason="the interpreter needs Triton (the extra 'triton') and PyTorch",
)
def test_kernels_equal_float64_in_the_interpreter():
    command = [sys.executable, "-m", "tests.kernels.interpreted_triton"]
    run = subprocess.run(command, capture_output=True, text=True, timeout=300)
    assert run.returncode == 0, run.stderr[-3000:]


@pytest.mark.skipif(
    importlib.util.find_spec("jax_triton") is not None, reason="jax-triton is installed"
)
def test_without_jax_triton_the_extra_is_named():
    with pytest.raises(ValueError, match=r"install mugv_jax\[triton\]"):
        module("jax_triton")
