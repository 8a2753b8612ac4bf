# Copyright 2026 The mugv_jax Authors
# SPDX-License-Identifier: Apache-2.0
"""2D and 3D convolutions, channels last, in the fastest form for the platform; GroupNorm.

Kernels have the same layout in every form: (kh kw c_in c_out), or (kt kh kw c_in c_out) in 3D. GPUs
and TPUs run the convolution as it is. On a CPU, a 3D convolution is a sum of 2D convolutions over
its time taps, which multiplies no frame of padding, wide 3x3 kernels go through `winograd`, and
small convolutions have the form that compiles soonest.

Convolutions round their operands to the compute dtype and accumulate in float32; results, norms and
everything between convolutions stay float32. Half precision throughout would be up to twice as fast
on a GPU, at nearly twice the error: more than 2e-2 on the golden case.
"""

import functools
import math
from collections.abc import Callable, Iterable
from typing import ClassVar, NamedTuple

import einops
import flax.linen as nn
import jax
import jax.numpy as jnp
from jax.typing import DTypeLike

from mugv_jax.axes import Array, Float
from mugv_jax.kernels import select
from mugv_jax.nn import winograd
from mugv_jax.nn.layers import match_rank, partitioned

# Below these sizes the transforms of `winograd` cost more than the products that they save.
FAST_CHANNELS = 128
FAST_POSITIONS = 1024
# Above this many values the transforms take too much memory: four times the input and the output.
FAST_VALUES = 2**26
# With fewer products (positions x c_in x c_out) a convolution has the form that compiles soonest: a
# call takes a millisecond or so longer, and compiling it 50 to 500 ms less.
SMALL_PRODUCTS = 2**24

Padding = tuple[int, int]
Operator = Callable[[Array, Array], Array]


def _on_platform(x: Array, kernel: Array, on_cpu: Operator, elsewhere: Operator) -> Array:
    """Apply the platform's operator; on a CPU in float32, the dtype in which it is fast."""
    if select.platform() == "cpu":
        return on_cpu(x.astype(jnp.float32), kernel.astype(jnp.float32))
    return elsewhere(x, kernel)


def _direct(x: Array, kernel: Array, stride: int, padding: Padding) -> Array:
    return jax.lax.conv_general_dilated(
        x,
        kernel,
        (stride, stride),
        (padding, padding),
        dimension_numbers=("NHWC", "HWIO", "NHWC"),
        preferred_element_type=jnp.float32,
    )


def _fits_memory(positions: int, kernel: Array) -> bool:
    """Whether input and output with this many positions stay within FAST_VALUES."""
    return positions * max(kernel.shape[-2:]) <= FAST_VALUES


def _is_small(positions: int, kernel: Array) -> bool:
    """Whether this convolution costs less to run than to compile in its fastest form."""
    return positions * math.prod(kernel.shape[-2:]) < SMALL_PRODUCTS


def _winograd_pays(positions: int, kernel: Array) -> bool:
    """Whether `winograd.conv3x3` is the faster form on a CPU for this many positions."""
    enough = min(kernel.shape[-2:]) >= FAST_CHANNELS and positions >= FAST_POSITIONS
    return enough and _fits_memory(positions, kernel)


def conv2d(
    x: Float[Array, "b h w c_in"],
    kernel: Float[Array, "kh kw c_in c_out"],
    stride: int = 1,
    padding: Padding = (1, 1),
) -> Float[Array, "b h2 w2 c_out"]:
    """2D convolution with `padding` zeros (before, after) on both picture axes; float32."""
    direct = functools.partial(_direct, stride=stride, padding=padding)
    same = kernel.shape[:2] == (3, 3) and stride == 1 and padding == (1, 1)
    fast = same and _winograd_pays(math.prod(x.shape[:-1]), kernel)
    return _on_platform(x, kernel, winograd.conv3x3 if fast else direct, direct)


def conv2d_repeated(
    x: Float[Array, "b h w c_in"], kernel: Float[Array, "3 3 c_in c_out"]
) -> Float[Array, "b h2 w2 c_out"]:
    """3x3 convolution of the picture enlarged twofold (nearest neighbour); float32."""

    def direct(x: Array, kernel: Array) -> Array:
        repeated = einops.repeat(x, "b h w c -> b (h p) (w q) c", p=2, q=2)
        return _direct(repeated, kernel, stride=1, padding=(1, 1))

    positions = math.prod(x.shape[:-1])
    fast = _fits_memory(4 * positions, kernel) and not _is_small(positions, kernel)
    return _on_platform(x, kernel, winograd.conv3x3_repeated if fast else direct, direct)


def time_padding(taps: int, stride: int) -> Padding:
    """Number of zero frames (before, after); an odd one goes after (published `CausalConv3d`)."""
    total = taps - 1 + (1 - stride)
    return total // 2, total - total // 2


class _Tap(NamedTuple):
    """A time tap that reaches a frame for at least one output.

    number: index in the kernel.
    start, stop, stride: frames of the input that it reads.
    zeros: number of outputs (before, after) for which it reads padding only.
    """

    number: int
    start: int
    stop: int
    stride: int
    zeros: Padding

    def frames(self, x: Float[Array, "b f ..."]) -> Float[Array, "b _f ..."]:
        """The frames of `x` that it reads."""
        return jax.lax.slice_in_dim(x, self.start, self.stop, self.stride, axis=1)


def _taps_of(frames: int, taps: int, stride: int, padding: Padding) -> list[_Tap]:
    """Taps of y[f] = sum_k x[stride f + k - before] kernel[k]."""
    before, after = padding
    count = (frames + before + after - taps) // stride + 1
    reaching = []
    for k in range(taps):
        first = max(0, math.ceil((before - k) / stride))
        last = min(count - 1, (frames - 1 + before - k) // stride)
        if first <= last:
            start, stop = (stride * f + k - before for f in (first, last))
            reaching.append(_Tap(k, start, stop + 1, stride, (first, count - 1 - last)))
    return reaching


def _sum_of_taps(products: Iterable[tuple[_Tap, Array]]) -> Array:
    """Sum of the products of all taps, each at its outputs."""
    placed = (
        jnp.pad(product, [(0, 0), tap.zeros, *[(0, 0)] * (product.ndim - 2)])
        for tap, product in products
    )
    return functools.reduce(jnp.add, placed)


def _tap_by_tap(
    x: Float[Array, "b f h w c_in"],
    kernel: Float[Array, "kt k k c_in c_out"],
    stride: int,
    padding: Padding,
) -> Array:
    """Sum of a 2D convolution for each time tap, over the frames that it reaches.

    With `winograd` inside, the published VAE takes half as much time again to compile, and none
    less to run (measured at 96 x 64 pixels).
    """
    taps = _taps_of(x.shape[1], kernel.shape[0], stride, padding)
    return _sum_of_taps((tap, _conv_each_frame(tap.frames(x), kernel[tap.number])) for tap in taps)


def _taps_together(
    x: Float[Array, "b f h w c_in"],
    kernel: Float[Array, "kt k k c_in c_out"],
    stride: int,
    padding: Padding,
) -> Array:
    """Result of `_tap_by_tap`, from one 2D convolution with the outputs of all taps.

    A program has a third as many convolutions, and compiles in half the time.
    """
    taps = _taps_of(x.shape[1], kernel.shape[0], stride, padding)
    low, high = taps[0].number, taps[-1].number
    kernel = einops.rearrange(kernel[low : high + 1], "kt kh kw i o -> kh kw i (kt o)")
    products = jnp.split(_conv_each_frame(x, kernel), high + 1 - low, axis=-1)
    return _sum_of_taps((tap, tap.frames(products[tap.number - low])) for tap in taps)


def _conv_each_frame(x: Array, kernel: Array) -> Array:
    """2D convolution of each frame."""
    y = einops.rearrange(x, "b f h w c -> (b f) h w c")
    half = kernel.shape[0] // 2
    y = _direct(y, kernel, stride=1, padding=(half, half))
    return einops.rearrange(y, "(b f) h w c -> b f h w c", b=x.shape[0])


def conv3d(
    x: Float[Array, "b f h w c_in"],
    kernel: Float[Array, "kt k k c_in c_out"],
    stride: int = 1,
    padding: Padding | None = None,
) -> Float[Array, "b f2 h w c_out"]:
    """Zero-padded 3D convolution that keeps the picture size; `stride` is in time only; float32.

    padding: number of zero frames (before, after); `time_padding` by default.
    """
    taps, window = kernel.shape[:2]
    half = window // 2
    padding = time_padding(taps, stride) if padding is None else padding

    def direct(x: Array, kernel: Array) -> Array:
        return jax.lax.conv_general_dilated(
            x,
            kernel,
            (stride, 1, 1),
            (padding, (half, half), (half, half)),
            dimension_numbers=("NDHWC", "DHWIO", "NDHWC"),
            preferred_element_type=jnp.float32,
        )

    small = stride == 1 and _is_small(math.prod(x.shape[:-1]), kernel)
    on_cpu = functools.partial(
        _taps_together if small else _tap_by_tap, stride=stride, padding=padding
    )
    return _on_platform(x, kernel, on_cpu, direct)


class _Conv(nn.Module):
    """Base of the convolution modules: kernel, bias and the dtype of the operands."""

    features: int
    dtype: DTypeLike
    use_bias: bool = True

    def _convolve(self, x: Array, window: tuple[int, ...], operator: Operator) -> Array:
        shape = (*window, x.shape[-1], self.features)
        axes = (*[None] * len(window), "conv_in", "conv_out")
        init = nn.initializers.normal(1 / math.sqrt(math.prod(shape[:-1])))
        kernel = self.param("kernel", partitioned(init, *axes), shape).astype(self.dtype)
        x = x.astype(self.dtype)
        if set(window) == {1}:
            matrix = kernel.reshape(shape[-2:])
            contract = (((x.ndim - 1,), (0,)), ((), ()))
            y = jax.lax.dot_general(x, matrix, contract, preferred_element_type=jnp.float32)
        else:
            y = operator(x, kernel)
        if self.use_bias:
            init = partitioned(nn.initializers.zeros, "conv_out")
            bias = self.param("bias", init, (self.features,))
            y = y + match_rank(bias.astype(jnp.float32), y)
        return y


class Conv2d(_Conv):
    """Convolution over the picture with `padding` zeros (before, after) on both axes."""

    window: int = 3
    stride: int = 1
    padding: Padding = (1, 1)

    @nn.compact
    def __call__(self, x: Float[Array, "b h w c"]) -> Float[Array, "b h2 w2 d"]:
        operator = functools.partial(conv2d, stride=self.stride, padding=self.padding)
        return self._convolve(x, (self.window,) * 2, operator)


class RepeatedConv2d(_Conv):
    """Twofold enlargement by repeating pixels, then a 3x3 convolution."""

    window: ClassVar[int] = 3

    @nn.compact
    def __call__(self, x: Float[Array, "b h w c"]) -> Float[Array, "b h2 w2 d"]:
        return self._convolve(x, (self.window,) * 2, conv2d_repeated)


class TemporalConv(_Conv):
    """Convolution over frames and picture, zero-padded on both sides of time, hence not causal.

    Published as `CausalConv3d`. `stride` is in time only.
    """

    window: int = 3
    stride: int = 1

    @nn.compact
    def __call__(self, x: Float[Array, "b f h w c"]) -> Float[Array, "b f2 h w d"]:
        operator = functools.partial(conv3d, stride=self.stride)
        return self._convolve(x, (self.window,) * 3, operator)


class UnpaddedTimeConv(_Conv):
    """Convolution that zero-pads the picture but not time, so that the frames become fewer.

    The input includes the `window[0] - 1` earlier frames that the first output reads. `stride` is
    in time only.
    """

    window: tuple[int, int, int] = (3, 3, 3)
    stride: int = 1

    @nn.compact
    def __call__(self, x: Float[Array, "b f h w c"]) -> Float[Array, "b f2 h w d"]:
        operator = functools.partial(conv3d, stride=self.stride, padding=(0, 0))
        return self._convolve(x, self.window, operator)


class CausalConv(_Conv):
    """Convolution over the picture and over each frame with the frames before it: causal.

    first: see `prepend_past_frames`.
    """

    window: int = 3
    first: bool = True

    @nn.compact
    def __call__(self, x: Float[Array, "b f h w c"]) -> Float[Array, "b f h w d"]:
        if self.window > 1:
            x = prepend_past_frames(self, x, self.window - 1, first=self.first)
        return self._convolve(x, (self.window,) * 3, functools.partial(conv3d, padding=(0, 0)))


def prepend_past_frames(
    module: nn.Module, x: Float[Array, "b f *rest"], count: int, *, first: bool
) -> Float[Array, "b f2 *rest"]:
    """The `count` frames before `x`, which the last call left in the collection "cache", then `x`.

    Both are in the module's dtype, to which its convolution rounds them anyway: this keeps the
    cache small.

    first: `x` starts the video, and the frames before it are zeros.
    """
    x = x.astype(module.dtype)
    if first:
        before = jnp.zeros((x.shape[0], count, *x.shape[2:]), x.dtype)
    else:
        before = module.get_variable("cache", "frames")
    joined = jnp.concatenate([before, x], axis=1)
    if module.is_mutable_collection("cache") and not module.is_initializing():
        module.put_variable("cache", "frames", joined[:, -count:])
    return joined


Statistics = tuple[Float[Array, "b ... _c"], Float[Array, "b ... _c"]]  # mean, variance


def group_mean(x: Float[Array, "b *ones c"], groups: int) -> Float[Array, "b *ones c"]:
    """Mean over each group of channels, repeated for its channels."""
    mean = einops.reduce(x, "b ... (g c) -> b ... g", "mean", g=groups)
    return jnp.repeat(mean, x.shape[-1] // groups, axis=-1)


class GroupNorm(nn.Module):
    """(x - mean) / sqrt(variance + epsilon) * scale + bias per sample and channel; float32.

    Mean and variance are taken over all positions and over the channels of a group, unless
    `statistics` gives them, each repeated for the channels of a group: those of a picture of which
    `x` is a part.
    """

    epsilon: float
    groups: int = 32

    @nn.compact
    def __call__(
        self, x: Float[Array, "b *positions c"], statistics: Statistics | None = None
    ) -> Float[Array, "b *positions c"]:
        scale, bias = (
            self.param(name, partitioned(init, "conv_out"), x.shape[-1:]).astype(jnp.float32)
            for name, init in (("scale", nn.initializers.ones), ("bias", nn.initializers.zeros))
        )
        y = x.astype(jnp.float32)
        if statistics is None:
            y = y - self._mean(y)
            variance = self._mean(jnp.square(y))
        else:
            mean, variance = statistics
            y = y - mean
        gain = jax.lax.rsqrt(variance + self.epsilon) * match_rank(scale, variance)
        return y * gain + match_rank(bias, y)

    def _mean(self, x: Float[Array, "b *positions c"]) -> Float[Array, "b *ones c"]:
        """Mean over all positions and over each group, repeated for its channels."""
        positions = tuple(range(1, x.ndim - 1))
        return group_mean(jnp.mean(x, positions, keepdims=True), self.groups)
