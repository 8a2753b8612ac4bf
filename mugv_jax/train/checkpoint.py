# Copyright 2026 The mugv_jax Authors
# SPDX-License-Identifier: Apache-2.0
"""Training checkpoints written by Orbax: train state, data iterator state and metadata.

RUN/checkpoints/STEP holds `state` (the tree below), `data` (position of the data iterator) and
`meta` (model, layout, config). It appears under its name only when complete. `weights/` reads the
parameters of such a checkpoint like any other weights.

    state = {"params", "frozen", "ema", "opt", "step", "skipped", "key", **extra} of `TrainState`

Frozen weights under LoRA and reference policies are not saved if they come from `run.weights`; a
resumed run loads them again.
"""

import contextlib
import dataclasses
import json
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import jax
import orbax.checkpoint as ocp
from etils import epath

from mugv_jax.train.program import Program
from mugv_jax.train.state import TrainState
from mugv_jax.train.train_config import CheckpointConfig
from mugv_jax.weights.store import refuse_other_model, save_args, training_metadata

FOLDER = "checkpoints"
PARTIAL = ".orbax-checkpoint-tmp"  # suffix of Orbax's folders that are not complete


class Checkpoints(contextlib.AbstractContextManager):
    """Orbax checkpoint manager of a run; on exit the context waits for pending writes.

    Raises:
        ValueError: a folder that cannot be written.
    """

    def __init__(self, folder: Path, config: CheckpointConfig):
        self.folder = folder
        self._pending = 0  # the step whose checkpoint is being written
        options = ocp.CheckpointManagerOptions(
            max_to_keep=config.keep,
            keep_period=config.archive or None,
            step_prefix=None,
            enable_async_checkpointing=True,
            cleanup_tmp_directories=True,  # of a run that was killed
        )
        try:
            folder.mkdir(parents=True, exist_ok=True)
            self._manager = ocp.CheckpointManager(
                epath.Path(folder.absolute()),
                options=options,
                item_names=("state", "data", "meta"),
            )
        except OSError as error:
            raise ValueError(f"{folder}: cannot be written ({error.strerror}).") from error

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        if kind is None:
            self._manager.close()
            return
        with contextlib.suppress(Exception):  # the same failure, which is being reported
            self._manager.close()
        if jax.process_index() == 0:
            for partial in self.folder.glob(f"*{PARTIAL}*"):
                shutil.rmtree(partial, ignore_errors=True)

    def latest(self) -> int | None:
        """Step of the newest complete checkpoint, or None."""
        return self._manager.latest_step()

    def stopping(self, step: int) -> bool:
        """Whether any host received a preemption signal; the same on all processes at `step`."""
        return self._manager.reached_preemption(step)

    def save(self, step: int, state: TrainState, data: dict[str, Any], program: Program) -> None:
        """Start an asynchronous write of a checkpoint.

        Raises:
            ValueError: the last write or this one failed; earlier checkpoints are unaffected.
        """
        meta, tree = _meta(program), _tree(state, program)
        items = ocp.args.Composite(
            state=ocp.args.StandardSave(tree, save_args=save_args(tree)),
            data=ocp.args.JsonSave(data),
            meta=ocp.args.JsonSave(meta),
        )
        self.wait()  # as Orbax would, but a failure is that of the earlier step
        with self._writing(step):
            self._manager.save(step, args=items, force=True)
        self._pending = step

    def wait(self) -> None:
        """Block until all pending writes are complete.

        Raises:
            ValueError: a write failed.
        """
        with self._writing(self._pending):
            self._manager.wait_until_finished()

    def restore(self, step: int, program: Program) -> tuple[TrainState, dict[str, Any]]:
        """(state on the program's mesh, data iterator state) of a checkpoint.

        Parts that the checkpoint does not hold are returned as shapes; see `Program.resumed`.

        Raises:
            ValueError: a checkpoint of another model, or a damaged one.
        """
        folder = self.folder / str(step)
        try:
            meta = self._manager.restore(step, args=ocp.args.Composite(meta=ocp.args.JsonRestore()))
            refuse_other_model(folder, meta["meta"], program.kind, program.model)
            wanted = json.loads(json.dumps(_meta(program)))
            program.objective.check_resumed(folder, meta["meta"]["train"], wanted["train"])
            target = _tree(program.abstract, program)
            found = self._manager.restore(
                step,
                args=ocp.args.Composite(
                    state=ocp.args.StandardRestore(target), data=ocp.args.JsonRestore()
                ),
            )
        except (OSError, KeyError, TypeError, json.JSONDecodeError) as error:
            reason = " ".join(f"{type(error).__name__}: {error}".split())
            raise ValueError(f"{folder}: a damaged checkpoint ({reason}).") from error
        return _state(found["state"], program), found["data"]

    @contextlib.contextmanager
    def _writing(self, step: int) -> Iterator[None]:
        try:
            yield
        except (OSError, ValueError) as error:
            latest = self.latest()
            kept = "none is complete yet" if latest is None else f"step {latest} is complete"
            reason = " ".join(str(error).split())[:300]
            raise ValueError(
                f"{self.folder}: the checkpoint of step {step} could not be written ({reason}); "
                f"{kept}. Free space and run the same command again: it resumes from the newest "
                "complete checkpoint."
            ) from error


def _meta(program: Program) -> dict[str, Any]:
    """Model and full config of a run, as JSON."""
    config = program.config
    return {
        **training_metadata(program.kind, program.model, config.lora),
        "weights": config.run.weights,
        "ema_weights": config.run.ema_weights,
        "train": dataclasses.asdict(config),
    }


def _tree(state: TrainState, program: Program) -> dict[str, Any]:
    """The parts of a state that are saved: not empty, and not loaded from other files."""
    unsaved = ("extra", *program.given, *program.reloaded)
    return {
        name: part
        for name, part in (vars(state) | state.extra).items()
        if name not in unsaved and jax.tree.leaves(part)
    }


def _state(tree: dict[str, Any], program: Program) -> TrainState:
    """The inverse of `_tree`; parts that were not saved are shapes."""
    extra = {name: tree.get(name, part) for name, part in program.abstract.extra.items()}
    found = {name: part for name, part in tree.items() if name not in extra}
    return program.abstract.replace(**found, extra=extra)
