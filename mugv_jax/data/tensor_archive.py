# Copyright 2026 The mugv_jax Authors
# SPDX-License-Identifier: Apache-2.0
"""Small files of `torch.save`, written and read without PyTorch.

A file is a zip archive: a pickle that describes the tensors, and a record with the values of each.
Only a tensor, or a dictionary of tensors, in plain storage is read here; `weights/torch_files.py`
reads everything else, with PyTorch.
"""

import collections
import dataclasses
import io
import math
import pickle
import pickletools
import struct
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import jax.numpy as jnp
import numpy as np

from mugv_jax.weights.torch_files import ALIGNMENT, MAX_REPEATED_BYTES, STORAGES

ROOT = "archive"
REBUILD = ("torch._utils", "_rebuild_tensor_v2")
DICTIONARY = ("collections", "OrderedDict")
DTYPES = {("torch", storage): jnp.dtype(name) for name, storage in STORAGES.items()}


@dataclasses.dataclass(frozen=True)
class Stored:
    """A tensor in a file, whose values are not read yet.

    record: name of the record with the values of its storage.
    start, strides: place of its first value there, and steps along its axes, in values.
    """

    path: Path
    record: str
    dtype: np.dtype
    start: int
    shape: tuple[int, ...]
    strides: tuple[int, ...]

    def read(self) -> np.ndarray:
        """The values.

        Raises:
            OSError, ValueError, zipfile.BadZipFile: the file has changed or is damaged.
        """
        with zipfile.ZipFile(self.path) as archive:
            storage = np.frombuffer(archive.read(self.record), self.dtype)
        last = self.start + sum((n - 1) * step for n, step in zip(self.shape, self.strides))
        if math.prod(self.shape) and last >= storage.size:
            raise ValueError(f"{self.path}: a tensor reaches beyond its record.")
        nbytes = math.prod(self.shape) * self.dtype.itemsize
        if nbytes > max(storage.nbytes, MAX_REPEATED_BYTES):
            raise ValueError(
                f"{self.path}: a tensor declares {self.shape}, {nbytes} bytes, but the file holds "
                f"{storage.nbytes}: save it again after .contiguous()."
            )
        steps = [step * self.dtype.itemsize for step in self.strides]
        view = np.lib.stride_tricks.as_strided(storage[self.start :], self.shape, steps)
        return np.array(view)


def saved(content: np.ndarray | Mapping[str, np.ndarray]) -> bytes:
    """Content of a file that `torch.load` reads as a tensor, or as a dictionary of tensors."""
    arrays = list(content.values()) if isinstance(content, Mapping) else [content]
    tensors = [_tensor_pickle(array, str(key)) for key, array in enumerate(arrays)]
    if isinstance(content, Mapping):
        named = (_value(name) + tensor for name, tensor in zip(content, tensors, strict=True))
        body = pickle.EMPTY_DICT + pickle.MARK + b"".join(named) + pickle.SETITEMS
    else:
        (body,) = tensors
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        _record(archive, buffer, "data.pkl", pickle.PROTO + b"\2" + body + pickle.STOP)
        _record(archive, buffer, "byteorder", b"little")
        for key, array in enumerate(arrays):
            values = np.ascontiguousarray(array).astype(array.dtype.newbyteorder("<"))
            _record(archive, buffer, f"data/{key}", values.tobytes())
        _record(archive, buffer, "version", b"3\n")
    return buffer.getvalue()


def _tensor_pickle(array: np.ndarray, key: str) -> bytes:
    """What pickle makes of a contiguous CPU tensor whose values are in the record `key`."""
    kind = ("torch", STORAGES[array.dtype.name])
    strides = tuple(math.prod(array.shape[axis + 1 :]) for axis in range(array.ndim))
    parts = (_value("storage"), _global(kind), *map(_value, (key, "cpu", array.size)))
    storage = _tuple(*parts) + pickle.BINPERSID
    hooks = _global(DICTIONARY) + pickle.EMPTY_TUPLE + pickle.REDUCE
    values = (_value(0), _value(array.shape), _value(strides), _value(False), hooks)
    return _global(REBUILD) + _tuple(storage, *values) + pickle.REDUCE


def _value(value: Any) -> bytes:
    """Opcodes of a plain value, between those of the protocol and of the end."""
    return pickletools.optimize(pickle.dumps(value, 2))[2:-1]


def _global(name: tuple[str, str]) -> bytes:
    return pickle.GLOBAL + "{}\n{}\n".format(*name).encode()


def _tuple(*items: bytes) -> bytes:
    return pickle.MARK + b"".join(items) + pickle.TUPLE


def _record(archive: zipfile.ZipFile, buffer: io.BytesIO, name: str, content: bytes) -> None:
    """Stores `content` at a multiple of ALIGNMENT, so that a mapped tensor is aligned."""
    info = zipfile.ZipInfo(f"{ROOT}/{name}")
    padding = -(buffer.tell() + 30 + len(info.filename) + 4) % ALIGNMENT
    info.extra = struct.pack("<2sH", b"FB", padding) + bytes(padding)
    archive.writestr(info, content)


def stored(path: Path) -> Stored | dict[str, Stored] | None:
    """The tensor or tensors in a file, values unread; None for files that need PyTorch.

    Raises:
        OSError: the file cannot be opened.
    """
    try:
        with zipfile.ZipFile(path) as archive:
            names = [each for each in archive.namelist() if each.endswith("/data.pkl")]
            root = names[0].removesuffix("data.pkl") if len(names) == 1 else ""
            order = f"{root}byteorder"
            if order in archive.namelist() and archive.read(order) != b"little":
                return None
            content = _Unpickler(path, root, archive.read(f"{root}data.pkl")).load()
    except (zipfile.BadZipFile, pickle.UnpicklingError, KeyError, EOFError, TypeError, ValueError):
        return None
    tensors = content.values() if isinstance(content, dict) else [content]
    return content if all(isinstance(each, Stored) for each in tensors) else None


class _Unpickler(pickle.Unpickler):
    """Reads descriptions of tensors, and nothing that could run code."""

    def __init__(self, path: Path, root: str, content: bytes):
        super().__init__(io.BytesIO(content))
        self._path, self._root = path, root

    def find_class(self, module: str, name: str) -> Any:
        known = {REBUILD: self._rebuild, DICTIONARY: collections.OrderedDict, **DTYPES}
        if (module, name) not in known:
            raise pickle.UnpicklingError(f"{module}.{name} is no part of a tensor")
        return known[module, name]

    def persistent_load(self, pid: Any) -> tuple[np.dtype, str]:
        _, dtype, key, _, _ = pid
        return dtype, key

    def _rebuild(
        self,
        storage: tuple[np.dtype, str],
        start: int,
        shape: tuple[int, ...],
        strides: tuple[int, ...],
        *_: Any,
    ) -> Stored:
        dtype, key = storage
        return Stored(self._path, f"{self._root}data/{key}", dtype, start, shape, strides)
