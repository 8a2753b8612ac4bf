# Copyright 2026 The mugv_jax Authors
# SPDX-License-Identifier: Apache-2.0
"""A sentencepiece vocabulary of a world's captions, with T5's special ids.

Its pieces are the words of the captions, and single characters for all other words. Text is put
in lower case first. T5 adds `EXTRA_IDS` sentinels behind the pieces, `<extra_id_0>` last.
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
EXTRA_IDS = 100  # that T5's tokenizer adds
CHARACTERS = string.ascii_lowercase + string.digits + string.punctuation
MOST_PIECES = 4096
SPACE = "▁"  # how sentencepiece writes a space


def train_vocabulary(captions: Sequence[str]) -> bytes:
    """The content of a `spiece.model`: a unigram model (arXiv:1804.10959).

    Raises:
        ValueError: no captions, or words of other characters than `CHARACTERS`.
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
        # Only what two different tokens share may become a piece: so each word, with two marks.
        # The marks of the captions are left out, or words would be pieces together with those.
        sentence_iterator=iter(
            [*map(" ".join, texts), *(word + mark for word in words for mark in "^~")]
        ),
        model_writer=content,
        vocab_size=MOST_PIECES,
        hard_vocab_limit=False,  # as many as there are words and characters
        required_chars=CHARACTERS,
        character_coverage=1.0,
        split_by_unicode_script=False,  # keeps word and mark together
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
    """The ids of a `spiece.model`, as `mugv_jax.nn.text.tokenizer` makes them of that file."""

    model: bytes

    @functools.cached_property
    def processor(self) -> sentencepiece.SentencePieceProcessor:
        return sentencepiece.SentencePieceProcessor(model_proto=self.model)

    @property
    def pieces(self) -> int:
        """Ids of special tokens and pieces are below it."""
        return self.processor.vocab_size()

    @property
    def size(self) -> int:
        """Rows of the embedding."""
        return self.pieces + EXTRA_IDS

    @property
    def mask_id(self) -> int:
        """`<extra_id_0>`, which stands for what is to be predicted."""
        return self.size - 1

    @functools.cached_property
    def spelled(self) -> dict[int, list[int]]:
        """Id of each word -> those of its characters."""
        pieces = {i: self.processor.id_to_piece(i) for i in range(UNKNOWN + 1, self.pieces)}
        ids = {piece: i for i, piece in pieces.items()}
        return {
            i: [ids[character] for character in piece]
            for i, piece in pieces.items()
            if len(piece) > 1
        }

    def encode(self, caption: str) -> list[int]:
        return [*self.processor.encode(caption), END]

    def padded(
        self, rows: Sequence[Sequence[int]], length: int
    ) -> tuple[Int[np.ndarray, "b s"], Bool[np.ndarray, "b s"]]:
        """Ids and their mask, true on text; what is longer loses its end."""
        ids = np.full((len(rows), length), PAD, np.int32)
        for row, tokens in zip(ids, rows):
            row[: len(tokens)] = tokens[:length]
        return ids, ids != PAD
