# Copyright 2026 The mugv_jax Authors
# SPDX-License-Identifier: Apache-2.0
"""Jitted functions of a training run on a mesh: initialisation, train step, validation."""

import functools
from collections.abc import Hashable, Mapping
from typing import Any

import jax
import jax.numpy as jnp
from flax import traverse_util
from jax.sharding import Mesh, NamedSharding, PartitionSpec

from mugv_jax.axes import Array
from mugv_jax.nn import lora
from mugv_jax.nn.layers import unboxed
from mugv_jax.sharding import mesh as meshes
from mugv_jax.sharding.place import data_shards, variable_shardings
from mugv_jax.train.objective import POLICY, Metrics, Objective, Policies
from mugv_jax.train.optimizer import make_optimizer
from mugv_jax.train.state import TrainState, join, new_state, split
from mugv_jax.train.step import Step
from mugv_jax.train.train_config import TrainConfig
from mugv_jax.weights.registry import MODELS, abstract_variables


class Program:
    """Jitted functions of one run on one mesh, each compiled at its first call.

    given: inputs of the whole run by name (a null caption, a perceptual network), or their shapes.
        They are kept in `TrainState.extra`, replicated on all devices, and not saved.
    kind, model: name and sizes of the network, as recorded in checkpoints.
    validate: (state, batch) -> the objective's `validate` with the EMA weights.
    abstract, shardings: shape and sharding of every leaf of the state.
    weight_shardings: shardings of all variables, trained or not, by collection.
    reloaded: parts of the state that a resumed run reads from `run.weights` instead of checkpoints:
        frozen LoRA base weights, or the weights of roles.

    Raises:
        ValueError: `optimizer.freeze` patterns or LoRA targets that match no parameter path.
    """

    config: Any  # the class of `TrainConfig` and of `Objective` that the run has
    objective: Any

    def __init__(
        self,
        config: TrainConfig,
        mesh: Mesh,
        objective: Objective,
        given: Mapping[str, Any] | None = None,
    ):
        self.config, self.mesh, self.objective = config, mesh, objective
        self.kind, self.model = objective.kind, objective.sizes
        self.dtype = jnp.dtype(config.run.dtype)
        self.shards = data_shards(mesh)
        self.optimizer, self.schedule = make_optimizer(
            config.optimizer, objective.updates(config.run.steps)
        )
        self.everywhere = NamedSharding(mesh, PartitionSpec())
        self.given = dict(given or {})
        # With LoRA, roles share the frozen weights.
        self._own_roles = objective.roles if config.lora is None else ()
        again = self._own_roles if config.lora is None else ("frozen",)
        self.reloaded = again if config.run.weights else ()
        self._variables = abstract_variables(self.kind, self.model)
        self.weight_shardings = variable_shardings(self._variables, mesh)
        updates = None
        if config.lora is not None:
            updates = lora.abstract_lora(self._variables["params"], config.lora)
        boxed = jax.eval_shape(self._new_state, self._variables, updates, self.given)
        self.shardings = variable_shardings(boxed, mesh)
        self.abstract = jax.tree.map(
            lambda leaf, place: jax.ShapeDtypeStruct(leaf.shape, leaf.dtype, sharding=place),
            unboxed(boxed),
            self.shardings,
        )
        self._steps: dict[Hashable, Any] = {}
        self.validate = jax.jit(
            lambda state, batch: objective.validate(self.averaged(state), batch),
            out_shardings=self.everywhere,
        )

    def step(self, state: TrainState, batch: Mapping[str, Array]) -> tuple[TrainState, Metrics]:
        """(state after a step, metrics); the state's buffers are donated."""
        return self.compiled_step(self.objective.variant(batch))(state, batch)

    def compiled_step(self, variant: Hashable = None) -> Any:
        """The `jax.jit` train step of one variant of the objective."""
        if variant not in self._steps:
            step = Step(
                objective=self.objective.at(variant),
                policies=self.policies,
                optimizer=self.optimizer,
                schedule=self.schedule,
                ema_decay=self.config.ema.decay if self.config.ema.enabled else None,
            )
            places = (self.shardings, self.everywhere)
            self._steps[variant] = jax.jit(step, donate_argnums=0, out_shardings=places)
        return self._steps[variant]

    def policies(self, trained: Mapping[str, Any], state: TrainState) -> Policies:
        """Variables of every policy by name, together with the inputs of the whole run.

        trained: parameters of the trained policies by name.
        """
        low_rank = self.config.lora
        constants = {name: state.extra[name] for name in self.objective.COLLECTIONS[1:]}

        def variables(params: Any) -> dict[str, Any]:
            whole = join(params, state.frozen) if low_rank is None else state.frozen
            return constants | {"params": for_compute(whole, self.dtype)}

        found: dict[str, Any] = {name: state.extra[name] for name in self.given}
        found |= {name: {"params": params} for name, params in trained.items()}
        for name in (POLICY, *self.objective.copies):
            if name not in trained:
                continue
            found[name] = variables(trained[name])
            if low_rank is not None:
                found[name][lora.COLLECTION] = lora.scaled(trained[name], low_rank)
        return found | {role: variables(state.extra.get(role)) for role in self.objective.roles}

    def averaged(self, state: TrainState) -> Policies:
        """Policies with the EMA of the trained weights if EMA is enabled."""
        params = state.params if state.ema is None else state.ema
        return self.policies({POLICY: params}, state)

    def start(self, found: Mapping[str, Any]) -> TrainState:
        """Initial state with the given variables, created directly in its sharding.

        found: float32 variables to start from, placed by `weight_shardings`; missing ones are
            initialised randomly.
        """
        wanted = {name: unboxed(self._variables[name]) for name in self.objective.COLLECTIONS}
        have = {name: found.get(name, {}) for name in wanted}
        whole = jax.tree.structure(wanted) == jax.tree.structure(have)
        # With LoRA the frozen weights change dtype, so their buffers cannot be reused.
        copied = self.objective.roles or self.objective.copies
        donated = 0 if whole and self.config.lora is None and not copied else ()

        def make(found: Mapping[str, Any], given: Mapping[str, Any]) -> TrainState:
            variables = found if whole else join(self._random(), found)
            updates = None
            if self.config.lora is not None:
                key = jax.random.fold_in(jax.random.key(self.config.run.seed), 1)
                updates = lora.init_lora(key, self._variables["params"], self.config.lora)
            return self._new_state(variables, updates, given)

        jitted = jax.jit(make, out_shardings=self.shardings, donate_argnums=donated)
        with meshes.use(self.mesh):
            return jitted(dict(found), self.given)

    def resumed(self, state: TrainState, params: Any) -> TrainState:
        """A restored state, completed with the parts that checkpoints do not hold.

        params: initial weights of the run; not read if nothing is `reloaded`.
        """
        extra = state.extra | jax.device_put(self.given, self.everywhere)
        with meshes.use(self.mesh):
            if "frozen" in self.reloaded:
                cast = functools.partial(for_compute, dtype=self.dtype)
                frozen = jax.jit(cast, out_shardings=self.shardings.frozen)(params)
                return state.replace(frozen=frozen, extra=extra)
            for name in self.reloaded:
                cast = jax.jit(self._role_params, out_shardings=self.shardings.extra[name])
                extra[name] = cast(params)
        return state.replace(extra=extra)

    def _role_params(self, params: Any) -> Any:
        """A role's copy of the trained weights, in the compute dtype."""
        trained, _ = split(params, self.config.optimizer.freeze)
        return jax.tree.map(jnp.copy, for_compute(trained, self.dtype))

    def _random(self) -> dict[str, Any]:
        shapes = MODELS[self.kind].inputs(self.model)
        inputs: Any = {name: jnp.zeros(each.shape, each.dtype) for name, each in shapes.items()}
        key = jax.random.key(self.config.run.seed)
        variables = unboxed(self.objective.module.init(key, **inputs))
        return dict(variables, params=self.objective.initial(variables["params"]))

    def _new_state(
        self, variables: Mapping[str, Any], updates: Any, given: Mapping[str, Any]
    ) -> TrainState:
        """The state before the first step; updates: low-rank updates, or None without LoRA."""
        config = self.config
        if updates is None:
            trained, frozen = split(variables["params"], config.optimizer.freeze)
        else:
            trained, frozen = updates, for_compute(variables["params"], self.dtype)
        extra = self.objective.extra(variables)
        for role in self._own_roles:
            extra[role] = self._role_params(variables["params"])
        for name in self.objective.copies:
            extra[name] = jax.tree.map(jnp.copy, trained)
            extra[f"{name}_opt"] = self.objective.optimizers[name].init(extra[name])
        return new_state(
            trained, frozen, self.optimizer,
            ema=config.ema.enabled, seed=config.run.seed, extra=extra | dict(given),
        )  # fmt: skip


def for_compute(params: Any, dtype: Any) -> Any:
    """`params` with the kernels of the blocks cast to `dtype`.

    Casting before the all-gather halves its traffic. Other parameters are small, and some are used
    in float32 arithmetic.
    """

    def cast(path: tuple[Any, ...], leaf: Any) -> Any:
        if path[0] != "blocks" or path[-1] != "kernel":
            return leaf
        return jax.tree.map(lambda x: x.astype(dtype), leaf)  # abstract leaves are boxed

    return traverse_util.path_aware_map(cast, params)
