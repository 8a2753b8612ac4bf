# Copyright 2026 The mugv_jax Authors
# SPDX-License-Identifier: Apache-2.0
"""Sampling of latents from noise and conditions, for all systems and for previews in training.

rows of a group -> Start (given latents, noise) -> sample_group -> latents
prompts         -> denoise: one group of rows after another -> Denoised
"""

import dataclasses
import functools
import logging
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax.sharding import Mesh

from mugv_jax.axes import Array, Bool, Float
from mugv_jax.flow import sampler
from mugv_jax.flow.denoiser import Denoiser
from mugv_jax.flow.guidance import Guidance
from mugv_jax.flow.path import interpolate
from mugv_jax.flow.renoise import NoiseKeys
from mugv_jax.flow.sampler import Observer, Sample
from mugv_jax.sharding.place import batch_sharding, data_shards, on_host

log = logging.getLogger(__name__)

AnyArray = Array | np.ndarray


@dataclasses.dataclass(frozen=True)
class Start:
    """Starting point of a group of rows.

    clean: latents of the given frames, or of a whole video to start from; zeros elsewhere.
    noisy: true for frames that are sampled; all others are given and do not change.
    noise: standard normal values.
    """

    clean: Float[AnyArray, "b f h w c"]
    noisy: Bool[AnyArray, "b f"]
    noise: Float[AnyArray, "b f h w c"]

    @classmethod
    def from_noise(cls, noise: Float[AnyArray, "b f h w c"]) -> "Start":
        """Start of rows without given frames."""
        return cls(jnp.zeros_like(noise), jnp.ones(noise.shape[:2], bool), noise)


def seed_noise(seeds: Sequence[int], shape: tuple[int, ...]) -> Float[Array, "b f h w c"]:
    """Standard normal noise (f, h, w, c) of each seed, independent of the other seeds."""
    return jnp.stack([jax.random.normal(jax.random.key(seed), shape) for seed in seeds])


def sample_group(
    denoiser: Denoiser,
    variables: Any,
    mesh: Mesh,
    start: Start,
    *,
    times: np.ndarray,
    positive: Any,
    negative: Any = None,
    guidance: Guidance,
    renoise: NoiseKeys | None = None,
    reuse_threshold: float = 0.0,
    progress: str | None = None,
    on_step: Observer | None = None,
) -> Sample:
    """Latents of one group of rows, sampled from `start` along `times`.

    `mesh` must be current (`sharding.mesh.use`). Noise and conditions may be host arrays or lie on
    the mesh already; rows are split over the mesh's data shards.

    positive, negative: conditions as `denoiser` reads them; `negative` None means no guidance.
    times, guidance, renoise, reuse_threshold, progress, on_step: see `flow.sampler.sample`.
    """
    rows = start.noise.shape[0]
    placed = functools.partial(jax.device_put, device=batch_sharding(mesh, rows))
    time = jnp.where(start.noisy, jnp.float32(times[0]), 0)
    x, _ = interpolate(jnp.asarray(start.clean), jnp.asarray(start.noise), time)
    read = functools.partial(sampler.read, denoiser, variables)
    return sampler.sample(
        denoiser,
        variables,
        placed(x),
        times=times,
        noisy=placed(start.noisy),
        positive=read(placed(positive)),
        negative=None if negative is None else read(placed(negative)),
        guidance=guidance,
        renoise=None if renoise is None else placed(renoise),
        reuse_threshold=reuse_threshold,
        progress=progress,
        on_step=on_step,
    )


@dataclasses.dataclass(frozen=True)
class Denoised:
    """One sampled video.

    latent: (f, h, w, c), normalised.
    evaluations, possible: see `flow.sampler.Sample`.
    """

    latent: np.ndarray
    evaluations: int
    possible: int


def denoise(
    prompts: int,
    mesh: Mesh,
    sample: Callable[[list[int], str | None], Sample],
    *,
    rows: int | None = None,
    progress: bool = True,
) -> list[Denoised]:
    """Latents of all prompts, sampled group by group.

    sample: (numbers of the prompts of a group, label of its progress bar) -> latents.
    rows: prompts of a group, see `rows_at_a_time`.
    progress: show a progress bar and log how many evaluations each group took.

    If a group is stopped early, the prompts after it have no latents.
    """
    shards = data_shards(mesh)
    if prompts < shards:
        log.warning(
            "The mesh computes %d videos at a time, but there are %d prompts: spread the "
            "devices over tensor or sequence instead.",
            shards,
            prompts,
        )
    made: list[Denoised] = []
    for group in groups(prompts, rows_at_a_time(mesh, rows)):
        label = label_of("denoising", group, prompts) if progress else None
        sampled = sample(group, label)
        if progress:
            log.info("%s: %d of %d evaluations", label, sampled.evaluations, sampled.possible)
        latents = on_host(sampled.x)[: len(set(group))]
        made += [Denoised(latent, sampled.evaluations, sampled.possible) for latent in latents]
        if sampled.stopped:
            log.warning("Stopped early: %d of %d videos are made.", len(made), prompts)
            break
    return made


def rows_at_a_time(mesh: Mesh, rows: int | None) -> int:
    """`rows` rounded up to a multiple of the mesh's data shards; None means one for each shard.

    Raises:
        ValueError: `rows` below 1.
    """
    check_rows(rows)
    shards = data_shards(mesh)
    return shards if rows is None else -(-rows // shards) * shards


def check_rows(rows: int | None) -> None:
    """Raise a ValueError for `rows` below 1."""
    if rows is not None and rows < 1:
        raise ValueError(f"rows={rows} must be at least 1.")


def groups(count: int, rows: int) -> Iterator[list[int]]:
    """Numbers 0 to `count` - 1 in groups of `rows`.

    The last group repeats the last number, so that one compiled program serves all groups.
    """
    for first in range(0, count, rows):
        yield [min(first + i, count - 1) for i in range(rows)]


def label_of(what: str, group: list[int], count: int) -> str:
    """Label of a group's progress bar, such as "denoising video 3-4 of 7"."""
    numbers = "-".join(str(row + 1) for row in sorted({group[0], group[-1]}))
    return f"{what} video {numbers} of {count}"
