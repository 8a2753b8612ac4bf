# Copyright 2026 The mugv_jax Authors
# SPDX-License-Identifier: Apache-2.0
"""Training loop, which holds all side effects of a run.

for every batch: state = step(state, batch); at their intervals log, validate, sample, save
"""

import contextlib
import dataclasses
import logging
import time
from collections.abc import Callable, Hashable, Iterator, Mapping
from pathlib import Path
from typing import Any, Protocol, runtime_checkable

import jax

from mugv_jax.cost.chips import peak_of
from mugv_jax.data.batches import Batches
from mugv_jax.data.folder_lock import only_process
from mugv_jax.data.placement import PlacedBatches
from mugv_jax.data.serve.client import ServerAway
from mugv_jax.files import removed_on_error
from mugv_jax.progress import Bar, stage
from mugv_jax.sharding import mesh as meshes
from mugv_jax.train.checkpoint import FOLDER, Checkpoints
from mugv_jax.train.display import Display, shape_text, validated
from mugv_jax.train.metrics import BOARD, DATA, METRICS, Clock, Interval, Scalars, Writer
from mugv_jax.train.program import Program
from mugv_jax.train.state import TrainState
from mugv_jax.train.stop import Stop

log = logging.getLogger(__name__)

AHEAD = 2  # steps in flight: enough to keep devices busy, few enough to stop quickly


@runtime_checkable
class Evaluates(Protocol):
    """Interface of an evaluation on held-out data; see `Evaluation`."""

    def losses(self, state: TrainState) -> Scalars: ...

    def write_samples(self, state: TrainState, step: int, writer: Any) -> None: ...


@dataclasses.dataclass(kw_only=True)
class Run:
    """Training loop of a run: steps, logging, validation and checkpoints.

    complete: applied to the state before a save; adds values computed only for checkpoints.
    """

    program: Program
    clock: Clock
    checkpoints: Checkpoints
    writer: Any
    evaluation: Evaluates | None
    complete: Callable[[TrainState], TrainState] = lambda state: state
    _compiled: set[Hashable] = dataclasses.field(default_factory=set)
    _bar: Bar = dataclasses.field(default_factory=lambda: Bar("training", shown=False))

    def steps(self, state: TrainState, batches: PlacedBatches, stop: Stop) -> int:
        """Train from the state's step to the last one, or until a stop is requested.

        Returns the last step taken.
        """
        last, step = self.program.config.run.steps, int(state.step)
        interval, in_flight = Interval(self.clock), []
        with Bar("training", total=last, done=step) as self._bar:
            display = Display(self._bar, self.program.objective.COUNTED)
            while step < last and not stop.asked(step):
                try:
                    batch = next(batches)
                except ServerAway:
                    break  # the run is asked to stop, and saves what it has
                state, metrics, counted = self._step(state, batch, interval)
                self.clock.lost[DATA] = batches.waited_s
                step += 1
                in_flight.append((metrics, counted))
                if len(in_flight) > AHEAD:
                    display.step(*in_flight.pop(0))
                self._bar.update()
                if due(self.program.config.log.every, step) or step == last:
                    display.line(self._log(step, interval))
                    interval = Interval(self.clock)
                self._evaluate(step, state)
                if due(self.program.config.checkpoint.every, step):
                    self._save(step, state, batches)
            if self.checkpoints.latest() != step:
                self._save(step, state, batches)
            self.checkpoints.wait()
        self._say_end(step)
        return step

    def _step(
        self, state: TrainState, batch: dict[str, jax.Array], interval: Interval
    ) -> tuple[TrainState, dict[str, jax.Array], int]:
        """(state, metrics, tokens or whatever the objective counts) of one step."""
        objective = self.program.objective
        work = objective.work(batch)
        compiled = (work.shape, objective.variant(batch))
        if compiled in self._compiled:
            state, metrics = self.program.step(state, batch)
        else:
            log.info("compiling the step for %s.", shape_text(work.shape))
            start = time.monotonic()
            with self._doing("compile", "compiling"):
                state, metrics = self.program.step(state, batch)
            log.info("compiled in %.1f s.", time.monotonic() - start)
            self._compiled.add(compiled)
        interval.add(metrics, work)
        return state, metrics, objective.counted(work)

    def _evaluate(self, step: int, state: TrainState) -> None:
        log_config = self.program.config.log
        if self.evaluation is None:
            return
        if due(log_config.validate_every, step):
            with self._doing("validation", "validating"):
                scalars = self.evaluation.losses(state)
                self.writer.scalars(step, scalars)
            log.info("%s", validated(step, scalars))
        if due(log_config.sample_every, step):
            with self._doing("samples", "sampling"):
                self.evaluation.write_samples(state, step, self.writer)
            log.info("step %d: samples are in the curves.", step)

    def _log(self, step: int, interval: Interval) -> dict[str, float]:
        devices = self.program.mesh.devices
        scalars = interval.scalars(devices.size, peak_of(devices.flat[0].device_kind))
        scalars |= self.clock.scalars()
        self.writer.scalars(step, scalars)
        return scalars

    def _save(self, step: int, state: TrainState, batches: PlacedBatches) -> None:
        with self._doing("checkpoint", "saving"):
            state = self.complete(state)
            self.checkpoints.save(step, state, batches.get_state(), self.program)

    @contextlib.contextmanager
    def _doing(self, cause: str, words: str) -> Iterator[None]:
        """Context whose time is lost to `cause`, and in which the bar says `words`."""
        with self.clock.losing(cause), self._bar.doing(words):
            yield

    def _say_end(self, step: int) -> None:
        """Say where the results are, or how to go on."""
        last, folder = self.program.config.run.steps, self.checkpoints.folder
        if step < last:
            log.info("stopped and saved at step %d of %d; the same command resumes.", step, last)
            return
        log.info("finished %d steps; checkpoints are in %s.", step, folder)
        log.info("Curves: tensorboard --logdir %s; numbers: %s.", folder.parent / BOARD,
                 folder.parent / METRICS)  # fmt: skip


def run_in(
    folder: Path,
    program: Program,
    batches: Batches,
    load_weights: Callable[[], Mapping[str, Any]],
    *,
    clock: Clock,
    **parts: Any,
) -> int:
    """Train in `folder`, resuming from its newest checkpoint if any.

    A folder that is made here is removed if the run cannot start.

    load_weights: () -> initial variables by collection, on the mesh; missing ones are initialised
        randomly.
    parts: further fields of `Run`.

    Returns the last step taken.

    Raises:
        ValueError: another run trains in `folder`, or a checkpoint that does not fit the program.
    """
    config = program.config
    with (
        removed_on_error(folder) as kept,
        # One process of a run has the lock for all.
        only_process(folder) if jax.process_index() == 0 else contextlib.nullcontext(),
        Checkpoints(folder / FOLDER, config.checkpoint) as checkpoints,
        Writer.of_run(folder, config) as writer,
        Stop(checkpoints).listening() as stop,
        meshes.use(program.mesh),
    ):
        with clock.losing("start"):
            newest = checkpoints.latest()
            writer.resume(newest or 0)
            if newest is None:
                with stage("preparing the weights"):
                    state = program.start(load_weights())
            else:
                log.info("resuming from step %d in %s.", newest, checkpoints.folder)
                with stage("reading the checkpoint"):
                    state, where = checkpoints.restore(newest, program)
                    batches.set_state(where)
                    params = load_weights()["params"] if program.reloaded else None
                    state = program.resumed(state, params)
        kept.append(True)  # from here on a failure leaves metrics and checkpoints of use
        run = Run(program=program, clock=clock, checkpoints=checkpoints, writer=writer, **parts)
        with contextlib.closing(PlacedBatches(batches, program.mesh)) as placed:
            return run.steps(state, placed, stop)


def due(every: int, step: int) -> bool:
    """Whether an action with period `every` is due after `step`; 0 is never."""
    return every > 0 and step % every == 0
