# Copyright 2026 The mugv_jax Authors
# SPDX-License-Identifier: Apache-2.0
"""What a user asks for: checked once, before any model is loaded."""

import dataclasses
import os
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from PIL import Image

from mugv_jax import video
from mugv_jax.flow.guidance import Guidance
from mugv_jax.flow.reuse import check_threshold
from mugv_jax.flow.schedule import check_shift
from mugv_jax.systems.mugv.size import STRIDE, VideoSize

NEGATIVE_PROMPT = (
    "ugly, blurry, lowres, bad anatomy, bad hands, text, error, missing fingers, extra digit, "
    "fewer digits, cropped, worst quality, low quality, normal quality, jpeg artifacts, signature, "
    "watermark, username, blurry"
)
MAX_SEED = 2**32 - 1

# A path, uint8 (h, w, 3), or a PIL image.
ImageLike = Any
# A path, or uint8 (f, h, w, 3).
VideoLike = Any


@dataclasses.dataclass(frozen=True, kw_only=True)
class Request:
    """One run: the prompts share everything else. Defaults are those of the released pipeline.

    image, last_image: the first and last frame.
    keyframes: frame number (from 0; negative from the end) -> image. An image stands for the 8
        frames of its latent; the first of 8k+1 frames is a latent alone and kept to the pixel.
    continue_video: its last `continue_frames` (8k+1) frames are the beginning of the result.
    init_video, strength: start from this video noised to `strength` in (0, 1] of the path.
    shift: of the times towards noise (`flow/schedule.py`); None is by size, as published.
    reuse_threshold: steps may go without an evaluation until the model's input has changed by so
        much (relative, summed over steps; see `flow/reuse.py`); 0 evaluates every step.
    negative_prompt: what guidance leads away from; empty means away from no text at all.
    fps: of the file, 1 to 1000.  conditioning_fps: what the model is told.
    aesthetic_score: 0 to 10, appended to each prompt as in training; None appends nothing.
    seed: of the first prompt; prompt number i (from 0) has seed + i.

    Raises:
        ValueError: any value out of range, or combinations that contradict each other.
    """

    prompts: tuple[str, ...]
    size: VideoSize
    image: ImageLike | None = None
    last_image: ImageLike | None = None
    keyframes: Mapping[int, ImageLike] = dataclasses.field(default_factory=dict)
    continue_video: VideoLike | None = None
    continue_frames: int = 17
    init_video: VideoLike | None = None
    strength: float = 0.6
    steps: int = 25
    guidance: Guidance = dataclasses.field(default_factory=Guidance)
    shift: float | None = None
    reuse_threshold: float = 0.0
    negative_prompt: str = NEGATIVE_PROMPT
    fps: float = 20.0
    conditioning_fps: float = 30.0
    aesthetic_score: float | None = 6.0
    seed: int = 42

    def __post_init__(self):
        check_prompts(self.prompts)
        if self.steps < 1:
            raise ValueError(f"steps={self.steps} must be at least 1.")
        check_shift(self.shift)
        check_threshold(self.reuse_threshold)
        for name in ("fps", "conditioning_fps"):
            if not 1 <= getattr(self, name) <= 1000:
                raise ValueError(f"{name}={getattr(self, name)} must lie in 1 to 1000.")
        if not 0 < self.strength <= 1:
            raise ValueError(f"strength={self.strength} must lie in (0, 1]: 1 is pure noise.")
        if self.aesthetic_score is not None and not 0 <= self.aesthetic_score <= 10:
            raise ValueError(f"aesthetic_score={self.aesthetic_score} must lie in 0 to 10.")
        check_seed(self.seed, len(self.prompts))
        self._check_given()

    def _check_given(self) -> None:
        if self.continue_video is not None:
            if self.continue_frames < 1 or self.continue_frames % STRIDE != 1:
                raise ValueError(
                    f"continue_frames={self.continue_frames} must be 8k+1, such as 17."
                )
            if self.continue_frames >= self.size.frames:
                raise ValueError(
                    f"continue_frames={self.continue_frames} leaves nothing to generate of "
                    f"{self.size.frames} frames: ask for more frames."
                )
            if self.image is not None:
                raise ValueError("image and continue_video both set the first frame: give one.")
        starts = self.image is not None or self.continue_video is not None
        if starts and not self.size.starts_with_image:
            raise ValueError(
                f"frames={self.size.frames}: a given first frame needs 8k+1 frames, "
                f"such as {self.size.frames + 1}."
            )
        taken: dict[int, str] = {}
        for name, frame in self._given_frames():
            latent = self.size.latent_index(frame)
            if latent in taken:
                raise ValueError(
                    f"{name} and {taken[latent]} fall on the same latent frame (8 frames): "
                    "give one of them, or move it by 8 frames."
                )
            taken[latent] = name
        if len(taken) == self.size.latent_frames:
            raise ValueError(
                f"{', '.join(dict.fromkeys(taken.values()))}: all of {self.size.frames} frames "
                "are given and none is left to generate; ask for more frames."
            )

    def _given_frames(self) -> list[tuple[str, int]]:
        """(what, frame number) of all that is given, one entry per latent frame."""
        given = [(f"keyframe {frame}", frame) for frame in self.keyframes]
        if self.image is not None:
            given.append(("image", 0))
        if self.last_image is not None:
            given.append(("last image", self.size.frames - 1))
        if self.continue_video is not None:
            given += [("continued video", f) for f in range(0, self.continue_frames, STRIDE)]
        return given

    def texts(self) -> list[str]:
        """What the text encoder reads for each prompt."""
        if self.aesthetic_score is None:
            return list(self.prompts)
        return [f"{p} aesthetic score: {self.aesthetic_score:.1f}." for p in self.prompts]


def check_prompts(prompts: Sequence[str]) -> None:
    """Raise a ValueError if there is none, or one without words."""
    if not prompts:
        raise ValueError("no prompt: give at least one.")
    for number, prompt in enumerate(prompts, start=1):
        if not prompt.strip():
            raise ValueError(f"prompt {number} is empty: describe the video in words.")


def check_seed(seed: int, prompts: int) -> None:
    """Raise a ValueError if so many prompts cannot have seeds from `seed` on."""
    largest = MAX_SEED + 1 - prompts  # the last prompt's is the largest
    if not 0 <= seed <= largest:
        raise ValueError(f"seed={seed} must lie in 0 to {largest}.")


@dataclasses.dataclass(frozen=True)
class GivenPixels:
    """The pixels a result must hold, read and fitted: uint8.

    images: latent frame -> (h, w, 3), which stands for 8 equal frames.
    start: (8k+1, h, w, 3), the beginning of the video, or None.
    init: (f, h, w, 3), the video to start from, or None.
    """

    images: Mapping[int, np.ndarray]
    start: np.ndarray | None
    init: np.ndarray | None


def read_given(request: Request) -> GivenPixels:
    """Reads and fits every picture of `request`, so that bad files show before models load.

    Raises:
        ValueError: unreadable files, pictures of another form, or a video with too few frames.
    """
    size = request.size

    def image(source: ImageLike, name: str) -> np.ndarray:
        return video.fit(_image(source, name), size.height_px, size.width_px)

    def clip(source: VideoLike, name: str, frames: int, *, last: bool) -> np.ndarray:
        kept = _clip(source, name, frames, last=last)
        return video.fit(kept, size.height_px, size.width_px)

    images = {
        size.latent_index(frame): image(source, f"keyframe {frame}")
        for frame, source in request.keyframes.items()
    }
    if request.image is not None:
        images[0] = image(request.image, "image")
    if request.last_image is not None:
        images[size.latent_index(-1)] = image(request.last_image, "last_image")
    start = init = None
    if request.continue_video is not None:
        frames = request.continue_frames
        start = clip(request.continue_video, "continue_video", frames, last=True)
    elif size.starts_with_image and 0 in images:
        start = images.pop(0)[None]
    if request.init_video is not None:
        init = clip(request.init_video, "init_video", size.frames, last=False)
    return GivenPixels(images=images, start=start, init=init)


def _image(source: ImageLike, name: str) -> np.ndarray:
    if isinstance(source, str | os.PathLike):
        return video.read_image(source)
    if isinstance(source, Image.Image):
        return video.to_rgb(source)
    return _frames(source, name, "h w 3")


def _clip(source: VideoLike, name: str, frames: int, *, last: bool) -> np.ndarray:
    """The last or first `frames` frames of a video."""
    if isinstance(source, str | os.PathLike):
        name = f"{name} {os.fspath(source)!r}"
        source = video.read_video(source, max_frames=frames, from_end=last).frames
    source = _frames(source, name, "f h w 3")
    if len(source) < frames:
        raise ValueError(f"{name} has {len(source)} frames, but {frames} are needed.")
    return source[-frames:] if last else source[:frames]


def _frames(source: Any, name: str, axes: str) -> np.ndarray:
    array = np.asarray(source)
    if array.dtype != np.uint8 or array.ndim != len(axes.split()) or array.shape[-1] != 3:
        raise ValueError(
            f"{name} must be a file's path or uint8 ({axes.replace(' ', ', ')}), "
            f"not {array.dtype} {array.shape}."
        )
    return array
