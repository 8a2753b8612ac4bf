# Copyright 2026 The mugv_jax Authors
# SPDX-License-Identifier: Apache-2.0
"""Samples packed into ArrayRecord files: a TFDS data set with an index of names and shapes.

Reading needs neither TensorFlow nor PyTorch.
"""

import os
import zipfile
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from mugv_jax.data.samples import BadSample, Sample, checked_sample

SPLIT = "train"
INDEX = "samples.npz"
DAMAGED = (OSError, RuntimeError, ValueError, KeyError, IndexError)  # of ArrayRecord and TFDS


class PackedSamples:
    """A `SampleSource` over a folder that `pack` made.

    Raises:
        ValueError: the folder lacks its index, or its files do not fit together.
    """

    bad: Sequence[str] = ()  # they were left out when the samples were packed

    def __init__(self, path: Path):
        # Here, so that reading the published format does not need it.
        import tensorflow_datasets as tfds

        self.path = path
        try:
            with np.load(path / INDEX) as index:
                self.names: Sequence[str] = tuple(index["names"].tolist())
                self.shapes = index["shapes"].astype(np.int32)
                self.text_dim = int(index["text_dim"])
            self._records = tfds.builder_from_directory(os.fspath(path)).as_data_source(SPLIT)
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
            self.path,
            record["latent"].astype(np.float32),
            record["text"],
            record["text_mask"],
            fps=float(record["fps"]),
            name=name,
            shape=self.shapes[index],
            text_dim=self.text_dim,
        )


def _line(error: BaseException) -> str:
    return (str(error).strip().splitlines() or [type(error).__name__])[0][:200]
