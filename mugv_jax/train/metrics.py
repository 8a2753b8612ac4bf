# Copyright 2026 The mugv_jax Authors
# SPDX-License-Identifier: Apache-2.0
"""Metrics of a training run: losses, throughput, MFU and goodput, and their writers."""

import contextlib
import dataclasses
import json
import logging
import math
import time
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import jax
import numpy as np

from mugv_jax.data.whole_files import write_whole
from mugv_jax.train.tasks import TASKS
from mugv_jax.video import contact_sheet

log = logging.getLogger(__name__)

Scalars = dict[str, float]

METRICS, BOARD, PICTURES = "metrics.jsonl", "tensorboard", "pictures"
DATA = "data"  # waiting for data is part of a step's time, but not of goodput


class Clock:
    """Wall time since the start, and the time lost to anything but training steps, by cause."""

    def __init__(self):
        self.start = time.monotonic()
        self.lost: dict[str, float] = {}

    @contextlib.contextmanager
    def losing(self, what: str) -> Iterator[None]:
        """Context whose duration counts as lost time, under the cause `what`."""
        start = time.monotonic()
        try:
            yield
        finally:
            seconds = time.monotonic() - start
            self.lost[what] = self.lost.get(what, 0.0) + seconds
            log.debug("%s took %.2f s", what, seconds)

    @property
    def elapsed(self) -> float:
        """Seconds since the start."""
        return time.monotonic() - self.start

    @property
    def stopped(self) -> float:
        """Seconds of lost time, without the time spent waiting for data."""
        return sum(seconds for what, seconds in self.lost.items() if what != DATA)

    def scalars(self) -> Scalars:
        """Shares of wall time: `time/goodput` for training steps, `time/CAUSE` for lost time."""
        elapsed = max(self.elapsed, 1e-9)
        shares = {f"time/{what}": seconds / elapsed for what, seconds in self.lost.items()}
        return shares | {"time/goodput": 1 - min(1.0, sum(self.lost.values()) / elapsed)}


class Work(NamedTuple):
    """Samples, tokens and FLOPs of one step, summed over all devices.

    shape: shape of the batch.
    flops: floating-point operations of the model; None if they are not counted.
    """

    shape: tuple[int, ...]
    samples: int
    tokens: int
    flops: int | None


class Interval:
    """Accumulator of metrics and work between two logged lines.

    Metrics stay on the devices until `scalars` reads them, so that no step waits for a transfer.
    """

    def __init__(self, clock: Clock):
        self._clock = clock
        self._metrics: list[Mapping[str, jax.Array]] = []
        self._work = np.zeros(3)  # samples, tokens, floating point operations
        self._start, self._stopped = clock.elapsed, clock.stopped

    def add(self, metrics: Mapping[str, jax.Array], work: Work) -> None:
        """Add one step."""
        self._metrics.append(metrics)
        self._work += (work.samples, work.tokens, work.flops or 0)

    def scalars(self, devices: int, peak_flops: float | None) -> Scalars:
        """Metrics averaged over the steps, and throughput; blocks until the last step is done.

        peak_flops: peak FLOP/s of one device in the compute dtype; None if unknown.
        """
        found = [jax.device_get(metrics) for metrics in self._metrics]
        stopped = self._clock.stopped - self._stopped
        seconds = max(1e-9, self._clock.elapsed - self._start - stopped)
        samples, tokens, flops = self._work
        # A step with a non-finite loss or gradient changed nothing.
        finite = [each for each in found if all(np.isfinite(x).all() for x in each.values())]
        last = found[-1]
        # Steps of different phases have different metrics.
        names = {name for each in finite for name, x in each.items() if not np.ndim(x)} - {*LAST}
        scalars = {
            f"train/{name}": float(np.mean([each[name] for each in finite if name in each]))
            for name in sorted(names)
        }
        scalars |= {f"train/{name}": float(last[name]) for name in LAST}
        scalars |= task_means(finite)
        scalars |= {
            "speed/seconds_per_step": seconds / len(found),
            "speed/samples_per_second": samples / seconds,
            "speed/tokens_per_second": tokens / seconds,
        }
        if flops:
            scalars["speed/tflops_per_device"] = flops / seconds / devices / 1e12
        if flops and peak_flops is not None:
            scalars["speed/mfu"] = flops / seconds / devices / peak_flops
        return scalars


LAST = ("param_norm", "learning_rate", "skipped")


def task_means(found: Sequence[Mapping[str, np.ndarray]]) -> Scalars:
    """Mean loss of every task that was drawn; empty for an objective without tasks.

    Steps of a named source have "SOURCE/task_loss" and "SOURCE/task_count", and "task/SOURCE/TASK".
    """
    scalars: Scalars = {}
    for key in sorted({key for each in found for key in each if key.endswith("task_loss")}):
        source = key.removesuffix("task_loss")
        steps = [each for each in found if key in each]
        loss, count = (
            np.sum([each[source + name] for each in steps], axis=0)
            for name in ("task_loss", "task_count")
        )
        means = zip(TASKS, loss, count)
        scalars |= {f"task/{source}{name}": float(x / n) for name, x, n in means if n}
    return scalars


class Writer:
    """Writer of scalars and images to TensorBoard, `metrics.jsonl` and, optionally, W&B.

    config: dataclass of a run with the group "log".
    """

    @classmethod
    def of_run(
        cls, folder: Path, config: Any
    ) -> "contextlib.AbstractContextManager[Writer | Silent]":
        """Context with the writer of this process; only process 0 writes."""
        if jax.process_index() > 0:
            return contextlib.nullcontext(Silent())
        return contextlib.closing(cls(folder, config))

    def __init__(self, folder: Path, config: Any):
        from tensorboardX import SummaryWriter

        self._folder = folder
        self._board = SummaryWriter(logdir=str(folder / BOARD))
        self._lines = (folder / METRICS).open("a")
        self._wandb = None
        if config.log.wandb:
            try:
                import wandb  # pyright: ignore[reportMissingImports] - an extra
            except ImportError as error:
                raise ValueError(
                    f"log.wandb={config.log.wandb!r} needs the package wandb: "
                    "pip install 'mugv_jax[wandb]'."
                ) from error
            self._wandb = wandb
            wandb.init(
                project=config.log.wandb,
                name=folder.name,
                config=dataclasses.asdict(config),
                resume="allow",
            )

    def resume(self, step: int) -> None:
        """Drop lines of steps after `step`, which a run that was killed wrote and will repeat."""
        path = Path(self._lines.name)
        lines = path.read_bytes().splitlines(keepends=True)
        kept = [line for line in lines if _step(line) <= step]
        if len(kept) < len(lines):
            self._lines.close()
            write_whole(path, b"".join(kept))
            self._lines = path.open("a")

    def scalars(self, step: int, values: Scalars) -> None:
        """Write the values of one step, and flush."""
        for name, value in values.items():
            self._board.add_scalar(name, value, step)
        self._board.flush()
        try:
            self._lines.write(json.dumps({"step": step, **values}) + "\n")
            self._lines.flush()
        except OSError as error:  # the error of a full disk does not name the file
            raise OSError(error.errno, error.strerror, self._lines.name) from error
        if self._wandb is not None:
            self._wandb.log(dict(values), step=step)

    def frames(self, step: int, name: str, frames: np.ndarray) -> None:
        """Write uint8 frames (f h w 3) as one image, side by side."""
        strip = np.concatenate(list(frames), axis=1)
        self._board.add_image(name, strip, step, dataformats="HWC")
        self._board.flush()
        if self._wandb is not None:
            self._wandb.log({name: self._wandb.Image(strip)}, step=step)

    def sheet(self, step: int, rows: Sequence[np.ndarray]) -> None:
        """Write rows of frames, uint8 (h w 3) of one size, as one picture of this step."""
        folder = self._folder / PICTURES
        folder.mkdir(exist_ok=True)
        path = folder / f"step_{step:06d}.png"
        contact_sheet.write_contact_sheet(path, rows)
        log.info("wrote %s", path)

    def close(self) -> None:
        """Close all files and writers."""
        self._board.close()
        with contextlib.suppress(OSError):  # of a full disk again, which is being reported
            self._lines.close()
        if self._wandb is not None:
            self._wandb.finish()


def _step(line: bytes) -> float:
    """The step of a line of metrics; infinity for a line that was not written to its end."""
    try:
        return json.loads(line)["step"] if line.endswith(b"\n") else math.inf
    except (ValueError, KeyError, TypeError):
        return math.inf


class Silent:
    """A `Writer` that writes nothing."""

    def resume(self, step: int) -> None: ...

    def scalars(self, step: int, values: Scalars) -> None: ...

    def frames(self, step: int, name: str, frames: np.ndarray) -> None: ...

    def sheet(self, step: int, rows: Sequence[np.ndarray]) -> None: ...
