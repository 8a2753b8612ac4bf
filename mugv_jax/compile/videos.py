# Copyright 2026 The mugv_jax Authors
# SPDX-License-Identifier: Apache-2.0
"""The videos of every system: their sizes, and what its transformer has to do with one."""

import dataclasses
from collections.abc import Callable, Mapping
from typing import Any

from mugv_jax.cost import flops
from mugv_jax.nn.text.tokenizer import MAX_TOKENS
from mugv_jax.nn.wan.dit import WanDiTConfig
from mugv_jax.systems.contentv.models import TEXT_TOKENS
from mugv_jax.systems.contentv.request import FRAMES, ContentvRequest
from mugv_jax.systems.enhancer.request import EnhanceRequest
from mugv_jax.systems.mugv.request import Request
from mugv_jax.systems.mugv.size import SIZES, VideoSize, parse_frames, parse_size
from mugv_jax.systems.system import ContentvConfig, EnhancerConfig, MugvConfig
from mugv_jax.systems.wan_size import CONTENTV_SIZES, WanSize

LatentShape = tuple[int, int, int]


@dataclasses.dataclass(frozen=True, kw_only=True)
class Videos:
    """Of one system.

    size: a class that knows its grid.  sizes: width x height in pixels, by name.
    lengths: names of numbers of frames, beside those of `systems/mugv/size.py`.
    steps: of denoising, unless it is told.  text_tokens: that its DiT reads, unless it is told.
    tokens: (sizes of the DiT, (f, h, w) of the latent) -> video tokens.
    forward: (sizes of the DiT, latent, text tokens) -> FLOPs of one forward.
    """

    size: type[VideoSize] | type[WanSize]
    sizes: Mapping[str, tuple[int, int]]
    lengths: Mapping[str, int] = dataclasses.field(default_factory=dict)
    steps: int
    text_tokens: Callable[[Any], int]
    tokens: Callable[[Any, LatentShape], int]
    forward: Callable[[Any, LatentShape, int], int]

    def parse(self, size: str, frames: str) -> VideoSize | WanSize:
        """From texts as users write them.

        Raises:
            ValueError: texts of another form, or a size off the grid.
        """
        width, height = parse_size(size, self.sizes)
        count = self.lengths[frames] if frames in self.lengths else parse_frames(frames)
        return self.size(width_px=width, height_px=height, frames=count)


def _enhancer_forward(config: WanDiTConfig, latent_shape: LatentShape, _: int) -> int:
    """A text is always filled up to as many tokens."""
    return flops.wan_forward(config, latent_shape)


VIDEOS = {
    MugvConfig: Videos(
        size=VideoSize,
        sizes=SIZES,
        steps=Request.steps,
        text_tokens=lambda _: MAX_TOKENS,
        tokens=flops.dit_tokens,
        forward=flops.dit_forward,
    ),
    EnhancerConfig: Videos(
        size=WanSize,
        sizes=SIZES,  # of the videos that it is given
        steps=EnhanceRequest.steps,
        text_tokens=lambda config: config.text_tokens,
        tokens=flops.patches,
        forward=_enhancer_forward,
    ),
    ContentvConfig: Videos(
        size=WanSize,
        sizes={"landscape": CONTENTV_SIZES["16:9"], "portrait": CONTENTV_SIZES["9:16"]}
        | CONTENTV_SIZES,
        lengths={"5s": FRAMES},
        steps=ContentvRequest.steps,
        text_tokens=lambda _: TEXT_TOKENS,
        tokens=flops.patches,
        forward=flops.mmdit_forward,
    ),
}

FRAMES_HELP = "8k+1 (4k+1 with the Wan VAE), or 3s (73), 5s (105; of ContentV 125) [%(default)s]"


def size_help() -> str:
    """Of an option that `Videos.parse` reads."""
    names = ", ".join(f"{name} ({w}x{h})" for name, (w, h) in SIZES.items())
    return (
        f"WIDTHxHEIGHT in pixels, width first, or {names}; of ContentV landscape, portrait, "
        f"{', '.join(CONTENTV_SIZES)} [%(default)s]"
    )
