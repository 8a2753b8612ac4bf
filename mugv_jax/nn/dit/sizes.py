# Copyright 2026 The mugv_jax Authors
# SPDX-License-Identifier: Apache-2.0
"""Sizes that code shared by several diffusion transformers reads from their configs."""

from typing import Protocol, runtime_checkable


@runtime_checkable
class DiTSizes(Protocol):
    """Sizes of every diffusion transformer; `patch` is (frames, rows, columns) of a latent."""

    @property
    def depth(self) -> int: ...

    @property
    def width(self) -> int: ...

    @property
    def num_heads(self) -> int: ...

    @property
    def patch(self) -> tuple[int, int, int]: ...

    @property
    def out_channels(self) -> int: ...


@runtime_checkable
class BlockSizes(DiTSizes, Protocol):
    """Sizes of a transformer whose blocks have one MLP each."""

    @property
    def mlp_dim(self) -> int: ...


@runtime_checkable
class StreamSizes(DiTSizes, Protocol):
    """Sizes of a transformer whose blocks have separate streams for video and text."""

    @property
    def head_dim(self) -> int: ...
