# Copyright 2026 The mugv_jax Authors
# SPDX-License-Identifier: Apache-2.0
"""Weights in 8 bits, for inference: the kernels of all stacked layers, widened one at a time.

    W_ij ~ scale_j q_ij,    scale_j = max_i |W_ij| / largest q

i runs over the first axis of a layer's kernel and j over all others, so every output has a scale
of its own. `Linear` multiplies by scale_j q_ij in its own dtype: activations are not rounded, and
only the layer at hand is there at full width. Everything that is not stacked (embeddings, norms,
modulation, the first and the last layer) is small and stays as it is. Quantised by qwix.

A quantised kernel lies where the kernel was; its scales, float32, lie beside it.
"""

from typing import Any

import jax
import jax.numpy as jnp
from flax import traverse_util
from jax.typing import DTypeLike

from mugv_jax.axes import Array, Float

KERNEL, SCALE = "kernel", "kernel_scale"

# Root mean square error of normally distributed weights: 1% of theirs for int8, 2.6% for fp8.
DTYPES = {"int8": jnp.int8, "fp8": jnp.float8_e4m3fn}


def quantized_dtype(name: str | None) -> DTypeLike | None:
    """The dtype that users call `name`; None stands for weights at full width.

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
    """Path -> 8-bit dtype of every kernel of `abstract` (boxed) that is quantised; none for None.

    Raises:
        ValueError: unknown name.
    """
    dtype = quantized_dtype(name)
    if dtype is None:
        return {}
    flat = traverse_util.flatten_dict(abstract, sep="/")
    return {
        path: dtype
        for path, leaf in flat.items()
        if path.endswith(f"/{KERNEL}") and leaf.names[0] == "layers"
    }


def abstract_quantized(abstract: Any, name: str | None) -> Any:
    """`abstract` (boxed) as it is once its kernels are quantised, their scales beside them.

    Raises:
        ValueError: unknown name.
    """
    flat = traverse_util.flatten_dict(abstract, sep="/")
    for path, dtype in quantized_paths(abstract, name).items():
        kernel = flat[path]
        layers, _, *others = kernel.value.shape
        flat[path] = kernel.replace(value=jax.ShapeDtypeStruct(kernel.value.shape, dtype))
        flat[scale_path(path)] = kernel.replace(
            value=jax.ShapeDtypeStruct((layers, 1, *others), jnp.float32),
            names=(kernel.names[0], None, *kernel.names[2:]),
        )
    return traverse_util.unflatten_dict(flat, sep="/")


def scale_path(path: str) -> str:
    """Where the scales of the kernel at `path` lie."""
    return path.removesuffix(KERNEL) + SCALE


def quantized(
    kernels: Float[Array, "layers first ..."], dtype: DTypeLike
) -> tuple[Array, Float[Array, "layers 1 ..."]]:
    """8-bit kernels of some layers, and their scales."""
    import qwix

    channelwise = [axis for axis in range(kernels.ndim) if axis != 1]
    found = qwix.quantize(kernels.astype(jnp.float32), dtype, channelwise_axes=channelwise)
    return found.qvalue, found.scale


def widened(kernel: Array, scale: Float[Array, "1 ..."], dtype: DTypeLike) -> Float[Array, "..."]:
    """The kernel of one layer in `dtype`, rounded once."""
    import qwix

    return qwix.dequantize(qwix.QArray(kernel, scale)).astype(dtype)
