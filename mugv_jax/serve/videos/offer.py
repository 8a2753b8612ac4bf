# Copyright 2026 The mugv_jax Authors
# SPDX-License-Identifier: Apache-2.0
"""What a server offers, and the settings of a request that it accepts."""

import dataclasses
import math
import secrets
from collections.abc import Mapping, Sequence
from typing import Any

from mugv_jax.bounds import MAX_SEED
from mugv_jax.files import check_text
from mugv_jax.serve.http.errors import Refusal
from mugv_jax.serve.videos.generators import Generator
from mugv_jax.serve.videos.values import is_digits, number, refused, shown, switch, whole
from mugv_jax.systems.sizes import nearest

SECONDS = 1.0  # by which a named length may differ from the seconds in its name
MOST_KEY_FRAMES = 8
MOST_LORA_SCALE = 4.0
MOST_GUIDANCE = 30.0


@dataclasses.dataclass(frozen=True, kw_only=True)
class Limits:
    """Largest values that the server's owner allows; None takes those of the model's sizes.

    queue: requests that wait.  per_key: requests of one key that wait or are made.
    per_minute: requests of one key in a minute, on average.
    pixels: of a frame.
    """

    queue: int = 200
    per_key: int = 200
    per_minute: float = 240.0
    upload_bytes: int = 64 * 2**20
    prompt_characters: int = 4000
    pixels: int | None = None
    frames: int | None = None
    steps: int = 100


class Offer:
    """A model with its limits.

    loras: names of adapters.  enhance: whether videos can be enhanced.
    examples: requests to show on the page.  note: what people should know of the model, or "".
    """

    def __init__(
        self,
        generator: Generator,
        limits: Limits,
        *,
        loras: Sequence[str] = (),
        enhance: bool = False,
        examples: Sequence[Mapping[str, Any]] = (),
        note: str = "",
    ):
        self.generator, self.limits = generator, limits
        self.loras, self.enhance, self.examples = tuple(loras), enhance, list(examples)
        self.note = note
        usual, system = generator.usual, generator.system
        self.model = system.name
        named = list(system.sizes.values())
        # Weights with sizes of their own, such as the demo's, know no others.
        self.sizes = [usual.size, *(each for each in named if each != usual.size)]
        if usual.size not in named:
            self.sizes = [usual.size]
        own = max(width * height for width, height in self.sizes)
        self.most_pixels = limits.pixels or (own if usual.size in named else 4 * own)
        self.most_frames = limits.frames or max(usual.frames, *system.lengths.values())
        self.seconds = self._seconds()

    def _seconds(self) -> list[str]:
        """Lengths that the page shows."""
        usual, lengths = self.generator.usual, self.generator.system.lengths
        named = [
            name.removesuffix("s") for name in lengths if self.frames_of(name[:-1]) == lengths[name]
        ]
        usual_text = self.seconds_text(usual.frames)
        return named if usual_text in named else [usual_text]

    def frames_of(self, seconds: str) -> int:
        """Number of frames of a length: a named one of the system, or the nearest on its grid."""
        value, fps, system = float(seconds), self.generator.usual.fps, self.generator.system
        named = system.lengths.get(f"{seconds}s")
        if named is not None and abs(named / fps - value) < SECONDS:
            return named
        stride = system.size.TEMPORAL
        return max(1, round((value * fps - 1) / stride)) * stride + 1

    def seconds_text(self, frames: int) -> str:
        """Length of a video as OpenAI's API writes it, the name of a named one."""
        system = self.generator.system
        for name, named in system.lengths.items():
            if named == frames and self.frames_of(name[:-1]) == frames:
                return name[:-1]
        return str(max(1, round(frames / self.generator.usual.fps)))

    def settings(self, asked: Mapping[str, Any]) -> dict[str, Any]:
        """Settings of a request, complete and checked as far as no file is read.

        asked: fields by name, texts or values of JSON; inputs are left to `inputs.py`.

        Raises:
            Refusal: a value that is not offered; it names value, rule and remedy.
        """
        usual, most = self.generator.usual, self.limits
        prompt = self._text(asked, "prompt", "")
        if not prompt.strip():
            raise refused("prompt", "is empty: describe the video in words.")
        model = asked.get("model")
        if model not in (None, "", self.model):
            raise Refusal(
                404, f"model={shown(model)} is not served here: leave it out, or ask for "
                f"{self.model}.", param="model", code="model_not_found",
            )  # fmt: skip
        size, frames = self._size(asked), self._frames(asked)
        steps = whole(asked, "steps", 1, most.steps)
        guidance = number(asked, "guidance", 0.0, MOST_GUIDANCE)
        seed = whole(asked, "seed", 0, MAX_SEED)
        lora = asked.get("lora") or None
        if lora is not None and lora not in self.loras:
            known = ", ".join(self.loras) or "none"
            raise refused("lora", f"{shown(lora)} is no adapter of this server: there are {known}.")
        scale = number(asked, "lora_scale", -MOST_LORA_SCALE, MOST_LORA_SCALE)
        enhance = switch(asked, "enhance")
        if enhance and not self.enhance:
            raise refused("enhance", "is not offered here: leave it out.")
        return {
            "prompt": prompt,
            "negative_prompt": self._text(asked, "negative_prompt", usual.negative_prompt),
            "size": list(size),
            "frames": frames,
            "steps": steps,
            "guidance": usual.guidance if guidance is None else guidance,
            "seed": secrets.randbelow(MAX_SEED + 1) if seed is None else seed,
            "lora": lora,
            "lora_scale": None if lora is None else 1.0 if scale is None else scale,
            "enhance": enhance,
            "inputs": {},
        }

    def shape(self, settings: Mapping[str, Any]) -> str:
        """Text that is equal for settings which can be made together."""
        own = ("prompt", "seed", "inputs")
        shared = {name: value for name, value in settings.items() if name not in own}
        shared["given"] = sorted(settings["inputs"])
        return repr(sorted(shared.items()))

    def describe(self, title: str, *, needs_key: bool) -> dict[str, Any]:
        """What clients may ask for, as the page reads it."""
        usual, system, given = self.generator.usual, self.generator.system, self.generator.given
        stride = system.size.TEMPORAL
        model = {
            "id": self.model,
            "name": system.title,
            "sizes": [_size_text(size) for size in self.sizes],
            "default_size": _size_text(usual.size),
            "custom_size": True,
            "size_multiple": self.generator.side_px,
            "seconds": self.seconds,
            "default_seconds": self.seconds_text(usual.frames),
            "frames_per_second": usual.fps,
            "frames": {
                "default": usual.frames,
                "least": stride + 1,
                "most": self.most_frames,
                "multiple_of": stride,
                "plus": 1,
            },
            "steps": {"default": usual.steps, "most": self.limits.steps},
            "guidance": {"default": usual.guidance, "most": MOST_GUIDANCE},
            "negative_prompt": True,
            "default_negative_prompt": usual.negative_prompt,
            "image": given,
            "last_image": given,
            "key_frames": given,
            "video": given,
            "loras": list(self.loras),
        }
        limits = {
            "queue": self.limits.queue,
            "per_key": self.limits.per_key,
            "per_minute": self.limits.per_minute,
            "upload_bytes": self.limits.upload_bytes,
            "prompt_characters": self.limits.prompt_characters,
            "pixels": self.most_pixels,
            "key_frames": MOST_KEY_FRAMES,
        }
        return {
            "title": title,
            "note": self.note,
            "models": [model],
            "enhance": self.enhance,
            "limits": limits,
            "examples": self.examples,
            "needs_key": needs_key,
        }

    def _text(self, asked: Mapping[str, Any], name: str, default: str) -> str:
        text, most = asked.get(name), self.limits.prompt_characters
        if text is None:
            return default
        if not isinstance(text, str):
            raise refused(name, f"{shown(text)} must be a text.")
        if len(text) > most:
            raise refused(
                name, f"has {len(text)} characters, and at most {most} are read: shorten it."
            )
        try:
            check_text(name, text)
        except ValueError as error:
            raise Refusal(400, str(error), param=name) from error
        return text

    def _size(self, asked: Mapping[str, Any]) -> tuple[int, int]:
        text = asked.get("size")
        if text in (None, ""):
            return self.generator.usual.size
        example = _size_text(self.generator.usual.size)
        width, x, height = str(text).lower().partition("x")
        if not x or not all(is_digits(each) for each in (width, height)):
            raise refused(
                "size", f"{shown(text)} must be WIDTHxHEIGHT in pixels, such as {example}."
            )
        sides, side = (int(width), int(height)), self.generator.side_px
        for name, value in zip(("width", "height"), sides):
            if value < side or value % side:
                raise refused(
                    "size", f"{shown(text)}: the {name} must be a multiple of {side}: "
                    f"{nearest(value, 0, side)}.",
                )  # fmt: skip
        if math.prod(sides) > self.most_pixels:
            raise refused(
                "size", f"{shown(text)} has {math.prod(sides)} pixels, and at most "
                f"{self.most_pixels} are allowed here: make it smaller, such as {example}.",
            )  # fmt: skip
        return sides

    def _frames(self, asked: Mapping[str, Any]) -> int:
        seconds, frames = asked.get("seconds"), whole(asked, "frames", 1, self.most_frames)
        if seconds in (None, ""):
            found, name = self.generator.usual.frames if frames is None else frames, "frames"
        elif frames is not None:
            raise refused("frames", "and seconds both say how long the video is: give one.")
        else:
            value = number(asked, "seconds", 0.0, 3600.0)
            assert value is not None
            text = str(seconds)
            found, name = self.frames_of(text if is_digits(text) else str(value)), "seconds"
        stride = self.generator.system.size.TEMPORAL
        if found > self.most_frames:
            raise refused(
                name, f"{shown(asked[name])} makes {found} frames, and at most {self.most_frames} "
                "are allowed here: make it shorter.",
            )  # fmt: skip
        if found % stride != 1 or found == 1:
            near = nearest(max(found, stride + 1), 1, stride)
            raise refused("frames", f"{found} must be {stride}k+1 from {stride + 1} up: {near}.")
        return found


def _size_text(size: Sequence[int]) -> str:
    return f"{size[0]}x{size[1]}"
