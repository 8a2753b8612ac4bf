# Copyright 2026 The mugv_jax Authors
# SPDX-License-Identifier: Apache-2.0
"""Options of a Wan2.1 request, with the values that its authors give for the 1.3B model at 480p.

    generate.py --task t2v-1.3B --size 832*480 --sample_shift 8 --sample_guide_scale 6

Steps, frames and rate are the defaults of that program (github.com/Wan-Video/Wan2.1, README.md,
generate.py and wan/configs), whose shift and scale without these options are 5, as for the 14B
model. It samples with UniPC, a multistep solver, at nearly the times that are used here with Euler
steps. diffusers' pipeline has the scale 5 and a shift of 3 at 480p.
"""

import dataclasses
from typing import ClassVar

from mugv_jax.flow.guidance import Guidance
from mugv_jax.systems.sizes import NamedLengths, NamedSizes
from mugv_jax.systems.text_request import TextRequest
from mugv_jax.systems.wan_text import NEGATIVE_PROMPT

# Width x height. The authors name the last two for the 14B model alone.
WAN_SIZES = {
    "landscape": (832, 480),
    "portrait": (480, 832),
    "720p": (1280, 720),
    "720p-portrait": (720, 1280),
}
FRAMES = 81  # five seconds


@dataclasses.dataclass(frozen=True, kw_only=True)
class WanRequest(TextRequest):
    """See `TextRequest`."""

    SIZES: ClassVar[NamedSizes] = WAN_SIZES
    LENGTHS: ClassVar[NamedLengths] = {"3s": 49, "5s": FRAMES}
    SIZE: ClassVar[str] = "landscape"
    FRAMES: ClassVar[int] = FRAMES
    GUIDANCE: ClassVar[float] = 6.0

    guidance: Guidance = dataclasses.field(default_factory=lambda: Guidance(scale=6.0))
    steps: int = 50
    shift: float = 8.0
    negative_prompt: str = NEGATIVE_PROMPT
    fps: float = 16.0
