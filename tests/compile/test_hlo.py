# Copyright 2026 The mugv_jax Authors
# SPDX-License-Identifier: Apache-2.0
"""Programs as text: compiled on the CPU, and lines of the TPU compiler."""

import jax
import jax.numpy as jnp
import pytest

from mugv_jax.compile import hlo

# The counter starts at 2, grows by 2 and ends at 8; constants may be copied.
COUNTED = """HloModule counted, is_scheduled=true

%condition (p.1: (u32[], f32[4])) -> pred[] {
  %limit = u32[]{:T(128)} constant(8), metadata={op_name="while"}
  %p.1 = (u32[]{:T(128)}, f32[4]{0:T(128)}) parameter(0)
  %at = u32[]{:T(128)} get-tuple-element(%p.1), index=0
  ROOT %less = pred[]{:T(512)} compare(%at, %limit), direction=LT
}

%body (p.2: (u32[], f32[4])) -> (u32[], f32[4]) {
  %p.2 = (u32[]{:T(128)}, f32[4]{0:T(128)}) parameter(0)
  %was = u32[]{:T(128)} get-tuple-element(%p.2), index=0
  %two = u32[]{:T(128)} constant(2)
  %x = f32[4]{0:T(128)} get-tuple-element(%p.2), index=1
  %next = u32[]{:T(128)} add(%was, %two)
  %twice = f32[4]{0:T(128)} multiply(%x, /*index=1*/%x)
  ROOT %out = (u32[]{:T(128)}, f32[4]{0:T(128)}) tuple(%next, %twice)
}

ENTRY %main (x.0: f32[4]) -> f32[4] {
  %x.0 = f32[4]{0:T(128)} parameter(0)
  %first = u32[]{:T(128)} constant(2)
  %copied = u32[]{:T(128)} copy(%first)
  %start = (u32[]{:T(128)}, f32[4]{0:T(128)}) tuple(%copied, %x.0)
  %loop = (u32[]{:T(128)}, f32[4]{0:T(128)}) while(%start), condition=%condition, body=%body
  ROOT %result = f32[4]{0:T(128)} get-tuple-element(%loop), index=1
}
"""


def times(program, opcode):
    return sum(run.times for run in program.runs() if run.instruction.opcode == opcode)


def compiled(function, *arguments):
    return hlo.parse(jax.jit(function).lower(*arguments).compile().as_text())


def test_nested_scans_multiply():
    def inner(x, _):
        return jnp.tanh(x), None

    def outer(x, _):
        return jax.lax.scan(inner, x, length=30)[0], None

    program = compiled(lambda x: jax.lax.scan(outer, x, length=70)[0], jnp.ones((4, 128)))
    assert times(program, "tanh") == 70 * 30
    assert program.unknown_loops() == ()


def test_a_counter_need_not_start_at_zero_or_go_in_ones():
    program = hlo.parse(COUNTED)
    assert times(program, "multiply") == 3
    inclusive = hlo.parse(COUNTED.replace("direction=LT", "direction=LE"))
    assert times(inclusive, "multiply") == 4
    stated = COUNTED.replace(
        "body=%body", 'body=%body, backend_config={"known_trip_count":{"n":"11"}}'
    )
    assert times(hlo.parse(stated), "multiply") == 11


def test_a_loop_of_unknown_length_is_named_and_counted_once():
    def halve(x):
        return jax.lax.while_loop(lambda x: jnp.sum(x) > 1, lambda x: jnp.sin(x) / 2, x)

    program = compiled(halve, jnp.ones((4, 128)))
    assert len(program.unknown_loops()) == 1
    assert times(program, "sine") == 1
    assert hlo.parse(COUNTED.replace("constant(8)", "parameter(1)")).unknown_loops() == ("loop",)


def test_types_have_their_size():
    line = (
        "  %x = (bf16[3,5]{1,0:T(8,128)(2,1)}, pred[7]{0}, /*index=2*/f32[]{:T(128)}) tuple(%a, %b)"
    )
    text = f"ENTRY %main () -> f32[] {{\n{line}\n}}\n"
    (run,) = hlo.parse(text).runs()
    assert run.instruction.arrays == (30, 7, 4)
    assert run.instruction.operands == ("a", "b")


def test_what_is_no_program_is_refused():
    with pytest.raises(ValueError, match="no ENTRY"):
        hlo.parse("module @jit_f {}")
