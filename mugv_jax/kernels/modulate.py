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

An implementation is a module `modulate_<name>` with eight functions: the four operations and their
backward passes, with the signatures of `modulate_xla.py`. A backward pass returns two sums over the
tokens of a group, S_g = sum d_out and T_g = sum d_out update, from which this module computes the
derivatives by gate and bias:

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
        return self._apply(_norm_modulate, "bnd bgd bgd n -> bnd", x, shift, scale, group)

    def gate_residual(
        self,
        x: Float[Array, "b n d"],
        update: Float[Array, "b n d"],
        bias: Float[Array, "d"],
        gate: Float[Array, "b g d"],
        group: Int[Array, "n"],
    ) -> Float[Array, "b n d"]:
        """x + gate_g (update + bias)."""
        axes = "bnd bnd d bgd n -> bnd"
        return self._apply(_gate_residual, axes, x, update, bias, gate, group)

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
        axes = "bnd bnd d bgd bgd bgd n -> bnd bnd"
        vectors = gate, shift, scale
        return self._apply(_gate_residual_norm_modulate, axes, x, update, bias, *vectors, group)

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
        return self._apply(_norm_rotate, "bnae e bnk bnk -> bnae", q, scale, cos, sin)

    def _apply(self, operation: Callable[..., Any], axes: str, *arrays: Array) -> Any:
        """Result of `operation`; `MeshModulation` overrides this, and splits the arrays by `axes`.

        axes: the axes of every array and result, such as "bnd bgd n -> bnd".
        """
        del axes
        return operation(self.implementation or select.modulation(), *arrays)


def module(implementation: str) -> ModuleType:
    """Module of an implementation, imported when first used.

    Importing Pallas takes time, and jax-triton is optional.
    """
    return importlib.import_module(f"mugv_jax.kernels.modulate_{implementation}")


@functools.partial(jax.custom_vjp, nondiff_argnums=(0,))
def _norm_modulate(name: str, x: Array, shift: Array, scale: Array, group: Array) -> Array:
    return module(name).norm_modulate(x, shift, scale, group)


def _norm_modulate_forward(
    name: str, x: Array, shift: Array, scale: Array, group: Array
) -> tuple[Array, tuple]:
    # Only the dtype of the shift is needed, which an empty array carries.
    return _norm_modulate(name, x, shift, scale, group), (x, shift[:0], scale, group)


def _norm_modulate_backward(name: str, saved: tuple, d_y: Array) -> tuple:
    x, shift, scale, group = saved
    d_x, d_shift, d_scale = module(name).norm_modulate_backward(x, scale, group, d_y)
    return d_x, d_shift.astype(shift.dtype), d_scale.astype(scale.dtype), None


_norm_modulate.defvjp(_norm_modulate_forward, _norm_modulate_backward)


@functools.partial(jax.custom_vjp, nondiff_argnums=(0,))
def _gate_residual(
    name: str, x: Array, update: Array, bias: Array, gate: Array, group: Array
) -> Array:
    return module(name).gate_residual(x, update, bias, gate, group)


def _gate_residual_forward(
    name: str, x: Array, update: Array, bias: Array, gate: Array, group: Array
) -> tuple[Array, tuple]:
    return _gate_residual(name, x, update, bias, gate, group), (update, bias, gate, group)


def _gate_residual_backward(name: str, saved: tuple, d_out: Array) -> tuple:
    update, bias, gate, group = saved
    d_update, total, product = module(name).gate_residual_backward(update, gate, group, d_out)
    return d_out, d_update, *_of_gate(bias, gate, total, product), None


_gate_residual.defvjp(_gate_residual_forward, _gate_residual_backward)


@functools.partial(jax.custom_vjp, nondiff_argnums=(0,))
def _gate_residual_norm_modulate(
    name: str,
    x: Array,
    update: Array,
    bias: Array,
    gate: Array,
    shift: Array,
    scale: Array,
    group: Array,
) -> tuple[Array, Array]:
    return module(name).gate_residual_norm_modulate(x, update, bias, gate, shift, scale, group)


def _gate_residual_norm_modulate_forward(
    name: str,
    x: Array,
    update: Array,
    bias: Array,
    gate: Array,
    shift: Array,
    scale: Array,
    group: Array,
) -> tuple[tuple[Array, Array], tuple]:
    outputs: Any = _gate_residual_norm_modulate(name, x, update, bias, gate, shift, scale, group)
    out, y = outputs
    return (out, y), (out, update, bias, gate, shift[:0], scale, group)


def _gate_residual_norm_modulate_backward(
    name: str, saved: tuple, d_outputs: tuple[Array, Array]
) -> tuple:
    out, update, bias, gate, shift, scale, group = saved
    backward = module(name).gate_residual_norm_modulate_backward
    d_x, d_update, total, product, d_shift, d_scale = backward(
        out, update, gate, scale, group, *d_outputs
    )
    return (
        d_x,
        d_update,
        *_of_gate(bias, gate, total, product),
        d_shift.astype(shift.dtype),
        d_scale.astype(scale.dtype),
        None,
    )


_gate_residual_norm_modulate.defvjp(
    _gate_residual_norm_modulate_forward, _gate_residual_norm_modulate_backward
)


@functools.partial(jax.custom_vjp, nondiff_argnums=(0,))
def _norm_rotate(name: str, q: Array, scale: Array, cos: Array, sin: Array) -> Array:
    return module(name).norm_rotate(q, scale, cos, sin)


def _norm_rotate_forward(
    name: str, q: Array, scale: Array, cos: Array, sin: Array
) -> tuple[Array, tuple]:
    return _norm_rotate(name, q, scale, cos, sin), (q, scale, cos, sin)


def _norm_rotate_backward(name: str, saved: tuple, d_out: Array) -> tuple:
    d_q, d_scale = module(name).norm_rotate_backward(*saved, d_out)
    return d_q, d_scale.astype(saved[1].dtype), None, None


_norm_rotate.defvjp(_norm_rotate_forward, _norm_rotate_backward)


def _of_gate(bias: Array, gate: Array, total: Array, product: Array) -> tuple[Array, Array]:
    """Derivatives by bias and gate; `total` is S and `product` is T of the module's docstring."""
    d_bias = jnp.sum(gate.astype(jnp.float32) * total, axis=(0, 1))
    d_gate = product + bias.astype(jnp.float32)[None, None] * total
    return d_bias.astype(bias.dtype), d_gate.astype(gate.dtype)
