# Copyright 2026 The mugv_jax Authors
# SPDX-License-Identifier: Apache-2.0
"""K videos of every prompt, as training samples: latents as they were sampled, never re-encoded.

    prompts x K -> batches of rows with a seed each -> one program -> latents, videos, train.csv

A batch may hold several prompts and several seeds of one prompt. Each sample depends on its own
prompt and seed alone, so it is the same for any batch size and any number of processes.
"""

import dataclasses
import hashlib
import logging
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import jax.numpy as jnp
import numpy as np

from mugv_jax.axes import Frames
from mugv_jax.bounds import require_at_least, require_seed
from mugv_jax.data.encoded import COLUMNS as TRAINED
from mugv_jax.data.encoded import LATENTS, NORMALISED, TEXTS
from mugv_jax.data.pt_files import latent_bytes, text_bytes
from mugv_jax.data.published import ID
from mugv_jax.data.samples import EMPTY_TEXT
from mugv_jax.demo.world.export import lossless
from mugv_jax.files import SAMPLES, check_output_folder, removed_on_error, shortened
from mugv_jax.post.folder import COLUMNS, VIDEOS, Row, SampleFolder
from mugv_jax.post.prompts import Prompt
from mugv_jax.progress import Bar
from mugv_jax.systems.mugv.given import GivenPixels
from mugv_jax.systems.mugv.pipeline import MugvPipeline
from mugv_jax.systems.mugv.request import Request
from mugv_jax.video import write_video

log = logging.getLogger(__name__)

KEPT = {"lossless": ".mkv", "mp4": ".mp4", "none": ""}  # form of the videos -> suffix


@dataclasses.dataclass(frozen=True, kw_only=True)
class SampleConfig:
    """How many samples are made, and this process's share of them.

    count: videos of each prompt (K).
    batch: videos that are computed together.
    seed: seed of all noise; a sample's own seed follows from it, the prompt's id and its number.
    videos: "lossless" (exact, large), "mp4" or "none".
    shard_index, shard_count: this process, and the number of processes that share the prompts.

    Raises:
        ValueError: values out of range.
    """

    count: int
    batch: int = 32
    seed: int = 0
    videos: str = "lossless"
    shard_index: int = 0
    shard_count: int = 1

    def __post_init__(self):
        require_at_least(1, self, "count", "batch")
        require_seed("seed", self.seed)
        if self.videos not in KEPT:
            raise ValueError(f"videos={self.videos!r} must be one of {', '.join(KEPT)}.")


@dataclasses.dataclass(frozen=True)
class Sampled:
    """Result of a run.

    made: samples that this run made.  finished: those of this process's share, now or earlier.
    rows: rows of `train.csv`, from all processes.
    """

    made: int
    finished: int
    rows: int


@dataclasses.dataclass(frozen=True)
class _Job:
    prompt: Prompt
    id: str
    seed: int


def sample(
    prompts: Sequence[Prompt],
    out: Path,
    pipeline: MugvPipeline,
    request: Request,
    config: SampleConfig,
) -> Sampled:
    """Samples `config.count` videos of every prompt into the folder `out` (see `folder.py`).

    request: all settings of sampling; its prompts and seeds are replaced. The model's text is the
        caption with the request's aesthetic score, if it has one, and so are the text states.

    Samples that are there already are not made again, so that an interrupted run goes on.

    Raises:
        ValueError: a folder that cannot be used, or latents that are not finite.
    """
    check_output_folder(out, SAMPLES)
    order = [_id(prompt, k) for prompt in prompts for k in range(config.count)]
    share = prompts[config.shard_index :: config.shard_count]
    with removed_on_error(out) as kept:
        folder = SampleFolder(
            out,
            order,
            _settings(pipeline, request, config),
            shard_index=config.shard_index,
            shard_count=config.shard_count,
        )
        with folder.only_process():
            jobs = [
                _Job(prompt, _id(prompt, k), seed_of(config.seed, prompt.id, k))
                for prompt in share
                for k in range(config.count)
            ]
            done = [row for job in jobs if (row := _recalled(folder, job, config)) is not None]
            finished = {row[ID] for row in done}
            todo = [job for job in jobs if job.id not in finished]
            log.info("%d of %d samples are to be made.", len(todo), len(jobs))
            kept += [True] * bool(todo)
            try:
                folder.finish(done)
                _make_all(folder, pipeline, request, config, todo, len(done))
            finally:
                rows = folder.merge()
    return Sampled(made=len(todo), finished=len(jobs), rows=rows)


def seed_of(seed: int, prompt: str, number: int) -> int:
    """Seed of sample `number` of the prompt with this id: 32 bits of a hash of all three."""
    digest = hashlib.sha256(f"{seed} {number} {prompt}".encode()).digest()
    return int.from_bytes(digest[:4])


def settings_of(pipeline: MugvPipeline, request: Request) -> dict[str, Any]:
    """Everything besides prompt and seed that a sampled latent depends on."""
    models, size = pipeline.models, request.size
    return {
        "size": [size.width_px, size.height_px, size.frames],
        "times": request.schedule().tolist(),
        **({"renoise": True} if request.renoise else {}),
        "guidance": dataclasses.asdict(request.guidance),
        "negative_prompt": request.negative_prompt,
        "conditioning_fps": request.conditioning_fps,
        "aesthetic_score": request.aesthetic_score,
        "reuse_threshold": request.reuse_threshold,
        "weights": models.digests() or models.arguments,
        "dtype": jnp.dtype(models.dtype).name,
        "quantize": models.quantize,
    }


def _settings(pipeline: MugvPipeline, request: Request, config: SampleConfig) -> dict[str, Any]:
    of_files = {"seed": config.seed, "videos": config.videos, "fps": request.fps}
    return settings_of(pipeline, request) | of_files


def _id(prompt: Prompt, number: int) -> str:
    return f"{prompt.id}-{number:03d}"


def _recalled(folder: SampleFolder, job: _Job, config: SampleConfig) -> Row | None:
    """The row of an earlier run, if its files are there."""
    row = folder.known.get(job.id)
    if row is None:
        return None
    if row["caption"] != job.prompt.caption:
        raise ValueError(
            f"{folder.path} has samples of prompt {job.prompt.id!r} with another caption, "
            f"{shortened(row['caption'])!r}: give the prompt another id, or name another folder."
        )
    files = [row["latent_path"], row["text_feat_path"]]
    files += [row["video_path"]] * (config.videos != "none")
    return row | _about(job) if all(map(folder.has, files)) else None


def _make_all(
    folder: SampleFolder,
    pipeline: MugvPipeline,
    request: Request,
    config: SampleConfig,
    todo: Sequence[_Job],
    done: int,
) -> None:
    if config.shard_index == 0 and not folder.has(EMPTY_TEXT):
        write_text(folder, EMPTY_TEXT, pipeline.text_states([""])[""])
    with Bar("sampling", total=done + len(todo), done=done, unit="video") as bar:
        for first in range(0, len(todo), config.batch):
            batch = todo[first : first + config.batch]
            part = dataclasses.replace(
                request,
                prompts=tuple(job.prompt.caption for job in batch),
                seed=[job.seed for job in batch],
                rows=config.batch,
            )
            folder.finish(_make(folder, pipeline, part, config, batch))
            bar.update(len(batch))


def _make(
    folder: SampleFolder,
    pipeline: MugvPipeline,
    request: Request,
    config: SampleConfig,
    batch: Sequence[_Job],
) -> list[Row]:
    """Makes and writes one batch; returns its rows."""
    made = pipeline.sample(request, [GivenPixels()] * len(batch), progress=False)
    latents = np.stack([np.asarray(each.latent, np.float32) for each in made])
    if not np.isfinite(latents).all():
        raise ValueError("the sampled latents are not finite: sample in float32 (--dtype).")
    videos: Sequence[Frames | None] = [None] * len(batch)
    if config.videos != "none":
        videos = list(pipeline.decode(latents, request.size, rows=config.batch))
    states = pipeline.text_states(request.texts())
    rows = []
    for job, text, latent, frames in zip(batch, request.texts(), latents, videos, strict=True):
        row = _row(job, request, config)
        write_text(folder, row["text_feat_path"], states[text])
        folder.write(row["latent_path"], latent_bytes(latent))
        if frames is not None:
            _write_video(folder, row["video_path"], frames, request.fps)
        rows.append(row)
    return rows


def write_text(folder: SampleFolder, relative: str, states: np.ndarray) -> None:
    """Writes the states of one text, unless they are there."""
    if not folder.has(relative):
        folder.write(relative, text_bytes(states, np.ones(len(states), bool)), shared=True)


def _write_video(folder: SampleFolder, relative: str, frames: Frames, fps: float) -> None:
    if relative.endswith(KEPT["lossless"]):
        folder.write(relative, lossless(frames, fps))
    else:
        write_video(folder.path / relative, frames, fps)


def _row(job: _Job, request: Request, config: SampleConfig) -> Row:
    files = (f"{LATENTS}/{job.id}.pt", f"{TEXTS}/{job.prompt.id}_text.pt")
    values = (job.id, NORMALISED, *files, repr(request.conditioning_fps))
    suffix = KEPT[config.videos]
    own = {
        "caption": job.prompt.caption,
        "prompt": job.prompt.id,
        "seed": str(job.seed),
        "video_path": f"{VIDEOS}/{job.id}{suffix}" if suffix else "",
    }
    return dict(zip(TRAINED, values, strict=True)) | own | _about(job)


def _about(job: _Job) -> Row:
    return {name: value for name, value in job.prompt.about.items() if name not in COLUMNS}
