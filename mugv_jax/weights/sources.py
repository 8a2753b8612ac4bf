# Copyright 2026 The mugv_jax Authors
# SPDX-License-Identifier: Apache-2.0
"""Interface of all checkpoint formats: named tensors, read or written one at a time."""

import abc
import dataclasses
import math
from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Any

import jax.numpy as jnp
import numpy as np


@dataclasses.dataclass(frozen=True)
class TensorSpec:
    """Shape and dtype of a stored tensor (bfloat16 and float8 are types of `ml_dtypes`)."""

    shape: tuple[int, ...]
    dtype: np.dtype

    @property
    def nbytes(self) -> int:
        return math.prod(self.shape) * self.dtype.itemsize

    def cast(self, dtype: np.dtype) -> "TensorSpec":
        """The spec after a cast to `dtype`, which changes floating tensors only."""
        return TensorSpec(self.shape, dtype) if jnp.issubdtype(self.dtype, jnp.floating) else self


class Source(abc.ABC):
    """Reader of a checkpoint under its published tensor names; a context manager.

    path: path that the user named.
    format: name of the format that was found there.
    specs: shape and dtype of every tensor, in the order of the file.
    config: content of the `config.json` beside the weights, if there is one.
    """

    path: Path
    format: str
    specs: Mapping[str, TensorSpec]
    config: Mapping[str, Any] | None = None

    @abc.abstractmethod
    def read(self, name: str) -> np.ndarray:
        """One tensor. Use it before the next `read`: it may be a view of the file."""

    def release(self) -> None:
        """Frees memory that earlier reads hold; the source stays usable."""
        return

    def close(self) -> None:
        """Closes the files that the source has opened."""
        return

    def __enter__(self) -> "Source":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


class Recast(Source):
    """`source` with the floating tensors among `names` cast to `dtype` as they are read."""

    def __init__(self, source: Source, names: Collection[str], dtype: np.dtype):
        self.path, self.format, self.config = source.path, source.format, source.config
        self.specs = {
            name: spec.cast(dtype) if name in names else spec for name, spec in source.specs.items()
        }
        self._source = source

    def read(self, name: str) -> np.ndarray:
        return self._source.read(name).astype(self.specs[name].dtype, copy=False)


class Scaled(Source):
    """`source` with the tensors named in `factors` multiplied as they are read."""

    def __init__(self, source: Source, factors: Mapping[str, float]):
        self.path, self.format, self.config = source.path, source.format, source.config
        self.specs, self._source, self._factors = source.specs, source, factors

    def read(self, name: str) -> np.ndarray:
        array = self._source.read(name)
        if name not in self._factors:
            return array
        scaled = array.astype(np.float32) * np.float32(self._factors[name])
        return scaled.astype(array.dtype)


class Writer(abc.ABC):
    """Writer of a checkpoint, one tensor at a time in any order; a context manager."""

    specs: Mapping[str, TensorSpec]

    @abc.abstractmethod
    def add(self, name: str, array: np.ndarray) -> None:
        """Writes one tensor of `specs`."""

    @abc.abstractmethod
    def close(self) -> None:
        """Finishes the file; every tensor must have been added."""

    @abc.abstractmethod
    def abandon(self) -> None:
        """Closes the file unfinished."""

    def __enter__(self) -> "Writer":
        return self

    def __exit__(self, error: type[BaseException] | None, *_: object) -> None:
        if error is None:
            self.close()
        else:
            self.abandon()


def raw_bytes(array: np.ndarray) -> memoryview:
    """Bytes of `array` in row-major order, copied only if it has another order."""
    return np.ascontiguousarray(array).reshape(-1).view(np.uint8).data
