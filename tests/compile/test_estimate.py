# Copyright 2026 The mugv_jax Authors
# SPDX-License-Identifier: Apache-2.0
"""Work and time of a program from the text of the TPU compiler."""

import dataclasses

import numpy as np
import pytest

from mugv_jax.compile import hlo
from mugv_jax.compile.collectives import collectives
from mugv_jax.compile.estimate import GRID_STEP_SECONDS, Assumptions, estimate
from mugv_jax.compile.schedule import AttentionCall, Schedule
from mugv_jax.compile.torus import Torus
from mugv_jax.compile.work import AttentionRun, work_of
from mugv_jax.cost.chips import CHIPS

V5P = CHIPS["v5p"]
LAYERS, CYCLES = 56, 10**6
HEADS, TOKENS, HEAD_DIM = 3, 51200, 72
MOVED = 10**9
VALUES = 10**8
PAYLOAD = 2 * VALUES

CALL = AttentionCall(
    kernel="splash_mha_fwd", queries=TOKENS, keys=TOKENS, head_dim=HEAD_DIM, itemsize=2
)
SCHEDULE = Schedule(steps=2500, bundles=5044, matrix_cycles=4096)

PROGRAM = """HloModule step

%fused (a: f32[8]) -> f32[8] {
  %a = f32[8]{0} parameter(0)
  ROOT %sine = f32[8]{0} sine(%a), backend_config={"estimated_cycles":"999"}
}

%condition (p: (s32[], f32[8])) -> pred[] {
  %p = (s32[], f32[8]{0}) parameter(0)
  %at = s32[] get-tuple-element(%p), index=0
  %limit = s32[] constant(LAYERS)
  ROOT %less = pred[] compare(%at, %limit), direction=LT
}

%body (q: (s32[], f32[8])) -> (s32[], f32[8]) {
  %q = (s32[], f32[8]{0}) parameter(0)
  %was = s32[] get-tuple-element(%q), index=0
  %x = f32[8]{0} get-tuple-element(%q), index=1
  %one = s32[] constant(1)
  %next = s32[] add(%was, %one)
  %f = f32[8]{0} fusion(%x), calls=%fused, backend_config={"estimated_cycles":"CYCLES"}
  %splash_mha_fwd_residuals.3 = (bf16[H,N,E]{2,1,0}, f32[H,N,128]{2,1,0}) custom-call(%f), \
custom_call_target="tpu_custom_call", operand_layout_constraints={s8[1,52]{1,0}, \
bf16[H,N,E]{2,1,0}, bf16[H,N,E]{2,1,0}, bf16[H,N,E]{2,1,0}, s32[N,128]{1,0}}
  %norm_modulate.1 = bf16[H,N,E]{2,1,0} custom-call(%f), \
custom_call_target="tpu_custom_call", backend_config={"cost_estimate":{"bytes_accessed":"MOVED"}}
  %sent = (bf16[VALUES]{0}, bf16[VALUES]{0}, u32[]) collective-permute-start(%f), \
source_target_pairs={{0,1},{1,2},{2,3},{3,0}}
  %gathered = bf16[VALUES]{0} all-gather(%f), replica_groups={{0,1,2,3}}, dimensions={0}
  ROOT %out = (s32[], f32[8]{0}) tuple(%next, %f)
}

ENTRY %main (x.0: f32[8]) -> f32[8] {
  %x.0 = f32[8]{0} parameter(0)
  %zero = s32[] constant(0)
  %start = (s32[], f32[8]{0}) tuple(%zero, %x.0)
  %loop = (s32[], f32[8]{0}) while(%start), condition=%condition, body=%body
  ROOT %result = f32[8]{0} get-tuple-element(%loop), index=1
}
"""
WORDS = {
    "(LAYERS)": f"({LAYERS})",
    "CYCLES": f"{CYCLES}",
    "MOVED": f"{MOVED}",
    "VALUES": f"{VALUES}",
    "[H,N,E]": f"[{HEADS},{TOKENS},{HEAD_DIM}]",
    "[H,N,128]": f"[{HEADS},{TOKENS},128]",
    "[N,128]": f"[{TOKENS},128]",
}


def written(text):
    for word, number in WORDS.items():
        text = text.replace(word, number)
    return hlo.parse(text)


@pytest.fixture(scope="module")
def program():
    return written(PROGRAM)


def estimated(program, schedules=None, **assumed):
    torus = Torus(V5P, np.stack([np.zeros(4, int), np.zeros(4, int), np.arange(4)], axis=1))
    exchanges = list(collectives(program, 4))
    return estimate(work_of(program), schedules or {}, exchanges, torus, Assumptions(**assumed))


def test_work_is_that_of_all_layers_and_a_fusion_counts_once(program):
    work = work_of(program)
    assert work.cycles == {"body": LAYERS * CYCLES}
    assert work.kernels == {"splash_mha_fwd_residuals": LAYERS, "norm_modulate": LAYERS}
    assert work.uncounted == ()
    assert work.moved_bytes == {"body": LAYERS * MOVED}
    assert work.attention == {"body": {AttentionRun(CALL, HEADS): LAYERS}}
    assert work.attention_calls == [CALL]
    # Scores and values: two products of n n e per head.
    assert work.attention_flops == LAYERS * 2 * 2 * HEADS * TOKENS**2 * HEAD_DIM


@pytest.mark.parametrize(
    ("kernel", "arrays"),
    [
        ("attention_forward", "bf16[6,72,7168], bf16[6,384,72], bf16[6,72,384]"),
        ("attention_backward", "bf16[6,72,7168], bf16[6,384,72], bf16[6,72,384], bf16[6,384,72]"),
        ("splash_mha_dkv", "bf16[6,1,7168,72], bf16[6,1,384,72], bf16[6,1,384,72]"),
    ],
)
def test_tokens_and_heads_are_read_in_the_order_of_each_kernel(kernel, arrays):
    line = f"{{s32[1], {arrays}}}"
    found = work_of(
        hlo.parse(
            "HloModule step\n\nENTRY %main (x: f32[8]) -> f32[8] {\n"
            "  %x = f32[8]{0} parameter(0)\n"
            f"  ROOT %{kernel}.2 = f32[8]{{0}} custom-call(%x), "
            f'custom_call_target="tpu_custom_call", operand_layout_constraints={line}\n}}\n'
        )
    )
    call = AttentionCall(kernel=kernel, queries=7168, keys=384, head_dim=72, itemsize=2)
    assert found.attention == {"main": {AttentionRun(call, 6): 1}}


def test_a_kernel_that_nobody_knows_is_named():
    work = work_of(written(PROGRAM.replace("splash_mha_fwd", "mystery")))
    assert work.uncounted == ("mystery_residuals",)
    assert not work.attention


def test_attention_without_a_schedule_takes_the_assumed_share(program):
    found = estimated(program, attention=0.5)
    flops = LAYERS * 2 * 2 * HEADS * TOKENS**2 * HEAD_DIM
    assert found.attention == found.attention_least == pytest.approx(flops / V5P.peak_flops / 0.5)
    assert found.step_least == found.step


def test_attention_takes_its_schedule_and_at_most_the_steps_of_its_grid(program):
    found = estimated(program, {CALL: SCHEDULE})
    heads = 2  # three heads on two cores
    cycles = LAYERS * heads * 2500 * 5044
    assert found.attention_least == pytest.approx(cycles / V5P.clock_hz)
    steps = LAYERS * heads * 2500
    assert found.attention == pytest.approx(cycles / V5P.clock_hz + steps * GRID_STEP_SECONDS)
    assert found.step - found.step_least == pytest.approx(steps * GRID_STEP_SECONDS)
    slower = dataclasses.replace(SCHEDULE, matrix_cycles=2 * 5044)  # the matrix unit is the limit
    assert estimated(program, {CALL: slower}).attention_least == 2 * found.attention_least


def test_the_step_is_the_sum_of_its_parts(program):
    ideal = {"compiled": 1.0, "attention": 1.0, "memory": 1.0, "links": 1.0, "overlap": 1.0}
    found = estimated(program, **ideal)
    assert found.arithmetic == pytest.approx(LAYERS * CYCLES / V5P.clock_hz)
    assert found.modulation == pytest.approx(LAYERS * MOVED / V5P.hbm_bandwidth)
    assert found.step == pytest.approx(
        found.arithmetic + found.attention + found.modulation + sum(found.exposed.values())
    )
    assert set(found.exposed) == {"all-gather"}  # the kernel hides the permutation
    assert found.hidden == pytest.approx(LAYERS * PAYLOAD / V5P.link_bandwidth, rel=1e-3)
    assert found.sent == {
        "all-gather": LAYERS * PAYLOAD * 3 // 4,
        "collective-permute": LAYERS * PAYLOAD,
    }
    halved = estimated(program, **ideal | {"attention": 0.5})
    assert halved.attention == pytest.approx(2 * found.attention)


def test_without_overlap_everything_is_waited_for(program):
    apart = estimated(program, overlap=0.0)
    assert apart.hidden == 0
    assert set(apart.exposed) == {"all-gather", "collective-permute"}
    assert apart.step > estimated(program, overlap=1.0).step


def test_the_longest_part_is_the_limit(program):
    found = estimated(program)
    assert found.limit == "attention kernels"
    slow = dataclasses.replace(found, exposed={"all-reduce": 10 * found.step})
    assert slow.limit == "exchanges between chips"


def test_mfu_is_of_all_chips_together(program):
    found = estimated(program)
    busy = found.step * 4 * V5P.peak_flops
    assert found.mfu(busy / 2, 4, V5P) == pytest.approx(0.5)


@pytest.mark.parametrize(
    "wrong", [{"attention": 0.0}, {"links": 1.5}, {"compiled": -1.0}, {"overlap": 2.0}]
)
def test_impossible_assumptions_are_refused(wrong):
    (name,) = wrong
    with pytest.raises(ValueError, match=f"assumed {name}="):
        Assumptions(**wrong)
