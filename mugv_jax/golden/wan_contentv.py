# Copyright 2026 The mugv_jax Authors
# SPDX-License-Identifier: Apache-2.0
"""Cases of the enhancer (Wan's transformer and VAE) and of ContentV."""

import functools
import re
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from flax import traverse_util
from jax.sharding import SingleDeviceSharding

from mugv_jax.axes import Array, Float
from mugv_jax.flow.path import MODEL_TIME
from mugv_jax.flow.schedule import sample_times
from mugv_jax.golden.cases import Case, Outputs, RecipeSource, build, ours, published
from mugv_jax.nn.mmdit.model import place_embed
from mugv_jax.nn.wan import streaming
from mugv_jax.systems.contentv.denoiser import ContentvCondition, ContentvDenoiser
from mugv_jax.systems.enhancer.denoiser import EnhancerCondition, EnhancerDenoiser
from mugv_jax.weights.check import check
from mugv_jax.weights.lora import adapted
from mugv_jax.weights.pipe_lora import read_pipe_adapter
from mugv_jax.weights.place import place
from mugv_jax.weights.registry import MODELS

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
    t = _unit_times(a["timestep"], x.shape[:2])
    velocity = jax.jit(EnhancerDenoiser(module).velocity)

    def out(variables: Any, clean: Array | None) -> np.ndarray:
        """The published output, noise - x_0."""
        condition = EnhancerCondition(text=text, clean=clean)
        return -published(velocity(variables, x, t, condition))

    outputs = {
        "out_i2v": (out(variables, clean), a["out_i2v"]),
        "out_t2v": (out(variables, None), a["out_t2v"]),
    }
    if "lora_tensors" in case.spec:
        for name, merge in (("out_i2v_lora", True), ("out_i2v_lora unmerged", False)):
            updated = out(_with_lora(case, merge=merge), clean)
            outputs[name] = updated, a["out_i2v_lora"]
    return outputs


def _unit_times(timestep: np.ndarray, shape: tuple[int, ...]) -> Float[Array, "b f"]:
    """Times in [0, 1] of all frames. NumPy's quotient is exact enough to be multiplied back."""
    t = np.asarray(timestep, np.float32) / np.float32(MODEL_TIME)
    return jnp.broadcast_to(t.reshape(-1, 1), shape)


def _with_lora(case: Case, *, merge: bool) -> Any:
    """The variables of `case` with its low-rank updates."""
    model = MODELS[case.spec["kind"]]
    config = model.config_from_published(case.spec["config"])
    base, file = (RecipeSource(case.path, case.spec[key]) for key in ("tensors", "lora_tensors"))
    adapter = read_pipe_adapter(file, model, config, alpha=float(case.arrays["lora_alpha"]))
    device = SingleDeviceSharding(jax.local_devices()[0])
    parameters = adapted(check(base, model, config), adapter, merge=merge)
    dtype = np.dtype(case.dtype)
    placed = {path: place(lazy.cast(dtype), device) for path, lazy in parameters.items()}
    return traverse_util.unflatten_dict(placed, sep="/")


def mmdit(case: Case) -> Outputs:
    a = case.arrays
    module, variables = build(case)
    x, text = jnp.asarray(ours(a["x"])), a["encoder_hidden_states"]
    t = _unit_times(a["timestep"], x.shape[:2])
    condition = ContentvCondition(text=text, pooled=a["pooled"])
    v = jax.jit(ContentvDenoiser(module).velocity)(variables, x, t, condition)
    grid = (-(-size // step) for size, step in zip(x.shape[1:4], module.config.patch, strict=True))
    places = place_embed(*grid, module.config.width)[None]
    return {"out": (-published(v), a["out"]), "pos_embed": (np.asarray(places), a["pos_embed"])}


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
