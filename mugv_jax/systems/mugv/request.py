# Copyright 2026 The mugv_jax Authors
# SPDX-License-Identifier: Apache-2.0
"""Options of a MUG-V request, checked before any model is loaded."""

import contextlib
import dataclasses
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, TypedDict

import numpy as np

from mugv_jax.files import check_text
from mugv_jax.flow.guidance import Guidance
from mugv_jax.flow.renoise import check_renoise
from mugv_jax.flow.reuse import check_threshold
from mugv_jax.flow.schedule import (
    check_shift,
    check_times,
    given_times,
    sample_times,
    shift_ratio,
)
from mugv_jax.systems.arguments import check_prompts, per_prompt, seeds_of
from mugv_jax.systems.mugv.aesthetic import with_score
from mugv_jax.systems.mugv.given import GivenPixels, ImageLike, Reader, Sources, VideoLike
from mugv_jax.systems.mugv.size import VideoSize
from mugv_jax.systems.record import record_of
from mugv_jax.systems.sampling import check_rows
from mugv_jax.systems.tiles import Tiling
from mugv_jax.video import check_fit
from mugv_jax.video.records import Record

NEGATIVE_PROMPT = (
    "ugly, blurry, lowres, bad anatomy, bad hands, text, error, missing fingers, extra digit, "
    "fewer digits, cropped, worst quality, low quality, normal quality, jpeg artifacts, signature, "
    "watermark, username, blurry"
)
# Options that change frames, and those that do so only beside an input.
RECORDED = (
    "fit", "steps", "shift", "times", "renoise", "guidance", "negative_prompt", "reuse_threshold",
    "fps", "conditioning_fps", "aesthetic_score",
)  # fmt: skip
OWNED = {"strength": "init_video", "continue_frames": "continue_video"}
SOURCES = tuple(field.name for field in dataclasses.fields(Sources))


class RequestOptions(TypedDict, total=False):
    """Fields of `Request` but the prompts; `size`, `frames` and `guidance` have a simpler form.

    size: (width, height) in pixels, or a text such as "1280x720" or "portrait".
    frames: a number, or a text such as "5s".
    guidance: a scale, or a `Guidance`.
    """

    size: tuple[int, int] | str
    frames: int | str
    image: ImageLike | Sequence[ImageLike | None] | None
    last_image: ImageLike | Sequence[ImageLike | None] | None
    keyframes: Mapping[int, ImageLike] | Sequence[Mapping[int, ImageLike] | None]
    continue_video: VideoLike | Sequence[VideoLike | None] | None
    continue_frames: int
    init_video: VideoLike | Sequence[VideoLike] | None
    fit: str
    strength: float
    steps: int
    guidance: float | Guidance
    shift: float | None
    times: Sequence[float] | None
    renoise: bool
    reuse_threshold: float
    negative_prompt: str
    fps: float
    conditioning_fps: float
    aesthetic_score: float | None
    seed: int | Sequence[int]
    rows: int | None
    fast_decode: bool


@dataclasses.dataclass(frozen=True, kw_only=True)
class Request:
    """Videos of one size, one per prompt. Defaults are those of the released pipeline.

    Seeds, pictures and videos are single values for all prompts, or a list or tuple with one value
    per prompt (None for a prompt without one). The prompts share all other values.

    image, last_image: the first and last frame.
    keyframes: frame number (from 0; negative from the end) -> image. An image stands for the 8
        frames of its latent; the first of 8k+1 frames has its own latent and is kept exactly.
    fit: what becomes of pictures and videos of another shape than `size`: "crop", "pad" or
        "stretch" (`video/fitting.py`).
    continue_video: video whose last `continue_frames` (8k+1) frames begin the result.
    init_video, strength: video to start from, noised to `strength` in (0, 1] of the path. Frames
        of a file are those that it shows at `fps`; frames in memory are taken as they are.
    shift: shift of times towards noise (`flow/schedule.py`); None is by size, as published.
    times: times at which the model is evaluated, falling from 1, which is pure noise, as many as
        `steps`; None takes those of `steps` and `shift`.
    renoise: noise the estimated video anew between steps (`flow/renoise.py`), for models of few
        steps that were trained so, in place of Euler's method.
    reuse_threshold: relative change of the model's input, summed over steps, up to which steps are
        not evaluated (`flow/reuse.py`); 0 evaluates every step.
    negative_prompt: text that guidance leads away from; empty means the empty text.
    fps: frame rate of the file, 1 to 1000.  conditioning_fps: frame rate that the model reads.
    aesthetic_score: 0 to 10, appended to each prompt as in training; None appends nothing.
    seed: seed of the noise; from a single seed, prompt number i (from 0) has seed + i.
    rows: videos that are sampled together and pass the VAE together, which is faster for small
        videos; the last group is filled up with copies, so that one program serves all groups.
        None samples one video per data shard of the mesh and decodes one at a time, which takes the
        least memory.
    fast_decode: decode with the tiny decoder beside the weights, not with the VAE.

    Raises:
        ValueError: any value out of range, or combinations that contradict each other.
    """

    prompts: tuple[str, ...]
    size: VideoSize
    image: ImageLike | Sequence[ImageLike | None] | None = None
    last_image: ImageLike | Sequence[ImageLike | None] | None = None
    keyframes: Mapping[int, ImageLike] | Sequence[Mapping[int, ImageLike] | None] = (
        dataclasses.field(default_factory=dict)
    )
    continue_video: VideoLike | Sequence[VideoLike | None] | None = None
    continue_frames: int = 17
    init_video: VideoLike | Sequence[VideoLike] | None = None
    fit: str = "crop"
    strength: float = 0.6
    steps: int = 25
    guidance: Guidance = dataclasses.field(default_factory=Guidance)
    shift: float | None = None
    times: Sequence[float] | None = None
    renoise: bool = False
    reuse_threshold: float = 0.0
    negative_prompt: str = NEGATIVE_PROMPT
    fps: float = 20.0
    conditioning_fps: float = 30.0
    aesthetic_score: float | None = 6.0
    seed: int | Sequence[int] = 42
    rows: int | None = None
    fast_decode: bool = False

    def __post_init__(self):
        check_prompts(self.prompts)
        check_text("negative prompt", self.negative_prompt)
        if self.steps < 1:
            raise ValueError(f"steps={self.steps} must be at least 1.")
        check_rows(self.rows)
        check_fit(self.fit)
        check_shift(self.shift)
        self._check_times()
        check_threshold(self.reuse_threshold)
        check_renoise(self.renoise, self.reuse_threshold)
        for name in ("fps", "conditioning_fps"):
            if not 1 <= getattr(self, name) <= 1000:
                raise ValueError(f"{name}={getattr(self, name)} must lie in 1 to 1000.")
        if not 0 < self.strength <= 1:
            raise ValueError(f"strength={self.strength} must lie in (0, 1]: 1 is pure noise.")
        if self.aesthetic_score is not None and not 0 <= self.aesthetic_score <= 10:
            raise ValueError(f"aesthetic_score={self.aesthetic_score} must lie in 0 to 10.")
        seeds_of(self.seed, len(self.prompts))
        for number, sources in enumerate(self.sources(), start=1):
            with _errors_of(self, number):
                sources.check(self.size, self.continue_frames)
        without = [sources.init_video is None for sources in self.sources()]
        if any(without) and not all(without):
            raise ValueError(
                f"prompt {without.index(True) + 1} has no init_video, but others have one: all "
                "prompts start at the same time of the path, so give each of them one, or none."
            )

    def _check_times(self) -> None:
        """Raise a ValueError for given times that no request like this can have."""
        check_times(self.times)
        if self.times is None:
            return
        if len(self.times) != self.steps:
            raise ValueError(
                f"steps={self.steps} must be the number of the given times, {len(self.times)}: "
                "leave one of the two out."
            )
        if any(sources.init_video is not None for sources in self.sources()):
            raise ValueError(
                f"times={','.join(map(str, self.times))} begin at pure noise, but init_video "
                "begins at its strength: leave the times out, or the video."
            )

    def texts(self) -> list[str]:
        """Input of the text encoder for each prompt."""
        if self.aesthetic_score is None:
            return list(self.prompts)
        return [with_score(prompt, self.aesthetic_score) for prompt in self.prompts]

    def seeds(self) -> list[int]:
        """Seeds of the noise of all prompts."""
        return seeds_of(self.seed, len(self.prompts))

    def sources(self) -> list[Sources]:
        """Pictures and videos of each prompt.

        Raises:
            ValueError: lists that are not as long as the prompts.
        """
        each = {name: per_prompt(name, getattr(self, name), len(self.prompts)) for name in SOURCES}
        each["keyframes"] = [keyframes or {} for keyframes in each["keyframes"]]
        return [Sources(**dict(zip(each, row))) for row in zip(*each.values(), strict=True)]

    def records(self, models: Any, tiling: Tiling | None) -> list[Record]:
        """Record of each video that `models` make of this request; see `systems/record.py`."""
        size, records = self.size, []
        shared = {
            "size": (size.width_px, size.height_px),
            "frames": size.frames,
            **{name: getattr(self, name) for name in RECORDED},
        }
        if self.rows is not None:
            shared["rows"] = self.rows
        if self.fast_decode:
            shared["fast_decode"] = True
        for prompt, seed, sources in zip(self.prompts, self.seeds(), self.sources(), strict=True):
            inputs = {
                name: value
                for name, value in vars(sources).items()
                if value is not None and not (isinstance(value, Mapping) and not value)
            }
            owned = {name: getattr(self, name) for name, owner in OWNED.items() if owner in inputs}
            settings = {**shared, **owned}
            made = record_of(
                models, prompt=prompt, seed=seed, settings=settings, inputs=inputs, tiling=tiling,
                unused=() if self.fast_decode else ("tiny_decoder",),
            )  # fmt: skip
            records.append(made)
        return records

    def schedule(self) -> np.ndarray:
        """Times at which the model is evaluated, followed by 0."""
        if self.times is not None:
            return given_times(self.times)
        size = self.size
        ratio = self.shift or shift_ratio(size.height_px, size.width_px, size.latent_shape[0])
        noise_alone = self.sources()[0].init_video is None
        return sample_times(self.steps, ratio, 1.0 if noise_alone else self.strength)


def read_given(request: Request) -> list[GivenPixels]:
    """Pixels that each prompt's video must contain; bad files are refused before models load.

    A source that several prompts share is read once, into one array.

    Raises:
        ValueError: unreadable files, pictures of another form, or a video with too few frames.
    """
    reader, given = Reader(request.size, request.continue_frames, request.fps, request.fit), []
    for number, sources in enumerate(request.sources(), start=1):
        with _errors_of(request, number):
            given.append(reader.read(sources))
    return given


@contextlib.contextmanager
def _errors_of(request: Request, number: int) -> Iterator[None]:
    """Adds the prompt's number to errors, if prompts have pictures or videos of their own."""
    try:
        yield
    except ValueError as error:
        if any(isinstance(getattr(request, name), list | tuple) for name in SOURCES):
            raise ValueError(f"prompt {number}: {error}") from error
        raise
