# Copyright 2026 The mugv_jax Authors
# SPDX-License-Identifier: Apache-2.0
"""Faults and changes of a shot: functions from frames (f h w 3) to frames."""

import cv2
import numpy as np

from tools.curation.shots import scaled

Frames = np.ndarray
TEXTS = (
    "the best is yet to come", "SUBSCRIBE NOW", "previously, in the city", "He knew it well.",
    "Chapter 4: the return", "what did you say?", "breaking news tonight", "call 555-0199",
)  # fmt: skip


def blurred(frames: Frames, rng: np.random.Generator) -> Frames:
    """Out of focus."""
    sigma = rng.uniform(0.012, 0.025) * frames.shape[1]
    return np.stack([cv2.GaussianBlur(each, (0, 0), sigma) for each in frames])


def frozen(frames: Frames, rng: np.random.Generator) -> Frames:
    """Stands still for at least half of the time, and goes on where it stopped."""
    count = len(frames)
    first, still = int(rng.integers(0, count // 2)), int(count * rng.uniform(0.5, 0.9))
    shown = np.concatenate([np.arange(first), np.full(still, first), np.arange(first, count)])
    return frames[shown[:count]]


def flickering(frames: Frames, rng: np.random.Generator) -> Frames:
    """Brightness that changes from frame to frame, as under a lamp with another frequency."""
    gain = 1 + rng.uniform(0.12, 0.25) * rng.choice([-1, 1], len(frames))
    return np.clip(frames * gain[:, None, None, None], 0, 255).astype(np.uint8)


def shaken(frames: Frames, rng: np.random.Generator) -> Frames:
    """Moved by a few pixels in another direction in every frame."""
    height, width = frames.shape[1:3]
    size = rng.uniform(0.012, 0.025) * width
    offsets = rng.normal(0, size, (len(frames), 2)).clip(-2.5 * size, 2.5 * size)
    room = 1 + 6 * size / height
    made = []
    for frame, (x, y) in zip(frames, offsets, strict=True):
        matrix = np.array([
            [room, 0, x - (room - 1) * width / 2], [0, room, y - (room - 1) * height / 2]
        ], np.float32)  # fmt: skip
        made.append(cv2.warpAffine(frame, matrix, (width, height), borderMode=cv2.BORDER_REFLECT))
    return np.stack(made)


def bordered(frames: Frames, rng: np.random.Generator) -> tuple[Frames, list[int]]:
    """In black bars above and below, left and right, or all around; and the box that is left."""
    height, width = frames.shape[1:3]
    kind = rng.choice(["letterbox", "pillarbox", "all"])
    down = int(height * rng.uniform(0.08, 0.16)) if kind != "pillarbox" else 0
    across = int(width * rng.uniform(0.08, 0.2)) if kind != "letterbox" else 0
    made = np.full_like(frames, int(rng.choice([0, 0, 16, 255])))
    inner = width - 2 * across, height - 2 * down
    for frame, target in zip(frames, made, strict=True):
        target[down : height - down, across : width - across] = scaled(frame, *inner)
    return made, [across, down, width - across, height - down]


def written(frames: Frames, rng: np.random.Generator, *, subtitle: bool) -> Frames:
    """With a subtitle, or large words somewhere."""
    height, width = frames.shape[1:3]
    text = str(rng.choice(TEXTS))
    scale = height / 180 * (rng.uniform(0.5, 0.65) if subtitle else rng.uniform(0.8, 1.2))
    (wide, tall), _ = cv2.getTextSize(text, cv2.FONT_HERSHEY_SIMPLEX, scale, 1)
    if wide > width * 0.95:
        scale *= width * 0.95 / wide
        (wide, tall), _ = cv2.getTextSize(text, cv2.FONT_HERSHEY_SIMPLEX, scale, 1)
    x = (width - wide) // 2 if subtitle else int(rng.integers(0, max(1, width - wide)))
    y = int(height * 0.93) if subtitle else int(rng.integers(tall + 2, height - 4))
    made = frames.copy()
    line = max(1, round(height / 180))
    for frame in made:
        for colour, thick in (((0, 0, 0), 3 * line), ((255, 255, 255), line)):
            cv2.putText(
                frame, text, (x, y), cv2.FONT_HERSHEY_SIMPLEX, scale, colour, thick, cv2.LINE_AA
            )
    return made


def watermarked(frames: Frames, rng: np.random.Generator) -> Frames:
    """With a translucent sign in a corner: a ring with a bar and two letters."""
    height, width = frames.shape[1:3]
    side = int(height * rng.uniform(0.16, 0.24))
    sign = np.zeros((side, side), np.uint8)
    cv2.circle(sign, (side // 2, side // 2), side // 2 - 2, 255, max(2, side // 12))
    cv2.line(sign, (side // 4, side // 2), (3 * side // 4, side // 2), 255, max(2, side // 10))
    letters = "".join(rng.choice(list("KVXMTA"), 2))
    cv2.putText(sign, letters, (side // 4, side // 3), 0, side / 90, 255, 1, cv2.LINE_AA)
    alpha = rng.uniform(0.45, 0.8) / 255
    margin = int(height * 0.04)
    top = margin if rng.random() < 0.5 else height - side - margin
    left = margin if rng.random() < 0.5 else width - side - margin
    made = frames.astype(np.float32)
    part = made[:, top : top + side, left : left + side]
    part += alpha * sign[None, ..., None] * (235 - part)
    return made.clip(0, 255).astype(np.uint8)


def cropped(frames: Frames, rng: np.random.Generator) -> Frames:
    """Without 4 to 12 % at each border, at the size before."""
    height, width = frames.shape[1:3]
    share = rng.uniform(0.02, 0.06, 4)
    top, left = int(share[0] * height), int(share[1] * width)
    part = frames[:, top : height - int(share[2] * height), left : width - int(share[3] * width)]
    return np.stack([scaled(each, width, height) for each in part])


def recoloured(frames: Frames, rng: np.random.Generator) -> Frames:
    """Brighter or darker, with another balance of colours."""
    gain = rng.uniform(0.75, 1.2) * rng.uniform(0.92, 1.08, 3)
    return np.clip(frames * gain + rng.uniform(-12, 12), 0, 255).astype(np.uint8)


def mirrored(frames: Frames, rng: np.random.Generator) -> Frames:
    """Left and right exchanged."""
    del rng
    return frames[:, :, ::-1]


def trimmed(frames: Frames, rng: np.random.Generator) -> Frames:
    """Without up to a fifth of the frames at either end."""
    count = len(frames)
    return frames[int(count * rng.uniform(0.05, 0.2)) : count - int(count * rng.uniform(0.05, 0.2))]


def faster(frames: Frames, rng: np.random.Generator) -> Frames:
    """Every second frame only."""
    del rng
    return frames[::2]
