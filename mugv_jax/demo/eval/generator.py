# Copyright 2026 The mugv_jax Authors
# SPDX-License-Identifier: Apache-2.0
"""Generators, which an evaluation measures: anything that makes videos for captions."""

import dataclasses
from collections.abc import Sequence
from typing import Protocol, runtime_checkable

import numpy as np
from jaxtyping import UInt8

from mugv_jax.flow.guidance import Guidance
from mugv_jax.systems.frames import Videos
from mugv_jax.systems.mugv.pipeline import MugvPipeline
from mugv_jax.systems.mugv.request import Request, read_given
from mugv_jax.systems.mugv.size import VideoSize

Pictures = UInt8[np.ndarray, "b _h _w 3"]  # sizes in pixels


@runtime_checkable
class Generator(Protocol):
    """Makes the videos that are measured."""

    def generate(
        self, captions: Sequence[str], seeds: Sequence[int], first: Pictures | None = None
    ) -> Videos:
        """One video per caption, from noise of its seed, that begins with its picture, if any."""
        ...

    def reconstruct(self, videos: Videos) -> Videos:
        """The videos after encoding and decoding."""
        ...


@dataclasses.dataclass(frozen=True, kw_only=True)
class PipelineGenerator:
    """A `Generator` that asks a pipeline for what the model has seen in training.

    Captions are prompts as they are, without a score, and guidance leads away from no text.

    pipeline: its models should be kept loaded, for each batch needs all of them.
    size: of all videos, 8k+1 frames.
    fps: frames per second that the model is told.
    steps, shift: see `Request`.
    guidance: scale of the guidance.
    rows: videos computed at a time, each time as many, so that one program serves all.
    """

    pipeline: MugvPipeline
    size: VideoSize
    fps: float
    steps: int
    shift: float | None
    guidance: float
    rows: int

    def generate(
        self, captions: Sequence[str], seeds: Sequence[int], first: Pictures | None = None
    ) -> Videos:
        """See `Generator.generate`."""
        request = Request(
            prompts=tuple(captions),
            size=self.size,
            image=None if first is None else list(first),
            steps=self.steps,
            guidance=Guidance(scale=self.guidance),
            shift=self.shift,
            negative_prompt="",
            conditioning_fps=self.fps,
            aesthetic_score=None,
            seed=list(seeds),
            rows=self.rows,
        )
        made = self.pipeline.run(request, read_given(request), progress=False)
        return np.stack([each.frames for each in made])

    def reconstruct(self, videos: Videos) -> Videos:
        """See `Generator.reconstruct`."""
        return self.pipeline.reconstruct(videos, rows=self.rows)
