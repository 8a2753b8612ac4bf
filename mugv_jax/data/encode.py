# Copyright 2026 The mugv_jax Authors
# SPDX-License-Identifier: Apache-2.0
"""Encoding of videos and pictures with captions into training samples.

    captions -> text encoders, in batches -> text_features/
    files -> frames -> VAE encoder -> normalised latents/

The system's models say what a caption's states are, and what a latent is (`SampleEncoder`).

An interrupted run is continued by running it again; several processes can share one list.
"""

import dataclasses
import logging
import time
import zlib
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from mugv_jax import video
from mugv_jax.axes import Array
from mugv_jax.bounds import require_at_least
from mugv_jax.data.ahead import ahead
from mugv_jax.data.bad_sample import BadSample, Skipped, listed
from mugv_jax.data.captions import Captioned, read_captions
from mugv_jax.data.clips import ClipRule, read_clip
from mugv_jax.data.encoded import SETTINGS, EncodedFolder, Job
from mugv_jax.data.pt_files import latent_bytes, text_bytes
from mugv_jax.data.samples import CSV, EMPTY_TEXT
from mugv_jax.files import SAMPLES, check_output_folder, removed_on_error
from mugv_jax.progress import Bar, over
from mugv_jax.systems.encoding import SampleEncoder
from mugv_jax.systems.tiles import Tiling

log = logging.getLogger(__name__)

FLUSH_SECONDS = 60  # longest work that a crash loses
PLAN_THREADS = 16  # they wait for the disk, not for the processor


@dataclasses.dataclass(frozen=True, kw_only=True)
class EncodeConfig:
    """How samples are encoded, and this process's share of them.

    clip: the frames that are taken from a file.
    posterior_seed: draws latents from the VAE's posterior; None takes its mean.
    text_batch: captions that a text encoder reads at once.
    threads: files that are decoded ahead and held in memory.
    max_bad: largest number of unusable files that are skipped; one more is an error.
    shard_index, shard_count: this process, and the number of processes that share the list.
    tiling: tiles that the VAE works on, for frames that are too large for memory.

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
    tiling: Tiling | None = None

    def __post_init__(self):
        require_at_least(1, self, "text_batch", "threads")
        require_at_least(0, self, "max_bad")
        if self.posterior_seed is not None and not 0 <= self.posterior_seed < 2**32:
            raise ValueError(f"posterior_seed={self.posterior_seed} must lie in 0 to {2**32 - 1}.")


@dataclasses.dataclass(frozen=True)
class Encoded:
    """Result of a run.

    finished: samples of this process that are encoded, now or earlier.
    rows: rows of `train.csv`, from all processes.
    bad: a line for each file that was skipped.
    """

    finished: int
    rows: int
    bad: tuple[str, ...]


def encode(
    captions: Path,
    out: Path,
    models: SampleEncoder[Any],
    config: EncodeConfig,
    *,
    caption: str | None = None,
) -> Encoded:
    """Encodes the list at `captions` into the folder `out`, which `encoded.py` describes.

    caption: of files that have none.

    Raises:
        ValueError: a list or folder that cannot be used, more bad files than `max_bad`, or none
            that can be used. Finished samples are kept.
    """
    listed_files = read_captions(captions, caption)
    check_output_folder(out, SAMPLES)
    if (out / CSV).exists() and not (out / SETTINGS).exists():
        raise ValueError(
            f"{out} holds samples of another program ({CSV} without {SETTINGS}): encode to another "
            "folder, and train on both."
        )
    with removed_on_error(out) as kept:
        folder = EncodedFolder(
            out,
            listed_files,
            settings_of(models, config),
            shard_index=config.shard_index,
            shard_count=config.shard_count,
        )
        with folder.only_process():
            return _encode_all(folder, models, config, kept)


def _encode_all(
    folder: EncodedFolder, models: SampleEncoder[Any], config: EncodeConfig, kept: list[bool]
) -> Encoded:
    """Encodes this process's share; `kept` grows once the folder holds finished work."""
    bad = Skipped(config.max_bad, "files cannot be used; what was finished is kept")
    jobs = _plan(folder, bad)
    jobs = [job for job in jobs if not folder.recall(job)]
    log.info("%d of %d samples are to be encoded.", len(jobs), len(folder.entries))
    kept += [True] * bool(jobs)
    try:
        _encode_texts(folder, jobs, models, config)
        jobs = [job for job in jobs if not folder.recall(job)]  # some needed only their text
        _encode_clips(folder, jobs, models, config, bad)
    finally:
        rows = folder.flush()
    if bad and len(bad) == len(folder.entries):
        raise ValueError("no file of the list can be used. " + listed(bad, "is bad", "are bad"))
    return Encoded(finished=len(folder.entries) - len(bad), rows=rows, bad=tuple(bad))


def settings_of(models: SampleEncoder[Any], config: EncodeConfig) -> dict:
    """All settings that change the content of a sample's files.

    Raises:
        ValueError: a clip or posterior that the VAE does not have.
    """
    system = models.system
    if config.posterior_seed is not None and not models.SAMPLES_POSTERIOR:
        raise ValueError(
            f"posterior_seed={config.posterior_seed}: {system.title} encodes to the mean of the "
            "posterior alone; leave it out (--sample-posterior)."
        )
    clip = dataclasses.asdict(config.clip)
    stride = clip.pop("stride")  # the VAE's
    if stride != system.size.TEMPORAL:
        raise ValueError(
            f"stride={stride} must be {system.size.TEMPORAL}, the frames of a latent of "
            f"{system.title}."
        )
    return {
        **clip,
        "posterior_seed": config.posterior_seed,
        "tiling": None if config.tiling is None else dataclasses.asdict(config.tiling),
        "dtype": jnp.dtype(models.dtype).name,
        "text_tokens": system.text_tokens(models.config.dit),
        **models.encoder_sizes(),
    }


def _plan(folder: EncodedFolder, bad: Skipped) -> list[Job]:
    """A job for each entry whose file can be read."""
    jobs = []
    calls = ahead(folder.job, folder.entries, threads=PLAN_THREADS)
    for entry, job in over(calls, "looking at files", total=len(folder.entries), unit="file"):
        try:
            jobs.append(job())
        except BadSample as error:
            bad.add(f"{entry.id}: {error}")
    return jobs


def _encode_texts(
    folder: EncodedFolder, jobs: Sequence[Job], models: SampleEncoder[Any], config: EncodeConfig
) -> None:
    """Encodes the captions that have no text states yet, and the empty caption."""
    captions = {file: caption for job in jobs for file, caption in job.captions.items()}
    todo = {file: caption for file, caption in captions.items() if not folder.has(file)}
    if config.shard_index == 0 and not folder.has(EMPTY_TEXT):
        todo[EMPTY_TEXT] = ""
    if not todo:
        return
    with (
        models.holding(*models.TEXT_MODELS),
        Bar("captions", total=len(todo), unit="caption") as bar,
    ):
        states = models.caption_states(list(todo.values()), batch_size=config.text_batch)
        for file, (text, mask) in zip(todo, states, strict=True):
            folder.write(file, text_bytes(text, mask))
            bar.update()


def _encode_clips(
    folder: EncodedFolder,
    jobs: Sequence[Job],
    models: SampleEncoder[Any],
    config: EncodeConfig,
    bad: Skipped,
) -> None:
    """Encodes the files that have no latent yet. Files are decoded while others are encoded."""
    if not jobs:
        return

    def read(job: Job) -> video.Video:
        return read_clip(job.entry.path, config.clip, job.entry.fps, job.entry.part)

    flushed = time.monotonic()
    with models.holding("vae"):
        calls = ahead(read, jobs, threads=config.threads)
        for job, clip in over(calls, "clips", total=len(jobs), unit="clip"):
            try:
                frames, fps = clip()
                key = posterior_key(config.posterior_seed, job.entry)
                pixels = video.to_pixels(frames)[None]
                encoded = models.latent(pixels, key, tiling=config.tiling)
                folder.write(job.latent, latent_bytes(finite(encoded, job.entry)))
            except BadSample as error:
                bad.add(f"{job.entry.id}: {error}")
                continue
            folder.finish(job, fps)
            if time.monotonic() - flushed > FLUSH_SECONDS:
                folder.flush()
                flushed = time.monotonic()


def finite(latent: Array | np.ndarray, entry: Captioned) -> np.ndarray:
    """The latent as a numpy array.

    Raises:
        BadSample: the VAE overflowed.
    """
    found = np.asarray(latent)
    if not np.isfinite(found).all():
        raise BadSample(
            f"{str(entry.path)!r}: the VAE overflowed on it; encode in float32 (--dtype)."
        )
    return found


def posterior_key(seed: int | None, entry: Captioned) -> Array | None:
    """Key of the sample's posterior: the same however the list is shared or continued."""
    if seed is None:
        return None
    return jax.random.fold_in(jax.random.key(seed), zlib.crc32(entry.id.encode()))
