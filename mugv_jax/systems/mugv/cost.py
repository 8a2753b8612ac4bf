# Copyright 2026 The mugv_jax Authors
# SPDX-License-Identifier: Apache-2.0
"""Memory and arithmetic of MUG-V: its text encoder, its VAE in windows, and its DiT.

forward = 2 (weights touched) tokens + depth (4 n^2 d + 4 n s d)
"""

import dataclasses
import functools
import math
from collections.abc import Sequence

from mugv_jax.cost.costs import Costs, Task
from mugv_jax.cost.flops import LatentShape, StepFlops, dit_block, patches, step_of
from mugv_jax.cost.memory import transformers
from mugv_jax.cost.memory.live import FLOAT32, SCORE_COPIES
from mugv_jax.cost.memory.plan import Plan
from mugv_jax.nn.dit.embed import SINUSOID_DIM
from mugv_jax.nn.mugdit.sizes import DiTConfig
from mugv_jax.nn.vae.sizes import VAEConfig
from mugv_jax.systems.mugv.size import MAX_TOKENS
from mugv_jax.systems.mugv.windows import Tiling, default_step


def dit_tokens(config: DiTConfig, latent_shape: LatentShape) -> int:
    """Number of video tokens of a latent (f, h, w), start and end token included."""
    return patches(config, latent_shape) + 2


def dit_forward(config: DiTConfig, latent_shape: LatentShape, text_tokens: int) -> int:
    """Floating-point operations of one forward pass of one sample through MUGDiT."""
    n, s, d = dit_tokens(config, latent_shape), text_tokens, config.width
    groups = latent_shape[0] + 2  # the frames and both end tokens have a time each
    patch = math.prod(config.patch)
    ends = (n - 2) * patch * config.in_channels * d + n * patch * config.out_channels * d
    embedded = s * (config.text_dim + d) * d
    scalar = (SINUSOID_DIM + d) * d  # embedding of a time, or of the frame rate
    time = (groups + 1) * scalar + groups * 6 * d * d
    return config.depth * sum(dit_block(config, n, s)) + 2 * (ends + embedded + time)


def train_step(
    config: DiTConfig, latent_shape: LatentShape, text_tokens: int, *, remat: str = "none"
) -> StepFlops:
    """Floating-point operations of MUGDiT's training step for one sample.

    remat: a policy of `nn/dit/remat.py`.
    """
    forward = dit_forward(config, latent_shape, text_tokens)
    block = dit_block(config, dit_tokens(config, latent_shape), text_tokens)
    return step_of(forward, block, config.depth, remat=remat)


def dit_step(config: DiTConfig, plan: Plan) -> float:
    """Bytes of one guided step of MUGDiT, with the text as keys and values (l s a e)."""
    heads = plan.local(config.num_heads, "tensor")
    keys = config.depth * MAX_TOKENS * heads * config.head_dim * plan.itemsize
    forward = transformers.Forward(
        tokens=dit_tokens(config, plan.size.latent_shape),
        mlp_dim=config.mlp_dim,
        rotary=True,
        given=2 * 2 * keys,
    )
    return transformers.guided_step("mugv_dit", config, forward, plan)


@dataclasses.dataclass(frozen=True)
class _Sizes:
    """Bytes of the arrays of one video in the VAE.

    frame: pixels of one frame.
    step: number of frames that all devices together process at once (not bytes).
    features: features of one window, all tiles together.
    tile_features: features of one window of one tile.
    picture: widest array of the spatial half in one step.
    scores: attention scores of the spatial half held at once.
    window: widest array of the temporal half.
    """

    frame: int
    step: int
    features: int
    tile_features: int
    picture: int
    scores: int
    window: int


def vae_encode(config: VAEConfig, plan: Plan) -> float:
    """Bytes of encoding a whole video of the plan's size; one picture needs less."""
    sizes = _sizes(config, plan, decoder=False)
    window = min(config.window_frames, plan.size.frames)
    pixels = (plan.size.frames + window) * sizes.frame
    spatial = _spatial(config, plan, sizes)
    temporal = max(
        _alive(config, plan, "features", sizes.tile_features),
        _alive(config, plan, "window", sizes.window),
    )
    # Features accumulate step by step, beside each term; joining them makes a copy.
    return pixels + sizes.tile_features + max(spatial, temporal, sizes.tile_features)


def vae_decode(config: VAEConfig, plan: Plan) -> float:
    """Bytes of decoding a video of the plan's size."""
    sizes = _sizes(config, plan, decoder=True)
    canvas = 3 * sizes.step * sizes.frame  # the frames, one tile of them, their sum
    temporal = _alive(config, plan, "window", sizes.window)
    return sizes.features + max(temporal, _spatial(config, plan, sizes) + canvas)


def _spatial(config: VAEConfig, plan: Plan, sizes: _Sizes) -> float:
    """Bytes of one step of the spatial half: its widest array, or the attention in its middle."""
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
    beside = 1 if decoder else -1  # a decoder's scale reads the next smaller picture
    spatial, temporal = config.spatial_channels, config.temporal_channels
    widest = _widest(spatial, [4**scale for scale in reversed(range(len(spatial)))], beside)
    # The decoder repeats frames before its deepest stage already: stages 1 and 0 both see all.
    halvings = [max(stage - 1, 0) if decoder else stage for stage in range(len(temporal))]
    window = _widest(temporal, [config.time_factor // 2**times for times in halvings], beside)
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
    """Number of latents along one axis; those in overlaps count once for every tile."""
    if side <= tile:
        return side
    overlap = Tiling(rows=tile, columns=tile).overlap
    return -(-(side - overlap) // (tile - overlap)) * tile


def _widest(widths: Sequence[int], sizes: Sequence[int], beside: int) -> int:
    """Entries of the widest array that enters or leaves a scale.

    sizes: number of positions of each scale.
    beside: 1 if a scale reads the result of the next one, -1 if of the previous one.
    """
    last = len(widths) - 1
    return max(
        size * max(width, widths[min(max(scale + beside, 0), last)])
        for scale, (width, size) in enumerate(zip(widths, sizes, strict=True))
    )


def _alive(config: VAEConfig, plan: Plan, array: str, nbytes: int) -> float:
    """Bytes alive around one `array` (a field of `Convolutions`) of `nbytes`."""
    narrowest = min(*config.spatial_channels, *config.temporal_channels)
    return plan.live.convolved(array, nbytes, narrowest)


_t5 = functools.partial(transformers.t5, kind="t5_encoder", tokens=MAX_TOKENS)
COSTS = Costs(
    tasks=(
        Task("text encoder", "text", _t5),
        Task("VAE encode", "vae", vae_encode),
        Task("DiT step", "dit", dit_step),
        Task("VAE decode", "vae", vae_decode),
    ),
    tokens=dit_tokens,
    forward=dit_forward,
)
