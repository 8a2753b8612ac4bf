# Copyright 2026 The mugv_jax Authors
# SPDX-License-Identifier: Apache-2.0
"""Training of a tiny decoder: makes pairs, builds program, data and evaluation from a config."""

import functools
from collections.abc import Collection, Mapping, Sequence
from pathlib import Path
from typing import Any

import jax
import numpy as np
from jax.sharding import Mesh
from jax.tree_util import Partial

from mugv_jax.axes import Array, Frames
from mugv_jax.data.batches import Batches
from mugv_jax.data.pixels import JoinedPixels, held_out_clips, open_pixels
from mugv_jax.nn.vae.tiny import TinyDecoderConfig
from mugv_jax.problems import Problems
from mugv_jax.progress import stage
from mugv_jax.sharding import mesh as meshes
from mugv_jax.sharding.place import local_shards, place_batch
from mugv_jax.train.adapt import fitted_intervals, fitted_to_steps
from mugv_jax.train.inputs import check_initial, load_weights
from mugv_jax.train.loop import run_in
from mugv_jax.train.metrics import Clock
from mugv_jax.train.optimizer import learning_rate
from mugv_jax.train.program import Program
from mugv_jax.train.vae import pairs
from mugv_jax.train.vae.loss import Perceptual, lpips
from mugv_jax.train.vae.objective import PERCEPTUAL
from mugv_jax.train.vae.pairs import FullDecoder, Pairs, PairSteps
from mugv_jax.train.vae.run import Reconstructions
from mugv_jax.train.vae.tiny import KIND, TinyObjective
from mugv_jax.train.vae.tiny_config import TinyTrainConfig
from mugv_jax.weights.load import read_config

FOLDER = "pairs"  # in the folder of a run
SAME = ("latent_channels", "time_factor", "spatial_factor", "window_frames")


def train(
    config: TinyTrainConfig,
    folder: Path,
    devices: Sequence[jax.Device] | None = None,
    asked: Collection[str] = (),
) -> int:
    """Train up to `config.run.steps` in `folder`, resuming from its newest checkpoint if any.

    devices, asked: as for the VAE, see `train/vae/run.py`.

    Returns the last step taken.

    Raises:
        ValueError: data, weights or checkpoints that do not fit the config; all that can be found
            before the first step is in one `Several`.
    """
    clock = Clock()
    with clock.losing("start"):
        config = fitted_to_steps(config, asked)
        if config.data.holdout_paths or config.data.holdout_split:
            config = fitted_intervals(config, asked)
        mesh, source, clips, perceptual = _checked(config, folder, devices)
        decoder = FullDecoder(config.run.vae, config.run.dtype)
        alone = devices[:1] if devices else jax.local_devices()[:1]
        with meshes.use(meshes.make_mesh(devices=alone)):
            stored = pairs.stored_pairs(
                folder / FOLDER, decoder, source, config.data, config.run.seed
            )
            held_out = [*decoder.pairs(clips, len(clips))] if clips else []
        program = make_program(config, mesh, perceptual)
    return run_in(
        folder,
        program,
        _batches(program, stored),
        functools.partial(_weights, program),
        clock=clock,
        evaluation=Repetitions(program, held_out) if held_out else None,
    )


def make_program(
    config: TinyTrainConfig, mesh: Mesh, perceptual: Perceptual | None = None
) -> Program:
    """The jitted functions of the objective on `mesh`."""
    given = {}
    if perceptual is not None:
        given[PERCEPTUAL] = perceptual if isinstance(perceptual, Partial) else Partial(perceptual)
    return Program(config, mesh, TinyObjective.build(config, mesh), given)


def check_vae(path: str, tiny: TinyDecoderConfig) -> None:
    """Check that a VAE can be read and has the latents of a tiny decoder.

    Raises:
        ValueError: it cannot, or has others.
    """
    try:
        _, sizes = read_config(path, pairs.VAE)
    except ValueError as error:
        raise ValueError(f"run.vae={path!r}: {error}") from None
    for field in SAME:
        wanted, found = getattr(sizes, field), getattr(tiny, field)
        if wanted != found:
            raise ValueError(
                f"run.vae={path!r} has {field}={wanted}, the tiny decoder {found}: choose sizes "
                "of tiny_decoder that give the same number."
            )


def _checked(
    config: TinyTrainConfig, folder: Path, devices: Sequence[jax.Device] | None
) -> tuple[Mesh, JoinedPixels, list[Frames], Perceptual | None]:
    """What a run starts with; a `Problems` collects what is wrong with it."""
    problems = Problems()
    mesh = source = perceptual = None
    clips: list[Frames] = []
    with problems:
        if jax.process_count() > 1:
            raise ValueError("a tiny decoder is trained by one process: start one only.")
    with problems:
        learning_rate(config.optimizer, config.run.steps)
    with problems:
        mesh = config.mesh.make_mesh(devices)
    with problems:
        check_vae(config.run.vae, config.tiny_decoder)
    with problems:
        check_initial(config.run, KIND, config.tiny_decoder, folder)
    with problems:
        if config.run.perceptual:
            perceptual = lpips(config.run.perceptual, config.run.dtype)
    with problems, stage("looking at the clips"):
        source = open_pixels(config.data.paths, config.data.split, config.data)
    with problems:
        clips = held_out_clips(config.data) if source is not None else []
    problems.check()
    assert mesh is not None
    assert source is not None
    return mesh, source, clips, perceptual


def _batches(program: Program, stored: Pairs) -> Batches:
    config = program.config
    steps = PairSteps(
        stored,
        config.data.rows,
        config.loss.frames,
        local_shards(program.mesh),
        config.run.steps,
        config.run.seed,
    )
    return Batches(steps, config.data, digest=f"{len(stored.frames)} pairs, seed {steps.seed}")


def _weights(program: Program) -> Mapping[str, Any]:
    """Initial weights of the run; empty if it starts from random weights."""
    return jax.device_get(load_weights(program))


class Repetitions(Reconstructions):
    """Validation of a tiny decoder: how near it comes to the full one on held-out clips."""

    def __init__(self, program: Program, held_out: Sequence[Pairs]):
        latents, frames = (np.concatenate(part) for part in zip(*held_out, strict=True))
        super().__init__(program, [*frames])
        self._latents = latents

    def _batch(self, rows: Sequence[int]) -> dict[str, Array]:
        frames = np.stack([self._clips[row] for row in rows])
        batch = {
            "latent": self._latents[np.asarray(rows)],
            "frames": frames,
            "seen": np.tile(np.arange(frames.shape[1], dtype=np.int32), (len(rows), 1)),
        }
        return place_batch(batch, self._program.mesh)
