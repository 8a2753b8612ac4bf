# Copyright 2026 The mugv_jax Authors
# SPDX-License-Identifier: Apache-2.0
"""Training samples that a model makes itself: latents sampled for prompts, in the published format.

Trained on together with a user's clips, they keep what the model knew (prior preservation,
arXiv:2208.12242, 3.2). The latents are never decoded, so that the VAE adds no error of its own.

latents/N-KEY.pt, text_features/N-KEY.pt   KEY is a hash of prompt, seed and size
train.csv                                  written last
"""

import dataclasses
import hashlib
import json
import os
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from mugv_jax.data.encoded import COLUMNS, LATENTS, NORMALISED, TEXTS
from mugv_jax.data.pt_files import latent_bytes, text_bytes
from mugv_jax.data.samples import CSV
from mugv_jax.data.whole_files import csv_bytes, write_whole
from mugv_jax.files import read_text
from mugv_jax.sharding import mesh as meshes
from mugv_jax.systems.mugv.models import MugvModels
from mugv_jax.systems.mugv.pipeline import MugvPipeline
from mugv_jax.systems.mugv.request import Request, read_given
from mugv_jax.systems.text import text_batches

TEXT_BATCH = 16


def write_generated(folder: Path, pipeline: MugvPipeline, request: Request) -> int:
    """Samples one clip for every prompt of `request` and writes them as training samples.

    Prompts are used as they are, without an aesthetic score, as captions are in training. Clips
    that are there already are not made again; `request.rows` are made at a time.

    Returns the number of clips that were made.
    """
    for name in (LATENTS, TEXTS):
        (folder / name).mkdir(parents=True, exist_ok=True)
    stems = _stems(request)
    missing = [n for n, stem in enumerate(stems) if not _latent(folder, stem).exists()]
    for first in range(0, len(missing), request.rows or 1):
        _make(folder, pipeline, request, stems, missing[first : first + (request.rows or 1)])
    rows = []
    for stem in stems:
        files = (f"{LATENTS}/{stem}.pt", f"{TEXTS}/{stem}.pt")
        values = (stem, NORMALISED, *files, str(request.conditioning_fps))
        rows.append(dict(zip(COLUMNS, values, strict=True)))
    write_whole(folder / CSV, csv_bytes(rows, COLUMNS))
    return len(missing)


def _stems(request: Request) -> list[str]:
    """A name for the files of every prompt, which changes with all that changes its latent."""
    about = [request.size.latent_shape, request.steps, request.guidance.scale, request.shift]
    stems = []
    for number, (prompt, seed) in enumerate(zip(request.prompts, request.seeds(), strict=True)):
        digest = hashlib.sha256(json.dumps([prompt, seed, about]).encode()).hexdigest()[:12]
        stems.append(f"prior{number:04d}-{digest}")
    return stems


def _latent(folder: Path, stem: str) -> Path:
    return folder / LATENTS / f"{stem}.pt"


def _make(
    folder: Path,
    pipeline: MugvPipeline,
    request: Request,
    stems: Sequence[str],
    numbers: Sequence[int],
) -> None:
    """Sample and write the clips with these numbers; a latent's file is written last."""
    prompts, seeds = request.prompts, request.seeds()
    part = dataclasses.replace(
        request, prompts=tuple(prompts[n] for n in numbers), seed=[seeds[n] for n in numbers]
    )
    sampled = pipeline.sample(part, read_given(part))
    for number, made, (text, mask) in zip(
        numbers, sampled, _texts(pipeline.models, part.prompts), strict=True
    ):
        write_whole(folder / TEXTS / f"{stems[number]}.pt", text_bytes(text, mask))
        write_whole(_latent(folder, stems[number]), latent_bytes(np.asarray(made.latent)))


def _texts(models: MugvModels, prompts: Sequence[str]) -> list[tuple[np.ndarray, np.ndarray]]:
    """Text states and mask of every prompt."""
    ids, masks = models.tokenize(list(prompts))
    with meshes.use(models.mesh), models.model("text") as (module, variables):
        batches = text_batches(module, variables, ids, masks, batch_size=TEXT_BATCH)
        states = [text for batch in batches for text in batch]
    return [
        (np.where(mask[:, None], text, np.zeros((), text.dtype)), mask)
        for text, mask in zip(states, masks, strict=True)
    ]


def read_prompts(path: str | os.PathLike) -> tuple[str, ...]:
    """Prompts of a text file, one a line; empty lines are left out.

    Raises:
        ValueError: no such file, or one without prompts.
    """
    prompts = tuple(line.strip() for line in read_text(path, "prompts").splitlines())
    prompts = tuple(dict.fromkeys(prompt for prompt in prompts if prompt))
    if not prompts:
        raise ValueError(f"prompts {str(path)!r} is empty: write one prompt a line.")
    return prompts
