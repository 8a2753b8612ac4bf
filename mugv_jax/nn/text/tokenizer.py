# Copyright 2026 The mugv_jax Authors
# SPDX-License-Identifier: Apache-2.0
"""Prompts to padded token ids.

The published pipeline pads every prompt to 300 tokens and masks the padding.
"""

import dataclasses
import logging
import pathlib
from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from mugv_jax.axes import Bool, Int

if TYPE_CHECKING:
    import tokenizers

MAX_TOKENS = 300
PAD = "<pad>"
_log = logging.getLogger(__name__)


@dataclasses.dataclass(frozen=True)
class Tokenizer:
    """Text to ids that end with one end token. Made by `load` or `byte_level`."""

    backend: "tokenizers.Tokenizer"
    pad_id: int

    @property
    def vocab_size(self) -> int:
        """Every id is below it. T5's embedding has a few rows more, which nothing uses."""
        return self.backend.get_vocab_size()

    def tokenize(
        self, prompts: Sequence[str], max_tokens: int = MAX_TOKENS
    ) -> tuple[Int[np.ndarray, "b s"], Bool[np.ndarray, "b s"]]:
        """Ids (int32) and their mask, true on text, both padded to `max_tokens`.

        A longer prompt loses its end, the end token excepted, and a warning is logged with the
        text that was cut off. An empty one is the end token alone: what guidance without a
        negative prompt leads away from.
        """
        ids = np.full((len(prompts), max_tokens), self.pad_id, np.int32)
        mask = np.zeros((len(prompts), max_tokens), bool)
        for row, prompt in enumerate(prompts):
            tokens = self._encode(prompt, max_tokens)
            ids[row, : len(tokens)] = tokens
            mask[row, : len(tokens)] = True
        return ids, mask

    def _encode(self, prompt: str, max_tokens: int) -> list[int]:
        encoding = self.backend.encode(prompt)
        if len(encoding.ids) <= max_tokens:
            return encoding.ids
        first_cut, _ = encoding.offsets[max_tokens - 1]
        _log.warning(
            "The prompt has %d tokens, the model reads %d. This end of it was cut off: %r",
            len(encoding.ids),
            max_tokens,
            prompt[first_cut:],
        )
        return [*encoding.ids[: max_tokens - 1], encoding.ids[-1]]


def load(source: str) -> Tokenizer:
    """The tokenizer of a T5 checkpoint: a local folder, or a Hugging Face repo id.

    A folder needs no more than `spiece.model` or `tokenizer.json`.

    Raises:
        ValueError: no tokenizer is there, or a damaged one.
    """
    import transformers  # slow to import, and only encoding text needs it

    folder = pathlib.Path(source)
    # A folder that holds the vocabulary alone does not tell AutoTokenizer whose it is.
    bare = (folder / "spiece.model").is_file()
    loader = transformers.T5Tokenizer if bare else transformers.AutoTokenizer
    try:
        backend = loader.from_pretrained(source).backend_tokenizer
        backend.no_padding()
        backend.no_truncation()
        return Tokenizer(backend, backend.get_vocab()[PAD])
    except (OSError, ValueError, KeyError) as error:
        raise ValueError(
            f"no readable T5 tokenizer in {source!r}: it must be a folder with spiece.model or "
            "tokenizer.json, or a Hugging Face repo id that can be reached."
        ) from error


def byte_level() -> Tokenizer:
    """A tokenizer that needs no files: pad 0, end 1, unknown 2, then the 256 bytes of UTF-8.

    For models with random weights. The ids are those of ByT5 (arXiv:2105.13626).
    """
    import tokenizers
    from tokenizers import models, processors

    special = {PAD: 0, "</s>": 1, "<unk>": 2}
    vocab = special | {f"<0x{byte:02X}>": len(special) + byte for byte in range(256)}
    model = models.BPE(vocab, merges=[], unk_token="<unk>", byte_fallback=True)
    backend = tokenizers.Tokenizer(model)
    backend.post_processor = processors.TemplateProcessing(
        single="$A </s>", special_tokens=[("</s>", special["</s>"])]
    )
    return Tokenizer(backend, special[PAD])
