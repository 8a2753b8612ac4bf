# Copyright 2026 The mugv_jax Authors
# SPDX-License-Identifier: Apache-2.0
"""Variants on the PyTorch side: attention kernels, each pinned, and compilation."""

from collections.abc import Callable, Iterator, Sequence

import torch
import torch.nn.functional as F
from torch import Tensor
from torch.nn.attention import SDPBackend, sdpa_kernel

from tools.benchmarks.setting import Setting

Attend = Callable[[Tensor, Tensor, Tensor], Tensor]


def _pinned(backend: SDPBackend) -> Attend:
    """Attention by one of PyTorch's kernels. None of them knows float64, which checks use."""

    def attend(q: Tensor, k: Tensor, v: Tensor) -> Tensor:
        if q.dtype == torch.float64:
            return F.scaled_dot_product_attention(q, k, v)
        with sdpa_kernel(backend):
            return F.scaled_dot_product_attention(q, k, v)

    return attend


def attentions(setting: Setting) -> dict[str, Attend]:
    """PyTorch's attention kernels for the device and dtype, by name."""
    flash = {"PyTorch flash": _pinned(SDPBackend.FLASH_ATTENTION)}
    if not setting.on_gpu:
        return flash
    if setting.dtype == torch.float32:
        return {"PyTorch": F.scaled_dot_product_attention}
    return {**flash, "PyTorch cuDNN": _pinned(SDPBackend.CUDNN_ATTENTION)}


def compilations(
    setting: Setting, function: Callable, *, fullgraph: bool = True
) -> Iterator[tuple[str, Callable]]:
    """(suffix of a variant's name, function): as it is, and compiled if the options ask for it."""
    yield "", function
    if setting.options.torch_compile:
        yield ", compiled", torch.compile(function, dynamic=False, fullgraph=fullgraph)


def gradients(
    out: Tensor | Sequence[Tensor], inputs: Sequence[Tensor], d_out: Sequence[Tensor]
) -> Callable[[], tuple[Tensor, ...]]:
    """A function that computes the gradients by `inputs` and can be called repeatedly."""
    outs = [out] if isinstance(out, Tensor) else list(out)
    return lambda: torch.autograd.grad(outs, inputs, d_out, retain_graph=True)


def leaves(tensors: Sequence[Tensor]) -> list[Tensor]:
    """The tensors as leaves that require gradients."""
    return [tensor.detach().requires_grad_() for tensor in tensors]
