# Copyright 2026 The mugv_jax Authors
# SPDX-License-Identifier: Apache-2.0
"""The one table from logical axes (`axes.LOGICAL_AXES`) to mesh axes (`mesh.AXES`)."""

RULES = (
    ("batch", ("data", "fsdp")),
    ("frames", ("data", "fsdp", "sequence", "tensor")),
    ("rows", ("sequence", "tensor")),
    ("tokens", "sequence"),
    ("residual_tokens", ("sequence", "tensor")),
    ("heads", "tensor"),
    ("mlp", "tensor"),
    ("vocab", "tensor"),
    ("embed", ("fsdp", "sequence")),  # weights only: an activation's width stays unnamed
    ("head_dim", None),
    ("qkv", None),
    ("layers", "pipeline"),
    ("modulation", None),
    ("conv_in", None),
    ("conv_out", None),
)
