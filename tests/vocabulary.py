# Copyright 2026 The mugv_jax Authors
# SPDX-License-Identifier: Apache-2.0
"""A sentencepiece vocabulary made on the spot, with T5's settings."""

from collections.abc import Iterable
from pathlib import Path

import sentencepiece


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
