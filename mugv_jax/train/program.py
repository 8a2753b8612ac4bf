# Copyright 2026 The mugv_jax Authors
# SPDX-License-Identifier: Apache-2.0
"""Jitted functions of a training run on a mesh: initialisation, train step, validation."""

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
from mugv_jax.train.objective import POLICY, Metrics, Objective, Policies, Role
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
    unsaved: names in `TrainState.extra` that are not saved in checkpoints.

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
        self.optimizer, self.schedule = make_optimizer(config.optimizer, config.run.steps)
        self.everywhere = NamedSharding(mesh, PartitionSpec())
        self.given = dict(given or {})
        self.unsaved = {*self.given, *self._loaded_roles()}
        self._variables = abstract_variables(self.kind, self.model)
        boxed = jax.eval_shape(
            self._new_state, *self._abstract_parts(), self._variables, self.given
        )
        self.abstract, self.shardings = unboxed(boxed), variable_shardings(boxed, mesh)
        self._steps: dict[Hashable, Any] = {}
        self.validate = jax.jit(self._validate, out_shardings=self.everywhere)

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
        found: dict[str, Any] = {name: state.extra[name] for name in self.given}
        found |= {name: {"params": params} for name, params in trained.items()}
        found[POLICY] = self.variables(trained[POLICY], state)
        for role in self.objective.roles:
            found[role.name] = self._role_variables(role.name, state)
        return found

    def variables(self, params: Any, state: TrainState) -> dict[str, Any]:
        """The network's variables with the trained `params`: weights or low-rank updates."""
        return self._constants(state) | self._weights(params, state.frozen)

    def averaged(self, state: TrainState) -> Policies:
        """Policies with the EMA of the trained weights if EMA is enabled."""
        params = state.params if state.ema is None else state.ema
        return self.policies({POLICY: params}, state)

    def init(self) -> TrainState:
        """Initial state with random weights, created directly in its sharding."""
        return self.start({})

    def start(self, found: Mapping[str, Any]) -> TrainState:
        """Initial state with the given variables.

        found: float32 variables to start from, placed by `weight_shardings`; missing ones are
            initialised randomly.
        """
        whole = not self._missing(found)
        # With LoRA the frozen weights change dtype, so their buffers cannot be reused.
        donated = 0 if whole and self.config.lora is None and not self.objective.roles else ()

        def make(found: Mapping[str, Any], given: Mapping[str, Any]) -> TrainState:
            return self._state_of(found if whole else _overlaid(self._random(), found), given)

        jitted = jax.jit(make, out_shardings=self.shardings, donate_argnums=donated)
        with meshes.use(self.mesh):
            return jitted(dict(found), self.given)

    def resumed(self, state: TrainState, params: Any) -> TrainState:
        """A restored state, completed with the parts that checkpoints do not hold.

        params: initial weights of the run; None if they are not needed, see `needs_weights`.
        """
        extra = state.extra | jax.device_put(self.given, self.everywhere)
        with meshes.use(self.mesh):
            for name in self._loaded_roles():
                cast = jax.jit(self._role_params, out_shardings=self.shardings.extra[name])
                extra[name] = cast(params)
            if self.frozen_elsewhere:
                cast = jax.jit(self._for_compute, out_shardings=self.shardings.frozen)
                state = state.replace(frozen=cast(params))
        return state.replace(extra=extra)

    @property
    def needs_weights(self) -> bool:
        """Whether a resumed run must load its initial weights again."""
        return bool(self._loaded_roles()) or self.frozen_elsewhere

    @property
    def frozen_elsewhere(self) -> bool:
        """Whether frozen LoRA base weights are loaded from `run.weights`, not from checkpoints."""
        return self.config.lora is not None and bool(self.config.run.weights)

    def weight_shardings(self) -> Any:
        """Shardings of all variables, trained or not, by collection."""
        return variable_shardings(self._variables, self.mesh)

    def abstract_state(self) -> TrainState:
        """Shapes and shardings of the state."""
        return jax.tree.map(
            lambda leaf, place: jax.ShapeDtypeStruct(leaf.shape, leaf.dtype, sharding=place),
            self.abstract,
            self.shardings,
        )

    def _validate(self, state: TrainState, batch: Mapping[str, Array]) -> Any:
        return self.objective.validate(self.averaged(state), batch)

    def _weights(self, params: Any, frozen: Any) -> dict[str, Any]:
        if self.config.lora is None:
            return {"params": self._for_compute(join(params, frozen))}
        updates = lora.scaled(params, self.config.lora)
        return {"params": self._for_compute(frozen), lora.COLLECTION: updates}

    def _role_variables(self, name: str, state: TrainState) -> dict[str, Any]:
        if self.config.lora is not None:
            params = state.frozen
        else:
            params = join(state.extra[name], state.frozen)
        return self._constants(state) | {"params": self._for_compute(params)}

    def _constants(self, state: TrainState) -> dict[str, Any]:
        """The network's variables that are not parameters."""
        return {name: state.extra[name] for name in self.objective.COLLECTIONS[1:]}

    def _kept_roles(self) -> tuple[Role, ...]:
        """Roles with their own weights; none with LoRA, where they share the frozen weights."""
        return self.objective.roles if self.config.lora is None else ()

    def _loaded_roles(self) -> list[str]:
        """Roles that are loaded from `run.weights` and not saved in checkpoints."""
        kept = self._kept_roles() if self.config.run.weights else ()
        return [role.name for role in kept if not role.saved]

    def _role_params(self, params: Any) -> Any:
        """A role's copy of the trained weights, in the compute dtype."""
        trained, _ = split(params, self.config.optimizer.freeze)
        return jax.tree.map(jnp.copy, self._for_compute(trained))

    def _for_compute(self, params: Any) -> Any:
        return for_compute(params, self.dtype)

    def _random(self) -> dict[str, Any]:
        shapes = MODELS[self.kind].inputs(self.model)
        inputs: dict[str, Any] = {
            name: jnp.zeros(each.shape, each.dtype) for name, each in shapes.items()
        }
        key = jax.random.key(self.config.run.seed)
        variables = unboxed(self.objective.module.init(key, **inputs))
        return dict(variables, params=self.objective.initial(variables["params"]))

    def _missing(self, found: Mapping[str, Any]) -> bool:
        """Whether `found` lacks some of the variables."""
        wanted = {name: unboxed(self._variables[name]) for name in self.objective.COLLECTIONS}
        have = {name: found.get(name, {}) for name in wanted}
        return jax.tree.structure(wanted) != jax.tree.structure(have)

    def _state_of(self, variables: Mapping[str, Any], given: Mapping[str, Any]) -> TrainState:
        config, params = self.config, variables["params"]
        if config.lora is None:
            trained, frozen = split(params, config.optimizer.freeze)
        else:
            key = jax.random.fold_in(jax.random.key(config.run.seed), 1)
            trained = lora.init_lora(key, self._variables["params"], config.lora)
            frozen = self._for_compute(params)
        return self._new_state(trained, frozen, variables, given)

    def _abstract_parts(self) -> tuple[Any, Any]:
        """Shapes of trained and frozen parameters, boxed with their logical axes."""
        config, params = self.config, self._variables["params"]
        if config.lora is None:
            return split(params, config.optimizer.freeze)
        return lora.abstract_lora(params, config.lora), jax.eval_shape(self._for_compute, params)

    def _new_state(
        self, trained: Any, frozen: Any, variables: Mapping[str, Any], given: Mapping[str, Any]
    ) -> TrainState:
        config = self.config
        extra = self.objective.extra(variables)
        for role in self._kept_roles():
            extra[role.name] = self._role_params(variables["params"])
        return new_state(
            trained, frozen, self.optimizer,
            ema=config.ema.enabled, seed=config.run.seed, extra=extra | dict(given),
        )  # fmt: skip


def for_compute(params: Any, dtype: Any) -> Any:
    """`params` with the kernels of the blocks cast to `dtype`.

    Casting before the all-gather halves its traffic. Other parameters are small, and some are used
    in float32 arithmetic.
    """
    flat = traverse_util.flatten_dict(params, sep="/")
    cast = {
        path: jax.tree.map(lambda x: x.astype(dtype), leaf)  # abstract leaves are boxed
        if path.startswith("blocks/") and path.endswith("/kernel")
        else leaf
        for path, leaf in flat.items()
    }
    return traverse_util.unflatten_dict(cast, sep="/")


def _overlaid(tree: Any, found: Any) -> Any:
    """`tree` with leaves replaced by those in `found`."""
    if not isinstance(tree, Mapping):
        return found
    return {
        name: _overlaid(part, found[name]) if name in found else part for name, part in tree.items()
    }
