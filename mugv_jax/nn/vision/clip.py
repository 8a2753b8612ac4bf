# Copyright 2026 The mugv_jax Authors
# SPDX-License-Identifier: Apache-2.0
"""CLIP's image encoder (arXiv:2103.00020), a ViT with a projection to the space shared with text.

    x = LN([class, patches] + positions),   blocks as in the text encoder, each token sees all

The normalised class token, projected, summarises the picture. Matrix products are in `dtype`,
everything else is float32. A block's activations are computed again in the backward pass: towers
are differentiated with respect to pixels while a sampler's activations are held.
"""

import dataclasses
from typing import NamedTuple

import einops
import flax.linen as nn
import jax.numpy as jnp
from jax.typing import DTypeLike

from mugv_jax.axes import Array, Float
from mugv_jax.bounds import require_at_least
from mugv_jax.nn.layers import Linear, partitioned
from mugv_jax.nn.text.clip import Block, ClipConfig, LayerNorm

COLOURS = 3


@dataclasses.dataclass(frozen=True, kw_only=True)
class ClipVisionConfig(ClipConfig):
    """Sizes of a CLIP image encoder.

    side_px: side of the square picture that it reads.  patch_px: side of a patch.

    Raises:
        ValueError: sizes that the architecture cannot hold.
    """

    patch_px: int
    side_px: int = 224

    def __post_init__(self):
        require_at_least(1, self, "patch_px", "side_px")
        super().__post_init__()
        if self.side_px % self.patch_px:
            raise ValueError(f"side_px={self.side_px} must divide by patch_px={self.patch_px}.")

    @property
    def tokens(self) -> int:
        """Number of tokens: a class token, then the patches row by row."""
        return 1 + (self.side_px // self.patch_px) ** 2


class ClipImage(NamedTuple):
    """Results of the encoder: the projected summary, and the output of the last block.

    The published class calls the latter `last_hidden_state`; no norm has been applied to it.
    """

    pooled: Float[Array, "b c"]
    states: Float[Array, "b n d"]


class ClipImageEncoder(nn.Module):
    """Normalised square pictures to `ClipImage` (published `CLIPVisionModelWithProjection`).

    `pixels` have CLIP's mean and deviation; see `rewards.preprocess`.

    Raises:
        ValueError: pictures of another size than the encoder reads.
    """

    config: ClipVisionConfig
    dtype: DTypeLike

    @nn.compact
    def __call__(self, pixels: Float[Array, "b _h _w 3"]) -> ClipImage:
        config = self.config
        if pixels.shape[1:3] != (config.side_px, config.side_px):
            raise ValueError(
                f"pictures of {pixels.shape[2]}x{pixels.shape[1]} pixels: this CLIP reads "
                f"{config.side_px}x{config.side_px}; resize them first."
            )
        x = LayerNorm(name="first_norm")(self._embed(pixels))
        blocks = nn.scan(
            nn.remat(Block, prevent_cse=False),
            variable_axes={"params": 0},
            split_rngs={"params": True},
            length=config.depth,
            metadata_params={nn.PARTITION_NAME: "layers"},
        )
        x, _ = blocks(config, self.dtype, causal=False, name="blocks")(x, None)
        summary = LayerNorm(name="final_norm")(x[:, 0])
        project = Linear(
            config.features, axes=("embed", None), dtype=self.dtype, use_bias=False, name="project"
        )
        return ClipImage(project(summary), x)

    def _embed(self, pixels: Float[Array, "b _h _w 3"]) -> Float[Array, "b n d"]:
        """Class token and patches with their positions."""
        config, side = self.config, self.config.patch_px
        patches = einops.rearrange(pixels, "b (h p) (w q) c -> b (h w) p q c", p=side, q=side)
        axes = (None, None, None, "embed")
        patch = Linear(
            config.width, axes=axes, contract=3, dtype=self.dtype, use_bias=False, name="patch"
        )
        normal = nn.initializers.normal(0.02)
        first = self.param("class_embed", partitioned(normal, "embed"), (config.width,))
        places = self.param(
            "position_embed", partitioned(normal, None, "embed"), (config.tokens, config.width)
        )
        first = jnp.broadcast_to(first.astype(jnp.float32), (len(pixels), 1, config.width))
        x = jnp.concatenate([first, patch(patches).astype(jnp.float32)], axis=1)
        return x + places[None].astype(jnp.float32)
