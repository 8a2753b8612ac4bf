# Copyright 2026 The mugv_jax Authors
# SPDX-License-Identifier: Apache-2.0
"""Defaults of a request, optionally from a `defaults.json` beside the weights.

    {"size": "64x64", "frames": "17", "fps": 8, "steps": 20, "aesthetic_score": null}

The file may set any field of `Defaults`, in the form of the command line, with null for "none".
Other fields have the values of the released pipeline. A transformer or an adapter that is given
apart may have a file of its own beside it, as a model of few steps does:

    {"steps": 2, "guidance": 1, "renoise": true}

Its values replace those of the file beside the weights, and options that a user gives replace both.
"""

import dataclasses
import json
import logging
import os
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any, Unpack

from mugv_jax.files import read_json, shortened
from mugv_jax.flow.guidance import Guidance
from mugv_jax.systems.mugv.models import named_dit
from mugv_jax.systems.mugv.request import Request, RequestOptions
from mugv_jax.systems.mugv.size import FRAMES, SIZES, VideoSize, parse_frames, parse_size
from mugv_jax.systems.pretrained import first_of, local_folder
from mugv_jax.systems.sizes import pair_of
from mugv_jax.weights.adapters import Adapters, listed

log = logging.getLogger(__name__)

FILE = "defaults.json"


@dataclasses.dataclass(frozen=True, kw_only=True)
class Defaults:
    """Values of the fields of a request that the user does not give.

    size: (width, height) in pixels.
    guidance: scale of the guidance.
    All other fields are those of `Request`.

    Raises:
        ValueError: values that `Request` refuses.
    """

    size: tuple[int, int] = SIZES["portrait"]
    frames: int = FRAMES["5s"]
    fps: float = Request.fps
    conditioning_fps: float = Request.conditioning_fps
    steps: int = Request.steps
    shift: float | None = Request.shift
    times: tuple[float, ...] | None = None
    renoise: bool = Request.renoise
    guidance: float = Guidance.scale
    negative_prompt: str = Request.negative_prompt
    aesthetic_score: float | None = Request.aesthetic_score

    def __post_init__(self):
        self.request(("a prompt",))

    def request(self, prompts: tuple[str, ...], **options: Unpack[RequestOptions]) -> Request:
        """Request from `options`, with these defaults for all other fields.

        options: fields of `Request`, but `size` and `frames` in the form of this class or as
            texts; `guidance` may be a scale or a `Guidance`. Given `times` also say the number of
            steps, and given `steps` or `shift` replace the times of the defaults.

        Raises:
            ValueError: see `Request`.
        """
        chosen: dict[str, Any] = {**dataclasses.asdict(self), **_with_times(options)}
        size, frames = chosen.pop("size"), chosen.pop("frames")
        width, height = parse_size(size) if isinstance(size, str) else pair_of(size)
        frames = parse_frames(frames) if isinstance(frames, str) else frames
        size = VideoSize(width_px=width, height_px=height, frames=frames)
        guidance = chosen.pop("guidance")
        if not isinstance(guidance, Guidance):
            guidance = Guidance(scale=guidance)
        return Request(prompts=prompts, size=size, guidance=guidance, **chosen)


def _with_times(values: Mapping[str, Any]) -> dict[str, Any]:
    """Values that replace others, of which times tell the steps, and steps or a shift the times."""
    if values.get("times") is not None:
        return {"steps": len(values["times"]), **values}
    if {"steps", "shift"} & values.keys():
        return {**values, "times": None}
    return dict(values)


def find_defaults(weights: str | os.PathLike) -> Path | None:
    """Path of `defaults.json` in the folder or repository `weights`, or None.

    Raises:
        ValueError: no such folder or repository.
    """
    return first_of(local_folder(weights, (FILE,)), (FILE,))


def read_defaults(
    weights: str | os.PathLike,
    *,
    dit: str | os.PathLike | None = None,
    lora: Adapters | None = None,
) -> Defaults:
    """Defaults beside weights in a folder or Hugging Face repository, else the released ones.

    dit, lora: a transformer and adapters that are used with these weights; files beside them, or in
        them if they are folders, replace the values that they name, the last one last.

    Raises:
        ValueError: no such folder or repository, or a file with values that cannot be used.
    """
    defaults, of_weights = Defaults(), find_defaults(weights)
    given = None if dit is None else named_dit(weights, dit)
    for path in _files(of_weights, given, lora):
        try:
            values = _values(path)
            if path != of_weights:
                log.info("%s: %s, unless options say otherwise.", path, shortened(str(values)))
            defaults = dataclasses.replace(defaults, **_with_times(values))
        except ValueError as error:  # JSON errors are ValueErrors
            raise ValueError(f"{path}: {error}") from error
    return defaults


def _files(of_weights: Path | None, dit: Path | None, lora: Adapters | None) -> Iterator[Path]:
    """Files of defaults, each once."""
    given = [*([] if dit is None else [dit]), *(path for path, _ in listed(lora))]
    found = [of_weights, *map(_beside, given)]
    yield from dict.fromkeys(path for path in found if path is not None)


def _beside(path: Path) -> Path | None:
    """File of defaults in a folder of weights, or beside a file of weights, if there is one."""
    folder = path if path.is_dir() else path.parent
    return first_of(folder, (FILE,))


def _values(path: Path) -> dict[str, Any]:
    values = read_json(path, "defaults")
    if not isinstance(values, dict):
        raise ValueError(f"must hold names and values in braces, not {shortened(str(values))}.")
    unknown = sorted(values.keys() - PARSERS.keys())
    if unknown:
        raise ValueError(
            f"has no use for {shortened(', '.join(unknown))}; it knows {', '.join(PARSERS)}."
        )
    return {name: PARSERS[name](name, value) for name, value in values.items()}


def _typed(what: str, *types: type) -> Callable[[str, Any], Any]:
    def parse(name: str, value: Any) -> Any:
        if type(value) not in types:  # bool is an int, but no number here
            raise ValueError(f"{name}={shortened(json.dumps(value))} must be {what}.")
        return float(value) if float in types and value is not None else value

    return parse


def _size(name: str, value: Any) -> tuple[int, int]:
    return parse_size(_typed('a text such as "1280x720"', str)(name, value))


def _times(name: str, value: Any) -> tuple[float, ...] | None:
    if value is None:
        return None
    if type(value) is not list or not all(type(each) in (int, float) for each in value):
        raise ValueError(
            f"{name}={shortened(json.dumps(value))} must be a list of numbers, such as "
            "[1, 0.6], or null."
        )
    return tuple(map(float, value))


def _frames(name: str, value: Any) -> int:
    return parse_frames(str(_typed('a whole number or a text such as "5s"', int, str)(name, value)))


PARSERS: dict[str, Callable[[str, Any], Any]] = {
    "size": _size,
    "frames": _frames,
    "fps": _typed("a number", int, float),
    "conditioning_fps": _typed("a number", int, float),
    "steps": _typed("a whole number", int),
    "shift": _typed("a number or null", int, float, type(None)),
    "times": _times,
    "renoise": _typed("true or false", bool),
    "guidance": _typed("a number", int, float),
    "negative_prompt": _typed("a text", str),
    "aesthetic_score": _typed("a number or null", int, float, type(None)),
}
