# Copyright 2026 The mugv_jax Authors
# SPDX-License-Identifier: Apache-2.0
"""The aesthetic score at the end of a prompt, as in the captions that MUG-V was trained on."""

import re

AESTHETIC = re.compile(r" aesthetic score: \d+(\.\d+)?\.?\s*\Z")


def with_score(prompt: str, score: float) -> str:
    """The prompt, followed by its score from 0 to 10."""
    return f"{prompt} aesthetic score: {score:.1f}."
