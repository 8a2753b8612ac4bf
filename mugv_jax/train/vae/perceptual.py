# Copyright 2026 The mugv_jax Authors
# SPDX-License-Identifier: Apache-2.0
"""P of the VAE's loss: LPIPS of every frame, its weights from local files."""

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
    """The mean over clips and frames of LPIPS; `files` as of `load_lpips`.

    A tree, whose leaves are the weights: what is compiled takes them as an argument.

    Raises:
        ValueError: files that do not hold these weights.
    """
    return jax.tree_util.Partial(_distance(jnp.dtype(dtype)), {"params": load_lpips(files)})


@functools.cache  # so that what is compiled for some weights serves others
def _distance(dtype: DTypeLike) -> Callable[[Any, Pixels, Pixels], Array]:
    module = Lpips(dtype)

    def distance(variables: Any, x: Pixels, y: Pixels) -> Float[Array, ""]:
        pictures = (einops.rearrange(each, "b f h w c -> (b f) h w c") for each in (x, y))
        distances: Any = module.apply(variables, *pictures)
        return jnp.mean(distances)

    return distance
