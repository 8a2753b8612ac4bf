# Copyright 2026 The mugv_jax Authors
# SPDX-License-Identifier: Apache-2.0
"""The benchmark compares equal things: outputs first, then time, fresh inputs in turns."""

import jax.numpy as jnp
import pytest
import torch

from tools.benchmarks.measure import Comparison, measure
from tools.benchmarks.run import Options, run_apart


def comparison(calls: list[str], factor: float) -> Comparison:
    """Products of the same matrices; ours times `factor`."""

    def inputs():
        calls.append("inputs")
        x = torch.randn(8, 8)
        return (jnp.asarray(x.numpy()),), (x,)

    def ours(x):
        calls.append("ours")
        return factor * (x @ x)

    def theirs(x):
        calls.append("theirs")
        return x @ x

    return Comparison(
        inputs=inputs, ours=ours, theirs=theirs, layout="i j -> i j", tolerance=1e-5, sizes={}
    )


def test_both_sides_take_turns_on_fresh_inputs():
    calls = []
    result = measure(comparison(calls, 1.0), repeats=3, device=torch.device("cpu"))
    timed = calls[calls.index("inputs", 1) :]
    assert timed == ["inputs", "ours", "theirs"] * 3
    assert [len(result[side]["samples_s"]) for side in ("ours", "pytorch")] == [3, 3]
    assert result["flops"] == 2 * 8**3


def test_nothing_is_timed_when_the_outputs_differ():
    calls = []
    with pytest.raises(ArithmeticError, match=r"differ by 1\.00e-01"):
        measure(comparison(calls, 1.1), repeats=3, device=torch.device("cpu"))
    assert calls.count("ours") == 1


def test_a_case_runs_in_its_own_process_and_a_failure_is_a_result():
    options = Options(device="cpu", dtype="float32", repeats=1, torch_compile=False)
    assert run_apart("dit-tiny", options)["relative_l2"] < 1e-5
    assert "KeyError" in run_apart("no-such-case", options)["failed"]
