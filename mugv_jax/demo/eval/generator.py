# Copyright 2026 The mugv_jax Authors
# SPDX-License-Identifier: Apache-2.0
"""The generator that an evaluation of a model measures: a pipeline with its settings."""

import dataclasses
from collections.abc import Sequence

import numpy as np

from mugv_jax.demo.eval.adherence import DemoEval, Pictures
from mugv_jax.flow.guidance import Guidance
from mugv_jax.systems.frames import Videos
from mugv_jax.systems.mugv.pipeline import MugvPipeline
from mugv_jax.systems.mugv.request import Request, read_given
from mugv_jax.systems.mugv.size import VideoSize


@dataclasses.dataclass(frozen=True)
class PipelineGenerator:
    """A `Generator` that asks a pipeline for what the model has seen in training.

    Captions are prompts as they are, without a score, and guidance leads away from no text.

    pipeline: its models should be kept loaded, for each batch needs all of them.
    """

    pipeline: MugvPipeline
    config: DemoEval

    @property
    def rows(self) -> int:
        """Videos computed at a time, each time as many, so that one program serves all."""
        return min(self.config.batch, self.config.clips)

    def generate(
        self, captions: Sequence[str], seeds: Sequence[int], first: Pictures | None = None
    ) -> Videos:
        config, format = self.config, self.config.format
        request = Request(
            prompts=tuple(captions),
            size=VideoSize(
                width_px=format.width_px, height_px=format.height_px, frames=format.frames
            ),
            image=None if first is None else list(first),
            steps=config.steps,
            guidance=Guidance(scale=config.guidance),
            shift=config.shift,
            times=config.times,
            renoise=config.renoise,
            negative_prompt="",
            conditioning_fps=format.fps,
            aesthetic_score=None,
            seed=list(seeds),
            rows=self.rows,
        )
        made = self.pipeline.run(request, read_given(request), progress=False)
        return np.stack([each.frames for each in made])

    def reconstruct(self, videos: Videos) -> Videos:
        return self.pipeline.reconstruct(videos, rows=self.rows)
