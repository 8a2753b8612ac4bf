# Copyright 2026 The mugv_jax Authors
# SPDX-License-Identifier: Apache-2.0
import logging

import numpy as np
import pytest
import sentencepiece
import transformers

from mugv_jax.nn.text import tokenizer
from tests.vocabulary import train_vocabulary

PROMPTS = (
    "A cat sits on the mat. aesthetic score: 6.0.",
    "  Two\tdogs \n run  through ＦＵＬＬ-width ﬁelds… ",
    "café",
)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A folder with nothing but a `spiece.model`, trained with T5's settings."""
    folder = tmp_path_factory.mktemp("t5")
    train_vocabulary(folder, PROMPTS)
    return folder


def test_ids_are_sentencepiece_and_padded(folder):
    reference = sentencepiece.SentencePieceProcessor(model_file=str(folder / "spiece.model"))
    ids, mask = tokenizer.load(str(folder)).tokenize(PROMPTS)
    assert ids.shape == mask.shape == (3, tokenizer.MAX_TOKENS)
    assert ids.dtype == np.int32
    for prompt, row, text in zip(PROMPTS, ids, mask, strict=True):
        expected = [*reference.encode(prompt), reference.eos_id()]
        assert row[text].tolist() == expected
        assert text.tolist() == [True] * len(expected) + [False] * (row.size - len(expected))
        assert not row[~text].any()


def test_a_saved_tokenizer_json_alone_gives_the_same_ids(folder, tmp_path):
    original = tokenizer.load(str(folder))
    original.backend.save(str(tmp_path / "tokenizer.json"))
    saved = tokenizer.load(str(tmp_path))
    np.testing.assert_array_equal(saved.tokenize(PROMPTS), original.tokenize(PROMPTS))


def test_byte_level_ids_are_those_of_byt5():
    reference = transformers.ByT5Tokenizer()
    prompts = ("A cat.", "café 日本 🦊\n\x00")
    ids, mask = tokenizer.byte_level().tokenize(prompts, max_tokens=40)
    for prompt, row, text in zip(prompts, ids, mask, strict=True):
        assert row[text].tolist() == reference(prompt)["input_ids"]


@pytest.mark.parametrize("kind", ["spiece", "bytes"])
def test_a_long_prompt_keeps_its_end_token_and_shows_what_was_cut(kind, folder, caplog):
    made = tokenizer.byte_level() if kind == "bytes" else tokenizer.load(str(folder))
    prompt = PROMPTS[0] * 20
    whole, _ = made.tokenize([prompt], max_tokens=2000)
    with caplog.at_level(logging.WARNING):
        ids, mask = made.tokenize([prompt])
    assert mask.all()
    assert ids[0, -1] == 1
    np.testing.assert_array_equal(ids[0, :-1], whole[0, :299])
    (message,) = caplog.messages
    cut = message.split("cut off: ")[1].strip("'")
    assert prompt.endswith(cut)
    kept, _ = made.tokenize([prompt[: -len(cut)]])
    np.testing.assert_array_equal(kept, ids)


def test_an_empty_prompt_is_the_end_token_alone(folder):
    for made, prompt in [(tokenizer.byte_level(), ""), (tokenizer.load(str(folder)), " \n\t")]:
        ids, mask = made.tokenize([prompt])
        assert ids[mask].tolist() == [1]


def test_a_folder_without_a_readable_tokenizer_is_refused(folder, tmp_path):
    with pytest.raises(ValueError, match="no readable T5 tokenizer in"):
        tokenizer.load(str(tmp_path))
    truncated = (folder / "spiece.model").read_bytes()[:1000]
    (tmp_path / "spiece.model").write_bytes(truncated)
    with pytest.raises(ValueError, match="no readable T5 tokenizer in"):
        tokenizer.load(str(tmp_path))
