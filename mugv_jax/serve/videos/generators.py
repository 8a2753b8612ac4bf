# Copyright 2026 The mugv_jax Authors
# SPDX-License-Identifier: Apache-2.0
"""Systems that a server makes videos with: their defaults, and options of their pipelines.

Settings of a request (`offer.py`) are plain values; requests with equal shapes are made together.
"""

import abc
import dataclasses
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from mugv_jax.systems.mugv.defaults import Defaults
from mugv_jax.systems.mugv.system import SYSTEM as MUGV
from mugv_jax.systems.system import System
from mugv_jax.systems.text_request import TextRequest

Settings = Mapping[str, Any]
Row = tuple[Settings, Path]  # settings of one video, and the folder of its files


@dataclasses.dataclass(frozen=True, kw_only=True)
class Usual:
    """Values of a request that does not say otherwise."""

    size: tuple[int, int]
    frames: int
    fps: float
    steps: int
    guidance: float
    negative_prompt: str


class Generator(abc.ABC):
    """A system as servers use it.

    given: whether videos can begin with pictures and videos.
    side_px: number of which widths and heights must be multiples.
    """

    system: System
    usual: Usual
    given: bool
    side_px: int

    @abc.abstractmethod
    def check(self, settings: Settings, folder: Path) -> None:
        """Raise a ValueError for settings that cannot be met; `folder` has the files they name."""

    @abc.abstractmethod
    def options(self, rows: Sequence[Row]) -> dict[str, Any]:
        """Options of the pipeline's `generate`, beside the prompts, for rows of one shape."""


class MugvGenerator(Generator):
    """MUG-V; `defaults` are those of its weights."""

    system, given, side_px = MUGV, True, MUGV.size.SPATIAL

    def __init__(self, defaults: Defaults, *, fast_decode: bool = False):
        self._defaults, self._fast_decode = defaults, fast_decode
        self.usual = Usual(
            size=defaults.size,
            frames=defaults.frames,
            fps=defaults.fps,
            steps=defaults.steps,
            guidance=float(defaults.guidance),
            negative_prompt=defaults.negative_prompt,
        )

    def check(self, settings: Settings, folder: Path) -> None:
        """See `Generator`."""
        self._defaults.request((settings["prompt"],), **self.options([(settings, folder)]))

    def options(self, rows: Sequence[Row]) -> dict[str, Any]:
        """See `Generator`."""
        inputs = [(settings["inputs"], folder) for settings, folder in rows]
        return {
            **_shared(rows),
            "image": [_path(*each, "image") for each in inputs],
            "last_image": [_path(*each, "last_image") for each in inputs],
            "continue_video": [_path(*each, "video") for each in inputs],
            "keyframes": [_keyframes(*each) for each in inputs],
            "rows": len(rows),
            "fast_decode": self._fast_decode,
        }


class TextGenerator(Generator):
    """A system that makes videos of texts alone, with its class of requests."""

    given = False

    def __init__(self, system: System, request: type[TextRequest]):
        self.system, self._request = system, request
        self.side_px = 2 * system.size.SPATIAL
        released: Any = request  # fields with defaults are attributes of the class
        self.usual = Usual(
            size=request.SIZES[request.SIZE],
            frames=request.FRAMES,
            fps=released.fps,
            steps=released.steps,
            guidance=request.GUIDANCE,
            negative_prompt=released.negative_prompt,
        )

    def check(self, settings: Settings, folder: Path) -> None:
        """See `Generator`."""
        self._request.of((settings["prompt"],), **self.options([(settings, folder)]))

    def options(self, rows: Sequence[Row]) -> dict[str, Any]:
        """See `Generator`."""
        return _shared(rows)


def _shared(rows: Sequence[Row]) -> dict[str, Any]:
    """Options that all systems have; steps that are not given are left to the defaults."""
    first = rows[0][0]
    steps = {} if first["steps"] is None else {"steps": first["steps"]}
    names = ("frames", "guidance", "negative_prompt")
    return {
        **{name: first[name] for name in names},
        **steps,
        "size": tuple(first["size"]),
        "seed": [settings["seed"] for settings, _ in rows],
    }


def _path(inputs: Mapping[str, Any], folder: Path, name: str) -> str | None:
    return str(folder / inputs[name]) if name in inputs else None


def _keyframes(inputs: Mapping[str, Any], folder: Path) -> dict[int, str] | None:
    given = inputs.get("key_frames", {})
    return {int(frame): str(folder / name) for frame, name in given.items()} or None
