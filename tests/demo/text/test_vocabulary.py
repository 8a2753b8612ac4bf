# Copyright 2026 The mugv_jax Authors
# SPDX-License-Identifier: Apache-2.0
import re

import numpy as np
import pytest

from mugv_jax.demo.text.run import draw_captions
from mugv_jax.demo.text.vocabulary import END, PAD, UNKNOWN, train_vocabulary
from mugv_jax.demo.world import captions as texts
from mugv_jax.demo.world import scene
from mugv_jax.nn.text import tokenizer

STRANGE = "A photo of 3 RED balls (very fast!), moving left: 50% & more"


def words_of_the_world():
    phrases = [
        *scene.SHAPES, *scene.COLOURS, *scene.TEXTURES[1:], *scene.PATTERNS[1:], *scene.TONES,
        *(noun for nouns in texts.NOUNS.values() for noun in nouns),
        *(phrase for phrases in texts.MOTION_PHRASES.values() for phrase in phrases),
        *(phrase for phrases in texts.CAMERAS.values() for phrase in phrases),
        *texts.TEMPLATES, *texts.BESIDES, *texts.PLACES, *texts.GROUNDS,
    ]  # fmt: skip
    plain = " ".join(re.sub(r"\{.*?\}", " ", phrase) for phrase in phrases)
    return sorted(set(re.findall(r"[a-z]+", plain)))


def test_every_word_of_the_world_is_one_piece(vocabulary):
    split = [word for word in words_of_the_world() if len(vocabulary.encode(word)) != 2]
    assert split == []


@pytest.mark.parametrize("world", scene.WORLDS)
@pytest.mark.parametrize("split", scene.SPLITS)
def test_captions_are_encoded_without_loss(vocabulary, world, split):
    for caption in draw_captions(split, 200, seed=3, world=scene.WORLDS[world]):
        ids = vocabulary.encode(caption)
        assert not {PAD, UNKNOWN} & set(ids)
        assert vocabulary.processor.decode(ids[:-1]) == caption


def test_other_words_become_characters_and_capitals_are_lowercased(vocabulary):
    ids = vocabulary.encode(STRANGE)
    assert UNKNOWN not in ids
    assert vocabulary.processor.decode(ids[:-1]) == STRANGE.lower()
    assert vocabulary.encode("A Red BALL") == vocabulary.encode("a red ball")
    assert set(vocabulary.encode("red left")) <= {*ids, END}


def test_spelled_words_decode_to_the_same_text(vocabulary):
    assert len(vocabulary.spelled) >= len(words_of_the_world())
    for word, characters in vocabulary.spelled.items():
        assert len(characters) > 1
        assert vocabulary.processor.decode(characters) == vocabulary.processor.decode([word])


def test_the_tokenizer_reads_the_file(vocabulary, tmp_path):
    (tmp_path / "spiece.model").write_bytes(vocabulary.model)
    loaded = tokenizer.load(str(tmp_path))
    assert loaded.vocab_size == vocabulary.size
    prompts = [*draw_captions("unseen", 20), STRANGE, "", "日本 café"]
    ids, mask = loaded.tokenize(prompts, max_tokens=80)
    for prompt, row, text in zip(prompts, ids, mask, strict=True):
        assert row[text].tolist() == vocabulary.encode(prompt)
        assert row.max() < vocabulary.pieces
    sentinel, _ = loaded.tokenize(["<extra_id_0>"], max_tokens=2)
    np.testing.assert_array_equal(sentinel, [[vocabulary.mask_id, END]])


@pytest.mark.parametrize("captions", [[], ["..."], ["ein grüner Ball"]])
def test_captions_without_usable_words_are_refused(captions):
    with pytest.raises(ValueError, match="there must be words, of abc"):
        train_vocabulary(captions)
