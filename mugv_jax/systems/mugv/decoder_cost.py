# Copyright 2026 The mugv_jax Authors
# SPDX-License-Identifier: Apache-2.0
"""Arithmetic of decoding one window of latents, by the full decoder and by a tiny one.

    operations = 2 x positions x (taps x channels in x channels out),  summed over convolutions

Products of matrices alone: norms and activations are left out. Taps that fall on padding count.
"""

from mugv_jax.cost.flops import LatentShape
from mugv_jax.cost.memory.live import FLOAT32
from mugv_jax.cost.memory.plan import Plan
from mugv_jax.nn.vae.sizes import VAEConfig
from mugv_jax.nn.vae.tiny import TinyDecoderConfig
from mugv_jax.systems.mugv.windows import default_step

PICTURE, CLIP = 9, 27  # taps of a convolution over a picture, and over frames and picture


def decoder_forward(config: VAEConfig, latent_shape: LatentShape) -> int:
    """Floating-point operations of the full decoder for one window (f, h, w) of latents."""
    latents, rows, columns = latent_shape
    area = rows * columns
    frames = latents * config.time_factor
    return 2 * area * (latents * _of_latent(config) + frames * _of_frame(config, area))


def _of_latent(config: VAEConfig) -> int:
    """Multiplications of the temporal half for each latent."""
    widths, layers = config.temporal_channels, config.temporal_layers
    last, latent = widths[-1], config.latent_channels
    total = latent**2 + CLIP * latent * last + layers * _block(last, last, CLIP)
    total += 2 * _block(last, last, CLIP)  # frames are repeated before it
    frames, before = 2, last
    for stage, width in reversed([*enumerate(widths)]):
        total += frames * (_block(before, width, CLIP) + (layers - 1) * _block(width, width, CLIP))
        if stage > 1:
            total += frames * CLIP * width * 2 * width
            frames *= 2
        before = width
    return total + frames * CLIP * widths[0] * config.feature_channels


def _of_frame(config: VAEConfig, area: int) -> int:
    """Multiplications of the spatial half for a frame, for each of its latents' positions."""
    widths = config.spatial_channels[::-1]
    first, layers = widths[0], config.spatial_layers + 1
    total = 2 * _block(first, first, PICTURE) + 4 * first**2 + 2 * area * first  # with attention
    before = first
    for scale, width in enumerate(widths):
        chain = _block(before, width, PICTURE) + (layers - 1) * _block(width, width, PICTURE)
        total += 4**scale * (chain + (PICTURE * before**2 if scale else 0))
        before = width
    return total + config.spatial_factor**2 * PICTURE * before * 3


def _block(before: int, width: int, taps: int) -> int:
    """Multiplications of a ResBlock for each position."""
    shortcut = before * width if before != width else 0
    return taps * (before + width) * width + shortcut


def tiny_forward(config: TinyDecoderConfig, latent_shape: LatentShape) -> int:
    """Floating-point operations of a tiny decoder for one window (f, h, w) of latents."""
    latents, rows, columns = latent_shape
    width, scale = config.width, 1
    grown = config.time_factor * config.feature_channels
    of_latent = PICTURE * width * (config.latent_channels + 2 * config.layers * width)
    of_latent += width * grown
    of_frame, before = 0, config.feature_channels
    for width in config.frame_widths:
        of_frame += scale * before * 4 * width
        scale *= 4
        of_frame += scale * config.frame_layers * _block(width, width, PICTURE)
        before = width
    of_frame += scale * PICTURE * before * 3 * config.patch_px**2
    return 2 * rows * columns * latents * (of_latent + config.time_factor * of_frame)


def tiny_decode(config: TinyDecoderConfig, plan: Plan) -> float:
    """Bytes of decoding a video of the plan's size with a tiny decoder.

    The features of a window, and beside them the widest array of its latents or of a few frames.
    """
    factor, size = config.spatial_factor, plan.size
    rows, columns = size.height_px // factor, size.width_px // factor
    local = -(-rows // plan.parts("sequence", "tensor")) * columns
    latents = min(config.window_latents, -(-size.frames // config.time_factor))
    features = latents * config.time_factor * local * config.feature_channels * FLOAT32
    step = min(default_step(rows, columns, factor, plan.mesh.size), size.frames)
    of_device = -(-step // plan.parts("data", "fsdp", "sequence", "tensor"))
    scales = [4 ** (i + 1) * width for i, width in enumerate(config.frame_widths)]
    widest = max(*scales, 3 * factor**2)
    pixels = 2 * step * size.height_px * size.width_px * 3 * FLOAT32
    picture = plan.live.convolved(
        "picture", of_device * rows * columns * widest * FLOAT32, min(config.frame_widths)
    )
    window = plan.live.convolved("window", latents * local * config.width * FLOAT32, config.width)
    return features + max(features, window, picture + pixels)
