# Copyright 2026 The mugv_jax Authors
# SPDX-License-Identifier: Apache-2.0
"""Orientation of decoded frames: the display matrix of a file, which may turn and mirror.

The matrix (ISO 14496-12, 6.2.2; libavutil/display.h) maps column p and row q of the stored picture
to those that are shown, up to a shift:

    p' = a p + c q,   q' = b p + d q,   stored as (a, b, u, c, d, v, x, y, w)
"""

import functools
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from jaxtyping import UInt8

if TYPE_CHECKING:
    import av


class Orientation(NamedTuple):
    """One of the eight ways to show a picture upright: transposed first, then flipped."""

    transposed: bool = False
    flip_rows: bool = False
    flip_columns: bool = False

    def upright(self, pixels: UInt8[np.ndarray, "_ _ c"]) -> UInt8[np.ndarray, "_ _ c"]:
        """The stored pixels as they are shown; a view of the same memory."""
        if self.transposed:
            pixels = pixels.swapaxes(0, 1)
        rows = slice(None, None, -1 if self.flip_rows else 1)
        columns = slice(None, None, -1 if self.flip_columns else 1)
        return pixels[rows, columns]


def orientation(frame: "av.VideoFrame") -> Orientation:
    """How a decoded frame is shown; a matrix between two of the eight ways counts as the nearer."""
    _accept_all_side_data()
    matrix: Any = frame.side_data.get("DISPLAYMATRIX")
    if matrix is None:
        return Orientation()
    a, b, _, c, d, *_ = np.frombuffer(matrix, np.int32).tolist()
    if abs(a) + abs(d) >= abs(b) + abs(c):
        return Orientation(False, d < 0, a < 0)
    return Orientation(True, b < 0, c < 0)


@functools.cache
def _accept_all_side_data() -> None:
    """Let PyAV give the side data of frames that have a kind it does not know, such as EXIF.

    It would refuse all side data of such a frame, the display matrix included, because its
    enumeration of kinds is older than the FFmpeg that it is built with.
    """
    from av.sidedata.sidedata import Type

    def unknown(kinds: type[Type], value: int) -> Type:
        kind = object.__new__(kinds)
        kind._name_, kind._value_ = f"KIND_{value}", value
        return kind

    setattr(Type, "_missing_", classmethod(unknown))  # noqa: B010
