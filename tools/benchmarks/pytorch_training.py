# Copyright 2026 The mugv_jax Authors
# SPDX-License-Identifier: Apache-2.0
"""A training step of MUGDiT in PyTorch: checkpointed blocks, AdamW on float32 master weights."""

import copy
from collections.abc import Callable

import torch
from torch import Tensor
from torch.utils.checkpoint import checkpoint

from mugv_jax.train.optimizer import OptimizerConfig
from tools.benchmarks.published import CHANNELS, Inputs
from tools.benchmarks.pytorch import Attend, attentions, compilations
from tools.benchmarks.setting import Setting
from tools.torch_reference import MUGDiT
from tools.torch_reference.mugdit import Block, run_block

RunBlock = Callable[..., Tensor]


class Optimizer:
    """AdamW on float32 master weights, those of `reference`.

    `model` has the weights in the dtype of arithmetic, copied from the masters after every update.
    """

    def __init__(self, reference: MUGDiT, dtype: torch.dtype):
        self.model = copy.deepcopy(reference).to(dtype).train()
        settings = OptimizerConfig()
        self.clip = settings.clip
        self.weights = list(self.model.parameters())
        self.masters = list(reference.parameters())
        self.adam = torch.optim.AdamW(
            self.masters,
            lr=settings.learning_rate,
            betas=(settings.b1, settings.b2),
            eps=settings.epsilon,
            weight_decay=settings.weight_decay,
            fused=True,
        )

    def update(self) -> None:
        """Take one step with the gradients of the weights, and clear them."""
        for weight, master in zip(self.weights, self.masters, strict=True):
            master.grad, weight.grad = weight.grad.float(), None
        torch.nn.utils.clip_grad_norm_(self.masters, self.clip)
        self.adam.step()
        self.adam.zero_grad()
        for weight, master in zip(self.weights, self.masters, strict=True):
            weight.copy_(master)


class Trainer:
    """Training steps of one variant; all variants update the same weights."""

    def __init__(self, optimizer: Optimizer, attend: Attend, run: RunBlock):
        self.optimizer, self.attend, self.run = optimizer, attend, run

    @property
    def model(self) -> MUGDiT:
        return self.optimizer.model

    def run_block(self, block: Block, *args: Tensor) -> Tensor:
        """Run a block under a checkpoint: its input is kept, the rest is recomputed."""
        block.attn.attend = self.attend
        return checkpoint(self.run, block, *args, use_reentrant=False)

    def step(self, inputs: Inputs) -> Tensor:
        """Draw time and noise, train on them, and return the loss."""
        u = torch.randn(1, device=inputs.x.device).sigmoid()
        inputs = inputs._replace(t=1000 * u, noisy=torch.ones_like(inputs.noisy))
        loss = backward(self.model, inputs, torch.randn_like(inputs.x), self.run_block)
        self.optimizer.update()
        return loss


def trainers(setting: Setting, reference: MUGDiT) -> dict[str, Trainer]:
    """Trainers by the name of their variant."""
    optimizer = Optimizer(reference, setting.dtype)
    return {
        name + suffix: Trainer(optimizer, attend, run)
        for suffix, run in compilations(setting, run_block)
        for name, attend in attentions(setting).items()
    }


def backward(model: MUGDiT, inputs: Inputs, noise: Tensor, run: RunBlock) -> Tensor:
    """Loss at `inputs.t`; leaves its gradients in the weights.

    x_t = (1 - t) x_0 + t noise,   loss = mean over noisy frames of (v - (x_0 - noise))^2
    """
    dtype = next(model.parameters()).dtype
    wide = torch.promote_types(dtype, torch.float32)
    x_0, noise = inputs.x.to(wide), noise.to(wide)
    noisy = inputs.noisy[:, None, :, None, None]
    time = (inputs.t / 1000).to(wide)[:, None, None, None, None] * noisy
    arguments, keywords = inputs._replace(
        x=((1 - time) * x_0 + time * noise).to(dtype), text=inputs.text.to(dtype)
    ).theirs()
    model.run_block = run
    with torch.enable_grad():
        v = model(*arguments, **keywords)[:, :CHANNELS].to(wide)
        per_frame = (v - (x_0 - noise)).square().mean(dim=(1, 3, 4))
        loss = (per_frame * inputs.noisy).sum(1) / inputs.noisy.sum(1)
        loss.mean().backward()
    return loss.detach()


def gradients(
    model: MUGDiT, inputs: Inputs, noise: Tensor, run: RunBlock = run_block
) -> dict[str, Tensor]:
    """Gradients of the loss of `backward` by name; clears them in the weights."""
    backward(model, inputs, noise, run)
    grads = {name: weight.grad for name, weight in model.named_parameters()}
    model.zero_grad()
    return grads
