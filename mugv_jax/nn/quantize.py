# Copyright 2026 The mugv_jax Authors
# SPDX-License-Identifier: Apache-2.0
"""8-bit weights for inference: the kernels of all stacked layers, dequantised one at a time.

    W_ij ~ scale_gj q_ij,    scale_gj = max_(i in g) |W_ij| / largest q

i runs over the first axis of a layer's kernel, g over groups of at most GROUP neighbours on it, and
j over all other axes. `Linear` multiplies by scale_gj q_ij in its own dtype: activations are not
rounded, and only the kernel of the current layer exists at full width. Everything that is not
stacked (embeddings, norms, modulation, the first and the last layer) is small and is not quantised.
The rounding is qwix's.

A quantised kernel replaces the full one under the same name; its float32 scales lie beside it.
8-bit floats are stored as bytes: on hardware without them, XLA would widen the whole stack of
layers at once.
"""

from typing import Any

import jax
import jax.numpy as jnp
from flax import traverse_util
from jax.typing import DTypeLike

from mugv_jax.axes import Array, Float

KERNEL, SCALE = "kernel", "kernel_scale"

# A single scale for a column of 1152 weights follows its largest one: 1.3 times the error.
GROUP = 128

# Relative RMS error for normally distributed weights: 1% with int8, 2.6% with fp8.
DTYPES = {"int8": jnp.int8, "fp8": jnp.float8_e4m3fn}


def quantized_dtype(name: str | None) -> DTypeLike | None:
    """8-bit dtype of a user's `name`; None, for weights at full width, gives None.

    Raises:
        ValueError: unknown name.
    """
    if name is None:
        return None
    if name not in DTYPES:
        raise ValueError(
            f"quantize={name!r} must be one of {', '.join(DTYPES)}, or left out for weights at "
            "full width."
        )
    return DTYPES[name]


def quantized_paths(abstract: Any, name: str | None) -> dict[str, DTypeLike]:
    """8-bit dtype by path of every kernel of `abstract` (boxed) that is quantised; empty for None.

    Raises:
        ValueError: unknown name.
    """
    dtype = quantized_dtype(name)
    if dtype is None:
        return {}
    flat: dict[str, Any] = traverse_util.flatten_dict(abstract, sep="/")
    return {
        path: dtype
        for path, leaf in flat.items()
        if path.endswith(f"/{KERNEL}") and leaf.names[0] == "layers"
    }


def abstract_quantized(abstract: Any, name: str | None) -> Any:
    """`abstract` (boxed) with quantised kernels and their scales beside them.

    Raises:
        ValueError: unknown name.
    """
    flat: dict[str, Any] = traverse_util.flatten_dict(abstract, sep="/")
    for path, dtype in quantized_paths(abstract, name).items():
        kernel = flat[path]
        shape = kernel.value.shape
        flat[path] = kernel.replace(value=jax.ShapeDtypeStruct(shape, stored(dtype)))
        scales = jax.ShapeDtypeStruct(scale_shape(shape), jnp.float32)
        flat[scale_path(path)] = kernel.replace(value=scales)
    return traverse_util.unflatten_dict(flat, sep="/")


def scale_path(path: str) -> str:
    """Path of the scales of the kernel at `path`."""
    return path.removesuffix(KERNEL) + SCALE


def stored(dtype: DTypeLike) -> DTypeLike:
    """Dtype in which kernels of an 8-bit dtype are stored."""
    return jnp.uint8 if jnp.issubdtype(dtype, jnp.floating) else dtype


def scale_shape(shape: tuple[int, ...]) -> tuple[int, ...]:
    """Shape of the scales of stacked kernels of `shape`.

    The number of groups is a power of two, so that a mesh that splits the kernel splits no group.
    """
    layers, first, *others = shape
    groups = 1
    while first // groups > GROUP and first % (2 * groups) == 0:
        groups *= 2
    return layers, groups, *others


def quantized(
    kernels: Float[Array, "layers first ..."], dtype: DTypeLike
) -> tuple[Array, Float[Array, "layers groups ..."]]:
    """Kernels of several layers rounded to 8 bits, and their scales."""
    import qwix

    group = kernels.shape[1] // scale_shape(kernels.shape)[1]
    channelwise = [axis for axis in range(kernels.ndim) if axis != 1]
    found = qwix.quantize(
        kernels.astype(jnp.float32), dtype, channelwise_axes=channelwise, tiled_axes={1: group}
    )
    return jax.lax.bitcast_convert_type(found.qvalue, stored(dtype)), found.scale


def dequantized(
    kernel: Array, scale: Float[Array, "groups ..."], dtype: DTypeLike
) -> Float[Array, "..."]:
    """Kernel of one layer in `dtype`, rounded once."""
    import qwix

    if kernel.dtype == jnp.uint8:
        kernel = jax.lax.bitcast_convert_type(kernel, DTYPES["fp8"])
    return qwix.dequantize(qwix.QArray(kernel, scale)).astype(dtype)
