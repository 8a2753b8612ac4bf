# Copyright 2026 The mugv_jax Authors
# SPDX-License-Identifier: Apache-2.0
"""Preference pairs from real clips, without labels: RDPO (arXiv:2506.18655).

    z_t  = the clip, carried towards noise along the model's own flow by s of N steps
    win  = z_t, denoised again by the same s steps
    lose = the model's own sample from noise for the same text, by all N steps                  (1)

    of C noises:  n* = argmin over n of |x_t(n) - z_t|,   x_t(n): noise n after N - s steps     (2)

Published are (1), the rejection of candidates by their L2 distance at the same time, and stages
with fewer and fewer reversed steps: about 42 of 50 first, then 40. The reversal draws no random
numbers, so a clip has one win at each level; (2), candidates of the loser, is our reading. All of
them take the first N - s steps, and only the nearest takes the rest.
"""

import dataclasses
import functools
from collections.abc import Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax.sharding import Mesh

from mugv_jax.axes import Array, Float, Int, Latent
from mugv_jax.flow import sampler
from mugv_jax.flow.denoiser import Denoiser
from mugv_jax.flow.guidance import Guidance
from mugv_jax.flow.reversal import reverse
from mugv_jax.sharding.place import batch_sharding
from mugv_jax.systems.sampling import seed_noise


@dataclasses.dataclass(frozen=True)
class ReversedPairs:
    """Both sides of the pairs of a batch of clips.

    chosen: number of the candidate that became the loser.
    distance: root mean square of its difference from the reversed clip, at the level's time.
    """

    win: Float[np.ndarray, "b f h w c"]
    lose: Float[np.ndarray, "b f h w c"]
    chosen: Int[np.ndarray, "b"]
    distance: Float[np.ndarray, "b"]


def reversed_pairs(
    denoiser: Denoiser,
    variables: Any,
    mesh: Mesh,
    clips: Latent,
    seeds: Sequence[Sequence[int]],
    *,
    times: np.ndarray,
    level: int,
    positive: Any,
    negative: Any = None,
    guidance: Guidance,
) -> ReversedPairs:
    """Equations (1) and (2) for clips of one shape; `mesh` must be current.

    seeds: for every clip, the seeds of its candidates' noise; the same number for all.
    times: all times of a sample, decreasing.  level: number of steps that are reversed.
    positive, negative: conditions as `denoiser` reads them; `negative` None means no guidance.

    Raises:
        ValueError: a level that the sample does not have.
    """
    shape, start = clips.shape[1:], len(times) - 1 - level
    placed = functools.partial(jax.device_put, device=batch_sharding(mesh, len(clips)))
    read = functools.partial(sampler.read, denoiser, variables)
    shared: dict[str, Any] = {
        "noisy": placed(jnp.ones(clips.shape[:2], bool)),
        "positive": read(placed(positive)),
        "negative": None if negative is None else read(placed(negative)),
        "guidance": guidance,
    }

    def sample(x: Latent, part: np.ndarray) -> Latent:
        return sampler.sample(denoiser, variables, placed(x), times=part, **shared).x

    z = reverse(denoiser, variables, placed(clips), times=times, level=level, **shared)
    nearest, chosen, distance = z, jnp.zeros(len(clips), int), jnp.full(len(clips), jnp.inf)
    for number, own in enumerate(zip(*seeds, strict=True)):
        x = sample(seed_noise(own, shape), times[: start + 1])
        nearest, chosen, distance = _nearer(z, x, jnp.int32(number), nearest, chosen, distance)
    win, lose = (np.asarray(sample(x, times[start:])) for x in (z, nearest))
    return ReversedPairs(win, lose, np.asarray(chosen), np.asarray(distance))


@jax.jit
def _nearer(
    z: Latent,
    x: Latent,
    number: Int[Array, ""],
    nearest: Latent,
    chosen: Int[Array, "b"],
    distance: Float[Array, "b"],
) -> tuple[Latent, Int[Array, "b"], Float[Array, "b"]]:
    """The nearest candidates, their numbers and distances, after one more, `x`."""
    own = jnp.sqrt(jnp.mean(jnp.square(x - z), axis=(1, 2, 3, 4)))
    closer = own < distance
    nearest = jnp.where(closer[:, None, None, None, None], x, nearest)
    return nearest, jnp.where(closer, number, chosen), jnp.where(closer, own, distance)
