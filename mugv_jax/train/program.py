# Copyright 2026 The mugv_jax Authors
# SPDX-License-Identifier: Apache-2.0
"""What is compiled for a training run on a mesh: initialisation, step, validation."""

import functools
from collections.abc import Mapping
from typing import Any

import jax
import jax.numpy as jnp
from flax import traverse_util
from jax.sharding import Mesh, NamedSharding, PartitionSpec

from mugv_jax.axes import Array
from mugv_jax.nn import lora
from mugv_jax.nn.layers import unboxed
from mugv_jax.sharding import mesh as meshes
from mugv_jax.sharding.parallel import build_dit
from mugv_jax.sharding.place import batch_sharding, data_shards, variable_shardings
from mugv_jax.train.optimizer import make_optimizer
from mugv_jax.train.state import TrainState, join, new_state, split
from mugv_jax.train.step import NullText, Step
from mugv_jax.train.train_config import TrainConfig
from mugv_jax.train.validate import Validation
from mugv_jax.weights.registry import MODELS, abstract_variables

KIND = "mugv_dit"


class Program:
    """The functions of one run on one mesh; nothing is compiled before it is called.

    kind, model: name and sizes of the model.
    step: (state, batch, null) -> (state, metrics), the state's buffers donated.
    validate: (trained, frozen, batch) -> losses.
    abstract, shardings: shape and place of every leaf of the state.
    """

    kind = KIND

    def __init__(self, config: TrainConfig, mesh: Mesh):
        self.config, self.mesh, self.model = config, mesh, config.dit
        self.dtype = jnp.dtype(config.run.dtype)
        self.module = build_dit(
            config.dit,
            mesh,
            config.mesh,
            module=MODELS[KIND].build,
            dtype=self.dtype,
            remat=config.run.remat,
            kernels=config.kernels,
        )
        self.optimizer, self.schedule = make_optimizer(config.optimizer, config.run.steps)
        self.shards = data_shards(mesh)
        self._weights = abstract_variables(KIND, config.dit)["params"]
        if config.lora is None:
            parts = split(self._weights, config.optimizer.freeze)
        else:
            # Weights that nobody updates need no more precision than the arithmetic has.
            frozen = jax.eval_shape(lambda x: for_compute(x, self.dtype), self._weights)
            parts = lora.abstract_lora(self._weights, config.lora), frozen
        boxed = jax.eval_shape(self._new_state, *parts)
        self.abstract, self.shardings = unboxed(boxed), variable_shardings(boxed, mesh)
        everywhere = NamedSharding(mesh, PartitionSpec())
        step = Step(
            velocity=self.velocity,
            optimizer=self.optimizer,
            schedule=self.schedule,
            tasks=config.tasks,
            loss=config.loss,
            accumulate=config.run.accumulate,
            shards=self.shards,
            ema_decay=config.ema.decay if config.ema.enabled else None,
        )
        self.step = jax.jit(step, donate_argnums=0, out_shardings=(self.shardings, everywhere))
        self.validate = jax.jit(Validation(self.velocity, config.loss), out_shardings=everywhere)

    def velocity(
        self, trained: Any, frozen: Any, x: Array, t: Array, condition: Mapping[str, Array]
    ) -> Array:
        """The network's velocity at `t` in [0, 1000]."""
        condition = dict(condition)
        variables = self.variables(trained, frozen)
        return self.module.apply(variables, x, t, condition.pop("text"), **condition)

    def variables(self, trained: Any, frozen: Any) -> dict[str, Any]:
        """What the module reads: weights, with low-rank updates where these are trained."""
        if self.config.lora is None:
            return {"params": for_compute(join(trained, frozen), self.dtype)}
        return {
            "params": for_compute(frozen, self.dtype),
            lora.COLLECTION: lora.scaled(trained, self.config.lora),
        }

    def init(self) -> TrainState:
        """The state of random weights, made on the mesh, every shard where it lives."""
        shapes = MODELS[KIND].inputs(self.config.dit)

        def make() -> TrainState:
            inputs = {name: jnp.zeros(each.shape, each.dtype) for name, each in shapes.items()}
            variables = self.module.init(jax.random.key(self.config.run.seed), **inputs)
            return self._state_of(unboxed(variables["params"]))

        with meshes.use(self.mesh):
            return jax.jit(make, out_shardings=self.shardings)()

    def from_weights(self, params: Any) -> TrainState:
        """The state that starts from float32 weights, which lie as `weight_shardings` says."""
        # Low-rank updates keep them in another dtype, which needs other buffers.
        donated = 0 if self.config.lora is None else ()
        make = jax.jit(self._state_of, out_shardings=self.shardings, donate_argnums=donated)
        with meshes.use(self.mesh):
            return make(params)

    def frozen_under_lora(self, params: Any) -> Any:
        """Weights as a state of low-rank updates holds them: in the arithmetic's dtype."""
        with meshes.use(self.mesh):
            cast = functools.partial(for_compute, dtype=self.dtype)
            return jax.jit(cast, out_shardings=self.shardings.frozen)(params)

    def weight_shardings(self) -> Any:
        """Where the whole weights live, trained or not."""
        return variable_shardings(self._weights, self.mesh)

    def abstract_batch(
        self, latent_shape: tuple[int, int, int], rows: int, text_tokens: int
    ) -> dict[str, jax.ShapeDtypeStruct]:
        """Shapes and places of a batch of `rows` latents of (f, h, w)."""
        frames, config = latent_shape[0], self.config.dit
        shapes = {
            "latent": ((*latent_shape, config.in_channels), jnp.float32),
            "text": ((text_tokens, config.text_dim), jnp.float32),
            "text_mask": ((text_tokens,), jnp.bool_),
            "fps": ((), jnp.float32),
            "frame_index": ((frames + 2,), jnp.int32),
            "sample": ((), jnp.int32),
        }
        place = batch_sharding(self.mesh, rows)
        return {
            name: jax.ShapeDtypeStruct((rows, *shape), dtype, sharding=place)
            for name, (shape, dtype) in shapes.items()
        }

    def abstract_null(self, text_tokens: int) -> NullText:
        """Shapes of what stands for a dropped caption."""
        place = NamedSharding(self.mesh, PartitionSpec())
        shaped = functools.partial(jax.ShapeDtypeStruct, sharding=place)
        return NullText(
            text=shaped((text_tokens, self.config.dit.text_dim), jnp.float32),
            text_mask=shaped((text_tokens,), jnp.bool_),
        )

    def abstract_state(self) -> TrainState:
        """Shapes and places of the state."""
        return jax.tree.map(
            lambda leaf, place: jax.ShapeDtypeStruct(leaf.shape, leaf.dtype, sharding=place),
            self.abstract,
            self.shardings,
        )

    def _state_of(self, params: Any) -> TrainState:
        config = self.config
        if config.lora is None:
            return self._new_state(*split(params, config.optimizer.freeze))
        key = jax.random.fold_in(jax.random.key(config.run.seed), 1)
        trained = lora.init_lora(key, self._weights, config.lora)
        return self._new_state(trained, for_compute(params, self.dtype))

    def _new_state(self, trained: Any, frozen: Any) -> TrainState:
        config = self.config
        return new_state(
            trained, frozen, self.optimizer, ema=config.ema.enabled, seed=config.run.seed
        )


def for_compute(params: Any, dtype: Any) -> Any:
    """`params` with the kernels of the blocks in `dtype`.

    They are cast before they are gathered from other devices, at half the traffic; all else is
    small, and some of it is float32 arithmetic's.
    """
    flat = traverse_util.flatten_dict(params, sep="/")
    cast = {
        path: jax.tree.map(lambda x: x.astype(dtype), leaf)  # boxed in a tree of shapes
        if path.startswith("blocks/") and path.endswith("/kernel")
        else leaf
        for path, leaf in flat.items()
    }
    return traverse_util.unflatten_dict(cast, sep="/")
