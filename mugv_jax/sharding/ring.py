# Copyright 2026 The mugv_jax Authors
# SPDX-License-Identifier: Apache-2.0
"""Ring attention (arXiv:2310.01889): keys and values travel round the devices of a mesh axis.

Each device holds a chunk of the tokens. In every step it attends with its queries over the keys
that have arrived, while these are already on their way to the next device, and merges the results:

    lse = log(exp(lse_1) + exp(lse_2)),    out = out_1 exp(lse_1 - lse) + out_2 exp(lse_2 - lse).

The backward pass starts from the merged out and lse, and sends the derivatives of keys and values
round with them; after the last step they are back on their own device. Runs inside `jax.shard_map`.
"""

import dataclasses
import functools

import jax
import jax.numpy as jnp

from mugv_jax.axes import Array, Float, Int
from mugv_jax.kernels.attention import at_least_one_key, blocked, saved_by_policies
from mugv_jax.kernels.flash import UNSEEN


@dataclasses.dataclass(frozen=True)
class Ring:
    """Rings of every `stride`-th of the `devices` on mesh axis `axis`.

    With a stride of u, u rings interleave: device i sends to i + u, and the chunk that device i
    holds is number i // u.

    implementation: name of the attention kernel for one chunk.
    """

    axis: str
    devices: int
    stride: int
    implementation: str

    @property
    def chunks(self) -> int:
        return self.devices // self.stride

    def __call__(
        self,
        q: Float[Array, "b n a e"],
        k: Float[Array, "b n a e"],
        v: Float[Array, "b n a e"],
        key_lengths: Int[Array, "b"] | None,
    ) -> Float[Array, "b n a e"]:
        """Attention of this device's queries over the keys of all chunks.

        key_lengths: number of valid keys in all chunks, counted from the first chunk on.
        """
        v, key_lengths = at_least_one_key(v, key_lengths)
        return _attend(self, q, k, v, key_lengths)

    def send(self, x: Array) -> Array:
        pairs = [(i, (i + self.stride) % self.devices) for i in range(self.devices)]
        return jax.lax.ppermute(x, self.axis, pairs)

    def lengths(self, key_lengths: Array | None, step: Array, size: int) -> Array | None:
        """Number of valid keys, maybe 0, in the chunk of `size` tokens that is here in `step`."""
        if key_lengths is None:
            return None
        chunk = (jax.lax.axis_index(self.axis) // self.stride - step) % self.chunks
        return jnp.clip(key_lengths - chunk * size, 0, size)


@functools.partial(jax.custom_vjp, nondiff_argnums=(0,))
def _attend(ring: Ring, q: Array, k: Array, v: Array, key_lengths: Array | None) -> Array:
    return _forward(ring, q, k, v, key_lengths)[0]


def _forward(
    ring: Ring, q: Array, k: Array, v: Array, key_lengths: Array | None
) -> tuple[Array, tuple]:
    chunk_attention = blocked(ring.implementation).forward

    def one_step(carry: tuple[Array, ...], step: Array) -> tuple[tuple[Array, ...], None]:
        k, v, out, lse = carry
        sent = ring.send(k), ring.send(v)  # sent before use, so that both overlap
        lengths = ring.lengths(key_lengths, step, k.shape[1])
        chunk_out, chunk_lse = chunk_attention(q, k, v, lengths)
        merged = jnp.logaddexp(lse, chunk_lse)
        out = out * jnp.exp(lse - merged)[..., None]
        out = out + chunk_out.astype(jnp.float32) * jnp.exp(chunk_lse - merged)[..., None]
        return (*sent, out, merged), None

    nothing = jnp.zeros(q.shape, jnp.float32), jnp.full(q.shape[:3], UNSEEN, jnp.float32)
    (_, _, out, lse), _ = jax.lax.scan(one_step, (k, v, *nothing), jnp.arange(ring.chunks))
    out, lse = saved_by_policies((out.astype(q.dtype), lse))
    return out, (q, k, v, key_lengths, out, lse)


def _backward(ring: Ring, saved: tuple, d_out: Array) -> tuple:
    q, k, v, key_lengths, out, lse = saved
    chunk_gradients = blocked(ring.implementation).backward

    def one_step(carry: tuple[Array, ...], step: Array) -> tuple[tuple[Array, ...], None]:
        k, v, d_q, d_k, d_v = carry
        sent = ring.send(k), ring.send(v)
        lengths = ring.lengths(key_lengths, step, k.shape[1])
        more_q, more_k, more_v = chunk_gradients(q, k, v, lengths, out, lse, d_out)
        d_k, d_v = ring.send(d_k + more_k), ring.send(d_v + more_v)
        return (*sent, d_q + more_q, d_k, d_v), None

    zeros = (jnp.zeros(x.shape, jnp.float32) for x in (q, k, v))
    (_, _, *gradients), _ = jax.lax.scan(one_step, (k, v, *zeros), jnp.arange(ring.chunks))
    return *(d.astype(x.dtype) for d, x in zip(gradients, (q, k, v))), None


_attend.defvjp(_forward, _backward)
