# Copyright 2026 The mugv_jax Authors
# SPDX-License-Identifier: Apache-2.0
"""Description of a checkpoint from its headers, without reading a tensor."""

import collections
import dataclasses
import math
import zipfile
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from mugv_jax.files import is_zip, read_json, user_path
from mugv_jax.weights import checksums
from mugv_jax.weights.check import check, identify
from mugv_jax.weights.formats import open_source
from mugv_jax.weights.parameters import UNUSED
from mugv_jax.weights.shards import INDEX_SUFFIX
from mugv_jax.weights.sources import TensorSpec


@dataclasses.dataclass(frozen=True)
class Stored:
    """Number and bytes of the tensors of one dtype in a checkpoint."""

    tensors: int
    nbytes: int


@dataclasses.dataclass(frozen=True, kw_only=True)
class Description:
    """Description of a complete checkpoint of a known model.

    parameters: number of values in the model, without statistics such as those of the latent.
    unused: number of values in the file that the model does not read.
    stored: tensors by name of their dtype.
    file_bytes: size on disk.
    """

    kind: str
    format: str
    path: Path
    config: Any
    parameters: int
    unused: int
    stored: Mapping[str, Stored]
    file_bytes: int


def describe(path: str | Path, kind: str | None = None) -> Description:
    """Describes the checkpoint at `path`, published or converted.

    Raises:
        ValueError: no checkpoint, another model than `kind`, or an incomplete one.
    """
    with open_source(path) as source:
        model, config = identify(source, kind)
        tensors = check(source, model, config)
        sizes: collections.Counter = collections.Counter()
        for name, lazy in tensors.items():
            sizes[name.split("/")[0]] += math.prod(lazy.shape)
        for name, spec in source.specs.items():
            if model.is_foreign(name):
                sizes[UNUSED] += math.prod(spec.shape)
        # Of a run with many checkpoints, only the described one counts.
        place = source.path if source.format == "training" else user_path(path)
        return Description(
            kind=model.kind,
            format=source.format,
            path=Path(path),
            config=config,
            parameters=sizes["params"],
            unused=sizes[UNUSED],
            stored=_stored(source.specs.values()),
            file_bytes=_file_bytes(place),
        )


def verify(path: str | Path) -> str:
    """Reads a checkpoint whole and compares it with the checksums it has; the result, in words.

    Converted checkpoints have `checksums.json`, and PyTorch files the checksums of zip files.

    Raises:
        ValueError: no checkpoint, or files that differ from their checksums.
    """
    with open_source(path) as source:
        files = [each for each in source.files() if each.is_file() and is_zip(each)]
        if source.format == "orbax":
            count = checksums.verify(source.path)
            if count is not None:
                return f"{count} files agree with {checksums.FILE}"
        elif files:
            for file in files:
                with zipfile.ZipFile(file) as archive:
                    bad = archive.testzip()
                if bad is not None:
                    raise ValueError(f"{file}: damaged: {bad} differs from its checksum; fetch "
                                     "the file again.")  # fmt: skip
            return f"{len(files)} file{'s' * (len(files) > 1)} agree with their checksums"
    advice = "; convert it again to write them" if source.format == "orbax" else ""
    return f"not verified: {source.format} without checksums{advice}"


def _stored(specs: Iterable[TensorSpec]) -> dict[str, Stored]:
    found: dict[str, Stored] = {}
    for spec in specs:
        before = found.get(str(spec.dtype), Stored(0, 0))
        found[str(spec.dtype)] = Stored(before.tensors + 1, before.nbytes + spec.nbytes)
    return found


def _file_bytes(path: Path) -> int:
    """Size of a file, of all files in a folder, or of the shards that an index names."""
    if path.is_dir():
        return sum(file.stat().st_size for file in path.rglob("*") if file.is_file())
    if not path.name.endswith(INDEX_SUFFIX):
        return path.stat().st_size
    shards = set(read_json(path)["weight_map"].values())
    return sum((path.parent / shard).stat().st_size for shard in shards)
