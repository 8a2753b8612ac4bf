# Copyright 2026 The mugv_jax Authors
# SPDX-License-Identifier: Apache-2.0
"""Samples packed into ArrayRecord files: a TFDS data set with an index of names and shapes.

    samples.npz    names (n), shapes (n 3), fields: JSON of `note_fields`

Reading needs neither TensorFlow nor PyTorch.
"""

import json
import os
import zipfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from mugv_jax.data.bad_sample import BadSample
from mugv_jax.data.caption_field import CaptionField
from mugv_jax.data.column_field import ColumnField
from mugv_jax.data.fields import (
    Field,
    Fields,
    LatentField,
    NumberField,
    TextField,
    flow_fields,
)
from mugv_jax.data.samples import Sample, checked_sample
from mugv_jax.files import existing_archive, parse_json

SPLIT = "train"
INDEX = "samples.npz"
# Classes of fields by the kind that the index notes.
KINDS = {
    each.kind: each for each in (LatentField, TextField, NumberField, CaptionField, ColumnField)
}
# What ArrayRecord and TFDS raise for damaged files.
DAMAGED = (OSError, RuntimeError, ValueError, KeyError, IndexError)


class PackedSamples:
    """A `SampleSource` over a folder that `pack` made.

    Raises:
        ValueError: the folder lacks its index or some of the `fields`, or is damaged.
    """

    bad: Sequence[str] = ()  # they were left out when the samples were packed

    def __init__(self, path: Path, fields: Fields):
        import tensorflow_datasets as tfds  # slow, and the published format does not need it

        self.path = path
        try:
            builder: Any = tfds.builder_from_directory(os.fspath(path))
            self._records = builder.as_data_source(SPLIT)
            with np.load(existing_archive(path / INDEX, "index")) as index:
                self.names: Sequence[str] = tuple(index["names"].tolist())
                self.shapes = index["shapes"].astype(np.int32)
                stored = stored_fields(index, builder.info.features)
        except (*DAMAGED, zipfile.BadZipFile, AssertionError) as error:
            raise ValueError(
                f"samples {str(path)!r}: the packed data set is incomplete or damaged "
                f"({_line(error)}); pack it again."
            ) from error
        if not len(self._records) == len(self.names) == len(self.shapes):
            raise ValueError(
                f"samples {str(path)!r}: {INDEX} lists {len(self.names)} samples, but the records "
                f"hold {len(self._records)}; pack them again."
            )
        self.fields = _chosen(path, fields, {field.name: field for field in stored})

    def __len__(self) -> int:
        return len(self.names)

    def __getitem__(self, index: int) -> Sample:
        name = self.names[index]
        try:
            record = self._records[range(len(self))[index]]
        except DAMAGED as error:
            raise BadSample(
                f"{self.path}: record {index} ({name}) cannot be read ({_line(error)}); pack the "
                "samples again."
            ) from error
        return checked_sample(
            name,
            self.fields,
            {field.name: field.unpack(record) for field in self.fields},
            shape=self.shapes[index],
            files=dict.fromkeys((field.name for field in self.fields), self.path),
        )


def note_fields(fields: Fields) -> str:
    """Kind, name and width of each field, as JSON for the index."""
    return json.dumps(
        [{"kind": each.kind, "name": each.name, "width": each.width} for each in fields]
    )


def stored_fields(index: Mapping[str, np.ndarray], features: Any) -> Fields:
    """The fields that a packed data set holds.

    features: the records' `FeaturesDict`. Sets of earlier versions, whose index notes no fields,
        hold the fields of flow matching, with the channels that the features state.
    """
    if "fields" not in index:
        channels, width = features["latent"].shape[-1], int(index["text_dim"])
        return flow_fields(channels=channels, text_dim=width)
    notes = parse_json(str(index["fields"].item()), INDEX)
    return tuple(KINDS[note["kind"]](note["name"]).with_width(note["width"]) for note in notes)


def _chosen(path: Path, fields: Fields, stored: Mapping[str, Field]) -> Fields:
    """`fields` with the widths of the stored ones; all that are not stored are named."""
    lacking = [str(field) for field in fields if not _is_stored(field, stored)]
    if lacking:
        raise ValueError(
            f"samples {str(path)!r}: lacks {', '.join(lacking)}; it holds "
            f"{', '.join(map(str, stored.values()))}. Pack the samples again with the fields that "
            "are missing, or ask for others."
        )
    return tuple(
        field.with_width(stored[field.name].width) if field.name in stored else field
        for field in fields
    )


def _is_stored(field: Field, stored: Mapping[str, Field]) -> bool:
    """Whether a field, of the same kind and width, can be read; a default needs no record."""
    found = stored.get(field.name)
    if found is None:
        return not field.required
    return found.kind == field.kind and field.width in (None, found.width)


def _line(error: BaseException) -> str:
    """The first line of an error's message, shortened."""
    return (str(error).strip().splitlines() or [type(error).__name__])[0][:200]
