# Copyright 2026 The mugv_jax Authors
# SPDX-License-Identifier: Apache-2.0
"""The field of captions that a model in the training step reads, such as a text encoder of CLIP."""

import dataclasses
import functools
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, ClassVar, NamedTuple

import numpy as np

from mugv_jax.data.data_config import Shape
from mugv_jax.data.fields import BatchSizes, Field
from mugv_jax.nn.text.tokenizer import load_clip

_clip_tokenizer = functools.cache(load_clip)  # each process that makes batches reads it once


class Caption(NamedTuple):
    """A caption in a row of a csv; not a plain string, which would be a path."""

    text: str


@dataclasses.dataclass(frozen=True)
class CaptionField(Field):
    """A caption, which a batch holds as the token ids of CLIP; see `load_clip`.

    tokenizer: folder of the tokenizer.  length: number of ids; longer captions are cut.
    """

    kind: ClassVar[str] = "caption"
    suffix: ClassVar[str] = ""

    tokenizer: str = dataclasses.field(default="", kw_only=True)
    length: int = dataclasses.field(default=77, kw_only=True)

    @property
    def keys(self) -> tuple[str, ...]:
        return (f"{self.name}_ids",)

    def parse(self, text: str) -> Any:
        return Caption(text)

    def read(self, _folder: Path, cell: Caption, *, normalised: bool) -> str:
        del normalised
        return cell.text

    def checked(self, caption: str, _shape: Shape) -> str:
        return caption

    def features(self, _latent_dtype: np.dtype) -> dict[str, Any]:
        import tensorflow_datasets as tfds  # slow, and only packing needs it

        return {self.name: tfds.features.Text()}

    def pack(self, caption: str, _latent_dtype: np.dtype) -> dict[str, Any]:
        return {self.name: caption}

    def unpack(self, record: Mapping[str, Any]) -> str:
        return record[self.name].decode()

    def stack(self, captions: Sequence[str], _sizes: BatchSizes) -> dict[str, np.ndarray]:
        """Ids, int32 (b length)."""
        ids, _ = _clip_tokenizer(self.tokenizer).tokenize(captions, self.length, warn=False)
        return dict(zip(self.keys, (ids,)))
