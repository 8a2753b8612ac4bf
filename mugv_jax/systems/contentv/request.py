# Copyright 2026 The mugv_jax Authors
# SPDX-License-Identifier: Apache-2.0
"""Options of a ContentV request, checked before any model is loaded."""

import dataclasses
from collections.abc import Sequence
from typing import Any, TypedDict, Unpack

from mugv_jax.files import check_text
from mugv_jax.flow.guidance import Guidance
from mugv_jax.flow.schedule import check_shift
from mugv_jax.systems.mugv.request import check_prompts, seeds_of
from mugv_jax.systems.record import record_of
from mugv_jax.systems.sizes import WanSize, pair_of, parse_frames, parse_size
from mugv_jax.systems.tiles import Tiling
from mugv_jax.video.records import Record

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
RECORDED = ("steps", "shift", "guidance", "negative_prompt", "fps")
FRAMES = 125  # about five seconds
LENGTHS = {"3s": 73, "5s": FRAMES}
GUIDANCE = 6.0


@dataclasses.dataclass(frozen=True, kw_only=True)
class ContentvRequest:
    """Videos of one size, one per prompt. Defaults are those of the released pipeline.

    shift: how far times are shifted towards noise (`flow/schedule.py`).
    negative_prompt: text that guidance leads away from; empty means the empty text.
    fps: frame rate of the file, 1 to 1000.
    seed: seed of the noise; prompt number i (from 0) has seed + i, or entry i of a list.

    Raises:
        ValueError: any value out of range.
    """

    prompts: tuple[str, ...]
    size: WanSize
    steps: int = 50
    shift: float = 17.0
    guidance: Guidance = dataclasses.field(default_factory=lambda: Guidance(scale=GUIDANCE))
    negative_prompt: str = ""
    fps: float = 24.0
    seed: int | Sequence[int] = 42

    def __post_init__(self):
        check_prompts(self.prompts)
        check_text("negative prompt", self.negative_prompt)
        if self.steps < 1:
            raise ValueError(f"steps={self.steps} must be at least 1.")
        check_shift(self.shift)
        if not 1 <= self.fps <= 1000:
            raise ValueError(f"fps={self.fps} must lie in 1 to 1000.")
        self.seeds()

    def seeds(self) -> list[int]:
        """Seeds of the noise of all prompts."""
        return seeds_of(self.seed, len(self.prompts))

    def records(self, models: Any, tiling: Tiling | None) -> list[Record]:
        """Record of each video that `models` make of this request; see `systems/record.py`."""
        size = self.size
        settings = {
            "size": (size.width_px, size.height_px),
            "frames": size.frames,
            **{name: getattr(self, name) for name in RECORDED},
        }
        return [
            record_of(models, prompt=prompt, seed=seed, settings=settings, tiling=tiling)
            for prompt, seed in zip(self.prompts, self.seeds(), strict=True)
        ]


class RequestOptions(TypedDict, total=False):
    """Fields of `ContentvRequest` beside the prompts that `make_request` passes on."""

    steps: int
    shift: float
    negative_prompt: str
    fps: float
    seed: int | Sequence[int]


class GenerateOptions(RequestOptions, total=False):
    """Options of `make_request`."""

    size: tuple[int, int] | str
    frames: int | str
    guidance: float | Guidance


def make_request(
    prompts: tuple[str, ...],
    *,
    size: tuple[int, int] | str = CONTENTV_SIZES["16:9"],
    frames: int | str = FRAMES,
    guidance: float | Guidance = GUIDANCE,
    **options: Unpack[RequestOptions],
) -> ContentvRequest:
    """A request with `options`, fields of `ContentvRequest`; three have a simpler form here.

    size: (width, height) in pixels, multiples of 16, or a text such as "16:9".
    frames: 4k+1, or a text such as "5s".
    guidance: a scale, or a `Guidance`.

    Raises:
        ValueError: see `WanSize` and `ContentvRequest`.
    """
    if isinstance(size, str):
        size = parse_size(size, CONTENTV_SIZES)
    if isinstance(frames, str):
        frames = parse_frames(frames, LENGTHS, WanSize.FRAMES_FORM)
    width, height = pair_of(size)
    if not isinstance(guidance, Guidance):
        guidance = Guidance(scale=guidance)
    return ContentvRequest(
        prompts=prompts,
        size=WanSize(width_px=width, height_px=height, frames=frames),
        guidance=guidance,
        **options,
    )
