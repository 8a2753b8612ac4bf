# Copyright 2026 The mugv_jax Authors
# SPDX-License-Identifier: Apache-2.0
"""Checkpoints in several files with an index, such as `pytorch_model.bin.index.json`."""

from collections.abc import Callable
from pathlib import Path

import numpy as np

from mugv_jax.files import read_json
from mugv_jax.weights.sources import Source

INDEX_SUFFIX = ".index.json"


class ShardedSource(Source):
    """Reader of the tensors of all files that an index names."""

    def __init__(self, index: Path, open_shard: Callable[[Path], Source]):
        self.path = index
        try:
            weight_map = read_json(index)["weight_map"]
            shards = {name: _shard_path(index.parent, file) for name, file in weight_map.items()}
            if not shards:
                raise ValueError("an empty weight_map")
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            raise ValueError(
                f"{index}: not an index of weights: it must be JSON with a 'weight_map' from "
                f"tensor to file name ({error})."
            ) from error
        absent = sorted({path.name for path in shards.values() if not path.is_file()})
        if absent:
            raise ValueError(
                f"{index}: {len(absent)} of {len(set(shards.values()))} shards are missing: "
                f"{', '.join(absent)}; fetch them into {index.parent}."
            )
        opened = {path: open_shard(path) for path in dict.fromkeys(shards.values())}
        self.parts = list(opened.values())
        self._homes = {name: opened[path] for name, path in shards.items()}
        lost = [name for name, shard in self._homes.items() if name not in shard.specs]
        if lost:
            raise ValueError(f"{index}: names tensors that its shards lack: {', '.join(lost)}.")
        self.specs = {name: shard.specs[name] for name, shard in self._homes.items()}
        self._last = self.parts[0]
        self.format = f"sharded {self._last.format}"

    def read(self, name: str) -> np.ndarray:
        if self._last is not self._homes[name]:
            self._last.release()  # or every shard would keep pages that were read
        self._last = self._homes[name]
        return self._last.read(name)


def _shard_path(folder: Path, file: str) -> Path:
    """Path of a shard; the MUG-V trainer stores `x-00001.bin` as `pytorch_model-00001.bin`."""
    if Path(file).name != file:
        raise ValueError(f"the shard {file!r} is not beside the index")
    renamed = folder / f"pytorch_model-{file.split('-')[-1]}"
    named = folder / file
    return renamed if renamed.is_file() and not named.is_file() else named
