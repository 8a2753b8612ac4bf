# Copyright 2026 The mugv_jax Authors
# SPDX-License-Identifier: Apache-2.0
"""What every kind of checkpoint file is to the rest: named tensors, read one at a time."""

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
    """Shape and dtype of a stored tensor (bfloat16 and float8 are those of `ml_dtypes`)."""

    shape: tuple[int, ...]
    dtype: np.dtype

    @property
    def nbytes(self) -> int:
        return math.prod(self.shape) * self.dtype.itemsize

    def cast(self, dtype: np.dtype) -> "TensorSpec":
        """The spec after a cast to `dtype`, which concerns floating tensors only."""
        return TensorSpec(self.shape, dtype) if jnp.issubdtype(self.dtype, jnp.floating) else self


class Source(abc.ABC):
    """A checkpoint under its published tensor names; a context manager.

    path: what the user named.  format: what was found there.
    specs: every tensor, in the order of the file.
    config: the `config.json` beside the weights, where there is one.
    """

    path: Path
    format: str
    specs: Mapping[str, TensorSpec]
    config: Mapping[str, Any] | None = None

    @abc.abstractmethod
    def read(self, name: str) -> np.ndarray:
        """One tensor. Use it before the next `read`: it may be a view of the file."""

    def release(self) -> None:
        """Give back memory that reads hold on to; the source stays usable."""
        return

    def close(self) -> None:
        """Release what the source holds open."""
        return

    def __enter__(self) -> "Source":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


class Recast(Source):
    """`source` with the floating ones of the tensors `names` cast to `dtype` as they are read."""

    def __init__(self, source: Source, names: Collection[str], dtype: np.dtype):
        self.path, self.format, self.config = source.path, source.format, source.config
        self.specs = {
            name: spec.cast(dtype) if name in names else spec for name, spec in source.specs.items()
        }
        self._source = source

    def read(self, name: str) -> np.ndarray:
        return self._source.read(name).astype(self.specs[name].dtype, copy=False)


class Scaled(Source):
    """`source` with some tensors multiplied, by name, as they are read."""

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
    """A checkpoint being written, one tensor at a time and in any order; a context manager."""

    specs: Mapping[str, TensorSpec]

    @abc.abstractmethod
    def add(self, name: str, array: np.ndarray) -> None:
        """Write one tensor of `specs`."""

    @abc.abstractmethod
    def close(self) -> None:
        """Finish the file; every tensor must have been added."""

    @abc.abstractmethod
    def abandon(self) -> None:
        """Release the file unfinished."""

    def __enter__(self) -> "Writer":
        return self

    def __exit__(self, error: type[BaseException] | None, *_: object) -> None:
        if error is None:
            self.close()
        else:
            self.abandon()


def raw_bytes(array: np.ndarray) -> memoryview:
    """The bytes of `array` in row-major order, copied only if it lies otherwise."""
    return memoryview(np.ascontiguousarray(array).reshape(-1).view(np.uint8))
