# Copyright 2026 The mugv_jax Authors
# SPDX-License-Identifier: Apache-2.0
"""Several objectives in one run, each on batches of its own source.

    step i: loss = weight loss of source order[i] on a batch of that source

MUG-V's post-training alternates batches of several label sources (arXiv:2510.17519, 4.2.3): binary
labels (KTO), pairs (DPO) and real pairs (RDPO). The policy, its optimizer and the roles, such as
the reference, are shared.
"""

import dataclasses
import functools
import math
from collections.abc import Hashable, Mapping
from typing import Any

import jax
from jax.sharding import Mesh
from ml_collections import ConfigDict

from mugv_jax.axes import Array, Float
from mugv_jax.bounds import require_at_least
from mugv_jax.config import build_group
from mugv_jax.data.interleave import TAG, source_of
from mugv_jax.flow.denoiser import LatentShape
from mugv_jax.sharding.place import batch_sharding
from mugv_jax.train import objectives
from mugv_jax.train.metrics import Work
from mugv_jax.train.objective import Batch, Bind, Metrics, Policies, Shapes
from mugv_jax.train.objectives.flow_matching import FlowMatching, Part

NAME = "interleaved"


@dataclasses.dataclass(frozen=True, kw_only=True)
class Source:
    """One source of batches.

    objective: fields of its objective, with its name.
    paths, holdout_paths: its samples, as `data.paths` and `data.holdout_paths`.
    share: number of its batches in a cycle of all sources; 0 leaves it out.
    batch: samples, or pairs, of one of its batches on all devices; 0 takes `data.batch`.
    weight: factor of its loss. Adam divides all gradients by one size, which the largest losses
        decide, and `optimizer.clip` cuts those: without weights a loss as small as that of SFT
        hardly counts beside DPO's with its beta.

    Raises:
        ValueError: an unknown objective, or values that it refuses.
    """

    objective: Mapping[str, object]
    paths: tuple[str, ...] = ()
    holdout_paths: tuple[str, ...] = ()
    share: int = 1
    batch: int = 0
    weight: float = 1.0

    def __post_init__(self):
        require_at_least(0, self, "share", "batch")
        if not 0 < self.weight < math.inf:
            raise ValueError(
                f"weight={self.weight} must be a positive number; share=0 leaves a source out."
            )
        _ = self.settings

    @functools.cached_property
    def settings(self) -> Any:
        """The objective's settings."""
        name = str(self.objective.get("name", objectives.DEFAULT))
        if name == NAME:
            raise ValueError(f"objective.name={name!r}: a source has an objective of its own.")
        module = objectives.find(name)
        return build_group("objective", module.Settings, ConfigDict(dict(self.objective)))


@dataclasses.dataclass(frozen=True, kw_only=True)
class Settings:
    """Settings of interleaved sources.

    sources: fields of each `Source`, by its name, which precedes its metrics.

    Raises:
        ValueError: no sources, a name that is none, or fields that a source refuses.
    """

    name: str = NAME
    sources: Mapping[str, Mapping[str, object]]

    def __post_init__(self):
        for name in self.sources:
            if not name.isidentifier():
                raise ValueError(f"source {name!r} must be a word of letters, digits and _.")
        if not any(source.share for source in self.built.values()):
            raise ValueError(
                f"no source of {', '.join(self.sources) or 'batches'} has a share above 0: set "
                "objective.sources.NAME.share."
            )

    @functools.cached_property
    def built(self) -> Mapping[str, Source]:
        """All sources by name."""
        return {
            name: build_group(f"objective.sources.{name}", Source, ConfigDict(dict(fields)))
            for name, fields in self.sources.items()
        }


@dataclasses.dataclass(frozen=True, kw_only=True, eq=False)
class Interleaved(FlowMatching):
    """The objectives of all sources; a batch tells its source, see `data/interleave.py`."""

    by_source: Mapping[str, FlowMatching] = dataclasses.field(default_factory=dict)
    weights: Mapping[str, float] = dataclasses.field(default_factory=dict)

    @classmethod
    def parts(cls, config: Any) -> Mapping[str, Part]:
        """The sources with a share, each with the run's config, its objective and its samples.

        Raises:
            ValueError: samples without a source.
        """
        if config.data.paths or config.data.holdout_paths:
            raise ValueError(
                f"data.paths={config.data.paths} and data.holdout_paths="
                f"{config.data.holdout_paths} must be empty, since samples of interleaved sources "
                "are named by source: objective.sources.NAME.paths."
            )
        found = {}
        used = {name: each for name, each in config.objective.built.items() if each.share}
        for name, source in used.items():
            if not source.paths:
                raise ValueError(
                    f"objective.sources.{name}.paths is empty: name at least one folder of "
                    f"samples, or leave the source out with objective.sources.{name}.share=0."
                )
            data = dataclasses.replace(
                config.data,
                paths=source.paths,
                holdout_paths=source.holdout_paths,
                batch=source.batch or config.data.batch,
            )
            own = dataclasses.replace(config, objective=source.settings, data=data)
            found[name] = Part(own, source.share)
        return found

    @classmethod
    def build(cls, config: Any, mesh: Mesh, **parts: Any) -> "Interleaved":
        """The objective of a run on `mesh`; config: a `DiTTrainConfig`.

        Raises:
            ValueError: a network that the mesh cannot shard, or a source that trains a further one.
        """
        by_source = {}
        for name, part in cls.parts(config).items():
            found = objectives.find(part.config.objective.name).OBJECTIVE.build(part.config, mesh)
            if found.optimizers:
                raise ValueError(
                    f"objective.sources.{name}: {part.config.objective.name} trains "
                    f"{', '.join(found.optimizers)} too, which needs a run of its own."
                )
            by_source[name] = found
        weights = {name: config.objective.built[name].weight for name in by_source}
        found = super().build(config, mesh, by_source=by_source, weights=weights, **parts)
        assert isinstance(found, cls)
        return found

    @property
    def roles(self) -> tuple[str, ...]:
        """Roles of all sources; those of one name are one."""
        return tuple(dict.fromkeys(r for each in self.by_source.values() for r in each.roles))

    def given(self, *, abstract: bool) -> dict[str, Any]:
        """Inputs of the whole run of all sources.

        Raises:
            ValueError: two sources with inputs of one name, which need not be the same.
        """
        found, owner = {}, {}
        for name, each in self.by_source.items():
            for key, value in each.given(abstract=abstract).items():
                if key in found:
                    raise ValueError(
                        f"objective.sources: {owner[key]} and {name} both need {key!r} as an input "
                        "of the run, which has one: set the share of one of them to 0."
                    )
                found[key], owner[key] = value, name
        return found

    def prepare(self, key: Array, policies: Policies, batch: Batch) -> Any:
        """The prepared batch of its source, by the source's name."""
        name, own = self._of(batch)
        return {name: self.by_source[name].prepare(key, policies, own)}

    def loss(self, policies: Policies, part: Any) -> tuple[Float[Array, ""], Metrics]:
        """Weighted loss of a microbatch's source, and its metrics, named after the source."""
        ((name, own),) = part.items()
        loss, metrics = self.by_source[name].loss(policies, own)
        return self.weights[name] * loss, _named(name, loss, metrics)

    def gradient(
        self, bind: Bind, trained: Mapping[str, Any], part: Any
    ) -> tuple[Float[Array, ""], Metrics, Mapping[str, Any]]:
        """(weighted loss, metrics, weighted gradients) of a microbatch's source."""
        ((name, own),) = part.items()
        weight = self.weights[name]
        loss, metrics, grads = self.by_source[name].gradient(bind, trained, own)
        weighted = jax.tree.map(lambda grad: weight * grad, grads)
        return weight * loss, _named(name, loss, metrics), weighted

    def validate(self, policies: Policies, batch: Batch) -> Any:
        """Validation results of the batch's source."""
        name, own = self._of(batch)
        return self.by_source[name].validate(policies, own)

    def work(self, batch: Shapes) -> Work:
        """Work of a step of the batch's source."""
        name, own = self._of(batch)
        return self.by_source[name].work(own)

    def variant(self, batch: Shapes) -> Hashable:
        """The source, and the variant of its objective."""
        name, own = self._of(batch)
        return name, self.by_source[name].variant(own)

    def at(self, variant: Any) -> "Interleaved":
        """The objective with one source at a variant."""
        name, inner = variant
        return dataclasses.replace(
            self, by_source={**self.by_source, name: self.by_source[name].at(inner)}
        )

    def abstract_batch(
        self, mesh: Mesh, latent_shape: LatentShape, rows: int
    ) -> dict[str, jax.ShapeDtypeStruct]:
        """Shapes and shardings of a batch of the source whose step costs most."""
        found = []
        for name, each in self.by_source.items():
            batch = each.abstract_batch(mesh, latent_shape, rows)
            found.append((each.work(batch).flops or 0, name, batch))
        _, name, batch = max(found, key=lambda each: each[0])
        tag = jax.ShapeDtypeStruct((rows,), bool, sharding=batch_sharding(mesh, rows))
        return batch | {TAG + name: tag}

    def _of(self, batch: Shapes) -> tuple[str, Any]:
        """(source of a batch, the batch without its tag)."""
        name = source_of(batch)
        return name, {key: x for key, x in batch.items() if key != TAG + name}


def _named(source: str, loss: Array, metrics: Metrics) -> Metrics:
    """Metrics, and the loss, under the source's name."""
    return {f"{source}/{name}": x for name, x in {"loss": loss, **metrics}.items()}


OBJECTIVE = Interleaved
