# Copyright 2026 The mugv_jax Authors
# SPDX-License-Identifier: Apache-2.0
"""The three kernels of `hopper.py`, on its padded operands (b, tokens, a, w).

All have the same form. A block of tokens stays in shared memory, two arrays are streamed past it
step by step, and the sums stay in registers. One warpgroup copies (TMA, into a ring of stages). The
others compute, each on its own rows, so that one computes exponentials while another has the tensor
cores.
"""

import dataclasses
import functools
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import jax
import jax.experimental.pallas as pl
import jax.experimental.pallas.mosaic_gpu as plgpu
import jax.numpy as jnp

from mugv_jax.axes import Array, Float
from mugv_jax.kernels import products
from mugv_jax.kernels.products import add_product, read


class Tiles(NamedTuple):
    """Sizes of a kernel's blocks; the ones below compile without spilled registers.

    groups: warpgroups that compute.
    rows: stationary tokens of one warpgroup.
    streamed: tokens of one step.
    stages: steps whose copies are in flight.
    """

    groups: int
    rows: int
    streamed: int
    stages: int

    @property
    def stationary(self) -> int:
        """Tokens that stay in shared memory."""
        return self.groups * self.rows


FORWARD = Tiles(groups=3, rows=64, streamed=128, stages=3)
BACKWARD_QUERIES = Tiles(groups=2, rows=64, streamed=128, stages=2)
BACKWARD_KEYS = Tiles(groups=2, rows=64, streamed=96, stages=2)

# Number of computing warpgroups -> registers of a thread that computes, and of one that copies.
REGISTERS = {2: (240, 24), 3: (160, 32)}
TINY = 1e-37
UNSEEN = -1e30  # lse of a row without keys, as in `flash.py`


@dataclasses.dataclass(frozen=True)
class _Incoming:
    """A streamed tile, which a kernel waits for before it reads it, and releases afterwards."""

    tile: Any
    ready: Any
    done: Any

    def wait(self) -> Any:
        """The tile, once its copy is complete."""
        plgpu.barrier_wait(self.ready)
        return self.tile

    def release(self) -> None:
        """Let the next copy overwrite the tile."""
        products.read_to_the_end()
        plgpu.barrier_arrive(self.done)


# A function of (stationary tiles, streamed tiles, sums) that adds a step's products to the sums.
Step = Callable[[Sequence[Any], Sequence[_Incoming], Sequence[Any]], None]


def forward(
    q: Float[Array, "b n a w"],
    k: Float[Array, "b s a w"],
    v: Float[Array, "b s a w"],
    *,
    sum_column: int,
    tiles: Tiles,
) -> tuple[Float[Array, "b n a w"], Float[Array, "b a n"]]:
    """exp2(q k^T) v divided by its column `sum_column`, and the logarithm of that column."""

    def step(stationary, streamed, sums):
        (q,), (k, v) = stationary, streamed

        def weights(scores):
            add_product(scores, q, k.wait(), transposed=True)
            value = read(scores)
            k.release()
            return jnp.exp2(value).astype(jnp.bfloat16)

        add_product(sums[0], products.scoped(weights, (tiles.rows, tiles.streamed)), v.wait())
        products.finish()
        v.release()

    def finish(sums):
        (total,) = sums
        column = products.columns(total.shape)
        weight = jnp.sum(jnp.where(column == sum_column, total, 0.0), axis=1)
        inverse = 1 / jnp.maximum(weight, TINY)
        lse = jnp.where(weight > 0, jnp.log(jnp.maximum(weight, TINY)), UNSEEN)
        return (total * jax.lax.broadcast_in_dim(inverse, total.shape, (0,)),), lse

    (out,), lse = _streamed(step, finish, (q,), (k, v), tiles=tiles, sums=1, with_lse=True)
    assert lse is not None
    return out, lse


def backward_queries(
    q: Float[Array, "b n a w"],
    d_out: Float[Array, "b n a w"],
    k: Float[Array, "b s a w"],
    v: Float[Array, "b s a w"],
    tiles: Tiles,
) -> Float[Array, "b n a w"]:
    """d_q = d_score k, with d_score = exp2(q k^T) (d_out v^T)."""

    def step(stationary, streamed, sums):
        (q, d_out), (k, v) = stationary, [each.wait() for each in streamed]

        def d_scores(scores, d_weights):
            add_product(scores, q, k, transposed=True)
            add_product(d_weights, d_out, v, transposed=True)
            weights = jnp.exp2(read(scores, running=1))
            return (weights * read(d_weights)).astype(jnp.bfloat16)

        shape = (tiles.rows, tiles.streamed)
        add_product(sums[0], products.scoped(d_scores, shape, shape), k)
        products.finish()
        for each in streamed:
            each.release()

    (d_q,), _ = _streamed(step, _as_they_are, (q, d_out), (k, v), tiles=tiles, sums=1)
    return d_q


def backward_keys(
    k: Float[Array, "b s a w"],
    v: Float[Array, "b s a w"],
    q: Float[Array, "b n a w"],
    d_out: Float[Array, "b n a w"],
    tiles: Tiles,
) -> tuple[Float[Array, "b s a w"], Float[Array, "b s a w"]]:
    """d_k = d_score^T q and d_v = weights^T d_out, with weights = exp2(q k^T)."""

    def step(stationary, streamed, sums):
        (k, v), (q, d_out) = stationary, [each.wait() for each in streamed]

        def d_scores(scores, d_weights):
            add_product(scores, k, q, transposed=True)
            add_product(d_weights, v, d_out, transposed=True)
            weights = jnp.exp2(read(scores, running=1))
            add_product(sums[1], weights.astype(jnp.bfloat16), d_out)
            return (weights * read(d_weights, running=1)).astype(jnp.bfloat16)

        shape = (tiles.rows, tiles.streamed)
        add_product(sums[0], products.scoped(d_scores, shape, shape), q)
        products.finish()
        for each in streamed:
            each.release()

    (d_k, d_v), _ = _streamed(step, _as_they_are, (k, v), (q, d_out), tiles=tiles, sums=2)
    return d_k, d_v


def _as_they_are(sums: Sequence[Array]) -> tuple[Sequence[Array], None]:
    """The sums unchanged, and no `lse`."""
    return sums, None


def _streamed(
    step: Step,
    finish: Callable[[Sequence[Array]], tuple[Sequence[Array], Array | None]],
    stationary: Sequence[Float[Array, "b n a w"]],
    streamed: Sequence[Float[Array, "b s a w"]],
    *,
    tiles: Tiles,
    sums: int,
    with_lse: bool = False,
) -> tuple[Sequence[Float[Array, "b n a w"]], Float[Array, "b a n"] | None]:
    """What `finish` makes of the sums over all steps: `sums` arrays, each like a stationary one.

    step: adds the products of one step to the sums.
    finish: sums of one block -> results of the block, and its `lse` if there is one.
    """
    b, n, a, width = stationary[0].shape
    steps = streamed[0].shape[1] // tiles.streamed
    blocks = n // tiles.stationary
    if n % tiles.stationary or streamed[0].shape[1] % tiles.streamed:
        raise AssertionError(f"{n}, {streamed[0].shape[1]} tokens are no whole blocks of {tiles}")
    stages = min(tiles.stages, steps)
    like = jax.ShapeDtypeStruct((b, n, a, width), stationary[0].dtype)
    outputs = (like,) * sums + (jax.ShapeDtypeStruct((b, a, n), jnp.float32),) * with_lse

    def kernel(*refs, kept, moving, lse_tile, kept_ready, ready, done):
        kept_refs, refs = refs[: len(stationary)], refs[len(stationary) :]
        moving_refs, out_refs = refs[:2], refs[2:]
        group = jax.lax.axis_index("group")
        at_b, at_a = jax.lax.axis_index("b"), jax.lax.axis_index("a")

        @pl.when(group < tiles.groups)
        def _compute():
            plgpu.set_max_registers(REGISTERS[tiles.groups][0], action="increase")
            row = (jax.lax.axis_index("block") * tiles.groups + group) * tiles.rows
            rows = (at_b, pl.ds(row, tiles.rows), at_a)
            mine = [tile.at[group] for tile in kept]
            for ref, tile in zip(kept_refs, mine):
                plgpu.copy_gmem_to_smem(ref.at[rows], tile, kept_ready.at[group])
            plgpu.barrier_wait(kept_ready.at[group])

            def one_step(i, totals):
                slot = jax.lax.rem(i, stages)
                incoming = [
                    _Incoming(*(each.at[slot] for each in it)) for it in zip(moving, ready, done)
                ]
                step(mine, incoming, totals)

            totals = products.accumulate(steps, one_step, (tiles.rows, width), sums)
            results, lse = finish(totals)
            for result, tile in zip(results, mine):
                tile[...] = result.astype(tile.dtype)
            if with_lse:
                lse_tile[group] = lse
            plgpu.commit_smem()
            for tile, ref in zip(mine, out_refs[:sums]):
                plgpu.copy_smem_to_gmem(tile, ref.at[rows])
            if with_lse:
                row_of_lse = out_refs[-1].at[at_b, at_a, pl.ds(row, tiles.rows)]
                plgpu.copy_smem_to_gmem(lse_tile.at[group], row_of_lse)
            plgpu.wait_smem_to_gmem(0)

        @pl.when(group == tiles.groups)
        def _copy():
            plgpu.set_max_registers(REGISTERS[tiles.groups][1], action="decrease")

            def fetch(number, i, slot):
                tokens = (at_b, pl.ds(i * tiles.streamed, tiles.streamed), at_a)
                plgpu.copy_gmem_to_smem(
                    moving_refs[number].at[tokens],
                    moving[number].at[slot],
                    ready[number].at[slot],
                )

            for i in range(stages):
                for number in range(2):
                    fetch(number, i, i)

            @pl.loop(0, steps - stages)
            def _next(i):
                slot = jax.lax.rem(i, stages)
                for number in range(2):
                    plgpu.barrier_wait(done[number].at[slot])
                    fetch(number, i + stages, slot)

            for slot in range(stages):
                for number in range(2):
                    plgpu.barrier_wait(done[number].at[slot])

    barriers = functools.partial(plgpu.Barrier, num_barriers=stages)
    arguments = (*stationary, *streamed)
    results = plgpu.kernel(
        kernel,
        out_type=outputs,
        scratch_types={
            "kept": [_tile(tiles.groups, tiles.rows, width)] * len(stationary),
            "moving": [_tile(stages, tiles.streamed, width)] * 2,
            "lse_tile": plgpu.SMEM((tiles.groups, tiles.rows), jnp.float32),
            "kept_ready": plgpu.Barrier(num_arrivals=len(stationary), num_barriers=tiles.groups),
            "ready": [barriers()] * 2,
            "done": [barriers(num_arrivals=tiles.groups)] * 2,
        },
        # Blocks vary fastest: programs that run at the same time then read the same cached keys.
        grid=(blocks, a, b),
        grid_names=("block", "a", "b"),
        num_threads=tiles.groups + 1,
        thread_name="group",
        compiler_params=plgpu.CompilerParams(approx_math=True),
        **products.interpretation(),
    )(*arguments)
    return results[:sums], results[-1] if with_lse else None


def _tile(count: int, tokens: int, width: int) -> Any:
    """Shared memory for `count` tiles (tokens, width) in the layout of the tensor cores."""
    row = width * jnp.dtype(jnp.bfloat16).itemsize
    swizzle = next(size for size in (128, 64, 32) if row % size == 0)
    transforms = (
        plgpu.TilingTransform((8, swizzle // jnp.dtype(jnp.bfloat16).itemsize)),
        plgpu.SwizzleTransform(swizzle),
    )
    return plgpu.SMEM((count, tokens, width), jnp.bfloat16, transforms=transforms)
