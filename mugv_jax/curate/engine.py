# Copyright 2026 The mugv_jax Authors
# SPDX-License-Identifier: Apache-2.0
"""Engines that carry rows through the stages of a phase: a plain loop, and Ray Data.

    unit (a video, or some clips of one)  ->  stage  ->  ...  ->  stage  ->  a part on disk

Both call the same functions and write the same parts, so a run may be interrupted under one and
continued under the other. A unit over which the process died twice is set aside (`crashes`).
"""

import contextlib
import dataclasses
import functools
import hashlib
import json
import logging
import pickle
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from mugv_jax.curate.crashes import CRASHED, Notes
from mugv_jax.curate.ray_cluster import cluster
from mugv_jax.curate.stage import Columns, Row, Stage
from mugv_jax.curate.table import Parts, column_types
from mugv_jax.files import shortened
from mugv_jax.progress import Bar

log = logging.getLogger(__name__)

PROBLEM = "problem"  # column: why a file or clip could not be processed
LONGEST_PROBLEM = 300


Seconds = dict[str, float]  # of a processor, by stage


@dataclasses.dataclass(frozen=True)
class Unit:
    """What is worked on at once and finished together; `key` names its part."""

    key: str
    rows: Sequence[Row]


@dataclasses.dataclass(frozen=True)
class Phase:
    """Stages that follow each other without a look at other units.

    reads: columns of the units' rows.
    """

    name: str
    unit: str
    stages: tuple[Stage, ...]
    reads: Columns

    @property
    def columns(self) -> Columns:
        """All columns of the phase's parts."""
        return column_types(
            self.reads, *(stage.WRITES for stage in self.stages), {PROBLEM: "string"}
        )

    @property
    def digest(self) -> str:
        """Hash of the stages and their settings, which all parts of a folder share."""
        told = [
            [stage.NAME, dataclasses.asdict(stage), dict(stage.WRITES)] for stage in self.stages
        ]
        return hashlib.sha256(json.dumps(told, sort_keys=True).encode()).hexdigest()[:12]

    def parts(self, folder: Path) -> Parts:
        """Parts of the phase in the folder of a run."""
        return Parts(folder / "parts" / f"{self.name}-{self.digest}", self.columns)

    def notes(self, folder: Path) -> Notes:
        """Notes of the units in progress in the folder of a run."""
        return Notes(folder / "parts" / f".working-{self.name}-{self.digest}")


class Carrier:
    """A group of stages as Ray Data and the loop call it: one unit in, the same unit out.

    A unit in which a stage fails gets the reason in `PROBLEM`, and passes the rest untouched. So
    does one over which the process died before, as `notes` tell.
    """

    def __init__(self, stages: Sequence[Stage], notes: Notes):
        self.stages, self.notes = stages, notes

    def work(self, key: str, rows: Sequence[Row], seconds: Seconds) -> list[Row]:
        """Rows of the unit `key` after the stages."""
        with self.notes.working(key) as safe:
            return self.rows(rows, seconds) if safe else [{**row, PROBLEM: CRASHED} for row in rows]

    def rows(self, rows: Sequence[Row], seconds: Seconds) -> list[Row]:
        """Rows after the stages; those with a problem stay as they are."""
        good = [row for row in rows if row.get(PROBLEM) is None]
        bad = [dict(row) for row in rows if row.get(PROBLEM) is not None]
        for stage in self.stages:
            if not good:
                break
            start = time.process_time()
            made = _guarded(stage, good)
            taken = time.process_time() - start
            seconds[stage.NAME] = seconds.get(stage.NAME, 0.0) + taken
            good = [row for row in made if row.get(PROBLEM) is None]
            bad += [row for row in made if row.get(PROBLEM) is not None]
        return good + bad

    def __call__(self, item: dict[str, Any]) -> dict[str, Any]:
        rows, seconds = pickle.loads(item["unit"])
        rows = self.work(item["key"], rows, seconds)
        return {"key": item["key"], "unit": pickle.dumps((rows, seconds))}


def _guarded(stage: Stage, rows: Sequence[Row]) -> list[Row]:
    """Rows after the stage; where it fails on all of them together, one by one."""
    try:
        return stage(rows)
    except (ValueError, OSError, MemoryError) as error:
        if len(rows) == 1:
            told = _without_path(str(error), rows[0].get("path"))
            reason = shortened(" ".join(f"{stage.NAME}: {told}".split()), LONGEST_PROBLEM)
            return [{**rows[0], PROBLEM: reason}]
    return [made for row in rows for made in _guarded(stage, [row])]


def _without_path(message: str, path: str | None) -> str:
    """A message about a file without the file's path, which its row has."""
    for noun in ("video ", "image ", "") if path else ():
        message = message.replace(f"{noun}{path!r}", f"the {noun or 'file'}".strip())
    return message


def run(phase: Phase, units: Sequence[Unit], folder: Path, workers: int | None) -> Parts:
    """Works on the units that have no part yet; returns all parts.

    workers: processors that Ray Data may use; None runs a plain loop in this process.
    """
    parts = phase.parts(folder)
    todo = [unit for unit in units if not parts.has(unit.key)]
    if len(todo) < len(units):
        log.info("%s: %d of %d %ss are done.", phase.name, len(units) - len(todo), len(units),
                 phase.unit)  # fmt: skip
    if not todo:
        return parts
    notes = phase.notes(folder)
    if workers is None:
        carried = _loop(phase, todo, parts, notes)
    else:
        carried = _ray(phase, todo, parts, notes, workers)
    done = len(units) - len(todo)
    with Bar(phase.name, total=len(units), unit=phase.unit, done=done) as bar:
        bar.update(0)  # speed counts from here: units of Ray end in bursts
        for _ in carried:
            bar.update()
    return parts


def _loop(phase: Phase, todo: Sequence[Unit], parts: Parts, notes: Notes) -> Iterator[str]:
    carrier = Carrier(phase.stages, notes)
    for unit in todo:
        seconds: Seconds = {}
        rows = carrier.work(unit.key, unit.rows, seconds)
        parts.write(unit.key, rows, seconds)
        notes.settle(unit.key)
        yield unit.key


def _groups(stages: Sequence[Stage]) -> list[tuple[Stage, ...]]:
    """Stages that share a process: each with a model has its own, others are joined."""
    groups: list[tuple[Stage, ...]] = []
    for stage in stages:
        if groups and not stage.MODEL and not groups[-1][-1].MODEL:
            groups[-1] = (*groups[-1], stage)
        else:
            groups.append((stage,))
    return groups


def _ray(
    phase: Phase, todo: Sequence[Unit], parts: Parts, notes: Notes, workers: int
) -> Iterator[str]:
    with cluster(workers) as data, _workers_ended_on_purpose(notes):
        items = [{"key": unit.key, "unit": pickle.dumps((list(unit.rows), {}))} for unit in todo]
        # A block is a unit: blocks are what Ray schedules, and what it holds back.
        flow = data.from_items(items, override_num_blocks=len(items))
        groups = _groups(phase.stages)
        share = 1 / (len(groups) + 1)  # every group has an actor, also on one processor
        for group in groups:
            flow = flow.map(
                Carrier,
                fn_constructor_args=(group, notes),
                num_cpus=share,
                compute=data.ActorPoolStrategy(min_size=1, max_size=max(1, workers)),
            )
        flow = flow.map(functools.partial(_write, parts, notes), num_cpus=share)
        for row in flow.iter_rows():
            yield row["key"]


@contextlib.contextmanager
def _workers_ended_on_purpose(notes: Notes) -> Iterator[None]:
    """Context that an interruption ends together with the workers, who died over no unit."""
    try:
        yield
    except (KeyboardInterrupt, GeneratorExit):
        notes.forget()
        raise


def _write(parts: Parts, notes: Notes, item: dict[str, Any]) -> dict[str, Any]:
    rows, seconds = pickle.loads(item["unit"])
    parts.write(item["key"], rows, seconds)
    notes.settle(item["key"])
    return {"key": item["key"]}
