# Copyright 2026 The mugv_jax Authors
# SPDX-License-Identifier: Apache-2.0
import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from mugv_jax.kernels.modulate_xla import norm_modulate, rotate
from mugv_jax.nn.dit.patch import patchify, unpatchify
from mugv_jax.nn.dit.rope import rotation
from mugv_jax.nn.mugdit import first_input
from mugv_jax.nn.mugdit.first_input import FirstInput
from mugv_jax.nn.mugdit.model import MugDiT, token_groups
from mugv_jax.nn.mugdit.sizes import DiTConfig
from mugv_jax.nn.mugdit.text import TextReader, valid_first
from mugv_jax.weights.random import random_variables
from mugv_jax.weights.registry import abstract_variables

CONFIG = DiTConfig(depth=2, width=48, num_heads=2, text_dim=16)


def inputs():
    keys = jax.random.split(jax.random.key(0), 2)
    x = jax.random.normal(keys[0], (2, 3, 3, 5, 24))
    text = jax.random.normal(keys[1], (2, 6, 16))
    options = {
        "text_mask": jnp.arange(6)[None] < jnp.array([[6], [3]]),
        "fps": jnp.full((2,), 30.0),
        "frame_index": jnp.tile(jnp.arange(5)[None], (2, 1)),
    }
    return x, jnp.full((2, 3), 400.0), text, options


@pytest.fixture(scope="module")
def variables():
    return random_variables(abstract_variables("mugv_dit", CONFIG), seed=1)


@functools.partial(jax.jit, static_argnames="token_multiple")
def forward(variables, x, t, text, options, token_multiple=1):
    module = MugDiT(CONFIG, token_multiple=token_multiple)
    return module.apply(variables, x, t, text, **options)


@pytest.mark.parametrize(("height", "width"), [(4, 6), (3, 5), (1, 1)])
def test_unpatchify_inverts_patchify_and_crops_its_padding(height, width):
    x = jax.random.normal(jax.random.key(0), (2, 3, height, width, 24))
    tokens = patchify(x, (1, 2, 2))
    assert tokens.shape == (2, 3 * -(-height // 2) * -(-width // 2), 96)
    np.testing.assert_array_equal(unpatchify(tokens, (3, height, width), (1, 2, 2)), x)


def test_rotation_makes_scores_depend_on_relative_position_only():
    q, k = jax.random.normal(jax.random.key(0), (2, 1, 1, 1, 72))

    def score(first, second):
        """Score of q at frame `first` and k at frame `second`, in the same row and column."""
        cos, sin = rotation(jnp.array([[0, first, second, 9]]), 1, 1, 72)
        q_turned = rotate(q, cos[:, 1:2], sin[:, 1:2])
        return jnp.vdot(q_turned, rotate(k, cos[:, 2:3], sin[:, 2:3]))

    np.testing.assert_allclose(score(3, 7), score(103, 107), rtol=1e-4)
    assert abs(score(3, 7) - score(3, 8)) > 1e-3


def test_time_positions_past_the_table_are_clamped_as_published():
    far = rotation(jnp.array([[0, 479, 5]]), 2, 2, 12)
    farther = rotation(jnp.array([[0, 5000, 5]]), 2, 2, 12)
    np.testing.assert_array_equal(far[0], farther[0])
    with pytest.raises(ValueError, match="384"):
        rotation(jnp.array([[0, 1, 2]]), 385, 2, 12)


def test_groups_name_start_frames_end_and_padding():
    assert token_groups(2, 3, 10).tolist() == [0, 1, 1, 1, 2, 2, 2, 3, 3, 3]


def test_any_text_mask_becomes_a_length():
    text = jnp.arange(8.0).reshape(2, 4, 1)
    mask = jnp.array([[False, True, False, True], [True, True, True, True]])
    packed, lengths = valid_first(text, mask)
    assert lengths.tolist() == [2, 4]
    assert packed[0, :2, 0].tolist() == [1, 3]


def test_padding_tokens_change_nothing(variables):
    x, t, text, options = inputs()
    out = forward(variables, x, t, text, options)
    padded = forward(variables, x, t, text, options, token_multiple=32)
    np.testing.assert_allclose(out, padded, rtol=1e-4, atol=1e-5)


def test_masked_text_changes_nothing(variables):
    x, t, text, options = inputs()
    out = forward(variables, x, t, text, options)
    changed = forward(variables, x, t, text.at[1, 3:].set(99.0), options)
    np.testing.assert_allclose(out, changed, rtol=1e-4, atol=1e-5)


def test_a_text_read_once_for_all_steps_changes_nothing(variables):
    x, t, text, options = inputs()
    expected = forward(variables, x, t, text, options)
    reader = jax.jit(TextReader(CONFIG, jnp.float32).apply)
    read = reader(variables, text, options.pop("text_mask"))
    assert read.keys.shape == (2, CONFIG.depth, 6, CONFIG.num_heads, CONFIG.head_dim)
    np.testing.assert_allclose(
        forward(variables, x, t, read, options), expected, rtol=1e-4, atol=1e-5
    )
    other = read._replace(keys=read.keys[:, ::-1], values=read.values[:, ::-1])
    found = forward(variables, x, t, other, options)  # each block has its own
    assert np.max(np.abs(found - expected)) > 1e-3


def test_the_first_input_is_what_the_first_block_reads_of_frames_that_are_not_given(
    variables, monkeypatch
):
    x, t, text, options = inputs()
    t = t.at[:, 0].set(0)
    read = {}

    def blocks(_, stacked, x, context):
        table = stacked[0]["params"]["scale_shift_table"][0]
        shift, scale = (context.modulation[:, :, i] + table[None, None, i] for i in range(2))
        read["u"] = norm_modulate(x, shift, scale, context.group)[:, 1:-1]
        return x

    @jax.jit
    def first_read(variables, x, t, text, options):
        MugDiT(CONFIG, pipeline=blocks).apply(variables, x, t, text, **options)
        return read.pop("u")

    u = first_read(variables, x, t, text, options)
    per_frame = u.shape[1] // 3
    expected = u.at[:, :per_frame].set(0)
    module = FirstInput(CONFIG, jnp.float32)
    found = jax.jit(module.apply)(variables, x, t, options["fps"])
    np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-5)
    monkeypatch.setattr(first_input, "MAX_TOKENS", 7)
    fewer = jax.jit(lambda *arrays: module.apply(*arrays))(variables, x, t, options["fps"])
    np.testing.assert_allclose(fewer, expected[:, ::3], rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("policy", ["full", "attention", "offload"])
def test_rematerialised_gradient_equals_the_plain_one(variables, policy):
    x, t, text, options = inputs()

    def gradient(remat):
        module = MugDiT(CONFIG, remat=remat)
        loss = lambda v: jnp.mean(jnp.square(module.apply(v, x, t, text, **options)))  # noqa: E731
        return jax.jit(jax.grad(loss))(variables)

    expected = gradient("none")
    for plain, remat in zip(jax.tree.leaves(expected), jax.tree.leaves(gradient(policy))):
        assert np.any(np.asarray(plain) != 0)
        np.testing.assert_allclose(plain, remat, rtol=1e-3, atol=1e-6)


@pytest.mark.parametrize(
    "fields", [{"num_heads": 5}, {"num_heads": 16}, {"depth": 0}, {"patch": (2, 2, 2)}]
)
def test_sizes_that_cannot_be_are_refused(fields):
    with pytest.raises(ValueError, match="must be"):
        DiTConfig(**({"depth": 1, "width": 48, "num_heads": 2} | fields))
