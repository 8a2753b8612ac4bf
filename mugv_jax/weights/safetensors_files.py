# Copyright 2026 The mugv_jax Authors
# SPDX-License-Identifier: Apache-2.0
"""Safetensors files: a JSON header, then the bytes of the tensors.

The format (https://huggingface.co/docs/safetensors) is read and written here tensor by tensor, so
that no more than one is in memory.
"""

import itertools
import json
import struct
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import jax.numpy as jnp
import numpy as np

from mugv_jax.files import parse_json, shortened
from mugv_jax.weights.sources import FileWriter, Source, TensorSpec

MAX_HEADER_BYTES = 100 * 10**6  # the limit of the published reader
DTYPES = {
    "F64": "float64",
    "F32": "float32",
    "F16": "float16",
    "BF16": "bfloat16",
    "F8_E4M3": "float8_e4m3fn",
    "F8_E5M2": "float8_e5m2",
    "I64": "int64",
    "I32": "int32",
    "I16": "int16",
    "I8": "int8",
    "U64": "uint64",
    "U32": "uint32",
    "U16": "uint16",
    "U8": "uint8",
    "BOOL": "bool",
}
NAMES = {dtype: name for name, dtype in DTYPES.items()}


class SafetensorsSource(Source):
    """Reader of one `.safetensors` file.

    metadata: texts in the header.
    """

    format = "safetensors"

    def __init__(self, path: Path):
        self.path = path
        header, self._start = _read_header(path)
        self.metadata: dict[str, str] = header.pop("__metadata__", None) or {}
        size = path.stat().st_size - self._start
        self._offsets, self.specs = {}, {}
        ends: list[tuple[int, int, str]] = []
        for name, entry in header.items():
            begin, end, spec = _parse(path, name, entry)
            if end - begin != spec.nbytes or not 0 <= begin <= end <= size:
                raise ValueError(
                    f"{path}: {name} lies at bytes {begin} to {end} of {size}, and its shape needs "
                    f"{spec.nbytes}: the file is damaged or ends too early; fetch it again."
                )
            self._offsets[name], self.specs[name] = begin, spec
            ends.append((begin, end, name))
        for (_, end, name), (begin, _, other) in itertools.pairwise(sorted(ends)):
            if begin < end:
                raise ValueError(
                    f"{path}: {name} and {other} share bytes: the file is damaged; fetch it again."
                )

    def read(self, name: str) -> np.ndarray:
        spec = self.specs[name]
        offset = self._start + self._offsets[name]
        data = np.fromfile(self.path, np.uint8, count=spec.nbytes, offset=offset)
        return data.view(spec.dtype).reshape(spec.shape)


def _read_header(path: Path) -> tuple[dict, int]:
    """JSON header, and the offset at which the data start."""
    with open(path, "rb") as file:
        prefix = file.read(8)
        length = struct.unpack("<Q", prefix)[0] if len(prefix) == 8 else 0
        header = file.read(length) if length <= MAX_HEADER_BYTES else b""
    reason = "its header is no dictionary"
    try:
        entries = parse_json(header, "its header") if header else None
    except ValueError as error:
        entries, reason = None, str(error).rstrip(".")
    if not isinstance(entries, dict):
        raise ValueError(
            f"{path}: not a safetensors file, or it ends too early ({reason}); fetch it again."
        )
    return entries, 8 + length


def _parse(path: Path, name: str, entry: Any) -> tuple[int, int, TensorSpec]:
    """Begin, end and spec of one entry of the header."""
    try:
        begin, end = entry["data_offsets"]
        shape = tuple(entry["shape"])
        if any(type(each) is not int or each < 0 for each in (begin, end, *shape)):
            raise TypeError("sizes must be whole numbers from 0 up")
        return begin, end, TensorSpec(shape, jnp.dtype(DTYPES[entry["dtype"]]))
    except (KeyError, TypeError, ValueError) as error:
        shown = shortened(str(entry), 200)
        raise ValueError(f"{path}: the header entry of {name} is damaged: {shown}.") from error


class SafetensorsWriter(FileWriter):
    """Writer of one `.safetensors` file, in the form of `safetensors.torch.save_file`."""

    def __init__(self, path: Path, specs: Mapping[str, TensorSpec]):
        super().__init__(path, specs, NAMES, "safetensors")
        header: dict = {"__metadata__": {"format": "pt"}}
        self._offsets, end = {}, 0
        # With wide types first, every tensor is aligned to the size of its items.
        for name, spec in sorted(specs.items(), key=lambda item: -item[1].dtype.itemsize):
            begin, end = end, end + spec.nbytes
            self._offsets[name] = begin
            header[name] = {
                "dtype": NAMES[str(spec.dtype)],
                "shape": list(spec.shape),
                "data_offsets": [begin, end],
            }
        encoded = json.dumps(header).encode()
        encoded += b" " * (-len(encoded) % 8)
        self._start = 8 + len(encoded)
        self._file.write(struct.pack("<Q", len(encoded)) + encoded)

    def _write(self, name: str, content: memoryview) -> None:
        self._file.seek(self._start + self._offsets[name])
        self._file.write(content)
