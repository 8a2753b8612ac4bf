# Copyright 2026 The mugv_jax Authors
# SPDX-License-Identifier: Apache-2.0
"""Rough prediction of a training step's time and memory, from sizes alone, for ranking meshes.

Bytes sent per layer and sample, for n tokens of width d and W bytes of weights; mesh sizes are
P = sequence, T = tensor and F = fsdp x P:

    tensor      tokens are gathered before, and sums all-reduced after, each of three products in
                each pass: n d / P, each times (1 - 1/T)
    sequence    q, k, v and out are exchanged, forward and backward: n d / (P T) each (Ulysses),
                or keys and values pass around a ring: n d / T
    weights     gathered in each pass, gradients scattered back: W / T, each times (1 - 1/F)
    data        gradients, once a step: W / (T F pipeline), twice

A pipeline of S stages and M microbatches is idle for (S - 1) / (M + S - 1) of its time. Backward
passes recompute what rematerialisation drops. `search.py` compiles the best meshes.
"""

import dataclasses
import math
from collections.abc import Iterator, Mapping

from mugv_jax.compile.estimate import Assumptions, mfu
from mugv_jax.cost.chips import Chip
from mugv_jax.cost.flops import RECOMPUTED, LatentShape, StepFlops, dit_block, step_of
from mugv_jax.nn.mugdit.sizes import DiTConfig
from mugv_jax.sharding.mesh import AXES
from mugv_jax.sharding.parallel import ParallelConfig
from mugv_jax.systems.system import find
from mugv_jax.train.train_config import DiTTrainConfig

BFLOAT16, FLOAT32 = 2, 4
# The backward attention kernel computes 5 products; 4 of them are the model's.
BACKWARD_PRODUCTS = 5 / 4
# Share of the peak that operations outside of attention reach: norms, gates and changes of layout
# take longer than the products themselves. Fitted to compiled steps.
OTHER_SHARE = 0.43
# Live arrays of one block's forward and backward pass, in units of its widest activation; fitted
# to compiled steps.
LIVE = 40


@dataclasses.dataclass(frozen=True, kw_only=True)
class Prediction:
    """Predicted step on one mesh.

    nbytes: bytes of memory on one chip.
    mfu: share of the peak that the model's arithmetic reaches.
    """

    parallel: ParallelConfig
    seconds: float
    nbytes: float
    mfu: float


def candidates(config: DiTTrainConfig, chips: int) -> Iterator[ParallelConfig]:
    """Meshes of `chips` that can split the model; pipelines have 2 or 4 microbatches per stage."""
    dit = config.dit
    for pipeline, fsdp, sequence, tensor in _splits(chips, 4):
        if dit.num_heads % tensor or dit.depth % pipeline or dit.width % (fsdp * sequence):
            continue
        for microbatches in (1,) if pipeline == 1 else (2 * pipeline, 4 * pipeline):
            yield dataclasses.replace(
                config.mesh,
                data=chips // (pipeline * fsdp * sequence * tensor),
                fsdp=fsdp,
                sequence=sequence,
                tensor=tensor,
                pipeline=pipeline,
                microbatches=microbatches,
            )


def _splits(number: int, axes: int) -> Iterator[tuple[int, ...]]:
    """All sizes of `axes` axes whose product divides `number`."""
    if axes == 0:
        yield ()
        return
    for size in range(1, number + 1):
        if number % size == 0:
            for rest in _splits(number // size, axes - 1):
                yield (size, *rest)


def predict(
    config: DiTTrainConfig,
    parallel: ParallelConfig,
    latent_shape: LatentShape,
    chip: Chip,
    assumptions: Assumptions,
) -> Prediction:
    """Prediction for one step of the smallest batch."""
    sizes = {axis: getattr(parallel, axis) or 1 for axis in AXES}
    chips = math.prod(sizes.values())
    samples = sizes["data"] * sizes["fsdp"] * parallel.microbatches * config.run.accumulate
    busy = samples * _compute_seconds(config, latent_shape, chip, assumptions) / chips
    link = 2 * chip.link_bandwidth * assumptions.links
    per_chip = samples / (sizes["data"] * sizes["fsdp"])
    waiting = _sent(config, parallel, sizes, latent_shape, per_chip) / link
    stages, microbatches = sizes["pipeline"], parallel.microbatches
    bubble = (microbatches + stages - 1) / microbatches
    seconds = (busy + waiting) * bubble
    return Prediction(
        parallel=parallel,
        seconds=seconds,
        nbytes=_bytes(config, parallel, sizes, latent_shape),
        mfu=mfu(samples * step_flops(config, latent_shape).model, seconds, chips, chip),
    )


def step_flops(config: DiTTrainConfig, latent_shape: LatentShape) -> StepFlops:
    """Floating-point operations of a training step for one sample, by its system's counts."""
    text_tokens = config.data.text_tokens
    block = dit_block(config.dit, _tokens(config, latent_shape), text_tokens)
    forward = find(config.system).costs.forward(config.dit, latent_shape, text_tokens)
    return step_of(forward, block, config.dit.depth, remat=config.run.remat)


def _tokens(config: DiTTrainConfig, latent_shape: LatentShape) -> int:
    return find(config.system).costs.tokens(config.dit, latent_shape)


def _compute_seconds(
    config: DiTTrainConfig, latent_shape: LatentShape, chip: Chip, assumptions: Assumptions
) -> float:
    """Seconds of arithmetic for one sample on one chip."""
    dit = config.dit
    block = dit_block(dit, _tokens(config, latent_shape), config.data.text_tokens)
    again = RECOMPUTED[config.run.remat]
    attention = dit.depth * block.attention * (1 + 2 * BACKWARD_PRODUCTS + ("attention" in again))
    hardware = step_flops(config, latent_shape).hardware
    rest = hardware - dit.depth * block.attention * (3 + ("attention" in again))
    speed = chip.peak_flops * assumptions.attention
    return attention / speed + rest / (chip.peak_flops * OTHER_SHARE * assumptions.compiled)


def _block_weights(dit: DiTConfig) -> int:
    """Number of parameters in a block's matrices."""
    return 8 * dit.width**2 + 2 * dit.width * dit.mlp_dim


def _sent(
    config: DiTTrainConfig,
    parallel: ParallelConfig,
    sizes: Mapping[str, int],
    latent_shape: LatentShape,
    samples: float,
) -> float:
    """Bytes that a chip sends in a step; `samples` is the number in its data shard."""
    dit = config.dit
    tokens = _tokens(config, latent_shape)
    sequence, tensor = sizes["sequence"], sizes["tensor"]
    shards = sizes["fsdp"] * sequence
    passes = 3 if "products" in RECOMPUTED[config.run.remat] else 2
    attended = passes if "attention" in RECOMPUTED[config.run.remat] else 2
    layers = dit.depth / sizes["pipeline"]
    residual = BFLOAT16 * tokens * dit.width / sequence
    # Self-attention, cross-attention and MLP: a gather, and an all-reduce of twice as much.
    activations = 3 * (1 + 2) * passes * residual * (1 - 1 / tensor)
    # Keys and values, two arrays, visit all other chips of a ring.
    is_ring = parallel.sequence_method == "ring"
    exchanged = 1 if is_ring else math.gcd(dit.num_heads // tensor, sequence)
    local = residual / tensor
    ulysses = 4 * attended * local * (1 - 1 / exchanged)
    ring = 2 * (attended + 1) * local * (sequence / exchanged - 1)
    weights = BFLOAT16 * _block_weights(dit) / tensor
    gathered = (passes + 1) * weights * (1 - 1 / shards)
    reduced = 2 * FLOAT32 * _block_weights(dit) / tensor / shards * (1 - 1 / sizes["data"])
    repeats = parallel.microbatches * config.run.accumulate
    return layers * (samples * (activations + ulysses + ring) + repeats * gathered + reduced)


def _bytes(
    config: DiTTrainConfig,
    parallel: ParallelConfig,
    sizes: Mapping[str, int],
    latent_shape: LatentShape,
) -> float:
    """Bytes on a chip: weights, two moments, average, gradients, kept and live activations."""
    dit = config.dit
    parts = sizes["sequence"] * sizes["tensor"]
    parameters = dit.depth * _block_weights(dit) + 6 * dit.width**2 + dit.text_dim * dit.width
    state = (4 + config.ema.enabled) * FLOAT32 * parameters
    state /= sizes["fsdp"] * parts * sizes["pipeline"]
    tokens = _tokens(config, latent_shape) / parts
    kept = {
        "full": 1,
        "attention": 3,
        "offload": 0,
        "dots": 12 + dit.mlp_ratio,
        "none": 30 + 4 * dit.mlp_ratio,
    }
    layers = dit.depth / sizes["pipeline"]
    in_flight = parallel.microbatches + sizes["pipeline"] - 1
    saved = layers * in_flight * kept[config.run.remat] * BFLOAT16 * tokens * dit.width
    live = LIVE * BFLOAT16 * tokens * dit.mlp_dim
    layer = 2 * BFLOAT16 * _block_weights(dit) / sizes["tensor"]
    return state + saved + live + layer
