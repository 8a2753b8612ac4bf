# Copyright 2026 The mugv_jax Authors
# SPDX-License-Identifier: Apache-2.0
"""Rotary position embedding over (height, width, time).

Each head's e components are e/2 complex pairs: a third for each axis, with angular frequencies

    10000^(-6k/e),  k = 0 .. e/6 - 1,

and pair i is rotated by position x frequency. The published code pairs neighbours
(x[2i], x[2i+1]); here the pairs are (x[i], x[i + e/2]), which vector units rotate without shuffling
lanes. The conversion of weights permutes the components once, so the function is the same.
`kernels/modulate.py` applies the rotation.
"""

import jax.numpy as jnp
import numpy as np

from mugv_jax.axes import Array, Float, Int

MAX_ROWS = 384  # length of the published tables
MAX_FRAMES = 480


def rotation(
    frame_index: Int[Array, "b g"], rows: int, columns: int, head_dim: int
) -> tuple[Float[Array, "b n k"], Float[Array, "b n k"]]:
    """Cosine and sine of every token's angles, float32, k = head_dim / 2.

    `frame_index` holds the time positions of the start token, each latent frame and the end
    token, clamped to [0, 479] as published. The start token sits at row and column 0, the end
    token at the last ones.

    Raises:
        ValueError: more rows or columns of patches than the published table has.
    """
    if max(rows, columns) > MAX_ROWS:
        raise ValueError(
            f"{rows} x {columns} patches: MUGDiT's position table ends at {MAX_ROWS}. "
            f"Use a picture of at most {MAX_ROWS * 16} pixels a side."
        )
    b, groups = frame_index.shape
    frames = groups - 2
    middle = (frames, rows, columns)
    row = _with_ends(jnp.broadcast_to(jnp.arange(rows)[None, :, None], middle), 0, rows - 1)
    column = _with_ends(jnp.broadcast_to(jnp.arange(columns), middle), 0, columns - 1)
    time_bg = jnp.clip(frame_index, 0, MAX_FRAMES - 1)
    time = jnp.concatenate(
        [
            time_bg[:, :1],
            jnp.repeat(time_bg[:, 1:-1], rows * columns, axis=1),
            time_bg[:, -1:],
        ],
        axis=1,
    )
    space = jnp.broadcast_to(jnp.stack([row, column], axis=-1), (b, row.shape[0], 2))
    position = jnp.concatenate([space, time[..., None]], axis=-1)
    return cos_sin(position, (head_dim // 6,) * 3)


def cos_sin(
    position: Int[Array, "b n axes"], pairs: tuple[int, ...]
) -> tuple[Float[Array, "b n k"], Float[Array, "b n k"]]:
    """Cosine and sine of the angles of all pairs, axis by axis.

    Pair j of an axis with p pairs is rotated by position x 10000^(-j/p).
    """
    axis = np.repeat(np.arange(len(pairs)), pairs)
    frequency = np.concatenate([10000.0 ** (-np.arange(count) / count) for count in pairs])
    angle = position[:, :, axis].astype(jnp.float32) * frequency.astype(np.float32)[None, None]
    return jnp.cos(angle), jnp.sin(angle)


def _with_ends(middle: Int[Array, "f h w"], first: int, last: int) -> Int[Array, "n"]:
    ends = jnp.array([first]), jnp.array([last])
    return jnp.concatenate([ends[0], middle.reshape(-1), ends[1]])
