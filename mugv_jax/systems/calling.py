# Copyright 2026 The mugv_jax Authors
# SPDX-License-Identifier: Apache-2.0
"""Calls of pipelines as users of diffusers write them: `pipe(prompt, height=..., ...).frames[0]`.

    diffusers                        here
    height, width                    size
    num_frames                       frames
    num_inference_steps              steps
    guidance_scale                   guidance
    generator                        seed
    video                            init_video
    callback_on_step_end             on_step

All other options are those of the system's own `generate` or `enhance`.
"""

import dataclasses
import logging
import os
import tempfile
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
from PIL import Image

from mugv_jax.systems.arguments import pixels_of, same_text, seeds_from
from mugv_jax.systems.steps import Progress
from mugv_jax.video import Video

log = logging.getLogger(__name__)

NAMES = {
    "num_frames": "frames",
    "num_inference_steps": "steps",
    "guidance_scale": "guidance",
    "video": "init_video",
}
PICTURES = ("image", "last_image")
# Options that would change the result and that no system here has.
REFUSED = ("latents", "prompt_embeds", "negative_prompt_embeds", "image_embeds", "guidance_scale_2")
# Options that are about how diffusers computes.
IGNORED = ("attention_kwargs", "max_sequence_length")
OUTPUT_TYPES = ("np", "pil", "pt", "latent")
TIMESTEPS = 1000  # diffusers' unit of time
TENSORS = ("latents",)  # what a callback may ask for


@dataclasses.dataclass(frozen=True)
class Output:
    """Result of a call, as diffusers returns it.

    frames: one entry for each video, in the form of `output_type`; `frames[0]` is the first video.
        "np": float32 (b, f, h, w, 3) in [0, 1]; "pil": lists of PIL images; "pt": a tensor of
        PyTorch (b, f, 3, h, w) in [0, 1]; "latent": (b, f, h, w, c).
    videos: the same as `Video`s, whose `save` also writes how they were made; empty for latents.
    seeds: seed of each.
    """

    frames: Any
    videos: list[Video]
    seeds: list[int]

    def __getitem__(self, key: int | str) -> Any:
        return getattr(self, key) if isinstance(key, str) else (self.frames,)[key]


def check_output_type(output_type: str) -> None:
    """Raise a ValueError for an unknown form of the result."""
    if output_type not in OUTPUT_TYPES:
        raise ValueError(f"output_type={output_type!r} must be one of {', '.join(OUTPUT_TYPES)}.")


def as_output_type(frames: Sequence[np.ndarray], output_type: str) -> Any:
    """Frames of videos, uint8 (f, h, w, 3) each, or latents, in the form of `output_type`."""
    if output_type == "latent":
        return np.stack(frames)
    if output_type == "pil":
        return [[Image.fromarray(frame) for frame in each] for each in frames]
    pixels = np.stack([each.astype(np.float32) / 255 for each in frames])
    if output_type == "np":
        return pixels
    import torch

    return torch.from_numpy(np.moveaxis(pixels, -1, 2).copy())


def export_to_video(
    video_frames: Any, output_video_path: str | os.PathLike | None = None, fps: float = 10
) -> str:
    """Writes frames to a file, as the function of this name in diffusers; returns its path.

    video_frames: a `Video`, whose record is written too, an array (f, h, w, 3) of uint8 or of
        floats in [0, 1], or a list of PIL images.
    output_video_path: .mp4, .mov or .mkv; None makes a temporary .mp4 file.

    Raises:
        ValueError: no frames, or a file that cannot be written.
    """
    record = getattr(video_frames, "record", None)
    frames = pixels_of(getattr(video_frames, "frames", video_frames))
    if output_video_path is None:
        handle, output_video_path = tempfile.mkstemp(suffix=".mp4")
        os.close(handle)
    Video(frames, fps, record).save(output_video_path)
    return os.fspath(output_video_path)


def own_options(options: Mapping[str, Any], *, temporal: int) -> dict[str, Any]:
    """Options of `generate` or `enhance` from those of a call in diffusers' names.

    temporal: frames of one latent; other lengths than k * temporal + 1 are rounded down, as
        diffusers does.

    Raises:
        ValueError: options that no system here has, or a height without a width.
    """
    own: dict[str, Any] = {}
    height, width = options.get("height"), options.get("width")
    if (height is None) != (width is None):
        raise ValueError("height and width belong together: give both, or none.")
    if height is not None:
        own["size"] = (width, height)
    for name, value in options.items():
        if name in ("height", "width") or value is None:
            continue
        if name in REFUSED:
            raise ValueError(f"{name} is an option of diffusers that this pipeline cannot take.")
        if name in IGNORED:
            log.info("%s has no meaning here and is ignored.", name)
        elif name == "negative_prompt":
            own[name] = same_text(name, value)
        elif name in PICTURES and isinstance(value, list | tuple):
            own[name] = [pixels_of(each) for each in value]
        elif name in (*PICTURES, "video"):
            own[NAMES.get(name, name)] = pixels_of(value)
        else:
            own[NAMES.get(name, name)] = value
    if "frames" in own:
        own["frames"] = _rounded(own["frames"], temporal)
    if isinstance(own.get("guidance"), int | float):
        own["guidance"] = max(1.0, float(own["guidance"]))  # below 1, diffusers turns it off
    return own


def _rounded(frames: int, temporal: int) -> int:
    rounded = max(1, frames // temporal * temporal + 1)
    if frames % temporal == 1 or frames == rounded:
        return frames
    log.warning(
        "num_frames=%d: a video has %dk+1 frames, so %d are made.", frames, temporal, rounded
    )
    return rounded


def prompts_of(prompt: str | Sequence[str] | None, per_prompt: int | None) -> list[str]:
    """All prompts of a call, each repeated `per_prompt` times.

    Raises:
        ValueError: no prompt, or a number below 1.
    """
    if prompt is None:
        raise ValueError("no prompt: give a text, or a list of texts.")
    if per_prompt is None:
        per_prompt = 1
    if per_prompt < 1:
        raise ValueError(f"num_videos_per_prompt={per_prompt} must be at least 1.")
    prompts = [prompt] if isinstance(prompt, str) else list(prompt)
    return [each for each in prompts for _ in range(per_prompt)]


def repeated(options: dict[str, Any], per_prompt: int | None) -> dict[str, Any]:
    """Options whose lists of pictures are repeated like the prompts."""
    count = per_prompt or 1
    return {
        name: [each for each in value for _ in range(count)]
        if name in PICTURES and isinstance(value, list)
        else value
        for name, value in options.items()
    }


def step_callback(
    pipeline: Any, callback: Callable[..., Any] | None, tensors: Sequence[str] | None
) -> Callable[[Progress, int], Any] | None:
    """Observer of steps that calls `callback(pipe, step, timestep, callback_kwargs)`, if any.

    The time step is 1000 t at the beginning of the step, as a float. `callback_kwargs` has
    "latents", (b, f, h, w, c), if they are asked for; those in the dictionary that it returns
    replace them.

    Raises:
        ValueError: tensors that this pipeline does not give.
    """
    if callback is None:
        return None
    tensors = TENSORS if tensors is None else tensors
    unknown = [name for name in tensors if name not in TENSORS]
    if unknown:
        raise ValueError(
            f"callback_on_step_end_tensor_inputs has {', '.join(unknown)}: a callback gets only "
            f"{', '.join(TENSORS)}."
        )

    def call(progress: Progress, index: int) -> Any:
        inputs = {"latents": progress.latents} if tensors else {}
        changed = callback(pipeline, index, progress.started * TIMESTEPS, inputs)
        return (changed or {}).get("latents")

    return call


def seeds_for(generator: Any, seed: Any, count: int) -> list[int]:
    """See `arguments.seeds_from`; random seeds are told, so that a result can be had again."""
    seeds = seeds_from(generator, seed, count)
    if generator is None and seed is None:
        log.info("no seed is given, so these are drawn: %s", ", ".join(map(str, seeds)))
    return seeds
