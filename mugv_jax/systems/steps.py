# Copyright 2026 The mugv_jax Authors
# SPDX-License-Identifier: Apache-2.0
"""What callers see of a sampling under way, and how they end it."""

import dataclasses
import time
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from jaxtyping import UInt8

from mugv_jax.axes import Array, Float, Latent
from mugv_jax.flow.sampler import Observer, StepEnd, StopSampling

PREVIEWED = 0  # latent frame that a preview shows unless another is asked for
Picture = UInt8[np.ndarray, "_h _w 3"]


@dataclasses.dataclass(frozen=True)
class Progress:
    """Progress of the videos that are sampled together, after a step.

    videos: numbers of their prompts, from 0.
    step, steps: number of steps that are done, and of all.
    started, t: times in [0, 1] at which the step began and ended: 1 is pure noise, 0 the video.
    seconds: since the first step of these videos began; the first one compiles.
    latents: (b, f, h, w, c) at time `t`.
    preview: function of a latent frame's number, by default the first, that returns a picture
        (h, w, 3) of every video, uint8. It decodes that latent of the estimated video with the
        tiny decoder if there is one. Else it reads the VAE, unless that is kept loaded: call it
        every few steps only.
    """

    videos: tuple[int, ...]
    step: int
    steps: int
    started: float
    t: float
    seconds: float
    latents: Latent
    preview: Callable[..., list[Picture]]


OnStep = Callable[[Progress], Any]
Decode = Callable[[Float[Array, "b 1 h w c"]], list[Picture]]
# The numbers of a group's prompts -> observer of its steps.
Watch = Callable[[Sequence[int]], Observer | None]


def unwatched(_: Sequence[int]) -> None:
    """Watch of a sampling that nobody observes."""


def reporting(on_step: OnStep | None) -> Callable[[Progress, int], None] | None:
    """`call` of `watching` that shows every step to `on_step`, whose result counts for nothing."""
    if on_step is None:
        return None

    def call(progress: Progress, _: int) -> None:
        on_step(progress)

    return call


def watching(
    call: Callable[[Progress, int], Any] | None, decode: Decode, stop: Callable[[], bool]
) -> Watch:
    """Watch that reports every step to `call`, and ends the sampling when `stop()` is true.

    call: (progress, index of the step) -> latents that replace those of the step, or None; None
        only watches for `stop`.
    decode: pictures of one latent frame of every video.
    """

    def watch(group: Sequence[int]) -> Observer:
        videos, began = tuple(dict.fromkeys(group)), time.perf_counter()

        def observe(end: StepEnd) -> Latent | None:
            def preview(frame: int = PREVIEWED) -> list[Picture]:
                return decode(end.estimate()[:, frame][:, None])[: len(videos)]

            seconds = time.perf_counter() - began
            done = end.index + 1
            progress = Progress(videos, done, end.steps, end.t, end.t_next, seconds, end.x, preview)
            changed = None if call is None else call(progress, end.index)
            if stop():
                raise StopSampling
            return changed

        return observe

    return watch
