# Copyright 2026 The mugv_jax Authors
# SPDX-License-Identifier: Apache-2.0
"""MUGDiT: a diffusion transformer over latent frames, tokens modulated frame by frame.

Tokens are (start, frame 0, ..., frame f-1, end). Each group of tokens shares a timestep: the start
and end token and the given frames have 0, the noisy frames have t. So every modulation vector is
(b, f + 2, d), one row per group, and is applied through views of the token tensor.
"""

from collections.abc import Callable

import torch
import torch.nn.functional as F
from torch import Tensor, nn

EPSILON = 1e-6
TIME_WIDTH = 256
MAX_FREQUENCY = 10000.0
MAX_TIME = 480
MAX_SPACE = 384

Attend = Callable[[Tensor, Tensor, Tensor], Tensor]


def groups(x: Tensor, frames: int) -> tuple[Tensor, Tensor, Tensor]:
    """Views (b, groups, tokens, d) of the start token, each frame's tokens and the end token."""
    return x[:, :1, None], x[:, 1:-1].unflatten(1, (frames, -1)), x[:, -1:, None]


def rows(vectors: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Views of vectors (b, f + 2, d) that broadcast against those of `groups`."""
    vectors = vectors[:, :, None]
    return vectors[:, :1], vectors[:, 1:-1], vectors[:, -1:]


def modulated(x: Tensor, shift: Tensor, scale: Tensor) -> Tensor:
    """LN(x) * (1 + scale) + shift, with vectors (b, f + 2, d)."""
    return _scaled_shifted(F.layer_norm(x, x.shape[-1:], eps=EPSILON), shift, 1 + scale)


def add_gated(x: Tensor, update: Tensor, gate: Tensor) -> Tensor:
    """x + gate * update, with a gate of (b, f + 2, d)."""
    frames = gate.shape[1] - 2
    views = zip(groups(x, frames), groups(update, frames), rows(gate), strict=True)
    return torch.cat([torch.addcmul(a, u, g).flatten(1, 2) for a, u, g in views], dim=1)


def _scaled_shifted(y: Tensor, shift: Tensor, gain: Tensor) -> Tensor:
    """y * gain + shift, in one pass over y and one that joins the groups."""
    views = zip(groups(y, shift.shape[1] - 2), rows(gain), rows(shift), strict=True)
    return torch.cat([torch.addcmul(b, a, w).flatten(1, 2) for a, w, b in views], dim=1)


def rotary_angles(frame_index: Tensor, height: int, width: int, head_dim: int) -> Tensor:
    """Angles (b, n, head_dim / 2) of the complex pairs, float64, over [height, width, time].

    Pair k of each third rotates by position * 10000^(-6 k / head_dim). The start token is at
    (0, 0), the end token at the last row and column.
    """
    device = frame_index.device
    k = torch.arange(head_dim // 6, device=device, dtype=torch.float64)
    frequency = MAX_FREQUENCY ** (-6 * k / head_dim)
    row = torch.arange(height, device=device).clamp(max=MAX_SPACE - 1).repeat_interleave(width)
    column = torch.arange(width, device=device).clamp(max=MAX_SPACE - 1).repeat(height)
    frame_index = frame_index.clamp(0, MAX_TIME - 1)
    batch, frames = frame_index.shape[0], frame_index.shape[1] - 2

    def whole(first: Tensor, middle: Tensor, last: Tensor) -> Tensor:
        middle = middle.expand(batch, frames, height * width).flatten(1)
        return torch.cat([first.expand(batch, 1), middle, last.expand(batch, 1)], dim=1)

    zero = row[:1]
    position = torch.stack(
        [
            whole(zero, row, row[-1:]),
            whole(zero, column, column[-1:]),
            whole(frame_index[:, :1], frame_index[:, 1:-1, None], frame_index[:, -1:]),
        ],
        dim=-1,
    )
    return (position[..., None] * frequency).flatten(2)


def rotate(x: Tensor, rotation: Tensor) -> Tensor:
    """Rotate pairs (x[2i], x[2i+1]) of (b, n, heads, head_dim) by unit complex numbers."""
    real = torch.view_as_real(rotation)[:, :, None]
    pairs = x.to(real.dtype).unflatten(-1, (-1, 2))
    if torch.compiler.is_compiling():  # fuses real arithmetic only, which eagerly takes more passes
        (a, b), (cos, sin) = pairs.unbind(-1), real.unbind(-1)
        return torch.stack([a * cos - b * sin, a * sin + b * cos], -1).flatten(-2).to(x.dtype)
    rotated = torch.view_as_complex(pairs) * rotation[:, :, None]
    return torch.view_as_real(rotated).flatten(-2).to(x.dtype)


class RMSNorm(nn.Module):
    def __init__(self, dim: int):
        super().__init__()
        self.weight = nn.Parameter(torch.ones(dim))

    def forward(self, x: Tensor) -> Tensor:
        return F.rms_norm(x, x.shape[-1:], self.weight, EPSILON)


class SelfAttention(nn.Module):
    """Self-attention with RoPE; `attend` may be replaced to pin one of PyTorch's kernels."""

    def __init__(self, dim: int, heads: int):
        super().__init__()
        self.heads = heads
        self.attend: Attend = F.scaled_dot_product_attention
        self.qkv = nn.Linear(dim, 3 * dim)
        self.q_norm = RMSNorm(dim // heads)
        self.k_norm = RMSNorm(dim // heads)
        self.proj = nn.Linear(dim, dim)

    def forward(self, x: Tensor, rotation: Tensor) -> Tensor:
        q, k, v = self.qkv(x).unflatten(-1, (3, self.heads, -1)).unbind(2)
        q = rotate(self.q_norm(q), rotation).transpose(1, 2)
        k = rotate(self.k_norm(k), rotation).transpose(1, 2)
        out = self.attend(q, k, v.transpose(1, 2))
        return self.proj(out.transpose(1, 2).flatten(2))


class CrossAttention(nn.Module):
    def __init__(self, dim: int, heads: int):
        super().__init__()
        self.heads = heads
        self.q_linear = nn.Linear(dim, dim)
        self.kv_linear = nn.Linear(dim, 2 * dim)
        self.q_norm = RMSNorm(dim // heads)
        self.k_norm = RMSNorm(dim // heads)
        self.proj = nn.Linear(dim, dim)

    def forward(self, x: Tensor, text: Tensor, text_mask: Tensor) -> Tensor:
        q = self.q_norm(self.q_linear(x).unflatten(-1, (self.heads, -1))).transpose(1, 2)
        k, v = self.kv_linear(text).unflatten(-1, (2, self.heads, -1)).unbind(2)
        k = self.k_norm(k).transpose(1, 2)
        mask = text_mask[:, None, None]
        out = F.scaled_dot_product_attention(q, k, v.transpose(1, 2), attn_mask=mask)
        return self.proj(out.transpose(1, 2).flatten(2))


class Mlp(nn.Module):
    def __init__(self, dim: int, hidden: int, out: int):
        super().__init__()
        self.fc1 = nn.Linear(dim, hidden)
        self.fc2 = nn.Linear(hidden, out)

    def forward(self, x: Tensor) -> Tensor:
        return self.fc2(F.gelu(self.fc1(x), approximate="tanh"))


class Block(nn.Module):
    def __init__(self, dim: int, heads: int, mlp_ratio: float):
        super().__init__()
        self.scale_shift_table = nn.Parameter(torch.randn(6, dim) / dim**0.5)
        self.attn = SelfAttention(dim, heads)
        self.cross_attn_norm = nn.LayerNorm(dim, eps=EPSILON)
        self.cross_attn = CrossAttention(dim, heads)
        self.mlp = Mlp(dim, int(dim * mlp_ratio), dim)

    def forward(
        self, x: Tensor, text: Tensor, text_mask: Tensor, six: Tensor, rotation: Tensor
    ) -> Tensor:
        """One block; `six`: (b, f + 2, 6, d), the modulation vectors that all blocks share."""
        shift_a, scale_a, gate_a, shift_m, scale_m, gate_m = (self.scale_shift_table + six).unbind(
            2
        )
        x = add_gated(x, self.attn(modulated(x, shift_a, scale_a), rotation), gate_a)
        x = x + self.cross_attn(self.cross_attn_norm(x), text, text_mask)
        return add_gated(x, self.mlp(modulated(x, shift_m, scale_m)), gate_m)


class SinusoidEmbedder(nn.Module):
    """Linear - SiLU - Linear of [cos, sin] of the value at 128 frequencies."""

    def __init__(self, dim: int):
        super().__init__()
        self.mlp = nn.Sequential(nn.Linear(TIME_WIDTH, dim), nn.SiLU(), nn.Linear(dim, dim))

    def forward(self, value: Tensor) -> Tensor:
        half = TIME_WIDTH // 2
        i = torch.arange(half, device=value.device, dtype=torch.float32)
        angle = value.float()[..., None] * MAX_FREQUENCY ** (-i / half)
        wave = torch.cat([angle.cos(), angle.sin()], dim=-1)
        return self.mlp(wave.to(self.mlp[0].weight.dtype))


class PatchEmbedder(nn.Module):
    def __init__(self, channels: int, dim: int, patch: tuple[int, int, int]):
        super().__init__()
        self.patch = patch
        self.proj = nn.Conv3d(channels, dim, kernel_size=patch, stride=patch)

    def forward(self, x: Tensor) -> Tensor:
        """(b, c, f, h, w), padded at the end to whole patches -> (b, d, f, rows, columns)."""
        missing = [-size % p for size, p in zip(x.shape[2:], self.patch, strict=True)]
        return self.proj(F.pad(x, [v for m in reversed(missing) for v in (0, m)]))


class TextEmbedder(nn.Module):
    def __init__(self, text_dim: int, dim: int):
        super().__init__()
        self.y_proj = Mlp(text_dim, dim, dim)

    def forward(self, text: Tensor) -> Tensor:
        text = self.y_proj(F.layer_norm(text, text.shape[-1:], eps=EPSILON))
        return F.layer_norm(text, text.shape[-1:], eps=EPSILON)


class FinalLayer(nn.Module):
    def __init__(self, dim: int, patch_values: int):
        super().__init__()
        self.scale_shift_table = nn.Parameter(torch.randn(2, dim) / dim**0.5)
        self.linear = nn.Linear(dim, patch_values)

    def forward(self, x: Tensor, time: Tensor) -> Tensor:
        shift, scale = (self.scale_shift_table + time[:, :, None]).unbind(2)
        return self.linear(modulated(x, shift, scale))


def run_block(block: Block, *args: Tensor) -> Tensor:
    """Call a block: the default of `MUGDiT.run_block`."""
    return block(*args)


class MUGDiT(nn.Module):
    """MUGDiT with the constructor arguments of the published class, which golden cases store.

    `run_block` may be replaced by its compiled form, or by one that checkpoints activations.
    """

    def __init__(
        self,
        *,
        input_channels: int = 24,
        patch_size: tuple[int, int, int] = (1, 2, 2),
        hidden_size: int,
        num_heads: int,
        depth: int,
        text_input_channels: int = 4096,
        mlp_ratio: float = 4.0,
    ):
        super().__init__()
        self.run_block: Callable[..., Tensor] = run_block
        self.heads = num_heads
        self.out_channels = 2 * input_channels
        self.patch = tuple(patch_size)
        self.start_token = nn.Parameter(torch.randn(hidden_size))
        self.end_token = nn.Parameter(torch.randn(hidden_size))
        self.x_embedder = PatchEmbedder(input_channels, hidden_size, self.patch)
        self.t_embedder = SinusoidEmbedder(hidden_size)
        self.fps_embedder = SinusoidEmbedder(hidden_size)
        self.t_block = nn.Sequential(nn.SiLU(), nn.Linear(hidden_size, 6 * hidden_size))
        self.y_embedder = TextEmbedder(text_input_channels, hidden_size)
        self.blocks = nn.ModuleList(Block(hidden_size, num_heads, mlp_ratio) for _ in range(depth))
        patch_values = self.patch[0] * self.patch[1] * self.patch[2] * self.out_channels
        self.final_layer = FinalLayer(hidden_size, patch_values)

    def forward(
        self,
        x: Tensor,
        timestep: Tensor,
        y: Tensor,
        *,
        text_mask: Tensor,
        x_mask: Tensor,
        frame_indice: Tensor,
        fps: Tensor,
    ) -> Tensor:
        """(b, 24, f, h, w) -> (b, 48, f, h, w); the first 24 channels are the velocity.

        timestep (b,) in [0, 1000]; y (b, 1, s, d) with text_mask (b, s), true = a word;
        x_mask (b, f), true = noisy; frame_indice (b, f + 2); fps (b,).
        """
        noisy = F.pad(x_mask, (1, 1))
        time = self.t_embedder(timestep[:, None] * noisy) + self.fps_embedder(fps)[:, None]
        six = self.t_block(time).unflatten(-1, (6, -1))
        text = self.y_embedder(y[:, 0])

        grid = self.x_embedder(x)
        start, end = (e.expand(len(x), 1, -1) for e in (self.start_token, self.end_token))
        tokens = torch.cat([start, grid.flatten(2).transpose(1, 2), end], dim=1)
        height, width = grid.shape[3:]
        angles = rotary_angles(frame_indice, height, width, tokens.shape[-1] // self.heads)
        angles = angles.to(torch.promote_types(x.dtype, torch.float32))
        rotation = torch.polar(torch.ones_like(angles), angles)
        for block in self.blocks:
            tokens = self.run_block(block, tokens, text, text_mask.bool(), six, rotation)
        return self._unpatchify(self.final_layer(tokens, time)[:, 1:-1], x.shape, grid.shape)

    def _unpatchify(self, tokens: Tensor, shape: torch.Size, grid: torch.Size) -> Tensor:
        """(b, n, values of a patch in the order f h w c) -> (b, c, f, h, w), without padding."""
        split = tokens.unflatten(2, (*self.patch, -1)).unflatten(1, tuple(grid[2:]))
        x = split.permute(0, 7, 1, 4, 2, 5, 3, 6)
        x = x.flatten(6, 7).flatten(4, 5).flatten(2, 3)
        return x[:, :, : shape[2], : shape[3], : shape[4]]
