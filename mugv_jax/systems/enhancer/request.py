# Copyright 2026 The mugv_jax Authors
# SPDX-License-Identifier: Apache-2.0
"""Options of an enhancement, checked before any model is loaded."""

import dataclasses
import logging
import os
from collections.abc import Mapping
from typing import Any, TypedDict

from mugv_jax.bounds import MAX_SEED
from mugv_jax.files import check_text
from mugv_jax.flow.guidance import Guidance
from mugv_jax.systems.arguments import pixels_of
from mugv_jax.systems.record import record_of
from mugv_jax.systems.sizes import WanSize
from mugv_jax.systems.tiles import Tiling
from mugv_jax.systems.time_windows import check_windows
from mugv_jax.systems.wan_text import NEGATIVE_PROMPT
from mugv_jax.video.records import Record, read_record

log = logging.getLogger(__name__)

PROMPT = "High quality video, HD, clear, motion, cinema"


class EnhanceOptions(TypedDict, total=False):
    """Fields of `EnhanceRequest`."""

    prompt: str
    steps: int
    sigma: float
    guidance: float | Guidance
    negative_prompt: str
    window: int
    overlap: int
    seed: int


@dataclasses.dataclass(frozen=True, kw_only=True)
class EnhanceRequest:
    """Options of an enhancement; the defaults are those of the released enhancer.

    steps: denoising steps from time `sigma` down to 0.
    sigma: time in (0, 1] from which a window is sampled; a larger one changes more of it.
    negative_prompt: text that guidance leads away from.
    window: number of frames that the model processes at once, 4k+1.
    overlap: frames that neighbouring windows share; the released enhancer has a single window.
    seed: seed of the first window's noise; window number i (from 0) has seed + i.

    Raises:
        ValueError: any value out of range.
    """

    prompt: str = PROMPT
    steps: int = 1
    sigma: float = 0.3
    guidance: Guidance = dataclasses.field(default_factory=lambda: Guidance(scale=2.0))
    negative_prompt: str = NEGATIVE_PROMPT
    window: int = 105
    overlap: int = 8
    seed: int = 42

    def __post_init__(self):
        if not self.prompt.strip():
            raise ValueError("the prompt is empty: describe the video or its quality in words.")
        check_text("prompt", self.prompt)
        check_text("negative prompt", self.negative_prompt)
        if self.steps < 1:
            raise ValueError(f"steps={self.steps} must be at least 1.")
        if not 0 < self.sigma <= 1:
            raise ValueError(
                f"sigma={self.sigma} must lie in (0, 1]: 0 would change nothing, 1 is pure noise."
            )
        if self.window <= WanSize.TEMPORAL or self.window % WanSize.TEMPORAL != 1:
            raise ValueError(f"window={self.window} must be 4k+1 frames from 5 up, such as 105.")
        check_windows(self.window, self.overlap)
        if not 0 <= self.seed <= MAX_SEED:
            raise ValueError(f"seed={self.seed} must lie in 0 to {MAX_SEED}.")

    def record(self, models: Any, tiling: Tiling | None, source: Any, **more: Any) -> Record:
        """Record of the video that `models` make of `source`, with that of the source inside.

        source: path, frames, or a `Video`.
        more: further settings, such as `blur`.
        """
        settings = {field.name: getattr(self, field.name) for field in dataclasses.fields(self)}
        prompt, seed = settings.pop("prompt"), settings.pop("seed")
        earlier, frames = source_record(source), getattr(source, "frames", source)
        made = record_of(
            models,
            prompt=prompt,
            seed=seed,
            settings={**settings, **more},
            inputs={"video": pixels_of(frames)},
            tiling=tiling,
        )
        return made if earlier is None else {**made, "source": earlier}


def source_record(source: Any) -> Record | None:
    """Record of how a video to enhance was made, or None; a broken one counts as none."""
    if not isinstance(source, str | os.PathLike):
        return getattr(source, "record", None)
    try:
        return read_record(source)
    except ValueError as error:
        log.warning("%s It is left out of the result.", error)
        return None


def request_of(options: Mapping[str, Any]) -> EnhanceRequest:
    """Request from options, of which the guidance may be a scale.

    Raises:
        ValueError: see `EnhanceRequest`.
    """
    guidance = options.get("guidance")
    if guidance is None or isinstance(guidance, Guidance):
        return EnhanceRequest(**options)
    return EnhanceRequest(**{**options, "guidance": Guidance(scale=guidance)})
