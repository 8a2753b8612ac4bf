# Copyright 2026 The mugv_jax Authors
# SPDX-License-Identifier: Apache-2.0
"""The published training format: a `train.csv` with paths of tensor files in every row.

    sample_id,source,latent_path,text_feat_path[,fps]

Paths are relative to the csv and stay in its folder. Latents of `source=real` are as the VAE made
them, those of `source=generated` are normalised. `fields.py` says which columns belong to which
field of a sample; other columns are ignored. The published file has no column `fps`.
"""

import dataclasses
import logging
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from mugv_jax.data.bad_sample import BadSample, listed
from mugv_jax.data.fields import Fields, LatentField, TextField
from mugv_jax.data.headers import LatentShape, read_shapes
from mugv_jax.data.pt_files import text_width
from mugv_jax.data.samples import Sample, checked_sample
from mugv_jax.tables import MISTAKE, read_csv

log = logging.getLogger(__name__)

ID, SOURCE = "sample_id", "source"
NORMALISED = {"real": False, "generated": True}  # source -> whether its latents are normalised

Shapes = Mapping[str, LatentShape | BadSample]  # by path relative to the csv


@dataclasses.dataclass(frozen=True, slots=True)
class Row:
    """One row of a `train.csv`, checked.

    normalised: whether the latents are normalised already.
    cells: the content of each field's column, in the order of the fields.
    """

    sample_id: str
    normalised: bool
    cells: tuple[Any, ...]

    def file(self, place: int) -> str:
        """Path in cell number `place`, that of a field read from a file."""
        cell = self.cells[place]
        assert isinstance(cell, str)
        return cell


def read_rows(path: Path, fields: Fields) -> list[Row]:
    """The rows of a `train.csv`.

    Raises:
        ValueError: columns are missing, all of which are named, a row cannot be understood, or two
            rows are of one sample.
    """
    found, records = read_csv(path, [ID, SOURCE, *(field.column for field in fields)])
    missing = [name for name in _required(fields) if name not in found]
    if missing:
        raise ValueError(
            f"{path}: lacks the column {', '.join(missing)}; it needs "
            f"{', '.join(_required(fields))} and has {', '.join(found) or 'none'}. Add "
            "what is missing, or ask for other fields."
        )
    rows: list[Row] = []
    lines: dict[str, str] = {}  # sample_id -> line
    for where, values in records:
        row = _row(f"{path}, {where}", values, fields)
        if row.sample_id in lines:
            raise ValueError(
                f"{path}, {where}: sample_id={row.sample_id!r} is that of {lines[row.sample_id]} "
                "too; remove one of the rows, or give each sample its own id."
            )
        lines[row.sample_id] = where
        rows.append(row)
    return rows


def _required(fields: Fields) -> list[str]:
    """Columns that must be there and may not be empty."""
    return [ID, SOURCE, *(field.column for field in fields if field.required)]


def _row(where: str, texts: Mapping[str, str], fields: Fields) -> Row:
    """A checked row; `where` names it in messages.

    Raises:
        ValueError: cells that are empty or cannot be understood, or a path that leaves the folder.
    """
    if texts.keys() == {MISTAKE}:
        raise ValueError(f"{where}: {texts[MISTAKE]}.")
    empty = [name for name in _required(fields) if not texts.get(name)]
    if empty:
        raise ValueError(f"{where}: {', '.join(empty)} is empty.")
    if texts[SOURCE] not in NORMALISED:
        raise ValueError(
            f"{where} ({texts[ID]}): source={texts[SOURCE]!r} must be real (latents as the VAE "
            "made them) or generated (normalised latents)."
        )
    try:
        cells = tuple(field.parse(texts.get(field.column, "")) for field in fields)
    except ValueError as error:
        raise ValueError(f"{where}: {error}") from error
    outside = [cell for cell in cells if isinstance(cell, str) and _leaves(cell)]
    if outside:
        raise ValueError(
            f"{where} ({texts[ID]}): {', '.join(outside)} lies outside of the folder of the list; "
            "paths must be relative to it and stay in it. Move the files, or link them into it."
        )
    return Row(texts[ID], NORMALISED[texts[SOURCE]], cells)


def _leaves(relative: str) -> bool:
    """Whether a path leads out of the folder that it is relative to; links inside may."""
    return os.path.isabs(relative) or os.path.normpath(relative).split(os.sep)[0] == os.pardir


class PublishedSamples:
    """A `SampleSource` over a `train.csv`.

    Samples whose latents are missing, damaged or of different shapes are left out and named in
    `bad`.

    Raises:
        ValueError: a csv that cannot be used, or that has no usable sample.
    """

    def __init__(self, path: Path, fields: Fields):
        self.path = path
        rows = read_rows(path, fields)
        latents = [place for place, each in enumerate(fields) if isinstance(each, LatentField)]
        found = read_shapes(path, [row.file(place) for place in latents for row in rows])
        fields = _with_channels(fields, rows, found)
        self._rows: list[Row] = []
        shapes, bad = [], []
        for row in rows:
            try:
                shapes.append(_shape(path, row, fields, found))
                self._rows.append(row)
            except BadSample as error:
                bad.append(f"{row.sample_id}: {error}")
        self.bad: Sequence[str] = tuple(bad)
        self.names: Sequence[str] = tuple(row.sample_id for row in self._rows)
        self.shapes = np.asarray(shapes, np.int32).reshape(-1, 3)
        if not self._rows:
            raise self._unusable(())
        self.fields: Fields = tuple(
            self._with_text_width(place, each) if isinstance(each, TextField) else each
            for place, each in enumerate(fields)
        )
        self._check_statistics()
        if bad:
            log.warning("%s: %s", path, listed(bad, "sample is left out", "samples are left out"))

    def __len__(self) -> int:
        return len(self._rows)

    def __getitem__(self, index: int) -> Sample:
        row, folder = self._rows[index], self.path.parent
        values, files = {}, {}
        for field, cell in zip(self.fields, row.cells, strict=True):
            values[field.name] = field.read(folder, cell, normalised=row.normalised)
            files[field.name] = folder / cell if isinstance(cell, str) else self.path
        return checked_sample(
            row.sample_id, self.fields, values, shape=self.shapes[index], files=files
        )

    def _with_text_width(self, place: int, field: TextField) -> TextField:
        """The field number `place` with the width of its first readable file."""
        errors = []
        rows = [row for row in self._rows if row.cells[place]]
        if not rows and field.optional:
            if field.width is None:
                raise ValueError(
                    f"{self.path}: no row has a {field.column}; fill it for some, or ask for other "
                    "fields."
                )
            return field
        for row in rows:
            file = self.path.parent / row.file(place)
            try:
                width = text_width(file)
            except BadSample as error:
                errors.append(f"{row.sample_id}: {error}")
                continue
            if field.width not in (None, width):
                raise ValueError(
                    f"{file}: the text states are {width} wide, but the model reads states of "
                    f"width {field.width}: encode the captions with its text encoder."
                )
            return field.with_width(width)
        raise self._unusable(errors)

    def _unusable(self, errors: Sequence[str]) -> ValueError:
        """The error of a csv without a usable sample; `errors` is why each text was refused."""
        return ValueError(
            f"{self.path}: holds no usable sample. "
            + listed([*self.bad, *errors], "is bad", "are bad")
        )

    def _check_statistics(self) -> None:
        """Refuses rows of `source=real` whose latents no known statistics normalise."""
        real = next((row.sample_id for row in self._rows if not row.normalised), None)
        for field in self.fields:
            if real is None or not isinstance(field, LatentField):
                continue
            if [len(each) for each in field.statistics or ()] != [field.channels] * 2:
                raise ValueError(
                    f"{self.path} ({real}): source=real latents are normalised when they are read, "
                    f"but no statistics of {field.channels} channels are known: write normalised "
                    "latents with source=generated, or give the field its statistics."
                )


def _with_channels(fields: Fields, rows: Sequence[Row], found: Shapes) -> Fields:
    """The fields, latents of unknown width with the channels of their first readable file."""
    known = []
    for place, field in enumerate(fields):
        if isinstance(field, LatentField) and field.channels is None:
            shapes = (found[row.file(place)] for row in rows)
            widths = (shape[-1] for shape in shapes if not isinstance(shape, BadSample))
            field = field.with_width(next(widths, None))
        known.append(field)
    return tuple(known)


def _shape(csv: Path, row: Row, fields: Fields, found: Shapes) -> list[int]:
    """(f, h, w) of all latents of a sample, or a `BadSample` if they do not fit together."""
    shape = None
    for place, field in enumerate(fields):
        if not isinstance(field, LatentField):
            continue
        file, one = csv.parent / row.file(place), found[row.file(place)]
        if isinstance(one, BadSample):
            raise one
        *own, channels = one
        if channels != field.channels:
            raise BadSample(
                f"{file}: has {channels} channels, not {field.channels}; encode it with the VAE of "
                "the other samples."
            )
        shape = shape or own
        if own != shape:
            raise BadSample(
                f"{file}: the latent (f, h, w) is {tuple(own)}, but the sample's first latent is "
                f"{tuple(shape)}: all latents of a sample must have one shape."
            )
    assert shape is not None
    return shape
