# Copyright 2026 The mugv_jax Authors
# SPDX-License-Identifier: Apache-2.0
import numpy as np
import pytest

from mugv_jax.demo.text.denoise import Noise
from mugv_jax.demo.text.run import draw_captions
from mugv_jax.demo.text.text_config import TextTrainConfig
from mugv_jax.demo.text.vocabulary import END, PAD, UNKNOWN

SHARE_TOLERANCE = 0.015  # four deviations of a share of 20,000 draws


@pytest.fixture(scope="module")
def rows(vocabulary):
    return [vocabulary.encode(caption) for caption in draw_captions("train", 1500)]


def test_selected_tokens_are_masked_replaced_or_kept_in_their_shares(vocabulary, rows):
    noise = Noise(vocabulary, TextTrainConfig(length=40, replaced=0.1, kept=0.15, spelled=0.0))
    ids, mask, target, selected = noise(rows, np.random.default_rng(0)).values()
    words = mask & (target != END)
    masked = ids == vocabulary.mask_id
    assert selected[words].mean() == pytest.approx(0.45, abs=SHARE_TOLERANCE)
    assert masked[words].mean() == pytest.approx(0.2, abs=SHARE_TOLERANCE)
    replaced = (ids != target) & ~masked
    assert replaced[words].mean() == pytest.approx(0.1, abs=SHARE_TOLERANCE)
    assert ids[replaced].min() > UNKNOWN
    assert ids[replaced].max() < vocabulary.pieces
    assert not (selected & ~words).any()
    np.testing.assert_array_equal(ids[~selected], target[~selected])
    for row, length, caption in zip(target, mask.sum(axis=1), rows, strict=True):
        assert row[:length].tolist() == caption
        assert (row[length:] == PAD).all()


def test_words_are_spelled_where_there_is_room(vocabulary, rows):
    noise = Noise(vocabulary, TextTrainConfig(length=40, spelled=0.5))
    _, mask, target, _ = noise(rows, np.random.default_rng(0)).values()
    longer = 0
    for row, length, caption in zip(target, mask.sum(axis=1), rows, strict=True):
        assert row[length - 1] == END
        decoded = vocabulary.processor.decode(row[: length - 1].tolist())
        assert decoded == vocabulary.processor.decode(caption[:-1])
        longer += length > len(caption)
    assert longer > 0.9 * len(rows)


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"steps": 0}, "steps=0 must be at least 1"),
        ({"masked": 0.9}, r"masked=0\.9 must be above 0, and at most 1 with replaced=0\.03"),
        ({"kept": -0.1}, r"kept=-0\.1 must lie in"),
        ({"depth": 0}, "depth=0 must be at least 1"),
        ({"seed": -1}, "seed=-1 must be at least 0"),
        ({"learning_rate": 0.0}, r"learning_rate=0\.0 must be above 0"),
    ],
)
def test_config_values_out_of_range_are_refused(values, message):
    with pytest.raises(ValueError, match=message):
        TextTrainConfig(**values)
