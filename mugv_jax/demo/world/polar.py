# Copyright 2026 The mugv_jax Authors
# SPDX-License-Identifier: Apache-2.0
"""Maps in polar coordinates around an object's centre, where rotation shifts the angle axis.

Radii are relative to that of the disc with the object's area, which removes position and size.
Axes: `f` frames, `r` radii, `q` angles, `k` angular frequencies.
"""

import math

import numpy as np
from jaxtyping import Complex, Float

RADII = 16
ANGLES = 64
REACH = 1.9  # largest radius; the slimmest object, a bottle, reaches 1.85
FREQUENCIES = 16
ROTATIONS = np.radians(np.arange(-240, 241, 4))  # candidate rotations over the clip

PerFrame = Float[np.ndarray, " f"]
Maps = Float[np.ndarray, "f h w"]
Unrolled = Float[np.ndarray, "f r q"]


def moments(coverage: Maps) -> tuple[PerFrame, PerFrame, PerFrame]:
    """Centre x and y, in pixels from the first pixel's centre; radius of the disc of equal area."""
    area = coverage.sum(axis=(1, 2))
    x = (coverage.sum(axis=1) @ np.arange(coverage.shape[2])) / area
    y = (coverage.sum(axis=2) @ np.arange(coverage.shape[1])) / area
    return x, y, np.sqrt(area / math.pi)


def unroll(maps: Maps, x: PerFrame, y: PerFrame, radius: PerFrame) -> Unrolled:
    """Bilinear samples weighted by the root of the area that each covers; 0 outside the frame."""
    reach = (np.arange(RADII) + 0.5) / RADII * REACH
    angle = np.arange(ANGLES) * (2 * math.pi / ANGLES)
    ring = radius[:, None, None] * reach[:, None]
    sample = _bilinear(
        maps, x[:, None, None] + ring * np.cos(angle), y[:, None, None] + ring * np.sin(angle)
    )
    return sample * np.sqrt(reach)[:, None]


def _bilinear(maps: Maps, x: Unrolled, y: Unrolled) -> Unrolled:
    padded = np.pad(maps, ((0, 0), (1, 1), (1, 1)))
    height, width = padded.shape[1:]
    x, y = np.clip(x + 1, 0, width - 1.001), np.clip(y + 1, 0, height - 1.001)
    left, top = x.astype(int), y.astype(int)
    right, low = x - left, y - top
    frame = np.arange(len(maps))[:, None, None]

    def at(row: np.ndarray, column: np.ndarray) -> Unrolled:
        return padded[frame, row, column]

    upper = at(top, left) * (1 - right) + at(top, left + 1) * right
    lower = at(top + 1, left) * (1 - right) + at(top + 1, left + 1) * right
    return upper * (1 - low) + lower * low


def rotation(surface: Unrolled, time: PerFrame) -> tuple[float, float]:
    """Rotation over the clip at a constant rate, in radians, and how well it fits.

    Frames rotated back at the right rate agree, so the energy of their mean is largest. The fit is
    the gain in that energy over no rotation, relative to the mean energy of the frames.

    time: time of each frame; 0 is the start of the clip, 1 its end.
    """
    spectrum = np.fft.rfft(surface, axis=-1)[..., : FREQUENCIES + 1] / ANGLES
    phase = ROTATIONS[:, None, None] * time[:, None] * np.arange(FREQUENCIES + 1)
    mean = np.einsum("tfk,frk->trk", np.exp(1j * phase), spectrum) / len(time)
    energy = _energy(mean)
    still, best = energy[len(ROTATIONS) // 2], int(energy.argmax())
    fit = (energy[best] - still) / _energy(spectrum).mean()
    return float(ROTATIONS[best]), float(fit)


def _energy(spectrum: Complex[np.ndarray, "... r k"]) -> Float[np.ndarray, "..."]:
    """Energy of the real signal: every frequency but the zeroth counts twice."""
    power = np.square(np.abs(spectrum)).sum(axis=-2)
    return 2 * power.sum(axis=-1) - power[..., 0]


def mismatch(coverage: Unrolled, templates: Float[np.ndarray, "p r q"]) -> Float[np.ndarray, "f p"]:
    """Squared distance of each frame to each template at the best angle, over the energy of both.

    It is 0 for equal maps and 1 for maps without overlap.
    """
    frame, template = np.fft.rfft(coverage, axis=-1), np.fft.rfft(templates, axis=-1)
    overlap = np.einsum("frk,prk->fpk", frame, template.conj())
    overlap = np.fft.irfft(overlap, n=ANGLES, axis=-1).max(axis=-1)
    energies = np.square(coverage).sum(axis=(1, 2))[:, None] + np.square(templates).sum(axis=(1, 2))
    return 1 - 2 * overlap / energies
