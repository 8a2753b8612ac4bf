# Copyright 2026 The mugv_jax Authors
# SPDX-License-Identifier: Apache-2.0
"""Useful operations per second of attention, forward and backward.

    forward 4 n s d,    backward 8 n s d

for n queries and s keys of width d. Padding and recomputation are not counted.
"""

import functools
from collections.abc import Callable, Iterator, Sequence

import jax
import torch
from torch import Tensor

from mugv_jax.kernels.attention import attend
from tools.benchmarks.exchange import from_jax, to_jax
from tools.benchmarks.measure import Task, Variant, relative_l2
from tools.benchmarks.pytorch import Attend, attentions, gradients, leaves
from tools.benchmarks.setting import Setting

TOLERANCES = {torch.float32: 1e-5, torch.bfloat16: 1e-2}
# Compared with float64: all heads of some queries forward, and some heads of all tokens backward.
CHECKED_QUERIES = 256
CHECKED_HEADS = 3
BLOCK = 2048  # queries whose float64 scores are in memory at the same time


def tasks(name: str, setting: Setting) -> Iterator[Task]:
    """Tasks of attention to the tokens of the video or of the text: forward, then backward."""
    size = setting.size
    keys = size.tokens if name == "self-attention" else size.text_tokens
    for backward in (False, True):
        yield _Case(setting, keys, backward).task(name)


class _Case:
    """Attention to `keys` keys in one direction. Inputs are q, k, v and the derivative of out."""

    def __init__(self, setting: Setting, keys: int, backward: bool):
        self.setting, self.keys, self.backward = setting, keys, backward
        size = setting.size
        heads = (size.heads, size.width // size.heads)
        self.queries_shape, self.keys_shape = (1, size.tokens, *heads), (1, keys, *heads)

    def task(self, name: str) -> Task:
        size = self.setting.size
        sizes = {"tokens": size.tokens, "keys": self.keys, "heads": size.heads}
        products = 8 if self.backward else 4
        return Task(
            name=f"{name} {'backward' if self.backward else 'forward'}",
            sizes=sizes | {"head_dim": size.width // size.heads},
            variants=[*self._ours(), *self._theirs()],
            inputs=self._inputs,
            check=self._check,
            tolerance=TOLERANCES[self.setting.dtype],
            work=products * size.tokens * self.keys * size.width,
            unit="TFLOP/s",
            compare=False,
        )

    def _inputs(self) -> list[Tensor]:
        shapes = (self.queries_shape, self.keys_shape, self.keys_shape, self.queries_shape)
        return [self.setting.random(*shape) for shape in shapes]

    def _ours(self) -> Iterator[Variant]:
        # On a GPU, "xla" would take longer than everything else together.
        for name in ("hopper", "cudnn") if self.setting.on_gpu else ("xla",):
            yield Variant(
                name=f"ours: {name}",
                ours=True,
                bind=lambda inputs, name=name: self._bind(name, inputs),
                read=lambda out: [from_jax(x) for x in jax.tree.leaves(out)],
            )

    def _bind(self, implementation: str, inputs: Sequence[Tensor]) -> Callable:
        *qkv, d_out = map(to_jax, inputs)
        if not self.backward:
            return lambda: _forward(implementation, *qkv)
        pullback = jax.block_until_ready(_linearised(implementation, *qkv))
        return lambda: _backward(pullback, d_out)

    def _theirs(self) -> Iterator[Variant]:
        for name, function in attentions(self.setting).items():
            yield Variant(
                name=name,
                ours=False,
                bind=lambda inputs, function=function: self._bind_theirs(function, inputs),
                read=lambda out: [out.transpose(1, 2)] if isinstance(out, Tensor) else out,
            )

    def _bind_theirs(self, function: Attend, inputs: Sequence[Tensor]) -> Callable:
        *qkv, d_out = inputs
        if not self.backward:
            return lambda: function(*(x.transpose(1, 2) for x in qkv))
        qkv = leaves(qkv)
        with torch.enable_grad():
            out = function(*(x.transpose(1, 2) for x in qkv))
        return gradients(out, qkv, [d_out.transpose(1, 2)])

    def _check(self, variant: Variant) -> float:
        inputs = self._inputs()
        outs = variant.read(variant.bind(inputs)())
        q, k, v, d_out = inputs
        if not self.backward:
            rows = torch.randperm(q.shape[1], device=q.device)[:CHECKED_QUERIES]
            return relative_l2([outs[0][:, rows]], [_attend_64(q[:, rows], k, v)[0]])
        heads = torch.randperm(q.shape[2], device=q.device)[:CHECKED_HEADS]
        expected = _gradients_64(*(x[:, :, heads] for x in (q, k, v, d_out)))
        return relative_l2([out[:, :, heads] for out in outs], expected)


@functools.partial(jax.jit, static_argnums=0)
def _forward(implementation: str, *qkv: jax.Array) -> jax.Array:
    return attend(*qkv, implementation=implementation)


@functools.partial(jax.jit, static_argnums=0)
def _linearised(implementation: str, *qkv: jax.Array) -> Callable:
    return jax.vjp(lambda *x: attend(*x, implementation=implementation), *qkv)[1]


@jax.jit
def _backward(pullback: Callable, d_out: jax.Array) -> tuple[jax.Array, ...]:
    return pullback(d_out)


def _attend_64(q: Tensor, k: Tensor, v: Tensor) -> tuple[Tensor, Tensor]:
    """Output and probabilities in float64."""
    q, k, v = q.double(), k.double(), v.double()
    score = torch.einsum("bnae,bsae->bans", q, k) * q.shape[-1] ** -0.5
    prob = score.softmax(-1)
    return torch.einsum("bans,bsae->bnae", prob, v), prob


def _gradients_64(q: Tensor, k: Tensor, v: Tensor, d_out: Tensor) -> list[Tensor]:
    """Derivatives by q, k and v in float64, computed for one block of queries at a time."""
    scale = q.shape[-1] ** -0.5
    d_qs, d_k, d_v = [], torch.zeros_like(k.double()), torch.zeros_like(v.double())
    for q_block, d_block in zip(q.split(BLOCK, 1), d_out.split(BLOCK, 1), strict=True):
        out, prob = _attend_64(q_block, k, v)
        d_block = d_block.double()
        delta = (d_block * out).sum(-1).transpose(1, 2)[..., None]
        d_prob = torch.einsum("bnae,bsae->bans", d_block, v.double())
        d_score = prob * (d_prob - delta) * scale
        d_qs.append(torch.einsum("bans,bsae->bnae", d_score, k.double()))
        d_k += torch.einsum("bans,bnae->bsae", d_score, q_block.double())
        d_v += torch.einsum("bans,bnae->bsae", prob, d_block)
    return [torch.cat(d_qs, 1), d_k, d_v]
