# Copyright 2026 The mugv_jax Authors
# SPDX-License-Identifier: Apache-2.0
"""The work between the matrix products of a block: norms, modulation, gated residuals, rotation.

The tokens of a group share their vectors. A group is the start token, a latent frame or the end
token; `group` holds the number of every token's group and never decreases. The vectors (b g d) are
stored once per group and looked up. Let LN be LayerNorm without scale and bias. The operations

    (a) norm_modulate                 y   = LN(x) (1 + scale_g) + shift_g
    (b) gate_residual                 out = x + gate_g (update + bias)
    (c) gate_residual_norm_modulate   (b), and (a) of its result, in one pass
    (d) norm_rotate                   out = rotate(RMSNorm(q))

read and write their tokens once each, forward and backward, where they are kernels. Statistics and
arithmetic are float32; results have the dtype of x. The paper describes (c) as one Triton kernel
(arXiv:2510.17519).

An implementation is a module `modulate_<name>` with `over_groups` for (a) to (c) and `over_heads`
for (d). They take the name of an operation, such as "norm_modulate" or "norm_modulate_backward",
its tokens and its vectors:

        tokens                   vectors                  new tokens     sums
    (a) x                        shift, scale             y
    (b) x, update                bias, gate               out
    (c) x, update                bias, gate, shift, scale out, y
    (a) x, d_y                   scale                    d_x            d_shift, d_scale
    (b) update, d_out            gate                     d_update       S, T
    (c) out, update, d_out, d_y  gate, scale              d_x, d_update  S, T, d_shift, d_scale

The sums are over the tokens of a group, with S_g = sum d_out and T_g = sum d_out update. Hence

    d_gate_g = T_g + bias S_g,    d_bias = sum_g gate_g S_g
"""

import dataclasses
import functools
import importlib
from collections.abc import Callable
from types import ModuleType
from typing import Any

import jax
import jax.numpy as jnp

from mugv_jax.axes import Array, Float, Int
from mugv_jax.kernels import select


@dataclasses.dataclass(frozen=True)
class Modulation:
    """The four operations.

    implementation: one of `select.MODULATIONS`, or None to choose by platform.

    Raises:
        ValueError: unknown implementation.
    """

    implementation: str | None = None

    def __post_init__(self):
        select.check("modulation", self.implementation, select.MODULATIONS)

    def norm_modulate(
        self,
        x: Float[Array, "b n d"],
        shift: Float[Array, "b g d"],
        scale: Float[Array, "b g d"],
        group: Int[Array, "n"],
    ) -> Float[Array, "b n d"]:
        """LN(x) (1 + scale_g) + shift_g."""
        operation = functools.partial(_over_groups, "norm_modulate")
        return self._apply(operation, "bnd bgd bgd n -> bnd", x, shift, scale, group)[0]

    def gate_residual(
        self,
        x: Float[Array, "b n d"],
        update: Float[Array, "b n d"],
        bias: Float[Array, "d"],
        gate: Float[Array, "b g d"],
        group: Int[Array, "n"],
    ) -> Float[Array, "b n d"]:
        """x + gate_g (update + bias)."""
        operation = functools.partial(_over_groups, "gate_residual")
        return self._apply(operation, "bnd bnd d bgd n -> bnd", x, update, bias, gate, group)[0]

    def gate_residual_norm_modulate(
        self,
        x: Float[Array, "b n d"],
        update: Float[Array, "b n d"],
        bias: Float[Array, "d"],
        gate: Float[Array, "b g d"],
        shift: Float[Array, "b g d"],
        scale: Float[Array, "b g d"],
        group: Int[Array, "n"],
    ) -> tuple[Float[Array, "b n d"], Float[Array, "b n d"]]:
        """The pair of `out = gate_residual(x, ...)` and `norm_modulate(out, ...)`."""
        operation = functools.partial(_over_groups, "gate_residual_norm_modulate")
        arrays = x, update, bias, gate, shift, scale, group
        return self._apply(operation, "bnd bnd d bgd bgd bgd n -> bnd bnd", *arrays)

    def norm_rotate(
        self,
        q: Float[Array, "b n a e"],
        scale: Float[Array, "e"],
        cos: Float[Array, "b n k"],
        sin: Float[Array, "b n k"],
    ) -> Float[Array, "b n a e"]:
        """RMSNorm over each head, scaled, with the pairs (q[i], q[i + e/2]) rotated by the angles.

        The angles are positions and get no derivatives.
        """
        return self._apply(_norm_rotate, "bnae e bnk bnk -> bnae", q, scale, cos, sin)[0]

    def _apply(self, operation: Callable[..., Any], axes: str, *arrays: Array) -> Any:
        """Results of `operation`; `MeshModulation` overrides this, and splits the arrays by `axes`.

        axes: the axes of every array and result, such as "bnd bgd n -> bnd".
        """
        del axes
        return operation(self.implementation or select.modulation(), *arrays)


def module(implementation: str) -> ModuleType:
    """Module of an implementation, imported when first used.

    Importing Pallas takes time, and jax-triton is optional.
    """
    return importlib.import_module(f"mugv_jax.kernels.modulate_{implementation}")


@functools.partial(jax.custom_vjp, nondiff_argnums=(0, 1))
def _over_groups(operation: str, name: str, *arrays: Array) -> tuple[Array, ...]:
    tokens, vectors, group = _parts(operation, arrays)
    return tuple(module(name).over_groups(operation, tokens, vectors, group)[0])


def _over_groups_forward(
    operation: str, name: str, *arrays: Array
) -> tuple[tuple[Array, ...], tuple]:
    outputs: Any = _over_groups(operation, name, *arrays)
    (x, *update), vectors, group = _parts(operation, arrays)
    if operation == "gate_residual":
        return outputs, (update, vectors, group)
    *gated, shift, scale = vectors
    x = outputs[0] if gated else x  # the input of the norm
    # Only the dtype of the shift is needed, which an empty array carries.
    return outputs, ([x, *update], [*gated, shift[:0], scale], group)


def _over_groups_backward(
    operation: str, name: str, saved: tuple, d_outputs: tuple[Array, ...]
) -> tuple[Array | None, ...]:
    tokens, vectors, group = saved
    read = vectors[1::2]  # gate and scale
    d_tokens, d_vectors = module(name).over_groups(
        f"{operation}_backward", [*tokens, *d_outputs], read, group
    )
    if operation == "gate_residual":
        d_tokens = [*d_outputs, *d_tokens]
    if operation != "norm_modulate":
        bias, gate = (vector.astype(jnp.float32) for vector in vectors[:2])
        total, product, *others = d_vectors  # S and T of the module's docstring
        d_gate = product + bias[None, None] * total
        d_vectors = [jnp.sum(gate * total, axis=(0, 1)), d_gate, *others]
    d_vectors = [d.astype(vector.dtype) for d, vector in zip(d_vectors, vectors, strict=True)]
    return *d_tokens, *d_vectors, None


_over_groups.defvjp(_over_groups_forward, _over_groups_backward)


def _parts(
    operation: str, arrays: tuple[Array, ...]
) -> tuple[list[Array], list[Array], Int[Array, "n"]]:
    """Tokens, vectors and group among the arguments of an operation."""
    *moving, group = arrays
    count = 1 if operation == "norm_modulate" else 2
    return moving[:count], moving[count:], group


@functools.partial(jax.custom_vjp, nondiff_argnums=(0,))
def _norm_rotate(name: str, q: Array, scale: Array, cos: Array, sin: Array) -> tuple[Array]:
    return (module(name).over_heads("norm_rotate", [q], scale, cos, sin)[0],)


def _norm_rotate_forward(name: str, *arrays: Array) -> tuple[tuple[Array], tuple]:
    return _norm_rotate(name, *arrays), arrays


def _norm_rotate_backward(name: str, saved: tuple, d_outputs: tuple[Array]) -> tuple:
    q, scale, cos, sin = saved
    tokens = [q, *d_outputs]
    d_q, (d_scale,) = module(name).over_heads("norm_rotate_backward", tokens, scale, cos, sin)
    return d_q, d_scale.astype(scale.dtype), None, None


_norm_rotate.defvjp(_norm_rotate_forward, _norm_rotate_backward)
