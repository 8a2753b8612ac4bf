# Copyright 2026 The mugv_jax Authors
# SPDX-License-Identifier: Apache-2.0
"""Batches of several named sources in turn, each with its own samples, fields and schedule.

    step i = the next step of source order[i]

A batch of a named source holds one more key, "source:NAME", so that its source is known on the host
and when a program is traced, without reading an array. Phases of training, such as those of a
student and its critic, are told apart in the same way, but all take batches of one source:

    step i = batch i, for phase order[i]
"""

import dataclasses
import functools
import hashlib
from collections.abc import Mapping, Sequence

import numpy as np

from mugv_jax.axes import Int
from mugv_jax.data.batches import Batches, Validation
from mugv_jax.data.data_config import DataConfig
from mugv_jax.data.reader import Batch
from mugv_jax.data.samples import Indexed, Joined
from mugv_jax.data.schedule import earlier_uses, proportional_order

TAG = "source:"


def source_of(batch: Mapping[str, object]) -> str:
    """Name of the source of a batch; "" in a run that has one source, without a name."""
    return next((key.removeprefix(TAG) for key in batch if key.startswith(TAG)), "")


def source_order(shares: Mapping[str, int], steps: int) -> Int[np.ndarray, "steps"]:
    """Index of the source of every step, as evenly as possible.

    shares: number of batches of each source in a cycle. Every cycle has exactly as many.

    Raises:
        ValueError: a run so short that a source has no batch.
    """
    share = np.array(list(shares.values()), np.float64)
    order = proportional_order(share / share.sum(), steps)
    unused = [name for number, name in enumerate(shares) if not np.any(order == number)]
    if unused:
        raise ValueError(
            f"run.steps={steps} takes no batch of {', '.join(unused)}: a cycle of the sources "
            f"{dict(shares)} has {int(share.sum())} batches. Take more steps, or leave sources out."
        )
    return order


def interleaved_batches(
    parts: Mapping[str, Batches], shares: Mapping[str, int], config: DataConfig
) -> Batches:
    """The training batches of all sources as one iterator, which resumes exactly.

    parts: batches of each source, as many as it has in the `source_order` of `shares`.
    """
    if list(parts) == [""]:
        return parts[""]
    order = source_order(shares, sum(len(each.steps) for each in parts.values()))
    steps = InTurn(tuple(Tagged(each.steps, name) for name, each in parts.items()), order)
    known = [(name, shares[name], each.digest) for name, each in parts.items()]
    digest = hashlib.blake2b(repr(known).encode(), digest_size=8).hexdigest()
    return Batches(steps, config, digest)


def phased_batches(batches: Batches, shares: Mapping[str, int], config: DataConfig) -> Batches:
    """`batches` with the tags of phases in turn, which resume exactly; as they are without phases.

    shares: number of batches of each phase in a cycle.

    Raises:
        ValueError: a run so short that a phase has no batch.
    """
    if not shares:
        return batches
    steps = Phased(batches.steps, tuple(shares), source_order(shares, len(batches.steps)))
    digest = hashlib.blake2b(repr((shares, batches.digest)).encode(), digest_size=8).hexdigest()
    return Batches(steps, config, digest)


def joined_validation(parts: Mapping[str, Validation], config: DataConfig) -> Validation | None:
    """The held-out batches of all sources that have any, one source after another."""
    if list(parts) == [""]:
        return parts[""]
    if not parts:
        return None
    steps = Joined([Tagged(each.steps, name) for name, each in parts.items()])
    return Validation(steps, dataclasses.replace(config, workers=0))


@dataclasses.dataclass(frozen=True, eq=False)
class Phased:
    """Batches of which number i has the tag of phase `names[order[i]]`."""

    steps: Indexed[Batch]
    names: tuple[str, ...]
    order: Int[np.ndarray, "steps"]

    def __len__(self) -> int:
        return len(self.steps)

    def __getitem__(self, step: int) -> Batch:
        return Tagged(self.steps, self.names[self.order[step]])[step]


@dataclasses.dataclass(frozen=True)
class Tagged:
    """Batches of one source with its tag."""

    steps: Indexed[Batch]
    source: str

    def __len__(self) -> int:
        return len(self.steps)

    def __getitem__(self, step: int) -> Batch:
        batch = self.steps[step]
        return batch | {TAG + self.source: np.zeros(len(batch["sample"]), bool)}


@dataclasses.dataclass(frozen=True, eq=False)
class InTurn:
    """Batches of several sources; batch i is the next one of `parts[order[i]]`."""

    parts: Sequence[Indexed[Batch]]
    order: Int[np.ndarray, "steps"]

    def __len__(self) -> int:
        return len(self.order)

    def __getitem__(self, step: int) -> Batch:
        return self.parts[self.order[step]][int(self._earlier[step])]

    @functools.cached_property
    def _earlier(self) -> Int[np.ndarray, "steps"]:
        return earlier_uses(self.order)
