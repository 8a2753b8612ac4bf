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
import torch.utils.benchmark
import transformers

from mugv_jax.nn.mugdit.model import MugDiT
from mugv_jax.nn.text.t5 import T5Encoder
from mugv_jax.nn.vae.autoencoder import VideoVAE
from mugv_jax.pipelines import windows
from mugv_jax.weights.tables import mugv_dit, mugv_vae, t5
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
    for name, weight in reference.state_dict().items():
        if name.endswith("SelfAttention.q.weight"):
            weight.mul_(published.d_kv**-0.5)  # T5 trains with the factor of its scores in here
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


PUBLISHED_VAE = {
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


def _vae(setting: Setting) -> tuple[torch.nn.Module, VideoVAE, dict]:
    """The published sizes on both sides: reference, our module, our variables."""
    reference = _build(setting, functools.partial(torch_reference.VideoVAE, **PUBLISHED_VAE))
    reference.scale.uniform_(0.5, 3)  # latents are divided by it
    config = mugv_vae.config_from_published(PUBLISHED_VAE)
    weights = variables(reference.state_dict(), mugv_vae.table(config))
    return reference, VideoVAE(config, setting.jax_dtype), weights


def _in_faster_format(vae: torch.nn.Module, run: Callable[[], torch.Tensor]) -> None:
    """Leaves the convolutions in the memory format that `run` is faster in on this device."""
    formats = (
        (torch.contiguous_format, torch.contiguous_format),
        (torch.channels_last, torch.channels_last_3d),
    )
    seconds = []
    for spatial, temporal in formats:
        vae.spatial_vae.to(memory_format=spatial)
        vae.temporal_vae.to(memory_format=temporal)
        run()
        timer = torch.utils.benchmark.Timer(
            "run()", globals={"run": run}, num_threads=torch.get_num_threads()
        )
        seconds.append(timer.timeit(1).mean)
    spatial, temporal = formats[seconds.index(min(seconds))]
    vae.spatial_vae.to(memory_format=spatial)
    vae.temporal_vae.to(memory_format=temporal)


def vae_encode(setting: Setting, *, frames: int, height: int, width: int) -> Comparison:
    """A video to its normalised latent, in windows."""
    reference, module, weights = _vae(setting)

    def inputs() -> tuple[tuple, tuple]:
        x = setting.random(1, 3, frames, height, width).clamp(-1, 1)
        return (weights, to_jax(x, "b c f h w -> b f h w c")), (x,)

    encode = setting.prepare(reference.encode)
    _in_faster_format(reference, lambda: encode(*inputs()[1]))
    return Comparison(
        inputs=inputs,
        ours=lambda w, x: windows.encode(module, w, x),
        theirs=encode,
        layout="b f h w c -> b c f h w",
        tolerance=TOLERANCES[setting.dtype],
        sizes={"frames": frames, "height": height, "width": width},
    )


def vae_decode(setting: Setting, *, frames: int, height: int, width: int) -> Comparison:
    """A latent to its video, in windows."""
    reference, module, weights = _vae(setting)

    def inputs() -> tuple[tuple, tuple]:
        z = setting.random(1, 24, frames // 8, height // 8, width // 8)
        return (weights, to_jax(z, "b c f h w -> b f h w c")), (z,)

    prepared = setting.prepare(reference.decode)

    def decode(z: torch.Tensor) -> torch.Tensor:
        return prepared(z, frames)

    _in_faster_format(reference, lambda: decode(*inputs()[1]))
    return Comparison(
        inputs=inputs,
        ours=lambda w, z: windows.decode(module, w, z, frames),
        theirs=decode,
        layout="b f h w c -> b c f h w",
        tolerance=TOLERANCES[setting.dtype],
        sizes={"frames": frames, "height": height, "width": width},
    )


Case = Callable[[Setting], Comparison]
FULL_LATENT = (14, 90, 160)  # five seconds of 720p
FULL_VIDEO = {"frames": 112, "height": 720, "width": 1280}
SMALL_VIDEO = {"frames": 16, "height": 64, "width": 96}

CASES: dict[str, Case] = {
    "dit-1b": functools.partial(dit, width=1152, heads=16, depth=4, latent=(6, 22, 62)),
    "dit-10b-slice": functools.partial(dit, width=3456, heads=48, depth=4, latent=FULL_LATENT),
    "dit-10b": functools.partial(dit, width=3456, heads=48, depth=56, latent=FULL_LATENT),
    "vae-encode-small": functools.partial(vae_encode, **SMALL_VIDEO),
    "vae-encode-720p": functools.partial(vae_encode, **FULL_VIDEO),
    "vae-decode-small": functools.partial(vae_decode, **SMALL_VIDEO),
    "vae-decode-720p": functools.partial(vae_decode, **FULL_VIDEO),
    "t5-base": functools.partial(text_encoder, width=768, heads=12, mlp=2048, depth=12),
    "t5-xxl": functools.partial(text_encoder, width=4096, heads=64, mlp=10240, depth=24),
    "dit-tiny": functools.partial(dit, width=144, heads=2, depth=2, latent=(3, 4, 6)),
    "t5-tiny": functools.partial(text_encoder, width=64, heads=2, mlp=96, depth=2),
}
DEFAULT_CASES = {
    "cpu": ("dit-1b", "vae-encode-small", "vae-decode-small", "t5-base"),
    "cuda": ("dit-10b-slice", "vae-encode-720p", "vae-decode-720p", "t5-xxl", "dit-10b"),
}
