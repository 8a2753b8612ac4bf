# Copyright 2026 The mugv_jax Authors
# SPDX-License-Identifier: Apache-2.0
"""Samples made up in memory."""

import dataclasses
from collections.abc import Sequence

import numpy as np

from mugv_jax.data.samples import BadSample, Sample

ASPECTS = (16 / 9, 3 / 2, 4 / 3, 1, 3 / 4, 2 / 3, 9 / 16)
AREAS_PX = (640 * 360, 1280 * 720)
FPS = 24


@dataclasses.dataclass
class MemorySource:
    """Sample i has i in its first latent channel, and frame, row and column in the next three.

    broken: indices that cannot be read.  reads: every index that was asked for, in order.
    """

    shapes: np.ndarray
    text_dim: int = 2
    broken: frozenset[int] = frozenset()
    bad: Sequence[str] = ()
    reads: list[int] = dataclasses.field(default_factory=list)

    @property
    def names(self) -> list[str]:
        return [f"sample-{index}" for index in range(len(self))]

    def __len__(self) -> int:
        return len(self.shapes)

    def __getitem__(self, index: int) -> Sample:
        if not 0 <= index < len(self):
            raise IndexError(index)
        self.reads.append(index)
        if index in self.broken:
            raise BadSample(f"sample-{index}: its file is damaged")
        shape = tuple(self.shapes[index].tolist())
        places = np.meshgrid(*map(np.arange, shape), indexing="ij")
        latent = np.stack([np.full(shape, index), *places], axis=-1).astype(np.float32)
        length = 1 + index % 5
        text = np.full((length, self.text_dim), index + 1, np.float32)
        return Sample(latent, text, np.ones(length, bool), 24.0 + index % 2, f"sample-{index}")


def source_of(*shapes: tuple[int, int, int], **fields) -> MemorySource:
    return MemorySource(np.array(shapes, np.int32), **fields)


def mixture(count: int, seed: int, images: float = 0.2) -> MemorySource:
    """Pictures, and clips of 1-5 s, in 7 aspect ratios at 360p and 720p, on the VAE's grid."""
    rng = np.random.default_rng(seed)
    shapes = []
    for _ in range(count):
        aspect, area = rng.choice(ASPECTS), rng.choice(AREAS_PX, p=(0.7, 0.3))
        height = round((area / aspect) ** 0.5 / 8)
        width = round((area * aspect) ** 0.5 / 8)
        seconds = np.clip(rng.lognormal(1.0, 0.5), 1, 5)
        frames = 1 if rng.random() < images else 1 + int(FPS * seconds - 1) // 8
        shapes.append((frames, height, width))
    return source_of(*shapes)
