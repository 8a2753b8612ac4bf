# Copyright 2026 The mugv_jax Authors
# SPDX-License-Identifier: Apache-2.0
"""An objective: what turns a batch into a loss, for the one trainer.

    prepared = prepare(key, policies, batch)     the whole batch, no gradient: draws, reference
                                                 outputs, a baseline over all samples
    loss, metrics = loss(policies, part)         one microbatch of what was prepared

`policies` are the networks' variables by name: POLICY is what is trained; roles that an objective
declares (a reference, a teacher, an old policy, a critic) and the inputs of the whole run stand
beside it. A method is one file in `train/objectives/` with a class derived from `Objective`.
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
Policies = Mapping[str, Any]
Metrics = dict[str, Array]
# Trained parameters by the policy's name -> all policies.
Bind = Callable[[Mapping[str, Any]], Policies]
# What decides the structure of a run's state: (group, field) of its config, or a whole group.
STRUCTURE = (
    ("lora", None),
    ("ema", "enabled"),
    ("optimizer", "freeze"),
    ("optimizer", "moment_dtype"),
    ("objective", "name"),
)


@dataclasses.dataclass(frozen=True, kw_only=True)
class Role:
    """A further policy: a copy of the weights that the run starts from.

    A reference or a teacher stays as it is. Under low-rank updates it is the frozen weights without
    the updates, and no copy is made.

    saved: checkpoints hold it always. Otherwise a run that goes on loads `run.weights` again, and
        checkpoints hold it only where the run began with random weights.
    """

    name: str
    saved: bool = False


@dataclasses.dataclass(frozen=True)
class Microbatches:
    """The parts of a batch whose gradients make one update.

    shards: parts in which the batch lies on the mesh. Every microbatch takes rows of every part, so
        that no row moves.  count: microbatches of a batch.
    """

    shards: int = 1
    count: int = 1

    def split(self, tree: Any) -> Any:
        """Leaves (b ...) as (count, rows, ...)."""
        pattern = "(s k m) ... -> k (s m) ..."
        return jax.tree.map(
            lambda x: einops.rearrange(x, pattern, s=self.shards, k=self.count), tree
        )

    def join(self, tree: Any) -> Any:
        """The reverse of `split`."""
        pattern = "k (s m) ... -> (s k m) ..."
        return jax.tree.map(lambda x: einops.rearrange(x, pattern, s=self.shards), tree)

    def map(self, function: Callable[[Any], Any], tree: Any) -> Any:
        """`function` of every microbatch, one after the other; its results as of one batch."""
        if self.count == 1:
            return function(tree)
        parts = self.split(tree)
        return self.join(jax.lax.map(lambda part: function(constrain_batch(part)), parts))


@dataclasses.dataclass(frozen=True, kw_only=True, eq=False)
class Objective(abc.ABC):
    """A loss and the network that it trains.

    COLLECTIONS: the network's variable collections, "params" first.
    kind: the network's name in `weights/registry.py`.  sizes: its config.
    module: the network as it runs on the mesh.
    """

    COLLECTIONS: ClassVar[tuple[str, ...]] = ("params",)

    kind: str
    sizes: Any
    module: nn.Module
    microbatches: Microbatches = Microbatches()

    @property
    def roles(self) -> tuple[Role, ...]:
        """Further policies that start as copies of the weights and are only read."""
        return ()

    @property
    def optimizers(self) -> Mapping[str, optax.GradientTransformation]:
        """Optimizers of further trained policies, whose weights are in `TrainState.extra`."""
        return {}

    def extra(self, variables: Mapping[str, Any]) -> dict[str, Any]:
        """What `TrainState.extra` starts with, from the network's variables at the start."""
        del variables
        return {}

    def initial(self, params: Any) -> Any:
        """Random parameters of a run, from those that the module was initialised with."""
        return params

    @abc.abstractmethod
    def prepare(self, key: Array, policies: Policies, batch: Batch) -> Any:
        """A tree of arrays with a leading batch axis, of which `loss` gets microbatches.

        key: this step's own; the result is the same on any mesh.
        """

    @abc.abstractmethod
    def loss(self, policies: Policies, part: Any) -> tuple[Float[Array, ""], Metrics]:
        """The mean loss of a microbatch, and means to log (or sums with their counts)."""

    def gradient(
        self, bind: Bind, trained: Mapping[str, Any], part: Any
    ) -> tuple[Float[Array, ""], Metrics, Mapping[str, Any]]:
        """(loss, metrics, gradients by policy); an objective with several players has its own."""

        def loss_of(params: Any) -> tuple[Float[Array, ""], Metrics]:
            return self.loss(bind({**trained, POLICY: params}), part)

        (loss, metrics), grads = jax.value_and_grad(loss_of, has_aux=True)(trained[POLICY])
        return loss, metrics, {POLICY: grads}

    @abc.abstractmethod
    def validate(self, policies: Policies, batch: Batch) -> Any:
        """How good the policy is on a held-out batch."""

    @abc.abstractmethod
    def work(self, batch: Batch) -> Work:
        """What a step on `batch` is: its shape, samples, tokens and arithmetic."""

    def variant(self, batch: Batch) -> Hashable:
        """What of this step is compiled into its program, decided on the host; see `at`."""
        del batch
        return None

    def at(self, variant: Hashable) -> "Objective":
        """The objective of the steps of one variant."""
        del variant
        return self

    def check_resumed(self, where: object, found: Mapping, wanted: Mapping) -> None:
        """Compare what a resumed run must match; found, wanted: configs of both, as JSON.

        What may change between two parts of a run, such as the learning rate, is not compared.

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
                    "its optimizer state does not fit. To train on like this, start a new run with "
                    f"run.weights={where}."
                )


def constrain_batch(tree: Any) -> Any:
    """A tree of arrays with a leading batch axis, split over the data shards of the mesh."""
    return jax.tree.map(
        lambda x: nn.with_logical_constraint(x, ("batch", *[None] * (x.ndim - 1))), tree
    )
