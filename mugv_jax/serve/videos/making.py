# Copyright 2026 The mugv_jax Authors
# SPDX-License-Identifier: Apache-2.0
"""One batch of videos: from their settings to files, with steps, previews and cancellation."""

import contextlib
import io
import logging
import os
import time
from collections.abc import Callable, Collection, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from mugv_jax.serve.videos.generators import Generator
from mugv_jax.serve.videos.messages import Done, Failed, Job, Preview, Step
from mugv_jax.serve.videos.places import SPRITESHEET, THUMBNAIL, Places
from mugv_jax.serve.videos.pod import GO, PREVIEW, STOP, Pod
from mugv_jax.systems.record import with_after
from mugv_jax.systems.steps import Picture, Progress
from mugv_jax.video import Video
from mugv_jax.weights.adapters import listed

log = logging.getLogger(__name__)

THUMBNAIL_PX, TILE_PX, PREVIEW_PX = 480, 160, 512  # longer sides
TILES = 10
PREVIEW_S = 1.0  # between previews, at least
PREVIEW_SHARE = 20  # previews take at most one part in so many of the time
QUALITY = 80

Report = Callable[[Any], None]


class Cancelled(Exception):
    """Nobody wants the batch any more."""


class Maker:
    """Makes videos with one pipeline.

    loras: name -> path of adapters that requests may name.
    enhance: function that enhances a video, or None.
    report: takes messages to the server.
    """

    def __init__(
        self,
        generator: Generator,
        pipeline: Any,
        places: Places,
        pod: Pod,
        *,
        loras: Mapping[str, Path],
        enhance: Callable[[Video], Video] | None,
        report: Report,
    ):
        self._generator, self._pipeline, self._places = generator, pipeline, places
        self._pod, self._enhance, self._report = pod, enhance, report
        self._loras, self._adapter = loras, (None, None)
        self._base = [scale for _, scale in listed(pipeline.models.arguments.get("lora"))]

    def make(self, jobs: Sequence[Job], cancelled: Collection[str]) -> None:
        """Make videos of one shape together; each is answered by Done or Failed, unless cancelled.

        cancelled: ids that are not wanted, which may grow meanwhile.
        """
        rows = [(job.settings, self._places.inputs(job.id)) for job in jobs]
        first = jobs[0].settings
        try:
            self._use(first["lora"], first["lora_scale"])
            prompts = [job.settings["prompt"] for job in jobs]
            watch = _Watch(jobs, cancelled, self._pod, self._report)
            videos = self._pipeline.generate(
                prompts, progress=False, on_step=watch, **self._generator.options(rows)
            )
            for job, made in zip(jobs, videos, strict=True):
                if first["enhance"] and self._enhance is not None:
                    made = self._enhance(made)
                if job.id not in cancelled and self._pod.leads:
                    self._save(job.id, made)
        except Cancelled:
            log.info("%d cancelled", len(jobs))
        except Exception as error:
            code, message = explained(error)
            log.error("%s: %s", ", ".join(job.id for job in jobs), message, exc_info=error)
            for job in jobs:
                self._report(Failed(job.id, code, message))

    def _use(self, lora: str | None, scale: float | None) -> None:
        """Merge another adapter into the transformer, if the request asks for another one."""
        if (lora, scale) == self._adapter:
            return
        base = [f"default_{number}" for number in range(len(self._base))]
        if lora is None:
            self._pipeline.set_adapters(base, self._base)
        else:
            self._pipeline.load_lora_weights(self._loras[lora], adapter_name=lora)
            self._pipeline.set_adapters([*base, lora], [*self._base, scale])
        self._adapter = (lora, scale)

    def _save(self, id: str, made: Video) -> None:
        made.record = without_folders(made.record)
        made.save(self._places.result(id))
        with self._places.result(id).open("rb") as file:
            os.fsync(file.fileno())  # the queue will say that it is there
        # Only small pictures: a crash of the machine may lose them.
        self._places.result(id, THUMBNAIL).write_bytes(thumbnail(made.frames[0]))
        self._places.result(id, SPRITESHEET).write_bytes(spritesheet(made.frames))
        self._report(Done(id))


class _Watch:
    """Observer of the steps of one batch."""

    def __init__(self, jobs: Sequence[Job], cancelled: Collection[str], pod: Pod, report: Report):
        self._jobs, self._cancelled, self._pod, self._report = jobs, cancelled, pod, report
        self._next, self._cost = time.monotonic() + PREVIEW_S, 0.0

    def __call__(self, progress: Progress) -> None:
        flags = GO
        if all(job.id in self._cancelled for job in self._jobs):
            flags |= STOP
        if progress.step < progress.steps and time.monotonic() >= self._next:
            flags |= PREVIEW
        flags = self._pod.agree(flags)  # all processes of a pod take the same way
        if flags & STOP:
            raise Cancelled
        ids = tuple(self._jobs[number].id for number in progress.videos)
        self._report(Step(ids, progress.step, progress.steps))
        if flags & PREVIEW:
            self._show(progress, ids)

    def _show(self, progress: Progress, ids: Sequence[str]) -> None:
        began = time.monotonic()
        given = any(job.settings["inputs"] for job in self._jobs)
        # A given first frame shows nothing that is new.
        frame = progress.latents.shape[1] // 2 if given else 0
        for id, picture in zip(ids, progress.preview(frame)):
            self._report(Preview(id, progress.step, progress.steps, jpeg(picture, PREVIEW_PX)))
        now = time.monotonic()
        # The first one compiles.
        self._cost = now - began if not self._cost else min(self._cost, now - began)
        self._next = now + max(PREVIEW_S, min(60.0, PREVIEW_SHARE * self._cost))


def explained(error: Exception) -> tuple[str, str]:
    """Code and message of an error for the client."""
    if isinstance(error, ValueError):
        return "invalid_request", str(error)
    if "RESOURCE_EXHAUSTED" in str(error) or isinstance(error, MemoryError):
        return "out_of_memory", (
            "the server's device has too little memory for this video: ask for a smaller size or "
            "fewer frames."
        )
    if isinstance(error, OSError):
        return "server_error", "the server could not write the video; its log says why."
    return "server_error", "the video could not be made; the server's log says why."


def without_folders(record: dict[str, Any] | None) -> dict[str, Any] | None:
    """A record that names files without the server's folders."""
    if record is None:
        return None
    weights = {**record["weights"], "given": _names(record["weights"]["given"])}
    kept = {**record, "inputs": _names(record["inputs"]), "weights": weights}
    after = record.get("after")
    return with_after(kept, **_names(after)) if after else kept


def _names(value: Any) -> Any:
    """A value with the last part of every absolute path in it."""
    if isinstance(value, Mapping):
        return {name: _names(each) for name, each in value.items()}
    if isinstance(value, list | tuple):
        return [_names(each) for each in value]
    return Path(value).name if isinstance(value, str) and value.startswith("/") else value


def jpeg(picture: Picture, longest: int) -> bytes:
    """A picture as a small JPEG file."""
    content = io.BytesIO()
    _small(picture, longest).save(content, "JPEG", quality=QUALITY)
    return content.getvalue()


def thumbnail(picture: Picture) -> bytes:
    """A picture as a small WebP file."""
    content = io.BytesIO()
    _small(picture, THUMBNAIL_PX).save(content, "WEBP", quality=QUALITY, method=2)
    return content.getvalue()


def spritesheet(frames: np.ndarray) -> bytes:
    """TILES frames of a video, evenly spaced, side by side as a JPEG file."""
    numbers = np.linspace(0, len(frames) - 1, TILES).round().astype(int)
    tiles = [np.asarray(_small(frames[number], TILE_PX)) for number in numbers]
    return jpeg(np.concatenate(tiles, axis=1), TILES * TILE_PX)


def _small(picture: Picture, longest: int) -> Image.Image:
    image = Image.fromarray(picture)
    with contextlib.suppress(ValueError):
        image.thumbnail((longest, longest))  # keeps the shape, and never enlarges
    return image
