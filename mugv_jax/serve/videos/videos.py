# Copyright 2026 The mugv_jax Authors
# SPDX-License-Identifier: Apache-2.0
"""Videos as clients see them: OpenAI's object, and our own fields."""

import dataclasses
from collections.abc import Mapping
from typing import Any

from mugv_jax.serve.videos.offer import Offer
from mugv_jax.serve.videos.store import (
    CANCELLED,
    COMPLETED,
    FAILED,
    IN_PROGRESS,
    Entry,
)

SAMPLED = 90  # per cent of the work that is done after the last step


@dataclasses.dataclass
class Live:
    """What is known of a video in progress; nobody needs it after a crash."""

    step: int = 0
    steps: int = 0
    preview: dict[str, Any] | None = None

    @property
    def progress(self) -> int:
        """Share of the work that is done, in per cent."""
        return SAMPLED * self.step // self.steps if self.steps else 0


def video_of(
    entry: Entry, offer: Offer, *, position: int | None, live: Live | None, keep_s: float | None
) -> dict[str, Any]:
    """A video object.

    position: place in the queue, 1 for the next; None if it does not wait.
    keep_s: seconds for which results are kept, or None without end.
    """
    settings, ended = entry.settings, entry.completed_at
    expires = None
    if entry.state == COMPLETED and ended is not None and keep_s is not None:
        expires = int(ended + keep_s)
    return {
        "id": entry.id,
        "object": "video",
        "model": offer.model,
        "status": FAILED if entry.state == CANCELLED else entry.state,
        "progress": _progress(entry, live),
        "created_at": int(entry.created_at),
        "started_at": None if entry.started_at is None else int(entry.started_at),
        "completed_at": None if ended is None else int(ended),
        "expires_at": expires,
        "prompt": settings["prompt"],
        "seconds": offer.seconds_text(settings["frames"]),
        "size": "x".join(map(str, settings["size"])),
        "remixed_from_video_id": None,
        "error": _error(entry),
        "position": position,
        "seed": settings["seed"],
        "settings": _settings(settings, offer),
        "inputs": _inputs(settings["inputs"]),
    }


def input_names(inputs: Mapping[str, Any]) -> dict[str, str]:
    """Files of a request by the names under which clients get them again."""
    names = {name: each for name, each in inputs.items() if isinstance(each, str)}
    frames = inputs.get("key_frames", {})
    return names | {f"key_frame_{frame}": each for frame, each in frames.items()}


def _progress(entry: Entry, live: Live | None) -> int:
    if entry.state == COMPLETED:
        return 100
    return live.progress if entry.state == IN_PROGRESS and live is not None else 0


def _error(entry: Entry) -> dict[str, str] | None:
    if entry.error_code is None:
        return None
    return {"code": entry.error_code, "message": entry.error_message or ""}


def _settings(settings: Mapping[str, Any], offer: Offer) -> dict[str, Any]:
    names = ("frames", "guidance", "negative_prompt", "lora", "lora_scale", "enhance")
    steps = offer.generator.usual.steps if settings["steps"] is None else settings["steps"]
    return {"steps": steps, **{name: settings[name] for name in names}}


def _inputs(inputs: Mapping[str, Any]) -> dict[str, Any]:
    return {
        "image": "image" in inputs,
        "last_image": "last_image" in inputs,
        "video": "video" in inputs,
        "key_frames": sorted(map(int, inputs.get("key_frames", {}))),
    }
