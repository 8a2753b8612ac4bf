# Copyright 2026 The mugv_jax Authors
# SPDX-License-Identifier: Apache-2.0
"""Linear, norms and MLP with named parameter axes; every other module is built from these.

Parameters are float32 at initialisation and have the checkpoint's dtype after loading; arithmetic
runs in `dtype`. Norm statistics are always float32.
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
from mugv_jax.nn import lora, quantize


def partitioned(
    init: nn.initializers.Initializer, *axes: str | None
) -> nn.initializers.Initializer:
    """Initializer `init` for a parameter that carries the logical names `axes`."""
    return nn.with_logical_partitioning(init, axes)


def unboxed(variables: Any) -> Any:
    """`variables` without their logical names; works in a mesh's context, unlike `nn.unbox`."""

    def is_boxed(leaf: Any) -> bool:
        return isinstance(leaf, nn.LogicallyPartitioned)

    return jax.tree.map(
        lambda leaf: leaf.unbox(apply_constraint=False) if is_boxed(leaf) else leaf,
        variables,
        is_leaf=is_boxed,
    )


def match_rank(vector: Array, x: Array) -> Array:
    """`vector` with leading axes of one up to the rank of `x`: broadcasting made explicit."""
    return jnp.expand_dims(vector, range(x.ndim - vector.ndim))


class Linear(nn.Module):
    """y = x W + b over the last `contract` axes of x, onto one or several axes `features`.

    `axes` names the kernel's axes, contracted ones first: (d -> qkv heads head_dim) is
    `Linear((3, a, e), axes=("embed", "qkv", "heads", "head_dim"))`.

    A kernel with 8-bit scales beside it is dequantised, or multiplied in 8 bits
    (`nn/quantize.py`). If the collection "lora" holds factors A and B for this layer,
    y += (x A) B (`nn/lora.py`).
    """

    features: int | Sequence[int]
    axes: Sequence[str | None]
    dtype: DTypeLike
    contract: int = 1
    use_bias: bool = True
    kernel_init: nn.initializers.Initializer | None = None

    def __call__(self, x: Float[Array, "..."]) -> Float[Array, "..."]:
        y, bias = self.without_bias(x)
        return y if bias is None else y + match_rank(bias.astype(self.dtype), y)

    @nn.compact
    def without_bias(self, x: Float[Array, "..."]) -> tuple[Float[Array, "..."], Array | None]:
        """x W and, separately, b: for a kernel that adds b together with other work."""
        features = (self.features,) if isinstance(self.features, int) else tuple(self.features)
        inputs = x.shape[x.ndim - self.contract :]
        init = self.kernel_init or nn.initializers.normal(1 / math.sqrt(math.prod(inputs)))
        kernel = self.param("kernel", partitioned(init, *self.axes), (*inputs, *features))
        # Gathers a weight that is split by width, and reduce-scatters its gradient. Otherwise the
        # partitioner would gather the tokens of all those devices, which are far larger.
        whole = tuple(None if axis == "embed" else axis for axis in self.axes)
        if self.has_variable("params", quantize.PRODUCT_SCALE):
            scale = self.get_variable("params", quantize.PRODUCT_SCALE)
            kernel = nn.with_logical_constraint(kernel, whole)  # gathered in 8 bits
            y = quantize.product(x, kernel, scale, self.contract, self.dtype)
        else:
            if self.has_variable("params", quantize.SCALE):
                scale = self.get_variable("params", quantize.SCALE)
                kernel = nn.with_logical_constraint(kernel, whole)  # gathered in 8 bits
                kernel = quantize.dequantized(kernel, scale, self.dtype)
            kernel = nn.with_logical_constraint(kernel.astype(self.dtype), whole)
            y = _product(x, kernel, self.contract, self.dtype)
        if self.has_variable(lora.COLLECTION, "a"):
            a, b = (self.get_variable(lora.COLLECTION, factor) for factor in ("a", "b"))
            y = y + _product(_product(x, a, self.contract, self.dtype), b, 1, self.dtype)
        if not self.use_bias:
            return y, None
        bias_init = partitioned(nn.initializers.zeros, *self.axes[self.contract :])
        return y, self.param("bias", bias_init, features)


def _product(
    x: Float[Array, "..."], weight: Float[Array, "..."], contract: int, dtype: DTypeLike
) -> Float[Array, "..."]:
    """Product over the last `contract` axes of x and the first ones of `weight`, in `dtype`."""
    x_axes = tuple(range(x.ndim - contract, x.ndim))
    axes = ((x_axes, tuple(range(contract))), ((), ()))
    return jax.lax.dot_general(x.astype(dtype), weight.astype(dtype), axes)


class LayerNormAffine(nn.Module):
    """Scale w and bias b of a LayerNorm as an equivalent modulation, in float32.

    LN(x) w + b = LN(x) (1 + scale) + shift,    shift = b,  scale = w - 1
    """

    width: int

    @nn.compact
    def __call__(self) -> tuple[Float[Array, "d"], Float[Array, "d"]]:
        """Shift and scale of the modulation."""
        weight = self.param("scale", partitioned(nn.initializers.ones, "embed"), (self.width,))
        bias = self.param("bias", partitioned(nn.initializers.zeros, "embed"), (self.width,))
        return bias.astype(jnp.float32), weight.astype(jnp.float32) - 1


class RMSNorm(nn.Module):
    """x / sqrt(mean(x^2) + epsilon) in float32, cast to `dtype`, then scaled there.

    The order (cast, then scale) is that of the published MUG-V and T5 code.
    """

    dtype: DTypeLike
    axis_name: str = "embed"
    epsilon: float = 1e-6

    def __call__(self, x: Float[Array, "... d"]) -> Float[Array, "... d"]:
        scale = self.scale(x.shape[-1])
        y = x.astype(jnp.float32)
        y = y * jax.lax.rsqrt(jnp.mean(jnp.square(y), axis=-1, keepdims=True) + self.epsilon)
        y = y.astype(self.dtype)
        return y * match_rank(scale.astype(self.dtype), y)

    @nn.compact
    def scale(self, width: int) -> Float[Array, "d"]:
        """Learned scale alone, for a kernel that does the normalisation."""
        return self.param("scale", partitioned(nn.initializers.ones, self.axis_name), (width,))


class Mlp(nn.Module):
    """Linear - GELU (tanh form) - Linear, onto `features` (by default the input width)."""

    hidden_dim: int
    dtype: DTypeLike
    features: int | None = None

    def __call__(self, x: Float[Array, "... n c"]) -> Float[Array, "... n d"]:
        y, bias = self.without_bias(x)
        return y + match_rank(bias.astype(self.dtype), y)

    @nn.compact
    def without_bias(
        self, x: Float[Array, "... n c"]
    ) -> tuple[Float[Array, "... n d"], Float[Array, "d"]]:
        """The MLP before its last bias, and that bias; see `Linear.without_bias`."""
        linear = functools.partial(Linear, dtype=self.dtype)
        x_bnm = linear(self.hidden_dim, axes=("embed", "mlp"), name="up")(x)
        x_bnm = nn.with_logical_constraint(nn.gelu(x_bnm), ("batch", "tokens", "mlp"))
        down = linear(self.features or x.shape[-1], axes=("mlp", "embed"), name="down")
        y, bias = down.without_bias(x_bnm)
        assert bias is not None
        return y, bias
