# Copyright 2026 The mugv_jax Authors
# SPDX-License-Identifier: Apache-2.0
"""Peak activations of the video VAE, per device, as `systems/mugv/windows.py` runs it."""

import dataclasses
from collections.abc import Sequence

from mugv_jax.cost.memory.plan import FLOAT32, Plan
from mugv_jax.nn.conv import FAST_CHANNELS, FAST_VALUES
from mugv_jax.nn.vae.sizes import VAEConfig
from mugv_jax.systems.mugv.windows import Tiling, default_step

SCORE_COPIES = 3  # scores, their exponentials, probabilities


@dataclasses.dataclass(frozen=True)
class _Sizes:
    """Bytes of the arrays of one video.

    frame: pixels of one.  features: of one window, all tiles.  tile_features: of one tile.
    picture: the spatial half's widest array in one step.  scores: of its attention, at once.
    window: the temporal half's widest array.

    step is no size, but the number of frames that all devices together take at once.
    """

    frame: int
    step: int
    features: int
    tile_features: int
    picture: int
    scores: int
    window: int


def encode(config: VAEConfig, plan: Plan) -> float:
    """Bytes of encoding a whole video of the plan's size; one picture needs less."""
    sizes = _sizes(config, plan, decoder=False)
    window = min(config.window_frames, plan.size.frames)
    pixels = (plan.size.frames + window) * sizes.frame
    spatial = _spatial(config, plan, sizes)
    temporal = max(
        _alive(config, plan, "features", sizes.tile_features),
        _alive(config, plan, "window", sizes.window),
    )
    # Beside each: the features so far. They come step by step, and are twice there when joined.
    return pixels + sizes.tile_features + max(spatial, temporal, sizes.tile_features)


def decode(config: VAEConfig, plan: Plan) -> float:
    """Bytes of decoding a video of the plan's size."""
    sizes = _sizes(config, plan, decoder=True)
    canvas = 3 * sizes.step * sizes.frame  # the frames, a tile of them, their sum
    temporal = _alive(config, plan, "window", sizes.window)
    return sizes.features + max(temporal, _spatial(config, plan, sizes) + canvas)


def _spatial(config: VAEConfig, plan: Plan, sizes: _Sizes) -> float:
    """Bytes of one step of the spatial half: its widest array or the attention of its middle."""
    return max(_alive(config, plan, "picture", sizes.picture), SCORE_COPIES * sizes.scores)


def _sizes(config: VAEConfig, plan: Plan, *, decoder: bool) -> _Sizes:
    factor, size = config.spatial_factor, plan.size
    sides = size.height_px // factor, size.width_px // factor
    tile = (plan.tile_px or max(size.height_px, size.width_px)) // factor
    rows, columns = (min(side, tile) for side in sides)
    covered = [_covered(side, tile) for side in sides]
    frames = min(config.window_frames, -(-size.frames // config.time_factor) * config.time_factor)
    parts = plan.parts("sequence", "tensor")
    local_rows = -(-rows // parts)
    step = min(default_step(rows, columns, factor, plan.mesh.size), plan.size.frames)
    of_device = -(-step // plan.parts("data", "fsdp", "sequence", "tensor"))
    feature = config.feature_channels * FLOAT32
    widest = _widest_frame(config, decoder=decoder)
    window = (_decoder_window if decoder else _encoder_window)(config)
    return _Sizes(
        frame=size.height_px * size.width_px * 3 * FLOAT32,
        step=step,
        features=frames * -(-covered[0] // parts) * covered[1] * feature,
        tile_features=frames * local_rows * columns * feature,
        picture=of_device * rows * columns * widest * FLOAT32,
        scores=min(plan.score_budget, of_device * (rows * columns) ** 2 * FLOAT32),
        window=frames * local_rows * columns * window // config.time_factor * FLOAT32,
    )


def _covered(side: int, tile: int) -> int:
    """Latents along one axis, those in overlaps counted for every tile."""
    if side <= tile:
        return side
    overlap = Tiling(rows=tile, columns=tile).overlap
    return -(-(side - overlap) // (tile - overlap)) * tile


def _widest_frame(config: VAEConfig, *, decoder: bool) -> int:
    """Entries per latent of the spatial half's widest array: what enters or leaves a scale."""
    widths = config.spatial_channels
    beside = 1 if decoder else -1  # the decoder comes from the next smaller picture
    return max(
        4 ** (len(widths) - 1 - scale) * max(width, _at(widths, scale + beside))
        for scale, width in enumerate(widths)
    )


def _at(widths: Sequence[int], index: int) -> int:
    """The width at the nearest index that there is."""
    return widths[min(max(index, 0), len(widths) - 1)]


def _encoder_window(config: VAEConfig) -> int:
    """Entries per position of a latent's 8 frames, of the temporal encoder's widest array."""
    widths = config.temporal_channels
    return max(
        config.time_factor // 2**stage * max(width, _at(widths, stage - 1))
        for stage, width in enumerate(widths)
    )


def _decoder_window(config: VAEConfig) -> int:
    """The same of the decoder: frames are repeated at its start, then grow with stages above 1."""
    widths = config.temporal_channels
    return max(
        config.time_factor // 2 ** max(stage - 1, 0) * max(width, _at(widths, stage + 1))
        for stage, width in enumerate(widths)
    )


def _alive(config: VAEConfig, plan: Plan, array: str, nbytes: int) -> float:
    """Bytes alive around one `array` (a field of `Convolutions`) of `nbytes`."""
    direct = getattr(plan.live.direct, array) * nbytes
    narrowest = min(*config.spatial_channels, *config.temporal_channels)
    if plan.live.transformed is None or narrowest < FAST_CHANNELS:
        return direct
    largest = min(nbytes, FAST_VALUES * FLOAT32)
    return max(direct, getattr(plan.live.transformed, array) * largest)
