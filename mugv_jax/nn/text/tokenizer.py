# Copyright 2026 The mugv_jax Authors
# SPDX-License-Identifier: Apache-2.0
"""Tokenizers: from prompts to padded token ids.

MUG-V's published pipeline pads every prompt to 300 tokens and masks the padding; ContentV's pads to
77 for CLIP and 256 for T5, and masks nothing.
"""

import bisect
import contextlib
import dataclasses
import hashlib
import importlib.metadata
import logging
import pathlib
import re
import secrets
from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from mugv_jax.axes import Bool, Int

if TYPE_CHECKING:
    import tokenizers

KEPT = "~/.cache/mugv_jax/tokenizers"  # vocabularies of SentencePiece, converted
SETTINGS = (  # files beside a vocabulary that change how it is read
    "tokenizer.json",
    "tokenizer_config.json",
    "special_tokens_map.json",
    "added_tokens.json",
)
PAD = "<pad>"
CLIP, START, END = "CLIP", "<|startoftext|>", "<|endoftext|>"
_log = logging.getLogger(__name__)


@dataclasses.dataclass(frozen=True)
class Tokenizer:
    """Converts text to ids that end with one end token; built by the functions below.

    reader: name of the model that reads the ids, for the warning about a long prompt.
    ending: matches an ending of prompts that is kept when they are cut; None keeps none. It begins
        with a space, so that it has tokens of its own.
    """

    backend: "tokenizers.Tokenizer"
    pad_id: int
    reader: str = "the model"
    ending: re.Pattern[str] | None = None

    @property
    def vocab_size(self) -> int:
        """Smallest number above all ids. T5's embedding has a few more rows, which nothing uses."""
        return 1 + max(self.backend.get_vocab().values())

    def tokenize(
        self, prompts: Sequence[str], max_tokens: int, *, warn: bool = True
    ) -> tuple[Int[np.ndarray, "b s"], Bool[np.ndarray, "b s"]]:
        """Ids (int32) and their mask, true on text, both padded to `max_tokens`.

        A longer prompt is cut to fit, keeps its end token (and its `ending`), and a warning with
        the text that was cut off is logged, unless `warn` is false. An empty prompt is the end
        token alone: it is the unconditional input of guidance without a negative prompt.
        """
        ids = np.full((len(prompts), max_tokens), self.pad_id, np.int32)
        mask = np.zeros((len(prompts), max_tokens), bool)
        for row, prompt in enumerate(prompts):
            tokens = self._encode(prompt, max_tokens, warn)
            ids[row, : len(tokens)] = tokens
            mask[row, : len(tokens)] = True
        return ids, mask

    def _encode(self, prompt: str, max_tokens: int, warn: bool) -> list[int]:
        encoding = self.backend.encode(prompt)
        ids, surplus = encoding.ids, len(encoding.ids) - max_tokens
        if surplus <= 0:
            return ids
        end = len(ids) - 1  # the cut ends before this token: the end token, or that of the ending
        kept = self.ending.search(prompt) if self.ending else None
        if kept is not None:
            before = bisect.bisect_right(encoding.offsets[:end], kept.start(), key=lambda at: at[1])
            kept, end = (kept, before) if before > surplus else (None, end)
        if warn:
            first_cut, _ = encoding.offsets[end - surplus]
            _log.warning(
                "The prompt has %d tokens, %s reads %d. %d tokens were cut off%s: %r",
                len(ids),
                self.reader,
                max_tokens,
                surplus,
                f" before {kept[0].strip()!r}, which is kept" if kept else "",
                prompt[first_cut : kept.start() if kept else None],
            )
        return [*ids[: end - surplus], *ids[end:]]


def load(source: str) -> Tokenizer:
    """Load the tokenizer of a T5 checkpoint: a local folder, or a Hugging Face repo id.

    A folder needs only `spiece.model` or `tokenizer.json`.

    Raises:
        ValueError: the tokenizer is missing or damaged.
    """
    folder = pathlib.Path(source)
    # From the vocabulary alone AutoTokenizer cannot tell which model it belongs to.
    bare = (folder / "spiece.model").is_file()
    try:
        kept = _kept_path(folder) if bare else None
        backend = None if kept is None else _read_kept(kept)
        if backend is None:
            backend = _converted(source, bare=bare)
            if kept is not None:
                _keep(backend, kept)
        return Tokenizer(backend, backend.get_vocab()[PAD])
    except (OSError, ValueError, KeyError) as error:
        raise ValueError(
            f"no readable T5 tokenizer in {source!r}: it must be a folder with spiece.model or "
            "tokenizer.json, or a Hugging Face repo id that can be reached."
        ) from error


def _converted(source: str, *, bare: bool) -> "tokenizers.Tokenizer":
    import transformers  # slow to import

    loader = transformers.T5Tokenizer if bare else transformers.AutoTokenizer
    backend = loader.from_pretrained(source).backend_tokenizer
    backend.no_padding()
    backend.no_truncation()
    return backend


def _kept_path(folder: pathlib.Path) -> pathlib.Path:
    """Where the conversion of a folder is kept, named after its content and the libraries.

    Converting a vocabulary takes transformers, whose import alone is a second of every start.
    """
    digest = hashlib.sha256()
    for name in ("spiece.model", *SETTINGS):
        path = folder / name
        digest.update(path.read_bytes() if path.is_file() else b"")
        digest.update(name.encode())
    for library in ("transformers", "tokenizers"):
        digest.update(importlib.metadata.version(library).encode())
    return pathlib.Path(KEPT).expanduser() / f"{digest.hexdigest()}.json"


def _read_kept(path: pathlib.Path) -> "tokenizers.Tokenizer | None":
    import tokenizers

    with contextlib.suppress(Exception):  # missing or damaged; the library raises nothing narrower
        return tokenizers.Tokenizer.from_file(str(path))
    return None


def _keep(backend: "tokenizers.Tokenizer", path: pathlib.Path) -> None:
    """Write a converted tokenizer; a folder that cannot be written is no error."""
    partial = path.with_name(f".{path.name}.{secrets.token_hex(4)}.partial")
    with contextlib.suppress(OSError, RuntimeError):
        path.parent.mkdir(parents=True, exist_ok=True)
        partial.write_text(backend.to_str())
        partial.replace(path)


def load_clip(folder: str) -> Tokenizer:
    """Load the tokenizer of a CLIP checkpoint, whose texts begin with a start token.

    A folder needs only `vocab.json` and `merges.txt`, or `tokenizer.json`. Texts are padded with
    the folder's own token: the end token again for CLIP-L, "!" for OpenCLIP's bigG.

    Raises:
        ValueError: the tokenizer is missing or damaged.
    """
    import transformers

    here = pathlib.Path(folder)
    needed = ("tokenizer.json",), ("vocab.json", "merges.txt")
    try:
        if not any(all((here / name).is_file() for name in names) for names in needed):
            raise ValueError("files are missing")  # transformers would make up a vocabulary
        made = transformers.CLIPTokenizer.from_pretrained(folder)
        backend = made.backend_tokenizer
    except Exception as error:  # the tokenizers library raises nothing narrower
        raise ValueError(
            f"no readable CLIP tokenizer in {folder!r}: it must be a folder with vocab.json and "
            "merges.txt, or with tokenizer.json."
        ) from error
    backend.no_padding()
    backend.no_truncation()
    return Tokenizer(backend, made.pad_token_id, reader=CLIP)


def byte_level() -> Tokenizer:
    """Tokenizer that needs no files: pad 0, end 1, unknown 2, then the 256 bytes of UTF-8.

    Serves models with random weights. The ids are those of ByT5 (arXiv:2105.13626).
    """
    special = {PAD: 0, "</s>": 1, "<unk>": 2}
    return _byte_level(special, len(special), "<unk>", "$A </s>", PAD)


def byte_level_clip(end: int) -> Tokenizer:
    """Byte-level tokenizer with CLIP's ids: 256 bytes, start token `end - 1`, end token `end`.

    Raises:
        ValueError: `end` is too small for 256 bytes and a start token before it.
    """
    if end < 257:
        raise ValueError(f"end={end} must be at least 257: 256 bytes and a start token precede it.")
    made = _byte_level({START: end - 1, END: end}, 0, END, f"{START} $A {END}", END)
    return dataclasses.replace(made, reader=CLIP)


def _byte_level(
    special: dict[str, int], first: int, unknown: str, template: str, pad: str
) -> Tokenizer:
    """Byte-level tokenizer with bytes from id `first` on, and texts in the form of `template`."""
    import tokenizers
    from tokenizers import models, processors

    vocab = special | {f"<0x{byte:02X}>": first + byte for byte in range(256)}
    model = models.BPE(vocab, merges=[], unk_token=unknown, byte_fallback=True)
    backend = tokenizers.Tokenizer(model)
    around = [(token, special[token]) for token in template.split() if token in special]
    backend.post_processor = processors.TemplateProcessing(single=template, special_tokens=around)
    return Tokenizer(backend, special[pad])
