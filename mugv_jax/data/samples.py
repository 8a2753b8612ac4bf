# Copyright 2026 The mugv_jax Authors
# SPDX-License-Identifier: Apache-2.0
"""Encoded training samples, accessed by index, whatever format they are stored in.

`open.py` opens them; `fields.py` says what a sample holds.
"""

import bisect
import dataclasses
import itertools
from collections.abc import Mapping, Sequence
from typing import Any, Generic, Protocol, TypeVar, runtime_checkable

import numpy as np

from mugv_jax.axes import Int
from mugv_jax.data.bad_sample import BadSample
from mugv_jax.data.fields import Fields

CSV = "train.csv"
PACKED_MARKER = "dataset_info.json"  # TFDS writes it into every data set
EMPTY_TEXT = "empty_text.pt"  # encoder states of the empty caption, optional beside samples

Value = TypeVar("Value", covariant=True)


@dataclasses.dataclass(frozen=True)
class Sample:
    """One training sample.

    name: identifies the sample in messages.
    values: the value of every field, by the field's name.
    """

    name: str
    values: Mapping[str, Any]

    def __getitem__(self, field: str) -> Any:
        return self.values[field]


@runtime_checkable
class Indexed(Protocol[Value]):
    """Values by their number, from 0: samples, frames or batches."""

    def __len__(self) -> int: ...

    def __getitem__(self, index: int, /) -> Value: ...


@runtime_checkable
class SampleSource(Indexed[Sample], Protocol):
    """Samples by index; safe to read from several threads, and to send to other processes.

    An index raises a BadSample if one of the sample's fields is missing, damaged, or not what it
    was, and an IndexError if there is no such sample.

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


class Joined(Generic[Value]):
    """Several sources, one after the other."""

    def __init__(self, sources: Sequence[Indexed[Value]]):
        self._sources = tuple(sources)
        self._starts = [0, *itertools.accumulate(map(len, sources))]

    def __len__(self) -> int:
        return self._starts[-1]

    def __getitem__(self, index: int) -> Value:
        if not 0 <= index < len(self):
            raise IndexError(f"sample {index} of {len(self)}")
        part = bisect.bisect(self._starts, index) - 1
        return self._sources[part][index - self._starts[part]]


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
    frames, height, width = shape.tolist()
    checked = {}
    for field in fields:
        try:
            checked[field.name] = field.checked(values[field.name], (frames, height, width))
        except BadSample as error:
            where = files[field.name]
            raise BadSample(f"{where}: the {field.name} of {name} {error}") from error
    return Sample(name, checked)
