# Copyright 2026 The mugv_jax Authors
# SPDX-License-Identifier: Apache-2.0
"""Validation during training: loss on held-out data and sampled videos."""

import collections
import contextlib
import functools
from collections.abc import Iterator, Mapping
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax.experimental import multihost_utils

from mugv_jax.axes import Array, Float
from mugv_jax.data.batches import Validation
from mugv_jax.data.interleave import source_of
from mugv_jax.data.placement import PlacedBatches
from mugv_jax.files import user_path
from mugv_jax.flow.guidance import Guidance
from mugv_jax.flow.schedule import sample_times
from mugv_jax.sharding import mesh as meshes
from mugv_jax.systems.mugv import windows
from mugv_jax.systems.mugv.system import SYSTEM as MUGV
from mugv_jax.systems.pretrained import first_of
from mugv_jax.systems.sampling import Start, sample_group
from mugv_jax.train.metrics import Scalars, Writer
from mugv_jax.train.noising import NULL_TEXT, drop_captions, fixed_noise, sample_keys
from mugv_jax.train.objective import POLICY
from mugv_jax.train.objectives.flow_matching import VALIDATION_TIMES
from mugv_jax.train.program import Program
from mugv_jax.train.state import TrainState
from mugv_jax.train.train_config import DiTLogConfig
from mugv_jax.video import contact_sheet
from mugv_jax.weights.load import load, read_config
from mugv_jax.weights.registry import MODELS

SAMPLES = 4  # logged per evaluation
VAE = "mugv_vae"


def check_vae(log: DiTLogConfig) -> None:
    """Check at the start, not at the first sample, that what decodes samples is a VAE.

    Raises:
        ValueError: it is not.
    """
    if log.vae and log.sample_every:
        read_config(log.vae, VAE)


class Evaluation:
    """Validation loss and samples on held-out data, of the EMA weights if EMA is enabled.

    Raises:
        ValueError: samples are to be decoded and `log.vae` is not a VAE.
    """

    def __init__(self, program: Program, held_out: Validation):
        self._program, self._held_out = program, held_out
        check_vae(program.config.log)

    def losses(self, state: TrainState) -> Scalars:
        """`validation/loss`, the mean over tasks and times, and the loss of each task and time.

        In a run of several named sources, "SOURCE/" precedes the tasks, and each has its own mean
        `validation/SOURCE/loss`.
        """
        total: dict[tuple[str, str], Any] = collections.defaultdict(float)
        count: dict[tuple[str, str], float] = collections.defaultdict(float)
        for batch in self._batches():
            source = source_of(batch)
            losses, weight = jax.device_get(self._program.validate(state, batch))
            tasks = self._program.objective.validation_tasks(batch["latent"].shape[1])
            for task, loss in zip(tasks, losses):
                total[source, task] += loss
                count[source, task] += float(weight)
        means = {each: total[each] / count[each] for each in total if count[each]}
        scalars = {"validation/loss": float(np.mean(list(means.values())))}
        for source in sorted({source for source, _ in means if source}):
            own = [by_time for (name, _), by_time in means.items() if name == source]
            scalars[f"validation/{source}/loss"] = float(np.mean(own))
        for (source, task), by_time in means.items():
            name = f"{source}/{task}" if source else task
            scalars[f"validation/{name}"] = float(np.mean(by_time))
            scalars |= {
                f"validation_time/{name}_{u}": float(x) for u, x in zip(VALIDATION_TIMES, by_time)
            }
        return scalars

    def write_samples(self, state: TrainState, step: int, writer: Writer) -> None:
        """Write text-to-video samples for the first held-out captions."""
        batch = next(self._batches())
        found = (batch["sample"], sample_latent(self._program, state, batch))
        names, latents = multihost_utils.process_allgather(found, tiled=True)
        if jax.process_index() > 0:
            return
        # Decode only on the process that writes: a few small videos, on a one-device mesh.
        rows = []
        with meshes.use(meshes.make_mesh(devices=jax.local_devices()[:1])):
            for name, each in zip(names[:SAMPLES], latents[:SAMPLES]):
                frames = as_frames(each, self._vae)
                writer.frames(step, f"sample/{name}", frames)
                rows.append(contact_sheet.sheet_row(frames))
        writer.sheet(step, rows)

    def _batches(self) -> Iterator[dict[str, Array]]:
        with contextlib.closing(PlacedBatches(iter(self._held_out), self._program.mesh)) as placed:
            yield from placed

    @functools.cached_property
    def _vae(self) -> tuple[Any, Any] | None:
        path = self._program.config.log.vae
        return picture_decoder(path, self._program.dtype) if path else None


def picture_decoder(vae: str, dtype: Any) -> tuple[Any, Any]:
    """(module, variables) of the tiny decoder beside a VAE, or of the VAE if there is none."""
    tiny = first_of(user_path(vae).parent, MUGV.files["tiny_decoder"])
    kind = VAE if tiny is None else MUGV.kinds["tiny_decoder"]
    config, variables = load(vae if tiny is None else tiny, kind)
    return MODELS[kind].build(config, dtype), variables


def sample_latent(
    program: Program, state: TrainState, batch: Mapping[str, Array]
) -> Float[Array, "b f h w c"]:
    """Latents sampled for the captions in `batch`, from noise fixed by each sample's index."""
    log, objective = program.config.log, program.objective
    policies, shape = program.averaged(state), batch["latent"].shape
    text, mask = drop_captions(batch, jnp.ones(shape[:1], bool), policies[NULL_TEXT])
    negative = objective.denoiser.condition(dict(batch, text=text, text_mask=mask))
    return sample_group(
        objective.denoiser,
        policies[POLICY],
        program.mesh,
        Start.from_noise(fixed_noise(batch["sample"], shape[1:])),
        times=sample_times(log.sample_steps, objective.sample_shift(shape[1:4])),
        positive=objective.denoiser.condition(batch),
        negative=negative if log.guidance != 1 else None,
        guidance=Guidance(scale=log.guidance),
        renoise=sample_keys(batch["sample"]) if objective.defaults.get("renoise") else None,
    ).x


def as_frames(latent: Float[np.ndarray, "f h w c"], vae: tuple[Any, Any] | None) -> np.ndarray:
    """uint8 frames (f h w 3) of a latent: decoded by `vae`, or else its first three channels.

    vae: (module, variables). Only every eighth decoded frame is returned, since the eight frames of
        a latent frame look alike.
    """
    if vae is None:
        picture = 0.5 + np.asarray(latent[..., :3], np.float32) / 6  # +-3 standard deviations
        picture = picture.repeat(4, axis=1).repeat(4, axis=2)
    else:
        picture = 0.5 + windows.decode(*vae, jnp.asarray(latent)[None])[0, 7::8] / 2
    return np.clip(np.round(picture * 255), 0, 255).astype(np.uint8)
