# Copyright 2026 The mugv_jax Authors
# SPDX-License-Identifier: Apache-2.0
"""Features of frames: discs, squares and triangles drawn in NumPy, wherever they are."""

import jax
import numpy as np
import pytest

from mugv_jax.demo.reward.object_features import FEATURES, SPREADS, TURNS, features

SIDE = 64
PLACE, COLOUR = slice(0, 3), slice(3, 5)
OUTLINE = slice(FEATURES - len(TURNS) - len(SPREADS), FEATURES)


def drawn(corners, x, y, radius, turn=0.0, rgb=(1.0, -1.0, -1.0)):
    """A vivid polygon of equal sides on grey, or a disc without corners; lengths in pixels."""
    row, column = np.mgrid[:SIDE, :SIDE] + 0.5 - SIDE / 2
    right, down = column - x, row - y
    inside = np.hypot(right, down) < radius
    if corners:
        angles = turn + 2 * np.pi * np.arange(corners) / corners
        sides = [right * np.cos(a) + down * np.sin(a) < radius for a in angles]
        inside = np.all(sides, axis=0)
    return np.where(inside[..., None], np.array(rgb), 0.2).astype(np.float32)


@pytest.fixture(scope="module")
def read():
    jitted = jax.jit(features)
    return lambda *frames: np.asarray(jitted(np.stack(frames)[None]))[0]


def test_place_and_size_of_a_disc(read):
    (found,) = read(drawn(0, 12, -8, 10))
    log_radius, x, y = found[PLACE] / np.array([2, 4, 4])
    np.testing.assert_allclose([x, y], [12 / SIDE, -8 / SIDE], atol=5e-3)
    assert abs(0.2 * np.exp(log_radius) * SIDE - 10) < 1  # a faint rim counts too


def test_colour_is_the_hue(read):
    red, green = read(drawn(0, 0, 0, 12), drawn(0, 0, 0, 12, rgb=(-1.0, 1.0, -1.0)))
    np.testing.assert_allclose(red[COLOUR], [1, 0], atol=0.03)
    np.testing.assert_allclose(green[COLOUR], [-0.5, 0.75**0.5], atol=0.03)


@pytest.mark.parametrize("corners", [3, 4])
def test_an_outline_is_the_same_anywhere(read, corners):
    one, other = read(drawn(corners, 0, 0, 8), drawn(corners, 9, -7, 10, turn=0.4))
    np.testing.assert_allclose(one[OUTLINE], other[OUTLINE], atol=0.2)
    turns = one[OUTLINE][: len(TURNS)]
    assert TURNS[int(turns.argmax())] in (corners, 2 * corners)
    assert turns[TURNS.index(corners)] > 5 * turns[TURNS.index(5)]


def test_frames_without_an_object_are_finite_and_have_a_gradient():
    grey = np.full((1, 1, SIDE, SIDE, 3), 0.2, np.float32)
    value, back = jax.vjp(jax.jit(features), grey)
    (gradient,) = back(np.ones_like(value))
    assert np.isfinite(value).all()
    assert np.isfinite(gradient).all()
    assert np.abs(np.asarray(value)[0, 0, 1:3]).max() < 0.1  # at the centre
