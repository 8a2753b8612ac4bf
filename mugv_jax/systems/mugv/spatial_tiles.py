# Copyright 2026 The mugv_jax Authors
# SPDX-License-Identifier: Apache-2.0
"""Spatial half of the video VAE tile by tile, equal to whole frames up to rounding.

Small pictures are processed whole. The largest ones (`spatial.TILED_SCALES`) are cut into cells,
and the parts of the network (at most one ResBlock each) run over all of them in turn. A tile is a
cell with the halo that the convolutions of the part reach. At the border of the picture tiles are
moved inward, so that convolutions pad where they pad whole frames.

A GroupNorm takes the statistics of the whole picture, from those of the cells i:

    n = sum n_i,   mean = sum n_i mean_i / n,   n var = sum n_i (var_i + (mean_i - mean)^2)

(T. Chan, G. Golub and R. LeVeque, "Updating formulae and a pairwise algorithm for computing sample
variances", 1979). Therefore a part first runs up to its first norm, then up to its second, then to
its end. At the published sizes, this is 1.8 times the arithmetic of whole frames to decode and 1.3
times to encode. Input and output of a part are whole pictures in the device's memory; all between
them exists for one tile only.
"""

import dataclasses
import functools
import itertools
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple, cast

import einops
import flax.linen as nn
import jax
import jax.numpy as jnp

from mugv_jax.axes import Array, Bool, Float, Int, Pixels
from mugv_jax.nn.conv import Conv2d, GroupNorm, RepeatedConv2d, Statistics, group_mean
from mugv_jax.nn.vae.autoencoder import Features, VideoVAE
from mugv_jax.nn.vae.spatial import PictureAttention, SpatialDecoder, SpatialEncoder
from mugv_jax.systems.tiles import Span, Tiling, spans_of

FRAMES = ("frames", None, None, None)
Picture = Float[Array, "_b _h _w _c"]  # all frames of all samples
Spot = Int[Array, "3 2"]  # where slice, cell and new positions begin, in rows and columns


def encode_features(vae: VideoVAE, variables: Any, pixels: Pixels, tiling: Tiling) -> Features:
    """`VideoVAE.encode_features`, tile by tile."""
    rows = pixels.shape[2] // vae.config.spatial_factor
    x = _run(vae, "spatial_encoder", variables, _folded(pixels), tiling, rows)
    return _unfolded(x, pixels.shape[1]) * vae.config.scaling_factor


def decode_pixels(vae: VideoVAE, variables: Any, features: Features, tiling: Tiling) -> Pixels:
    """`VideoVAE.decode_pixels`, tile by tile."""
    x = _folded(features / vae.config.scaling_factor)
    x = _run(vae, "spatial_decoder", variables, x, tiling, features.shape[2])
    return _unfolded(x, features.shape[1])


@jax.jit
def _folded(x: Features) -> Picture:
    # As in `VideoVAE.decode_pixels`: frames are gathered before they are split.
    x = nn.with_logical_constraint(x, ("batch", None, None, None, None))
    return nn.with_logical_constraint(einops.rearrange(x, "b f h w c -> (b f) h w c"), FRAMES)


@functools.partial(jax.jit, static_argnames="frames")
def _unfolded(x: Picture, frames: int) -> Features:
    return einops.rearrange(x, "(b f) h w c -> b f h w c", f=frames)


def _run(
    vae: VideoVAE, half: str, variables: Any, x: Picture, tiling: Tiling, latent_rows: int
) -> Picture:
    """Result of the half of this name for whole pictures.

    Every part is a program of its own: in one program XLA keeps the pictures of all of them.
    """
    module, own = getattr(vae.bind(variables), half).unbind()
    for number in range(module.num_parts):
        x = _run_part(module, number, own, x, tiling, latent_rows)
    return x


@functools.partial(jax.jit, static_argnames=("module", "number", "tiling", "latent_rows"))
def _run_part(
    module: SpatialEncoder | SpatialDecoder,
    number: int,
    variables: Any,
    x: Picture,
    tiling: Tiling,
    latent_rows: int,
) -> Picture:
    def apply(x: Picture, seen: _Pass) -> Picture:
        with nn.intercept_methods(seen):
            return cast(Picture, module.apply(variables, x, number))

    x = nn.with_logical_constraint(x, FRAMES)
    seen = _Pass()
    y = jax.eval_shape(functools.partial(apply, seen=seen), x)
    if seen.attends:
        return apply(x, _Pass())
    size = min(x.shape[1:3], y.shape[1:3])
    zoom = size[0] // latent_rows
    halo = -(-seen.reach // (seen.inputs[0].shape[1] // size[0]))
    cells = tiling.rows * zoom, tiling.columns * zoom
    part = _Part(apply, x, size, [spans_of(*axis, halo) for axis in zip(size, cells)])
    statistics = []
    for each in seen.inputs:
        statistics.append(part.next_statistics(statistics, each.shape))
    return part.output(statistics, y.shape)


@dataclasses.dataclass
class _Pass:
    """What a run through a part calls, and the statistics that it gives to the first norms.

    inputs: those of the norms, in the order of their calls.
    groups: number of groups of the norms.
    reach: positions on every side on which the convolutions, one after another, depend.
    attends: whether every position depends on all others.
    """

    statistics: Sequence[Statistics] = ()
    inputs: list[Array] = dataclasses.field(default_factory=list)
    groups: int = 1
    reach: int = 0
    attends: bool = False

    def __call__(self, call: Callable, args: tuple, kwargs: dict, context: Any) -> Any:
        """Flax calls this in place of every method of a module (`nn.intercept_methods`)."""
        if context.method_name == "__call__":
            match context.module:
                case GroupNorm():
                    known = self.statistics[len(self.inputs) :][:1]
                    self.inputs.append(args[0])
                    self.groups = context.module.groups
                    return call(*args, *known)
                case Conv2d() | RepeatedConv2d():
                    self.reach += context.module.window // 2
                case PictureAttention():
                    self.attends = True
        return call(*args, **kwargs)


class _Moments(NamedTuple):
    """Number of positions; mean and sum of squared deviations per sample and group.

    Both are repeated for the channels of a group.
    """

    count: Float[Array, ""]
    mean: Float[Array, "b 1 1 c"]
    squares: Float[Array, "b 1 1 c"]

    @classmethod
    def of(cls, x: Picture, counted: Bool[Array, "_h _w"], groups: int) -> "_Moments":
        """Moments of the positions that are `counted`."""
        weight = counted[None, :, :, None].astype(jnp.float32)
        count = jnp.sum(weight)
        total = functools.partial(jnp.sum, axis=(1, 2), keepdims=True)
        mean = group_mean(total(x * weight) / count, groups)
        return cls(count, mean, group_mean(total(jnp.square(x - mean) * weight), groups))

    def merged(self, other: "_Moments") -> "_Moments":
        """Moments of both together."""
        count = self.count + other.count
        shift, share = other.mean - self.mean, other.count / count
        squares = self.squares + other.squares + jnp.square(shift) * (self.count * share)
        return _Moments(count, self.mean + shift * share, squares)


@dataclasses.dataclass(frozen=True)
class _Part:
    """A part of the network over the tiles of its input `x`.

    size: rows and columns of the coarsest picture of the part; a finer one has a multiple of them.
    spans: of rows and of columns, in positions of that picture.
    """

    apply: Callable[[Picture, _Pass], Picture]
    x: Picture
    size: tuple[int, ...]
    spans: Sequence[Sequence[Span]]

    def next_statistics(self, known: Sequence[Statistics], shape: tuple[int, ...]) -> Statistics:
        """Statistics of the next norm, whose input has this shape, from those of the norms before.

        XLA removes the computation of what comes after that norm.
        """
        zoom = shape[1] // self.size[0]

        def add(total: _Moments, spot: Spot) -> tuple[_Moments, None]:
            seen = _Pass(known)
            self.apply(self._slice(spot), seen)
            counted = self._counted(spot * zoom, zoom)
            return total.merged(_Moments.of(seen.inputs[len(known)], counted, seen.groups)), None

        zeros = jnp.zeros((shape[0], 1, 1, shape[3]))
        moments, _ = jax.lax.scan(add, _Moments(jnp.zeros(()), zeros, zeros), self._spots)
        return moments.mean, moments.squares / moments.count

    def output(self, statistics: Sequence[Statistics], shape: tuple[int, ...]) -> Picture:
        """Output, of this shape, of the whole picture."""
        zoom = shape[1] // self.size[0]
        cell = [_length(spans[0].cell) * zoom for spans in self.spans]

        def write(canvas: Picture, spot: Spot) -> tuple[Picture, None]:
            y = self.apply(self._slice(spot), _Pass(statistics))
            y = _sliced(y, (spot[1] - spot[0]) * zoom, cell)
            row, column = spot[1] * zoom
            return jax.lax.dynamic_update_slice(canvas, y, (0, row, column, 0)), None

        canvas = nn.with_logical_constraint(jnp.zeros(shape), FRAMES)
        return jax.lax.scan(write, canvas, self._spots)[0]

    @property
    def _spots(self) -> Int[Array, "tiles 3 2"]:
        starts = [[(s.outer.start, s.cell.start, s.new) for s in spans] for spans in self.spans]
        return jnp.asarray([list(zip(*pair)) for pair in itertools.product(*starts)], jnp.int32)

    def _slice(self, spot: Spot) -> Picture:
        zoom = self.x.shape[1] // self.size[0]
        return _sliced(self.x, spot[0] * zoom, [_length(s[0].outer) * zoom for s in self.spans])

    def _counted(self, spot: Spot, zoom: int) -> Bool[Array, "_h _w"]:
        """Positions of a slice that belong to its cell and to no earlier one."""
        inside = []
        for axis, spans in enumerate(self.spans):
            low, start, new = spot[:, axis]
            at = low + jnp.arange(_length(spans[0].outer) * zoom)
            inside.append((at >= new) & (at < start + _length(spans[0].cell) * zoom))
        rows, columns = inside
        return rows[:, None] & columns[None]


def _length(span: slice) -> int:
    return span.stop - span.start


def _sliced(x: Picture, start: Int[Array, "2"], sides: Sequence[int]) -> Picture:
    """Rows and columns from `start`."""
    row, column = start
    return jax.lax.dynamic_slice(x, (0, row, column, 0), (x.shape[0], *sides, x.shape[3]))
