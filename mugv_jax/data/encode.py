# Copyright 2026 The mugv_jax Authors
# SPDX-License-Identifier: Apache-2.0
"""Videos and pictures with captions -> training samples, encoded ahead of time.

    captions -> T5, in batches -> text_features/
    files -> frames -> VAE encoder -> normalised latents/

A run that was stopped goes on where it was; several processes share one list.
"""

import dataclasses
import functools
import logging
import time
import zlib
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from tqdm import tqdm

from mugv_jax import video
from mugv_jax.axes import Array
from mugv_jax.bounds import require_at_least
from mugv_jax.data.ahead import ahead
from mugv_jax.data.captions import Captioned, read_captions
from mugv_jax.data.clips import ClipRule, read_clip
from mugv_jax.data.encoded import EncodedFolder, Job
from mugv_jax.data.pt_files import latent_bytes, text_bytes
from mugv_jax.data.published import listed
from mugv_jax.data.samples import EMPTY_TEXT, BadSample
from mugv_jax.nn.text.t5 import T5Encoder
from mugv_jax.sharding import mesh as meshes
from mugv_jax.systems.mugv import windows
from mugv_jax.systems.mugv.models import MugvModels
from mugv_jax.systems.mugv.size import MAX_TOKENS
from mugv_jax.weights.torch_files import import_torch

log = logging.getLogger(__name__)

FLUSH_SECONDS = 60  # at most so much work is done twice after a crash
PLAN_THREADS = 16  # they wait for the disk


@dataclasses.dataclass(frozen=True, kw_only=True)
class EncodeConfig:
    """How samples are encoded, and this process's share of them.

    clip: what is cut from a file.
    posterior_seed: samples the VAE's posterior instead of taking its mean.
    text_batch: captions that T5 sees at once.
    threads: files that are decoded ahead, and held in memory.
    max_bad: files that cannot be used are skipped, at most so many.
    tiling: the VAE works on tiles of this size, for frames too large for memory.

    Raises:
        ValueError: values out of range.
    """

    clip: ClipRule
    posterior_seed: int | None = None
    text_batch: int = 8
    threads: int = 2
    max_bad: int = 100
    shard_index: int = 0
    shard_count: int = 1
    tiling: windows.Tiling | None = None

    def __post_init__(self):
        require_at_least(1, self, "text_batch", "threads")
        require_at_least(0, self, "max_bad")
        if self.posterior_seed is not None and not 0 <= self.posterior_seed < 2**32:
            raise ValueError(f"posterior_seed={self.posterior_seed} must lie in 0 to {2**32 - 1}.")


@dataclasses.dataclass(frozen=True)
class Encoded:
    """What a run did: samples that are finished (of this process), all rows of `train.csv`, and a
    line for each file that was skipped."""

    finished: int
    rows: int
    bad: tuple[str, ...]


class Bad(list):
    """Lines about files that were skipped; raises ValueError when there are more than `limit`."""

    def __init__(self, limit: int):
        super().__init__()
        self._limit = limit

    def skip(self, entry: Captioned, error: BadSample) -> None:
        self.append(f"{entry.id}: {error}")
        if len(self) > self._limit:
            raise ValueError(
                f"more than max bad={self._limit} files cannot be used; what was finished is kept. "
                + listed(self, "is bad", "are bad")
            )


def encode(captions: Path, out: Path, models: MugvModels, config: EncodeConfig) -> Encoded:
    """Encodes the list at `captions` into the folder `out`; see `EncodedFolder` for what it holds.

    Raises:
        ValueError: a list or folder that cannot be used, or more bad files than `max_bad`. What
            was finished is kept.
    """
    import_torch()  # writes the files: to be missed now, not after the text encoder
    folder = EncodedFolder(
        out,
        read_captions(captions),
        _settings(models, config),
        shard_index=config.shard_index,
        shard_count=config.shard_count,
    )
    bad = Bad(config.max_bad)
    jobs = _plan(folder, bad)
    jobs = [job for job in jobs if not folder.recall(job)]
    log.info("%d of %d samples are to be encoded.", len(jobs), len(folder.entries))
    try:
        _encode_texts(folder, jobs, models, config)
        jobs = [job for job in jobs if not folder.recall(job)]  # of some the video is done
        _encode_clips(folder, jobs, models, config, bad)
    finally:
        rows = folder.flush()
    return Encoded(finished=len(folder.entries) - len(bad), rows=rows, bad=tuple(bad))


def _settings(models: MugvModels, config: EncodeConfig) -> dict:
    """All that changes what a sample's files hold, apart from its own video and caption."""
    return {
        **dataclasses.asdict(config.clip),
        "posterior_seed": config.posterior_seed,
        "tiling": None if config.tiling is None else dataclasses.asdict(config.tiling),
        "dtype": jnp.dtype(models.dtype).name,
        "text_tokens": MAX_TOKENS,
        "vae": dataclasses.asdict(models.config.vae),
        "text_encoder": dataclasses.asdict(models.config.text),
    }


def _plan(folder: EncodedFolder, bad: Bad) -> list[Job]:
    jobs = []
    calls = ahead(folder.job, folder.entries, threads=PLAN_THREADS)
    for entry, job in tqdm(
        calls, total=len(folder.entries), desc="looking at files", unit="file", disable=None
    ):
        try:
            jobs.append(job())
        except BadSample as error:
            bad.skip(entry, error)
    return jobs


def _encode_texts(
    folder: EncodedFolder, jobs: Sequence[Job], models: MugvModels, config: EncodeConfig
) -> None:
    """Text states of all captions that have none yet, and of the empty one."""
    todo = {job.text: job.entry.caption for job in jobs if not folder.has(job.text)}
    if config.shard_index == 0 and not folder.has(EMPTY_TEXT):
        todo[EMPTY_TEXT] = ""
    if not todo:
        return
    files, size = list(todo), config.text_batch
    ids, mask = models.tokenize(list(todo.values()))
    with (
        meshes.use(models.mesh),
        models.model("text") as (module, variables),
        tqdm(total=len(files), desc="captions", unit="caption", disable=None) as bar,
    ):
        for start in range(0, len(files), size):
            # The last batch repeats its last caption, so that one program serves all.
            rows = np.arange(start, start + size).clip(max=len(files) - 1)
            batch = jnp.asarray(ids[rows]), jnp.asarray(mask[rows])
            states = np.asarray(_text_states(module, variables, *batch))
            for row, file in enumerate(files[start : start + size]):
                valid = mask[start + row]
                text = np.where(valid[:, None], states[row], np.zeros((), states.dtype))
                folder.write(file, text_bytes(text, valid))
                bar.update()


@functools.partial(jax.jit, static_argnums=0)
def _text_states(module: T5Encoder, variables: Any, ids: Array, mask: Array) -> Array:
    return module.apply(variables, ids, mask)


def _encode_clips(
    folder: EncodedFolder, jobs: Sequence[Job], models: MugvModels, config: EncodeConfig, bad: Bad
) -> None:
    """Latents of all files that have none yet. Files are decoded while others are encoded."""
    if not jobs:
        return

    def read(job: Job) -> video.Video:
        return read_clip(job.entry.path, config.clip, job.entry.fps)

    flushed = time.monotonic()
    with meshes.use(models.mesh), models.model("vae") as (vae, variables):
        calls = ahead(read, jobs, threads=config.threads)
        for job, clip in tqdm(calls, total=len(jobs), desc="clips", unit="clip", disable=None):
            try:
                frames, fps = clip()
                pixels = jnp.asarray(video.to_pixels(frames)[None])
                key = _key(config.posterior_seed, job.entry)
                latent = windows.encode(vae, variables, pixels, key, tiling=config.tiling)
                folder.write(job.latent, latent_bytes(_finite(np.asarray(latent[0]), job)))
            except BadSample as error:
                bad.skip(job.entry, error)
                continue
            folder.finish(job, fps)
            if time.monotonic() - flushed > FLUSH_SECONDS:
                folder.flush()
                flushed = time.monotonic()


def _key(seed: int | None, entry: Captioned) -> Array | None:
    """Of the sample, not of its turn: the same however the list is shared, or resumed."""
    if seed is None:
        return None
    return jax.random.fold_in(jax.random.key(seed), zlib.crc32(entry.id.encode()))


def _finite(latent: np.ndarray, job: Job) -> np.ndarray:
    if not np.isfinite(latent).all():
        raise BadSample(
            f"{str(job.entry.path)!r}: the VAE overflowed on it; encode in float32 (--dtype)."
        )
    return latent
