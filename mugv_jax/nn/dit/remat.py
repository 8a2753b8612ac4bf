# Copyright 2026 The mugv_jax Authors
# SPDX-License-Identifier: Apache-2.0
"""Rematerialisation: what the backward pass keeps of a block, and what it recomputes.

| policy    | kept of each block                                               | recomputed        |
| --------- | ---------------------------------------------------------------- | ----------------- |
| none      | every array that the backward pass reads                         | nothing           |
| dots      | its input, outputs of its linear layers, attention's out and lse | cheap operations  |
| attention | its input, attention's out and lse                               | all but attention |
| full      | its input                                                        | the whole block   |
| offload   | its input, attention's out and lse, all in host memory           | all but attention |
"""

from collections.abc import Callable, Mapping
from typing import Any

import flax.linen as nn
import jax

from mugv_jax.kernels.attention import SAVED

# Checkpoint name of a block's input.
RESIDUAL = "residual"

_policies = jax.checkpoint_policies
# None keeps everything: the block is not rematerialised.
POLICIES: Mapping[str, Callable[..., Any] | None] = {
    "none": None,
    "dots": _policies.save_from_both_policies(
        _policies.dots_with_no_batch_dims_saveable, _policies.save_only_these_names(SAVED)
    ),
    # The scan over blocks carries the input, so that it is kept whatever the policy says.
    "attention": _policies.save_only_these_names(SAVED),
    "full": _policies.nothing_saveable,
    "offload": _policies.save_and_offload_only_these_names(
        names_which_can_be_saved=[],
        names_which_can_be_offloaded=[RESIDUAL, SAVED],
        offload_src="device",
        offload_dst="pinned_host",
    ),
}


def check_policy(policy: str) -> None:
    """Raise a ValueError for an unknown policy."""
    if policy not in POLICIES:
        raise ValueError(f"remat={policy!r} must be one of {', '.join(POLICIES)}.")


def rematerialised(block: type[nn.Module], policy: str) -> type[nn.Module]:
    """Class `block` under a policy of the table.

    Raises:
        ValueError: unknown policy.
    """
    check_policy(policy)
    if POLICIES[policy] is None:
        return block
    # Inside a scan XLA cannot merge the recomputation with the forward pass anyway.
    return nn.remat(block, prevent_cse=False, policy=POLICIES[policy])
