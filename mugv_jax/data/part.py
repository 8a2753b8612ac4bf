# Copyright 2026 The mugv_jax Authors
# SPDX-License-Identifier: Apache-2.0
"""Part of a video that is a sample of its own: a time span and a rectangle of its frames.

start_s,end_s,crop          columns of a list of captions; all may be empty
12.5,17.25,0 60 1280 660    left, top, right, bottom in pixels of the upright frame
"""

import dataclasses
import math
from collections.abc import Mapping
from typing import Any

from mugv_jax.axes import Frames
from mugv_jax.files import shortened

START, END, CROP = "start_s", "end_s", "crop"
COLUMNS = (START, END, CROP)


@dataclasses.dataclass(frozen=True, kw_only=True)
class Part:
    """A part of a video; by default all of it.

    start_s, end_s: seconds after the first frame; a frame at `end_s` is not in the part.
    crop: left, top, right, bottom in pixels of the upright frame; None keeps all.

    Raises:
        ValueError: an end before the start, or a rectangle without pixels.
    """

    start_s: float = 0.0
    end_s: float | None = None
    crop: tuple[int, int, int, int] | None = None

    def __post_init__(self):
        if not 0 <= self.start_s < math.inf:
            raise ValueError(f"{START}={self.start_s} must be a number of seconds from 0.")
        if self.end_s is not None and not self.start_s < self.end_s < math.inf:
            raise ValueError(f"{END}={self.end_s} must be above {START}={self.start_s}.")
        if self.crop is not None:
            left, top, right, bottom = self.crop
            if not (0 <= left < right and 0 <= top < bottom):
                raise ValueError(
                    f"{CROP}={self.crop} must be left, top, right and bottom in pixels, with right "
                    "above left and bottom above top."
                )

    def __str__(self) -> str:
        end = "its end" if self.end_s is None else f"{self.end_s:g} s"
        return f"{self.start_s:g} s to {end}"

    @property
    def is_span(self) -> bool:
        """Whether it is not the whole length of the video."""
        return self.start_s > 0 or self.end_s is not None

    def cropped(self, frame: Frames) -> Frames:
        """The rectangle of a frame or frames (... h w c).

        Raises:
            ValueError: the rectangle is not inside of the frame.
        """
        if self.crop is None:
            return frame
        left, top, right, bottom = self.crop
        height, width = frame.shape[-3:-1]
        if right > width or bottom > height:
            raise ValueError(
                f"{CROP}={self.crop} (left, top, right, bottom) is not inside of a frame of "
                f"{width}x{height} pixels."
            )
        return frame[..., top:bottom, left:right, :]


WHOLE = Part()


def read_part(values: Mapping[str, Any]) -> Part:
    """The part that a row of a list states.

    Raises:
        ValueError: values that are no part.
    """
    start, end = (_number(name, values.get(name)) for name in (START, END))
    crop = values.get(CROP)
    if crop in (None, ""):
        sides = None
    else:
        words = crop.split() if isinstance(crop, str) else crop
        if not isinstance(words, list | tuple) or len(words) != 4:
            raise ValueError(f"{CROP}={shortened(repr(crop))} must be four numbers of pixels.")
        sides = [_number(CROP, each) for each in words]
        if any(side is None or side != int(side) for side in sides):
            raise ValueError(f"{CROP}={shortened(repr(crop))} must be four whole numbers.")
    return Part(
        start_s=start or 0.0,
        end_s=end,
        crop=None if sides is None else tuple(int(each or 0) for each in sides),  # type: ignore[arg-type]
    )


def _number(name: str, value: Any) -> float | None:
    """A finite number; None for an empty cell."""
    if value is None or value == "":
        return None
    try:
        number = math.nan if isinstance(value, bool) else float(value)
    except (TypeError, ValueError, OverflowError):
        number = math.nan
    if not math.isfinite(number):
        raise ValueError(f"{name}={shortened(repr(value))} must be a number, or left out.")
    return number
