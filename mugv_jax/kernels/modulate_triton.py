# Copyright 2026 The mugv_jax Authors
# SPDX-License-Identifier: Apache-2.0
"""Modulation on NVIDIA GPUs: the Triton kernels of `modulate_triton_kernels.py`, from JAX.

jax-triton compiles a kernel when the program that calls it is lowered, for the GPU of this machine
or for one that the program is compiled for ahead of time. The extra "triton" of this package
brings jax-triton and Triton.
"""

from collections.abc import Sequence
from typing import Any

import jax
import jax.numpy as jnp

from mugv_jax.axes import Array, Float, Int
from mugv_jax.kernels import select
from mugv_jax.kernels.modulate_formulas import GROUPS, HEADS
from mugv_jax.kernels.modulate_tiles import group_sums, tile_table

try:
    import jax_triton  # pyright: ignore[reportMissingImports] - optional

    from mugv_jax.kernels import modulate_triton_kernels as kernels
except ImportError as error:
    raise ValueError(
        f"modulation='triton' cannot be loaded ({error}): install mugv_jax[triton] beside "
        "mugv_jax[cuda13], or choose modulation='xla'."
    ) from error

FORWARD_TOKENS, BACKWARD_TOKENS = 32, 64  # tokens of a tile
FORWARD_WARPS, BACKWARD_WARPS = 8, 16
STAGES = 3  # tokens of a program that are being loaded or computed at the same time
ROWS, ROW_WARPS = 64, 4  # heads that one program of `norm_rotate` takes, and its warps
# The PTX of CUDA 13.0. By default Triton writes the newest that its own assembler reads; XLA uses
# the `ptxas` that it finds first, which may be an older one.
PTX_VERSION = 90
# jax-triton 0.4 requires Python 3.12; 0.3 names the outputs otherwise and cannot set the version.
if jax_triton.__version_info__ >= (0, 4):  # pyright: ignore[reportOperatorIssue] - literals
    OUTPUTS = "out_type"
    OPTIONS = {"backend_options": {"ptx_version": PTX_VERSION, "enable_fp_fusion": True}}
else:
    OUTPUTS = "out_shape"
    OPTIONS = {"enable_fp_fusion": True}


def over_groups(
    operation: str,
    tokens: Sequence[Float[Array, "b n d"]],
    vectors: Sequence[Float[Array, "..."]],
    group: Int[Array, "n"],
) -> tuple[Sequence[Float[Array, "b n d"]], Sequence[Float[Array, "b g d"]]]:
    """New tokens of an operation, and its float32 sums over each group; see `modulate.py`.

    A kernel takes one tile at a time. It writes its sums per tile; they are added up here.
    """
    (b, n, d), groups = tokens[0].shape, vectors[-1].shape[1]
    _, like, sums, _ = GROUPS[operation]
    table = tile_table(group, groups, BACKWARD_TOKENS if sums else FORWARD_TOKENS)
    tiles = table.shape[1]
    results = _call(
        operation,
        (table, *tokens, *vectors),
        outputs=[jax.ShapeDtypeStruct((b, n, d), tokens[i].dtype) for i in like]
        + [jax.ShapeDtypeStruct((b, tiles, d), jnp.float32)] * sums,
        grid=(tiles, b),
        num_warps=BACKWARD_WARPS if sums else FORWARD_WARPS,
        N=n,
        G=groups,
        D=d,
        TILES=tiles,
        BLOCK=_power_of_two(d),
        STAGES=STAGES,
    )
    return results[: len(like)], [group_sums(part, table, groups) for part in results[len(like) :]]


def over_heads(
    operation: str,
    tokens: Sequence[Float[Array, "b n a e"]],
    scale: Float[Array, "e"],
    cos: Float[Array, "b n k"],
    sin: Float[Array, "b n k"],
) -> tuple[Float[Array, "b n a e"], Sequence[Float[Array, "e"]]]:
    """New tokens of an operation, and its float32 sums over all heads; see `modulate.py`."""
    b, n, a, e = tokens[0].shape
    heads = b * n * a
    programs = -(-heads // ROWS)
    new, *sums = _call(
        operation,
        (*tokens, scale, cos, sin),
        outputs=[jax.ShapeDtypeStruct(tokens[0].shape, tokens[0].dtype)]
        + [jax.ShapeDtypeStruct((programs, e), jnp.float32)] * HEADS[operation].sums,
        grid=(programs, 1),
        num_warps=ROW_WARPS,
        HEADS=heads,
        A=a,
        K=e // 2,
        ROWS=ROWS,
        BLOCK=_power_of_two(e // 2),
    )
    return new, [jnp.sum(partial, axis=0) for partial in sums]


def _call(
    operation: str, arrays: Sequence[Array], *, outputs: Sequence[Any], **constants: Any
) -> Sequence[Array]:
    """Outputs of an operation's kernel, which gets the constants that it declares.

    Raises:
        ValueError: a program for anything but a GPU.
    """
    if select.platform() != "gpu":
        raise ValueError(
            f"modulation='triton' runs on NVIDIA GPUs, but this program is for a "
            f"{select.platform()}: choose modulation='xla'."
        )
    kernel = getattr(kernels, operation)
    options = {OUTPUTS: outputs, "compute_capability": select.compute_capability()} | OPTIONS

    # A kernel has no batching rule; the stages of a pipeline map the layers over theirs.
    @jax.custom_batching.sequential_vmap
    def call(*arrays: Array) -> Sequence[Array]:
        return tuple(jax_triton.triton_call(*arrays, kernel=kernel, **options, **constants))

    return call(*arrays)


def _power_of_two(size: int) -> int:
    """The smallest power of two that is not below `size`, which is what Triton's blocks need."""
    return 1 << (size - 1).bit_length()
