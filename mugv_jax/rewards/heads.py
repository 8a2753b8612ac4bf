# Copyright 2026 The mugv_jax Authors
# SPDX-License-Identifier: Apache-2.0
"""Scores from CLIP's projected summaries of a picture and of its caption, u = x / |x|.

    PickScore    exp(logit_scale) u_image . u_text              arXiv:2305.01569
    HPSv2        u_image . u_text                               arXiv:2306.09341
    aesthetic    W_5 (... W_2 (W_1 u_image + b_1) + b_2 ...) + b_5

The aesthetic score is that of LAION (`improved-aesthetic-predictor`, its files of the kind
`linearMSE`): five linear layers with nothing between them but dropout in training, about 1 to 10.
MPS (`mps.py`) has the score of PickScore, of a summary after an attention between both encoders.
"""

from collections.abc import Mapping, Sequence

import jax.numpy as jnp

from mugv_jax.axes import Array, Float
from mugv_jax.nn.layers import match_rank

Pictures = Float[Array, "b k c"]  # summaries of k frames of every clip


def unit(x: Float[Array, "... c"]) -> Float[Array, "... c"]:
    """x / |x| in float32."""
    x = x.astype(jnp.float32)
    return x / jnp.linalg.norm(x, axis=-1, keepdims=True)


def cosine(image: Pictures, text: Float[Array, "b c"]) -> Float[Array, "b k"]:
    """Cosine of the angle between the summaries of every frame and of its clip's caption.

    This is HPSv2's score.
    """
    return jnp.einsum("bkc,bc->bk", unit(image), unit(text))


def pick_score(
    image: Pictures, text: Float[Array, "b c"], logit_scale: Float[Array, ""]
) -> Float[Array, "b k"]:
    """PickScore of every frame; `logit_scale` is the model's own parameter, about log(100)."""
    return jnp.exp(logit_scale.astype(jnp.float32)) * cosine(image, text)


def aesthetic_score(
    image: Pictures, layers: Sequence[Mapping[str, Float[Array, "..."]]]
) -> Float[Array, "b k"]:
    """LAION's aesthetic score of every frame.

    layers: kernel (in, out) and bias (out) of each linear layer; the last has one output.
    """
    x = unit(image)
    for layer in layers:
        bias = layer["bias"].astype(jnp.float32)
        x = x @ layer["kernel"].astype(jnp.float32)
        x = x + match_rank(bias, x)
    return x[..., 0]
