# Copyright 2026 The mugv_jax Authors
# SPDX-License-Identifier: Apache-2.0
"""Photographs under a camera that moves as told."""

from pathlib import Path

import cv2
import numpy as np
import skimage.data
from PIL import Image

WIDTH, HEIGHT = 320, 180


def photo(name: str, width: int = 480) -> np.ndarray:
    """Photograph of scikit-image, such as astronaut.png, RGB uint8 (h w 3), of a width."""
    with Image.open(Path(skimage.data.__file__).parent / name) as picture:
        height = round(picture.height * width / picture.width)
        return np.asarray(picture.convert("RGB").resize((width, height)))


def panned(picture: np.ndarray, offsets: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    """Windows (f h w 3) of a picture, off its middle by `offsets` (f 2), x before y, in pixels.

    What is seen moves by the difference of two offsets, the other way.
    """
    middle = (np.array(picture.shape[1::-1]) - size) / 2
    flags = cv2.INTER_CUBIC | cv2.WARP_INVERSE_MAP
    matrices = [np.array([[1, 0, x], [0, 1, y]]) for x, y in middle + offsets]
    return np.stack(
        [cv2.warpAffine(picture, matrix, size, flags=flags, borderMode=cv2.BORDER_REFLECT)
         for matrix in matrices]
    )  # fmt: skip


def steps(count: int, speed: tuple[float, float]) -> np.ndarray:
    """Offsets (f 2) of a camera that moves by `speed` from frame to frame, about the middle."""
    return (np.arange(count) - (count - 1) / 2)[:, None] * np.array(speed)


def views(name: str, count: int = 3, speed: tuple[float, float] = (11.0, 3.0)) -> np.ndarray:
    """Frames (f h w 3) of a photograph under a panning camera."""
    return panned(photo(name), steps(count, speed), (WIDTH, HEIGHT))
