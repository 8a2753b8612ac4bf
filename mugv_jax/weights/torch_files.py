# Copyright 2026 The mugv_jax Authors
# SPDX-License-Identifier: Apache-2.0
"""PyTorch files: `.pt`, `.pth`, `.bin`, in the zip format of `torch.save`.

Reading goes through `torch.load(weights_only=True, mmap=True)`. Writing streams: the archive is a
pickle that describes the tensors, then one uncompressed record per tensor, so a 20 GB file is
written without 20 GB of memory and with the checksums that other zip readers verify.
"""

import collections
import dataclasses
import io
import pickle
import re
import struct
import types
import zipfile
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, BinaryIO

import jax.numpy as jnp
import numpy as np

from mugv_jax.files import existing_file, is_zip, shortened
from mugv_jax.weights.sources import FileWriter, Source, TensorSpec

# Pages of a mapped file count as resident memory until they are unmapped. Mapping the file again
# reads its index again, about 0.07 ms a tensor: 3 s in all for the 10B, whose conversion takes 66.
REOPEN_AFTER_BYTES = 512 * 2**20
WRAPPERS = ("state_dict", "model", "module", "model_state_dict", "params", "weights")
EMA_WRAPPERS = ("ema", "ema_state_dict", "model_ema", "ema_model", "params_ema", "shadow")
SHADOW = "shadow_params"  # list of tensors in the state of diffusers' `EMAModel`
ALIGNMENT = 64
MAX_PICKLE_BYTES = 64 * 2**20  # names and shapes of all tensors; those of the 10B take 0.2 MB
# Bytes up to which a tensor may repeat the values of a smaller storage, as `expand` makes it.
MAX_REPEATED_BYTES = 64 * 2**20
STORAGES = {
    "float64": "DoubleStorage",
    "float32": "FloatStorage",
    "float16": "HalfStorage",
    "bfloat16": "BFloat16Storage",
    "int64": "LongStorage",
    "int32": "IntStorage",
    "int16": "ShortStorage",
    "int8": "CharStorage",
    "uint8": "ByteStorage",
    "bool": "BoolStorage",
}


class MissingTorch(ValueError):
    """PyTorch is needed, but not installed."""


def import_torch() -> types.ModuleType:
    """PyTorch, which is an optional dependency.

    Raises:
        MissingTorch: it is not installed.
    """
    try:
        import torch
    except ImportError as error:
        raise MissingTorch(
            "PyTorch files and Megatron checkpoints need PyTorch: pip install 'mugv_jax[torch]'."
        ) from error
    return torch


class TorchSource(Source):
    """One file of `torch.save`: a flat dictionary of tensors, or one wrapped under a usual key.

    mapped_bytes: most bytes of tensors to read before the file is mapped again, unless a single
        tensor is larger.
    """

    format = "torch"

    def __init__(self, path: Path, *, ema: bool = False, mapped_bytes: int = REOPEN_AFTER_BYTES):
        self.path = path
        self._ema, self._limit, self._read_bytes = ema, mapped_bytes, 0
        self._tensors = self._open()
        self.specs = {
            name: TensorSpec(tuple(tensor.shape), numpy_dtype(path, name, tensor))
            for name, tensor in self._tensors.items()
        }

    def read(self, name: str) -> np.ndarray:
        nbytes = self.specs[name].nbytes
        if self._read_bytes and self._read_bytes + nbytes > self._limit:
            self.release()
        self._tensors = self._tensors or self._open()
        self._read_bytes += nbytes
        return to_numpy(self._tensors[name], self.specs[name].dtype)

    def release(self) -> None:
        self._tensors, self._read_bytes = {}, 0

    def close(self) -> None:
        self.release()

    def _open(self) -> dict[str, Any]:
        content = load_plain(self.path, mmap=True, map_location="cpu")
        return unwrap(self.path, content, ema=self._ema)


def load_plain(path: Path, file: BinaryIO | io.RawIOBase | None = None, **options: Any) -> Any:
    """`torch.load` of what may hold tensors, plain containers and numbers only.

    file: the part of the file at `path` to load, if not all of it.

    Raises:
        ValueError: truncated, not a torch file, or anything that unpickling could run.
    """
    torch = import_torch()
    existing_file(path, "torch file")
    if not is_zip(file or path):
        with open(path, "rb") as start:
            truncated = start.read(2) == b"PK"
        if truncated:
            raise ValueError(f"{path}: the file ends too early; fetch it again.")
        raise ValueError(
            f"{path}: not a zip file of torch.save (torch 1.6 or later); name a checkpoint."
        )
    _check_archive(path, file)
    try:
        if file is not None:
            file.seek(0)
        return torch.load(file or path, weights_only=True, **options)
    except pickle.UnpicklingError as error:
        named = re.search(r"GLOBAL (\S+)", str(error))
        raise ValueError(
            f"{path}: holds more than plain tensors ({named[1] if named else 'damaged pickle'}), "
            "and unpickling that could run code; save its state_dict alone."
        ) from error
    except Exception as error:  # a damaged pickle may fail in any way inside torch.load
        first_line = (str(error).strip().splitlines() or [type(error).__name__])[0][:200]
        raise ValueError(f"{path}: not a readable torch file ({first_line}).") from error


def _check_archive(path: Path, file: BinaryIO | io.RawIOBase | None) -> None:
    """Refuse a zip file that `torch.save` cannot have written, such as a decompression bomb.

    Raises:
        ValueError: compressed or overlapping members, or a description of unlikely size.
    """
    try:
        with zipfile.ZipFile(file or path) as archive:  # pyright: ignore[reportArgumentType]
            members = archive.infolist()
            end = archive.fp.seek(0, io.SEEK_END) if archive.fp is not None else 0
    except Exception as error:  # a damaged index may fail in any way
        raise ValueError(f"{path}: the file is damaged ({error}); fetch it again.") from error
    total = sum(member.file_size for member in members)
    pickled = max((m.file_size for m in members if m.filename.endswith("data.pkl")), default=0)
    stored = all(member.compress_type == zipfile.ZIP_STORED for member in members)
    if not stored or total > end or pickled > MAX_PICKLE_BYTES:
        raise ValueError(
            f"{path}: no file of torch.save, which compresses nothing: its {len(members)} members "
            f"unpack to {total} bytes of which {pickled} describe tensors, from {end}; save its "
            "state_dict again."
        )


def unwrap(path: Path, content: Any, *, ema: bool) -> dict[str, Any]:
    """The tensors of a flat state dict, or of the one that the usual wrapper keys hold.

    The list of an EMA gets the names of the weights that it averages if these are in the file too,
    in order and of the same shapes, and otherwise "shadow_params.0" and so on.

    Raises:
        ValueError: no tensors, several sets of them, or no EMA weights where they are asked for.
    """
    if not isinstance(content, Mapping):
        raise ValueError(f"{path}: holds a {type(content).__name__}, not a dictionary of tensors.")
    whole, wanted = content, ema and SHADOW not in content
    while SHADOW not in content:
        keys = EMA_WRAPPERS if wanted else WRAPPERS
        wrapped = [key for key in keys if isinstance(content.get(key), Mapping)]
        if not wanted and not wrapped:
            wrapped = [key for key in EMA_WRAPPERS if isinstance(content.get(key), Mapping)]
        if len(wrapped) != 1 and (wrapped or wanted):
            raise ValueError(
                f"{path}: must hold one set of {'EMA ' if wanted else ''}weights under one of "
                f"{', '.join(keys)}; found {', '.join(wrapped) or 'none'}."
            )
        if not wrapped:
            break
        content, wanted = content[wrapped[0]], False
    if SHADOW in content:
        content = _named_shadow(path, content[SHADOW], whole)
    tensors = {name: value for name, value in content.items() if value is not None}
    torch = import_torch()
    foreign = [
        shortened(str(name))
        for name, value in tensors.items()
        if not isinstance(value, torch.Tensor) or not isinstance(name, str)
    ]
    if foreign or not tensors:
        raise ValueError(
            f"{path}: must hold tensors only; found {', '.join(foreign) or 'nothing'}. "
            f"Save the state_dict alone, or under one of {', '.join(WRAPPERS)}."
        )
    return tensors


def _named_shadow(path: Path, shadow: Any, whole: Mapping) -> dict[str, Any]:
    """Averaged tensors by name; see `unwrap`."""
    if not isinstance(shadow, list | tuple):
        raise ValueError(f"{path}: {SHADOW} is a {type(shadow).__name__}, must be a list.")
    for key in WRAPPERS:
        named = whole.get(key)
        if isinstance(named, Mapping) and [getattr(x, "shape", None) for x in named.values()] == [
            getattr(x, "shape", None) for x in shadow
        ]:
            return dict(zip(named, shadow, strict=True))
    return {f"{SHADOW}.{number}": tensor for number, tensor in enumerate(shadow)}


def numpy_dtype(path: Path, name: str, tensor: Any) -> np.dtype:
    """The numpy dtype of a dense torch tensor.

    Raises:
        ValueError: numpy has no such tensor (sparse, quantized).
    """
    try:
        if tensor.device.type == "meta":
            raise ValueError(
                f"{path}: {name} is a meta tensor, which has no values: save it with them."
            )
        if tensor.layout == import_torch().strided:
            _check_values(path, name, tensor)
            return jnp.dtype(str(tensor.dtype).removeprefix("torch."))
    except TypeError:
        pass
    raise ValueError(f"{path}: {name} is {tensor.dtype}, {tensor.layout}; must be a dense tensor.")


def _check_values(path: Path, name: str, tensor: Any) -> None:
    """Raise a ValueError for a tensor that is much larger than the values stored for it."""
    nbytes, stored = tensor.numel() * tensor.element_size(), tensor.untyped_storage().nbytes()
    if nbytes > max(stored, MAX_REPEATED_BYTES):
        raise ValueError(
            f"{path}: {name} declares {tuple(tensor.shape)}, {nbytes} bytes, but the file holds "
            f"{stored}: save it again after .contiguous()."
        )


def to_numpy(tensor: Any, dtype: np.dtype) -> np.ndarray:
    """A view of a CPU tensor as an array of `dtype`, the same type seen by numpy."""
    tensor = tensor.detach()
    if dtype.isbuiltin != 1:  # a type of ml_dtypes: torch hands it over as bits
        torch = import_torch()
        tensor = tensor.view({1: torch.uint8, 2: torch.int16}[dtype.itemsize])
    return tensor.numpy().view(dtype)


class _Archive(zipfile.ZipFile):
    def __del__(self):
        """Does nothing: an abandoned archive must not be finished when it is collected."""


class TorchWriter(FileWriter):
    """A file of `torch.save`, holding {name: tensor} or {wrapper: {name: tensor}}.

    order: all keys in file order, those that are not in `specs` being None (Megatron has such).
    """

    def __init__(
        self,
        path: Path,
        specs: Mapping[str, TensorSpec],
        *,
        wrapper: str | None = None,
        order: Iterable[str] | None = None,
    ):
        super().__init__(path, specs, STORAGES, "a torch file")
        self._keys = {name: str(index) for index, name in enumerate(specs)}
        self._zip = _Archive(self._file, "w")
        self._root = path.stem
        entries = {
            name: _Tensor(self._keys[name], specs[name]) if name in specs else None
            for name in (specs if order is None else order)
        }
        buffer = io.BytesIO()
        _Pickler(buffer, protocol=2).dump(entries if wrapper is None else {wrapper: entries})
        try:
            self._record("data.pkl", buffer.getbuffer())
            self._record("byteorder", b"little")
        except BaseException:
            self.abandon()
            raise

    def _write(self, name: str, content: memoryview) -> None:
        self._record(f"data/{self._keys[name]}", content)

    def close(self) -> None:
        self._record("version", b"3\n")
        self._zip.close()
        super().close()

    def abandon(self) -> None:
        self._zip.fp = None  # no index for it
        super().abandon()

    def _record(self, name: str, content: bytes | memoryview) -> None:
        """Store `content` at a multiple of ALIGNMENT, so that a mapped tensor is aligned."""
        info = zipfile.ZipInfo(f"{self._root}/{name}")
        fixed = 30 + len(info.filename.encode()) + 20 + 4  # header, name, zip64 field, our field
        padding = -(self._file.tell() + fixed) % ALIGNMENT
        info.extra = struct.pack("<2sH", b"FB", padding) + bytes(padding)
        with self._zip.open(info, "w", force_zip64=True) as record:
            record.write(content)


@dataclasses.dataclass(frozen=True)
class _Storage:
    """Stands for the record of one tensor while the pickle is written."""

    key: str
    spec: TensorSpec


class _Tensor(_Storage):
    """Pickles as torch pickles a contiguous tensor."""

    def __reduce__(self) -> tuple:
        shape = self.spec.shape
        strides = tuple(int(np.prod(shape[axis + 1 :])) for axis in range(len(shape)))
        storage = _Storage(self.key, self.spec)
        rebuild = import_torch()._utils._rebuild_tensor_v2
        return rebuild, (storage, 0, shape, strides, False, collections.OrderedDict())


class _Pickler(pickle.Pickler):
    def persistent_id(self, value: Any) -> tuple | None:
        if type(value) is not _Storage:
            return None
        spec = value.spec
        kind = getattr(import_torch(), STORAGES[str(spec.dtype)])
        return "storage", kind, value.key, "cpu", int(np.prod(spec.shape))
