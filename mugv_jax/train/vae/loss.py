# Copyright 2026 The mugv_jax Authors
# SPDX-License-Identifier: Apache-2.0
"""Loss terms of the video VAE (arXiv:2510.17519, section 4.1).

    L     = L_rec + kl L_KL + gan a L_GAN                                              (1)
    L_rec = mse |x - y|^2 + l1 L_1 + perceptual P(x, y)                                (2)
    L_1   = mean |x - y|;   from step adaptive_from on  mean w |x - y|                 (3)
    w_t   = (1 + s r_t / mean r) / mean,   r_t = |d_t lap(x_t)|                        (4)
    L_KL  = mean 1/2 (mean^2 + var - 1 - log var)                                      (5)
    L_GAN = -mean D(y);   D: mean 1/2 (max(0, 1 - D(x)) + max(0, 1 + D(y)))            (6)
    a     = |grad_W L_rec| / |grad_W L_GAN|,  W the decoder's last kernel              (7)

x is the video, y its reconstruction, D the critic. (6) is the hinge loss (arXiv:1705.02894), (7)
the weight of VQGAN (arXiv:2012.09841). All terms are means, so their weights do not depend on size.
"""

import dataclasses
import functools
from collections.abc import Callable
from typing import Any

import einops
import jax
import jax.numpy as jnp
from jax.typing import DTypeLike

from mugv_jax.axes import Array, Float, Latent, Pixels
from mugv_jax.bounds import require_at_least
from mugv_jax.nn.lpips import Lpips
from mugv_jax.weights.lpips import load_lpips

# (video, reconstruction) in [-1, 1] -> scalar, such as LPIPS.
Perceptual = Callable[[Pixels, Pixels], Array]
Clips = Float[Array, "b _f _h _w _c"]  # pixels or features
Map = Float[Array, "b _f _h _w 1"]

MOST_BALANCE = 1e4  # upper bound of (7), for a vanishing gradient of the critic


@dataclasses.dataclass(frozen=True, kw_only=True)
class VaeLossConfig:
    """Weights of the terms of (1) and (2), and the first steps of phases.

    perceptual: weight of the perceptual loss, if the run has a perceptual network.
    frames: frames of every clip that are decoded to pixels and compared, drawn for each step, the
        same in all clips; None: all. Successive frames tell little more than one of them, and
        pixels take most of a step's time.
    perceptual_frames: of these, the frames in the perceptual loss, likewise.
    saliency: s of (4).
    adaptive_from, gan_from: first step with the weighting (4) and with the GAN; None is never.

    Raises:
        ValueError: negative values, or no reconstruction loss.
    """

    mse: float = 1.0
    l1: float = 1.0
    perceptual: float = 1.0
    frames: int | None = None
    perceptual_frames: int | None = None
    kl: float = 1e-6
    saliency: float = 1.0
    gan: float = 0.1
    adaptive_from: int | None = None
    gan_from: int | None = None

    def __post_init__(self):
        given = [name for name, value in dataclasses.asdict(self).items() if value is not None]
        require_at_least(0, self, *given)
        if self.frames == 0:
            raise ValueError("frames=0 must be at least 1, or None for all frames.")
        if self.perceptual_frames == 0:
            raise ValueError(
                "perceptual_frames=0 must be at least 1, or None for all frames; perceptual=0 "
                "leaves the perceptual network out."
            )
        if not self.mse + self.l1:
            raise ValueError("mse=0 and l1=0 leave no reconstruction loss; raise one of them.")


def mean_square(x: Clips, y: Clips) -> Float[Array, ""]:
    """Mean squared error, mean (x - y)^2."""
    return jnp.mean(jnp.square(x - y))


def weighted_l1(x: Clips, y: Clips, weight: Map | None = None) -> Float[Array, ""]:
    """L1 loss (3): mean |x - y|, optionally weighted per pixel."""
    error = jnp.abs(x - y)
    return jnp.mean(error if weight is None else error * weight)


def laplacian(x: Clips) -> Clips:
    """Discrete Laplacian: sum of the four neighbours minus four times the pixel; edge padding."""
    padded = jnp.pad(x, ((0, 0), (0, 0), (1, 1), (1, 1), (0, 0)), mode="edge")
    rows = padded[:, :, :-2, 1:-1] + padded[:, :, 2:, 1:-1]
    columns = padded[:, :, 1:-1, :-2] + padded[:, :, 1:-1, 2:]
    return rows + columns - 4 * x


def saliency(x: Clips) -> Map:
    """Saliency r of (4): |lap(x_{t+1}) - lap(x_t)|, mean over channels.

    The last frame repeats the value of the frame before it; a single frame has 0.
    """
    edges = laplacian(x)
    if x.shape[1] == 1:
        return jnp.zeros((*x.shape[:-1], 1), x.dtype)
    change = jnp.mean(jnp.abs(edges[:, 1:] - edges[:, :-1]), axis=-1, keepdims=True)
    return jnp.concatenate([change, change[:, -1:]], axis=1)


def adaptive_weight(x: Clips, strength: float) -> Map:
    """Pixel weight w of (4): mean 1 over each sample, larger for fast-moving detail; no gradient.

    Computed from the video, not from its reconstruction, which is smooth exactly where it fails.
    For a video without motion w is 1; the 1 in (4) keeps static regions in the loss.
    """
    r = saliency(jax.lax.stop_gradient(x))
    mean = einops.reduce(r, "b f h w 1 -> b 1 1 1 1", "mean")
    w = 1 + strength * r / jnp.maximum(mean, 1e-6)
    return w / einops.reduce(w, "b f h w 1 -> b 1 1 1 1", "mean")


def kl_divergence(mean: Latent, log_variance: Latent) -> Float[Array, ""]:
    """KL divergence (5) of the posterior from N(0, 1), in nats per latent value."""
    terms = jnp.square(mean) + jnp.exp(log_variance) - 1 - log_variance
    return 0.5 * jnp.mean(terms)


def critic_loss(real: Array, fake: Array) -> Float[Array, ""]:
    """Hinge loss of the critic, (6)."""
    return 0.5 * (jnp.mean(jax.nn.relu(1 - real)) + jnp.mean(jax.nn.relu(1 + fake)))


def generator_loss(fake: Array) -> Float[Array, ""]:
    """Adversarial loss of the VAE, (6)."""
    return -jnp.mean(fake)


def balance(reconstruction: Array, adversarial: Array) -> Float[Array, ""]:
    """Adaptive GAN weight (7), from both gradients of the decoder's last kernel; no gradient."""
    norms = (jnp.linalg.norm(jnp.ravel(grad)) for grad in (reconstruction, adversarial))
    wanted, found = norms
    return jax.lax.stop_gradient(jnp.clip(wanted / (found + 1e-4), 0, MOST_BALANCE))


def lpips(files: str, dtype: DTypeLike) -> Perceptual:
    """Perceptual term P of (2): LPIPS, mean over clips and frames; for `files` see `load_lpips`.

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
