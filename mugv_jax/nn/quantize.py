# Copyright 2026 The mugv_jax Authors
# SPDX-License-Identifier: Apache-2.0
"""8-bit weights, and 8-bit products, for inference: the kernels of all stacked layers.

    W_ij ~ scale_gj q_ij,    scale_gj = max_(i in g) |W_ij| / largest q                          (1)
    (x W)_tj ~ scale_t scale_j sum_i p_ti q_ij,    scale_t = max_i |x_ti| / largest p            (2)

i runs over the first axis of a layer's kernel, g over groups of at most GROUP neighbours on it, and
j over all other axes. `Linear` multiplies by scale_gj q_ij in its own dtype: activations are not
rounded, and only the kernel of the current layer exists at full width (1). Everything that is not
stacked (embeddings, norms, modulation, the first and the last layer) is small and is not quantised.

With W8A8 the activations of a transformer's blocks are rounded too, each token t by its own scale,
and the products are taken in 8 bits (2), for hardware that does so in less time. Scales cannot lie
within a sum, so that g are all inputs i. Scores of attention are not rounded, and text encoders,
which run once and have outliers, keep (1). Rounding and products are qwix's.

A quantised kernel replaces the full one under the same name; its float32 scales lie beside it, and
their name tells which of both is meant.
8-bit floats are stored as bytes: on hardware without them, XLA would widen the whole stack of
layers at once.
"""

import dataclasses
from typing import Any

import jax
import jax.numpy as jnp
from flax import traverse_util
from jax.experimental.layout import Layout, with_layout_constraint
from jax.typing import DTypeLike

from mugv_jax.axes import Array, Float

KERNEL = "kernel"
SCALE, PRODUCT_SCALE = "kernel_scale", "kernel_product_scale"
SCALES = (SCALE, PRODUCT_SCALE)

# A single scale for a column of 1152 weights follows its largest one: 1.3 times the error.
GROUP = 128
ROWS = 16_384  # tokens whose 8-bit product is taken at a time

# Relative RMS error for normally distributed weights: 1% with int8, 2.6% with fp8.
DTYPES = {"int8": jnp.int8, "fp8": jnp.float8_e4m3fn}
W8A8 = "-w8a8"  # suffix of names with 8-bit products
PRODUCTS = tuple(name + W8A8 for name in DTYPES)
NAMES = (*DTYPES, *PRODUCTS)


@dataclasses.dataclass(frozen=True)
class Rounding:
    """How a kernel is rounded.

    contracted: axes of the inputs in a kernel that is multiplied in 8 bits, which share a scale;
        0 for a kernel that is dequantised.
    """

    dtype: DTypeLike
    contracted: int = 0

    @property
    def scale(self) -> str:
        """Name of the scales."""
        return PRODUCT_SCALE if self.contracted else SCALE


def check_quantize(name: str | None) -> None:
    """Refuse a name that is none of NAMES, nor None, for weights at full width.

    Raises:
        ValueError: unknown name.
    """
    if name is not None and name not in NAMES:
        raise ValueError(
            f"quantize={name!r} must be one of {', '.join(NAMES)}, or left out for weights at "
            "full width."
        )


def quantize_of(kind: str, name: str | None) -> str | None:
    """What `name` means for one kind of model: only diffusion transformers multiply in 8 bits."""
    if name is None or "dit" in kind.split("_"):
        return name
    return name.removesuffix(W8A8)


def quantized_paths(abstract: Any, name: str | None) -> dict[str, Rounding]:
    """Rounding by path of every kernel of `abstract` (boxed) that is quantised; empty for None.

    Raises:
        ValueError: unknown name.
    """
    check_quantize(name)
    if name is None:
        return {}
    dtype, products = DTYPES[name.removesuffix(W8A8)], name in PRODUCTS
    flat: dict[str, Any] = traverse_util.flatten_dict(abstract, sep="/")
    return {
        path: Rounding(dtype, _contracted(path, leaf.names) if products else 0)
        for path, leaf in flat.items()
        if path.endswith(f"/{KERNEL}") and leaf.names[0] == "layers"
    }


def _contracted(path: str, names: tuple[str | None, ...]) -> int:
    """`Rounding.contracted` of a stacked kernel of a transformer."""
    if path.endswith(f"/modulation/{KERNEL}"):
        return 0  # of one vector for all tokens, which 8 bits would save nothing for
    return 2 if names[1:3] == ("heads", "head_dim") else 1  # after attention, or not


def abstract_quantized(abstract: Any, name: str | None) -> Any:
    """`abstract` (boxed) with quantised kernels and their scales beside them.

    Raises:
        ValueError: unknown name.
    """
    flat: dict[str, Any] = traverse_util.flatten_dict(abstract, sep="/")
    for path, rounding in quantized_paths(abstract, name).items():
        kernel = flat[path]
        shape = kernel.value.shape
        flat[path] = kernel.replace(value=jax.ShapeDtypeStruct(shape, stored(rounding.dtype)))
        scales = jax.ShapeDtypeStruct(scale_shape(shape, rounding.contracted), jnp.float32)
        flat[scale_path(path, rounding)] = kernel.replace(value=scales)
    return traverse_util.unflatten_dict(flat, sep="/")


def scale_path(path: str, rounding: Rounding) -> str:
    """Path of the scales of the kernel at `path`."""
    return path.removesuffix(KERNEL) + rounding.scale


def stored(dtype: DTypeLike) -> DTypeLike:
    """Dtype in which kernels of an 8-bit dtype are stored."""
    return jnp.uint8 if jnp.issubdtype(dtype, jnp.floating) else dtype


def scale_shape(shape: tuple[int, ...], contracted: int = 0) -> tuple[int, ...]:
    """Shape of the scales of stacked kernels of `shape`.

    The number of groups is a power of two, so that a mesh that splits the kernel splits no group.
    """
    layers, first, *others = shape
    if contracted:
        return layers, *(1,) * contracted, *shape[1 + contracted :]
    groups = 1
    while first // groups > GROUP and first % (2 * groups) == 0:
        groups *= 2
    return layers, groups, *others


def quantized(
    kernels: Float[Array, "layers first ..."], rounding: Rounding
) -> tuple[Array, Float[Array, "layers groups ..."]]:
    """Kernels of several layers rounded to 8 bits, and their scales."""
    import qwix

    group = kernels.shape[1] // scale_shape(kernels.shape)[1]
    shared = rounding.contracted or 1
    channelwise = [axis for axis in range(kernels.ndim) if not 1 <= axis <= shared]
    found = qwix.quantize(
        kernels.astype(jnp.float32),
        rounding.dtype,
        channelwise_axes=channelwise,
        tiled_axes=None if rounding.contracted else {1: group},
    )
    return jax.lax.bitcast_convert_type(found.qvalue, stored(rounding.dtype)), found.scale


def dequantized(
    kernel: Array, scale: Float[Array, "groups ..."], dtype: DTypeLike
) -> Float[Array, "..."]:
    """Kernel of one layer in `dtype`, rounded once."""
    import qwix

    return qwix.dequantize(qwix.QArray(_values(kernel), scale)).astype(dtype)


def product(
    x: Float[Array, "..."],
    kernel: Array,
    scale: Float[Array, "..."],
    contracted: int,
    dtype: DTypeLike,
) -> Float[Array, "..."]:
    """Product (2) over the last `contracted` axes of x and the first ones of a kernel, in `dtype`.

    On one device ROWS tokens are multiplied at a time: the sums of all of them, 32 bits wide, would
    take several times the memory of the result.
    """
    lead, features = x.shape[: x.ndim - contracted], kernel.shape[contracted:]
    tokens = x.reshape(-1, *x.shape[x.ndim - contracted :])
    count, mesh = len(tokens), jax.sharding.get_abstract_mesh()
    if count <= ROWS or not (mesh.empty or mesh.size == 1):
        return _product(x, kernel, scale, contracted).astype(dtype)
    # A GPU wants the inputs of a kernel side by side. Without this, XLA would turn the kernels of
    # all layers at once.
    kernel = with_layout_constraint(kernel, Layout(tuple(range(kernel.ndim))))

    def multiply(number: Array, out: Array) -> Array:
        first = jnp.minimum(number * ROWS, count - ROWS)  # the last ones overlap those before
        some = jax.lax.dynamic_slice_in_dim(tokens, first, ROWS)
        made = _product(some, kernel, scale, contracted).astype(dtype)
        return jax.lax.dynamic_update_slice_in_dim(out, made, first, axis=0)

    out = jnp.zeros((count, *features), dtype)
    return jax.lax.fori_loop(0, -(-count // ROWS), multiply, out).reshape(*lead, *features)


def _product(
    x: Float[Array, "..."], kernel: Array, scale: Float[Array, "..."], contracted: int
) -> Float[Array, "..."]:
    import qwix

    values = _values(kernel)
    lead = x.ndim - contracted
    rounded = qwix.quantize(x.astype(jnp.float32), values.dtype, channelwise_axes=list(range(lead)))
    axes = (tuple(range(lead, x.ndim)), tuple(range(contracted)))
    with jax.numpy_dtype_promotion("standard"):  # qwix multiplies int32 by its float32 scales
        return qwix.dot_general(
            rounded,
            qwix.QArray(values, scale),
            (axes, ((), ())),
            preferred_element_type=jnp.float32,
        )


def _values(kernel: Array) -> Array:
    """8-bit values of a kernel as it is stored."""
    if kernel.dtype == jnp.uint8:
        return jax.lax.bitcast_convert_type(kernel, DTYPES["fp8"])
    return kernel
