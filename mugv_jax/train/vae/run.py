# Copyright 2026 The mugv_jax Authors
# SPDX-License-Identifier: Apache-2.0
"""Training of the video VAE: builds program, data and evaluation from a config."""

import functools
import logging
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax.sharding import Mesh
from jax.tree_util import Partial

from mugv_jax.axes import Array, Float, Frames
from mugv_jax.data.batches import Batches
from mugv_jax.data.pixels import JoinedPixels, PixelSteps, held_out_clips, open_pixels
from mugv_jax.problems import Problems
from mugv_jax.progress import stage
from mugv_jax.sharding.place import local_shards, place_batch
from mugv_jax.train.adapt import fitted_intervals, fitted_to_steps
from mugv_jax.train.inputs import check_initial, load_weights
from mugv_jax.train.loop import run_in
from mugv_jax.train.metrics import Clock, Scalars
from mugv_jax.train.objective import POLICY
from mugv_jax.train.optimizer import learning_rate
from mugv_jax.train.program import Program
from mugv_jax.train.state import TrainState
from mugv_jax.train.vae.loss import Perceptual, lpips
from mugv_jax.train.vae.objective import KIND, PERCEPTUAL, VaeObjective, to_pixels
from mugv_jax.train.vae.reconstruct import encode
from mugv_jax.train.vae.vae_config import VaeTrainConfig
from mugv_jax.video import to_frames
from mugv_jax.weights.picture_vae import load_picture_vae

log = logging.getLogger(__name__)

ENCODER = {"spatial_encoder", "temporal_encoder", "quant_conv"}  # modules that compute latents
NARROWEST = 1e-6  # minimum standard deviation, for latent channels that are constant
SHOWN_FRAMES = 8  # evenly spaced frames of a logged reconstruction


def train(
    config: VaeTrainConfig,
    folder: Path,
    devices: Sequence[jax.Device] | None = None,
    perceptual: Perceptual | None = None,
    asked: Collection[str] = (),
) -> int:
    """Train up to `config.run.steps` in `folder`, resuming from its newest checkpoint if any.

    devices: devices to train on, each with its own clips; all by default.
    perceptual: perceptual term of the loss, instead of the LPIPS weights in `config.run`.
    asked: fields, such as "optimizer.warmup_steps", that are used as they are; others
        adapt to a short run (`train/adapt.py`).

    Returns the last step taken: below `config.run.steps` after SIGTERM or SIGINT, which save a
    checkpoint and stop.

    Raises:
        ValueError: data, weights or checkpoints that do not fit the config; all that can be found
            before the first step is in one `Several`.
    """
    clock = Clock()
    with clock.losing("start"):
        config = fitted_to_steps(config, asked)
        if config.data.holdout_paths or config.data.holdout_split:
            config = fitted_intervals(config, asked)
        program, batches, evaluation = _checked(config, folder, devices, perceptual)
    statistics = LatentStatistics(program)
    return run_in(
        folder,
        program,
        batches,
        functools.partial(_weights, program),
        clock=clock,
        evaluation=evaluation,
        complete=lambda state: statistics.renewed(state, _first(program, batches)),
    )


def _checked(
    config: VaeTrainConfig,
    folder: Path,
    devices: Sequence[jax.Device] | None,
    perceptual: Perceptual | None,
) -> "tuple[Program, Batches, Reconstructions | None]":
    """Everything that a run starts with; a `Problems` collects what is wrong with it."""
    problems, mesh, source, clips = Problems(), None, None, []
    with problems:
        learning_rate(config.optimizer, config.run.steps)
    with problems:
        mesh = config.mesh.make_mesh(devices)
    with problems:
        if not config.run.picture_weights:
            check_initial(config.run, KIND, config.vae, folder)
    with problems:
        if perceptual is None and config.run.perceptual:
            perceptual = lpips(config.run.perceptual, config.run.dtype)
    with problems, stage("looking at the clips"):
        source = open_pixels(config.data.paths, config.data.split, config.data)
    with problems:
        clips = held_out_clips(config.data) if source is not None else []
    problems.check()
    assert mesh is not None
    assert source is not None
    program = make_program(config, mesh, perceptual)
    batches = _batches(program, source)
    evaluation = Reconstructions(program, clips) if clips else None
    _log_inputs(config, batches, perceptual, evaluation)
    return program, batches, evaluation


def make_program(
    config: VaeTrainConfig, mesh: Mesh, perceptual: Perceptual | None = None
) -> Program:
    """The jitted functions of the VAE objective on `mesh`.

    Raises:
        ValueError: frozen weights whose gradient the GAN weight needs.
    """
    given = {}
    if perceptual is not None:
        # A pytree, so that its weights are arguments of the steps, not compiled-in constants.
        given[PERCEPTUAL] = perceptual if isinstance(perceptual, Partial) else Partial(perceptual)
    return Program(config, mesh, VaeObjective.build(config, mesh), given)


def _batches(program: Program, source: JoinedPixels) -> Batches:
    config = program.config
    local = local_shards(program.mesh)
    steps = PixelSteps(source, config.data, local, config.run.steps, config.run.seed)
    return Batches(steps, config.data, digest=f"{len(source)} samples, seed {config.run.seed}")


def _log_inputs(
    config: VaeTrainConfig,
    batches: Batches,
    perceptual: Perceptual | None,
    evaluation: "Reconstructions | None",
) -> None:
    assert isinstance(batches.steps, PixelSteps)
    source = batches.steps.source
    log.info("training on %d clips and %d pictures.", len(source.clips),
             len(source) - len(source.clips))  # fmt: skip
    if perceptual is None and config.loss.perceptual:
        log.info("no perceptual network is given, so the perceptual loss is off.")
    if evaluation is None:
        log.info("nothing is held out (data.holdout_split), so validation is off.")


def _first(program: Program, batches: Batches) -> Iterator[dict[str, Array]]:
    """The first `run.statistics_batches` batches of the run."""
    config = program.config.run
    for step in range(min(config.statistics_batches, config.steps)):
        yield place_batch(batches.steps[step], program.mesh)


def _weights(program: Program) -> Mapping[str, Any]:
    """Initial weights of the run; empty if it starts from random weights."""
    pictures = program.config.run.picture_weights
    if pictures:
        return {"params": load_picture_vae(pictures, program.model)}
    # Moved to the host: `load` placed them on one device, and the program shards them.
    return jax.device_get(load_weights(program, collections=("params", "constants", "unused")))


class LatentStatistics:
    """Mean and standard deviation per latent channel, saved in checkpoints as constants."""

    def __init__(self, program: Program):
        self._program = program
        self._sums = jax.jit(self._sums_of, out_shardings=program.everywhere)

    def renewed(self, state: TrainState, batches: Iterable[Mapping[str, Array]]) -> TrainState:
        """The state with the latent statistics of `batches`, computed with the EMA weights.

        A run with a frozen encoder from `run.weights` keeps the statistics in those weights, so
        that existing latents remain valid.
        """
        program = self._program
        if program.config.run.weights and ENCODER.isdisjoint(program.abstract.params):
            return state
        variables = program.averaged(state)[POLICY]
        sums = [jax.device_get(self._sums(variables, batch)) for batch in batches]
        mean, square, count = (np.sum(part, axis=0, dtype=np.float64) for part in zip(*sums))
        shift = mean / count
        scale = np.sqrt(np.maximum(square / count - shift**2, NARROWEST**2))
        constants = {"shift": shift.astype(np.float32), "scale": scale.astype(np.float32)}
        placed = jax.device_put(constants, program.everywhere)
        return state.replace(extra=state.extra | {"constants": placed})

    def _sums_of(
        self, variables: Mapping[str, Any], batch: Mapping[str, Array]
    ) -> tuple[Float[Array, "c"], Float[Array, "c"], Float[Array, ""]]:
        """Expected sums of z and z^2 under the posterior, in closed form, and the value count."""
        module = self._program.objective.module
        mean, log_variance = encode(module, variables, to_pixels(batch["frames"]))
        axes = (0, 1, 2, 3)
        square = jnp.square(mean) + jnp.exp(log_variance)
        count = jnp.float32(mean.size // mean.shape[-1])
        return jnp.sum(mean, axes), jnp.sum(square, axes), count


class Reconstructions:
    """Validation of the VAE: reconstruction quality on held-out clips."""

    def __init__(self, program: Program, clips: Sequence[Frames]):
        self._program, self._clips = program, clips

    def losses(self, state: TrainState) -> Scalars:
        """Mean PSNR (dB) and SSIM of the clips, as `validation/...`."""
        found = []
        for batch, count in self._batches():
            _, quality = self._program.validate(state, batch)
            found.append({name: np.asarray(x)[:count] for name, x in quality.items()})
        return {
            f"validation/{name}": float(np.mean(np.concatenate([each[name] for each in found])))
            for name in found[0]
        }

    def write_samples(self, state: TrainState, step: int, writer: Any) -> None:
        """Write frames of the first clip above their reconstructions."""
        batch, _ = next(self._batches())
        y, _ = self._program.validate(state, batch)
        clip, again = self._clips[0], to_frames(np.asarray(y[0]))
        chosen = np.linspace(0, len(clip) - 1, min(SHOWN_FRAMES, len(clip))).round().astype(int)
        writer.frames(step, "reconstruction", np.concatenate([clip, again], axis=1)[chosen])

    def _batches(self) -> Iterator[tuple[dict[str, Array], int]]:
        """(batch of one clip per data shard, number of valid clips); padded with the last clip."""
        shards, mesh = self._program.shards, self._program.mesh
        for first in range(0, len(self._clips), shards):
            rows = [min(first + shard, len(self._clips) - 1) for shard in local_shards(mesh)]
            yield self._batch(rows), min(shards, len(self._clips) - first)

    def _batch(self, rows: Sequence[int]) -> dict[str, Array]:
        frames = np.stack([self._clips[row] for row in rows])
        return place_batch({"frames": frames}, self._program.mesh)
