# Copyright 2026 The mugv_jax Authors
# SPDX-License-Identifier: Apache-2.0
"""One block of MUGDiT (arXiv:2510.17519, section 3.2), as the released weights need it.

x += gate_a SelfAttention(LN(x) (1 + scale_a) + shift_a)
x += CrossAttention(LN_affine(x), text)
x += gate_m MLP(LN(x) (1 + scale_m) + shift_m)

Everything from the end of one part to the start of the next is one pass over the tokens: last bias,
gate, sum, norm, scale and shift. LN_affine is a modulation with the same vectors in every group.
"""

import flax.linen as nn
import flax.struct
import jax.numpy as jnp
from jax.ad_checkpoint import checkpoint_name
from jax.typing import DTypeLike

from mugv_jax.axes import Array, Float, Int
from mugv_jax.kernels.attention import Attend
from mugv_jax.kernels.modulate import Modulation
from mugv_jax.nn.dit import remat
from mugv_jax.nn.dit.sizes import BlockSizes
from mugv_jax.nn.layers import LayerNormAffine, Mlp, partitioned
from mugv_jax.nn.mugdit.attention import CrossAttention, SelfAttention
from mugv_jax.nn.mugdit.text import KeysValues

RESIDUAL = ("batch", "residual_tokens", None)
# Inputs of attention and MLP, which split heads and hidden width where RESIDUAL splits tokens.
GATHERED = ("batch", "tokens", None)


class Context(flax.struct.PyTreeNode):
    """Inputs that are the same for every block.

    modulation: six vectors per token group (start token, each latent frame, end token).
    group: group of each token.  cos, sin: of the RoPE angles.
    token_lengths: tokens before the padding; None without padding.
    text: embedded text, or its precomputed keys and values.
    text_lengths: number of valid text tokens; None for all.
    """

    modulation: Float[Array, "b g 6 d"]
    group: Int[Array, "n"]
    cos: Float[Array, "b n k"]
    sin: Float[Array, "b n k"]
    token_lengths: Int[Array, "b"] | None
    text: Float[Array, "b s d"] | KeysValues
    text_lengths: Int[Array, "b"] | None


class Block(nn.Module):
    """`(x, context, number) -> (x, None)`: the form that `nn.scan` repeats.

    number: index of the block, needed if the text is given as keys and values of all blocks.
    config: has the sizes `width`, `num_heads` and `mlp_dim`.
    self_attention, cross_attention: classes like `SelfAttention` and `CrossAttention`.
    """

    config: BlockSizes
    dtype: DTypeLike
    attend: Attend
    modulate: Modulation
    self_attention: type[nn.Module] = SelfAttention
    cross_attention: type[nn.Module] = CrossAttention

    @nn.compact
    def __call__(
        self, x: Float[Array, "b n d"], context: Context, number: Int[Array, ""] | None = None
    ) -> tuple[Float[Array, "b n d"], None]:
        config, group, text = self.config, context.group, context.text
        if isinstance(text, KeysValues):
            assert number is not None
            text = text.of_block(number)
        x = checkpoint_name(x, remat.RESIDUAL)
        init = partitioned(nn.initializers.normal(config.width**-0.5), "modulation", "embed")
        table = self.param("scale_shift_table", init, (6, config.width))
        vectors = context.modulation + table.astype(jnp.float32)[None, None]
        shift_a, scale_a, gate_a, shift_m, scale_m, gate_m = (vectors[:, :, i] for i in range(6))

        affine = LayerNormAffine(config.width, name="cross_norm")()
        shift_c, scale_c = (jnp.broadcast_to(v[None, None], gate_a.shape) for v in affine)

        y = self.modulate.norm_modulate(x, shift_a, scale_a, group)
        y, bias = self.self_attention(
            config.num_heads, self.dtype, self.attend, self.modulate, name="self_attention"
        )(_gathered(y), context.cos, context.sin, context.token_lengths)
        x, y = self._next_part(x, y, bias, gate_a, shift_c, scale_c, group)
        y, bias = self.cross_attention(
            config.num_heads, self.dtype, self.attend, name="cross_attention"
        )(_gathered(y), text, context.text_lengths)
        x, y = self._next_part(x, y, bias, jnp.ones_like(gate_a), shift_m, scale_m, group)
        y, bias = Mlp(config.mlp_dim, self.dtype, name="mlp").without_bias(_gathered(y))
        y = nn.with_logical_constraint(y, RESIDUAL)
        x = self.modulate.gate_residual(x, y, bias, gate_m, group)
        x = nn.with_logical_constraint(x, RESIDUAL)
        self.sow("intermediates", "residual", x)
        return x, None

    def _next_part(
        self, x: Float[Array, "b n d"], y: Float[Array, "b n d"], *vectors: Array
    ) -> tuple[Float[Array, "b n d"], Float[Array, "b n d"]]:
        """The residual after a part with result `y`, and the input of the next part."""
        y = nn.with_logical_constraint(y, RESIDUAL)
        x, y = self.modulate.gate_residual_norm_modulate(x, y, *vectors)
        return nn.with_logical_constraint(x, RESIDUAL), y


def _gathered(y: Float[Array, "b n d"]) -> Float[Array, "b n d"]:
    """`y` gathered over the devices that split heads or hidden width.

    It is first split like the residual, so that its derivative is reduce-scattered instead of being
    summed on every device.
    """
    return nn.with_logical_constraint(nn.with_logical_constraint(y, RESIDUAL), GATHERED)
