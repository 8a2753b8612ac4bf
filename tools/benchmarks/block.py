# Copyright 2026 The mugv_jax Authors
# SPDX-License-Identifier: Apache-2.0
"""One block of MUGDiT: forward, also in 8 bits, and forward with the backward pass."""

import dataclasses
import functools
from collections.abc import Callable, Iterator, Sequence
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import torch
from flax import traverse_util
from torch import Tensor

from mugv_jax.cost import flops
from mugv_jax.kernels.attention import attend
from mugv_jax.kernels.modulate import Modulation
from mugv_jax.kernels.select import KernelConfig
from mugv_jax.nn.dit.rope import rotation
from mugv_jax.nn.mugdit.block import Block, Context
from mugv_jax.nn.mugdit.model import token_groups
from mugv_jax.nn.mugdit.sizes import DiTConfig
from mugv_jax.nn.quantize import NAMES, quantized, quantized_paths, scale_path
from mugv_jax.weights.registry import abstract_variables
from tools.benchmarks.dit import TOLERANCES
from tools.benchmarks.exchange import from_jax, to_jax
from tools.benchmarks.measure import Task, Variant, relative_l2
from tools.benchmarks.published import models
from tools.benchmarks.pytorch import attentions, compilations, leaves
from tools.benchmarks.setting import Setting
from tools.torch_reference import mugdit


class Inputs(NamedTuple):
    """Inputs of a block for a latent (f, h, w), and the derivative of its output.

    x: residual stream.  six: the six modulation vectors of each token group.
    """

    x: Tensor
    text: Tensor
    six: Tensor
    d_out: Tensor
    latent: tuple[int, int, int]

    @classmethod
    def random(cls, setting: Setting, latent: tuple[int, int, int]) -> "Inputs":
        size = setting.size
        frames, rows, columns = latent[0], *(-(-side // 2) for side in latent[1:])
        stream = (1, frames * rows * columns + 2, size.width)
        return cls(
            x=setting.random(*stream),
            text=setting.random(1, size.text_tokens, size.width),
            six=setting.random(1, frames + 2, 6, size.width),
            d_out=setting.random(*stream),
            latent=latent,
        )


def tasks(name: str, setting: Setting) -> Iterator[Task]:
    """A block forward, then forward and backward without rematerialisation."""
    size = setting.size
    reference, config, weights = models(setting, 1)
    block, variables = reference.blocks[0], _first_block(weights)
    del reference, weights
    operations = sum(flops.dit_block(config, size.tokens, size.text_tokens))
    for backward in (False, True):

        def check(variant: Variant, backward: bool = backward) -> float | None:
            if "compiled" in variant.name:  # another size would be compiled again
                return None
            inputs = Inputs.random(setting, size.check_latent)
            wide = inputs._replace(**{k: getattr(inputs, k).double() for k in TENSORS})
            expected = _bind_theirs(_double(block), mugdit.run_block, wide, backward)()
            return relative_l2(variant.read(variant.bind(inputs)()), expected)

        yield Task(
            name=f"{name} {'forward and backward' if backward else 'forward'}",
            sizes={"width": size.width, "heads": size.heads, "tokens": size.tokens}
            | {"text_tokens": size.text_tokens},
            variants=[
                *_ours(setting, config, variables, backward),
                *_theirs(setting, block, backward),
            ],
            inputs=lambda: Inputs.random(setting, size.latent),
            check=check,
            tolerance=TOLERANCES[setting.dtype],
            work=(3 if backward else 1) * operations,
            unit="TFLOP/s",
            memory=True,
        )
    # Last: searching for 8-bit products may take a GPU minutes.
    yield _in_8_bits(name, setting, config, variables, operations)


# Of 8-bit weights and activations, random ones, without any training.
ROUNDED = 0.1


def _in_8_bits(
    name: str, setting: Setting, config: DiTConfig, variables: Any, operations: int
) -> Task:
    """The block with 8-bit weights, or weights and activations, and as it is."""
    size = setting.size
    block = _block(setting, config, list(setting.kernels.values())[-1])

    def check(variant: Variant) -> float:
        inputs = Inputs.random(setting, size.check_latent)
        exact = _variant("", block, config, variables, backward=False)
        return relative_l2(*(each.read(each.bind(inputs)()) for each in (variant, exact)))

    variants = [_variant("ours", block, config, variables, backward=False)]
    for quantize in NAMES:
        narrow = _quantized(variables, config, quantize)
        variants.append(_variant(f"ours: {quantize}", block, config, narrow, backward=False))
    return Task(
        name=f"{name} forward, 8 bits",
        sizes={"width": size.width, "heads": size.heads, "tokens": size.tokens}
        | {"text_tokens": size.text_tokens},
        variants=variants,
        inputs=lambda: Inputs.random(setting, size.latent),
        check=check,
        compare=False,
        tolerance=ROUNDED,
        work=operations,
        unit="TFLOP/s",
        memory=True,
    )


def _quantized(variables: Any, config: DiTConfig, quantize: str) -> dict[str, Any]:
    """Variables of one block with its kernels in 8 bits, and their scales."""
    flat = traverse_util.flatten_dict(variables, sep="/")
    abstract = abstract_variables("mugv_dit", dataclasses.replace(config, depth=1))
    for path, rounding in quantized_paths(abstract, quantize).items():
        own = path.replace("/blocks/", "/")
        kernel, scale = quantized(flat[own][None], rounding)
        flat |= {own: kernel[0], scale_path(own, rounding): scale[0]}
    return traverse_util.unflatten_dict(flat, sep="/")


TENSORS = ("x", "text", "six", "d_out")


def _first_block(weights: dict[str, Any]) -> dict[str, Any]:
    return {"params": jax.tree.map(lambda x: x[0], weights["params"]["blocks"])}


def _double(block: mugdit.Block) -> mugdit.Block:
    wide = mugdit.Block(block.mlp.fc2.out_features, block.attn.heads, 4.0)
    wide.load_state_dict(block.state_dict())
    return wide.to(block.mlp.fc2.weight.device, torch.float64)


def _theirs(setting: Setting, block: mugdit.Block, backward: bool) -> Iterator[Variant]:
    for suffix, run in compilations(setting, mugdit.run_block):
        for name, pinned in attentions(setting).items():

            def bind(
                inputs: Inputs, run: Callable = run, pinned: Callable = pinned
            ) -> Callable[[], list[Tensor]]:
                block.attn.attend = pinned
                return _bind_theirs(block, run, inputs, backward)

            yield Variant(name=name + suffix, ours=False, bind=bind, read=list)


def _bind_theirs(
    block: mugdit.Block, run: Callable, inputs: Inputs, backward: bool
) -> Callable[[], list[Tensor]]:
    """A call that returns the block's output, or its derivatives by x and the table of vectors."""
    rows, columns = (-(-side // 2) for side in inputs.latent[1:])
    index = torch.arange(inputs.latent[0] + 2, device=inputs.x.device)[None]
    angles = mugdit.rotary_angles(index, rows, columns, inputs.x.shape[-1] // block.attn.heads)
    angles = angles.to(torch.promote_types(inputs.x.dtype, torch.float32))
    phases = torch.polar(torch.ones_like(angles), angles)
    mask = torch.ones(inputs.text.shape[:2], dtype=torch.bool, device=inputs.x.device)
    if not backward:
        return lambda: [run(block, inputs.x, inputs.text, mask, inputs.six, phases)]
    x, text, six = leaves([inputs.x, inputs.text, inputs.six])
    wanted = [x, block.scale_shift_table, text, six]
    wanted += [each for each in block.parameters() if each is not block.scale_shift_table]

    def call() -> list[Tensor]:
        with torch.enable_grad():
            out = run(block, x, text, mask, six, phases)
            return list(torch.autograd.grad(out, wanted, inputs.d_out)[:2])

    return call


def _ours(setting: Setting, config: DiTConfig, variables: Any, backward: bool) -> Iterator[Variant]:
    for name, kernels in setting.kernels.items():
        yield _variant(name, _block(setting, config, kernels), config, variables, backward)


def _block(setting: Setting, config: DiTConfig, kernels: KernelConfig) -> Block:
    attention = functools.partial(attend, implementation=kernels.attention)
    return Block(config, setting.jax_dtype, attention, Modulation(kernels.modulation))


def _variant(name: str, block: Block, config: DiTConfig, variables: Any, backward: bool) -> Variant:
    def bind(inputs: Inputs) -> Callable[[], Sequence[jax.Array]]:
        context = _context(inputs, config)
        x, d_out = to_jax(inputs.x), to_jax(inputs.d_out)
        if backward:
            return lambda: _both(block, variables, x, context, d_out)
        return lambda: [_forward(block, variables, x, context)]

    def read(out: Sequence[jax.Array]) -> list[Tensor]:
        return [from_jax(x) for x in out[:2]]

    return Variant(name=name, ours=True, bind=bind, read=read)


def _context(inputs: Inputs, config: DiTConfig) -> Context:
    frames, rows, columns = inputs.latent[0], *(-(-side // 2) for side in inputs.latent[1:])
    cos, sin = rotation(jnp.arange(frames + 2)[None], rows, columns, config.head_dim)
    return Context(
        modulation=to_jax(inputs.six.float()),
        group=token_groups(frames, rows * columns, inputs.x.shape[1]),
        cos=cos,
        sin=sin,
        token_lengths=None,
        text=to_jax(inputs.text),
        text_lengths=jnp.full((1,), inputs.text.shape[1]),
    )


@functools.partial(jax.jit, static_argnums=0)
def _forward(block: Block, variables: Any, x: jax.Array, context: Context) -> jax.Array:
    return block.apply(variables, x, context)[0]


@functools.partial(jax.jit, static_argnums=0)
def _both(
    block: Block, variables: Any, x: jax.Array, context: Context, d_out: jax.Array
) -> tuple[jax.Array, jax.Array, Any]:
    """Derivatives by x, by the table of vectors, and by everything else that PyTorch includes."""

    def run(variables: Any, x: jax.Array, text: jax.Array, six: jax.Array) -> jax.Array:
        return block.apply(variables, x, context.replace(text=text, modulation=six))[0]

    pullback = jax.vjp(run, variables, x, context.text, context.modulation)[1]
    d_variables, d_x, *rest = pullback(d_out)
    return d_x, d_variables["params"]["scale_shift_table"], (d_variables, rest)
