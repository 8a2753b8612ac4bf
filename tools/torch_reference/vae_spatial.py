# Copyright 2026 The mugv_jax Authors
# SPDX-License-Identifier: Apache-2.0
"""The spatial half of the video VAE: a 2D KL autoencoder, cut open at its bottleneck.

The encoder ends after its mid block and the decoder begins with its own, so the checkpoint's
`encoder.conv_norm_out`, `encoder.conv_out` and `decoder.conv_in` compute nothing.
"""

import torch.nn.functional as F
from torch import Tensor, nn

EPSILON = 1e-6
NORM_GROUPS = 32


def norm(channels: int) -> nn.GroupNorm:
    return nn.GroupNorm(NORM_GROUPS, channels, eps=EPSILON)


def conv(inputs: int, outputs: int) -> nn.Conv2d:
    return nn.Conv2d(inputs, outputs, 3, padding=1)


class ResBlock(nn.Module):
    def __init__(self, inputs: int, outputs: int):
        super().__init__()
        self.norm1 = norm(inputs)
        self.conv1 = conv(inputs, outputs)
        self.norm2 = norm(outputs)
        self.conv2 = conv(outputs, outputs)
        self.conv_shortcut = nn.Conv2d(inputs, outputs, 1) if inputs != outputs else nn.Identity()

    def forward(self, x: Tensor) -> Tensor:
        y = self.conv1(F.silu(self.norm1(x)))
        y = self.conv2(F.silu(self.norm2(y)))
        return self.conv_shortcut(x) + y


class Attention(nn.Module):
    """One head over all pixels of a frame, with a residual."""

    def __init__(self, channels: int):
        super().__init__()
        self.group_norm = norm(channels)
        self.to_q = nn.Linear(channels, channels)
        self.to_k = nn.Linear(channels, channels)
        self.to_v = nn.Linear(channels, channels)
        self.to_out = nn.ModuleList([nn.Linear(channels, channels)])

    def forward(self, x: Tensor) -> Tensor:
        y = self.group_norm(x).flatten(2).transpose(1, 2)
        q, k, v = (to(y)[:, None] for to in (self.to_q, self.to_k, self.to_v))
        y = self.to_out[0](F.scaled_dot_product_attention(q, k, v)[:, 0])
        return x + y.transpose(1, 2).unflatten(2, x.shape[2:])


class MidBlock(nn.Module):
    def __init__(self, channels: int):
        super().__init__()
        self.resnets = nn.ModuleList(ResBlock(channels, channels) for _ in range(2))
        self.attentions = nn.ModuleList([Attention(channels)])

    def forward(self, x: Tensor) -> Tensor:
        return self.resnets[1](self.attentions[0](self.resnets[0](x)))


class Downsampler(nn.Module):
    def __init__(self, channels: int):
        super().__init__()
        self.conv = nn.Conv2d(channels, channels, 3, stride=2)

    def forward(self, x: Tensor) -> Tensor:
        return self.conv(F.pad(x, (0, 1, 0, 1)))


class Upsampler(nn.Module):
    def __init__(self, channels: int):
        super().__init__()
        self.conv = conv(channels, channels)

    def forward(self, x: Tensor) -> Tensor:
        return self.conv(F.interpolate(x, scale_factor=2.0, mode="nearest"))


class Stage(nn.Module):
    """Residual blocks, then an optional change of resolution under its published name."""

    def __init__(self, inputs: int, outputs: int, blocks: int, **resampler: nn.Module):
        super().__init__()
        self.resnets = nn.ModuleList(
            ResBlock(inputs if i == 0 else outputs, outputs) for i in range(blocks)
        )
        self.resampler = next(iter(resampler), None)
        for name, module in resampler.items():
            setattr(self, name, nn.ModuleList([module]))

    def forward(self, x: Tensor) -> Tensor:
        for block in self.resnets:
            x = block(x)
        return getattr(self, self.resampler)[0](x) if self.resampler else x


class Encoder(nn.Module):
    def __init__(self, channels: list[int], blocks: int, latent: int):
        super().__init__()
        self.conv_in = conv(3, channels[0])
        inputs = [channels[0], *channels]
        last = len(channels) - 1
        self.down_blocks = nn.ModuleList(
            Stage(
                inputs[i],
                outputs,
                blocks,
                **({"downsamplers": Downsampler(outputs)} if i < last else {}),
            )
            for i, outputs in enumerate(channels)
        )
        self.mid_block = MidBlock(channels[-1])
        self.conv_norm_out = norm(channels[-1])
        self.conv_out = conv(channels[-1], 2 * latent)

    def forward(self, x: Tensor) -> Tensor:
        """(n, 3, h, w) in [-1, 1] -> (n, c, h / 8, w / 8)."""
        x = self.conv_in(x)
        for stage in self.down_blocks:
            x = stage(x)
        return self.mid_block(x)


class Decoder(nn.Module):
    def __init__(self, channels: list[int], blocks: int, latent: int):
        super().__init__()
        channels = channels[::-1]
        self.conv_in = conv(latent, channels[0])
        self.mid_block = MidBlock(channels[0])
        inputs = [channels[0], *channels]
        last = len(channels) - 1
        self.up_blocks = nn.ModuleList(
            Stage(
                inputs[i],
                outputs,
                blocks + 1,
                **({"upsamplers": Upsampler(outputs)} if i < last else {}),
            )
            for i, outputs in enumerate(channels)
        )
        self.conv_norm_out = norm(channels[-1])
        self.conv_out = conv(channels[-1], 3)

    def forward(self, x: Tensor) -> Tensor:
        """(n, c, h / 8, w / 8) -> (n, 3, h, w)."""
        x = self.mid_block(x)
        for stage in self.up_blocks:
            x = stage(x)
        return self.conv_out(F.silu(self.conv_norm_out(x)))


class Autoencoder(nn.Module):
    def __init__(self, *, block_out_channels: list[int], layers_per_block: int, latent: int):
        super().__init__()
        self.encoder = Encoder(block_out_channels, layers_per_block, latent)
        self.decoder = Decoder(block_out_channels, layers_per_block, latent)
