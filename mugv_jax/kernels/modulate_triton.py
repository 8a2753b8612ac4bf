# Copyright 2026 The mugv_jax Authors
# SPDX-License-Identifier: Apache-2.0
"""Modulation on NVIDIA GPUs: the Triton kernels of `modulate_triton_kernels.py`, from JAX.

jax-triton compiles a kernel when the program that calls it is lowered, for the GPU of this machine
or for one that the program is compiled for ahead of time. The extra "triton" of this package
brings jax-triton and Triton. The functions are those of `modulate_xla.py`.
"""

from collections.abc import Sequence
from typing import Any

import jax
import jax.numpy as jnp

from mugv_jax.axes import Array, Float, Int
from mugv_jax.kernels import select
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


def norm_modulate(
    x: Float[Array, "b n d"],
    shift: Float[Array, "b g d"],
    scale: Float[Array, "b g d"],
    group: Int[Array, "n"],
) -> Float[Array, "b n d"]:
    """See `modulate_xla.norm_modulate`."""
    (y,), _ = _over_tiles(kernels.norm_modulate, group, [x], [shift, scale], outputs=1)
    return y


def norm_modulate_backward(
    x: Float[Array, "b n d"],
    scale: Float[Array, "b g d"],
    group: Int[Array, "n"],
    d_y: Float[Array, "b n d"],
) -> tuple[Float[Array, "b n d"], Float[Array, "b g d"], Float[Array, "b g d"]]:
    """See `modulate_xla.norm_modulate_backward`."""
    kernel = kernels.norm_modulate_backward
    (d_x,), sums = _over_tiles(kernel, group, [x, d_y], [scale], outputs=1, sums=2)
    d_shift, d_scale = sums
    return d_x, d_shift, d_scale


def gate_residual(
    x: Float[Array, "b n d"],
    update: Float[Array, "b n d"],
    bias: Float[Array, "d"],
    gate: Float[Array, "b g d"],
    group: Int[Array, "n"],
) -> Float[Array, "b n d"]:
    """See `modulate_xla.gate_residual`."""
    (out,), _ = _over_tiles(kernels.gate_residual, group, [x, update], [bias, gate], outputs=1)
    return out


def gate_residual_backward(
    update: Float[Array, "b n d"],
    gate: Float[Array, "b g d"],
    group: Int[Array, "n"],
    d_out: Float[Array, "b n d"],
) -> tuple[Float[Array, "b n d"], Float[Array, "b g d"], Float[Array, "b g d"]]:
    """See `modulate_xla.gate_residual_backward`."""
    kernel = kernels.gate_residual_backward
    (d_update,), sums = _over_tiles(kernel, group, [update, d_out], [gate], outputs=1, sums=2)
    total, product = sums
    return d_update, total, product


def gate_residual_norm_modulate(
    x: Float[Array, "b n d"],
    update: Float[Array, "b n d"],
    bias: Float[Array, "d"],
    gate: Float[Array, "b g d"],
    shift: Float[Array, "b g d"],
    scale: Float[Array, "b g d"],
    group: Int[Array, "n"],
) -> tuple[Float[Array, "b n d"], Float[Array, "b n d"]]:
    """See `modulate_xla.gate_residual_norm_modulate`."""
    kernel, vectors = kernels.gate_residual_norm_modulate, [bias, gate, shift, scale]
    (out, y), _ = _over_tiles(kernel, group, [x, update], vectors, outputs=2)
    return out, y


def gate_residual_norm_modulate_backward(
    out: Float[Array, "b n d"],
    update: Float[Array, "b n d"],
    gate: Float[Array, "b g d"],
    scale: Float[Array, "b g d"],
    group: Int[Array, "n"],
    d_out: Float[Array, "b n d"],
    d_y: Float[Array, "b n d"],
) -> tuple[
    Float[Array, "b n d"],
    Float[Array, "b n d"],
    Float[Array, "b g d"],
    Float[Array, "b g d"],
    Float[Array, "b g d"],
    Float[Array, "b g d"],
]:
    """See `modulate_xla.gate_residual_norm_modulate_backward`."""
    kernel, tokens = kernels.gate_residual_norm_modulate_backward, [out, update, d_out, d_y]
    (d_x, d_update), sums = _over_tiles(kernel, group, tokens, [gate, scale], outputs=2, sums=4)
    total, product, d_shift, d_scale = sums
    return d_x, d_update, total, product, d_shift, d_scale


def norm_rotate(
    q: Float[Array, "b n a e"],
    scale: Float[Array, "e"],
    cos: Float[Array, "b n k"],
    sin: Float[Array, "b n k"],
) -> Float[Array, "b n a e"]:
    """See `modulate_xla.norm_rotate`."""
    outputs = [jax.ShapeDtypeStruct(q.shape, q.dtype)]
    return _over_heads(kernels.norm_rotate, q.shape, (q, scale, cos, sin), outputs)[0]


def norm_rotate_backward(
    q: Float[Array, "b n a e"],
    scale: Float[Array, "e"],
    cos: Float[Array, "b n k"],
    sin: Float[Array, "b n k"],
    d_out: Float[Array, "b n a e"],
) -> tuple[Float[Array, "b n a e"], Float[Array, "e"]]:
    """See `modulate_xla.norm_rotate_backward`."""
    programs = -(-q.size // q.shape[-1] // ROWS)
    outputs = [
        jax.ShapeDtypeStruct(q.shape, q.dtype),
        jax.ShapeDtypeStruct((programs, q.shape[-1]), jnp.float32),
    ]
    arrays = q, d_out, scale, cos, sin
    d_q, partial = _over_heads(kernels.norm_rotate_backward, q.shape, arrays, outputs)
    return d_q, jnp.sum(partial, axis=0)


def _over_tiles(
    kernel: Any,
    group: Int[Array, "n"],
    tokens: Sequence[Float[Array, "b n d"]],
    vectors: Sequence[Float[Array, "..."]],
    *,
    outputs: int,
    sums: int = 0,
) -> tuple[Sequence[Float[Array, "b n d"]], Sequence[Float[Array, "b g d"]]]:
    """Outputs of a kernel that takes one tile at a time, and sums over the tokens of each group.

    outputs, sums: numbers of both. A kernel writes its sums per tile; they are added up here.
    """
    (b, n, d), groups = tokens[0].shape, vectors[-1].shape[1]
    table = tile_table(group, groups, BACKWARD_TOKENS if sums else FORWARD_TOKENS)
    tiles = table.shape[1]
    results = _call(
        kernel,
        (table, *tokens, *vectors),
        outputs=[jax.ShapeDtypeStruct((b, n, d), tokens[0].dtype)] * outputs
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
    return results[:outputs], [group_sums(part, table, groups) for part in results[outputs:]]


def _over_heads(
    kernel: Any, shape: tuple[int, ...], arrays: Sequence[Array], outputs: Sequence[Any]
) -> Sequence[Array]:
    """Outputs of a kernel that takes ROWS heads at a time; `shape` is that of the queries."""
    b, n, a, e = shape
    heads = b * n * a
    return _call(
        kernel,
        arrays,
        outputs=outputs,
        grid=(-(-heads // ROWS), 1),
        num_warps=ROW_WARPS,
        HEADS=heads,
        A=a,
        K=e // 2,
        ROWS=ROWS,
        BLOCK=_power_of_two(e // 2),
    )


def _call(
    kernel: Any, arrays: Sequence[Array], *, outputs: Sequence[Any], **constants: Any
) -> Sequence[Array]:
    """Outputs of `kernel`, which gets the constants that it declares.

    Raises:
        ValueError: a program for anything but a GPU.
    """
    if select.platform() != "gpu":
        raise ValueError(
            f"modulation='triton' runs on NVIDIA GPUs, but this program is for a "
            f"{select.platform()}: choose modulation='xla'."
        )
    options = {OUTPUTS: outputs, "compute_capability": select.compute_capability()} | OPTIONS

    # A kernel has no batching rule; the stages of a pipeline map the layers over theirs.
    @jax.custom_batching.sequential_vmap
    def call(*arrays: Array) -> Sequence[Array]:
        return tuple(jax_triton.triton_call(*arrays, kernel=kernel, **options, **constants))

    return call(*arrays)


def _power_of_two(size: int) -> int:
    """The smallest power of two that is not below `size`, which is what Triton's blocks need."""
    return 1 << (size - 1).bit_length()
