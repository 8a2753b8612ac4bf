# Copyright 2026 The mugv_jax Authors
# SPDX-License-Identifier: Apache-2.0
"""Metrics of a video against a reference, a few frames at a time.

    psnr, ssim     means over frames, per frame as in scikit-image (`nn/quality.py`)
    lpips          mean over frames (`nn/lpips.py`)
    flolpips       LPIPS where the motion differs (`eval/flolpips.py`)
    motion, motion_made    mean length of the flow of the reference and of the other video, in
                   pixels per frame of a video 1280 pixels wide

PSNR of equal frames counts as 120 dB, which no other frames of 8 bits reach. Without weights LPIPS
and FloLPIPS are None.
"""

import itertools
from collections.abc import Iterable, Iterator, Sequence
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import UInt8

from mugv_jax.axes import Array, Float
from mugv_jax.eval.flolpips import weighted_sum
from mugv_jax.nn import quality
from mugv_jax.nn.lpips import Lpips
from mugv_jax.video.optical_flow import Flow, FlowOf, mean_length
from mugv_jax.weights.lpips import load_lpips

METRICS = ("psnr", "ssim", "lpips", "flolpips", "motion", "motion_made")
WEIGHTED = ("lpips", "flolpips")  # metrics that need weights
REFERENCE_PX = 1280  # width in whose pixels motion is stated
STEP_PIXELS, MOST_FRAMES = 2**20, 8  # of the frames that are measured together: one of 720p
Rgb = UInt8[np.ndarray, "h w 3"]
Pair = tuple[Rgb, Rgb]


class OtherLength(ValueError):
    """Two videos have different numbers of frames."""


class Motion(NamedTuple):
    """Mean lengths of two flows, in pixels, and the flows' difference."""

    reference: float
    made: float
    difference: Flow


class Measures:
    """Metrics of two videos.

    lpips: files of its weights, see `weights.lpips.load_lpips`; None for no weights.
    flow: finds the optical flow of two frames.

    Raises:
        ValueError: files that are not weights of LPIPS.
    """

    def __init__(self, lpips: str | None, flow: FlowOf):
        self._variables = None if lpips is None else {"params": load_lpips(lpips)}
        self._flow = flow

    def __call__(self, reference: Iterable[Rgb], made: Iterable[Rgb]) -> dict[str, float | None]:
        """Every metric of METRICS; frames are taken as they are needed.

        Raises:
            OtherLength: one of the videos is longer.
        """
        values: dict[str, list[float]] = {name: [] for name in METRICS}
        width = 1
        for pairs, following in _groups(_paired(reference, made)):
            width = pairs[0][0].shape[1]
            after = [*pairs[1:], *([following] if following else [])]
            motions = [self._motion(*each) for each in zip(pairs, after)]
            for name, measured in self._frames(pairs, motions).items():
                values[name] += measured
            values["motion"] += [each.reference for each in motions]
            values["motion_made"] += [each.made for each in motions]
        scale = {"motion": REFERENCE_PX / width, "motion_made": REFERENCE_PX / width}
        return {
            name: float(np.mean(each)) * scale.get(name, 1) if each else None
            for name, each in values.items()
        }

    def _motion(self, pair: Pair, after: Pair) -> Motion:
        flows = [self._flow(a, b) for a, b in zip(pair, after)]
        return Motion(mean_length(flows[:1]), mean_length(flows[1:]), flows[0] - flows[1])

    def _frames(self, pairs: Sequence[Pair], motions: Sequence[Motion]) -> dict[str, list[float]]:
        """Metrics of single frames; the last group is filled up, so that one program serves all."""
        count, size = len(pairs), at_a_time(pairs[0][0])
        filled = [*pairs, *[pairs[-1]] * (size - count)]
        x, y = (jnp.asarray(np.stack(frames)) for frames in zip(*filled))
        found: dict[str, Array] = dict(zip(("psnr", "ssim"), _similarities(x, y)))
        if self._variables is not None:
            moved = np.zeros((size, *pairs[0][0].shape[:2], 2), np.float32)
            for number, motion in enumerate(motions):
                moved[number] = motion.difference
            distances = _distances(self._variables, x, y, jnp.asarray(moved))
            found |= dict(zip(WEIGHTED, distances))
        valid = {"flolpips": len(motions)}
        return {k: np.asarray(each)[: valid.get(k, count)].tolist() for k, each in found.items()}


def at_a_time(frame: Rgb) -> int:
    """Number of frames that are measured together."""
    return min(max(1, STEP_PIXELS // (frame.shape[0] * frame.shape[1])), MOST_FRAMES)


def _paired(reference: Iterable[Rgb], made: Iterable[Rgb]) -> Iterator[Pair]:
    for number, (x, y) in enumerate(itertools.zip_longest(reference, made)):
        if x is None or y is None:
            longer = "it" if x is None else "the reference"
            raise OtherLength(f"{longer} has more than {number} frames, the other one has not.")
        yield x, y


def _groups(pairs: Iterator[Pair]) -> Iterator[tuple[list[Pair], Pair | None]]:
    """Groups of pairs of frames, and the pair that follows each, None after the last."""
    following = next(pairs, None)
    while following is not None:
        group = [following, *itertools.islice(pairs, at_a_time(following[0]) - 1)]
        following = next(pairs, None)
        yield group, following


@jax.jit
def _similarities(
    x: UInt8[Array, "f h w 3"], y: UInt8[Array, "f h w 3"]
) -> tuple[Float[Array, "f"], Float[Array, "f"]]:
    x, y = (_pixels(each)[None] for each in (x, y))
    return quality.psnr(x, y)[0], quality.ssim(x, y)[0]


@jax.jit
def _distances(
    variables: Any,
    x: UInt8[Array, "f h w 3"],
    y: UInt8[Array, "f h w 3"],
    difference: Float[Array, "f h w 2"],
) -> tuple[Float[Array, "f"], Float[Array, "f"]]:
    """LPIPS and FloLPIPS of every frame."""
    network = Lpips(jnp.float32)
    with jax.default_matmul_precision("float32"):  # GPUs would round the features to 10 bits
        maps: Any = network.apply(variables, _pixels(x), _pixels(y), method="maps")
    means = jnp.stack([jnp.mean(each, axis=(1, 2)) for each in maps])
    return jnp.sum(means, axis=0), weighted_sum(maps, difference)


def _pixels(frames: UInt8[Array, "f h w 3"]) -> Float[Array, "f h w 3"]:
    return frames.astype(jnp.float32) / 127.5 - 1
