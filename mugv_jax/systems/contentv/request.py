# Copyright 2026 The mugv_jax Authors
# SPDX-License-Identifier: Apache-2.0
"""Options of a ContentV request, with the values of the released pipeline."""

import dataclasses
from typing import ClassVar

from mugv_jax.flow.guidance import Guidance
from mugv_jax.systems.sizes import NamedLengths, NamedSizes
from mugv_jax.systems.text_request import TextRequest

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
FRAMES = 125  # about five seconds


@dataclasses.dataclass(frozen=True, kw_only=True)
class ContentvRequest(TextRequest):
    """See `TextRequest`."""

    SIZES: ClassVar[NamedSizes] = CONTENTV_SIZES
    LENGTHS: ClassVar[NamedLengths] = {"3s": 73, "5s": FRAMES}
    SIZE: ClassVar[str] = "16:9"
    FRAMES: ClassVar[int] = FRAMES
    GUIDANCE: ClassVar[float] = 6.0

    guidance: Guidance = dataclasses.field(default_factory=lambda: Guidance(scale=6.0))
    steps: int = 50
    shift: float = 17.0
    negative_prompt: str = ""
    fps: float = 24.0
