# Copyright 2026 The mugv_jax Authors
# SPDX-License-Identifier: Apache-2.0
"""Base class of training objectives: the loss of a batch, as the trainer calls it.

    prepared = prepare(key, policies, batch)     whole batch, no gradient: random draws, reference
                                                 outputs, a baseline over all samples
    loss, metrics = loss(policies, part)         one microbatch of `prepared`

`policies` holds the networks' variables by name: POLICY is the trained network; the others are the
roles that an objective declares (a reference, a teacher, an old policy, a critic) and the inputs of
the whole run. A method is one file in `train/objectives/` with a class derived from `Objective`.
"""

import abc
import dataclasses
from collections.abc import Callable, Hashable, Mapping
from typing import Any, ClassVar

import einops
import flax.linen as nn
import jax
import optax

from mugv_jax.axes import Array, Float
from mugv_jax.train.metrics import Work

POLICY = "policy"
Batch = Mapping[str, Array]
Shapes = Mapping[str, Any]  # a batch, or only the shapes of its arrays
Policies = Mapping[str, Any]
Metrics = dict[str, Array]
# Trained parameters by the policy's name -> all policies.
Bind = Callable[[Mapping[str, Any]], Policies]
# Config values that determine the structure of the train state: (group, field), or a whole group.
STRUCTURE = (
    ("lora", None),
    ("ema", "enabled"),
    ("optimizer", "freeze"),
    ("optimizer", "moment_dtype"),
    ("objective", "name"),
)


@dataclasses.dataclass(frozen=True)
class Microbatches:
    """Split of a batch into microbatches for gradient accumulation.

    shards: data shards of the batch. Every microbatch takes rows of every shard, so that no row
        moves between devices.  count: number of microbatches.
    """

    shards: int = 1
    count: int = 1

    def split(self, tree: Any) -> Any:
        """Leaves (b ...) as (count, rows, ...)."""
        pattern = "(s k m) ... -> k (s m) ..."
        return jax.tree.map(
            lambda x: einops.rearrange(x, pattern, s=self.shards, k=self.count), tree
        )

    def map(self, function: Callable[[Any], Any], tree: Any) -> Any:
        """Apply `function` to each microbatch in sequence; the results joined as one batch."""
        if self.count == 1:
            return function(tree)
        parts = jax.lax.map(lambda part: function(constrain_batch(part)), self.split(tree))
        pattern = "k (s m) ... -> (s k m) ..."
        return jax.tree.map(lambda x: einops.rearrange(x, pattern, s=self.shards), parts)


@dataclasses.dataclass(frozen=True, kw_only=True, eq=False)
class Objective(abc.ABC):
    """Base class of a training objective: a loss and the network that it trains.

    COLLECTIONS: the network's variable collections, "params" first.
    COUNTED: unit of the throughput that a run shows, which `counted` counts.
    kind: the network's name in `weights/registry.py`.  sizes: its config.
    module: the network, built for the mesh.
    """

    COLLECTIONS: ClassVar[tuple[str, ...]] = ("params",)
    COUNTED: ClassVar[str] = "tokens"

    kind: str
    sizes: Any
    module: nn.Module
    microbatches: Microbatches = Microbatches()

    @property
    def roles(self) -> tuple[str, ...]:
        """Policies that stay at the run's initial weights, such as a reference or a teacher.

        With LoRA they are the frozen weights, and no copy is made.
        """
        return ()

    @property
    def copies(self) -> tuple[str, ...]:
        """Further trained networks of the policy's kind, such as a critic, with `optimizers`.

        They start at the policy's weights and are trained as it is, with all weights or with
        low-rank updates of the same frozen weights.
        """
        return ()

    @property
    def phases(self) -> Mapping[str, int]:
        """Names of the phases that take batches in turn, and the share of each; {} is one phase.

        A batch tells its phase as it tells a named source, see `data/interleave.py`.
        """
        return {}

    def updates(self, steps: Any) -> Any:
        """Number of the policy's updates in the first `steps` steps of a run."""
        return steps

    @property
    def trains(self) -> str:
        """Name of the network that `loss` trains."""
        return POLICY

    @property
    def optimizers(self) -> Mapping[str, optax.GradientTransformation]:
        """Optimizers of additional trained policies, whose weights are in `TrainState.extra`.

        A step updates those whose gradients it has, and leaves the others as they are.
        """
        return {}

    def extra(self, variables: Mapping[str, Any]) -> dict[str, Any]:
        """Initial `TrainState.extra`, from the network's initial variables."""
        del variables
        return {}

    def given(self, *, abstract: bool) -> dict[str, Any]:
        """Inputs of the whole run by name, such as a VAE's variables, or their shapes.

        They are found among the policies, are the same on all devices, and are never saved.

        Raises:
            ValueError: inputs that cannot be read.
        """
        del abstract
        return {}

    def initial(self, params: Any) -> Any:
        """Initial parameters of a run, from those of the module's own initialisers."""
        return params

    @abc.abstractmethod
    def prepare(self, key: Array, policies: Policies, batch: Batch) -> Any:
        """A tree of arrays with a leading batch axis, whose microbatches are passed to `loss`.

        key: key of this step; the result is the same on any mesh.
        """

    @abc.abstractmethod
    def loss(self, policies: Policies, part: Any) -> tuple[Float[Array, ""], Metrics]:
        """Mean loss of a microbatch, and metrics: means, or sums with their counts."""

    def gradient(
        self, bind: Bind, trained: Mapping[str, Any], part: Any
    ) -> tuple[Float[Array, ""], Metrics, Mapping[str, Any]]:
        """(loss, metrics, gradients by policy); overridden if a step trains several policies."""

        def loss_of(params: Any) -> tuple[Float[Array, ""], Metrics]:
            return self.loss(bind({**trained, self.trains: params}), part)

        (loss, metrics), grads = jax.value_and_grad(loss_of, has_aux=True)(trained[self.trains])
        return loss, metrics, {self.trains: grads}

    @abc.abstractmethod
    def validate(self, policies: Policies, batch: Batch) -> Any:
        """Validation results of the policy on a held-out batch."""

    @abc.abstractmethod
    def work(self, batch: Shapes) -> Work:
        """Shape, samples, tokens and FLOPs of a step on `batch`."""

    def counted(self, work: Work) -> int:
        """Number of COUNTED in a step."""
        return work.tokens

    def variant(self, batch: Shapes) -> Hashable:
        """Static values of this step, chosen on the host; each is compiled separately, see `at`."""
        del batch
        return None

    def at(self, variant: Hashable) -> "Objective":
        """The objective with the static values of one variant."""
        del variant
        return self

    def check_resumed(self, where: object, found: Mapping, wanted: Mapping) -> None:
        """Check that a checkpoint's state fits the config of the resumed run.

        found, wanted: configs of the checkpoint and of the run, as JSON. Values that may change on
            resuming, such as the learning rate, are not compared.

        Raises:
            ValueError: the state of the checkpoint does not fit the config.
        """
        for group, field in STRUCTURE:
            was, now = (
                config.get(group) if field is None else (config.get(group) or {}).get(field)
                for config in (found, wanted)
            )
            if group == "objective":
                was = was or wanted.get(group, {}).get(field)  # older runs have no such group
            if was != now:
                raise ValueError(
                    f"{where}: was trained with {field or group}={was}, the config says {now}, so "
                    "its train state does not fit. To continue with this config, start a new run "
                    f"with run.weights={where}."
                )


def constrain_batch(tree: Any) -> Any:
    """A tree of arrays with a leading batch axis, sharded over the data shards of the mesh."""
    return jax.tree.map(
        lambda x: nn.with_logical_constraint(x, ("batch", *[None] * (x.ndim - 1))), tree
    )
