# Copyright 2026 The mugv_jax Authors
# SPDX-License-Identifier: Apache-2.0
"""One block of MUGDiT (arXiv:2510.17519, section 3.2), as the released weights need it.

x += gate_a SelfAttention(LN(x) (1 + scale_a) + shift_a)
x += CrossAttention(LN_affine(x), text)
x += gate_m MLP(LN(x) (1 + scale_m) + shift_m)
"""

import flax.linen as nn
import flax.struct
import jax.numpy as jnp
from jax.ad_checkpoint import checkpoint_name
from jax.typing import DTypeLike

from mugv_jax.axes import Array, Float, Int
from mugv_jax.kernels.attention import Attend
from mugv_jax.kernels.modulate import gate_residual, norm_modulate
from mugv_jax.nn.layers import LayerNorm, Mlp, named
from mugv_jax.nn.mugdit import remat
from mugv_jax.nn.mugdit.attention import CrossAttention, SelfAttention
from mugv_jax.nn.mugdit.config import DiTConfig

RESIDUAL = ("batch", "residual_tokens", None)
# Of what attention and MLP read: they split heads and hidden width where RESIDUAL splits tokens.
GATHERED = ("batch", "tokens", None)


class Context(flax.struct.PyTreeNode):
    """What every block reads alike.

    modulation: six vectors per token group (start token, each latent frame, end token).
    group: the group of each token.  cos, sin: RoPE.  token_lengths: tokens before the padding.
    """

    modulation: Float[Array, "b g 6 d"]
    group: Int[Array, "n"]
    cos: Float[Array, "b n k"]
    sin: Float[Array, "b n k"]
    token_lengths: Int[Array, "b"] | None
    text: Float[Array, "b s d"]
    text_lengths: Int[Array, "b"]


class Block(nn.Module):
    """`(x, context) -> (x, None)`: the form that `nn.scan` repeats."""

    config: DiTConfig
    dtype: DTypeLike
    attend: Attend

    @nn.compact
    def __call__(
        self, x: Float[Array, "b n d"], context: Context
    ) -> tuple[Float[Array, "b n d"], None]:
        config = self.config
        x = checkpoint_name(x, remat.RESIDUAL)
        init = named(nn.initializers.normal(config.width**-0.5), "modulation", "embed")
        table = self.param("scale_shift_table", init, (6, config.width))
        vectors = context.modulation + table.astype(jnp.float32)[None, None]
        shift_a, scale_a, gate_a, shift_m, scale_m, gate_m = (vectors[:, :, i] for i in range(6))

        y = norm_modulate(x, shift_a, scale_a, context.group)
        y = SelfAttention(config.num_heads, self.dtype, self.attend, name="self_attention")(
            _gathered(y), context.cos, context.sin, context.token_lengths
        )
        y = nn.with_logical_constraint(y, RESIDUAL)
        x = nn.with_logical_constraint(gate_residual(x, y, gate_a, context.group), RESIDUAL)

        y = LayerNorm(self.dtype, name="cross_norm")(x)
        y = CrossAttention(config.num_heads, self.dtype, self.attend, name="cross_attention")(
            _gathered(y), context.text, context.text_lengths
        )
        y = nn.with_logical_constraint(y, RESIDUAL)
        x = nn.with_logical_constraint(x + y, RESIDUAL)

        y = norm_modulate(x, shift_m, scale_m, context.group)
        y = Mlp(config.mlp_dim, self.dtype, name="mlp")(_gathered(y))
        y = nn.with_logical_constraint(y, RESIDUAL)
        x = nn.with_logical_constraint(gate_residual(x, y, gate_m, context.group), RESIDUAL)
        self.sow("intermediates", "residual", x)
        return x, None


def _gathered(y: Float[Array, "b n d"]) -> Float[Array, "b n d"]:
    """`y` with the tokens of all devices that split heads or hidden width.

    It is first split as the residual is: then its derivative is summed and split in one step
    (reduce-scatter), not summed on every device.
    """
    return nn.with_logical_constraint(nn.with_logical_constraint(y, RESIDUAL), GATHERED)
