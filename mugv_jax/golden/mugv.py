# Copyright 2026 The mugv_jax Authors
# SPDX-License-Identifier: Apache-2.0
"""Cases of MUG-V: transformer, sampler, loss, video VAE, text encoder."""

import functools
from collections.abc import Mapping

import einops
import jax
import jax.numpy as jnp
import numpy as np

from mugv_jax.flow.guidance import Guidance
from mugv_jax.flow.path import MODEL_TIME, frame_times, interpolate
from mugv_jax.flow.sampler import sample
from mugv_jax.flow.schedule import sample_times, shift_ratio, shift_time
from mugv_jax.golden.cases import Case, Outputs, build, ours, published
from mugv_jax.systems.mugv import windows
from mugv_jax.systems.mugv.denoiser import MugvCondition, MugvDenoiser
from mugv_jax.train.loss import velocity_loss


def _condition(a: Mapping[str, np.ndarray], frames: int, rows: slice) -> MugvCondition:
    """Condition of the samples `rows`."""
    text = a["y"][rows, 0]
    index = a.get("frame_indice", np.arange(frames + 2)[None])
    return MugvCondition(
        text=jnp.asarray(text),
        text_mask=jnp.asarray(a["text_mask"][rows] != 0),
        fps=jnp.broadcast_to(a["fps"].reshape(-1), (len(text),)).astype(jnp.float32),
        frame_index=jnp.broadcast_to(index, (len(text), frames + 2)).astype(jnp.int32),
    )


def dit(case: Case) -> Outputs:
    """The transformer's output, and the residual stream after the first and last block."""
    a = case.arrays
    module, variables = build(case)
    condition = _condition(a, a["x"].shape[2], slice(None))
    t = frame_times(jnp.asarray(a["timestep"], jnp.float32), jnp.asarray(a["x_mask"], bool))
    apply = jax.jit(functools.partial(module.apply, mutable="intermediates"))
    inputs = vars(condition)
    sown = apply(variables, ours(a["x"]), t, inputs.pop("text"), **inputs)[1]["intermediates"]
    residual = sown["blocks"]["residual"][0]
    return {
        "out": (published(sown["out"][0]), a["out"]),
        "block0": (np.asarray(residual[0]), a["block0"]),
        "block_last": (np.asarray(residual[-1]), a["block_last"]),
    }


def sampler(case: Case) -> Outputs:
    """A whole guided sample from a given first frame."""
    a = case.arrays
    module, variables = build(case.sibling(case.spec["dit"]))
    x = np.array(ours(a["noise"]), np.float32)
    x[:, 0] = einops.rearrange(a["reference_latent"], "c 1 h w -> 1 h w c")
    frames = x.shape[1]
    ratio = shift_ratio(int(a["height"]), int(a["width"]), int(a["num_frames"]))
    times = sample_times(int(a["steps"]), ratio)
    out = sample(
        MugvDenoiser(module),
        variables,
        jnp.asarray(x),
        times=times,
        noisy=jnp.broadcast_to(jnp.arange(frames) > 0, x.shape[:2]),
        positive=_condition(a, frames, slice(0, 1)),
        negative=_condition(a, frames, slice(1, 2)),
        guidance=Guidance(scale=float(a["cfg_scale"])),
    )
    return {
        "timesteps": (times[:-1] * MODEL_TIME, a["timesteps"]),
        "out": (published(out.x), a["out"]),
    }


def loss(case: Case) -> Outputs:
    """The training loss, and the noisy latent it is computed on."""
    a = case.arrays
    module, variables = build(case.sibling(case.spec["dit"]))
    x_0, noise = jnp.asarray(ours(a["latent"])), jnp.asarray(ours(a["noise"]))
    noisy = jnp.asarray(a["x_mask"], bool)
    t = shift_time(
        jnp.asarray(a["u"]), shift_ratio(int(a["height"]), int(a["width"]), x_0.shape[1])
    )
    per_frame = frame_times(t, noisy)
    x_t, target = interpolate(x_0, noise, per_frame)
    condition = _condition(a, x_0.shape[1], slice(None))
    v = MugvDenoiser(module).velocity(variables, x_t, per_frame, condition)
    loss = velocity_loss(v, target, noisy)
    return {
        "timestep": (np.asarray(t) * MODEL_TIME, a["timestep"]),
        "noisy_latent": (published(x_t), a["noisy_latent"]),
        "loss_per_sample": (np.asarray(loss), a["loss_per_sample"]),
        "loss": (np.mean(loss), a["loss"]),
    }


def vae(case: Case) -> Outputs:
    """Both halves of the VAE, and whole videos through it in windows."""
    a = case.arrays
    module, variables = build(case)
    pixels = jnp.asarray(ours(a["x"]))
    features = jax.jit(lambda v, x: module.apply(v, x, method="encode_features"))(variables, pixels)
    moments = jax.jit(lambda v, x: module.apply(v, x, method="encode_moments"))(variables, features)
    latent = jnp.asarray(ours(a["latent"]))
    frames = latent.shape[1] * module.config.time_factor
    decode = functools.partial(windows.decode, module, variables, latent)
    fewer = "decoded_num_frames_minus_3"
    return {
        "spatial_features": (published(features), a["spatial_features"]),
        "posterior_mean": (published(moments[0]), a["posterior_mean"]),
        "posterior_logvar": (published(moments[1]), a["posterior_logvar"]),
        "latent": (published(windows.encode(module, variables, pixels)), a["latent"]),
        "decoded": (published(decode(frames)), a["decoded"]),
        fewer: (published(decode(frames - 3)), a[fewer]),
    }


def text(case: Case) -> Outputs:
    """States of a T5 or UMT5 encoder at valid tokens."""
    a = case.arrays
    module, variables = build(case)
    mask = a["mask"] != 0
    out = jax.jit(module.apply)(variables, a["ids"].astype(np.int32), mask)
    return {"out": (np.asarray(out)[mask], a["out"][mask])}


KINDS = {
    "mugv_dit": dit,
    "mugv_sampler": sampler,
    "mugv_loss": loss,
    "mugv_vae": vae,
    "t5_encoder": text,
    "umt5_encoder": text,
}
