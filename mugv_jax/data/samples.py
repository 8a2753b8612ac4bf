# Copyright 2026 The mugv_jax Authors
# SPDX-License-Identifier: Apache-2.0
"""Encoded training samples, accessed by index, whatever format they are stored in.

`open.py` opens them; `fields.py` says what a sample holds.
"""

import dataclasses
from collections.abc import Mapping, Sequence
from typing import Any, Protocol, runtime_checkable

import numpy as np

from mugv_jax.axes import Int
from mugv_jax.data.bad_sample import BadSample
from mugv_jax.data.fields import Fields

CSV = "train.csv"
PACKED_MARKER = "dataset_info.json"  # TFDS writes it into every data set
EMPTY_TEXT = "empty_text.pt"  # encoder states of the empty caption, optional beside samples


@dataclasses.dataclass(frozen=True)
class Sample:
    """One training sample.

    name: identifies the sample in messages.
    values: the value of every field, by the field's name.
    """

    name: str
    values: Mapping[str, Any]

    def __getitem__(self, field: str) -> Any:
        """The value of one field."""
        return self.values[field]


@runtime_checkable
class SampleSource(Protocol):
    """Samples by index; safe to read from several threads, and to send to other processes.

    fields: what every sample holds, all widths known.
    names: the name of every sample.
    shapes: int32 (n, 3), the latents' (f, h, w) of every sample, known without reading it.
    bad: one line for each sample that was left out when the source was opened.
    """

    @property
    def fields(self) -> Fields: ...

    @property
    def names(self) -> Sequence[str]: ...

    @property
    def shapes(self) -> Int[np.ndarray, "n 3"]: ...

    @property
    def bad(self) -> Sequence[str]: ...

    def __len__(self) -> int:
        """Number of samples."""
        ...

    def __getitem__(self, index: int) -> Sample:
        """Sample `index`, counted from 0.

        Raises:
            BadSample: one of its fields is missing, damaged, or not what it was.
            IndexError: there is no such sample.
        """
        ...


def checked_sample(
    name: str,
    fields: Fields,
    values: Mapping[str, Any],
    *,
    shape: Int[np.ndarray, "3"],
    files: Mapping[str, object],
) -> Sample:
    """A sample of values as they were read.

    shape: (f, h, w) of the latents when the source was opened.
    files: where each value was read from, for messages.

    Raises:
        BadSample: one of the values cannot be trained on, so that the whole sample cannot.
    """
    frames, height, width = (int(size) for size in shape)
    announced = frames, height, width
    checked = {}
    for field in fields:
        try:
            checked[field.name] = field.checked(values[field.name], announced)
        except BadSample as error:
            where = files[field.name]
            raise BadSample(f"{where}: the {field.name} of {name} {error}") from error
    return Sample(name, checked)
