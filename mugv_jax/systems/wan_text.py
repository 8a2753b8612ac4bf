# Copyright 2026 The mugv_jax Authors
# SPDX-License-Identifier: Apache-2.0
"""Texts as Wan2.1 reads them: cleaning, UMT5, and the published negative prompt."""

import html
from collections.abc import Sequence
from typing import Any

from mugv_jax.axes import Bool, Int
from mugv_jax.systems.models import Sizes, TextModels

# `sample_neg_prompt` of the published code.
NEGATIVE_PROMPT = (
    "色调艳丽，过曝，静态，细节模糊不清，字幕，风格，作品，画作，画面，静止，整体发灰，最差质量，"
    "低质量，JPEG压缩残留，丑陋的，残缺的，多余的手指，画得不好的手部，画得不好的脸部，畸形的，"
    "毁容的，形态畸形的肢体，手指融合，静止不动的画面，杂乱的背景，三条腿，背景人很多，倒着走"
)


class WanTextModels(TextModels[Sizes]):
    """Models of a system whose texts UMT5 reads."""

    def tokenize(self, prompts: Sequence[str]) -> tuple[Int[Any, "b s"], Bool[Any, "b s"]]:
        """See `TextModels.tokenize`; the prompts are cleaned first."""
        return super().tokenize([cleaned(prompt) for prompt in prompts])


def cleaned(prompt: str) -> str:
    """Text in the form of UMT5's training: repaired characters, no HTML entities, single spaces."""
    import ftfy

    return " ".join(html.unescape(html.unescape(ftfy.fix_text(prompt))).split())
