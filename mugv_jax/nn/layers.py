# Copyright 2026 The mugv_jax Authors
# SPDX-License-Identifier: Apache-2.0
"""Linear, norms and MLP with named parameter axes; every other module is built from these.

Parameters live in `param_dtype` float32 at initialisation and in whatever dtype a checkpoint has
after loading; arithmetic runs in `dtype`. Norm statistics are always float32.
"""

import functools
import math
from collections.abc import Sequence
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp
from jax.typing import DTypeLike

from mugv_jax.axes import Array, Float
from mugv_jax.kernels.modulate import normalize
from mugv_jax.nn import lora


def named(init: nn.initializers.Initializer, *axes: str | None) -> nn.initializers.Initializer:
    """`init` whose parameter carries the logical names `axes`."""
    return nn.with_logical_partitioning(init, axes)


def unboxed(variables: Any) -> Any:
    """`variables` without their logical names; unlike `nn.unbox`, also inside a mesh's context."""

    def is_boxed(leaf: Any) -> bool:
        return isinstance(leaf, nn.LogicallyPartitioned)

    return jax.tree.map(
        lambda leaf: leaf.unbox(apply_constraint=False) if is_boxed(leaf) else leaf,
        variables,
        is_leaf=is_boxed,
    )


def against(vector: Array, x: Array) -> Array:
    """`vector` with leading axes of one, so that it meets the trailing axes of `x` explicitly."""
    return jnp.expand_dims(vector, range(x.ndim - vector.ndim))


class Linear(nn.Module):
    """y = x W + b over the last `contract` axes of x, onto one or several axes `features`.

    `axes` names the kernel's axes, contracted ones first: (d -> qkv heads head_dim) is
    `Linear((3, a, e), axes=("embed", "qkv", "heads", "head_dim"))`.

    Where the collection "lora" holds factors A, B for this layer, y += (x A) B (see `nn/lora.py`).
    """

    features: int | Sequence[int]
    axes: Sequence[str | None]
    dtype: DTypeLike
    contract: int = 1
    use_bias: bool = True
    kernel_init: nn.initializers.Initializer | None = None

    @nn.compact
    def __call__(self, x: Float[Array, "..."]) -> Float[Array, "..."]:
        features = (self.features,) if isinstance(self.features, int) else tuple(self.features)
        inputs = x.shape[x.ndim - self.contract :]
        init = self.kernel_init or nn.initializers.normal(1 / math.sqrt(math.prod(inputs)))
        kernel = self.param("kernel", named(init, *self.axes), (*inputs, *features))
        # A weight split by width is gathered, its gradient summed and scattered. Left alone, the
        # partitioner gathers the tokens of all those devices instead, which are far larger.
        whole = tuple(None if axis == "embed" else axis for axis in self.axes)
        kernel = nn.with_logical_constraint(kernel.astype(self.dtype), whole)
        y = _product(x, kernel, self.contract, self.dtype)
        if self.has_variable(lora.COLLECTION, "a"):
            a, b = (self.get_variable(lora.COLLECTION, factor) for factor in ("a", "b"))
            y = y + _product(_product(x, a, self.contract, self.dtype), b, 1, self.dtype)
        if self.use_bias:
            bias_init = named(nn.initializers.zeros, *self.axes[self.contract :])
            bias = self.param("bias", bias_init, features)
            y = y + against(bias.astype(self.dtype), y)
        return y


def _product(
    x: Float[Array, "..."], weight: Float[Array, "..."], contract: int, dtype: DTypeLike
) -> Float[Array, "..."]:
    """The last `contract` axes of x against the first ones of `weight`, in `dtype`."""
    x_axes = tuple(range(x.ndim - contract, x.ndim))
    axes = ((x_axes, tuple(range(contract))), ((), ()))
    return jax.lax.dot_general(x.astype(dtype), weight.astype(dtype), axes)


class LayerNorm(nn.Module):
    """LayerNorm with affine parameters, statistics in float32."""

    dtype: DTypeLike
    epsilon: float = 1e-6

    @nn.compact
    def __call__(self, x: Float[Array, "... d"]) -> Float[Array, "... d"]:
        scale = self.param("scale", named(nn.initializers.ones, "embed"), x.shape[-1:])
        bias = self.param("bias", named(nn.initializers.zeros, "embed"), x.shape[-1:])
        y = normalize(x, self.epsilon)
        y = y * against(scale.astype(jnp.float32), y) + against(bias.astype(jnp.float32), y)
        return y.astype(self.dtype)


class RMSNorm(nn.Module):
    """x / sqrt(mean(x^2) + epsilon) in float32, cast to `dtype`, then scaled there.

    The order (cast, then scale) is that of the published MUG-V and T5 code.
    """

    dtype: DTypeLike
    axis_name: str = "embed"
    epsilon: float = 1e-6

    @nn.compact
    def __call__(self, x: Float[Array, "... d"]) -> Float[Array, "... d"]:
        scale = self.param("scale", named(nn.initializers.ones, self.axis_name), x.shape[-1:])
        y = x.astype(jnp.float32)
        y = y * jax.lax.rsqrt(jnp.mean(jnp.square(y), axis=-1, keepdims=True) + self.epsilon)
        y = y.astype(self.dtype)
        return y * against(scale.astype(self.dtype), y)


class Mlp(nn.Module):
    """Linear - GELU (tanh form) - Linear, onto `features` (the input width unless given)."""

    hidden_dim: int
    dtype: DTypeLike
    features: int | None = None

    @nn.compact
    def __call__(self, x: Float[Array, "... n c"]) -> Float[Array, "... n d"]:
        linear = functools.partial(Linear, dtype=self.dtype)
        x_bnm = linear(self.hidden_dim, axes=("embed", "mlp"), name="up")(x)
        x_bnm = nn.with_logical_constraint(nn.gelu(x_bnm), ("batch", "tokens", "mlp"))
        return linear(self.features or x.shape[-1], axes=("mlp", "embed"), name="down")(x_bnm)
