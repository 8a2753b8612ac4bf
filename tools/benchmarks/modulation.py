# Copyright 2026 The mugv_jax Authors
# SPDX-License-Identifier: Apache-2.0
"""Bandwidth of the four operations of `kernels/modulate.py`, forward and backward.

| operation | forward reads and writes | backward reads and writes                        |
| --------- | ------------------------ | ------------------------------------------------ |
| (a)       | x; y                     | x, d_y; d_x                                      |
| (b)       | x, update; out           | d_out, update; d_update (d_x is d_out)           |
| (c)       | x, update; out, y        | out, update, d_out, d_y; d_x, d_update           |
| (d)       | q; out                   | q, d_out; d_q                                    |

Each of these arrays has n x d values; vectors and angles are small and not counted.
"""

import dataclasses
import functools
from collections.abc import Callable, Iterator, Sequence

import jax
import torch
import torch.nn.functional as F
from torch import Tensor

from mugv_jax.kernels.modulate import Modulation
from mugv_jax.nn.mugdit.model import token_groups
from tools.benchmarks.exchange import from_jax, to_jax
from tools.benchmarks.measure import Task, Variant, relative_l2
from tools.benchmarks.pytorch import compilations, gradients, leaves
from tools.benchmarks.setting import Setting
from tools.torch_reference.mugdit import EPSILON, add_gated, modulated, rotary_angles, rotate

# Relative L2 error of sums in another order, and of results rounded to bfloat16.
TOLERANCES = {torch.float32: 1e-5, torch.bfloat16: 1e-2}


@dataclasses.dataclass(frozen=True, kw_only=True)
class Operation:
    """An operation, in JAX and in PyTorch.

    method: name of the method of `Modulation`.
    theirs: the same function in PyTorch, for tensors of any dtype.
    arguments, outputs: a letter for the shape of each: "n" tokens (b n d), "g" groups (b g d),
        "d" a vector (d), "q" heads (b n a e), "e" a vector of a head (e).
    forward, backward: number of arrays of n x d values that are read or written.
    """

    method: str
    theirs: Callable[..., Tensor | tuple[Tensor, ...]]
    arguments: str
    outputs: str
    forward: int
    backward: int


def _gate_residual(x: Tensor, update: Tensor, bias: Tensor, gate: Tensor) -> Tensor:
    return add_gated(x, update + bias, gate)


def _gate_residual_norm_modulate(
    x: Tensor, update: Tensor, bias: Tensor, gate: Tensor, shift: Tensor, scale: Tensor
) -> tuple[Tensor, Tensor]:
    x = add_gated(x, update + bias, gate)
    return x, modulated(x, shift, scale)


def _norm_rotate(q: Tensor, scale: Tensor, rotation: Tensor) -> Tensor:
    return rotate(F.rms_norm(q, q.shape[-1:], scale, EPSILON), rotation)


OPERATIONS = {
    "norm-modulate": Operation(
        method="norm_modulate",
        theirs=modulated,
        arguments="ngg",
        outputs="n",
        forward=2,
        backward=3,
    ),
    "gate-residual": Operation(
        method="gate_residual",
        theirs=_gate_residual,
        arguments="nndg",
        outputs="n",
        forward=3,
        backward=3,
    ),
    "gate-residual-norm-modulate": Operation(
        method="gate_residual_norm_modulate",
        theirs=_gate_residual_norm_modulate,
        arguments="nndggg",
        outputs="nn",
        forward=4,
        backward=6,
    ),
    "norm-rotate": Operation(
        method="norm_rotate",
        theirs=_norm_rotate,
        arguments="qe",
        outputs="q",
        forward=2,
        backward=3,
    ),
}
# Rotary embedding pairs neighbours in the published layout, and opposite halves in ours.
OUR_PAIRS = "... (k two) -> ... (two k)"
THEIR_PAIRS = "... (two k) -> ... (k two)"


def tasks(name: str, setting: Setting) -> Iterator[Task]:
    """Tasks of one operation: forward, then backward."""
    for backward in (False, True):
        yield _Case(OPERATIONS[name], setting, backward).task(name)


class _Case:
    """One operation in one direction. Its inputs are (arguments, derivatives of the outputs)."""

    def __init__(self, operation: Operation, setting: Setting, backward: bool):
        self.operation, self.setting, self.backward = operation, setting, backward
        size = setting.size
        self.shapes = {
            "n": (1, size.tokens, size.width),
            "g": (1, size.frames + 2, size.width),
            "d": (size.width,),
            "q": (1, size.tokens, size.heads, size.width // size.heads),
            "e": (size.width // size.heads,),
        }

    def task(self, name: str) -> Task:
        operation, size = self.operation, self.setting.size
        arrays = operation.backward if self.backward else operation.forward
        return Task(
            name=f"{name} {'backward' if self.backward else 'forward'}",
            sizes={"tokens": size.tokens, "width": size.width, "groups": size.frames + 2},
            variants=[*self._ours(), *self._theirs()],
            inputs=self._inputs,
            check=self._check,
            tolerance=TOLERANCES[self.setting.dtype],
            work=arrays * size.tokens * size.width * self.setting.dtype.itemsize,
            unit="GB/s",
            compare=False,
        )

    def _inputs(self) -> tuple[list[Tensor], list[Tensor]]:
        def random(kinds: str) -> list[Tensor]:
            return [self.setting.random(*self.shapes[kind]) for kind in kinds]

        return random(self.operation.arguments), random(self.operation.outputs)

    def _check(self, variant: Variant) -> float:
        arguments, d_outs = self._inputs()
        wide, d_wide = ([x.double() for x in group] for group in (arguments, d_outs))
        expected = _call(
            self.operation.theirs, wide, d_wide, self._rotation(torch.float64), self.backward
        )
        return relative_l2(variant.read(variant.bind((arguments, d_outs))()), expected())

    def _rotation(self, dtype: torch.dtype) -> tuple[Tensor, ...]:
        """Further arguments of PyTorch's function: the rotation of every token, for norm_rotate."""
        if self.operation.method != "norm_rotate":
            return ()
        angles = self._angles().to(torch.promote_types(dtype, torch.float32))
        return (torch.polar(torch.ones_like(angles), angles),)

    def _angles(self) -> Tensor:
        size = self.setting.size
        rows, columns = (-(-side // 2) for side in size.latent[1:])
        index = torch.arange(size.frames + 2, device=self.setting.device)[None]
        return rotary_angles(index, rows, columns, self.shapes["e"][0])

    def _theirs(self) -> Iterator[Variant]:
        rotation = self._rotation(self.setting.dtype)
        for suffix, function in compilations(self.setting, self.operation.theirs):
            yield Variant(
                name=f"PyTorch{suffix}",
                ours=False,
                bind=lambda inputs, function=function: _call(
                    function, *inputs, rotation, self.backward
                ),
                read=_listed,
            )

    def _ours(self) -> Iterator[Variant]:
        names = ("triton", "xla") if self.setting.on_gpu else ("xla",)
        for name in names:
            yield Variant(
                name=f"ours: {name}",
                ours=True,
                bind=lambda inputs, name=name: self._bind(name, *inputs),
                read=self._read,
            )

    def _bind(
        self, implementation: str, arguments: Sequence[Tensor], d_outs: Sequence[Tensor]
    ) -> Callable[[], jax.Array]:
        operation, size = self.operation, self.setting.size
        function = (implementation, operation.method)
        if operation.method == "norm_rotate":
            angles = self._angles().float()
            fixed = (to_jax(angles.cos()), to_jax(angles.sin()))
        else:
            fixed = (token_groups(size.frames, size.tokens_per_frame, size.tokens),)
        ours = [self._moved(*each) for each in zip(operation.arguments, arguments, strict=True)]
        d_ours = [self._moved(*each) for each in zip(operation.outputs, d_outs, strict=True)]
        if not self.backward:
            return lambda: _forward(function, ours, fixed)
        pullback = jax.block_until_ready(_linearised(function, ours, fixed))
        d_ours = d_ours[0] if len(d_ours) == 1 else tuple(d_ours)
        return lambda: _backward(pullback, d_ours)

    def _moved(self, kind: str, x: Tensor) -> jax.Array:
        if kind in "qe":
            return to_jax(x, OUR_PAIRS, two=2)
        # Group vectors are float32 in the model, because the time embedding is.
        return to_jax(x.float() if kind == "g" else x)

    def _read(self, out: jax.Array | Sequence[jax.Array]) -> list[Tensor]:
        kinds = self.operation.arguments if self.backward else self.operation.outputs
        return [
            from_jax(x, THEIR_PAIRS, two=2) if kind in "qe" else from_jax(x)
            for kind, x in zip(kinds, _listed(out), strict=True)
        ]


def _call(
    function: Callable,
    arguments: Sequence[Tensor],
    d_outs: Sequence[Tensor],
    fixed: tuple[Tensor, ...],
    backward: bool,
) -> Callable[[], Tensor | tuple[Tensor, ...]]:
    """A call of PyTorch's function, or of its backward pass alone, after a forward pass."""
    if not backward:
        return lambda: _listed(function(*arguments, *fixed))
    arguments = leaves(arguments)
    with torch.enable_grad():
        out = function(*arguments, *fixed)
    return gradients(out, arguments, d_outs)


def _listed(out: object) -> list:
    return list(out) if isinstance(out, list | tuple) else [out]


@functools.partial(jax.jit, static_argnums=0)
def _forward(function: tuple[str, str], arguments: list, fixed: tuple) -> jax.Array:
    return _method(*function)(*arguments, *fixed)


@functools.partial(jax.jit, static_argnums=0)
def _linearised(function: tuple[str, str], arguments: list, fixed: tuple) -> Callable:
    method = _method(*function)
    return jax.vjp(lambda *moving: method(*moving, *fixed), *arguments)[1]


@jax.jit
def _backward(pullback: Callable, d_out: jax.Array) -> tuple[jax.Array, ...]:
    return pullback(d_out)


def _method(implementation: str, name: str) -> Callable:
    return getattr(Modulation(implementation), name)
