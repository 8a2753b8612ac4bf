# Copyright 2026 The mugv_jax Authors
# SPDX-License-Identifier: Apache-2.0
"""Cases of ContentV: MM-DiT and CLIP's text encoder."""

import jax
import jax.numpy as jnp
import numpy as np

from mugv_jax.golden.cases import Case, Outputs, build, ours, published, unit_times
from mugv_jax.nn.mmdit.model import place_embed
from mugv_jax.systems.contentv.denoiser import ContentvCondition, ContentvDenoiser


def mmdit(case: Case) -> Outputs:
    """The transformer's output, noise - x_0 as published, and its embedding of positions."""
    a = case.arrays
    module, variables = build(case)
    x, text = jnp.asarray(ours(a["x"])), a["encoder_hidden_states"]
    t = unit_times(a["timestep"], x.shape[:2])
    condition = ContentvCondition(text=text, pooled=a["pooled"])
    v = jax.jit(ContentvDenoiser(module).velocity)(variables, x, t, condition)
    patch = module.config.patch
    f, h, w = (-(-size // step) for size, step in zip(x.shape[1:4], patch, strict=True))
    places = place_embed(f, h, w, module.config.width)[None]
    return {"out": (-published(v), a["out"]), "pos_embed": (np.asarray(places), a["pos_embed"])}


def clip_text(case: Case) -> Outputs:
    """The states and the summary that ContentV reads."""
    a = case.arrays
    module, variables = build(case)
    out = jax.jit(module.apply)(variables, a["ids"].astype(np.int32))
    return {name: (np.asarray(value), a[name]) for name, value in out._asdict().items()}


KINDS = {"contentv_dit": mmdit, "clip_text": clip_text}
