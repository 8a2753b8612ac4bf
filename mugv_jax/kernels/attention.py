# Copyright 2026 The mugv_jax Authors
# SPDX-License-Identifier: Apache-2.0
"""Softmax attention whose memory grows linearly with the number of tokens, on every platform.

    out_i = sum_j softmax_j(q_i . k_j / sqrt(e)) v_j,    j < key_lengths

`attend` chooses an implementation by platform and dtype. All of them take and return the same
arrays, compute the softmax in float32, and never store the n x s scores, forward or backward.
"""

import functools
import importlib
from collections.abc import Callable
from types import ModuleType
from typing import Any

import jax
import jax.numpy as jnp
from jax.ad_checkpoint import checkpoint_name

from mugv_jax.axes import Array, Float, Int
from mugv_jax.kernels import cudnn, select

Attend = Callable[..., Array]

# Modules with the functions `forward(q, k, v, key_lengths) -> (out, lse)`,
# `backward(q, k, v, key_lengths, out, lse, d_out) -> (d_q, d_k, d_v)`, and maybe
# `output(q, k, v, key_lengths) -> out`, for where no derivative is taken.
BLOCKED = {
    "xla": "mugv_jax.kernels.flash",
    "splash": "mugv_jax.kernels.splash",
    "tpu": "mugv_jax.kernels.attention_tpu",
    "hopper": "mugv_jax.kernels.hopper",
}
# Name by which rematerialisation policies keep what the backward pass needs beside q, k and v.
SAVED = "attention"


def attend(
    q: Float[Array, "b n a e"],
    k: Float[Array, "b s a e"],
    v: Float[Array, "b s a e"],
    key_lengths: Int[Array, "b"] | None = None,
    *,
    implementation: str | None = None,
) -> Float[Array, "b n a e"]:
    """Attention over the first `key_lengths[i]` keys of sample i, or over all keys if None.

    A sample with no keys gets zeros.

    implementation: "cudnn" (NVIDIA GPUs, 16-bit types), "hopper" (H100 and H200, bfloat16),
        "tpu" or JAX's "splash" (TPU), or "xla" (anywhere); None chooses by platform, dtype and size
        of a head. On a CPU, "hopper", "splash" and "tpu" run in an interpreter, slowly.

    Raises:
        ValueError: unknown implementation.
    """
    implementation = implementation or select.attention(q.dtype, q.shape[-1])
    v, key_lengths = at_least_one_key(v, key_lengths)
    if implementation == "cudnn":
        return _cudnn(q, k, v, key_lengths)
    return _blocked(implementation, q, k, v, key_lengths)


def blocked(implementation: str) -> ModuleType:
    """Module with the forward and backward pass of an implementation.

    Raises:
        ValueError: unknown implementation.
    """
    if implementation not in BLOCKED:
        names = ", ".join(repr(name) for name in ("cudnn", *BLOCKED))
        raise ValueError(f"implementation={implementation!r} is not one of {names}.")
    # Imported only when chosen: what runs on one platform may not import on another.
    return importlib.import_module(BLOCKED[implementation])


def at_least_one_key(
    v: Float[Array, "b s a e"], key_lengths: Int[Array, "b"] | None
) -> tuple[Float[Array, "b s a e"], Int[Array, "b"] | None]:
    """Values and lengths that give a sample without keys a single key, whose value is zero.

    The softmax over no keys is undefined; this way the output is zero. Changing the few values of
    the text costs less than changing the output of all queries.
    """
    if key_lengths is None:
        return v, None
    v = jnp.where((key_lengths > 0)[:, None, None, None], v, jnp.zeros((), v.dtype))
    return v, jnp.maximum(key_lengths, 1)


def saved_by_policies(saved: Any) -> Any:
    """The arrays of `saved`, named so that rematerialisation policies keep them."""
    return jax.tree.map(lambda x: checkpoint_name(x, SAVED), saved)


@functools.partial(jax.custom_vjp, nondiff_argnums=(0,))
def _blocked(implementation: str, q: Array, k: Array, v: Array, key_lengths: Array | None) -> Array:
    module = blocked(implementation)
    if hasattr(module, "output"):
        return module.output(q, k, v, key_lengths)
    return module.forward(q, k, v, key_lengths)[0]


def _blocked_forward(
    implementation: str, q: Array, k: Array, v: Array, key_lengths: Array | None
) -> tuple[Array, tuple]:
    out, lse = saved_by_policies(blocked(implementation).forward(q, k, v, key_lengths))
    return out, (q, k, v, key_lengths, out, lse)


def _blocked_backward(implementation: str, saved: tuple, d_out: Array) -> tuple:
    gradients = blocked(implementation).backward(*saved, d_out)
    return *(d.astype(x.dtype) for d, x in zip(gradients, saved[:3])), None


_blocked.defvjp(_blocked_forward, _blocked_backward)


_cudnn = jax.custom_vjp(cudnn.attend)


def _cudnn_forward(q: Array, k: Array, v: Array, key_lengths: Array | None) -> tuple[Array, Any]:
    # Only cuDNN's own derivative gives access to what cuDNN saves, its inputs included.
    out, derivative = jax.vjp(lambda q, k, v: cudnn.attend_evenly(q, k, v, key_lengths), q, k, v)
    return out, saved_by_policies(derivative)


def _cudnn_backward(derivative: Any, d_out: Array) -> tuple:
    return *derivative(d_out), None


_cudnn.defvjp(_cudnn_forward, _cudnn_backward)
