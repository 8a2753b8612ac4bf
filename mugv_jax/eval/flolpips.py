# Copyright 2026 The mugv_jax Authors
# SPDX-License-Identifier: Apache-2.0
"""FloLPIPS: LPIPS that counts most where the motion of two videos differs (arXiv:2207.08119).

    FloLPIPS = mean_t sum_l sum_hw w_tl d_tl,   w_tl = |r_l(f_t - g_t)| / sum_hw |r_l(f_t - g_t)|

d_tl is LPIPS's distance at every position of stage l of frame t; f_t and g_t are the flows from
frame t to the next of the reference and of the other video, and r_l resizes their difference to the
size of d_tl (bilinear). Where nothing moves differently every position counts alike, as in LPIPS.
The last frame has no flow, and no part in it. The published code takes the flow of PWC-Net and
LPIPS on AlexNet; here the flow is DIS or RAFT, and LPIPS is on VGG16.
"""

from collections.abc import Sequence

import jax
import jax.numpy as jnp

from mugv_jax.axes import Array, Float


def weighted_sum(
    maps: Sequence[Float[Array, "b _h _w"]], difference: Float[Array, "b _h _w 2"]
) -> Float[Array, "b"]:
    """FloLPIPS of frames, before the mean over them.

    maps: d of every stage (`nn.lpips.Lpips.maps`).
    difference: f - g at the size of the frames.
    """
    return jnp.sum(jnp.stack([_of_stage(each, difference) for each in maps]), axis=0)


def _of_stage(
    distance: Float[Array, "b h w"], difference: Float[Array, "b _h _w 2"]
) -> Float[Array, "b"]:
    shape = (*distance.shape, 2)
    resized = jax.image.resize(difference, shape, "bilinear", antialias=False)
    length = jnp.sqrt(jnp.sum(jnp.square(resized), axis=-1))
    total = jnp.sum(length, axis=(1, 2), keepdims=True)
    alike = 1 / (distance.shape[1] * distance.shape[2])
    weight = jnp.where(total > 0, length / jnp.where(total > 0, total, 1), alike)
    return jnp.sum(weight * distance, axis=(1, 2))
