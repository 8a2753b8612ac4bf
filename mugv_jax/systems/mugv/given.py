# Copyright 2026 The mugv_jax Authors
# SPDX-License-Identifier: Apache-2.0
"""Pictures and videos that a result must contain.

Sources (files, arrays) -> Reader -> GivenPixels (uint8) -> VAE encoder -> clean latents
"""

import dataclasses
import functools
import os
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
from PIL import Image

from mugv_jax import video
from mugv_jax.axes import Frames
from mugv_jax.systems.mugv.size import STRIDE, VideoSize

WORTH_A_WORD = 0.1  # share of a picture that is cut off
# A path, uint8 (h, w, 3), or a PIL image.
ImageLike = Any
# A path, or uint8 (f, h, w, 3).
VideoLike = Any


@dataclasses.dataclass(frozen=True, kw_only=True)
class Sources:
    """Pictures and videos of one prompt before they are read; see the fields of `Request`."""

    image: ImageLike | None = None
    last_image: ImageLike | None = None
    keyframes: Mapping[int, ImageLike] = dataclasses.field(default_factory=dict)
    continue_video: VideoLike | None = None
    init_video: VideoLike | None = None

    def check(self, size: VideoSize, continue_frames: int) -> None:
        """Raise a ValueError for sources that contradict each other or do not fit `size`."""
        if self.continue_video is not None:
            _check_continued(size, continue_frames)
            if self.image is not None:
                raise ValueError("image and continue_video both set the first frame: give one.")
        starts = self.image is not None or self.continue_video is not None
        if starts and not size.starts_with_image:
            raise ValueError(
                f"frames={size.frames}: a given first frame needs 8k+1 frames, "
                f"such as {size.frames + 1}."
            )
        taken: dict[int, str] = {}
        problems = []
        frames = [(name, frame) for name, frame, _ in self.pictures(size)]
        if self.continue_video is not None:
            frames += [("continued video", f) for f in range(0, continue_frames, STRIDE)]
        for name, frame in frames:
            try:
                latent = size.latent_index(frame)
            except ValueError as error:
                problems.append(str(error))
                continue
            if latent in taken:
                first, last = size.frames_of(latent)
                problems.append(
                    f"{name} and {taken[latent]} fall on the same latent frame (frames {first} to "
                    f"{last}, for which one picture stands): give one of them, or move it by "
                    f"{STRIDE} frames."
                )
            taken.setdefault(latent, name)
        if problems:
            raise ValueError(" ".join(problems))
        if len(taken) == size.latent_shape[0]:
            raise ValueError(
                f"{', '.join(dict.fromkeys(taken.values()))}: all of {size.frames} frames "
                "are given and none is left to generate; ask for more frames."
            )

    def pictures(self, size: VideoSize) -> list[tuple[str, int, ImageLike]]:
        """(name, frame number, picture) of every given picture."""
        keyframes = [(f"keyframe {frame}", frame, each) for frame, each in self.keyframes.items()]
        ends = ("image", 0, self.image), ("last_image", size.frames - 1, self.last_image)
        return keyframes + [end for end in ends if end[2] is not None]


def _check_continued(size: VideoSize, frames: int) -> None:
    """Raise a ValueError if a video of `size` cannot begin with so many continued frames."""
    if frames < 1 or frames % STRIDE != 1:
        raise ValueError(f"continue_frames={frames} must be 8k+1, such as 17.")
    if frames >= size.frames:
        raise ValueError(
            f"continue_frames={frames} leaves nothing to generate of {size.frames} frames: "
            "ask for more frames."
        )


@dataclasses.dataclass(frozen=True)
class GivenPixels:
    """Pixels that one video must contain, uint8, fitted to its size.

    images: latent frame -> (1, h, w, 3), a picture that stands for 8 equal frames.
    start: (8k+1, h, w, 3), the beginning of the video, or None.
    init: (f, h, w, 3), the video to start from, or None.
    """

    images: Mapping[int, Frames] = dataclasses.field(default_factory=dict)
    start: Frames | None = None
    init: Frames | None = None

    def clips(self) -> list[Frames]:
        """Clips that the VAE must encode."""
        others = (clip for clip in (self.start, self.init) if clip is not None)
        return [*self.images.values(), *others]

    def start_of(
        self, latents: Mapping[int, np.ndarray], shape: tuple[int, ...]
    ) -> tuple[np.ndarray, np.ndarray]:
        """Clean latents of `shape` (f, h, w, c), and which of their frames are noisy.

        latents: `id` of each of `clips` -> its latent.
        """
        clean = np.zeros(shape, np.float32) if self.init is None else latents[id(self.init)].copy()
        noisy = np.ones(shape[0], bool)
        held = self.images if self.start is None else {**self.images, 0: self.start}
        for first, clip in held.items():
            latent = latents[id(clip)]
            frames = slice(first, first + len(latent))
            clean[frames], noisy[frames] = latent, False
        return clean, noisy


class Reader:
    """Reads sources and fits them to one size; each source is read once.

    fps: rate at which the frames of video files are taken, that of the result.
    fit: what becomes of pictures and videos of another shape; see `video/fitting.py`.
    """

    def __init__(self, size: VideoSize, continue_frames: int, fps: float, fit: str):
        self._size, self._continue_frames, self._fps = size, continue_frames, fps
        self._fit = fit
        self._read: dict[Any, Frames] = {}

    def read(self, sources: Sources) -> GivenPixels:
        """Pixels of one prompt's sources; equal sources share an array.

        Raises:
            ValueError: unreadable files, pictures of another form, or a video with too few frames;
                the problems of all pictures together.
        """
        size, images, problems = self._size, {}, []
        for name, frame, source in sources.pictures(size):
            read = functools.partial(_image, source, name)
            try:
                images[size.latent_index(frame)] = self._once(source, "image", name, read)
            except ValueError as error:
                problems.append(str(error))
        if problems:
            raise ValueError(" ".join(dict.fromkeys(problems)))
        start = init = None
        if sources.continue_video is not None:
            frames = self._continue_frames
            start = self._clip(sources.continue_video, "continue_video", frames, last=True)
        elif size.starts_with_image and 0 in images:
            start = images.pop(0)
        if sources.init_video is not None:
            init = self._clip(sources.init_video, "init_video", size.frames, last=False)
        return GivenPixels(images=images, start=start, init=init)

    def _clip(self, source: VideoLike, name: str, frames: int, *, last: bool) -> Frames:
        """The last or first `frames` frames of a video."""
        fps = self._fps
        read = functools.partial(_clip, source, name, frames, fps, last=last)
        return self._once(source, name, name, read)

    def _once(self, source: Any, use: str, name: str, read: Callable[[], Frames]) -> Frames:
        """The fitted result of `read`, which is called once for each source and use."""
        path = os.fspath(source) if isinstance(source, str | os.PathLike) else None
        key = use, id(source) if path is None else path
        if key not in self._read:
            frames, height, width = read(), self._size.height_px, self._size.width_px
            rows, columns = frames.shape[-3], frames.shape[-2]
            lost = video.lost_share(rows, columns, height, width)
            if self._fit == video.FITS[0] and lost > WORTH_A_WORD:
                video.note_once(path or name, _lost(columns, rows, lost))
            self._read[key] = video.fit(frames, height, width, self._fit)
        return self._read[key]


def _lost(width: int, height: int, share: float) -> str:
    """What to say about a picture of which `share` is cut off."""
    return (
        f"is {width}x{height}, another shape than the video: {share:.0%} of it is cut off at the "
        "sides; --fit pad keeps all of it, or choose a --size of its shape."
    )


def _image(source: ImageLike, name: str) -> Frames:
    """The picture of a file, an array or a PIL image as a video of one frame."""
    if isinstance(source, str | os.PathLike):
        return video.read_image(source)[None]
    if isinstance(source, Image.Image):
        return video.to_rgb(source)[None]
    return _array(source, name, "h w 3")[None]


def _clip(source: VideoLike, name: str, frames: int, fps: float, *, last: bool) -> np.ndarray:
    """The last or first `frames` frames of a file at `fps`, or of an array: uint8 (f, h, w, 3)."""
    rate = ""
    if isinstance(source, str | os.PathLike):
        name, rate = f"{name} {os.fspath(source)!r}", f" at {fps:g} per second"
        source = video.read_video(source, max_frames=frames, from_end=last, fps=fps).frames
    source = _array(source, name, "f h w 3")
    if len(source) < frames:
        raise ValueError(f"{name} has {len(source)} frames{rate}, but {frames} are needed.")
    return source[-frames:] if last else source[:frames]


def _array(source: Any, name: str, axes: str) -> np.ndarray:
    """`source` as an array, if it is uint8 with these axes."""
    array = np.asarray(source)
    if array.dtype != np.uint8 or array.ndim != len(axes.split()) or array.shape[-1] != 3:
        raise ValueError(
            f"{name} must be a file's path or uint8 ({axes.replace(' ', ', ')}), "
            f"not {array.dtype} {array.shape}."
        )
    return array
