# Copyright 2026 The mugv_jax Authors
# SPDX-License-Identifier: Apache-2.0
"""Samples into a TFDS data set of ArrayRecord files, for fast random access on many hosts.

tfds.builder("mugv_samples", samples=open_samples("folder"), data_dir=...)   where this module
is imported; `pack` writes the same data set to a folder of its own, whole or not at all.
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
from tqdm import tqdm

from mugv_jax.data.ahead import ahead
from mugv_jax.data.empty_text import find_empty_text, write_packed
from mugv_jax.data.packed import INDEX, SPLIT
from mugv_jax.data.published import listed
from mugv_jax.data.samples import (
    CHANNELS,
    PACKED_MARKER,
    BadSample,
    Sample,
    SampleSource,
    open_samples,
)
from mugv_jax.weights.staging import refuse_existing, staged

LATENT_DTYPES = ("float32", "bfloat16")
READERS = 4  # threads; samples that wait to be written


class MugvSamples(tfds.core.GeneratorBasedBuilder):
    """TFDS builder of encoded samples.

    samples: what to write.
    latent_dtype: one of LATENT_DTYPES; `features.json` says which. Text is kept in float32.
    max_bad: how many samples that cannot be read are left out; one more is an error.
    """

    VERSION = tfds.core.Version("1.0.0")
    code_path = None  # beside it lie the checksums of downloads: there are none

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
        self._max_bad = max_bad
        self.bad = list(samples.bad)
        self.written: list[int] = []
        super().__init__(file_format="array_record", **options)

    def _info(self) -> tfds.core.DatasetInfo:
        tensor = tfds.features.Tensor
        features = {
            "name": tfds.features.Text(doc="which sample it is"),
            "latent": tensor(
                shape=(None, None, None, CHANNELS),
                dtype=self._dtype,
                encoding="bytes",
                doc="normalised latent (f, h, w, c)",
            ),
            "text": tensor(
                shape=(None, self._samples.text_dim),
                dtype=np.float32,
                encoding="bytes",
                doc="states of the caption (s, d), without padding",
            ),
            "text_mask": tensor(shape=(None,), dtype=np.bool_, doc="true on text (s)"),
            "fps": tfds.features.Scalar(dtype=np.float32, doc="frames per second of the clip"),
        }
        return tfds.core.DatasetInfo(
            builder=self,
            description="Video latents and text states to train MUG-V on.",
            features=tfds.features.FeaturesDict(features),
            disable_shuffling=True,  # the trainer shuffles; here the order is that of the index
        )

    def _split_generators(self, _: tfds.download.DownloadManager) -> dict[str, Any]:
        return {SPLIT: self._generate_examples()}

    def _generate_examples(self) -> Iterator[tuple[int, dict[str, Any]]]:
        self._refuse_too_many_bad()
        count = len(self._samples)
        numbers = ahead(self._samples.__getitem__, range(count), threads=READERS)
        for number, sample in tqdm(
            numbers, total=count, desc="packing", unit="sample", disable=None
        ):
            try:
                example = self._example(sample())
            except BadSample as error:
                self.bad.append(str(error))
                self._refuse_too_many_bad()
                continue
            self.written.append(number)
            yield number, example

    def _example(self, sample: Sample) -> dict[str, Any]:
        return {
            "name": sample.name,
            "latent": sample.latent.astype(self._dtype),
            "text": sample.text,
            "text_mask": sample.text_mask,
            "fps": np.float32(sample.fps),
        }

    def _refuse_too_many_bad(self) -> None:
        if len(self.bad) > self._max_bad:
            raise ValueError(
                f"more than max bad={self._max_bad} samples cannot be packed. "
                + listed(self.bad, "is bad", "are bad")
            )


def pack(
    source: str | os.PathLike,
    target: str | os.PathLike,
    *,
    shards: int | None = None,
    latent_dtype: str = "float32",
    max_bad: int = 0,
    overwrite: bool = False,
) -> tuple[str, ...]:
    """Writes the samples at `source` to the folder `target`; returns what was left out, and why.

    The text states of the empty caption go along, where `source` has them.

    shards: files to write; by default what TFDS chooses from the size.
    Other arguments: as of `MugvSamples`. Nothing is at `target` before all of it is.

    Raises:
        ValueError: `target` exists, more samples are bad than `max_bad`, or no samples at `source`.
    """
    source, target = Path(source).expanduser(), Path(target).expanduser()
    markers = (PACKED_MARKER,)
    refuse_existing(target, overwrite=overwrite, markers=markers)
    if shards is not None and shards < 1:
        raise ValueError(f"shards={shards} must be at least 1.")
    if target.resolve() in source.resolve().parents:
        raise ValueError(f"{source} lies inside {target}, which would be replaced.")
    samples = open_samples(source)
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
                text_dim=samples.text_dim,
            )
        empty = find_empty_text(source)
        if empty is not None:
            write_packed(empty, Path(builder.data_path))
        os.rename(builder.data_path, partial)
    return tuple(builder.bad)


def _prepare(builder: MugvSamples, shards: int | None) -> None:
    config = tfds.download.DownloadConfig(num_shards=shards)
    # TFDS prints, and draws bars beside ours.
    tfds.display_progress_bar(enable=False)
    try:
        with contextlib.redirect_stdout(io.StringIO()):
            builder.download_and_prepare(download_config=config)
    finally:
        tfds.display_progress_bar(enable=True)
