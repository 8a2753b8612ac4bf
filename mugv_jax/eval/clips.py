# Copyright 2026 The mugv_jax Authors
# SPDX-License-Identifier: Apache-2.0
"""Clips to reconstruct: videos at resolutions that they have themselves.

A resolution such as 256p is the short side in pixels; the long side keeps the proportions, on a
grid of 16 pixels. Frames are scaled down (bicubic) and cropped, never enlarged. A clip is the first
8k+1 frames of a video at its own rate, which the VAEs of all systems take.
"""

import collections
import dataclasses
import os
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import NamedTuple

from mugv_jax import video
from mugv_jax.axes import Frames
from mugv_jax.bounds import require_at_least
from mugv_jax.data.captions import MAX_FPS
from mugv_jax.data.clips import GRID_PX, ClipRule, read_clip
from mugv_jax.files import check_text, existing_file
from mugv_jax.tables import MISTAKE, SUFFIXES, read_records
from mugv_jax.video.timeline import read_timeline
from mugv_jax.weights.digests import file_digest

RESOLUTIONS = (256, 480, 720)
STRIDE = 8  # frames of a latent of the VAE that has the most; those of the others divide it
LEAST_FRAMES = STRIDE + 1  # a video's first frame and one group


@dataclasses.dataclass(frozen=True, kw_only=True)
class ClipSettings:
    """The frames that are taken of a video.

    resolutions: short sides in pixels; a video is measured at those that it has.
    frames: longest clip, 8k+1.

    Raises:
        ValueError: sides off the grid, or another number of frames.
    """

    resolutions: tuple[int, ...] = RESOLUTIONS
    frames: int = 49

    def __post_init__(self):
        for side in self.resolutions:
            if side < GRID_PX or side % GRID_PX:
                raise ValueError(f"resolution {side} must be a positive multiple of {GRID_PX}.")
        if not self.resolutions or len(set(self.resolutions)) < len(self.resolutions):
            raise ValueError(f"resolutions={self.resolutions} must be one or more, each once.")
        require_at_least(LEAST_FRAMES, self, "frames")
        if self.frames % STRIDE != 1:
            nearest = (self.frames - 1) // STRIDE * STRIDE + 1
            raise ValueError(f"frames={self.frames} must be 8k+1, such as {nearest}.")
        ClipRule(size=(GRID_PX, GRID_PX), max_frames=self.frames)  # refuses too many


class Clip(NamedTuple):
    """A video to measure.

    name: its path, relative to what was given.
    """

    name: str
    path: Path


@dataclasses.dataclass(frozen=True)
class Checked:
    """A clip that can be measured, with its identity, size and the resolutions that it has."""

    clip: Clip
    digest: str
    width: int
    height: int
    resolutions: tuple[int, ...]

    def read(self, resolution: int, frames: int) -> Frames:
        """The frames of the clip at a resolution.

        Raises:
            ValueError: the file is damaged.
        """
        size = scaled_size(self.width, self.height, resolution)
        rule = ClipRule(fps=MAX_FPS, size=size, max_frames=frames, stride=STRIDE)
        return read_clip(self.clip.path, rule).frames


def scaled_size(width: int, height: int, resolution: int) -> tuple[int, int]:
    """(width, height) of frames whose short side becomes `resolution` pixels."""
    scale = resolution / min(width, height)
    long = max(resolution, round(max(width, height) * scale / GRID_PX) * GRID_PX)
    return (long, resolution) if width >= height else (resolution, long)


def check_clip(clip: Clip, settings: ClipSettings) -> Checked:
    """Look at a clip's first frame and its length.

    Raises:
        ValueError: no video, a short one, or one that is smaller than all resolutions.
    """
    path = existing_file(clip.path, "video")
    if video.is_picture(path):
        raise ValueError(f"{clip.name} is a picture: give videos.")
    with video.decoding(path) as (_, decoded, rgb):
        first = next(decoded, None)
        if first is None:
            raise ValueError(f"{clip.name} holds no frame of video.")
        height, width = rgb(first).shape[:2]
    count = len(read_timeline(path, whole=False).shown)
    if 0 < count < LEAST_FRAMES:
        raise ValueError(f"{clip.name} has {count} frames: at least {LEAST_FRAMES} are needed.")
    has = tuple(side for side in settings.resolutions if side <= min(width, height))
    if not has:
        raise ValueError(
            f"{clip.name} has {width}x{height} pixels, less than {min(settings.resolutions)}p: "
            "nothing is enlarged; give a smaller resolution."
        )
    return Checked(clip, file_digest(path), width, height, has)


def list_clips(places: Iterable[str | os.PathLike]) -> list[Clip]:
    """The videos of folders and their subfolders, of lists with a column `path`, and single ones.

    Raises:
        ValueError: nothing there, an empty folder, or a mistaken list.
    """
    by_path: dict[Path, Clip] = {}
    for place in places:
        for clip in _in_place(Path(place)):
            by_path.setdefault(clip.path, clip)
    names = collections.Counter(clip.name for clip in by_path.values())
    # Several places may have files of one name.
    return [
        clip if names[clip.name] == 1 else clip._replace(name=os.fspath(clip.path))
        for clip in by_path.values()
    ]


def videos_in(folder: Path) -> list[str]:
    """Names of the videos of a folder and its subfolders, in order; hidden ones are left out."""
    found = []
    for path in folder.rglob("*"):
        parts = path.relative_to(folder).parts
        hidden = any(part.startswith(".") for part in parts)
        if path.suffix.lower() in video.VIDEOS and not hidden and path.is_file():
            found.append(parts)
    return ["/".join(parts) for parts in sorted(found)]


def _in_place(place: Path) -> Sequence[Clip]:
    if place.is_dir():
        clips = [Clip(name, place / name) for name in videos_in(place)]
        if not clips:
            raise ValueError(f"{str(place)!r} holds no videos ({', '.join(video.VIDEOS)}).")
        return clips
    existing_file(place, "clips")
    if place.suffix.lower() not in SUFFIXES:
        return [Clip(place.name, place)]
    clips = []
    for where, values in read_records(place, ("path",)):
        name = values.get("path")
        if MISTAKE in values or not isinstance(name, str) or not name.strip():
            raise ValueError(f"{place}, {where}: {values.get(MISTAKE, 'has no path')}.")
        check_text("path", name)
        clips.append(Clip(name, place.parent / name))
    if not clips:
        raise ValueError(f"{place} is empty: it needs the column path, with a video in each line.")
    return clips
