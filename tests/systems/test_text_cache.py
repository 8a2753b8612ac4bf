# Copyright 2026 The mugv_jax Authors
# SPDX-License-Identifier: Apache-2.0
import numpy as np

from mugv_jax.systems.text_cache import TEXT_STEP, TextCache, padded, padded_length


def encoder():
    """Encoder of texts to two bytes per letter, and the lists of texts passed to it."""
    asked = []

    def encode(texts):
        asked.append(texts)
        return [np.full(len(text), ord(text[0]), np.int16) for text in texts]

    return encode, asked


def test_a_text_is_encoded_once_and_several_in_one_call():
    cache, (encode, asked) = TextCache(), encoder()
    first = cache.read(["b", "a", "b"], encode)
    assert list(first) == ["b", "a"]
    second = cache.read(["c", "a"], encode)
    assert asked == [["b", "a"], ["c"]]
    assert second["a"] is first["a"]


def test_texts_that_were_not_read_for_long_are_dropped():
    cache, (encode, asked) = TextCache(most_bytes=4), encoder()
    cache.read(["a", "b"], encode)
    cache.read(["a"], encode)
    cache.read(["c"], encode)  # b goes
    cache.read(["a", "c"], encode)
    assert asked == [["a", "b"], ["c"]]
    assert len(cache.read(["long", "b"], encode)["long"]) == 4  # larger than all that is kept
    cache.read(["b"], encode)
    assert asked[2:] == [["long", "b"]]


def test_a_batch_of_texts_is_filled_up_and_masked():
    texts = [np.ones((2, 3), np.float32), np.ones((TEXT_STEP + 1, 3), np.float32)]
    assert padded_length(texts[:1], 300) == TEXT_STEP
    assert padded_length(texts, 300) == 2 * TEXT_STEP
    assert padded_length(texts, 100) == 100
    states, mask = padded(texts, 100)
    assert states.shape == (2, 100, 3)
    np.testing.assert_array_equal(states[..., 0] == 1, mask)
    assert mask.sum(axis=1).tolist() == [2, TEXT_STEP + 1]
