# Copyright 2026 The mugv_jax Authors
# SPDX-License-Identifier: Apache-2.0
"""A training run of the VAE, through the same loop as the DiT's."""

import logging
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import jax
import numpy as np

from mugv_jax.axes import Array, Frames
from mugv_jax.data.batches import Batches
from mugv_jax.data.pixels import PixelSteps, first_clips, held_out, open_pixels
from mugv_jax.sharding import mesh as meshes
from mugv_jax.sharding.place import local_shards, place_batch
from mugv_jax.train.checkpoint import Checkpoints
from mugv_jax.train.loop import run_in
from mugv_jax.train.metrics import Clock, Scalars, Work
from mugv_jax.train.vae.loss import Perceptual
from mugv_jax.train.vae.perceptual import lpips
from mugv_jax.train.vae.program import KIND, VaeProgram
from mugv_jax.train.vae.state import VaeState
from mugv_jax.train.vae.vae_config import VaeTrainConfig
from mugv_jax.video import to_frames
from mugv_jax.weights.load import load
from mugv_jax.weights.picture_vae import load_picture_vae

log = logging.getLogger(__name__)

SHOWN_FRAMES = 8  # of a reconstruction, at equal distances


def train(
    config: VaeTrainConfig,
    folder: Path,
    devices: Sequence[jax.Device] | None = None,
    perceptual: Perceptual | None = None,
) -> int:
    """Trains up to `config.run.steps` in `folder`, on from its newest checkpoint if it has one.

    devices: those to train on, each with its own clips; all by default.
    perceptual: the perceptual part of the loss, instead of the LPIPS that `config.run` names.

    Returns the step that was reached: less than asked for after SIGTERM or SIGINT, which save.

    Raises:
        ValueError: data, weights or checkpoints that do not fit the config.
    """
    clock = Clock()
    with clock.losing("start"):
        perceptual = perceptual or _lpips(config)
        count = jax.device_count() if devices is None else len(devices)
        program = VaeProgram(config, meshes.make_mesh({"data": count}, devices=devices), perceptual)
        batches = _batches(program)
        clips = held_out(config.data)
        evaluation = None
        if clips is not None:
            evaluation = Reconstructions(program, first_clips(clips, config.data))
        _say(config, batches, perceptual, evaluation)
    return run_in(
        folder,
        program,
        batches,
        _start,
        clock=clock,
        step=program.step,
        work=work_of,
        evaluation=evaluation,
        complete=lambda state: program.with_statistics(state, _first(program, batches)),
    )


def _lpips(config: VaeTrainConfig) -> Perceptual | None:
    run = config.run
    return lpips(run.perceptual, run.dtype) if run.perceptual else None


def _batches(program: VaeProgram) -> Batches:
    config = program.config
    source = open_pixels(config.data.paths, config.data.split, config.data)
    local = tuple(local_shards(program.mesh))
    steps = PixelSteps(source, config.data, local, config.run.steps, config.run.seed)
    return Batches(steps, config.data, digest=f"{len(source)} samples, seed {config.run.seed}")


def _say(
    config: VaeTrainConfig,
    batches: Batches,
    perceptual: Perceptual | None,
    evaluation: "Reconstructions | None",
) -> None:
    source = batches.steps.source
    log.info("training on %d clips and %d pictures.", len(source.clips),
             len(source) - len(source.clips))  # fmt: skip
    if perceptual is None and config.loss.perceptual:
        log.info("no perceptual network is given: that part of the loss is left out.")
    if evaluation is None:
        log.info("nothing is held out (data.holdout_split): there is no validation.")


def _first(program: VaeProgram, batches: Batches) -> Iterator[dict[str, Array]]:
    """The first batches of the run, again."""
    config = program.config.run
    for step in range(min(config.statistics_batches, config.steps)):
        yield place_batch(batches.steps[step], program.mesh)


def _start(program: VaeProgram, batches: Batches, checkpoints: Checkpoints) -> VaeState:
    """The state to go on from; `batches` is set to where that was."""
    newest = checkpoints.latest()
    if newest is None:
        return program.start(_given(program.config))
    log.info("going on from step %d in %s.", newest, checkpoints.folder)
    state, where = checkpoints.restore(newest, program)
    batches.set_state(where)
    return state


def _given(config: VaeTrainConfig) -> dict[str, Any]:
    """Weights to start from, if there are any.

    Raises:
        ValueError: they are of another size than the config's.
    """
    run = config.run
    if run.picture_weights:
        return {"params": load_picture_vae(run.picture_weights, config.vae)}
    if not run.weights:
        return {}
    found, variables = load(
        run.weights,
        KIND,
        dtype="float32",
        collections=("params", "constants", "unused"),
        ema=run.ema_weights,
    )
    if found != config.vae:
        raise ValueError(
            f"run.weights={run.weights!r} are of {found}, but the config's vae is {config.vae}: "
            "give the config of their size."
        )
    # Placed on one device as they were read: the program puts them where they belong.
    return jax.device_get(variables)


def work_of(batch: Mapping[str, Array]) -> Work:
    """What a step on `batch` is; its tokens are frames."""
    shape = batch["frames"].shape
    return Work(shape=shape[:4], samples=shape[0], tokens=shape[0] * shape[1], flops=None)


class Reconstructions:
    """Held-out clips, and how they come back."""

    def __init__(self, program: VaeProgram, clips: Sequence[Frames]):
        self._program, self._clips = program, clips

    def losses(self, state: VaeState) -> Scalars:
        """Mean PSNR (dB) and SSIM of the clips, as `validation/...`."""
        found: dict[str, list[np.ndarray]] = {"psnr": [], "ssim": []}
        for batch, count in self._batches():
            _, quality = self._program.quality(state, batch)
            for name, values in found.items():
                values.append(np.asarray(quality[name])[:count])
        return {
            f"validation/{name}": float(np.mean(np.concatenate(values)))
            for name, values in found.items()
        }

    def write_samples(self, state: VaeState, step: int, writer: Any) -> None:
        """Frames of the first clip, above their reconstructions."""
        batch, _ = next(self._batches())
        y, _ = self._program.quality(state, batch)
        clip, again = self._clips[0], to_frames(np.asarray(y[0]))
        chosen = np.linspace(0, len(clip) - 1, min(SHOWN_FRAMES, len(clip))).round().astype(int)
        writer.frames(step, "reconstruction", np.concatenate([clip, again], axis=1)[chosen])

    def _batches(self) -> Iterator[tuple[dict[str, Array], int]]:
        """A clip for every data shard, the last ones repeated, and how many count."""
        shards, mesh = self._program.shards, self._program.mesh
        for first in range(0, len(self._clips), shards):
            rows = [min(first + shard, len(self._clips) - 1) for shard in local_shards(mesh)]
            frames = np.stack([self._clips[row] for row in rows])
            yield place_batch({"frames": frames}, mesh), min(shards, len(self._clips) - first)
