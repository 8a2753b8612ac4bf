# Copyright 2026 The mugv_jax Authors
# SPDX-License-Identifier: Apache-2.0
"""Packing of samples into a TFDS data set of ArrayRecord files, for fast access from many hosts.

`pack` writes a folder, complete or not at all. Once this module is imported, TFDS builds the same
data set: tfds.builder("mugv_samples", samples=open_samples("folder", fields), data_dir=...)
"""

import contextlib
import io
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import jax.numpy as jnp
import numpy as np
import tensorflow_datasets as tfds

from mugv_jax.data.ahead import ahead
from mugv_jax.data.bad_sample import BadSample, Skipped
from mugv_jax.data.empty_text import find_empty_text, write_packed
from mugv_jax.data.fields import Fields
from mugv_jax.data.open import open_samples
from mugv_jax.data.packed import INDEX, SPLIT, note_fields
from mugv_jax.data.samples import PACKED_MARKER, Sample, SampleSource
from mugv_jax.files import resolved, user_path
from mugv_jax.progress import over
from mugv_jax.weights.staging import refuse_existing, staged

LATENT_DTYPES = ("float32", "bfloat16")
READERS = 4  # threads; as many samples wait to be written


class MugvSamples(tfds.core.GeneratorBasedBuilder):
    """TFDS builder of encoded samples, with all fields of its source.

    samples: the source to pack.
    latent_dtype: one of LATENT_DTYPES, recorded in `features.json`. Texts are kept in float32.
    max_bad: leave out at most this many samples that cannot be read; one more is an error.

    Raises:
        ValueError: an unknown dtype; later, while it generates, more bad samples than `max_bad`.
    """

    VERSION = tfds.core.Version("1.0.0")
    code_path = None  # TFDS looks there for checksums of downloads, and there are none

    def __init__(
        self,
        *,
        samples: SampleSource,
        latent_dtype: str = "float32",
        max_bad: int = 0,
        **options: Any,
    ):
        if latent_dtype not in LATENT_DTYPES:
            raise ValueError(
                f"latent dtype {latent_dtype!r} must be one of {', '.join(LATENT_DTYPES)}."
            )
        self._samples = samples
        self._dtype = np.dtype(jnp.dtype(latent_dtype))
        self.bad = Skipped(max_bad, "samples cannot be packed", samples.bad)
        self.written: list[int] = []
        super().__init__(file_format="array_record", **options)

    def _info(self) -> tfds.core.DatasetInfo:
        features = {"name": tfds.features.Text(doc="which sample it is")}
        for field in self._samples.fields:
            features |= field.features(self._dtype)
        return tfds.core.DatasetInfo(
            builder=self,
            description="Encoded samples to train a video model on.",
            features=tfds.features.FeaturesDict(features),
            disable_shuffling=True,  # the trainer shuffles; here the order is that of the index
        )

    def _split_generators(self, _: tfds.download.DownloadManager) -> dict[str, Any]:
        return {SPLIT: self._generate_examples()}

    def _generate_examples(self) -> Iterator[tuple[int, dict[str, Any]]]:
        self.bad.check()
        count = len(self._samples)
        numbers = ahead(self._samples.__getitem__, range(count), threads=READERS)
        for number, sample in over(numbers, "packing", total=count, unit="sample"):
            try:
                example = self._example(sample())
            except BadSample as error:
                self.bad.add(str(error))
                continue
            self.written.append(number)
            yield number, example

    def _example(self, sample: Sample) -> dict[str, Any]:
        example = {"name": sample.name}
        for field in self._samples.fields:
            example |= field.pack(sample[field.name], self._dtype)
        return example


def pack(
    source: str | os.PathLike,
    target: str | os.PathLike,
    fields: Fields,
    *,
    shards: int | None = None,
    latent_dtype: str = "float32",
    max_bad: int = 0,
    overwrite: bool = False,
) -> tuple[str, ...]:
    """Packs the samples at `source` into the folder `target`, which appears when it is complete.

    The text states of the empty caption are copied if `source` has them.

    fields: what is read of every sample and packed.
    shards: number of files; by default TFDS chooses it from the size.
    latent_dtype, max_bad: see `MugvSamples`.

    Returns a line for each sample that was left out.

    Raises:
        ValueError: `target` exists, more samples are bad than `max_bad`, `source` holds no samples
            with these fields, or fewer than `shards`.
    """
    source, target = user_path(source), user_path(target)
    markers = (PACKED_MARKER,)
    refuse_existing(target, overwrite=overwrite, markers=markers)
    if shards is not None and shards < 1:
        raise ValueError(f"shards={shards} must be at least 1.")
    if resolved(target) in resolved(source).parents:
        raise ValueError(f"{source} lies inside {target}, which would be replaced.")
    samples = open_samples(source, fields)
    _check_shards(shards, len(samples))
    with staged(target, overwrite=overwrite, markers=markers) as partial:
        builder = MugvSamples(
            samples=samples,
            latent_dtype=latent_dtype,
            max_bad=max_bad,
            data_dir=partial.with_name("tfds"),
        )
        _prepare(builder, shards)
        with open(builder.data_path / INDEX, "wb") as file:
            np.savez(
                file,
                names=np.array([samples.names[number] for number in builder.written]),
                shapes=samples.shapes[builder.written],
                fields=np.array(note_fields(samples.fields)),
            )
        empty = find_empty_text(source)
        if empty is not None:
            write_packed(empty, Path(builder.data_path))
        os.rename(builder.data_path, partial)
    return tuple(builder.bad)


def _check_shards(shards: int | None, samples: int) -> None:
    """Raise a ValueError if there are more files than samples: each holds at least one."""
    if shards is not None and shards > samples:
        raise ValueError(f"shards={shards} must be at most the number of samples, {samples}.")


def _prepare(builder: MugvSamples, shards: int | None) -> None:
    """Builds the data set without the lines and progress bars that TFDS prints."""
    config = tfds.download.DownloadConfig(num_shards=shards)
    tfds.display_progress_bar(enable=False)
    try:
        with contextlib.redirect_stdout(io.StringIO()):
            builder.download_and_prepare(download_config=config)
    except AssertionError:  # of TFDS, once it knows how many samples could be used
        _check_shards(shards, len(builder.written))
        raise
    finally:
        tfds.display_progress_bar(enable=True)
