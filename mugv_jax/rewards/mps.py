# Copyright 2026 The mugv_jax Authors
# SPDX-License-Identifier: Apache-2.0
"""MPS, multi-dimensional preference score (arXiv:2405.14705), the reward that ContentV uses.

    near(s)  = max_j <text_s, condition_j>                                                      (1)
    y        = cross(image tokens, text tokens with near(s) / max near > THRESHOLD)             (2)
    score    = exp(logit_scale) cos(y_0, summary of the text)                                   (3)

CLIP-H gives projected states of all image tokens, of the caption and of a condition, the words of
one dimension of preference. Every block of `cross` is

    x += A(q = LN(x), kv = text) + F(LN(x)),    x += S(LN(x)) + F'(LN(x))

with attention that has one key and value for all heads, F a SwiGLU, and rotary positions in S.

This is the code of Kwai-Kolors/MPS as later public copies have it. It takes the maximum in (2) over
the whole batch; here it is that of each caption, so that a score does not depend on the batch (with
one caption a call, as in its inference, both are equal). Its threshold is 0.3 in inference and 0.01
in training. The published file is a pickled module of that code, which is not read: with it, write
`module.model.save_pretrained(folder)` and the state dict of `module.cross_model`. No public file
was at hand: names are those of the code, and only its formulas were compared.
"""

import dataclasses
import functools
from collections.abc import Mapping
from typing import Any

import einops
import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
from flax import traverse_util

from mugv_jax.axes import Array, Bool, Float, Int, Pixels
from mugv_jax.files import user_path
from mugv_jax.nn.text.clip import ClipTextEncoder
from mugv_jax.nn.text.tokenizer import load_clip
from mugv_jax.rewards import files
from mugv_jax.rewards.heads import pick_score
from mugv_jax.rewards.models import CaptionedReward
from mugv_jax.weights.check import require_same
from mugv_jax.weights.formats import open_source
from mugv_jax.weights.tables.layers import count

# The words of all published dimensions.
OVERALL = (
    "light, color, clarity, tone, style, ambiance, artistry, shape, face, hair, hands, limbs, "
    "structure, instance, texture, quantity, attributes, position, number, location, word, things."
)
THRESHOLD = 0.3
HEAD_DIM, HEADS, EXPANSION = 64, 16, 4
ROTARY_BASE = 10000.0
CROSS = "cross"
# Parameter of a layer by its published name, and constants that a file may hold.
NAMES = {
    "0.fn.norm": "cross_norm/norm/scale",
    "0.fn.to_q": "q/kernel",
    "0.fn.to_kv": "kv/kernel",
    "0.fn.to_out": "out/kernel",
    "0.fn.ff.0": "up/kernel",
    "0.fn.ff.2": "down/kernel",
    "1.fn.norm": "self_norm/norm/scale",
    "1.fn.fused_attn_ff_proj": "self_in/kernel",
    "1.fn.attn_out": "self_out/kernel",
    "1.fn.ff_out.1": "self_down/kernel",
}
CONSTANTS = ("norm.bias", "inv_freq")

Tokens = Float[Array, "b n d"]


class _Norm(nn.Module):
    """LayerNorm with a scale and no bias."""

    @nn.compact
    def __call__(self, x: Tokens) -> Tokens:
        return nn.LayerNorm(epsilon=1e-5, use_bias=False, use_fast_variance=False, name="norm")(x)


def _swiglu(x: Float[Array, "b n m"]) -> Float[Array, "b n _m"]:
    value, gate = jnp.split(x, 2, axis=-1)
    return jax.nn.silu(gate) * value


def _attend(
    q: Float[Array, "b n a e"],
    k: Float[Array, "b s e"],
    v: Float[Array, "b s e"],
    shown: Bool[Array, "b s"] | None = None,
) -> Float[Array, "b n _d"]:
    """Attention of all heads to one set of keys and values."""
    score = jnp.einsum("bnae,bse->bans", q, k) * q.shape[-1] ** -0.5
    if shown is not None:
        score = jnp.where(shown[:, None, None], score, jnp.finfo(jnp.float32).min)
    y = jnp.einsum("bans,bse->bnae", jax.nn.softmax(score, axis=-1), v)
    return einops.rearrange(y, "b n a e -> b n (a e)")


def _rotated(x: Float[Array, "b n *a e"]) -> Float[Array, "b n *a e"]:
    """x with rotary positions 0, 1, ...; component i is paired with i + e / 2."""
    half = x.shape[-1] // 2
    rates = ROTARY_BASE ** (-jnp.arange(half, dtype=jnp.float32) / half)
    angle = jnp.arange(x.shape[1], dtype=jnp.float32)[:, None] * rates[None]
    angle = jnp.expand_dims(angle, (0, *range(2, x.ndim - 1)))
    first, second = x[..., :half], x[..., half:]
    return jnp.concatenate(
        [
            first * jnp.cos(angle) - second * jnp.sin(angle),
            second * jnp.cos(angle) + first * jnp.sin(angle),
        ],
        axis=-1,
    )


class CrossModel(nn.Module):
    """Image tokens that have attended to the shown text tokens and to each other."""

    layers: int
    heads: int = HEADS
    head_dim: int = HEAD_DIM

    @nn.compact
    def __call__(self, x: Tokens, text: Float[Array, "b s d"], shown: Bool[Array, "b s"]) -> Tokens:
        width, inner = x.shape[-1], self.heads * self.head_dim
        linear = functools.partial(nn.Dense, use_bias=False)
        split = functools.partial(einops.rearrange, pattern="b n (a e) -> b n a e", a=self.heads)
        for number in range(self.layers):
            at = f"layer_{number}"
            y = _Norm(name=f"{at}_cross_norm")(x)
            k, v = jnp.split(linear(2 * self.head_dim, name=f"{at}_kv")(text), 2, axis=-1)
            attended = _attend(split(linear(inner, name=f"{at}_q")(y)), k, v, shown)
            up = linear(2 * EXPANSION * width, name=f"{at}_up")(y)
            x = x + linear(width, name=f"{at}_out")(attended)
            x = x + linear(width, name=f"{at}_down")(_swiglu(up))
            y = _Norm(name=f"{at}_self_norm")(x)
            sizes = np.cumsum([inner, self.head_dim, self.head_dim])
            joined = linear(int(sizes[-1]) + 2 * EXPANSION * width, name=f"{at}_self_in")(y)
            q, k, v, up = jnp.split(joined, sizes, axis=-1)
            attended = _attend(_rotated(split(q)), _rotated(k), v)
            x = x + linear(width, name=f"{at}_self_out")(attended)
            x = x + linear(width, name=f"{at}_self_down")(_swiglu(up))
        return x


def near(text: Float[Array, "b s c"], condition: Float[Array, "r c"]) -> Bool[Array, "b s"]:
    """Tokens that (2) shows: those nearest to some token of the condition, by (1)."""
    found = jnp.max(jnp.einsum("bsc,rc->bsr", text, condition), axis=-1)
    return found / jnp.max(found, axis=-1, keepdims=True) > THRESHOLD


@dataclasses.dataclass(frozen=True, kw_only=True, eq=False)
class Mps(CaptionedReward):
    """MPS of chosen frames.

    cross: file with the state dict of the published `cross_model`, .pt or .safetensors.
    condition: words that preference is about.
    """

    cross: str
    condition: str = OVERALL

    def __post_init__(self):
        super().__post_init__()
        _ = self.blocks, self.logit_scale

    @functools.cached_property
    def blocks(self) -> dict[str, Any]:
        """Variables of `CrossModel`, float32."""
        return read_cross(self.cross, self.configs[files.IMAGE].features)

    @functools.cached_property
    def condition_ids(self) -> Int[np.ndarray, "1 s"]:
        """Token ids of the condition."""
        length = self.configs[files.TEXT].length
        return load_clip(self.tokens).tokenize([self.condition], length)[0]

    @functools.cached_property
    def variables(self) -> dict[str, Any]:
        return super().variables | {CROSS: self.blocks, files.SCALE: self.logit_scale}

    def states(
        self, variables: Any, ids: Int[Array, "b s"]
    ) -> tuple[Float[Array, "b c"], Float[Array, "b s c"]]:
        """Projected summary and states of texts; they are constants of the reward's gradient."""
        encoder = ClipTextEncoder(self.configs[files.TEXT], jnp.dtype(self.dtype))
        found: Any = encoder.apply(variables[files.TEXT], ids, mutable="intermediates")
        text, sown = jax.lax.stop_gradient(found)
        kernel = variables[files.TEXT]["params"]["project"]["kernel"].astype(jnp.float32)
        return text.pooled, sown["intermediates"]["states"][0] @ kernel

    def scores(
        self, variables: Any, pixels: Pixels, batch: Mapping[str, Array]
    ) -> Float[Array, "b k"]:
        (field,) = self.fields
        summary, text = self.states(variables, batch[field.keys[0]])
        _, condition = self.states(variables, jnp.asarray(self.condition_ids))
        repeat = functools.partial(jnp.repeat, repeats=len(self.frames), axis=0)
        kernel = variables[files.IMAGE]["params"]["project"]["kernel"].astype(jnp.float32)
        tokens = self.encoded(variables, pixels).states @ kernel
        layers = len(variables[CROSS]["params"]) // len(NAMES)
        shown = near(text, condition[0])
        y: Any = CrossModel(layers).apply(variables[CROSS], tokens, repeat(text), repeat(shown))
        y = einops.rearrange(y[:, 0], "(b k) c -> b k c", b=len(pixels))
        return pick_score(y, summary, variables[files.SCALE])


def read_cross(path: str, features: int) -> dict[str, Any]:
    """Variables of `CrossModel` for tokens of width `features`.

    Raises:
        ValueError: no such file, or other tensors; the message lists all differences.
    """
    with open_source(user_path(path)) as source:
        found = {k: shape for k, shape in source.shapes.items() if not k.endswith(CONSTANTS)}
        layers = max(1, count(found, "layers."))
        tokens, shown = jnp.zeros((1, 1, features)), jnp.ones((1, 1), bool)
        shapes = jax.eval_shape(CrossModel(layers).init, jax.random.key(0), tokens, tokens, shown)
        wanted: dict[str, Any] = traverse_util.flatten_dict(shapes["params"], sep="/")
        names = {
            f"layers.{n}.{there}.weight": f"layer_{n}_{here}"
            for n in range(layers)
            for there, here in NAMES.items()
        }
        expected = {there: wanted[here].shape[::-1] for there, here in names.items()}
        complaint = f"cross={path!r} must be the cross model of MPS for tokens of width {features}"
        require_same(found, expected, complaint)
        params = {
            here: np.ascontiguousarray(np.array(source.read(there), np.float32).T)
            for there, here in names.items()
        }
    return {"params": traverse_util.unflatten_dict(params, sep="/")}
