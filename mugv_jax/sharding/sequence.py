# Copyright 2026 The mugv_jax Authors
# SPDX-License-Identifier: Apache-2.0
"""Attention on a mesh whose token axis is split: Ulysses, ring, and their product.

Between blocks every device holds a slice of the tokens; self-attention needs all keys. On a mesh
axis "sequence" of P = u x r devices,

- neighbours in groups of u exchange tokens for heads (Ulysses, arXiv:2309.14509): an all-to-all
  each way, after which each of them has all tokens of its group and 1/u of the heads;
- the r groups pass keys and values round a ring, see `ring.py`.

Ulysses moves less data, but u must divide the number of heads that the axis "tensor" leaves to a
device. The text of cross-attention is not split, so the queries stay where they are. Text in one
sequence with the video, as in MM-DiT, is split and exchanged like the video. Attention itself runs
on local arrays only.
"""

import dataclasses
import functools
import math

import jax
import jax.numpy as jnp
from jax.sharding import Mesh, PartitionSpec

from mugv_jax.axes import Array, Float, Int
from mugv_jax.kernels import select
from mugv_jax.kernels.attention import attend
from mugv_jax.nn.mmdit.block import TextHeads, VideoHeads, attend_jointly
from mugv_jax.sharding.ring import Ring

METHODS = ("auto", "ulysses", "ring")
TOKENS, HEADS = 1, 2  # axes of an array (b n a e)


@dataclasses.dataclass(frozen=True)
class _MeshTokens:
    """Split of batch over (data, fsdp), heads over tensor and tokens over sequence on `mesh`.

    method: "ulysses", "ring", or "auto": Ulysses as far as the heads divide, a ring for the rest.
    implementation: name of the attention kernel on a device; None chooses one.
    """

    mesh: Mesh
    method: str = "auto"
    implementation: str | None = None

    def exchanged(self, heads: int) -> int:
        """u, the number of devices that exchange tokens for heads.

        Raises:
            ValueError: the method is "ulysses", and the heads do not divide over all devices.
        """
        devices, tensor = self.mesh.shape["sequence"], self.mesh.shape["tensor"]
        local_heads = heads // tensor if heads % tensor == 0 else heads
        if self.method == "ring":
            return 1
        exchanged = math.gcd(local_heads, devices)
        if self.method == "ulysses" and exchanged < devices:
            raise ValueError(
                f"sequence={devices} with sequence_method='ulysses' needs a number of heads per "
                f"device that it divides, not {local_heads} (num_heads={heads}, tensor={tensor}): "
                "choose sequence_method='auto', or a smaller sequence."
            )
        return exchanged

    def _blocked(self, q: Float[Array, "b n a e"]) -> str:
        return self.implementation or select.blocked_attention(q.dtype, q.shape[-1])

    def _check_tokens(self, tokens: int) -> None:
        devices = self.mesh.shape["sequence"]
        if tokens % devices:
            raise ValueError(
                f"{tokens} tokens do not divide over sequence={devices}: give the model "
                "a token_multiple, as `sharding.parallel.build_dit` does."
            )

    def _split(self, axes: tuple[str, ...], size: int) -> tuple[str, ...] | None:
        """`axes` if they divide `size` evenly, else None for no split."""
        parts = math.prod(self.mesh.shape[axis] for axis in axes)
        return axes if size % parts == 0 else None


@dataclasses.dataclass(frozen=True)
class MeshAttention(_MeshTokens):
    """`attend` on `mesh`: batch over (data, fsdp), heads over tensor, tokens over sequence."""

    def __call__(
        self,
        q: Float[Array, "b n a e"],
        k: Float[Array, "b s a e"],
        v: Float[Array, "b s a e"],
        key_lengths: Int[Array, "b"] | None = None,
    ) -> Float[Array, "b n a e"]:
        """Attention over the tokens of all devices.

        Raises:
            ValueError: tokens or heads that do not divide over the mesh.
        """
        self._check_tokens(q.shape[1])
        batch = self._split(("data", "fsdp"), q.shape[0])
        heads = self._split(("tensor",), q.shape[2])
        exchanged = self.exchanged(q.shape[2])
        # As many keys as queries are the same tokens, split over "sequence" like the queries.
        keys_split = q.shape[1] == k.shape[1]

        def local(*arrays: Array) -> Array:
            if not keys_split:
                return attend(*arrays, implementation=self.implementation)
            return self._attend_slice(exchanged, *arrays)

        q_spec = PartitionSpec(batch, "sequence", heads, None)
        k_spec = q_spec if keys_split else PartitionSpec(batch, None, heads, None)
        arrays = (q, k, v) if key_lengths is None else (q, k, v, key_lengths)
        specs = (q_spec, k_spec, k_spec, PartitionSpec(batch))[: len(arrays)]
        return jax.shard_map(
            local, mesh=self.mesh, in_specs=specs, out_specs=q_spec, check_vma=False
        )(*arrays)

    def _attend_slice(
        self,
        exchanged: int,
        q: Float[Array, "b n a e"],
        k: Float[Array, "b n a e"],
        v: Float[Array, "b n a e"],
        key_lengths: Int[Array, "b"] | None = None,
    ) -> Float[Array, "b n a e"]:
        """Self-attention of this device's slice of the tokens, inside `jax.shard_map`."""
        devices = self.mesh.shape["sequence"]
        exchange = functools.partial(_exchange, devices, exchanged)
        q, k, v = (exchange(x, TOKENS, HEADS) for x in (q, k, v))
        if exchanged == devices:
            out = attend(q, k, v, key_lengths, implementation=self.implementation)
        else:
            out = Ring("sequence", devices, exchanged, self._blocked(q))(q, k, v, key_lengths)
        return exchange(out, HEADS, TOKENS)


@dataclasses.dataclass(frozen=True)
class JointMeshAttention(_MeshTokens):
    """`attend_jointly` on `mesh`, with the tokens of video and text split over sequence."""

    def __call__(
        self,
        video: tuple[VideoHeads, VideoHeads, VideoHeads],
        text: tuple[TextHeads, TextHeads, TextHeads],
        lengths: tuple[int, int],
    ) -> tuple[VideoHeads, TextHeads]:
        """Attention over the tokens of video and text of all devices.

        Raises:
            ValueError: tokens or heads that do not divide over the mesh.
        """
        for q, *_ in (video, text):
            self._check_tokens(q.shape[TOKENS])
        batch = self._split(("data", "fsdp"), video[0].shape[0])
        heads = self._split(("tensor",), video[0].shape[HEADS])
        exchanged = self.exchanged(video[0].shape[HEADS])
        spec = PartitionSpec(batch, "sequence", heads, None)
        return jax.shard_map(
            functools.partial(self._attend_slices, exchanged, lengths),
            mesh=self.mesh,
            in_specs=spec,
            out_specs=spec,
            check_vma=False,
        )(video, text)

    def _attend_slices(
        self,
        exchanged: int,
        lengths: tuple[int, int],
        video: tuple[VideoHeads, VideoHeads, VideoHeads],
        text: tuple[TextHeads, TextHeads, TextHeads],
    ) -> tuple[VideoHeads, TextHeads]:
        """Joint attention of this device's slices of video and text, inside `jax.shard_map`."""
        devices = self.mesh.shape["sequence"]
        exchange = functools.partial(_exchange, devices, exchanged)
        video, text = (tuple(exchange(x, TOKENS, HEADS) for x in part) for part in (video, text))
        if exchanged == devices:
            local = functools.partial(attend, implementation=self.implementation)
            out = attend_jointly(video, text, lengths, attend=local)
        else:
            parts = (lengths[0], video[0].shape[TOKENS]), (lengths[1], text[0].shape[TOKENS])
            ring = _JointRing("sequence", devices, exchanged, self._blocked(video[0]), parts)
            out = ring.attend_jointly(video, text)
        return tuple(exchange(x, HEADS, TOKENS) for x in out)


@dataclasses.dataclass(frozen=True)
class _JointRing(Ring):
    """A ring of chunks that each hold video tokens, then text tokens, then the padding of both.

    parts: for video and for text, (tokens of all chunks without padding, slots of one chunk).
    """

    parts: tuple[tuple[int, int], tuple[int, int]]

    def attend_jointly(
        self,
        video: tuple[VideoHeads, VideoHeads, VideoHeads],
        text: tuple[TextHeads, TextHeads, TextHeads],
    ) -> tuple[VideoHeads, TextHeads]:
        """Attention of this device's chunk of video and text over all chunks."""
        (tokens, slots), (text_tokens, text_slots) = self.parts
        # Text overwrites the padding of the video, so that the valid keys of a chunk come first.
        # Results at that padding belong to text, and nobody reads them.
        start = self._valid(self.parts[0], jnp.int32(0))
        room = (0, 0), (0, text_slots), (0, 0), (0, 0)
        q, k, v = (
            jax.lax.dynamic_update_slice_in_dim(jnp.pad(x, room), y, start, TOKENS)
            for x, y in zip(video, text, strict=True)
        )
        out = self(q, k, v, jnp.full(q.shape[:1], tokens + text_tokens))
        of_text = jax.lax.dynamic_slice_in_dim(out, start, text_slots, TOKENS)
        return out[:, :slots], of_text

    def lengths(self, key_lengths: Array, step: Array, size: int) -> Array:
        del size
        return jnp.full_like(key_lengths, sum(self._valid(part, step) for part in self.parts))

    def _valid(self, part: tuple[int, int], step: Array) -> Array:
        """Number of tokens of one part, without padding, in the chunk that is here in `step`."""
        tokens, slots = part
        length = super().lengths(jnp.int32(tokens), step, slots)
        assert length is not None
        return length


@functools.partial(jax.custom_vjp, nondiff_argnums=(0, 1, 3, 4))
def _exchange(devices: int, group: int, x: Array, whole: int, split: int) -> Array:
    """All-to-all in groups of `group` neighbours on the axis "sequence".

    The result has axis `whole` whole and axis `split` split.
    """
    if group == 1:
        return x
    groups = [list(range(first, first + group)) for first in range(0, devices, group)]

    def among_neighbours(x: Array, whole: int, split: int) -> Array:
        # Parts become the leading axis: splitting a middle axis of few or odd heads would cost
        # the TPU compiler twice the code and several times the time.
        parts = jnp.stack(jnp.split(x, group, split))
        parts = jax.lax.all_to_all(parts, "sequence", 0, 0, axis_index_groups=groups, tiled=True)
        return jnp.concatenate(parts, axis=whole)

    # The stages of a pipeline need this rule: JAX cannot batch an all-to-all within groups.
    @jax.custom_batching.custom_vmap
    def exchange(x: Array) -> Array:
        return among_neighbours(x, whole, split)

    @exchange.def_vmap
    def _(axis_size: int, in_batched: list[bool], x: Array) -> tuple[Array, bool]:
        del axis_size, in_batched
        return among_neighbours(x, whole + 1, split + 1), True

    return exchange(x)


def _exchange_forward(
    devices: int, group: int, x: Array, whole: int, split: int
) -> tuple[Array, None]:
    return _exchange(devices, group, x, whole, split), None


def _exchange_backward(
    devices: int, group: int, whole: int, split: int, _: None, d_x: Array
) -> tuple[Array]:
    return (_exchange(devices, group, d_x, split, whole),)


_exchange.defvjp(_exchange_forward, _exchange_backward)
