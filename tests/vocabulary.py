# Copyright 2026 The mugv_jax Authors
# SPDX-License-Identifier: Apache-2.0
"""Small vocabularies made for tests: sentencepiece with T5's settings, and CLIP's byte pairs."""

import json
from collections.abc import Iterable
from pathlib import Path

import sentencepiece
from tokenizers import pre_tokenizers

from mugv_jax.nn.text.tokenizer import END, START


def train_vocabulary(folder: Path, texts: Iterable[str]) -> None:
    """Writes `folder/spiece.model`, about 60 pieces of `texts`."""
    sentencepiece.SentencePieceTrainer.train(
        sentence_iterator=iter(list(texts) * 4),
        model_prefix=str(folder / "spiece"),
        vocab_size=60,
        hard_vocab_limit=False,
        pad_id=0,
        eos_id=1,
        unk_id=2,
        bos_id=-1,
        minloglevel=2,
    )
    (folder / "spiece.vocab").unlink()


def write_clip_vocabulary(folder: Path, texts: Iterable[str], pad: str) -> int:
    """Writes `vocab.json`, `merges.txt` and `tokenizer_config.json`; returns the vocabulary's size.

    All bytes, the words of `texts`, and CLIP's two special tokens at the end.
    """
    alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
    merges: dict[tuple[str, str], None] = {}  # in order
    for word in " ".join(texts).split():
        *first, last = word
        parts = [*first, f"{last}</w>"]
        while len(parts) > 1:
            merges[parts[0], parts[1]] = None
            parts[:2] = ["".join(parts[:2])]
    tokens = [*alphabet, *(f"{byte}</w>" for byte in alphabet)]
    tokens += dict.fromkeys("".join(pair) for pair in merges if "".join(pair) not in tokens)
    tokens += [START, END]
    (folder / "vocab.json").write_text(json.dumps({token: i for i, token in enumerate(tokens)}))
    lines = ["#version: 0.2", *(" ".join(pair) for pair in merges)]
    (folder / "merges.txt").write_text("\n".join(lines) + "\n")
    described = {"pad_token": pad, "bos_token": START, "eos_token": END, "unk_token": END}
    (folder / "tokenizer_config.json").write_text(
        json.dumps(described | {"tokenizer_class": "CLIPTokenizer", "model_max_length": 77})
    )
    return len(tokens)
