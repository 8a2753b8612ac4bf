# Copyright 2026 The mugv_jax Authors
# SPDX-License-Identifier: Apache-2.0
"""Schedules of attention kernels; those of the TPU compiler only if libtpu is installed."""

import importlib.metadata

import pytest

from mugv_jax.compile.schedule import AttentionCall, Schedule, read, schedules
from mugv_jax.cost.chips import CHIPS

V5P, V6E = CHIPS["v5p"], CHIPS["v6e"]
WINDOW = "input window allocation for operator input {}. The window shape is bf16[1,{}], while the "
WINDOW += "full shape is bf16[2,{}]. The rest"
BUNDLES = f"""
     0   :  {{ %s1 = inlined_call_operand.vmem [] /* {WINDOW.format(1, "72,1024", "72,8192")} */ }}
   0x1   :  {{ %s2 = inlined_call_operand.vmem [] /* {WINDOW.format(2, "512,72", "8192,72")} */ }}
   0x2 LB: > {{ %1 = vst [vmem:[#a1]] %v1 }}
   0x3   : > {{ %2 = sbr.rel (%p1) target = $region4 }}
   0x4   : > {{ %3 = vmatmul.bf16.gmra.mxu0 %v1 }}
   0x5   : > {{ %4 = vmatmul.bf16.gmra.mxu0 %v1 }}
   0x6   : > {{ %5 = vmatmul.bf16.gmra.mxu0 %v1 }}
   0x7   : > {{ }}
   0x8   : > {{ %7 = vmatmul.msk.bf16.gmra.mxu0 %v1  ;;  %8 = vmatmul.msk.bf16.gmra.mxu1 %v1 }}
   0x9   : > {{ %9 = vmatpush.bf16.msra.mxu0 %v1 }}
   0xa   : > {{ %1 = vmatmul.f32.vlgmr.msrb.gmra.mxu0 %v1 ;; %2 = vmatmul.mubr.bf16.gmra.mxu0 %v1 }}
   0xb PF: > {{ %12 = vmatmul.bf16.gmra.mxu0 %v1 }}
"""


def test_a_step_is_the_part_between_branches_with_most_products():
    found = read(BUNDLES, V5P)
    # 0x8 to 0xa, after the bundles that follow a branch in any case; 16 + 8 + 16 rows.
    assert found == Schedule(steps=8 * 16, bundles=3, matrix_cycles=40)
    assert found.cycles == 8 * 16 * 40
    assert read(BUNDLES, V6E).matrix_cycles == 20


def test_a_row_takes_a_matrix_unit_one_cycle_or_half_of_it():
    assert {name: chip.cycles_per_row for name, chip in CHIPS.items()} == {
        "v5e": 1.0,
        "v5p": 1.0,
        "v6e": 0.5,
    }


# Of docs/benchmarks.md: cycles of a pair of blocks with libtpu 0.0.42, heads of 72, bfloat16.
MEASURED = {
    ("v5p:2x2x1", "attention_forward"): Schedule(steps=8, bundles=6898, matrix_cycles=6656),
    ("v5p:2x2x1", "attention_backward"): Schedule(steps=8, bundles=13875, matrix_cycles=15872),
}


@pytest.mark.parametrize(("topology", "kernel"), MEASURED)
def test_the_documented_cycles_are_those_of_the_compiler(topology, kernel):
    pytest.importorskip("libtpu", reason="libtpu, which holds the TPU compiler, is not installed")
    call = AttentionCall(kernel=kernel, queries=4096, keys=4096, head_dim=72, itemsize=2)
    found = schedules([call], topology)[call]
    expected = MEASURED[topology, kernel]
    assert (found.steps, found.matrix_cycles) == (expected.steps, expected.matrix_cycles)
    if importlib.metadata.version("libtpu").startswith("0.0.42"):  # others schedule differently
        assert found.bundles == expected.bundles


def test_a_compiler_that_fails_is_one_line():
    pytest.importorskip("libtpu", reason="libtpu, which holds the TPU compiler, is not installed")
    call = AttentionCall(kernel="attention_forward", queries=128, keys=128, head_dim=72, itemsize=2)
    with pytest.raises(ValueError, match="schedules of attention kernels for v5p:9x9x9x9 are") as e:
        schedules([call], "v5p:9x9x9x9")
    assert "\n" not in str(e.value)
