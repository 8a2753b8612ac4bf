# Copyright 2026 The mugv_jax Authors
# SPDX-License-Identifier: Apache-2.0
"""Which samples a run uses: several places as one source, some samples kept for validation."""

import hashlib
from collections.abc import Sequence

import numpy as np

from mugv_jax.axes import Int
from mugv_jax.data.data_config import DataConfig
from mugv_jax.data.samples import Sample, SampleSource, open_samples


class JoinedSamples:
    """Several sources as one, one after the other."""

    def __init__(self, sources: Sequence[SampleSource]):
        dims = {source.text_dim for source in sources}
        if len(dims) != 1:
            raise ValueError(
                f"the text features of data.paths are {sorted(dims)} wide: all must come from one "
                "text encoder."
            )
        self._sources = tuple(sources)
        self._ends = np.cumsum([len(source) for source in sources])
        self.text_dim = dims.pop()
        self.names = [name for source in sources for name in source.names]
        self.bad = [line for source in sources for line in source.bad]
        self.shapes = np.concatenate([source.shapes for source in sources])

    def __len__(self) -> int:
        return len(self.names)

    def __getitem__(self, index: int) -> Sample:
        number = int(np.searchsorted(self._ends, index, side="right"))
        if index < 0 or number == len(self._sources):
            raise IndexError(f"sample {index} of {len(self)}")
        source = self._sources[number]
        return source[index - int(self._ends[number]) + len(source)]


def open_all(paths: Sequence[str]) -> SampleSource:
    """The samples at all `paths` as one source.

    Raises:
        ValueError: no path, a path without samples, or samples of different text encoders.
    """
    if not paths:
        raise ValueError("data.paths is empty: name at least one folder of samples.")
    return JoinedSamples([open_samples(path) for path in paths])


def split_holdout(
    names: Sequence[str], config: DataConfig
) -> tuple[Int[np.ndarray, "n"], Int[np.ndarray, "k"]]:
    """Indices to train on and to validate on, both ascending.

    A sample's side depends on its name alone, up to `config.max_holdout`.
    """
    everything = np.arange(len(names), dtype=np.int32)
    if config.holdout_paths or not config.holdout:
        return everything, everything[:0]
    held = np.array([i for i in everything if _draw(names[i]) < config.holdout], np.int32)
    held = first_by_name(names, held, config.max_holdout)
    return np.setdiff1d(everything, held), held


def first_by_name(
    names: Sequence[str], members: Int[np.ndarray, "n"], count: int
) -> Int[np.ndarray, "k"]:
    """At most `count` of `members`, drawn by their names, ascending."""
    drawn = sorted(members.tolist(), key=lambda index: (_draw(names[index]), index))
    return np.array(sorted(drawn[:count]), np.int32)


def _draw(name: str) -> float:
    """Uniform in [0, 1), a function of the name."""
    digest = hashlib.blake2b(name.encode(), digest_size=8).digest()
    return int.from_bytes(digest, "big") / 2**64
