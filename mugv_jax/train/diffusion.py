# Copyright 2026 The mugv_jax Authors
# SPDX-License-Identifier: Apache-2.0
"""Training of a diffusion transformer: builds program, data and evaluation from a config."""

import dataclasses
import functools
import json
import logging
from collections.abc import Collection, Mapping, Sequence
from pathlib import Path

import jax
import numpy as np
from jax.experimental import multihost_utils
from jax.sharding import Mesh

from mugv_jax.data.adapt import fitted_to_samples, validates
from mugv_jax.data.batches import Batches, Validation, make_batches, make_validation
from mugv_jax.data.data_config import DataConfig
from mugv_jax.data.describe import describe
from mugv_jax.data.interleave import (
    interleaved_batches,
    joined_validation,
    phased_batches,
    source_order,
)
from mugv_jax.data.open import open_all
from mugv_jax.data.samples import SampleSource
from mugv_jax.data.schedule import Schedule
from mugv_jax.data.whole_files import write_whole
from mugv_jax.problems import Problems
from mugv_jax.progress import stage
from mugv_jax.sharding.parallel import check_batch
from mugv_jax.sharding.place import local_shards
from mugv_jax.systems.mugv.defaults import FILE as DEFAULTS
from mugv_jax.systems.system import find
from mugv_jax.train import objectives
from mugv_jax.train.adapt import fitted_intervals, fitted_to_steps
from mugv_jax.train.evaluation import Evaluation, check_vae
from mugv_jax.train.inputs import (
    abstract_null_text,
    check_initial,
    load_null_text,
    load_weights,
)
from mugv_jax.train.loop import run_in
from mugv_jax.train.metrics import Clock
from mugv_jax.train.noising import NULL_TEXT, NullText
from mugv_jax.train.objectives.flow_matching import Part
from mugv_jax.train.optimizer import learning_rate
from mugv_jax.train.program import Program
from mugv_jax.train.reference import REFERENCE
from mugv_jax.train.train_config import DiTTrainConfig

log = logging.getLogger(__name__)


def train(
    config: DiTTrainConfig,
    folder: Path,
    devices: Sequence[jax.Device] | None = None,
    asked: Collection[str] = (),
) -> int:
    """Train up to `config.run.steps` in `folder`, resuming from its newest checkpoint if any.

    devices: devices to train on; all by default.
    asked: fields, such as "data.holdout", that are used as they are. Others adapt to a short run or
        to few samples (`train/adapt.py`, `data/adapt.py`).

    A model that is sampled otherwise than its start, such as one of few steps, has a
    `defaults.json` in the folder, which `generate --dit` and `--lora` read.

    Returns the last step taken: below `config.run.steps` after SIGTERM or SIGINT, which save a
    checkpoint and stop.

    Raises:
        ValueError: data, weights, mesh or checkpoints that do not match the config; all that can
            be found before the first step is in one `Several`.
    """
    clock = Clock()
    with clock.losing("start"):
        program, batches, evaluation = _checked(config, folder, devices, asked)
    places = program.weight_shardings
    weights = functools.partial(load_weights, program, shardings=places, collections=("params",))
    last = run_in(folder, program, batches, weights, clock=clock, evaluation=evaluation)
    defaults = program.objective.defaults
    if defaults and jax.process_index() == 0:
        write_whole(folder / DEFAULTS, (json.dumps(defaults, indent=2) + "\n").encode())
    return last


def _checked(
    config: DiTTrainConfig,
    folder: Path,
    devices: Sequence[jax.Device] | None,
    asked: Collection[str],
) -> tuple[Program, Batches, Evaluation | None]:
    """Everything that a run starts with; a `Problems` collects what is wrong with it."""
    problems, mesh, found = Problems(), None, {}
    config = fitted_to_steps(config, asked)
    null = abstract_null_text(config)
    with problems:
        learning_rate(config.optimizer, config.run.steps)
    with problems:
        mesh = config.mesh.make_mesh(devices)
    with problems:
        check_initial(config.run, find(config.system).kinds["dit"], config.dit, folder)
    with problems:
        check_vae(config.log)
    with problems:
        parts = parts_of(config).values()
        null = load_null_text(config, [path for part in parts for path in part.config.data.paths])
    with problems, stage("reading the samples"):
        found = opened(config, asked)
        if "" in found:
            config = dataclasses.replace(config, data=found[""].data)
        if any(each.data.holdout or each.data.holdout_paths for each in found.values()):
            config = fitted_intervals(config, asked)
    if mesh is None or not found:
        problems.check()
        assert mesh is not None
    program = batches = evaluation = None
    with problems:
        program = make_program(config, mesh, null)
        batches, held_out = _data(program, found, asked)
        evaluation = None if held_out is None else Evaluation(program, held_out)
    problems.check()
    assert program is not None
    assert batches is not None
    if REFERENCE in program.objective.roles and not config.run.weights:
        log.warning(
            "run.weights is not set: %s starts from random weights, which are its reference too.",
            config.objective.name,
        )
    return program, batches, evaluation


@dataclasses.dataclass(frozen=True)
class Opened:
    """An opened source of a run's batches.

    data: its config, fitted to the samples.  samples: all of them.  share: see `Part`.
    """

    data: DataConfig
    samples: SampleSource
    share: int


def parts_of(config: DiTTrainConfig) -> Mapping[str, Part]:
    """The sources of a run's batches by name; a run of one source has one, named "".

    Raises:
        ValueError: samples that belong to no source.
    """
    return objectives.find(config.objective.name).OBJECTIVE.parts(config)


def opened(config: DiTTrainConfig, asked: Collection[str] = ()) -> Mapping[str, Opened]:
    """The sources of a run's batches, opened.

    asked: see `train`.

    Raises:
        ValueError: samples that cannot be used, of any of the sources.
    """
    found, problems = {}, Problems()
    for name, part in parts_of(config).items():
        own = part.config
        try:
            fields = objectives.find(own.objective.name).OBJECTIVE.fields(own)
            samples = open_all(own.data.paths, fields)
        except ValueError as error:
            problems.add(error, f"objective.sources.{name}: " if name else "")
        else:
            found[name] = Opened(fitted_to_samples(own.data, samples, asked), samples, part.share)
    problems.check()
    return found


def make_program(
    config: DiTTrainConfig, mesh: Mesh, null: NullText, *, abstract: bool = False
) -> Program:
    """The compiled functions of the config's objective on `mesh`.

    null: text features that replace a dropped caption, or their shapes.
    abstract: take shapes in place of the objective's inputs of the whole run, and read no weights.

    Raises:
        ValueError: a network that the mesh cannot shard, patterns that match no parameter, or
            inputs of the whole run that cannot be read.
    """
    objective = objectives.find(config.objective.name).OBJECTIVE.build(config, mesh)
    given = objective.given(abstract=abstract)
    return Program(config, mesh, objective, {NULL_TEXT: null, **given})


def _data(
    program: Program, found: Mapping[str, Opened], asked: Collection[str]
) -> tuple[Batches, Validation | None]:
    """Training batches, and validation batches if samples are held out, of all sources."""
    config, mesh = program.config, program.mesh
    shared = {
        "shards": program.shards,
        "local": local_shards(mesh),
        "tokens": functools.partial(find(config.system).costs.tokens, config.dit),
    }
    shares = {name: each.share for name, each in found.items()}
    counts = np.bincount(source_order(shares, config.run.steps)).tolist()
    training, held_out = {}, {}
    for (name, each), steps in zip(found.items(), counts, strict=True):
        training[name] = batches = make_batches(
            each.samples,
            each.data,
            total_steps=steps,
            seed=config.run.seed,
            accumulation=config.run.accumulate,
            **shared,
        )
        schedule = batches.schedule
        assert isinstance(schedule, Schedule)
        _check_schedule(program, schedule, each.data.paths)
        if name:
            log.info("source %s, %d of %d steps:", name, steps, config.run.steps)
        for line in describe(schedule, patch=config.dit.patch):
            log.info("%s", line)
        if validates(each.data, each.samples, schedule.buckets, asked):
            held_out[name] = make_validation(
                each.samples, each.data, like=schedule.buckets, **shared
            )
    batches = interleaved_batches(training, shares, config.data)
    return (
        phased_batches(batches, program.objective.phases, config.data),
        joined_validation(held_out, config.data),
    )


def _check_schedule(program: Program, schedule: Schedule, paths: Sequence[str]) -> None:
    """Raise a ValueError if a batch cannot be sharded evenly or processes see different samples.

    paths: those of the samples.
    """
    config = program.config
    for bucket in schedule.buckets:
        check_batch(program.shards * bucket.rows, program.mesh, config.mesh)
    digest = np.frombuffer(bytes.fromhex(schedule.digest), np.uint8)
    digests = multihost_utils.process_allgather(digest).reshape(-1, digest.size)
    different = np.flatnonzero((digests != digests[0]).any(axis=1)).tolist()
    if different:
        raise ValueError(
            f"processes {different} read other samples than process 0: all need the same files at "
            f"{tuple(paths)}, and the same config."
        )
