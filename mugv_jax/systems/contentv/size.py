# Copyright 2026 The mugv_jax Authors
# SPDX-License-Identifier: Apache-2.0
"""Named sizes of ContentV's videos, on the grid of `systems/wan_size.py`, and lengths of texts."""

from mugv_jax.nn.text.clip import ClipTextConfig

# Width x height. ContentV is trained on seven shapes with about as many pixels as the first; the
# sides of the others on the grid are our choice.
CONTENTV_SIZES = {
    "16:9": (768, 432),
    "3:2": (720, 480),
    "4:3": (656, 496),
    "1:1": (576, 576),
    "3:4": (496, 656),
    "2:3": (480, 720),
    "9:16": (432, 768),
}
# Names that all systems share.
COMMON_SIZES = {"landscape": CONTENTV_SIZES["16:9"], "portrait": CONTENTV_SIZES["9:16"]}

T5_TOKENS = 256
TEXT_TOKENS = ClipTextConfig.length + T5_TOKENS  # both CLIPs share their tokens
