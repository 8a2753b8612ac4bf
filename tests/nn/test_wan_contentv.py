# Copyright 2026 The mugv_jax Authors
# SPDX-License-Identifier: Apache-2.0
import jax.numpy as jnp
import pytest

from mugv_jax import golden
from mugv_jax.nn.mmdit.model import MMDiTConfig
from mugv_jax.nn.wan.dit import WanDiTConfig
from tests.nn.test_vae import PARITY, relative_error
from tests.weights.checkpoints import GOLDEN

CASES = (
    (
        "enhancer/enhancer_dit_tiny",
        {"out_i2v", "out_t2v", "out_i2v_lora", "out_i2v_lora unmerged"},
    ),
    ("contentv/contentv_tiny", {"out", "pos_embed"}),
    ("enhancer/umt5_tiny", {"out"}),
)
HALF_PRECISION = 3e-2  # bfloat16 weights, rounded once more between all layers


@pytest.mark.parametrize(("case", "names"), CASES, ids=[case for case, _ in CASES])
@pytest.mark.parametrize(
    ("dtype", "tolerance"), [(jnp.float32, PARITY), (jnp.bfloat16, HALF_PRECISION)]
)
def test_golden_numbers(case, names, dtype, tolerance):
    found = golden.read_case(GOLDEN.parent / f"{case}.json", dtype)
    outputs = golden.kinds()[found.spec["kind"]](found)
    assert set(outputs) == names
    for name, (ours, reference) in outputs.items():
        assert relative_error(ours, reference) < tolerance, name


@pytest.mark.parametrize("case", ["enhancer/flow_match_schedules", "contentv/contentv_schedule"])
def test_golden_schedules(case):
    outputs = golden.kinds()["schedules"](golden.read_case(GOLDEN.parent / f"{case}.json"))
    assert outputs
    for name, (ours, reference) in outputs.items():
        assert relative_error(ours, reference) < 1e-6, name


@pytest.mark.parametrize(
    ("make", "change", "message"),
    [
        (WanDiTConfig, {"num_heads": 7}, "must be even and at least 6"),
        (WanDiTConfig, {"patch": (2, 2, 2)}, r"must be \(1, h, w\)"),
        (WanDiTConfig, {"depth": 0}, "depth=0 must be at least 1"),
        (MMDiTConfig, {"depth": 1}, "depth=1 must be at least 2"),
        (MMDiTConfig, {"num_heads": 1, "head_dim": 8}, "must divide by 16"),
        (MMDiTConfig, {"patch": (1, 2, 0)}, r"must be \(1, h, w\)"),
    ],
)
def test_impossible_sizes_are_refused(make, change, message):
    with pytest.raises(ValueError, match=message):
        make(**change)
