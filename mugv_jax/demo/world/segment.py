# Copyright 2026 The mugv_jax Authors
# SPDX-License-Identifier: Apache-2.0
"""Pixels of the main object: the colour that covers the most pixels of the clip.

Colours are compared in the plane

    a = r - (g + b) / 2,   b = sqrt(3)/2 (g - b),   hue = atan2(b, a)

which is linear in the pixels, so blur, shading and partial coverage keep the hue.
"""

import dataclasses
import math

import numpy as np
from jaxtyping import Float, Num

from mugv_jax.axes import Frames
from mugv_jax.demo.world.polar import Maps, PerFrame
from mugv_jax.demo.world.render import RGB

LEAST_CHROMA = 45.0  # of 255; backdrops stay below 20
HUE_WINDOW = math.radians(28)
SURFACE_QUANTILE = 0.8
OUTSIDE, INSIDE = 0.2, 0.4  # chroma, relative to the object's brighter surface
LEAST_AREA = 0.006  # share of the frame; the smallest object covers 0.017


@dataclasses.dataclass(frozen=True)
class Segment:
    """The main object in the frames that show it.

    hue_distance: angle between each colour's hue and the object's, in radians.
    frame: numbers of the frames that show the object.
    surface: chroma along the object's hue, about 1 on its brighter surface and 0 outside.
    coverage: 1 inside the outline, textures included, and 0 outside.
    """

    hue_distance: dict[str, float]
    frame: PerFrame
    surface: Maps
    coverage: Maps


def chroma(rgb: Num[np.ndarray, "*axes 3"]) -> Float[np.ndarray, "*axes 2"]:
    """Coordinates (a, b) of pixels in the colour plane."""
    red, green, blue = np.moveaxis(rgb.astype(np.float32), -1, 0)
    return np.stack([red - (green + blue) / 2, (green - blue) * math.sqrt(0.75)], -1)


def segment(frames: Frames) -> Segment | None:
    """The main object; None if fewer than half of the frames show one."""
    plane = smooth(chroma(frames))
    hue = _main_hue(plane)
    if hue is None:
        return None
    along = plane @ np.array([math.cos(hue), math.sin(hue)], np.float32)
    across = plane @ np.array([-math.sin(hue), math.cos(hue)], np.float32)
    along *= np.abs(across) < math.tan(HUE_WINDOW) * along
    bright = along[along > LEAST_CHROMA]
    if not bright.size:
        return None
    surface = along / np.quantile(bright, SURFACE_QUANTILE)
    coverage = np.clip((surface - OUTSIDE) / (INSIDE - OUTSIDE), 0, 1)
    shown = np.flatnonzero(coverage.mean(axis=(1, 2)) >= LEAST_AREA)
    if 2 * len(shown) < len(frames) or len(shown) < 2:
        return None
    palette = {name: _angle(chroma(np.array(rgb))) for name, rgb in RGB.items()}
    distance = {name: abs((hue - angle + math.pi) % (2 * math.pi) - math.pi)
                for name, angle in palette.items()}  # fmt: skip
    return Segment(distance, shown.astype(np.float32), surface[shown], coverage[shown])


def smooth(plane: Float[np.ndarray, "f h w 2"]) -> Float[np.ndarray, "f h w 2"]:
    """Filter (1, 2, 1) / 4 over rows and columns, so that noise does not colour grey pixels."""
    padded = np.pad(plane, ((0, 0), (1, 1), (1, 1), (0, 0)), mode="edge")
    columns = padded[:, :-2] + 2 * padded[:, 1:-1] + padded[:, 2:]
    return (columns[:, :, :-2] + 2 * columns[:, :, 1:-1] + columns[:, :, 2:]) / 16


def _main_hue(plane: Float[np.ndarray, "f h w 2"]) -> float | None:
    """Mean hue of the pixels of the most frequent colour; None if all pixels are grey."""
    vivid = plane[np.hypot(plane[..., 0], plane[..., 1]) > LEAST_CHROMA]
    if not len(vivid):
        return None
    palette = chroma(np.array(list(RGB.values())))
    palette /= np.linalg.norm(palette, axis=-1, keepdims=True)
    colour = (vivid @ palette.T).argmax(axis=-1)
    return _angle(vivid[colour == np.bincount(colour).argmax()].sum(axis=0))


def _angle(vector: Float[np.ndarray, " 2"]) -> float:
    return math.atan2(vector[1], vector[0])
