# Copyright 2026 The mugv_jax Authors
# SPDX-License-Identifier: Apache-2.0
"""Interface of all checkpoint formats: named tensors, read or written one at a time."""

import abc
import contextlib
import dataclasses
import math
from collections.abc import Collection, Mapping, Sequence
from pathlib import Path
from typing import Any

import jax.numpy as jnp
import numpy as np

from mugv_jax.weights.table import Shapes


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


class Source(contextlib.AbstractContextManager["Source"]):
    """Reader of a checkpoint under its published tensor names; a context manager.

    Opening one raises a ValueError if it is damaged, incomplete, of another format, or without the
    averaged weights that are asked for.

    path: path that the user named.
    format: name of the format that was found there.
    specs: shape and dtype of every tensor, in the order of the file.
    config: content of the `config.json` beside the weights, if there is one.
    parts: sources that it has opened to read from; they are closed with it.
    """

    path: Path
    format: str
    specs: Mapping[str, TensorSpec]
    config: Mapping[str, Any] | None = None
    parts: Sequence["Source"] = ()

    @property
    def shapes(self) -> Shapes:
        """Shape of every tensor."""
        return {name: spec.shape for name, spec in self.specs.items()}

    def files(self) -> list[Path]:
        """Every file or folder that is read."""
        return [self.path, *(path for part in self.parts for path in part.files())]

    @abc.abstractmethod
    def read(self, name: str) -> np.ndarray:
        """One tensor. Use it before the next `read`: it may be a view of the file."""

    def release(self) -> None:
        """Frees memory that earlier reads hold; the source stays usable."""
        for part in self.parts:
            part.release()

    def close(self) -> None:
        """Closes the files that the source has opened."""
        for part in self.parts:
            part.close()

    def __exit__(self, *_: object) -> None:
        self.close()


class Changed(Source):
    """`source` with some tensors multiplied by `factors` and others cast, as they are read.

    dtype: dtype of all floating tensors but those in `kept`; None casts no tensor.
    """

    def __init__(
        self,
        source: Source,
        factors: Mapping[str, float],
        dtype: np.dtype | None,
        kept: Collection[str],
    ):
        self.path, self.format, self.config = source.path, source.format, source.config
        self.specs = {
            name: spec if dtype is None or name in kept else spec.cast(dtype)
            for name, spec in source.specs.items()
        }
        self._source, self._factors = source, factors

    def read(self, name: str) -> np.ndarray:
        array = self._source.read(name)
        if name in self._factors:
            scaled = array.astype(np.float32) * np.float32(self._factors[name])
            array = scaled.astype(array.dtype)
        return array.astype(self.specs[name].dtype, copy=False)


class Writer(contextlib.AbstractContextManager["Writer"]):
    """Writer of a checkpoint, one tensor at a time in any order; a context manager.

    parts: writers of its files, finished with it.
    """

    specs: Mapping[str, TensorSpec]
    parts: Sequence["Writer"] = ()

    @abc.abstractmethod
    def add(self, name: str, array: np.ndarray) -> None:
        """Writes one tensor of `specs`."""

    def close(self) -> None:
        """Finishes the files; every tensor must have been added."""
        for part in self.parts:
            part.close()

    def abandon(self) -> None:
        """Closes the files unfinished."""
        for part in self.parts:
            part.abandon()

    def __exit__(self, error: type[BaseException] | None, *_: object) -> None:
        if error is None:
            self.close()
        else:
            self.abandon()


class FileWriter(Writer):
    """Writer of one file.

    dtypes: names of the dtypes that the format has.
    described: what the file is, in messages.

    Raises:
        ValueError: a dtype that the format does not have.
    """

    def __init__(
        self,
        path: Path,
        specs: Mapping[str, TensorSpec],
        dtypes: Collection[str],
        described: str,
    ):
        unknown = {str(spec.dtype) for spec in specs.values()} - set(dtypes)
        if unknown:
            raise ValueError(f"{described} cannot hold {', '.join(sorted(unknown))}; cast it.")
        self.specs, self._left = specs, set(specs)
        self._file = open(path, "wb")  # noqa: SIM115 (closed by `close` and `abandon`)

    def add(self, name: str, array: np.ndarray) -> None:
        spec = self.specs[name]
        assert (array.shape, array.dtype) == (spec.shape, spec.dtype), (name, array.shape, spec)
        self._left.remove(name)
        self._write(name, np.ascontiguousarray(array).reshape(-1).view(np.uint8).data)

    @abc.abstractmethod
    def _write(self, name: str, content: memoryview) -> None:
        """Writes the bytes of one tensor in row-major order."""

    def close(self) -> None:
        assert not self._left, f"never added: {sorted(self._left)}"
        self._file.close()

    def abandon(self) -> None:
        with contextlib.suppress(OSError):  # a full disk is why we may be here
            self._file.close()
