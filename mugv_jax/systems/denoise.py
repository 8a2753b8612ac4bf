# Copyright 2026 The mugv_jax Authors
# SPDX-License-Identifier: Apache-2.0
"""The prompts of a request, sampled in groups: as many at a time as the mesh has data shards."""

import dataclasses
import logging
from collections.abc import Callable

import numpy as np
from jax.sharding import Mesh

from mugv_jax.flow.sampler import Sample
from mugv_jax.sharding.place import data_shards

log = logging.getLogger(__name__)


@dataclasses.dataclass(frozen=True)
class Denoised:
    """latent: (f, h, w, c), normalised.  evaluations, possible: as in `flow.sampler.Sample`."""

    latent: np.ndarray
    evaluations: int
    possible: int


def denoise(prompts: int, mesh: Mesh, sample: Callable[[list[int], str], Sample]) -> list[Denoised]:
    """The latent of each of so many prompts.

    sample: (numbers of the prompts of a group, label of its progress bar) -> latents.
    """
    group = data_shards(mesh)
    if prompts < group:
        log.warning(
            "The mesh computes %d videos at a time, but there are %d prompts: spread the "
            "devices over tensor or sequence instead.",
            group,
            prompts,
        )
    made: list[Denoised] = []
    for first in range(0, prompts, group):
        # The last group repeats its last prompt, so that one program serves all groups.
        rows = [min(first + i, prompts - 1) for i in range(group)]
        numbers = "-".join(str(row + 1) for row in sorted({rows[0], rows[-1]}))
        label = f"denoising video {numbers} of {prompts}"
        sampled = sample(rows, label)
        log.info("%s: %d of %d evaluations", label, sampled.evaluations, sampled.possible)
        latents = np.asarray(sampled.x)[: prompts - first]
        made += [Denoised(latent, sampled.evaluations, sampled.possible) for latent in latents]
    return made
