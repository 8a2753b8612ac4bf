# Copyright 2026 The mugv_jax Authors
# SPDX-License-Identifier: Apache-2.0
"""The interface of a training sample's fields, and the types that it uses.

`fields.py` defines the kinds of fields.
"""

import abc
import dataclasses
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, ClassVar, NamedTuple

import numpy as np

from mugv_jax.axes import Bool, Float
from mugv_jax.data.data_config import Shape


class Cell(NamedTuple):
    """A parsed cell of a csv file.

    value: a path relative to the csv, or a number.
    normalised: whether the latents of the cell's row are normalised already.
    """

    csv: Path
    value: str | float
    normalised: bool

    @property
    def file(self) -> Path:
        """The file that holds the value."""
        return self.csv.parent / self.value if isinstance(self.value, str) else self.csv


class Text(NamedTuple):
    """Encoder states of a caption, and their mask, which is true on text."""

    states: Float[np.ndarray, "s d"]
    mask: Bool[np.ndarray, "s"]


class BatchSizes(NamedTuple):
    """Sizes that the samples of a batch share.

    shape: (f, h, w) that latents are cropped to.
    text_tokens: length that texts are cut or padded to.
    """

    shape: Shape
    text_tokens: int


@dataclasses.dataclass(frozen=True)
class Field(abc.ABC):
    """One named value of every sample.

    kind: name of the class in the index of a packed data set.
    suffix: appended to the field's name, it makes the default name of the csv column.
    width: number of channels or width of the states; None accepts that of the first readable file.
    required: whether every sample must state a value.
    name: key of the value in a sample and in a batch.
    column: csv column of the value.
    """

    kind: ClassVar[str]
    suffix: ClassVar[str]
    width: ClassVar[int | None] = None
    required: ClassVar[bool] = True

    name: str
    column: str = dataclasses.field(default="", kw_only=True)

    def __post_init__(self):
        if not self.column:
            object.__setattr__(self, "column", self.name + self.suffix)

    def __str__(self) -> str:
        return f"{self.kind} {self.name!r}" + (f" of width {self.width}" if self.width else "")

    @property
    def keys(self) -> tuple[str, ...]:
        """Keys of the field in a batch and in a record."""
        return (self.name,)

    def with_width(self, _width: int | None) -> "Field":
        """The field with its width known."""
        return self

    def parse(self, text: str) -> str | float:
        """The content of a csv cell; by default that is a path."""
        return text

    @abc.abstractmethod
    def read(self, cell: Cell) -> Any:
        """The value of a csv cell.

        Raises:
            BadSample: a file that is missing, damaged, or of another layout.
        """

    @abc.abstractmethod
    def checked(self, value: Any, shape: Shape) -> Any:
        """The value as a sample holds it.

        shape: (f, h, w) of the sample's latents, known since the samples were opened.

        Raises:
            BadSample: the value cannot be used; `checked_sample` puts a subject before the message.
        """

    @abc.abstractmethod
    def features(self, latent_dtype: np.dtype) -> dict[str, Any]:
        """TFDS features of the field."""

    @abc.abstractmethod
    def pack(self, value: Any, latent_dtype: np.dtype) -> dict[str, Any]:
        """The value as a part of a TFDS example."""

    @abc.abstractmethod
    def unpack(self, record: Mapping[str, Any]) -> Any:
        """The value in a TFDS record."""

    @abc.abstractmethod
    def stack(self, values: Sequence[Any], sizes: BatchSizes) -> dict[str, np.ndarray]:
        """The values of a batch as arrays with a leading axis of samples."""
