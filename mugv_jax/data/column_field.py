# Copyright 2026 The mugv_jax Authors
# SPDX-License-Identifier: Apache-2.0
"""The field of a csv column as it is written, which a program on the host reads in training."""

import dataclasses
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, ClassVar, NamedTuple

import numpy as np
from jaxtyping import UInt8

from mugv_jax.data.bad_sample import BadSample
from mugv_jax.data.data_config import Shape
from mugv_jax.data.fields import BatchSizes, Field


class Cell(NamedTuple):
    """The content of a csv cell; not a plain string, which would be a path."""

    text: str


@dataclasses.dataclass(frozen=True)
class ColumnField(Field):
    """The text of a csv column, which a batch holds as UTF-8 bytes, padded with zeros.

    length: number of bytes; a sample with a longer text is refused.
    default: value of samples that do not state one; None makes it required.
    """

    kind: ClassVar[str] = "column"
    suffix: ClassVar[str] = ""

    length: int = dataclasses.field(default=64, kw_only=True)
    default: str | None = dataclasses.field(default=None, kw_only=True)

    @property
    def required(self) -> bool:
        return self.default is None

    @property
    def keys(self) -> tuple[str, ...]:
        return (f"{self.name}_bytes",)

    def parse(self, text: str) -> Any:
        return Cell(text or self.default or "")

    def read(self, _folder: Path, cell: Cell, *, normalised: bool) -> str:
        del normalised
        return cell.text

    def checked(self, text: str, _shape: Shape) -> str:
        size = len(text.encode())
        if size > self.length:
            raise BadSample(f"has {size} bytes, more than the {self.length} that are read.")
        return text

    def features(self, _latent_dtype: np.dtype) -> dict[str, Any]:
        import tensorflow_datasets as tfds  # slow, and only packing needs it

        return {self.name: tfds.features.Text()}

    def pack(self, text: str, _latent_dtype: np.dtype) -> dict[str, Any]:
        return {self.name: text}

    def unpack(self, record: Mapping[str, Any]) -> str:
        return record[self.name].decode() if self.name in record else self.default or ""

    def stack(self, texts: Sequence[str], _sizes: BatchSizes) -> dict[str, np.ndarray]:
        """Bytes, uint8 (b length)."""
        rows = np.zeros((len(texts), self.length), np.uint8)
        for row, text in zip(rows, texts, strict=True):
            encoded = np.frombuffer(text.encode(), np.uint8)
            row[: len(encoded)] = encoded
        return dict(zip(self.keys, (rows,)))

    def texts(self, rows: UInt8[np.ndarray, "b length"]) -> list[str]:
        """The texts in rows of a batch, the inverse of `stack`."""
        return [row.tobytes().rstrip(b"\0").decode() for row in rows]
