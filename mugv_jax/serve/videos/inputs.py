# Copyright 2026 The mugv_jax Authors
# SPDX-License-Identifier: Apache-2.0
"""Uploaded files of a request: checked, and kept in a folder of its own under names of ours.

inputs/ID/image.png, last_image.png, key_frame_48.png, video
"""

import os
from pathlib import Path
from typing import Any

from starlette.concurrency import run_in_threadpool

from mugv_jax.serve.http.errors import Refusal
from mugv_jax.serve.videos.asked import KEY_FRAMES, TIMES, Asked, File
from mugv_jax.serve.videos.checker import Checker
from mugv_jax.serve.videos.generators import Generator
from mugv_jax.systems.mugv.request import Request

CONTINUED = Request.continue_frames
NAMES = {"input_reference": "image", "last_image": "last_image"}
UPLOAD = ".upload"


async def take_inputs(
    asked: Asked, settings: dict[str, Any], folder: Path, generator: Generator, checker: Checker
) -> None:
    """Check and keep the files of a request, and name them in its settings' inputs.

    folder: of this request alone; it is made if there are files.

    Raises:
        Refusal: files that cannot be read or used, or that the model has no use for.
    """
    names = [*asked.files, *([KEY_FRAMES] if asked.key_frames else [])]
    if not names:
        return
    if not generator.given:
        raise Refusal(
            400, f"{names[0]}: {generator.system.title} makes videos of texts alone.",
            param=names[0], code="not_offered",
        )  # fmt: skip
    folder.mkdir(parents=True)
    inputs = settings["inputs"]
    for field, name in NAMES.items():
        if field in asked.files:
            inputs[name] = f"{name}.png"
            await _picture(field, asked.files[field], folder / inputs[name], checker)
    if asked.key_frames:
        inputs["key_frames"] = {}
        for file, time in asked.key_frames:
            frame = _frame(time, settings["frames"], generator.usual.fps)
            if str(frame) in inputs["key_frames"]:
                raise Refusal(400, f"{TIMES} name frame {frame} twice.", param=TIMES)
            name = f"key_frame_{frame}.png"
            inputs["key_frames"][str(frame)] = name
            await _picture(KEY_FRAMES, file, folder / name, checker)
    if "video" in asked.files:
        inputs["video"] = "video"
        path = folder / "video"
        await asked.files["video"].save(path)
        await _checked("video", checker.video, path, CONTINUED, generator.usual.fps)
    await run_in_threadpool(_to_disk, folder)


async def _picture(field: str, file: File, target: Path, checker: Checker) -> None:
    source = target.with_suffix(UPLOAD)
    await file.save(source)
    await _checked(field, checker.picture, source, target)
    source.unlink()


async def _checked(field: str, check: Any, *args: Any) -> None:
    """Ask the checker; a refusal names the field."""
    try:
        await run_in_threadpool(check, *args)
    except Refusal as refusal:
        message = f"{field}: {refusal.message}"
        raise Refusal(refusal.status, message, param=field, code="invalid_file") from refusal


def _frame(time: Any, frames: int, fps: float) -> int:
    """Number of the frame at a time in seconds."""
    try:
        seconds = float(str(time)[:40])
        if not 0 <= seconds <= frames / fps:
            raise ValueError
    except ValueError:
        raise Refusal(
            400,
            f"{TIMES} {str(time)[:40]!r} must be seconds from 0 to {frames / fps:g}, the length.",
            param=TIMES,
        ) from None
    return min(frames - 1, round(seconds * fps))


def _to_disk(folder: Path) -> None:
    """Wait until the files are on the disk: the request is accepted after that."""
    for path in (*folder.iterdir(), folder):
        number = os.open(path, os.O_RDONLY)
        try:
            os.fsync(number)
        finally:
            os.close(number)
