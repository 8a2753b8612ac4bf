# Copyright 2026 The mugv_jax Authors
# SPDX-License-Identifier: Apache-2.0
"""Modulation in Triton: a program takes one tile of the tokens of one sample.

All tokens of a tile (`modulate_tiles.py`) are of one group, so its vectors are read once. A token
is a row of D values in a block of BLOCK, the next power of two. Pointers have the names of the
arrays in `modulate.py`; `table` describes the tiles, and a `*_sum` has one row for every tile.
"""

# Triton exists for Linux only, and its language has other types than Python's.
# pyright: reportMissingImports=false, reportGeneralTypeIssues=false, reportArgumentType=false

import triton
import triton.language as tl

from mugv_jax.kernels import modulate_formulas

EPSILON = tl.constexpr(modulate_formulas.EPSILON)


@triton.jit
def _tile(table, TILES: tl.constexpr):
    """Group, first token and end of the tile of this program."""
    tile = tl.program_id(0)
    return tl.load(table + tile), tl.load(table + TILES + tile), tl.load(table + 2 * TILES + tile)


@triton.jit
def _row(pointer, number, inside, D: tl.constexpr, BLOCK: tl.constexpr):
    """Row `number` of an array with D values a row, as float32, padded with zeros."""
    at = pointer + number.to(tl.int64) * D + tl.arange(0, BLOCK)
    return tl.load(at, mask=inside, other=0.0).to(tl.float32)


@triton.jit
def _put(pointer, number, inside, value, D: tl.constexpr, BLOCK: tl.constexpr):
    """Write row `number` of an array with D values a row."""
    at = pointer + number.to(tl.int64) * D + tl.arange(0, BLOCK)
    tl.store(at, value.to(pointer.dtype.element_ty), mask=inside)


@triton.jit
def _normalized(x, inside, D: tl.constexpr):
    """x^ = (x - mean) / sqrt(var + epsilon), and 1 / sqrt(var + epsilon)."""
    x = tl.where(inside, x - tl.sum(x, axis=0) / D, 0.0)
    inverse = tl.rsqrt(tl.sum(x * x, axis=0) / D + EPSILON)
    return x * inverse, inverse


@triton.jit
def _norm_derivative(x_hat, inverse, d_hat, D: tl.constexpr):
    """d_x = (d_x^ - mean(d_x^) - x^ mean(d_x^ x^)) / sqrt(var + epsilon)."""
    d_x = d_hat - tl.sum(d_hat, axis=0) / D - x_hat * (tl.sum(d_hat * x_hat, axis=0) / D)
    return inverse * d_x


@triton.jit
def norm_modulate(
    table, x, shift, scale, y,
    N: tl.constexpr, G: tl.constexpr, D: tl.constexpr, TILES: tl.constexpr,
    BLOCK: tl.constexpr, STAGES: tl.constexpr,
):  # fmt: skip
    group, start, end = _tile(table, TILES)
    sample = tl.program_id(1)
    inside = tl.arange(0, BLOCK) < D
    shift_row = _row(shift, sample * G + group, inside, D, BLOCK)
    scale_row = _row(scale, sample * G + group, inside, D, BLOCK) + 1
    for token in tl.range(start, end, num_stages=STAGES):
        row = sample * N + token
        x_hat, _ = _normalized(_row(x, row, inside, D, BLOCK), inside, D)
        _put(y, row, inside, x_hat * scale_row + shift_row, D, BLOCK)


@triton.jit
def norm_modulate_backward(
    table, x, d_y, scale, d_x, shift_sum, scale_sum,
    N: tl.constexpr, G: tl.constexpr, D: tl.constexpr, TILES: tl.constexpr,
    BLOCK: tl.constexpr, STAGES: tl.constexpr,
):  # fmt: skip
    group, start, end = _tile(table, TILES)
    sample = tl.program_id(1)
    inside = tl.arange(0, BLOCK) < D
    scale_row = _row(scale, sample * G + group, inside, D, BLOCK) + 1
    d_shift = tl.zeros((BLOCK,), tl.float32)
    d_scale = tl.zeros((BLOCK,), tl.float32)
    for token in tl.range(start, end, num_stages=STAGES):
        row = sample * N + token
        x_hat, inverse = _normalized(_row(x, row, inside, D, BLOCK), inside, D)
        d_row = _row(d_y, row, inside, D, BLOCK)
        result = _norm_derivative(x_hat, inverse, d_row * scale_row, D)
        _put(d_x, row, inside, result, D, BLOCK)
        d_shift += d_row
        d_scale += d_row * x_hat
    tile = sample * TILES + tl.program_id(0)
    _put(shift_sum, tile, inside, d_shift, D, BLOCK)
    _put(scale_sum, tile, inside, d_scale, D, BLOCK)


@triton.jit
def gate_residual(
    table, x, update, bias, gate, out,
    N: tl.constexpr, G: tl.constexpr, D: tl.constexpr, TILES: tl.constexpr,
    BLOCK: tl.constexpr, STAGES: tl.constexpr,
):  # fmt: skip
    group, start, end = _tile(table, TILES)
    sample = tl.program_id(1)
    inside = tl.arange(0, BLOCK) < D
    bias_row = _row(bias, sample * 0, inside, D, BLOCK)
    gate_row = _row(gate, sample * G + group, inside, D, BLOCK)
    for token in tl.range(start, end, num_stages=STAGES):
        row = sample * N + token
        added = gate_row * (_row(update, row, inside, D, BLOCK) + bias_row)
        _put(out, row, inside, _row(x, row, inside, D, BLOCK) + added, D, BLOCK)


@triton.jit
def gate_residual_backward(
    table, update, d_out, gate, d_update, out_sum, product_sum,
    N: tl.constexpr, G: tl.constexpr, D: tl.constexpr, TILES: tl.constexpr,
    BLOCK: tl.constexpr, STAGES: tl.constexpr,
):  # fmt: skip
    group, start, end = _tile(table, TILES)
    sample = tl.program_id(1)
    inside = tl.arange(0, BLOCK) < D
    gate_row = _row(gate, sample * G + group, inside, D, BLOCK)
    total = tl.zeros((BLOCK,), tl.float32)
    product = tl.zeros((BLOCK,), tl.float32)
    for token in tl.range(start, end, num_stages=STAGES):
        row = sample * N + token
        d_row = _row(d_out, row, inside, D, BLOCK)
        _put(d_update, row, inside, gate_row * d_row, D, BLOCK)
        total += d_row
        product += d_row * _row(update, row, inside, D, BLOCK)
    tile = sample * TILES + tl.program_id(0)
    _put(out_sum, tile, inside, total, D, BLOCK)
    _put(product_sum, tile, inside, product, D, BLOCK)


@triton.jit
def gate_residual_norm_modulate(
    table, x, update, bias, gate, shift, scale, out, y,
    N: tl.constexpr, G: tl.constexpr, D: tl.constexpr, TILES: tl.constexpr,
    BLOCK: tl.constexpr, STAGES: tl.constexpr,
):  # fmt: skip
    group, start, end = _tile(table, TILES)
    sample = tl.program_id(1)
    inside = tl.arange(0, BLOCK) < D
    bias_row = _row(bias, sample * 0, inside, D, BLOCK)
    gate_row = _row(gate, sample * G + group, inside, D, BLOCK)
    shift_row = _row(shift, sample * G + group, inside, D, BLOCK)
    scale_row = _row(scale, sample * G + group, inside, D, BLOCK) + 1
    for token in tl.range(start, end, num_stages=STAGES):
        row = sample * N + token
        added = gate_row * (_row(update, row, inside, D, BLOCK) + bias_row)
        # Rounded as it is stored: the norm is that of the stored values.
        value = (_row(x, row, inside, D, BLOCK) + added).to(out.dtype.element_ty)
        _put(out, row, inside, value, D, BLOCK)
        x_hat, _ = _normalized(value.to(tl.float32), inside, D)
        _put(y, row, inside, x_hat * scale_row + shift_row, D, BLOCK)


@triton.jit
def gate_residual_norm_modulate_backward(
    table, out, update, d_out, d_y, gate, scale,
    d_x, d_update, out_sum, product_sum, shift_sum, scale_sum,
    N: tl.constexpr, G: tl.constexpr, D: tl.constexpr, TILES: tl.constexpr,
    BLOCK: tl.constexpr, STAGES: tl.constexpr,
):  # fmt: skip
    group, start, end = _tile(table, TILES)
    sample = tl.program_id(1)
    inside = tl.arange(0, BLOCK) < D
    gate_row = _row(gate, sample * G + group, inside, D, BLOCK)
    scale_row = _row(scale, sample * G + group, inside, D, BLOCK) + 1
    total = tl.zeros((BLOCK,), tl.float32)
    product = tl.zeros((BLOCK,), tl.float32)
    d_shift = tl.zeros((BLOCK,), tl.float32)
    d_scale = tl.zeros((BLOCK,), tl.float32)
    for token in tl.range(start, end, num_stages=STAGES):
        row = sample * N + token
        x_hat, inverse = _normalized(_row(out, row, inside, D, BLOCK), inside, D)
        d_row = _row(d_y, row, inside, D, BLOCK)
        d_shift += d_row
        d_scale += d_row * x_hat
        result = _norm_derivative(x_hat, inverse, d_row * scale_row, D)
        result = tl.where(inside, result + _row(d_out, row, inside, D, BLOCK), 0.0)
        _put(d_x, row, inside, result, D, BLOCK)
        _put(d_update, row, inside, gate_row * result, D, BLOCK)
        total += result
        product += result * _row(update, row, inside, D, BLOCK)
    tile = sample * TILES + tl.program_id(0)
    _put(out_sum, tile, inside, total, D, BLOCK)
    _put(product_sum, tile, inside, product, D, BLOCK)
    _put(shift_sum, tile, inside, d_shift, D, BLOCK)
    _put(scale_sum, tile, inside, d_scale, D, BLOCK)


@triton.jit
def norm_rotate(
    q, scale, cos, sin, out,
    HEADS: tl.constexpr, A: tl.constexpr, K: tl.constexpr,
    ROWS: tl.constexpr, BLOCK: tl.constexpr,
):  # fmt: skip
    """A program takes ROWS of the HEADS = b n a heads, as two halves of K values.

    The A heads of a token share its angles.
    """
    row = tl.program_id(0).to(tl.int64) * ROWS + tl.arange(0, ROWS)[:, None]
    lane = tl.arange(0, BLOCK)[None, :]
    inside = (row < HEADS) & (lane < K)
    dtype = out.dtype.element_ty
    first = tl.load(q + row * 2 * K + lane, mask=inside, other=0.0).to(tl.float32)
    second = tl.load(q + row * 2 * K + K + lane, mask=inside, other=0.0).to(tl.float32)
    c = tl.load(cos + row // A * K + lane, mask=inside, other=0.0)
    s = tl.load(sin + row // A * K + lane, mask=inside, other=0.0)
    square = tl.sum(first * first, axis=1) + tl.sum(second * second, axis=1)
    inverse = tl.rsqrt(square / (2 * K) + EPSILON)[:, None]
    # Rounded after the norm and after the scale, which is the published order.
    first_scale = tl.load(scale + lane, mask=lane < K, other=0.0).to(dtype).to(tl.float32)
    second_scale = tl.load(scale + K + lane, mask=lane < K, other=0.0).to(dtype).to(tl.float32)
    real = (first * inverse).to(dtype).to(tl.float32) * first_scale
    imag = (second * inverse).to(dtype).to(tl.float32) * second_scale
    real, imag = real.to(dtype).to(tl.float32), imag.to(dtype).to(tl.float32)
    tl.store(out + row * 2 * K + lane, (real * c - imag * s).to(dtype), mask=inside)
    tl.store(out + row * 2 * K + K + lane, (real * s + imag * c).to(dtype), mask=inside)


@triton.jit
def norm_rotate_backward(
    q, d_out, scale, cos, sin, d_q, scale_sum,
    HEADS: tl.constexpr, A: tl.constexpr, K: tl.constexpr,
    ROWS: tl.constexpr, BLOCK: tl.constexpr,
):  # fmt: skip
    row = tl.program_id(0).to(tl.int64) * ROWS + tl.arange(0, ROWS)[:, None]
    lane = tl.arange(0, BLOCK)[None, :]
    inside = (row < HEADS) & (lane < K)
    dtype = d_q.dtype.element_ty
    first = tl.load(q + row * 2 * K + lane, mask=inside, other=0.0).to(tl.float32)
    second = tl.load(q + row * 2 * K + K + lane, mask=inside, other=0.0).to(tl.float32)
    real = tl.load(d_out + row * 2 * K + lane, mask=inside, other=0.0).to(tl.float32)
    imag = tl.load(d_out + row * 2 * K + K + lane, mask=inside, other=0.0).to(tl.float32)
    c = tl.load(cos + row // A * K + lane, mask=inside, other=0.0)
    s = tl.load(sin + row // A * K + lane, mask=inside, other=0.0)
    square = tl.sum(first * first, axis=1) + tl.sum(second * second, axis=1)
    inverse = tl.rsqrt(square / (2 * K) + EPSILON)[:, None]
    first, second = first * inverse, second * inverse
    real, imag = real * c + imag * s, imag * c - real * s  # the inverse rotation
    tile = scale_sum + tl.program_id(0) * 2 * K
    sums = tl.arange(0, BLOCK)
    tl.store(tile + sums, tl.sum(real * first, axis=0), mask=sums < K)
    tl.store(tile + K + sums, tl.sum(imag * second, axis=0), mask=sums < K)
    real *= tl.load(scale + lane, mask=lane < K, other=0.0).to(tl.float32)
    imag *= tl.load(scale + K + lane, mask=lane < K, other=0.0).to(tl.float32)
    mean = (tl.sum(real * first, axis=1) + tl.sum(imag * second, axis=1))[:, None] / (2 * K)
    real, imag = inverse * (real - first * mean), inverse * (imag - second * mean)
    tl.store(d_q + row * 2 * K + lane, real.to(dtype), mask=inside)
    tl.store(d_q + row * 2 * K + K + lane, imag.to(dtype), mask=inside)
