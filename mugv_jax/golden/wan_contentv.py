# Copyright 2026 The mugv_jax Authors
# SPDX-License-Identifier: Apache-2.0
"""Cases of the enhancer (Wan's transformer and VAE) and of ContentV."""

import functools
import re

import jax
import jax.numpy as jnp
import numpy as np

from mugv_jax.flow.path import MODEL_TIME
from mugv_jax.flow.schedule import sample_times
from mugv_jax.golden.cases import Case, Outputs, build, ours, published
from mugv_jax.nn.mmdit.model import place_embed
from mugv_jax.nn.wan import streaming

# Of a schedule's name: (shift, time to start from).
SCHEDULES = {"enh": (1.0, 0.3), "wan": (5.0, 1.0)}


def wan_vae(case: Case) -> Outputs:
    a = case.arrays
    module, variables = build(case)
    pixels, mean = jnp.asarray(ours(a["x"])), jnp.asarray(ours(a["mu"]))
    whole = jax.jit(module.apply, static_argnames="method")
    encode, decode = (
        jax.jit(functools.partial(part, module, method=f"{part.__name__}_mean"))
        for part in (streaming.encode, streaming.decode)
    )
    return {
        "mu": (published(encode(variables, pixels)), a["mu"]),
        "mu at once": (published(whole(variables, pixels, method="encode_mean")), a["mu"]),
        "decoded": (published(decode(variables, mean)), a["decoded"]),
        "decoded at once": (published(whole(variables, mean, method="decode_mean")), a["decoded"]),
    }


def wan_dit(case: Case) -> Outputs:
    a = case.arrays
    module, variables = build(case)
    x, clean = (jnp.asarray(ours(a[name])) for name in ("x", "y"))
    texts = [a[f"context{i}"] for i in range(len(x))]
    longest = max(map(len, texts))
    text = np.stack([np.pad(each, ((0, longest - len(each)), (0, 0))) for each in texts])
    t = jnp.broadcast_to(jnp.asarray(a["timestep"], jnp.float32), (len(x),))
    apply = jax.jit(module.apply)
    return {
        "out_i2v": (published(apply(variables, x, t, text, clean)), a["out_i2v"]),
        "out_t2v": (published(apply(variables, x, t, text)), a["out_t2v"]),
    }


def mmdit(case: Case) -> Outputs:
    a = case.arrays
    module, variables = build(case)
    x, text = jnp.asarray(ours(a["x"])), a["encoder_hidden_states"]
    t = jnp.asarray(a["timestep"], jnp.float32)
    out = jax.jit(module.apply)(variables, x, t, text, a["pooled"])
    grid = (-(-size // step) for size, step in zip(x.shape[1:4], module.config.patch, strict=True))
    places = place_embed(*grid, module.config.width)[None]
    return {"out": (published(out), a["out"]), "pos_embed": (np.asarray(places), a["pos_embed"])}


def clip_text(case: Case) -> Outputs:
    a = case.arrays
    module, variables = build(case)
    out = jax.jit(module.apply)(variables, a["ids"].astype(np.int32))
    return {name: (np.asarray(value), a[name]) for name, value in out._asdict().items()}


def schedules(case: Case) -> Outputs:
    outputs = {}
    for name, reference in case.arrays.items():
        found = re.fullmatch(r"(?:(\w+)_)?(sigmas|timesteps)_(\d+)(?:_shift(\d+))?", name)
        model, unit, steps, shift = found.groups()
        ratio, start = (float(shift), 1.0) if shift else SCHEDULES[model]
        times = sample_times(int(steps), ratio, start)[: len(reference)]
        outputs[name] = (times * (MODEL_TIME if unit == "timesteps" else 1), reference)
    return outputs
