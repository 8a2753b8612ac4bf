# Copyright 2026 The mugv_jax Authors
# SPDX-License-Identifier: Apache-2.0
"""The training loop: the only place where a run has side effects.

state = the newest checkpoint, or the weights to start from, or random ones
for every batch: state = step(state, batch); now and then log, validate, sample, save
"""

import contextlib
import dataclasses
import functools
import logging
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, Protocol, runtime_checkable

import jax
import numpy as np
import tqdm
from jax.experimental import multihost_utils

from mugv_jax.cost.chips import peak_flops
from mugv_jax.data.batches import Batches, Validation, make_batches, make_validation
from mugv_jax.data.describe import describe
from mugv_jax.data.placement import PlacedBatches
from mugv_jax.data.samples import SampleSource
from mugv_jax.data.schedule import Schedule
from mugv_jax.data.select import open_all
from mugv_jax.nn.mugdit.sizes import DiTConfig
from mugv_jax.sharding import mesh as meshes
from mugv_jax.sharding.parallel import check_batch
from mugv_jax.sharding.place import local_shards
from mugv_jax.systems.mugv import cost as flops
from mugv_jax.train.checkpoint import FOLDER, Checkpoints, frozen_elsewhere
from mugv_jax.train.evaluation import Evaluation
from mugv_jax.train.inputs import load_null_text
from mugv_jax.train.metrics import DATA, Clock, Scalars, Stretch, Work, Writer
from mugv_jax.train.program import KIND, Program
from mugv_jax.train.state import TrainState
from mugv_jax.train.stop import Stop
from mugv_jax.train.train_config import TrainConfig
from mugv_jax.weights.load import load

log = logging.getLogger(__name__)

AHEAD = 2  # steps in flight: enough to keep devices busy, few enough to stop at once


def train(config: TrainConfig, folder: Path, devices: Sequence[jax.Device] | None = None) -> int:
    """Trains up to `config.run.steps` in `folder`, on from its newest checkpoint if it has one.

    devices: those to train on; all by default.

    Returns the step that was reached: less than asked for after SIGTERM or SIGINT, which save.

    Raises:
        ValueError: data, weights, mesh or checkpoints that do not fit the config.
    """
    clock = Clock()
    with clock.losing("start"):
        program = Program(config, config.mesh.make_mesh(devices))
        source = open_all(config.data.paths)
        batches, held_out = _data(program, source)
        null = load_null_text(config)
        evaluation = None if held_out is None else Evaluation(program, held_out, null)
    return run_in(
        folder,
        program,
        batches,
        start,
        clock=clock,
        step=functools.partial(program.step, null=null),
        work=functools.partial(work_of, config.dit),
        evaluation=evaluation,
    )


def _data(program: Program, source: SampleSource) -> tuple[Batches, Validation | None]:
    """Batches to train on, and what is held out of them, if anything is."""
    config, mesh = program.config, program.mesh
    shared = {
        "shards": program.shards,
        "local": local_shards(mesh),
        "patch": config.dit.patch,
    }
    batches = make_batches(
        source,
        config.data,
        total_steps=config.run.steps,
        seed=config.run.seed,
        accumulation=config.run.accumulate,
        **shared,
    )
    _check_schedule(program, batches.schedule)
    for line in describe(batches.schedule):
        log.info("%s", line)
    if not config.data.holdout and not config.data.holdout_paths:
        log.info("no samples are held out (data.holdout): there is no validation.")
        return batches, None
    like = batches.schedule.buckets
    return batches, make_validation(source, config.data, like=like, **shared)


def _check_schedule(program: Program, schedule: Schedule) -> None:
    """Raise a ValueError where a batch does not divide, or processes see different samples."""
    config = program.config
    for bucket in schedule.buckets:
        check_batch(program.shards * bucket.rows, program.mesh, config.mesh)
    digest = np.frombuffer(bytes.fromhex(schedule.digest), np.uint8)
    digests = multihost_utils.process_allgather(digest).reshape(-1, digest.size)
    different = np.flatnonzero((digests != digests[0]).any(axis=1)).tolist()
    if different:
        raise ValueError(
            f"processes {different} read other samples than process 0: all need the same files at "
            f"data.paths={config.data.paths}, and the same config."
        )


def start(program: Program, batches: Batches, checkpoints: Checkpoints) -> TrainState:
    """The state to go on from; `batches` is set to where that was."""
    config = program.config
    newest = checkpoints.latest()
    if newest is None:
        if not config.run.weights:
            return program.init()
        return program.from_weights(_weights(program))
    log.info("going on from step %d in %s.", newest, checkpoints.folder)
    state, where = checkpoints.restore(newest, program)
    batches.set_state(where)
    if frozen_elsewhere(config):
        state = state.replace(frozen=program.frozen_under_lora(_weights(program)))
    return state


def _weights(program: Program) -> Any:
    """Float32 weights of `run.weights`, on the mesh.

    Raises:
        ValueError: they are of another size than the config's.
    """
    config = program.config
    found, variables = load(
        config.run.weights,
        KIND,
        shardings={"params": program.weight_shardings()},
        dtype="float32",
        collections=("params",),
        ema=config.run.ema_weights,
    )
    if found != config.dit:
        raise ValueError(
            f"run.weights={config.run.weights!r} are of {found}, but the config's dit is "
            f"{config.dit}: give the config of their size, or expand them first."
        )
    return variables["params"]


def work_of(dit: DiTConfig, batch: Mapping[str, jax.Array]) -> Work:
    """What a step of the DiT on `batch` is."""
    rows, *shape = batch["latent"].shape[:4]
    work = flops.train_step(dit, tuple(shape), batch["text"].shape[1]).model
    return Work(
        shape=(rows, *shape),
        samples=rows,
        tokens=rows * flops.dit_tokens(dit, tuple(shape)),
        flops=rows * work,
    )


@runtime_checkable
class Evaluates(Protocol):
    """How good a state is, on what was held out; see `Evaluation`."""

    def losses(self, state: Any) -> Scalars: ...

    def write_samples(self, state: Any, step: int, writer: Writer) -> None: ...


@dataclasses.dataclass(kw_only=True)
class Run:
    """What the loop needs besides the state that goes through it, for any model.

    program: has `config` (groups "run" and "log" at least), `mesh`, and what `Checkpoints` asks.
    step: (state, batch) -> (state, metrics).  work: batch -> what that step is.
    complete: the state as it is saved, with what is computed for that alone.
    """

    program: Any
    step: Callable[[Any, Mapping[str, jax.Array]], tuple[Any, dict[str, jax.Array]]]
    work: Callable[[Mapping[str, jax.Array]], Work]
    clock: Clock
    checkpoints: Checkpoints
    writer: Any
    evaluation: Evaluates | None
    complete: Callable[[Any], Any] = lambda state: state
    _compiled: set[tuple[int, ...]] = dataclasses.field(default_factory=set)

    def steps(self, state: Any, batches: PlacedBatches, stop: Stop) -> int:
        """From the state's step to the last one, or to that at which a stop was asked for."""
        config, last = self.program.config, self.program.config.run.steps
        step = int(state.step)
        stretch, in_flight = Stretch(self.clock), []
        with tqdm.tqdm(total=last, initial=step, unit="step", desc="training", disable=None) as bar:
            while step < last and not stop.asked(step):
                state, metrics = self._step(state, next(batches), stretch)
                self.clock.lost[DATA] = batches.waited_s
                step += 1
                bar.update()
                in_flight.append(metrics["loss"])
                if len(in_flight) > AHEAD:
                    in_flight.pop(0).block_until_ready()
                if step % config.log.every == 0 or step == last:
                    scalars = self._log(step, stretch)
                    bar.set_postfix(loss=scalars.get("train/loss"))
                    stretch = Stretch(self.clock)
                self._evaluate(step, state)
                if self.checkpoints.should_save(step):
                    self._save(step, state, batches)
        if self.checkpoints.latest() != step:
            self._save(step, state, batches)
        self.checkpoints.wait()
        if step < last:
            log.info("stopped and saved at step %d of %d; the same command goes on.", step, last)
        return step

    def _step(
        self, state: Any, batch: dict[str, jax.Array], stretch: Stretch
    ) -> tuple[Any, dict[str, jax.Array]]:
        work = self.work(batch)
        if work.shape in self._compiled:
            state, metrics = self.step(state, batch)
        else:
            log.info("compiling the step for %d samples of %s.", work.shape[0], work.shape[1:])
            with self.clock.losing("compile"):
                state, metrics = self.step(state, batch)
            self._compiled.add(work.shape)
        stretch.add(metrics, work)
        return state, metrics

    def _evaluate(self, step: int, state: Any) -> None:
        log_config = self.program.config.log
        if self.evaluation is None:
            return
        if due(log_config.validate_every, step):
            with self.clock.losing("validation"):
                self.writer.scalars(step, self.evaluation.losses(state))
        if due(log_config.sample_every, step):
            with self.clock.losing("samples"):
                self.evaluation.write_samples(state, step, self.writer)

    def _log(self, step: int, stretch: Stretch) -> dict[str, float]:
        devices = self.program.mesh.devices
        scalars = stretch.scalars(devices.size, peak_flops(devices.flat[0]))
        scalars |= self.clock.scalars()
        self.writer.scalars(step, scalars)
        return scalars

    def _save(self, step: int, state: Any, batches: PlacedBatches) -> None:
        with self.clock.losing("checkpoint"):
            state = self.complete(state)
            self.checkpoints.save(step, state, batches.get_state(), self.program)


def run_in(
    folder: Path,
    program: Any,
    batches: Batches,
    start: Callable[[Any, Batches, Checkpoints], Any],
    *,
    clock: Clock,
    **parts: Any,
) -> int:
    """Takes the steps of a run in its folder; the step that was reached.

    start: (program, batches, checkpoints) -> the state to go on from.  parts: others of `Run`.
    """
    config = program.config
    with (
        Checkpoints(folder / FOLDER, config.checkpoint) as checkpoints,
        Writer.of_run(folder, config) as writer,
        Stop(checkpoints).listening() as stop,
        meshes.use(program.mesh),
    ):
        with clock.losing("start"):
            state = start(program, batches, checkpoints)
        run = Run(program=program, clock=clock, checkpoints=checkpoints, writer=writer, **parts)
        with contextlib.closing(PlacedBatches(batches, program.mesh)) as placed:
            return run.steps(state, placed, stop)


def due(every: int, step: int) -> bool:
    """Whether something that happens every so many steps (0: never) happens after `step`."""
    return every > 0 and step % every == 0
