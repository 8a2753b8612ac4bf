# Copyright 2026 The mugv_jax Authors
# SPDX-License-Identifier: Apache-2.0
import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from mugv_jax.systems import text

COUNT = 5


class Encoder(nn.Module):
    """States that depend on the ids and the mask, and a summary of each text."""

    @nn.compact
    def __call__(self, ids, mask):
        states = jnp.where(mask[..., None], nn.Embed(7, 3)(ids), 0)
        return {"states": states, "summary": states.sum(axis=1)}


@pytest.mark.parametrize("batch_size", [1, 2, 5, 8])
def test_batches_of_one_shape_together_hold_every_text_once(batch_size, monkeypatch):
    ids = np.random.default_rng(0).integers(0, 7, (COUNT, 4)).astype(np.int32)
    mask = np.arange(4) < np.arange(1, COUNT + 1)[:, None]
    module = Encoder()
    variables = module.init(jax.random.key(0), ids, mask)
    expected = module.apply(variables, ids, mask)
    shapes, original = set(), text._apply

    def recording(module, variables, *inputs):
        shapes.update(array.shape for array in inputs)
        return original(module, variables, *inputs)

    with monkeypatch.context() as patch:
        patch.setattr(text, "_apply", recording)
        batches = list(text.text_batches(module, variables, ids, mask, batch_size=batch_size))
    assert shapes == {(batch_size, 4)}
    assert [len(batch["states"]) for batch in batches[:-1]] == [batch_size] * (len(batches) - 1)
    for name, value in expected.items():
        found = np.concatenate([batch[name] for batch in batches])
        np.testing.assert_array_equal(found, value)
        np.testing.assert_array_equal(text.text_states(module, variables, ids, mask)[name], value)


def encoder():
    """Encoder of texts to two bytes per letter, and the lists of texts passed to it."""
    asked = []

    def encode(texts):
        asked.append(texts)
        return [np.full(len(text), ord(text[0]), np.int16) for text in texts]

    return encode, asked


def test_a_text_is_encoded_once_and_several_in_one_call():
    cache, (encode, asked) = text.TextCache(), encoder()
    first = cache.read(["b", "a", "b"], encode)
    assert list(first) == ["b", "a"]
    second = cache.read(["c", "a"], encode)
    assert asked == [["b", "a"], ["c"]]
    assert second["a"] is first["a"]


def test_texts_that_were_not_read_for_long_are_dropped(monkeypatch):
    monkeypatch.setattr(text, "KEPT_BYTES", 4)
    cache, (encode, asked) = text.TextCache(), encoder()
    cache.read(["a", "b"], encode)
    cache.read(["a"], encode)
    cache.read(["c"], encode)  # b goes
    cache.read(["a", "c"], encode)
    assert asked == [["a", "b"], ["c"]]
    assert len(cache.read(["long", "b"], encode)["long"]) == 4  # larger than all that is kept
    cache.read(["b"], encode)
    assert asked[2:] == [["long", "b"]]


def test_a_batch_of_texts_is_filled_up_and_masked():
    texts = [np.ones((2, 3), np.float32), np.ones((text.TEXT_STEP + 1, 3), np.float32)]
    assert text.padded_length(texts[:1], 300) == text.TEXT_STEP
    assert text.padded_length(texts, 300) == 2 * text.TEXT_STEP
    assert text.padded_length(texts, 100) == 100
    states, mask = text.padded(texts, 100)
    assert states.shape == (2, 100, 3)
    np.testing.assert_array_equal(states[..., 0] == 1, mask)
    assert mask.sum(axis=1).tolist() == [2, text.TEXT_STEP + 1]
