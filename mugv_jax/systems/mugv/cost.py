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
from mugv_jax.nn.vae.spatial import tiled_scales
from mugv_jax.systems.mugv.decoder_cost import tiny_decode
from mugv_jax.systems.mugv.size import MAX_TOKENS
from mugv_jax.systems.mugv.windows import default_step


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
    features: features of one window.
    picture: widest array of the spatial half in one step, of what runs on whole frames.
    tile: the same of what runs tile by tile, for one tile; 0 without tiles.
    parts: input and output of a part that runs tile by tile; 0 without tiles.
    scores: attention scores of the spatial half held at once.
    window: widest array of the temporal half.
    """

    frame: int
    step: int
    features: int
    picture: int
    tile: int
    parts: int
    scores: int
    window: int


def vae_encode(config: VAEConfig, plan: Plan) -> float:
    """Bytes of encoding a whole video of the plan's size; one picture needs less."""
    sizes = _sizes(config, plan, decoder=False)
    window = min(config.window_frames, plan.size.frames)
    pixels = (plan.size.frames + window) * sizes.frame
    temporal = max(
        _alive(config, plan, "features", sizes.features),
        _alive(config, plan, "window", sizes.window),
    )
    # Features accumulate step by step, beside each term; joining them makes a copy.
    return pixels + sizes.features + max(_spatial(config, plan, sizes), temporal, sizes.features)


def vae_decode(config: VAEConfig, plan: Plan) -> float:
    """Bytes of decoding a video of the plan's size."""
    sizes = _sizes(config, plan, decoder=True)
    temporal = _alive(config, plan, "window", sizes.window)
    pixels = 2 * sizes.step * sizes.frame  # a copy leaves out the frames that fill up a step
    spatial = _spatial(config, plan, sizes) + pixels
    return sizes.features + max(temporal, spatial)


def _spatial(config: VAEConfig, plan: Plan, sizes: _Sizes) -> float:
    """Bytes of one step of the spatial half: its widest array, or the attention in its middle."""
    return max(
        _alive(config, plan, "picture", sizes.picture),
        _alive(config, plan, "picture", sizes.tile) + sizes.parts,
        SCORE_COPIES * sizes.scores,
    )


def _sizes(config: VAEConfig, plan: Plan, *, decoder: bool) -> _Sizes:
    factor, size = config.spatial_factor, plan.size
    rows, columns = size.height_px // factor, size.width_px // factor
    frames = min(config.window_frames, -(-size.frames // config.time_factor) * config.time_factor)
    local_rows = -(-rows // plan.parts("sequence", "tensor"))
    step = min(default_step(rows, columns, factor, plan.mesh.size), size.frames)
    of_device = -(-step // plan.parts("data", "fsdp", "sequence", "tensor"))
    picture, tile, parts = _pictures(config, plan, rows, columns, decoder=decoder)
    # The decoder repeats frames before its deepest stage already: stages 1 and 0 both see all.
    stages = range(len(config.temporal_channels))
    halvings = [max(stage - 1, 0) if decoder else stage for stage in stages]
    factors = [config.time_factor // 2**times for times in halvings]
    window = max(_widest(config.temporal_channels, factors, decoder=decoder))
    return _Sizes(
        frame=size.height_px * size.width_px * 3 * FLOAT32,
        step=step,
        features=frames * local_rows * columns * config.feature_channels * FLOAT32,
        picture=of_device * picture * FLOAT32,
        tile=of_device * tile * FLOAT32,
        parts=of_device * parts * FLOAT32,
        scores=min(plan.score_budget, of_device * (rows * columns) ** 2 * FLOAT32),
        window=frames * local_rows * columns * window // config.time_factor * FLOAT32,
    )


def _pictures(
    config: VAEConfig, plan: Plan, rows: int, columns: int, *, decoder: bool
) -> tuple[int, int, int]:
    """Entries of the fields `picture`, `tile` and `parts` of `_Sizes` for one frame."""
    widths = config.spatial_channels
    sizes = [4**scale for scale in reversed(range(len(widths)))]
    widest = _widest(widths, sizes, decoder=decoder)
    cell = max(rows, columns) if plan.tile_px is None else plan.tile_px // config.spatial_factor
    if cell >= max(rows, columns):
        return rows * columns * max(widest), 0, 0
    scales = tiled_scales(config)
    of_part = 2 * max(size * width for size, width in zip(sizes[:scales], widths))
    area = min(cell + 2, rows) * min(cell + 2, columns)  # halos are narrower than a latent
    return (
        rows * columns * max(widest[scales:]),
        area * max(widest[:scales]),
        rows * columns * of_part,
    )


def _widest(widths: Sequence[int], sizes: Sequence[int], *, decoder: bool) -> list[int]:
    """Entries of the widest array that enters or leaves each scale.

    sizes: number of positions of each scale.
    decoder: a scale reads the result of the next one, not of the previous one.
    """
    beside = [*widths[1:], widths[-1]] if decoder else [widths[0], *widths[:-1]]
    return [size * max(pair) for size, *pair in zip(sizes, widths, beside, strict=True)]


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
        Task("fast decode", "tiny_decoder", tiny_decode),
    ),
    tokens=dit_tokens,
    forward=dit_forward,
)
