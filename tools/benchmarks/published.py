# Copyright 2026 The mugv_jax Authors
# SPDX-License-Identifier: Apache-2.0
"""MUGDiT on both sides: the reference with random weights, and our config and variables."""

import copy
import dataclasses
from pathlib import Path
from typing import Any, NamedTuple

import torch
from torch import Tensor

from mugv_jax import config as configs
from mugv_jax.kernels.select import KernelConfig
from mugv_jax.nn.mugdit.sizes import DiTConfig
from mugv_jax.train.train_config import DiTTrainConfig, from_config_dict
from mugv_jax.weights.tables import mugv_dit
from tools.benchmarks.exchange import build, to_jax, variables
from tools.benchmarks.setting import Setting
from tools.torch_reference import MUGDiT

CONFIG = Path(__file__).parents[2] / "configs" / "mugv_10b.py"
FPS = 24.0
CHANNELS = 24
TEXT_DIM = 4096


class Models(NamedTuple):
    """The same model on both sides.

    reference: the PyTorch model.  config, weights: of our model, with the same values.
    """

    reference: MUGDiT
    config: DiTConfig
    weights: dict[str, Any]


def published(setting: Setting, depth: int) -> dict[str, Any]:
    """Constructor arguments of the published class."""
    size = setting.size
    return {
        "input_channels": CHANNELS,
        "patch_size": (1, 2, 2),
        "hidden_size": size.width,
        "num_heads": size.heads,
        "depth": depth,
        "text_input_channels": TEXT_DIM,
        "mlp_ratio": 4.0,
    }


def models(setting: Setting, depth: int, dtype: torch.dtype | None = None) -> Models:
    """Both sides with random weights in `dtype` (by default that of the setting)."""
    arguments = published(setting, depth)
    reference = build(lambda: MUGDiT(**arguments), setting.device, dtype or setting.dtype)
    config = mugv_dit.config_from_published(arguments)
    weights = variables(reference.state_dict(), mugv_dit.table(config))
    return Models(reference, config, weights)


def train_config(
    setting: Setting, dit: DiTConfig, remat: str = "none", kernels: KernelConfig | None = None
) -> DiTTrainConfig:
    """The shipped settings for one device, without the running average of weights."""
    shipped = from_config_dict(configs.read(CONFIG))
    return dataclasses.replace(
        shipped,
        dit=dit,
        kernels=kernels or shipped.kernels,
        mesh=dataclasses.replace(shipped.mesh, data=1),
        ema=dataclasses.replace(shipped.ema, enabled=False),
        run=dataclasses.replace(shipped.run, dtype=setting.options.dtype, remat=remat),
    )


def in_float64(model: MUGDiT) -> MUGDiT:
    """The model in float64; each block is converted when it runs, so that memory holds one."""
    blocks, model.blocks = model.blocks, torch.nn.ModuleList()
    wide = copy.deepcopy(model).double()
    model.blocks = wide.blocks = blocks
    wide.run_block = lambda block, *args: copy.deepcopy(block).double()(*args)
    return wide


class Inputs(NamedTuple):
    """Inputs: a noisy latent (b c f h w) whose first frame is given, a time, and a text."""

    x: Tensor
    t: Tensor
    text: Tensor
    words: Tensor
    noisy: Tensor
    index: Tensor
    fps: Tensor

    @classmethod
    def random(cls, setting: Setting, latent: tuple[int, int, int]) -> "Inputs":
        """Random values in the setting's dtype; half of the text's tokens are words."""
        device, frames, length = setting.device, latent[0], setting.size.text_tokens
        return cls(
            x=setting.random(1, CHANNELS, *latent),
            t=1000 * torch.rand(1, device=device),
            text=setting.random(1, 1, length, TEXT_DIM),
            words=torch.arange(length, device=device)[None] < length // 2,
            noisy=torch.arange(frames, device=device)[None] > 0,
            index=torch.arange(frames + 2, device=device)[None],
            fps=torch.full((1,), FPS, device=device),
        )

    def to(self, dtype: torch.dtype) -> "Inputs":
        """The inputs with latent and text in `dtype`."""
        return self._replace(x=self.x.to(dtype), text=self.text.to(dtype))

    def theirs(self) -> tuple[tuple[Tensor, ...], dict[str, Tensor]]:
        """Arguments of the reference."""
        keywords = {"x_mask": self.noisy, "frame_indice": self.index, "fps": self.fps}
        return (self.x, self.t, self.text), {"text_mask": self.words, **keywords}

    def ours(self) -> tuple[tuple, dict]:
        """Arguments of `MugDiT` after the variables."""
        text = to_jax(self.text, "b one s d -> (b one) s d")
        arguments = (to_jax(self.x, "b c f h w -> b f h w c"), to_jax(self.t * self.noisy), text)
        return arguments, {
            "text_mask": to_jax(self.words),
            "fps": to_jax(self.fps),
            "frame_index": to_jax(self.index.int()),
        }
