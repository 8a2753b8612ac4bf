# Copyright 2026 The mugv_jax Authors
# SPDX-License-Identifier: Apache-2.0
"""Synthetic samples in memory."""

import dataclasses
import functools
from collections.abc import Sequence

import numpy as np

from mugv_jax.data.bad_sample import BadSample
from mugv_jax.data.fields import Fields, LatentField, Text, TextField, flow_fields
from mugv_jax.data.samples import Sample
from mugv_jax.nn.mugdit.sizes import DiTConfig
from mugv_jax.systems.mugv import cost as flops

ASPECTS = (16 / 9, 3 / 2, 4 / 3, 1, 3 / 4, 2 / 3, 9 / 16)
AREAS_PX = (640 * 360, 1280 * 720)
FPS = 24
FLOW = flow_fields(channels=4, text_dim=2)
TOKENS = functools.partial(flops.dit_tokens, DiTConfig(depth=1, width=12, num_heads=1))


@dataclasses.dataclass
class MemorySource:
    """Sample i has i in its first latent channel, and frame, row and column in the next three.

    A further latent has 1000 more in the first channel for each latent before it. The text is i + 1
    everywhere, and a number is 24 or 25.

    broken: indices that cannot be read.
    reads: all requested indices, in order.
    """

    shapes: np.ndarray
    fields: Fields = FLOW
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
        values, first = {}, index
        for field in self.fields:
            if isinstance(field, LatentField):
                latent = np.stack([np.full(shape, first), *places], axis=-1).astype(np.float32)
                values[field.name], first = latent, first + 1000
            elif isinstance(field, TextField):
                states = np.full((1 + index % 5, field.width), index + 1, np.float32)
                values[field.name] = Text(states, np.ones(len(states), bool))
            else:
                values[field.name] = 24.0 + index % 2
        return Sample(f"sample-{index}", values)


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
