# Copyright 2026 The mugv_jax Authors
# SPDX-License-Identifier: Apache-2.0
"""Pictures and videos that a result must contain, as sources, pixels and latents.

Sources (files, arrays) -> Reader -> GivenPixels (uint8) -> VAE encoder -> GivenLatents
"""

import dataclasses
import os
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
from PIL import Image

from mugv_jax import video
from mugv_jax.axes import Frames
from mugv_jax.systems.mugv.size import STRIDE, VideoSize

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
        for name, frame in self._frames(size, continue_frames):
            latent = size.latent_index(frame)
            if latent in taken:
                raise ValueError(
                    f"{name} and {taken[latent]} fall on the same latent frame (8 frames): "
                    "give one of them, or move it by 8 frames."
                )
            taken[latent] = name
        if len(taken) == size.latent_frames:
            raise ValueError(
                f"{', '.join(dict.fromkeys(taken.values()))}: all of {size.frames} frames "
                "are given and none is left to generate; ask for more frames."
            )

    def _frames(self, size: VideoSize, continue_frames: int) -> list[tuple[str, int]]:
        """(name, frame number) of every given source, one entry per latent frame."""
        given = [(f"keyframe {frame}", frame) for frame in self.keyframes]
        if self.image is not None:
            given.append(("image", 0))
        if self.last_image is not None:
            given.append(("last image", size.frames - 1))
        if self.continue_video is not None:
            given += [("continued video", f) for f in range(0, continue_frames, STRIDE)]
        return given


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
class GivenLatents:
    """Latents that one video must contain.

    held: latent frame -> latents (f, h, w, c) that begin there.
    init: latents (f, h, w, c) of the whole video to start from, or None.
    """

    held: Mapping[int, np.ndarray]
    init: np.ndarray | None

    def start(self, shape: tuple[int, ...]) -> tuple[np.ndarray, np.ndarray]:
        """Clean latents of `shape` (f, h, w, c), and which of their frames are noisy."""
        clean = np.zeros(shape, np.float32) if self.init is None else self.init.copy()
        noisy = np.ones(shape[0], bool)
        for first, latents in self.held.items():
            frames = slice(first, first + len(latents))
            clean[frames], noisy[frames] = latents, False
        return clean, noisy


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

    def latents(self, latent_of: Callable[[Frames], np.ndarray]) -> GivenLatents:
        """These pixels as latents; `latent_of` maps each of `clips` to its latent."""
        held = {index: latent_of(image) for index, image in self.images.items()}
        if self.start is not None:
            held[0] = latent_of(self.start)
        return GivenLatents(held, None if self.init is None else latent_of(self.init))


class Reader:
    """Reads sources and fits them to one size; each source is read once.

    fps: rate at which the frames of video files are taken, that of the result.
    """

    def __init__(self, size: VideoSize, continue_frames: int, fps: float):
        self._size, self._continue_frames, self._fps = size, continue_frames, fps
        self._read: dict[Any, Frames] = {}

    def read(self, sources: Sources) -> GivenPixels:
        """Pixels of one prompt's sources; equal sources share an array.

        Raises:
            ValueError: unreadable files, pictures of another form, or a video with too few frames.
        """
        size = self._size
        images = {
            size.latent_index(frame): self._image(source, f"keyframe {frame}")
            for frame, source in sources.keyframes.items()
        }
        if sources.image is not None:
            images[0] = self._image(sources.image, "image")
        if sources.last_image is not None:
            images[size.latent_index(-1)] = self._image(sources.last_image, "last_image")
        start = init = None
        if sources.continue_video is not None:
            frames = self._continue_frames
            start = self._clip(sources.continue_video, "continue_video", frames, last=True)
        elif size.starts_with_image and 0 in images:
            start = images.pop(0)
        if sources.init_video is not None:
            init = self._clip(sources.init_video, "init_video", size.frames, last=False)
        return GivenPixels(images=images, start=start, init=init)

    def _image(self, source: ImageLike, name: str) -> Frames:
        """A picture as a video of one frame."""
        return self._once(source, "image", lambda: _image(source, name)[None])

    def _clip(self, source: VideoLike, name: str, frames: int, *, last: bool) -> Frames:
        """The last or first `frames` frames of a video."""
        fps = self._fps
        return self._once(source, name, lambda: _clip(source, name, frames, fps, last=last))

    def _once(self, source: Any, use: str, read: Callable[[], Frames]) -> Frames:
        """The fitted result of `read`, which is called once for each source and use."""
        of = os.fspath(source) if isinstance(source, str | os.PathLike) else id(source)
        if (use, of) not in self._read:
            self._read[use, of] = video.fit(read(), self._size.height_px, self._size.width_px)
        return self._read[use, of]


def _image(source: ImageLike, name: str) -> np.ndarray:
    """The picture of a file, an array or a PIL image: uint8 (h, w, 3)."""
    if isinstance(source, str | os.PathLike):
        return video.read_image(source)
    if isinstance(source, Image.Image):
        return video.to_rgb(source)
    return _array(source, name, "h w 3")


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
