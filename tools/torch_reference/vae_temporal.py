# Copyright 2026 The mugv_jax Authors
# SPDX-License-Identifier: Apache-2.0
"""The temporal half of the video VAE: 3D convolutions from 8 frames to 1 latent, and back."""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

EPSILON = 1e-5
NORM_GROUPS = 32
MIN_LOG_VARIANCE, MAX_LOG_VARIANCE = -30.0, 20.0


def norm(channels: int) -> nn.GroupNorm:
    return nn.GroupNorm(NORM_GROUPS, channels, eps=EPSILON)


class Conv(nn.Module):
    """Zero-padded 3D convolution that keeps the size, or halves time with a stride of 2.

    With a stride of 2, time is padded with one frame, after the last.
    """

    def __init__(
        self, inputs: int, outputs: int, kernel: int, *, time_stride: int = 1, bias: bool = True
    ):
        super().__init__()
        self.frames_after = time_stride - 1
        same = kernel // 2
        self.conv = nn.Conv3d(
            inputs,
            outputs,
            kernel,
            stride=(time_stride, 1, 1),
            padding=(0 if self.frames_after else same, same, same),
            bias=bias,
        )

    def forward(self, x: Tensor) -> Tensor:
        return self.conv(F.pad(x, (0, 0, 0, 0, 0, self.frames_after)) if self.frames_after else x)


class ResBlock(nn.Module):
    def __init__(self, inputs: int, outputs: int):
        super().__init__()
        self.norm1 = norm(inputs)
        self.conv1 = Conv(inputs, outputs, 3, bias=False)
        self.norm2 = norm(outputs)
        self.conv2 = Conv(outputs, outputs, 3, bias=False)
        self.conv3 = Conv(inputs, outputs, 1, bias=False) if inputs != outputs else nn.Identity()

    def forward(self, x: Tensor) -> Tensor:
        y = self.conv1(F.silu(self.norm1(x)))
        y = self.conv2(F.silu(self.norm2(y)))
        return self.conv3(x) + y


def stage(inputs: int, outputs: int, blocks: int) -> nn.Sequential:
    return nn.Sequential(*(ResBlock(inputs if i == 0 else outputs, outputs) for i in range(blocks)))


class Encoder(nn.Module):
    def __init__(self, widths: list[int], blocks: int, inputs: int, outputs: int):
        super().__init__()
        self.conv_in = Conv(inputs, widths[0], 3, bias=False)
        self.block_res_blocks = nn.ModuleList(
            stage(before, width, blocks)
            for before, width in zip([widths[0], *widths[:-1]], widths, strict=True)
        )
        self.conv_blocks = nn.ModuleList(
            Conv(width, width, 3, time_stride=2) for width in widths[:-1]
        )
        self.res_blocks = stage(widths[-1], widths[-1], blocks)
        self.norm1 = norm(widths[-1])
        self.conv2 = Conv(widths[-1], outputs, 1)

    def forward(self, x: Tensor) -> Tensor:
        """(b, c, 8, h, w) -> (b, 2 * latent, 1, h, w)."""
        x = self.conv_in(x)
        for i, blocks in enumerate(self.block_res_blocks):
            x = blocks(x)
            if i < len(self.conv_blocks):
                x = self.conv_blocks[i](x)
        return self.conv2(F.silu(self.norm1(self.res_blocks(x))))


class Decoder(nn.Module):
    def __init__(self, widths: list[int], blocks: int, inputs: int, outputs: int):
        super().__init__()
        self.conv1 = Conv(inputs, widths[-1], 3)
        self.res_blocks = stage(widths[-1], widths[-1], blocks)
        self.upsample_block = ResBlock(widths[-1], widths[-1])
        above = [*widths[1:], widths[-1]]
        self.block_res_blocks = nn.ModuleList(
            stage(before, width, blocks) for before, width in zip(above, widths, strict=True)
        )
        # No convolution follows stage 1, which keeps its length, or stage 0, which is the last.
        self.conv_blocks = nn.ModuleDict(
            {str(i): Conv(widths[i + 1], 2 * widths[i + 1], 3) for i in range(1, len(widths) - 1)}
        )
        self.norm1 = norm(widths[0])
        self.conv_out = Conv(widths[0], outputs, 3)

    def forward(self, z: Tensor) -> Tensor:
        """(b, latent, f, h, w) -> (b, c, 8 f, h, w)."""
        x = self.res_blocks(self.conv1(z))
        x = self.upsample_block(x.repeat_interleave(2, dim=2))
        for i in reversed(range(len(self.block_res_blocks))):
            x = self.block_res_blocks[i](x)
            if str(i - 1) in self.conv_blocks:
                x = self.conv_blocks[str(i - 1)](x)
                x = x.unflatten(1, (-1, 2)).permute(0, 1, 3, 2, 4, 5).flatten(2, 3)
        return self.conv_out(F.silu(self.norm1(x)))


class TemporalVAE(nn.Module):
    def __init__(
        self,
        *,
        filters: int,
        num_res_blocks: int,
        channel_multipliers: list[int],
        io: int,
        latent_embed_dim: int,
    ):
        super().__init__()
        widths = [filters * m for m in channel_multipliers]
        latent = latent_embed_dim
        self.encoder = Encoder(widths, num_res_blocks, io, 2 * latent)
        self.quant_conv = Conv(2 * latent, 2 * latent, 1)
        self.post_quant_conv = Conv(latent, latent, 1)
        self.decoder = Decoder(widths, num_res_blocks, latent, io)

    def posterior(self, features: Tensor) -> tuple[Tensor, Tensor]:
        """Mean and log-variance (b, latent, 1, h, w) of groups of 8 frames."""
        mean, log_variance = self.quant_conv(self.encoder(features)).chunk(2, dim=1)
        return mean, torch.clamp(log_variance, MIN_LOG_VARIANCE, MAX_LOG_VARIANCE)

    def decode(self, z: Tensor) -> Tensor:
        return self.decoder(self.post_quant_conv(z))
