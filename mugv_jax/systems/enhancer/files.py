# Copyright 2026 The mugv_jax Authors
# SPDX-License-Identifier: Apache-2.0
"""Video files, enhanced: one, those of a folder, or those of a list; what is done stays done."""

import collections
import contextlib
import csv
import dataclasses
import math
import os
from collections.abc import Iterable, Iterator
from pathlib import Path

import numpy as np
from jaxtyping import UInt8
from PIL import Image

from mugv_jax import video
from mugv_jax.axes import Frames
from mugv_jax.systems.enhancer.pipeline import EnhancerPipeline
from mugv_jax.systems.enhancer.request import EnhanceRequest

SUFFIXES = (".mp4", ".mov", ".mkv", ".avi", ".webm", ".m4v")
LIST = ".csv"
NAME, TEXT = "file_name", "text"  # columns of a list, as published
COMPARED = "_compare"  # ends the name of a video that shows input and output


@dataclasses.dataclass(frozen=True)
class Job:
    """One video to enhance.

    prompt: its own, where the list has one.  compared: a video of input beside output, or None.
    """

    source: Path
    output: Path
    prompt: str | None = None
    compared: Path | None = None

    @property
    def done(self) -> bool:
        """Files appear under their names only when they are whole."""
        return self.output.is_file() and (self.compared is None or self.compared.is_file())


@dataclasses.dataclass(frozen=True)
class Enhanced:
    """frames, fps: of the video.  psnr: of the result against the input, in dB."""

    frames: int
    fps: float
    psnr: float


def jobs_of(source: str | os.PathLike, out: str | os.PathLike, *, compare: bool) -> list[Job]:
    """A video file and the file to write; or a folder or list of videos, and a folder to write to.

    Results have the names of their sources, with the suffix .mp4.

    Raises:
        ValueError: no videos in the folder, a list that cannot be read, or videos that would be
            written to one file, or over one that is read.
    """
    source, out = Path(source).expanduser(), Path(out).expanduser()
    if source.is_dir():
        named = [
            (path, None) for path in sorted(source.iterdir()) if path.suffix.lower() in SUFFIXES
        ]
        if not named:
            raise ValueError(f"{source} holds no videos ({', '.join(SUFFIXES)}).")
    elif source.suffix.lower() == LIST:
        named = list(_listed(source))
    else:
        return _safe([Job(source, out, compared=_compared(out) if compare else None)])
    if out.suffix:
        raise ValueError(f"output {str(out)!r} must be a folder: there are several videos.")
    jobs = []
    for path, prompt in named:
        output = out / f"{path.stem}.mp4"
        jobs.append(Job(path, output, prompt, _compared(output) if compare else None))
    twice = [name for name, n in collections.Counter(job.output for job in jobs).items() if n > 1]
    if twice:
        raise ValueError(
            f"several videos of {source} would be written to {', '.join(map(str, twice))}: give "
            "their files different names."
        )
    return _safe(jobs)


def _safe(jobs: list[Job]) -> list[Job]:
    """`jobs`, none of which is written over a video that is read."""
    sources = {job.source.resolve() for job in jobs}
    over = [job.output for job in jobs if job.output.resolve() in sources]
    if over:
        raise ValueError(
            f"{', '.join(map(str, over))} would be written over what is read: choose another "
            "output."
        )
    return jobs


def _compared(output: Path) -> Path:
    return output.with_stem(f"{output.stem}{COMPARED}")


def _listed(path: Path) -> Iterator[tuple[Path, str | None]]:
    """(video, prompt) of the rows of a csv file; relative to its folder."""
    try:
        with path.open(newline="", encoding="utf-8") as file:
            rows = list(csv.DictReader(file))
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise ValueError(f"list {str(path)!r} cannot be read: {error}.") from error
    if not rows:
        raise ValueError(f"list {str(path)!r} is empty: it needs {NAME} and perhaps {TEXT}.")
    lacking = [number for number, row in enumerate(rows, start=2) if not row.get(NAME)]
    if lacking:
        raise ValueError(
            f"list {str(path)!r} names no video in lines {', '.join(map(str, lacking))}: each "
            f"needs a column {NAME}, and perhaps {TEXT} with its prompt."
        )
    for row in rows:
        yield path.parent / row[NAME], (row.get(TEXT) or "").strip() or None


def enhance_file(
    pipeline: EnhancerPipeline,
    job: Job,
    request: EnhanceRequest,
    *,
    blur: bool = False,
    progress: bool = True,
) -> tuple[Enhanced, str | None]:
    """Writes the result of one video: as many frames, of one size, rate and sound with it.

    blur: shrinks and enlarges the input by two before, to see what is restored; PSNR is against
        what it was, and the comparison shows it blurred.

    Returns what was made, and what was changed in the input (a variable rate), if anything.

    Raises:
        ValueError: a video that cannot be read, or an output that cannot be written.
    """
    if job.prompt is not None:
        request = dataclasses.replace(request, prompt=job.prompt)
    for path in (job.output, job.compared):
        if path is not None:
            video.prepare_output(path)
    held = collections.deque()  # what went in and has not come out
    error = _SquaredError()
    with video.open_frames(job.source) as stream, contextlib.ExitStack() as outputs:
        write_pair = None
        if job.compared is not None:
            write_pair = outputs.enter_context(video.writing(job.compared, stream.fps))
        write = outputs.enter_context(video.writing(job.output, stream.fps, audio_from=job.source))
        given = _remembered(stream.frames, held, blur=blur)
        for made in pipeline.run(given, request, progress=progress):
            pairs = [held.popleft() for _ in made]
            original, shown = (np.stack(each) for each in zip(*pairs))
            error.add(original, made)
            write(made)
            if write_pair is not None:
                write_pair(video.side_by_side(shown, made))
        note = stream.resampled
    return Enhanced(error.frames, float(stream.fps), error.psnr), note


def _remembered(
    frames: Iterable[UInt8[np.ndarray, "h w 3"]], held: collections.deque, *, blur: bool
) -> Iterator[UInt8[np.ndarray, "h w 3"]]:
    """What goes in; (the frame, what went in) is appended to `held`."""
    for frame in frames:
        seen = _blurred(frame) if blur else frame
        held.append((frame, seen))
        yield seen


def _blurred(frame: UInt8[np.ndarray, "h w 3"]) -> UInt8[np.ndarray, "h w 3"]:
    """Half as large and as large again, bicubic."""
    height, width = frame.shape[:2]
    half = max(1, width // 2), max(1, height // 2)
    small = Image.fromarray(frame).resize(half, Image.Resampling.BICUBIC)
    return np.asarray(small.resize((width, height), Image.Resampling.BICUBIC))


class _SquaredError:
    """Of all frames of two videos, of 255 levels."""

    def __init__(self):
        self.frames, self._sum, self._count = 0, 0.0, 0

    def add(self, x: Frames, y: Frames) -> None:
        self.frames += len(x)
        self._sum += float(np.sum(np.square(x.astype(np.float32) - y), dtype=np.float64))
        self._count += x.size

    @property
    def psnr(self) -> float:
        """In dB; equal videos have 120."""
        return -10 * math.log10(max(self._sum / self._count / 255**2, 1e-12))
