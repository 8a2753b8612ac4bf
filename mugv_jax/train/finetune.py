# Copyright 2026 The mugv_jax Authors
# SPDX-License-Identifier: Apache-2.0
"""Settings of a fine-tuning run with low-rank updates, chosen from the weights and the samples.

Every choice is a field of the training config with the reason for its value, so that it can be
printed, and replaced by the user's own.
"""

import collections
import dataclasses
import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from ml_collections import ConfigDict

from mugv_jax.axes import Int
from mugv_jax.nn.mugdit.sizes import DiTConfig
from mugv_jax.systems.mugv.defaults import Defaults
from mugv_jax.systems.mugv.system import SYSTEM, MugvConfig

LARGE = 10**9  # parameters of the blocks from which on memory decides, not speed
PASSES = 100  # how often every clip is seen
STEPS = (400, 2000)  # fewest and most
ROWS = 24  # samples of a step on a small model
RANK = 16
PER_RUN = 4  # times that a run saves and shows samples
HOLDOUT_FROM, HOLDOUT = 40, 0.05  # samples from which on some are held out, and their share
PREVIEWS = 4  # captions whose samples are shown
PUBLISHED_SIZE, PUBLISHED_FRAMES = (640, 352), 49
PUBLISHED_PIXELS = math.prod(PUBLISHED_SIZE)
# Text reaches the picture through these alone, so that little else changes (arXiv:2212.04488).
TARGETS = ("^blocks/cross_attention/(q|kv|out)$",)
OWN_SHARE = 0.5  # of the steps' samples, where the model's own clips are trained on as well


@dataclasses.dataclass(frozen=True, kw_only=True)
class Base:
    """The weights that are fine-tuned.

    dit, vae: files.
    defaults: how clips are generated.
    stated: whether the weights come with these defaults, so that they know one size of clips only.
    """

    dit: Path
    vae: Path
    config: MugvConfig
    defaults: Defaults
    stated: bool

    @property
    def large(self) -> bool:
        """Whether a step must save memory."""
        assert self.config.dit is not None
        return is_large(self.config.dit)


def is_large(dit: DiTConfig) -> bool:
    """Whether the matrices of the blocks hold more than LARGE numbers, about 16 width^2 a block."""
    return dit.depth * 16 * dit.width**2 > LARGE


@dataclasses.dataclass(frozen=True, kw_only=True)
class Samples:
    """What there is to train on.

    own, prior: folders of the user's samples and of the model's own; the latter may be None.
    shapes: latent shape (f, h, w) of each of the user's samples.
    priors: number of the model's own samples.
    text_tokens: length of the longest caption.
    """

    own: Path
    shapes: Int[np.ndarray, "n 3"]
    text_tokens: int
    prior: Path | None = None
    priors: int = 0

    @property
    def clips(self) -> int:
        """Number of the user's samples that move."""
        return int((self.shapes[:, 0] > 1).sum())


@dataclasses.dataclass(frozen=True)
class Choice:
    """One field of the training config, such as "run.steps", its value, and why."""

    field: str
    value: Any
    reason: str

    def __str__(self) -> str:
        return f"{self.field}={_shown(self.value)}  ({self.reason})"


def _shown(value: Any) -> str:
    """Text of a value; of a tuple that repeats itself each item once, with its number."""
    if not isinstance(value, tuple) or len(set(value)) == len(value):
        return str(value)
    counts = collections.Counter(value)
    return ", ".join(f"{item!r} x {n}" if n > 1 else repr(item) for item, n in counts.items())


def choose(
    base: Base,
    samples: Samples,
    *,
    devices: int,
    cpu: bool,
    steps: int | None = None,
    rank: int | None = None,
    learning_rate: float | None = None,
) -> list[Choice]:
    """All fields in which a run differs from `configs/training.py`.

    cpu: whether there is no accelerator.
    steps, rank, learning_rate: the user's own values.

    Raises:
        ValueError: no samples.
    """
    if not len(samples.shapes):
        raise ValueError(f"{samples.own} holds no samples: see why files were left out above.")
    return [
        *_data(base, samples),
        *_length(base, samples, devices, steps),
        *_update(base, rank, learning_rate),
        *_tasks(samples),
        *_memory(base, devices, cpu),
    ]


def config_of(base: Base, choices: Sequence[Choice], training: ConfigDict) -> ConfigDict:
    """The config of the run.

    training: a config with all groups of training; its sizes are replaced by those of `base`.
    """
    config = ConfigDict(training.to_dict(), convert_dict=True)
    for name in base.config.KINDS:
        config[name] = ConfigDict(dataclasses.asdict(getattr(base.config, name)))
    for choice in choices:
        *groups, field = choice.field.split(".")
        target: Any = config
        for group in groups:
            target = target[group]
        target[field] = choice.value
    return config


def _tokens(base: Base, shape: Int[np.ndarray, "3"]) -> int:
    f, h, w = map(int, shape)
    return SYSTEM.costs.tokens(base.config.dit, (f, h, w))


def _repeats(samples: Samples) -> int:
    """How often the user's samples are listed, so that they are OWN_SHARE of all."""
    share = OWN_SHARE / (1 - OWN_SHARE)
    return max(1, round(share * samples.priors / len(samples.shapes)))


def _rows(base: Base, samples: Samples) -> int:
    """Samples of a step on one device."""
    total = len(samples.shapes) * _repeats(samples) + samples.priors
    return 1 if base.large else min(ROWS, total)


def _data(base: Base, samples: Samples) -> list[Choice]:
    own, rows = str(samples.own), _rows(base, samples)
    longest = max(_tokens(base, shape) for shape in samples.shapes)
    paths, reason = (own,), f"{samples.clips} clips, {len(samples.shapes) - samples.clips} pictures"
    if samples.prior is not None:
        paths = (own,) * _repeats(samples) + (str(samples.prior),)
        reason += f"; {samples.priors} clips of the model's own keep what it knows"
    many = len(samples.shapes) >= HOLDOUT_FROM
    chosen = [
        Choice("data.paths", paths, reason),
        Choice("data.tokens_per_shard", rows * longest, f"{rows} of the longest clips a step"),
        Choice("data.max_rows", rows, "as many of shorter ones"),
    ]
    if many:
        chosen.append(Choice("data.holdout", HOLDOUT, "held out to validate on"))
    else:
        reason = f"the first captions are shown; under {HOLDOUT_FROM} samples none is held out"
        chosen.append(Choice("data.holdout_paths", (own,), reason))
    chosen.append(Choice("data.max_holdout", 16 if many else PREVIEWS, "samples that are shown"))
    if base.stated:
        tokens = -(-samples.text_tokens // 8) * 8
        chosen.append(Choice("data.text_tokens", tokens, "the longest caption fits"))
    return chosen


def _length(base: Base, samples: Samples, devices: int, steps: int | None) -> list[Choice]:
    reason = "as asked for"
    if steps is None:
        rows = devices * _rows(base, samples) * (OWN_SHARE if samples.prior is not None else 1)
        wanted = PASSES * len(samples.shapes) / rows
        steps = int(min(max(math.ceil(wanted / 10) * 10, STEPS[0]), STEPS[1]))
        reason = f"{PASSES} passes over the clips, within {STEPS[0]} to {STEPS[1]} steps"
    part = max(1, steps // PER_RUN)
    validate = part if len(samples.shapes) >= HOLDOUT_FROM else 0
    return [
        Choice("run.steps", steps, reason),
        Choice("optimizer.warmup_steps", min(20, steps // 5), "a short run"),
        Choice("checkpoint.every", part, f"{PER_RUN} times a run"),
        Choice("checkpoint.keep", 1, "the newest"),
        Choice("log.every", max(1, min(10, steps // 20)), "a line now and then"),
        Choice("log.validate_every", validate, "with the checkpoints, if samples are held out"),
        Choice("log.sample_every", part, "with the checkpoints"),
        Choice("log.sample_steps", base.defaults.steps, "as `generate` does"),
        Choice("log.guidance", base.defaults.guidance, "as `generate` does"),
        Choice("log.vae", str(base.vae), "decodes the samples"),
    ]


def _update(base: Base, rank: int | None, learning_rate: float | None) -> list[Choice]:
    rank_reason = rate_reason = "as asked for"
    if rank is None:
        rank, rank_reason = RANK, "enough for one object or style"
    if learning_rate is None:
        learning_rate = 1e-4 if base.large else 2e-3
        rate_reason = "usual for low-rank updates" if base.large else "of so small a model"
    return [
        Choice("lora.rank", rank, rank_reason),
        Choice("lora.alpha", float(rank), "updates count as they are"),
        Choice("lora.targets", TARGETS, "what reads the text; the rest stays as it was"),
        Choice("optimizer.method", "adamw", "of low-rank factors"),
        Choice("optimizer.learning_rate", learning_rate, rate_reason),
        Choice("optimizer.schedule", "constant", "the run may be continued"),
        Choice("ema.enabled", False, "a short run"),
    ]


def _tasks(samples: Samples) -> list[Choice]:
    if not samples.clips:
        return []
    return [
        Choice("tasks.probability.t2v", 0.75, "from text"),
        Choice("tasks.probability.i2v", 0.25, "from a first frame"),
    ]


def _memory(base: Base, devices: int, cpu: bool) -> list[Choice]:
    chosen = [
        Choice("run.weights", str(base.dit), "the base"),
        Choice("run.dtype", "float32" if cpu else "bfloat16", "of this device"),
    ]
    if not base.large:
        return [*chosen, Choice("run.remat", "none", "a small model"),
                Choice("loss.shift", False, "little noise hides so small a latent")]  # fmt: skip
    if devices > 1:
        chosen.append(Choice("mesh.fsdp", devices, "weights are split over all devices"))
    return chosen
