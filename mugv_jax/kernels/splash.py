# Copyright 2026 The mugv_jax Authors
# SPDX-License-Identifier: Apache-2.0
"""Attention on TPU by JAX's own Pallas kernel (splash attention), forward and backward.

`forward` and `backward` mean the same as in `flash.py`. Tokens are padded to whole blocks; padding
and masked keys belong to another segment than the queries.

The backward pass is one kernel of five products. Two kernels, one for q and one for k and v, would
take seven. For every block of keys the kernel writes what the block contributes to d_q, n s e /
BLOCK numbers a head, which are added up afterwards. To limit this memory, blocks of keys are twice
as long there, and only a few heads run at a time. Heads are mapped (`jax.vmap`) because the kernel
itself uses one core of a chip, whereas a mapped axis is split over both.
"""

import einops
import jax
import jax.numpy as jnp
from jax.experimental.pallas.ops.tpu.splash_attention import (
    BlockSizes,
    FullMask,
    MultiHeadMask,
    SegmentIds,
    make_splash_mha,
    splash_attention_kernel,
)

from mugv_jax.axes import Array, Float, Int
from mugv_jax.kernels import select

LANES = 128  # the tokens of a block are a multiple of it
BLOCK = 1024  # most tokens of a block: larger ones exceed the vector memory
PAIR_BYTES = 4096  # largest pair of blocks of the backward pass: tokens times bytes of a number
PARTS_BYTES = 3 * 2**28  # largest size of the contributions to d_q in memory at a time


def forward(
    q: Float[Array, "b n a e"],
    k: Float[Array, "b s a e"],
    v: Float[Array, "b s a e"],
    key_lengths: Int[Array, "b"] | None,
) -> tuple[Float[Array, "b n a e"], Float[Array, "b n a"]]:
    """`out` in the dtype of q, and float32 `lse`."""
    n, s = q.shape[1], k.shape[1]
    kernel = _kernel(q.shape[2], n, s, k.dtype.itemsize)
    out, (lse,) = jax.vmap(kernel)(
        _head_first(_scaled(q)),
        _head_first(k),
        _head_first(v),
        segment_ids=_segments(q, k, key_lengths),
    )
    return _token_first(out)[:, :n], einops.rearrange(lse, "b a n -> b n a")[:, :n]


def backward(
    q: Float[Array, "b n a e"],
    k: Float[Array, "b s a e"],
    v: Float[Array, "b s a e"],
    key_lengths: Int[Array, "b"] | None,
    out: Float[Array, "b n a e"],
    lse: Float[Array, "b n a"],
    d_out: Float[Array, "b n a e"],
) -> tuple[Float[Array, "b n a e"], Float[Array, "b s a e"], Float[Array, "b s a e"]]:
    """Float32 derivatives by q, k and v."""
    n, s, heads = q.shape[1], k.shape[1], _heads_at_once(q, k)
    kernel = _kernel(1, n, s, k.dtype.itemsize)
    options = {name: kernel.kwargs[name] for name in _BACKWARD_OPTIONS}
    lse = jnp.pad(lse, ((0, 0), (0, -n % _block(n)), (0, 0)))
    segments = _segments(q, k, key_lengths)

    def one_head(seen, *arrays):
        # The public function differentiates with the `out` and `lse` of its own forward pass. In
        # ring attention they come from more keys than are here, so the private one is called.
        q, k, v, out, lse, d_out = (x[None] for x in arrays)
        saved = (q, k, v, seen, None, out, lse, kernel.dq_mask_info, kernel.dkv_mask_info)
        gradients = splash_attention_kernel._splash_attention_bwd(
            save_residuals=False, residual_checkpoint_name=None, res=saved, do=d_out, **options
        )
        return tuple(d[0] for d in gradients[3:6])

    def some_heads(group):
        sample, arrays = group
        seen = jax.tree.map(lambda each: each[sample], segments)
        return jax.vmap(one_head, in_axes=(None, *[0] * len(arrays)))(seen, *arrays)

    arrays = [_head_first(x) for x in (_scaled(q), k, v, out)]
    arrays += [einops.rearrange(lse, "b n a -> b a n"), _head_first(d_out)]
    split = [einops.rearrange(x, "b (A a) ... -> (b A) a ...", a=heads) for x in arrays]
    samples = jnp.repeat(jnp.arange(q.shape[0]), q.shape[2] // heads)
    gradients = jax.lax.map(some_heads, (samples, split))
    d_q, d_k, d_v = (
        _token_first(einops.rearrange(x, "(b A) a n e -> b (A a) n e", b=q.shape[0]))
        for x in gradients
    )
    d_q = d_q[:, :n].astype(jnp.float32) * (q.shape[-1] ** -0.5)
    d_k, d_v = (x[:, :s].astype(jnp.float32) for x in (d_k, d_v))
    return d_q, d_k, d_v


_BACKWARD_OPTIONS = (
    "mask_value",
    "is_mqa",
    "block_sizes",
    "mask_function",
    "attn_logits_soft_cap",
    "interpret",
)


def _block(tokens: int) -> int:
    """Tokens of a block, for as few blocks as possible and with little padding."""
    blocks = -(-tokens // BLOCK)
    return -(-tokens // (blocks * LANES)) * LANES


def _backward_blocks(tokens: int, itemsize: int) -> tuple[int, int]:
    """Keys of a block in vector memory, and of the part of it that is computed at once.

    If the blocks of the forward pass come in pairs, a block is two of them, in four parts, unless
    two exceed the vector memory, as they do in float32.
    """
    block = _block(tokens)
    paired = -(-tokens // block) % 2 == 0 and block % (2 * LANES) == 0
    fits = 2 * block * itemsize <= PAIR_BYTES
    return (2 * block, block // 2) if paired and fits else (block, block)


def _heads_at_once(q: Float[Array, "b n a e"], k: Float[Array, "b s a e"]) -> int:
    """Number of heads whose contributions to d_q fit into PARTS_BYTES.

    It divides the number of heads, and is even if possible, so that both cores of a chip work.
    """
    parts = -(-k.shape[1] // _backward_blocks(k.shape[1], k.dtype.itemsize)[0])
    lanes = q.shape[3] + -q.shape[3] % LANES
    most = max(2, PARTS_BYTES // (parts * q.shape[1] * lanes * q.dtype.itemsize))
    divisors = [heads for heads in range(1, q.shape[2] + 1) if q.shape[2] % heads == 0]
    return max((d for d in divisors if d <= most), key=lambda heads: (heads % 2 == 0, heads))


def _kernel(
    heads: int, n: int, s: int, itemsize: int
) -> splash_attention_kernel.SplashAttentionKernel:
    """JAX's kernel for n queries and s keys of so many heads, both padded to whole blocks.

    itemsize: bytes of a number of the keys.
    """
    block_q, block_kv = _block(n), _block(s)
    block_kv_dkv, block_kv_dkv_compute = _backward_blocks(s, itemsize)
    mask = FullMask((n + -n % block_q, s + -s % block_kv))
    sizes = BlockSizes(
        block_q=block_q,
        block_kv=block_kv,
        block_q_dkv=block_q,
        block_kv_dkv=block_kv_dkv,
        block_kv_dkv_compute=block_kv_dkv_compute,
        use_fused_bwd_kernel=True,
    )
    return make_splash_mha(
        MultiHeadMask([mask] * heads),
        block_sizes=sizes,
        head_shards=1,
        q_seq_shards=1,
        save_residuals=True,
        interpret=select.platform() == "cpu",
    )


def _segments(
    q: Float[Array, "b n a e"], k: Float[Array, "b s a e"], key_lengths: Int[Array, "b"] | None
) -> SegmentIds:
    """Segments that mask keys: 0 for queries and the keys that they see, 1 for other keys."""
    b, n, s = q.shape[0], q.shape[1], k.shape[1]
    lengths = jnp.full((b,), s) if key_lengths is None else key_lengths
    keys = jnp.arange(s + -s % _block(s))[None] >= lengths[:, None]
    queries = jnp.zeros((b, n + -n % _block(n)), jnp.int32)
    return SegmentIds(q=queries, kv=keys.astype(jnp.int32))


def _scaled(q: Float[Array, "b n a e"]) -> Float[Array, "b n a e"]:
    """q / sqrt(e): the kernel itself does not scale the scores."""
    return (q.astype(jnp.float32) * (q.shape[-1] ** -0.5)).astype(q.dtype)


def _head_first(x: Float[Array, "b n a e"]) -> Float[Array, "b a m e"]:
    """Heads before tokens, with the tokens padded to whole blocks."""
    padding = -x.shape[1] % _block(x.shape[1])
    x = jnp.pad(x, ((0, 0), (0, padding), (0, 0), (0, 0)))
    return einops.rearrange(x, "b n a e -> b a n e")


def _token_first(x: Float[Array, "b a n e"]) -> Float[Array, "b n a e"]:
    """Tokens before heads."""
    return einops.rearrange(x, "b a n e -> b n a e")
