# Copyright 2026 The mugv_jax Authors
# SPDX-License-Identifier: Apache-2.0
"""The cases: one small function for each computation, one entry of `CASES` for each size of it.

A case is called with (device, dtype, prepare) and returns its two sides; `prepare` is applied to
PyTorch's forward function (the identity, or `torch.compile`).
"""

import dataclasses
import functools
from collections.abc import Callable

import jax
import jax.numpy as jnp
import torch
import transformers

from mugv_jax.nn.mugdit.model import MugDiT
from mugv_jax.nn.text.t5 import T5Encoder
from mugv_jax.weights.tables import mugv_dit, t5
from tools import torch_reference
from tools.benchmarks.exchange import fill, to_jax, variables
from tools.benchmarks.measure import Comparison

# Float32 rounding summed in another order, and bfloat16 rounding of every activation.
TOLERANCES = {torch.float32: 2e-5, torch.bfloat16: 5e-2}
TEXT_TOKENS = 300


@dataclasses.dataclass(frozen=True)
class Setting:
    """Where and how a case runs. `prepare`: the identity, or `torch.compile`."""

    device: torch.device
    dtype: torch.dtype
    prepare: Callable[[Callable], Callable]

    @property
    def jax_dtype(self) -> jnp.dtype:
        return jnp.dtype(str(self.dtype).removeprefix("torch."))

    def random(self, *shape: int) -> torch.Tensor:
        return torch.randn(shape, device=self.device).to(self.dtype)


def _build(setting: Setting, build: Callable[[], torch.nn.Module]) -> torch.nn.Module:
    """A module with random weights, created where it will live."""
    with torch.device("meta"):
        module = build()
    module = module.to(setting.dtype).to_empty(device=setting.device).eval()
    fill(module)
    return module


def dit(
    setting: Setting, *, width: int, heads: int, depth: int, latent: tuple[int, int, int]
) -> Comparison:
    """One forward pass of MUGDiT on a latent (f, h, w) whose first frame is given."""
    frames, height, columns = latent
    published = {
        "input_channels": 24,
        "patch_size": (1, 2, 2),
        "hidden_size": width,
        "num_heads": heads,
        "depth": depth,
        "text_input_channels": 4096,
        "mlp_ratio": 4.0,
    }
    reference = _build(setting, functools.partial(torch_reference.MUGDiT, **published))
    config = mugv_dit.config_from_published(published)
    weights = variables(reference.state_dict(), mugv_dit.table(config))
    device = setting.device
    noisy = torch.arange(frames, device=device)[None] > 0
    index = torch.arange(frames + 2, device=device)[None]
    words = torch.arange(TEXT_TOKENS, device=device)[None] < TEXT_TOKENS // 2
    fps = torch.full((1,), 24.0, device=device)

    def inputs() -> tuple[tuple, tuple]:
        x = setting.random(1, 24, frames, height, columns)
        text = setting.random(1, 1, TEXT_TOKENS, 4096)
        t = 1000 * torch.rand(1, device=device)
        x_ours = to_jax(x, "b c f h w -> b f h w c")
        text_ours = to_jax(text, "b one s d -> (b one) s d")
        return (weights, x_ours, to_jax(t * noisy), text_ours), (x, t, text)

    module = MugDiT(config, setting.jax_dtype)
    keywords = {"text_mask": to_jax(words), "fps": to_jax(fps), "frame_index": to_jax(index)}
    ours = jax.jit(lambda w, x, t, text: module.apply(w, x, t, text, **keywords))
    forward = setting.prepare(reference)

    def theirs(x: torch.Tensor, t: torch.Tensor, text: torch.Tensor) -> torch.Tensor:
        out = forward(x, t, text, text_mask=words, x_mask=noisy, frame_indice=index, fps=fps)
        return out[:, :24]

    sizes = {"width": width, "heads": heads, "depth": depth, "latent": list(latent)}
    sizes["tokens"] = frames * -(-height // 2) * -(-columns // 2) + 2
    return Comparison(
        inputs=inputs,
        ours=ours,
        theirs=theirs,
        layout="b f h w c -> b c f h w",
        tolerance=TOLERANCES[setting.dtype],
        sizes=sizes,
    )


def text_encoder(
    setting: Setting, *, width: int, heads: int, mlp: int, depth: int, batch: int = 2
) -> Comparison:
    """T5 v1.1 on prompts of different lengths, padded to the length that MUG-V uses."""
    published = transformers.T5Config(
        vocab_size=32128,
        d_model=width,
        d_kv=64,
        d_ff=mlp,
        num_layers=depth,
        num_heads=heads,
        feed_forward_proj="gated-gelu",
    )
    reference = _build(setting, functools.partial(transformers.T5EncoderModel, published))
    reference.tie_weights()
    config = t5.config_from_published(published.to_dict())
    weights = variables(reference.state_dict(), t5.table(config))
    device = setting.device
    lengths = TEXT_TOKENS // torch.arange(1, batch + 1, device=device)
    mask = torch.arange(TEXT_TOKENS, device=device)[None] < lengths[:, None]
    mask_ours = to_jax(mask)

    def inputs() -> tuple[tuple, tuple]:
        ids = torch.randint(published.vocab_size, mask.shape, device=device)
        return (weights, to_jax(ids.int())), (ids,)

    module = T5Encoder(config, setting.jax_dtype)
    forward = setting.prepare(reference)
    return Comparison(
        inputs=inputs,
        ours=jax.jit(lambda w, ids: module.apply(w, ids, mask_ours)),
        theirs=lambda ids: forward(ids, attention_mask=mask).last_hidden_state,
        layout="b s d -> b s d",
        tolerance=TOLERANCES[setting.dtype],
        sizes={"width": width, "heads": heads, "mlp": mlp, "depth": depth, "batch": batch}
        | {"tokens": TEXT_TOKENS},
    )


Case = Callable[[Setting], Comparison]
FULL_LATENT = (14, 90, 160)  # five seconds of 720p

CASES: dict[str, Case] = {
    "dit-1b": functools.partial(dit, width=1152, heads=16, depth=4, latent=(6, 22, 62)),
    "dit-10b-slice": functools.partial(dit, width=3456, heads=48, depth=4, latent=FULL_LATENT),
    "dit-10b": functools.partial(dit, width=3456, heads=48, depth=56, latent=FULL_LATENT),
    "t5-base": functools.partial(text_encoder, width=768, heads=12, mlp=2048, depth=12),
    "t5-xxl": functools.partial(text_encoder, width=4096, heads=64, mlp=10240, depth=24),
    "dit-tiny": functools.partial(dit, width=144, heads=2, depth=2, latent=(3, 4, 6)),
    "t5-tiny": functools.partial(text_encoder, width=64, heads=2, mlp=96, depth=2),
}
DEFAULT_CASES = {
    "cpu": ("dit-1b", "t5-base"),
    "cuda": ("dit-10b-slice", "dit-10b", "t5-xxl"),
}
