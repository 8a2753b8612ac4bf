# Copyright 2026 The mugv_jax Authors
# SPDX-License-Identifier: Apache-2.0
"""Encoding and decoding of a whole video with the video VAE, in windows."""

import time
from collections.abc import Callable, Iterator
from typing import Any

import jax
import torch
from torch import Tensor
from torch.utils.flop_counter import FlopCounterMode

from mugv_jax.nn.vae.autoencoder import VideoVAE
from mugv_jax.systems.mugv import windows
from mugv_jax.weights.tables import mugv_vae
from tools.benchmarks.exchange import build, from_jax, to_jax, variables
from tools.benchmarks.measure import Task, Variant, relative_l2
from tools.benchmarks.setting import Setting
from tools.torch_reference import VideoVAE as Reference

TOLERANCES = {torch.float32: 2e-5, torch.bfloat16: 5e-2}
PUBLISHED = {
    "spatial": {"block_out_channels": [128, 256, 512, 512], "layers_per_block": 2, "latent": 4},
    "temporal": {
        "filters": 128,
        "num_res_blocks": 4,
        "channel_multipliers": [1, 2, 2, 4],
        "io": 512,
        "latent_embed_dim": 24,
        "time_downsample": 8,
    },
    "micro_frame_size": 48,
    "micro_batch_size": 4,
    "scaling_factor": 0.18215,
}
LATENT_CHANNELS = 24
# One group of frames, for the comparison with float64 and the choice of a memory format.
FEW_FRAMES = 8
CHECKED_SIDE = 32


def tasks(name: str, setting: Setting) -> Iterator[Task]:
    """The published VAE on a video of the setting's size."""
    decoding = name == "vae-decode"
    reference = build(lambda: Reference(**PUBLISHED), setting.device, setting.dtype)
    reference.scale.uniform_(0.5, 3)  # latents are divided by it
    video = setting.size.video
    _in_faster_format(reference, _random(setting, decoding, (FEW_FRAMES, *video[1:])))

    def check(variant: Variant) -> float:
        x = _random(setting, decoding, (FEW_FRAMES, CHECKED_SIDE, CHECKED_SIDE))
        wide = build(lambda: Reference(**PUBLISHED), setting.device, torch.float64)
        wide.load_state_dict(reference.state_dict())
        return relative_l2(variant.read(variant.bind(x)()), [_run(wide, x.double())])

    def bind(x: Tensor) -> Callable[[], Tensor]:
        return lambda: _run(reference, x)

    yield Task(
        name=name,
        sizes=dict(zip(("frames", "height", "width"), video, strict=True)),
        variants=[
            _ours(setting, reference, decoding),
            Variant(name="PyTorch", ours=False, bind=bind, read=lambda out: [out]),
        ],
        inputs=lambda: _random(setting, decoding, video),
        check=check,
        tolerance=TOLERANCES[setting.dtype],
        work=_operations(_random(setting, decoding, video)),
        unit="TFLOP/s",
        memory=True,
    )


def _random(setting: Setting, decoding: bool, video: tuple[int, int, int]) -> Tensor:
    frames, height, width = video
    if decoding:
        return setting.random(1, LATENT_CHANNELS, frames // 8, height // 8, width // 8)
    return setting.random(1, 3, frames, height, width).clamp(-1, 1)


def _run(reference: Reference, x: Tensor) -> Tensor:
    """Decode latents, encode pixels, told apart by the number of channels."""
    if x.shape[1] == LATENT_CHANNELS:
        return reference.decode(x, 8 * x.shape[2])
    return reference.encode(x)


def _ours(setting: Setting, reference: Reference, decoding: bool) -> Variant:
    config = mugv_vae.config_from_published(PUBLISHED)
    weights = variables(reference.state_dict(), mugv_vae.table(config))
    module = VideoVAE(config, setting.jax_dtype)

    def bind(x: Tensor) -> Callable[[], list[jax.Array]]:
        x_ours = to_jax(x, "b c f h w -> b f h w c")
        if decoding:
            return lambda: list(windows.decode_in_steps(module, weights, x_ours))
        return lambda: [windows.encode(module, weights, x_ours)]

    def read(parts: list[jax.Array]) -> list[Tensor]:
        return [torch.cat([from_jax(part, "b f h w c -> b c f h w") for part in parts], dim=2)]

    return Variant(
        name="ours",
        ours=True,
        bind=bind,
        read=read,
    )


def _in_faster_format(reference: Reference, x: Tensor) -> None:
    """Put the convolutions into the memory format in which they are faster on this device."""
    formats = (
        (torch.contiguous_format, torch.contiguous_format),
        (torch.channels_last, torch.channels_last_3d),
    )
    seconds = []
    for each in formats:
        _set_format(reference, *each)
        _run(reference, x)
        float(_run(reference, x).float().mean())  # waits for the result
        start = time.perf_counter()
        float(_run(reference, x).float().mean())
        seconds.append(time.perf_counter() - start)
    _set_format(reference, *formats[seconds.index(min(seconds))])


def _set_format(reference: Reference, spatial: Any, temporal: Any) -> None:
    reference.spatial_vae.to(memory_format=spatial)
    reference.temporal_vae.to(memory_format=temporal)


def _operations(x: Tensor) -> int:
    """Operations of the reference's convolutions and products, two per multiply-add."""
    with torch.device("meta"):
        reference = Reference(**PUBLISHED)
    with FlopCounterMode(display=False) as counter:
        _run(reference, x.to("meta", torch.float32))
    return counter.get_total_flops()
