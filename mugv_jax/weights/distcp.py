# Copyright 2026 The mugv_jax Authors
# SPDX-License-Identifier: Apache-2.0
"""Folders of `torch.distributed.checkpoint`: `.metadata` and `.distcp` files.

The Megatron trainer's (`torch_dist`) stack the layers of one weight on a leading axis; those of
other programs hold a state dict, often under "model." beside the optimizer's. Every tensor is cut
into chunks, each a small torch file inside a `.distcp` file. No process group is needed: the
metadata has the file, byte range and position of every chunk, and only the needed rows of a chunk
are read.
"""

import dataclasses
import io
import math
import pickle
import re
import zipfile
from pathlib import Path
from typing import Any

import jax.numpy as jnp
import numpy as np

from mugv_jax.weights.sources import Source, TensorSpec
from mugv_jax.weights.torch_files import (
    EMA_WRAPPERS,
    WRAPPERS,
    import_torch,
    load_plain,
    to_numpy,
)

METADATA = ".metadata"
LAYERS = "decoder.layers."
EMA_PREFIX = "optimizer.state.exp_moving_avg."
_NOT_WEIGHTS = re.compile(
    r"(\w+\.)?(optim|optimizers?|optimizer_states?|optim_state|lr_scheduler|scheduler|train_state|"
    r"dataloader|opt_param_scheduler|rng_state|rerun_state_machine_state)(_\w+)?(\.|/|$)"
)
# Names that a `.metadata` pickle may use; unpickling anything else could run code.
_TRUSTED = {
    "torch.distributed.checkpoint.metadata": {
        "BytesStorageMetadata",
        "ChunkStorageMetadata",
        "Metadata",
        "MetadataIndex",
        "StorageMeta",
        "TensorProperties",
        "TensorStorageMetadata",
        "_MEM_FORMAT_ENCODING",
    },
    "torch.distributed.checkpoint.filesystem": {"_StorageInfo"},
    "torch.serialization": {"_get_layout"},
    "torch": {"Size", "device"},
    "collections": {"OrderedDict", "defaultdict"},
    "builtins": {"set", "frozenset", "dict", "list", "tuple", "int", "str"},
    "pathlib": {"Path", "PosixPath", "PurePosixPath"},
}
# What a damaged pickle may raise, from the opcodes or from the classes that it calls.
_DAMAGE = (
    pickle.UnpicklingError,
    ArithmeticError,
    AttributeError,
    EOFError,
    ImportError,
    LookupError,
    MemoryError,
    RuntimeError,
    TypeError,
    ValueError,
)
MAX_LAYERS = 4096


class _MetadataUnpickler(pickle.Unpickler):
    def find_class(self, module: str, name: str) -> Any:
        torch = import_torch()
        is_dtype = module == "torch" and isinstance(getattr(torch, name, None), torch.dtype)
        if is_dtype or name in _TRUSTED.get(module, ()):
            return super().find_class(module, name)
        raise pickle.UnpicklingError(f"{module}.{name}")


@dataclasses.dataclass(frozen=True)
class _Chunk:
    """A block of a tensor at `offsets`, stored in `length` bytes of `file` from `start`."""

    offsets: tuple[int, ...]
    shape: tuple[int, ...]
    file: Path
    start: int
    length: int


class TorchDistSource(Source):
    """Weights of one folder under the names of its program, one tensor per layer.

    ema: read the exponential moving average that the optimizer keeps instead.
    """

    format = "torch_dist"

    def __init__(self, path: Path, *, ema: bool = False):
        self.path = path
        self._stored, self._chunks = _read_metadata(path)
        weights = [name for name in self._stored if not _NOT_WEIGHTS.match(name)]
        prefix = ""
        if ema and any(EMA_PREFIX + name in self._stored for name in weights):
            prefix = EMA_PREFIX
            weights = [name for name in weights if prefix + name in self._stored]
        else:
            weights = _group(weights, ema=ema)
        if not weights:
            raise ValueError(f"{path}: holds no {'EMA ' if ema else ''}weights.")
        self.specs: dict[str, TensorSpec] = {}
        self._homes: dict[str, tuple[str, tuple[int, int] | None]] = {}
        for name in weights:
            self._add(name, prefix + name)

    def _add(self, name: str, key: str) -> None:
        """Adds a weight stored as `key` to `specs`; a stack is added layer by layer."""
        # An EMA tensor is flattened, so the shape is taken from its weight.
        shape, stored = self._stored[name].shape, self._stored[key]
        stacked = name.startswith(LAYERS) and not name.removeprefix(LAYERS)[0].isdigit()
        if math.prod(stored.shape) != math.prod(shape) or (
            stacked and stored.shape[:1] != shape[:1]
        ):
            raise ValueError(
                f"{self.path}: {key} is {stored.shape}, which does not fit its weight, {shape}."
            )
        if not stacked:
            self.specs[name] = TensorSpec(shape, stored.dtype)
            self._homes[name] = key, None
            return
        for layer in range(shape[0]):
            layer_name = f"{LAYERS}{layer}.{name.removeprefix(LAYERS)}"
            self.specs[layer_name] = TensorSpec(shape[1:], stored.dtype)
            self._homes[layer_name] = key, (layer, layer + 1)

    def read(self, name: str) -> np.ndarray:
        key, rows = self._homes[name]
        array = self._read_rows(key, rows)
        return _unflatten(array[0] if rows else array, self.specs[name].shape)

    def _read_rows(self, key: str, rows: tuple[int, int] | None) -> np.ndarray:
        """Rows of the leading axis of a stored tensor; all of it if `rows` is None."""
        spec = self._stored[key]
        if not spec.shape:
            return _read_chunk(self._chunks[key][0], spec.dtype, None)
        start, stop = rows or (0, spec.shape[0])
        out = np.empty((stop - start, *spec.shape[1:]), spec.dtype)
        for chunk in self._chunks[key]:
            top = chunk.offsets[0]
            low, high = max(start, top), min(stop, top + chunk.shape[0])
            if low < high:
                place = tuple(slice(o, o + n) for o, n in zip(chunk.offsets[1:], chunk.shape[1:]))
                part = _read_chunk(chunk, spec.dtype, (low - top, high - top))
                out[(slice(low - start, high - start), *place)] = part
        return out


def _group(names: list[str], *, ema: bool) -> list[str]:
    """Names of one set of weights: of those under a usual key if there are any, else of all.

    The key may follow what all names begin with, as in "app.model." and "app.ema.".
    """
    keys = EMA_WRAPPERS if ema else WRAPPERS
    for parts in zip(*(name.split(".") for name in names)):
        chosen = next((key for key in keys if key in parts), None)
        if chosen is not None:
            return [name for name, part in zip(names, parts, strict=True) if part == chosen]
        if len(set(parts)) > 1:
            break
    return [] if ema else names


def _read_metadata(path: Path) -> tuple[dict[str, TensorSpec], dict[str, list[_Chunk]]]:
    """Specs and chunks of every tensor; entries that are not tensors are left out."""
    import_torch()
    try:
        with open(path / METADATA, "rb") as file:
            metadata = _MetadataUnpickler(file).load()
        entries = metadata.state_dict_metadata.items()
        tensors = {name: entry for name, entry in entries if hasattr(entry, "chunks")}
        specs = {
            name: TensorSpec(
                tuple(entry.size), jnp.dtype(str(entry.properties.dtype).removeprefix("torch."))
            )
            for name, entry in tensors.items()
        }
        homes = {
            (key.fqn, tuple(key.offset)): home
            for key, home in metadata.storage_data.items()
            if key.offset is not None
        }
        chunks = {
            name: [_chunk(path, block, homes[name, tuple(block.offsets)]) for block in entry.chunks]
            for name, entry in tensors.items()
        }
    except _DAMAGE as error:
        raise ValueError(
            f"{path / METADATA}: not the whole metadata of a torch_dist checkpoint ({error}); "
            "anything but tensors is refused, because unpickling it could run code."
        ) from error
    for name, blocks in chunks.items():
        if sum(math.prod(block.shape) for block in blocks) != math.prod(specs[name].shape):
            raise ValueError(f"{path / METADATA}: damaged: the chunks of {name} do not cover it.")
    files = {chunk.file for blocks in chunks.values() for chunk in blocks}
    absent = sorted(file.name for file in files if not file.is_file())
    if absent:
        raise ValueError(f"{path}: lacks {', '.join(absent)}; fetch them.")
    _check_sizes(path, specs, chunks)
    return specs, chunks


def _check_sizes(path: Path, specs: dict[str, TensorSpec], chunks: dict[str, list[_Chunk]]) -> None:
    """Raise a ValueError for a tensor that is larger than the bytes of its chunks."""
    sizes = {chunk.file: chunk.file.stat().st_size for each in chunks.values() for chunk in each}
    for name, blocks in chunks.items():
        spec = specs[name]
        for chunk in blocks:
            numbers = (*chunk.offsets, *chunk.shape, chunk.start, chunk.length)
            whole = all(isinstance(number, int) and number >= 0 for number in numbers)
            needed = math.prod(chunk.shape) * spec.dtype.itemsize if whole else 0
            if not whole or needed > chunk.length:
                raise ValueError(
                    f"{path / METADATA}: damaged: a chunk of {name} of {needed} bytes is said to "
                    f"lie in {chunk.length} bytes; fetch it again."
                )
            if chunk.start + chunk.length > sizes[chunk.file]:
                raise ValueError(
                    f"{chunk.file}: the file ends too early: {name} reaches to byte "
                    f"{chunk.start + chunk.length} of {sizes[chunk.file]}; fetch it again."
                )
        if name.startswith(LAYERS) and spec.shape and spec.shape[0] > MAX_LAYERS:
            raise ValueError(
                f"{path / METADATA}: {name} has {spec.shape[0]} layers; at most {MAX_LAYERS} are "
                "read."
            )


def _chunk(folder: Path, block: Any, home: Any) -> _Chunk:
    if getattr(home, "transform_descriptors", None):
        raise ValueError(f"{folder}: is stored compressed; save it without transforms.")
    offsets, shape = tuple(block.offsets), tuple(block.sizes)
    return _Chunk(offsets, shape, folder / home.relative_path, home.offset, home.length)


def _read_chunk(chunk: _Chunk, dtype: np.dtype, rows: tuple[int, int] | None) -> np.ndarray:
    """Rows of the leading axis of a chunk, read by byte range if it is stored row-major."""
    with open(chunk.file, "rb") as file:
        archive = _FileRange(file, chunk.start, chunk.length)
        try:
            described = load_plain(chunk.file, archive, map_location="meta")
            with zipfile.ZipFile(archive) as members:
                (record,) = (m for m in members.infolist() if "/data/" in m.filename)
        except zipfile.BadZipFile as error:
            raise ValueError(f"{chunk.file}: the file ends too early; fetch it again.") from error
        if described.shape != chunk.shape or not described.is_contiguous():
            archive.seek(0)
            whole = to_numpy(load_plain(chunk.file, archive, map_location="cpu"), dtype)
            return whole.reshape(chunk.shape)[slice(*rows) if rows else ...]
        # A local header has 30 bytes; the last 4 are the lengths of the name and extra field.
        archive.seek(record.header_offset + 26)
        skip = 30 + sum(int.from_bytes(archive.read(2), "little") for _ in range(2))
        data = chunk.start + record.header_offset + skip
    row = math.prod(chunk.shape[1:])
    low, high = rows or (0, 1)
    offset = data + (described.storage_offset() + low * row) * dtype.itemsize
    flat = np.fromfile(chunk.file, np.uint8, (high - low) * row * dtype.itemsize, offset=offset)
    return flat.view(dtype).reshape((high - low, *chunk.shape[1:]) if rows else ())


class _FileRange(io.RawIOBase):
    """Bytes [start, start + length) of an open file, as a separate file."""

    def __init__(self, file: io.BufferedReader, start: int, length: int):
        self._file, self._start, self._length, self._position = file, start, length, 0

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def tell(self) -> int:
        return self._position

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        base = {io.SEEK_SET: 0, io.SEEK_CUR: self._position, io.SEEK_END: self._length}[whence]
        self._position = max(0, base + offset)
        return self._position

    def readinto(self, buffer: Any) -> int:
        self._file.seek(self._start + self._position)
        count = min(len(buffer), max(0, self._length - self._position))
        read = self._file.readinto(memoryview(buffer)[:count])
        self._position += read
        return read


def _unflatten(array: np.ndarray, shape: tuple[int, ...]) -> np.ndarray:
    """A tensor of the distributed optimizer, in the shape of its weight.

    It is stored as (*grid, flat): `grid` counts the tensor-parallel parts along each axis, and
    `flat` holds one part in row-major order.
    """
    grid = array.shape[:-1]
    if array.shape == shape or math.prod(grid) == 1:
        return array.reshape(shape)
    axes = range(len(shape))
    part = [size // count for size, count in zip(shape, grid, strict=True)]
    order = [axis for pair in zip(axes, (len(shape) + axis for axis in axes)) for axis in pair]
    return array.reshape(*grid, *part).transpose(order).reshape(shape)
