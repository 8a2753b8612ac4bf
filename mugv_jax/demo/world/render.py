# Copyright 2026 The mugv_jax Authors
# SPDX-License-Identifier: Apache-2.0
"""Frames of a scene, rendered all at once: signed distances give coverage and shading.

    coverage = clip(1/2 - d, 0, 1),   d the distance to the outline in pixels
    normal   = (-grad d (1 - depth), ...),   depth = clip(-d / bevel, 0, 1)

Objects have saturated colours and backdrops nearly grey ones, so that a program can read clips.
"""

import functools
import itertools
import math
import operator
from collections.abc import Sequence

import numpy as np
from jaxtyping import Float

from mugv_jax.axes import Frames
from mugv_jax.demo.world.faults import Shown, states
from mugv_jax.demo.world.objects import Pose, Thing
from mugv_jax.demo.world.polar import Maps, PerFrame
from mugv_jax.demo.world.scene import Backdrop, Format, Scene
from mugv_jax.demo.world.shapes import FORMS, accent

RGB = {
    "red": (214, 40, 40),
    "orange": (242, 128, 24),
    "yellow": (236, 208, 48),
    "green": (36, 176, 60),
    "cyan": (32, 188, 196),
    "blue": (44, 88, 220),
    "purple": (138, 40, 204),
    "pink": (242, 72, 160),
}
TONE_RGB = {
    "white": (236, 235, 232),
    "grey": (148, 148, 150),
    "dark": (58, 59, 62),
    "cream": (232, 227, 216),
    "pale blue": (204, 210, 220),
}
# Direction of the light: upper left, on the viewer's side; length about 1.
LIGHT = (-0.5, -0.6, 0.62)
AMBIENT, DIFFUSE, SHINE = 0.68, 0.42, 50.0
DARKER = 0.66  # brightness of stripes, dots and accents of an object
BACKDROP_DARKER = 0.8
SHADOW = 0.3
PAN, ZOOM = 0.3, 1.35  # shift (in short sides) and scale of the backdrop over the clip
# Cloudy backdrop: radians per short side along x and y.
WAVES = ((5.1, 2.3), (-3.7, 6.2), (7.9, -4.4), (2.9, 9.3))

AlongX = Float[np.ndarray, "1 1 w"]
AlongY = Float[np.ndarray, "1 h 1"]


def render(scene: Scene) -> Frames:
    """Frames of a scene in 8-bit RGB, as in video files."""
    x, y = _grid(scene.format)
    times = np.linspace(0, 1, scene.format.frames, dtype=np.float32)
    rgb = _backdrop(scene.backdrop, x, y, times)
    for placed, fault in ((scene.second, None), (scene.main, scene.fault)):
        if placed is not None:
            _paint_all(rgb, states(placed, fault, times), x, y)
    return np.clip(rgb + 0.5, 0, 255).astype(np.uint8)


def _grid(format: Format) -> tuple[AlongX, AlongY]:
    """Coordinates of pixel centres relative to the frame's centre, in short sides."""
    short = min(format.height_px, format.width_px)
    x = (np.arange(format.width_px) + 0.5 - format.width_px / 2) / short
    y = (np.arange(format.height_px) + 0.5 - format.height_px / 2) / short
    return x.astype(np.float32)[None, None], y.astype(np.float32)[None, :, None]


def _backdrop(
    backdrop: Backdrop, x: AlongX, y: AlongY, times: PerFrame
) -> Float[np.ndarray, "f h w 3"]:
    time = times[:, None, None]
    # The pattern moves against the camera: a pan to the left moves it to the right.
    shift = {"pan left": -PAN, "pan right": PAN}.get(backdrop.camera, 0.0)
    zoom = {"zoom in": 1 / ZOOM, "zoom out": ZOOM}.get(backdrop.camera, 1.0) ** time
    level = _pattern(backdrop.pattern, x * zoom + shift * time, y * zoom, backdrop.phase)
    brightness = 1 - (1 - BACKDROP_DARKER) * level
    tone = np.array(TONE_RGB[backdrop.tone], np.float32)
    shape = (len(times), y.shape[1], x.shape[2])
    return np.broadcast_to(brightness, shape)[..., None] * tone


def _pattern(pattern: str, x: np.ndarray, y: np.ndarray, phase: float) -> np.ndarray:
    """Backdrop from 0, its tone, to 1, a darker form; soft edges let it move smoothly."""
    turn = 2 * math.pi
    if pattern == "gradient":
        return np.clip(0.5 + x * math.cos(phase) + y * math.sin(phase), 0, 1)
    if pattern == "checked":
        return _soft(np.sin(turn * 3 * x + phase) * np.sin(turn * 3 * y + phase))
    if pattern == "striped":
        return _soft(np.sin(turn * 4 * (x + 0.6 * y) + phase))
    if pattern == "dotted":
        return _soft(np.cos(turn * 5 * x + phase) + np.cos(turn * 5 * y + phase) - 0.7)
    if pattern == "cloudy":
        waves = [np.sin(a * x + b * y + phase * n) for n, (a, b) in enumerate(WAVES, 1)]
        return 0.5 + functools.reduce(operator.add, waves) / (2 * len(WAVES))
    return np.zeros((1, 1, 1), np.float32)


def _soft(wave: np.ndarray) -> np.ndarray:
    return np.clip(0.5 + 2 * wave, 0, 1)


def _paint_all(
    rgb: Float[np.ndarray, "f h w 3"], shown: Sequence[Shown], x: AlongX, y: AlongY
) -> None:
    """Draws an object over `rgb`, in place; successive frames of one appearance at once."""
    start = 0
    for (thing, visible), group in itertools.groupby(
        shown, lambda each: (each.thing, each.pose is not None)
    ):
        poses = [each.pose for each in group]
        frames = rgb[start : start + len(poses)]
        if visible:
            _paint(frames, thing, [pose for pose in poses if pose], x, y)
        start += len(poses)


def _paint(
    rgb: Float[np.ndarray, "f h w 3"], thing: Thing, poses: Sequence[Pose], x: AlongX, y: AlongY
) -> None:
    """Draws an object and its shadow over `rgb`, in place."""
    fields = np.array([(p.x, p.y, p.radius, p.angle) for p in poses], np.float32).T
    at_x, at_y, radius, angle = fields[:, :, None, None]
    dx, dy = (x - at_x) / radius, (y - at_y) / radius
    u, v = dx * np.cos(angle) + dy * np.sin(angle), dy * np.cos(angle) - dx * np.sin(angle)
    form, radius_px = FORMS[thing.shape], radius * min(x.shape[-1], y.shape[-2])
    distance_px = form.distance(u, v) * radius_px
    rgb *= 1 - SHADOW * _shadow(dx, dy)[..., None]
    light, shine = _lighting(distance_px, form.bevel * radius_px)
    light *= _texture(thing.texture, u, v)
    mark = accent(thing.shape, u, v)
    if mark is not None:
        light *= 1 - (1 - DARKER) * np.clip(0.5 - mark * radius_px, 0, 1)
    colour = np.array(RGB[thing.colour], np.float32)
    coverage = np.clip(0.5 - distance_px, 0, 1)[..., None]
    rgb += coverage * (light[..., None] * colour + shine[..., None] - rgb)


def _shadow(dx: Float[np.ndarray, "f 1 w"], dy: Float[np.ndarray, "f h 1"]) -> Maps:
    """Darkness of a soft shadow under the object, from 0 to 1."""
    return np.clip(1.2 - np.hypot(dx * 0.9, (dy - 0.85) * 3), 0, 1)


def _lighting(distance_px: Maps, bevel_px: Float[np.ndarray, "f 1 1"]) -> tuple[Maps, Maps]:
    """Brightness and highlight of a surface that curves away towards its outline."""
    down, right = np.gradient(distance_px, axis=(1, 2))
    tilt = 1 - np.clip(-distance_px / bevel_px, 0, 1)
    length = np.maximum(np.hypot(down, right), 1)
    towards = np.sqrt(1 - np.minimum(tilt, 1) ** 2)
    lambert = (right * LIGHT[0] + down * LIGHT[1]) * tilt / length + towards * LIGHT[2]
    lambert = np.clip(lambert, 0, 1)
    return AMBIENT + DIFFUSE * lambert, SHINE * lambert**12


def _texture(texture: str, u: Maps, v: Maps) -> Maps | float:
    """Brightness of a surface pattern that rotates with the object."""
    turn = 2 * math.pi
    if texture == "striped":
        dark = _soft(np.sin(turn * 1.2 * (u + 0.3 * v)))
    elif texture == "dotted":
        dark = _soft(np.cos(turn * 1.3 * u) + np.cos(turn * 1.3 * v) - 0.6)
    else:
        return 1.0
    return 1 - (1 - DARKER) * dark
