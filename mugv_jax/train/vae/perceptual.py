# Copyright 2026 The mugv_jax Authors
# SPDX-License-Identifier: Apache-2.0
"""Perceptual term P of the VAE loss: LPIPS per frame, with weights from local files."""

import functools
from collections.abc import Callable
from typing import Any

import einops
import jax
import jax.numpy as jnp
from jax.typing import DTypeLike

from mugv_jax.axes import Array, Float, Pixels
from mugv_jax.nn.lpips import Lpips
from mugv_jax.train.vae.loss import Perceptual
from mugv_jax.weights.lpips import load_lpips


def lpips(files: str, dtype: DTypeLike) -> Perceptual:
    """Mean LPIPS over clips and frames; for `files` see `load_lpips`.

    The result is a pytree whose leaves are the weights, so that jitted functions take them as an
    argument.

    Raises:
        ValueError: files that do not hold these weights.
    """
    return jax.tree_util.Partial(_distance(jnp.dtype(dtype)), {"params": load_lpips(files)})


@functools.cache  # one function per dtype: other weights do not trigger a recompilation
def _distance(dtype: DTypeLike) -> Callable[[Any, Pixels, Pixels], Array]:
    module = Lpips(dtype)

    def distance(variables: Any, x: Pixels, y: Pixels) -> Float[Array, ""]:
        pictures = (einops.rearrange(each, "b f h w c -> (b f) h w c") for each in (x, y))
        distances: Any = module.apply(variables, *pictures)
        return jnp.mean(distances)

    return distance
