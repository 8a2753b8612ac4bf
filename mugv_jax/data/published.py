# Copyright 2026 The mugv_jax Authors
# SPDX-License-Identifier: Apache-2.0
"""The published training format: `train.csv` and two tensor files for every row.

    sample_id,source,latent_path,text_feat_path[,fps]

Paths are relative to the csv. Latents of `source=real` are as the VAE made them, those of
`source=generated` are normalised. The published file has no `fps` column, and the published
trainer feeds 24 to all.
"""

import csv
import dataclasses
import logging
import math
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

from mugv_jax.data.headers import read_shapes
from mugv_jax.data.pt_files import read_latent, read_text, text_dim
from mugv_jax.data.samples import DEFAULT_FPS, BadSample, Sample, checked_sample
from mugv_jax.nn.vae.statistics import LATENT_SCALE, LATENT_SHIFT
from mugv_jax.weights.torch_files import import_torch

log = logging.getLogger(__name__)

COLUMNS = ("sample_id", "source", "latent_path", "text_feat_path")
NORMALISED = {"real": False, "generated": True}  # source -> whether its latents are
SHOWN = 5  # of many bad samples


@dataclasses.dataclass(frozen=True)
class Row:
    """One row of `train.csv`, checked; paths as they are written there."""

    sample_id: str
    source: str
    latent_path: str
    text_feat_path: str
    fps: float


def read_rows(path: Path) -> list[Row]:
    """The rows of a `train.csv`.

    Raises:
        ValueError: columns that are missing, or rows that cannot be meant; each is named.
    """
    try:
        with open(path, encoding="utf-8-sig", newline="") as file:
            reader = csv.DictReader(file)
            missing = [name for name in COLUMNS if name not in (reader.fieldnames or ())]
            if missing:
                raise ValueError(
                    f"{path}: lacks the column {', '.join(missing)}; it needs {', '.join(COLUMNS)}."
                )
            return [_row(f"{path}, line {reader.line_num}", values) for values in reader]
    except (UnicodeDecodeError, csv.Error) as error:
        raise ValueError(f"{path}: is no csv file in UTF-8 ({error}).") from error


def _row(where: str, values: Mapping[str, str | None]) -> Row:
    empty = [name for name in COLUMNS if not values[name]]
    if empty:
        raise ValueError(f"{where}: {', '.join(empty)} is empty.")
    if values["source"] not in NORMALISED:
        raise ValueError(
            f"{where} ({values['sample_id']}): source={values['source']!r} must be real (latents "
            "as the VAE made them) or generated (normalised latents)."
        )
    return Row(*(values[name] for name in COLUMNS), fps=_fps(where, values.get("fps")))


def _fps(where: str, text: str | None) -> float:
    if not text:
        return DEFAULT_FPS
    try:
        fps = float(text)
    except ValueError:
        fps = math.nan
    if not 0 < fps < math.inf:
        raise ValueError(f"{where}: fps={text!r} must be a positive number, or empty.")
    return fps


class PublishedSamples:
    """A `SampleSource` over a `train.csv`.

    Samples whose files are missing or damaged are left out and named in `bad`.

    Raises:
        ValueError: a csv that cannot be used, or no usable sample in it.
    """

    def __init__(self, path: Path):
        import_torch()
        self.path = path
        rows = read_rows(path)
        found = read_shapes(path, [row.latent_path for row in rows])
        self._rows: list[Row] = []
        shapes, bad = [], []
        for row, shape in zip(rows, found, strict=True):
            if isinstance(shape, BadSample):
                bad.append(f"{row.sample_id}: {shape}")
            else:
                self._rows.append(row)
                shapes.append(shape)
        self.bad: Sequence[str] = tuple(bad)
        self.names: Sequence[str] = tuple(row.sample_id for row in self._rows)
        self.shapes = np.asarray(shapes, np.int32).reshape(-1, 3)
        self.text_dim = self._text_dim()
        if bad:
            log.warning("%s: %s", path, listed(bad, "sample is left out", "samples are left out"))

    def __len__(self) -> int:
        return len(self._rows)

    def __getitem__(self, index: int) -> Sample:
        row = self._rows[index]
        file = self._file(row.latent_path)
        latent = read_latent(file)
        if not NORMALISED[row.source]:
            shift, scale = (np.asarray(v, np.float32) for v in (LATENT_SHIFT, LATENT_SCALE))
            latent = (latent - shift) / scale
        text, mask = read_text(self._file(row.text_feat_path))
        return checked_sample(
            file,
            latent,
            text,
            mask,
            fps=row.fps,
            name=row.sample_id,
            shape=self.shapes[index],
            text_dim=self.text_dim,
        )

    def _file(self, relative: str) -> Path:
        return self.path.parent / relative

    def _text_dim(self) -> int:
        """Of the first text file that can be read."""
        errors = []
        for row in self._rows:
            try:
                return text_dim(self._file(row.text_feat_path))
            except BadSample as error:
                errors.append(f"{row.sample_id}: {error}")
        raise ValueError(
            f"{self.path}: holds no usable sample. "
            + listed([*self.bad, *errors], "is bad", "are bad")
        )


def listed(lines: Sequence[str], one: str, many: str) -> str:
    """How many there are, and the first few of them on lines of their own."""
    shown = [f"  {line}" for line in lines[:SHOWN]]
    if len(lines) > SHOWN:
        shown.append(f"  and {len(lines) - SHOWN} more")
    return "\n".join([f"{len(lines)} {one if len(lines) == 1 else many}:", *shown])
