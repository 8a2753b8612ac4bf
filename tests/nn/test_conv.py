# Copyright 2026 The mugv_jax Authors
# SPDX-License-Identifier: Apache-2.0
import functools

import einops
import jax
import jax.numpy as jnp
import numpy as np
import pytest
import torch
import torch.nn.functional as F

from mugv_jax.nn import conv, winograd

# Float32 rounding of a sum of a few thousand products, several times over.
ROUNDING = 2e-6
# Gradients sum over positions besides.
GRADIENT_ROUNDING = 1e-5


def normal(seed: int, *shape: int) -> jax.Array:
    return jax.random.normal(jax.random.key(seed), shape)


def relative_error(actual, expected) -> float:
    actual, expected = np.asarray(actual, np.float64), np.asarray(expected, np.float64)
    return np.linalg.norm(actual - expected) / np.linalg.norm(expected)


def torch_conv(x, kernel, stride: int, padding: tuple[tuple[int, int], ...]) -> np.ndarray:
    """Float64 convolution of (b ... c) by (... c_in c_out), stride on the first axis of 3D only."""
    dims = kernel.ndim - 2
    x, kernel = (torch.tensor(np.asarray(a, np.float64)) for a in (x, kernel))
    pads = [pad for axis in reversed(padding) for pad in axis]
    x = F.pad(einops.rearrange(x, "b ... c -> b c ..."), pads)
    kernel = einops.rearrange(kernel, "... i o -> o i ...")
    if dims == 2:
        y = F.conv2d(x, kernel, stride=stride)
    else:
        y = F.conv3d(x, kernel, stride=(stride, 1, 1))
    return einops.rearrange(y, "b c ... -> b ... c").numpy()


@pytest.mark.parametrize(("stride", "padding"), [(1, (1, 1)), (2, (0, 1))])
@pytest.mark.parametrize("channels", [(3, 8), (128, 128)])
def test_conv2d_is_the_plain_convolution_narrow_and_wide(channels, stride, padding):
    x, kernel = normal(0, 2, 17, 34, channels[0]), normal(1, 3, 3, *channels)
    y = jax.jit(functools.partial(conv.conv2d, stride=stride, padding=padding))(x, kernel)
    assert relative_error(y, torch_conv(x, kernel, stride, (padding, padding))) < ROUNDING


@pytest.mark.parametrize(("channels", "small"), [(8, True), (8, False), (128, False)])
@pytest.mark.parametrize("frames", [1, 2, 5])
def test_conv3d_is_the_plain_convolution_for_any_number_of_frames(
    frames, channels, small, monkeypatch
):
    if not small:
        monkeypatch.setattr(conv, "SMALL_PRODUCTS", 0)
    x, kernel = normal(0, 1, frames, 33, 32, channels), normal(1, 3, 3, 3, channels, channels)
    y = jax.jit(conv.conv3d)(x, kernel)
    assert relative_error(y, torch_conv(x, kernel, 1, ((1, 1),) * 3)) < ROUNDING


@pytest.mark.parametrize("small", [True, False])
def test_conv3d_without_padding_in_time_reads_only_frames_that_are_there(small, monkeypatch):
    if not small:
        monkeypatch.setattr(conv, "SMALL_PRODUCTS", 0)
    x, kernel = normal(0, 2, 5, 4, 6, 8), normal(1, 3, 3, 3, 8, 16)
    y = jax.jit(functools.partial(conv.conv3d, padding=(0, 0)))(x, kernel)
    assert relative_error(y, torch_conv(x, kernel, 1, ((0, 0), (1, 1), (1, 1)))) < ROUNDING


@pytest.mark.parametrize("frames", [2, 8])
def test_conv3d_with_a_stride_in_time_pads_the_odd_frame_behind(frames):
    x, kernel = normal(0, 2, frames, 4, 6, 8), normal(1, 3, 3, 3, 8, 16)
    y = jax.jit(functools.partial(conv.conv3d, stride=2))(x, kernel)
    assert relative_error(y, torch_conv(x, kernel, 2, ((0, 1), (1, 1), (1, 1)))) < ROUNDING


@pytest.mark.parametrize("small", [True, False])
@pytest.mark.parametrize("size", [(4, 6), (5, 3)])
def test_repeated_convolution_is_that_of_the_repeated_picture(size, small, monkeypatch):
    if not small:
        monkeypatch.setattr(conv, "SMALL_PRODUCTS", 0)
    x, kernel = normal(0, 2, *size, 8), normal(1, 3, 3, 8, 16)
    repeated = einops.repeat(x, "b h w c -> b (h p) (w q) c", p=2, q=2)
    expected = torch_conv(repeated, kernel, 1, ((1, 1), (1, 1)))
    assert relative_error(jax.jit(conv.conv2d_repeated)(x, kernel), expected) < ROUNDING


@pytest.mark.parametrize(
    "operator", [winograd.conv3x3, winograd.conv3x3_repeated], ids=["f23", "repeated"]
)
def test_gradients_are_those_of_the_plain_convolution(operator):
    x, kernel = normal(0, 2, 5, 6, 4), normal(1, 3, 3, 4, 3)

    def plain(x, kernel):
        if operator is winograd.conv3x3_repeated:
            x = einops.repeat(x, "b h w c -> b (h p) (w q) c", p=2, q=2)
        return jax.lax.conv_general_dilated(
            x, kernel, (1, 1), "SAME", dimension_numbers=("NHWC", "HWIO", "NHWC")
        )

    weight = normal(2, *jax.eval_shape(plain, x, kernel).shape)
    gradients = (
        jax.jit(jax.grad(lambda *args, f=f: jnp.vdot(f(*args), weight), argnums=(0, 1)))(x, kernel)
        for f in (operator, plain)
    )
    for actual, expected in zip(*gradients, strict=True):
        assert relative_error(actual, expected) < GRADIENT_ROUNDING


@pytest.mark.parametrize("dtype", [jnp.float32, jnp.bfloat16])
def test_gpu_and_tpu_take_one_convolution_as_it_stands_and_get_the_same(dtype, monkeypatch):
    x = normal(0, 1, 4, 6, 8, 16)
    modules = (
        (conv.TemporalConv(16, dtype=dtype), x),
        (conv.TemporalConv(16, stride=2, dtype=dtype), x),
        (conv.Conv2d(16, dtype=dtype), x[0]),
        (conv.RepeatedConv2d(16, dtype=dtype), x[0]),
    )
    for module, inputs in modules:
        variables = module.init(jax.random.key(1), inputs)
        on_cpu = jax.jit(module.apply)(variables, inputs)
        with monkeypatch.context() as patch:
            patch.setattr(conv.select, "platform", lambda: "gpu")
            elsewhere = jax.jit(module.apply).lower(variables, inputs)
        assert elsewhere.as_text().count("stablehlo.convolution") == 1
        y = elsewhere.compile()(variables, inputs)
        assert y.dtype == on_cpu.dtype == jnp.float32
        assert relative_error(y, on_cpu) < ROUNDING


@pytest.mark.parametrize("shape", [(2, 5, 7, 64), (2, 3, 4, 5, 96)])
def test_group_norm_is_pytorchs_also_far_from_zero(shape):
    x = normal(0, *shape) + 50
    scale, bias = normal(1, shape[-1]), normal(2, shape[-1])
    variables = {"params": {"scale": scale, "bias": bias}}
    y = jax.jit(conv.GroupNorm(1e-5).apply)(variables, x)
    expected = F.group_norm(
        einops.rearrange(torch.tensor(np.asarray(x, np.float64)), "b ... c -> b c ..."),
        32,
        torch.tensor(np.asarray(scale, np.float64)),
        torch.tensor(np.asarray(bias, np.float64)),
        1e-5,
    )
    expected = einops.rearrange(expected.numpy(), "b c ... -> b ... c")
    assert relative_error(y, expected) < GRADIENT_ROUNDING
