# Copyright 2026 The mugv_jax Authors
# SPDX-License-Identifier: Apache-2.0
"""Options of a request for videos of texts alone, checked before any model is loaded."""

import dataclasses
from collections.abc import Sequence
from typing import Any, ClassVar, TypedDict, TypeVar, Unpack

from mugv_jax.files import check_text
from mugv_jax.flow.guidance import Guidance
from mugv_jax.flow.schedule import check_shift
from mugv_jax.systems.arguments import check_prompts, seeds_of
from mugv_jax.systems.record import record_of
from mugv_jax.systems.sizes import (
    NamedLengths,
    NamedSizes,
    WanSize,
    pair_of,
    parse_frames,
    parse_size,
)
from mugv_jax.systems.tiles import Tiling
from mugv_jax.video.records import Record

Own = TypeVar("Own", bound="TextRequest")  # the system's class of requests
RECORDED = ("steps", "shift", "guidance", "negative_prompt", "fps")


class RequestOptions(TypedDict, total=False):
    """Fields of `TextRequest` beside the prompts that `TextRequest.of` passes on."""

    steps: int
    shift: float
    negative_prompt: str
    fps: float
    seed: int | Sequence[int]


class GenerateOptions(RequestOptions, total=False):
    """Options of `TextRequest.of`."""

    size: tuple[int, int] | str
    frames: int | str
    guidance: float | Guidance


@dataclasses.dataclass(frozen=True, kw_only=True)
class TextRequest:
    """Videos of one size, one per prompt. A system's class has the values of its released pipeline.

    steps: denoising steps.
    shift: how far times are shifted towards noise (`flow/schedule.py`).
    negative_prompt: text that guidance leads away from; empty means the empty text.
    fps: frame rate of the file, 1 to 1000.
    seed: seed of the noise; prompt number i (from 0) has seed + i, or entry i of a list.

    SIZES, LENGTHS: (width, height) in pixels, and frames, by name.
    SIZE, FRAMES, GUIDANCE: name of the default size, default frames and scale.

    Raises:
        ValueError: any value out of range.
    """

    SIZES: ClassVar[NamedSizes]
    LENGTHS: ClassVar[NamedLengths]
    SIZE: ClassVar[str]
    FRAMES: ClassVar[int]
    GUIDANCE: ClassVar[float]

    prompts: tuple[str, ...]
    size: WanSize
    guidance: Guidance
    steps: int
    shift: float
    negative_prompt: str
    fps: float
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

    @classmethod
    def of(
        cls: type[Own],
        prompts: tuple[str, ...],
        *,
        size: tuple[int, int] | str | None = None,
        frames: int | str | None = None,
        guidance: float | Guidance | None = None,
        **options: Unpack[RequestOptions],
    ) -> Own:
        """A request with `options`, fields of the class; three have a simpler form here.

        size: (width, height) in pixels, multiples of 16, or a text such as "16:9".
        frames: 4k+1, or a text such as "5s".
        guidance: a scale, or a `Guidance`.

        Raises:
            ValueError: see `WanSize` and the class.
        """
        size = cls.SIZE if size is None else size
        frames = cls.FRAMES if frames is None else frames
        guidance = cls.GUIDANCE if guidance is None else guidance
        if isinstance(size, str):
            size = parse_size(size, cls.SIZES)
        if isinstance(frames, str):
            frames = parse_frames(frames, cls.LENGTHS, WanSize.FRAMES_FORM)
        width, height = pair_of(size)
        if not isinstance(guidance, Guidance):
            guidance = Guidance(scale=guidance)
        given: Any = options
        return cls(
            prompts=prompts,
            size=WanSize(width_px=width, height_px=height, frames=frames),
            guidance=guidance,
            **given,
        )

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
