# Copyright 2026 The mugv_jax Authors
# SPDX-License-Identifier: Apache-2.0
"""Preprocessing for CLIP: Pillow's numbers without its rounding, and a gradient."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from PIL import Image
from transformers.models.clip.image_processing_pil_clip import CLIPImageProcessorPil

from mugv_jax.rewards.preprocess import DEVIATION, MEAN, PAD, preprocess

SIDE = 12
# Pillow rounds to 8 bits after each of two passes, and the second pass spreads the error of the
# first by the sum of its kernel's absolute values, at most 1.3.
LEVELS = 0.5 + 0.5 * 1.3 + 0.01


def pictures(height: int, width: int) -> np.ndarray:
    """Noise, the hardest case: the kernel overshoots at nearly every pixel."""
    return np.random.default_rng(height).integers(0, 256, (2, height, width, 3), np.uint8)


def levels(x) -> np.ndarray:
    """Preprocessed pictures in 8-bit levels."""
    return (np.asarray(x, np.float64) * DEVIATION + MEAN) * 255


def ours(frames: np.ndarray, **fit) -> jax.Array:
    return preprocess(jnp.asarray(frames / np.float32(127.5) - 1), SIDE, **fit)


@pytest.mark.parametrize("size", [(12, 12), (40, 57), (57, 31), (7, 9), (13, 24)])
def test_frames_are_those_of_transformers_but_for_rounding(size):
    frames = pictures(*size)
    processor = CLIPImageProcessorPil(
        size={"shortest_edge": SIDE}, crop_size={"height": SIDE, "width": SIDE}
    )
    expected = processor(list(frames), return_tensors="np")["pixel_values"]
    difference = levels(ours(frames)) - levels(np.moveaxis(expected, 1, -1))
    assert np.abs(difference).max() < LEVELS


@pytest.mark.parametrize(("size", "scaled"), [((40, 57), (8, 12)), ((57, 40), (12, 8))])
def test_padded_frames_are_the_whole_picture_between_black_borders(size, scaled):
    frames = pictures(*size)
    found = levels(ours(frames, fit=PAD))
    for picture, expected in zip(found, frames, strict=True):
        small = Image.fromarray(expected).resize(scaled[::-1], Image.Resampling.BICUBIC)
        whole = np.zeros((SIDE, SIDE, 3))
        top, left = ((SIDE - each) // 2 for each in scaled)
        whole[top : top + scaled[0], left : left + scaled[1]] = np.asarray(small)
        assert np.abs(picture - whole).max() < LEVELS


def test_only_pixels_that_a_file_can_hold_count():
    frames = jnp.full((1, SIDE, SIDE, 3), 0.5).at[0, 0, 0].set(3.0)
    gradient = jax.grad(lambda x: jnp.sum(preprocess(x, SIDE)))(frames)
    expected = np.broadcast_to(0.5 / np.asarray(DEVIATION), (SIDE, SIDE, 3)).copy()
    expected[0, 0] = 0
    np.testing.assert_allclose(gradient[0], expected, rtol=1e-6)
    np.testing.assert_array_equal(
        preprocess(frames, SIDE), preprocess(jnp.clip(frames, -1, 1), SIDE)
    )


def test_an_unknown_fit_is_refused():
    with pytest.raises(ValueError, match="fit='stretch' must be crop or pad"):
        preprocess(jnp.zeros((1, 4, 4, 3)), 4, "stretch")
