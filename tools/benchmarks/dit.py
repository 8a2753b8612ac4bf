# Copyright 2026 The mugv_jax Authors
# SPDX-License-Identifier: Apache-2.0
"""One forward pass of MUGDiT, whole or a slice of its blocks, in useful operations per second."""

import functools
from collections.abc import Callable, Iterator
from typing import Any

import jax
import torch
from torch import Tensor

from mugv_jax.nn.mugdit.model import MugDiT
from mugv_jax.sharding import mesh as meshes
from mugv_jax.sharding.parallel import build_dit
from mugv_jax.systems.mugv import cost as flops
from tools.benchmarks.exchange import from_jax
from tools.benchmarks.measure import Task, Variant, relative_l2
from tools.benchmarks.published import CHANNELS, Inputs, in_float64, models
from tools.benchmarks.pytorch import attentions, compilations
from tools.benchmarks.setting import Setting
from tools.torch_reference import MUGDiT
from tools.torch_reference.mugdit import run_block

# Allow for float32 sums in another order, and for bfloat16 rounding of every activation.
TOLERANCES = {torch.float32: 2e-5, torch.bfloat16: 5e-2}


def tasks(name: str, setting: Setting) -> Iterator[Task]:
    """One forward pass per attention kernel, eager and compiled; size "full" is the 10B at 720p."""
    size = setting.size
    depth = size.depth if name == "dit" else size.slice_depth
    reference, config, weights = models(setting, depth)

    def check(variant: Variant) -> float | None:
        if "compiled" in variant.name:  # another size would be compiled again
            return None
        inputs = Inputs.random(setting, size.check_latent)
        arguments, keywords = inputs.to(torch.float64).theirs()
        expected = in_float64(reference)(*arguments, **keywords)[:, :CHANNELS]
        return relative_l2(variant.read(variant.bind(inputs)()), [expected])

    yield Task(
        name=name,
        sizes={"width": size.width, "heads": size.heads, "depth": depth, "tokens": size.tokens}
        | {"latent": list(size.latent), "text_tokens": size.text_tokens},
        variants=[*_ours(setting, config, weights), *_theirs(setting, reference)],
        inputs=lambda: Inputs.random(setting, size.latent),
        check=check,
        tolerance=TOLERANCES[setting.dtype],
        work=flops.dit_forward(config, size.latent, size.text_tokens),
        unit="TFLOP/s",
        memory=True,
    )


def _ours(setting: Setting, config: Any, weights: dict[str, Any]) -> Iterator[Variant]:
    mesh = meshes.make_mesh()
    for name, kernels in setting.kernels.items():
        module = build_dit(config, mesh, module=MugDiT, dtype=setting.jax_dtype, kernels=kernels)

        def bind(inputs: Inputs, module: MugDiT = module) -> Callable[[], jax.Array]:
            arguments, keywords = inputs.ours()

            def call() -> jax.Array:
                with meshes.use(mesh):
                    return _forward(module, weights, *arguments, **keywords)

            return call

        yield Variant(
            name=name,
            ours=True,
            bind=bind,
            read=lambda out: [from_jax(out, "b f h w c -> b c f h w")],
        )


@functools.partial(jax.jit, static_argnums=0)
def _forward(module: MugDiT, variables: Any, *arguments: Any, **keywords: Any) -> jax.Array:
    return module.apply(variables, *arguments, **keywords)


def _theirs(setting: Setting, reference: MUGDiT) -> Iterator[Variant]:
    for suffix, run in compilations(setting, run_block):
        for name, attend in attentions(setting).items():

            def bind(
                inputs: Inputs, run: Callable = run, attend: Callable = attend
            ) -> Callable[[], Tensor]:
                arguments, keywords = inputs.theirs()
                reference.run_block = run
                for block in reference.blocks:
                    block.attn.attend = attend
                return lambda: reference(*arguments, **keywords)[:, :CHANNELS]

            yield Variant(name=name + suffix, ours=False, bind=bind, read=lambda out: [out])
