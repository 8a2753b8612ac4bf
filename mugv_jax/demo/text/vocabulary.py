# Copyright 2026 The mugv_jax Authors
# SPDX-License-Identifier: Apache-2.0
"""A sentencepiece vocabulary of captions, with T5's special ids.

Its pieces are the words of the captions, and single characters that spell all other words. Text is
lowercased first. T5 appends `EXTRA_IDS` sentinels to the pieces, `<extra_id_0>` last.
"""

import dataclasses
import functools
import io
import re
import string
from collections.abc import Sequence

import numpy as np
import sentencepiece

from mugv_jax.axes import Bool, Int

PAD, END, UNKNOWN = 0, 1, 2
EXTRA_IDS = 100  # sentinels that T5's tokenizer appends
CHARACTERS = string.ascii_lowercase + string.digits + string.punctuation
MOST_PIECES = 4096


def train_vocabulary(captions: Sequence[str]) -> bytes:
    """Content of a `spiece.model`: a unigram model (arXiv:1804.10959) of the captions.

    Raises:
        ValueError: no words, or words with characters that are not in `CHARACTERS`.
    """
    texts = [re.findall(r"\w+", each.lower()) for each in captions]
    words = sorted({word for text in texts for word in text})
    foreign = sorted(set("".join(words)) - set(CHARACTERS))
    if not words or foreign:
        raise ValueError(
            f"captions of {len(words)} words with the characters {''.join(foreign)!r}: there must "
            f"be words, of {string.ascii_lowercase} and {string.digits} alone."
        )
    content = io.BytesIO()
    sentencepiece.SentencePieceTrainer.train(
        # A piece must occur in two different tokens, so each word is added with two marks. The
        # punctuation of the captions is left out, or words would form pieces together with it.
        sentence_iterator=iter(
            [*map(" ".join, texts), *(word + mark for word in words for mark in "^~")]
        ),
        model_writer=content,
        vocab_size=MOST_PIECES,
        hard_vocab_limit=False,  # words and characters decide the size
        required_chars=CHARACTERS,
        character_coverage=1.0,
        split_by_unicode_script=False,  # or word and mark would be separated
        split_digits=True,
        normalization_rule_name="nmt_nfkc_cf",
        pad_id=PAD,
        eos_id=END,
        unk_id=UNKNOWN,
        bos_id=-1,
        num_threads=1,  # sums of several threads may differ in their last bits
        minloglevel=2,
    )
    return content.getvalue()


@dataclasses.dataclass(frozen=True, eq=False)
class Vocabulary:
    """Token ids by a `spiece.model`, equal to those of `mugv_jax.nn.text.tokenizer`."""

    model: bytes

    @functools.cached_property
    def processor(self) -> sentencepiece.SentencePieceProcessor:
        return sentencepiece.SentencePieceProcessor(model_proto=self.model)

    @property
    def pieces(self) -> int:
        """Number of special tokens and pieces; ids of sentinels start here."""
        return self.processor.vocab_size()

    @property
    def size(self) -> int:
        """Rows of the embedding: special tokens, pieces and sentinels."""
        return self.pieces + EXTRA_IDS

    @property
    def mask_id(self) -> int:
        """Id of `<extra_id_0>`, which stands for a token to predict."""
        return self.size - 1

    @functools.cached_property
    def spelled(self) -> dict[int, list[int]]:
        """Ids of the characters of each word, by the id of the word."""
        pieces = {i: self.processor.id_to_piece(i) for i in range(UNKNOWN + 1, self.pieces)}
        ids = {piece: i for i, piece in pieces.items()}
        return {
            i: [ids[character] for character in piece]
            for i, piece in pieces.items()
            if len(piece) > 1
        }

    def encode(self, caption: str) -> list[int]:
        """Ids of a caption, END included."""
        return [*self.processor.encode(caption), END]

    def padded(
        self, rows: Sequence[Sequence[int]], length: int
    ) -> tuple[Int[np.ndarray, "b s"], Bool[np.ndarray, "b s"]]:
        """Ids padded or truncated to `length`, and their mask, true on text."""
        ids = np.full((len(rows), length), PAD, np.int32)
        for row, tokens in zip(ids, rows):
            row[: len(tokens)] = tokens[:length]
        return ids, ids != PAD
