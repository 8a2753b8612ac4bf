# Copyright 2026 The mugv_jax Authors
# SPDX-License-Identifier: Apache-2.0
import ast
import dataclasses
import logging
import re
import shutil

import numpy as np
import pytest
import sentencepiece
import transformers

from mugv_jax.nn.text import tokenizer
from tests.vocabulary import train_vocabulary, write_clip_vocabulary

LENGTH = 300
PROMPTS = (
    "A cat sits on the mat. aesthetic score: 6.0.",
    "  Two\tdogs \n run  through ＦＵＬＬ-width ﬁelds… ",
    "café",
)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Folder with only a `spiece.model`, trained with T5's settings."""
    folder = tmp_path_factory.mktemp("t5")
    train_vocabulary(folder, PROMPTS)
    return folder


def test_ids_are_sentencepiece_and_padded(folder):
    reference = sentencepiece.SentencePieceProcessor(model_file=str(folder / "spiece.model"))
    ids, mask = tokenizer.load(str(folder)).tokenize(PROMPTS, LENGTH)
    assert ids.shape == mask.shape == (3, LENGTH)
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
    np.testing.assert_array_equal(
        saved.tokenize(PROMPTS, LENGTH), original.tokenize(PROMPTS, LENGTH)
    )


def test_a_converted_vocabulary_is_kept_and_gives_the_same_ids(folder, tmp_path, monkeypatch):
    monkeypatch.setattr(tokenizer, "KEPT", str(tmp_path / "kept"))
    converted = tokenizer.load(str(folder))
    (kept,) = (tmp_path / "kept").iterdir()
    convert = tokenizer._converted
    monkeypatch.setattr(tokenizer, "_converted", None)  # not needed again
    read = tokenizer.load(str(folder))
    np.testing.assert_array_equal(read.tokenize(PROMPTS, 60), converted.tokenize(PROMPTS, 60))
    assert read.pad_id == converted.pad_id
    monkeypatch.setattr(tokenizer, "_converted", convert)
    kept.write_text("damaged")
    assert tokenizer.load(str(folder)).vocab_size == converted.vocab_size
    assert kept.read_text() != "damaged"
    other = shutil.copytree(folder, tmp_path / "other")
    (other / "tokenizer_config.json").write_text("{}")
    tokenizer.load(str(other))
    assert len(list((tmp_path / "kept").iterdir())) == 2
    monkeypatch.setattr(tokenizer, "KEPT", str(kept))  # a file: nothing can be kept in it
    assert tokenizer.load(str(folder)).vocab_size == converted.vocab_size


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
        ids, mask = made.tokenize([prompt], LENGTH)
    assert mask.all()
    assert ids[0, -1] == 1
    np.testing.assert_array_equal(ids[0, :-1], whole[0, : LENGTH - 1])
    (message,) = caplog.messages
    cut = message.split("cut off: ")[1].strip("'")
    assert prompt.endswith(cut)
    kept, _ = made.tokenize([prompt[: -len(cut)]], LENGTH)
    np.testing.assert_array_equal(kept, ids)


@pytest.mark.parametrize("kind", ["spiece", "bytes"])
def test_an_ending_that_is_kept_survives_the_cut(kind, folder, caplog):
    made = tokenizer.byte_level() if kind == "bytes" else tokenizer.load(str(folder))
    ending = " aesthetic score: 6.0."
    prompt = "A cat sits on the mat. " * 60
    keeping = dataclasses.replace(made, ending=re.compile(r" aesthetic .*"))
    with caplog.at_level(logging.WARNING):
        ids, mask = keeping.tokenize([prompt + ending], LENGTH)
    assert mask.all()
    last, _ = made.tokenize([ending], LENGTH)
    tokens = np.trim_zeros(last[0], "b")
    np.testing.assert_array_equal(ids[0, -len(tokens) :], tokens)
    whole, whole_mask = made.tokenize([prompt + ending], max_tokens=2000)
    first = LENGTH - len(tokens)
    np.testing.assert_array_equal(ids[0, :first], whole[0, :first])
    (message,) = caplog.messages
    assert f"{whole_mask.sum() - LENGTH} tokens were cut off before 'aesthetic score: 6.0.', " in (
        message
    )
    assert prompt.endswith(ast.literal_eval(message.split("is kept: ")[1]))


def test_an_ending_too_long_to_keep_is_cut_like_any_text():
    made = tokenizer.byte_level()
    keeping = dataclasses.replace(made, ending=re.compile(r" .*"))
    ids = [each.tokenize(["a" + " b" * 9], 8)[0] for each in (made, keeping)]
    np.testing.assert_array_equal(*ids)


def test_an_empty_prompt_is_the_end_token_alone(folder):
    for made, prompt in [(tokenizer.byte_level(), ""), (tokenizer.load(str(folder)), " \n\t")]:
        ids, mask = made.tokenize([prompt], LENGTH)
        assert ids[mask].tolist() == [1]


def test_a_folder_without_a_readable_tokenizer_is_refused(folder, tmp_path):
    with pytest.raises(ValueError, match="no readable T5 tokenizer in"):
        tokenizer.load(str(tmp_path))
    truncated = (folder / "spiece.model").read_bytes()[:1000]
    (tmp_path / "spiece.model").write_bytes(truncated)
    with pytest.raises(ValueError, match="no readable T5 tokenizer in"):
        tokenizer.load(str(tmp_path))


@pytest.fixture(scope="module", params=["<|endoftext|>", "!"], ids=["CLIP-L", "bigG"])
def clip(request, tmp_path_factory):
    """Folder with a vocabulary like CLIP's, for either padding token."""
    folder = tmp_path_factory.mktemp("clip")
    write_clip_vocabulary(folder, ["a cat sits on the mat"], request.param)
    return folder


def test_ids_of_clip_are_those_of_transformers_filled_up_with_its_token(clip):
    reference = transformers.CLIPTokenizer.from_pretrained(str(clip))
    prompts = ("A cat, wow!", "", "café 日本", "the mat " * 50)
    made = tokenizer.load_clip(str(clip))
    ids, mask = made.tokenize(prompts, max_tokens=77)
    expected = reference(list(prompts), padding="max_length", max_length=77, truncation=True)
    np.testing.assert_array_equal(ids, expected.input_ids)
    np.testing.assert_array_equal(mask, np.asarray(expected.attention_mask, bool))
    assert (ids[:, 0] == reference.bos_token_id).all()
    assert ids[3, -1] == reference.eos_token_id == made.vocab_size - 1
    assert ids[1, -1] == made.pad_id == reference.pad_token_id


def test_what_clip_does_not_read_is_shown(clip, caplog):
    with caplog.at_level(logging.WARNING):
        tokenizer.load_clip(str(clip)).tokenize(["the mat " * 50], max_tokens=77)
    (message,) = caplog.messages
    assert message.startswith("The prompt has 102 tokens, CLIP reads 77. 25 tokens were cut off: ")
    assert message.split("cut off: ")[1] == repr("mat " + "the mat " * 12)


def test_a_saved_tokenizer_json_of_clip_gives_the_same_ids(clip, tmp_path):
    transformers.CLIPTokenizer.from_pretrained(str(clip)).save_pretrained(tmp_path)
    assert not (tmp_path / "vocab.json").exists()
    for made, saved in zip(
        tokenizer.load_clip(str(clip)).tokenize(PROMPTS, 77),
        tokenizer.load_clip(str(tmp_path)).tokenize(PROMPTS, 77),
        strict=True,
    ):
        np.testing.assert_array_equal(saved, made)


@pytest.mark.parametrize("end", [257, 49407])
def test_byte_level_ids_of_clip_end_with_its_end(end):
    ids, mask = tokenizer.byte_level_clip(end).tokenize(["ab", "", "é" * 9], max_tokens=6)
    start = end - 1
    assert ids.tolist() == [
        [start, 97, 98, end, end, end],
        [start, end, end, end, end, end],
        [start, 195, 169, 195, 169, end],
    ]
    assert mask.sum(axis=1).tolist() == [4, 2, 6]
    assert tokenizer.byte_level_clip(end).vocab_size == end + 1
    with pytest.raises(ValueError, match="end=256 must be at least 257"):
        tokenizer.byte_level_clip(256)


@pytest.mark.parametrize("damage", ["empty", "half", "cut"])
def test_a_folder_without_a_readable_tokenizer_of_clip_is_refused(clip, tmp_path, damage):
    """This includes one for which transformers would invent three tokens."""
    if damage != "empty":
        text = (clip / "vocab.json").read_text()
        (tmp_path / "vocab.json").write_text(text[:1000] if damage == "cut" else text)
    if damage == "cut":
        (tmp_path / "merges.txt").write_text((clip / "merges.txt").read_text())
    with pytest.raises(ValueError, match="no readable CLIP tokenizer in"):
        tokenizer.load_clip(str(tmp_path))
