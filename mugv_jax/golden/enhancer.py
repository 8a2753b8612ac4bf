# Copyright 2026 The mugv_jax Authors
# SPDX-License-Identifier: Apache-2.0
"""Cases of the enhancer: EnhancerDiT and the Wan VAE."""

import functools
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from mugv_jax.axes import Array
from mugv_jax.golden.cases import Case, Outputs, RecipeSource, build, ours, published, unit_times
from mugv_jax.nn.wan import streaming
from mugv_jax.systems.enhancer.denoiser import EnhancerCondition, EnhancerDenoiser
from mugv_jax.weights.adapter_files import read_adapter
from mugv_jax.weights.check import check
from mugv_jax.weights.lora import adapted


def wan_vae(case: Case) -> Outputs:
    """The VAE, whole and part by part."""
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
    """The transformer with and without a clean latent, and with low-rank updates."""
    a = case.arrays
    module, variables = build(case)
    x, clean = (jnp.asarray(ours(a[name])) for name in ("x", "y"))
    texts = [a[f"context{i}"] for i in range(len(x))]
    longest = max(map(len, texts))
    text = np.stack([np.pad(each, ((0, longest - len(each)), (0, 0))) for each in texts])
    t = unit_times(a["timestep"], x.shape[:2])
    velocity = jax.jit(EnhancerDenoiser(module).velocity)

    def out(variables: Any, clean: Array | None) -> np.ndarray:
        """Output as published, noise - x_0."""
        condition = EnhancerCondition(text=text, clean=clean)
        return -published(velocity(variables, x, t, condition))

    outputs: Outputs = {
        "out_i2v": (out(variables, clean), a["out_i2v"]),
        "out_t2v": (out(variables, None), a["out_t2v"]),
    }
    if "lora_tensors" in case.spec:
        for name, merge in (("out_i2v_lora", True), ("out_i2v_lora unmerged", False)):
            updated = out(_with_lora(case, merge=merge), clean)
            outputs[name] = updated, a["out_i2v_lora"]
    return outputs


def _with_lora(case: Case, *, merge: bool) -> Any:
    """Variables of `case` with its low-rank updates, merged into the weights or beside them."""
    model, config = case.model()
    base, file = (RecipeSource(case.path, case.spec[key]) for key in ("tensors", "lora_tensors"))
    adapter = read_adapter(file, model, config, alpha=float(case.arrays["lora_alpha"]))
    return case.variables(adapted(check(base, model, config), adapter, merge=merge))


KINDS = {"wan_vae": wan_vae, "wan_enhancer_dit": wan_dit}
