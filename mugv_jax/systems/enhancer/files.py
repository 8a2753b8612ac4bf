# Copyright 2026 The mugv_jax Authors
# SPDX-License-Identifier: Apache-2.0
"""Enhancement of a video file, or of the files in a folder or list; finished files are kept."""

import collections
import contextlib
import dataclasses
import math
import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import UInt8
from PIL import Image

from mugv_jax import video
from mugv_jax.files import check_output_folder, resolved, user_path
from mugv_jax.systems.enhancer.pipeline import EnhancerPipeline
from mugv_jax.systems.enhancer.request import EnhanceRequest
from mugv_jax.tables import MISTAKE, SUFFIXES, read_records

NAME, TEXT = "file_name", "text"  # columns of a list, as published
NAMES, TEXTS = (NAME, "path"), (TEXT, "caption")  # and as `mugv-jax data encode` reads them
COLUMNS = (*NAMES, *TEXTS)
COMPARED = "_compare"  # suffix of a video of input beside output


@dataclasses.dataclass(frozen=True)
class Job:
    """One video to enhance.

    prompt: the video's own prompt, if the list has one.
    compared: path of a video of input beside output, or None.
    """

    source: Path
    output: Path
    prompt: str | None = None
    compared: Path | None = None

    @property
    def done(self) -> bool:
        """Whether all outputs exist; files get their names only when they are complete."""
        return self.output.is_file() and (self.compared is None or self.compared.is_file())


@dataclasses.dataclass(frozen=True)
class Enhanced:
    """Result of one video: its length, frame rate and PSNR against the input, in dB."""

    frames: int
    fps: float
    psnr: float


def jobs_of(source: str | os.PathLike, out: str | os.PathLike, *, compare: bool) -> list[Job]:
    """Jobs from a video and an output file, or from a folder or list and an output folder.

    Results have the names of their sources, with the suffix .mp4.

    Raises:
        ValueError: no videos in the folder, a list that cannot be read, or videos that would be
            written to one file, or over one that is read.
    """
    source, out = user_path(source), user_path(out)
    if source.is_dir():
        videos = [path for path in sorted(source.iterdir()) if _is_video(path)]
        if not videos:
            raise ValueError(f"{source} holds no videos ({', '.join(video.VIDEOS)}).")
        named = [(path, None, out / f"{path.stem}.mp4") for path in videos]
    elif source.suffix.lower() in SUFFIXES:
        named = [(path, prompt, out / f"{path.stem}.mp4") for path, prompt in _listed(source)]
    elif source.is_file() and video.is_picture(source):
        raise ValueError(f"{str(source)!r} is a picture, not a video: the enhancer takes videos.")
    else:
        named = [(source, None, out)]
    outputs = [output for *_, output in named]
    if out.suffix and outputs != [out]:
        raise ValueError(f"output {str(out)!r} must be a folder: there are several videos.")
    if outputs != [out]:
        check_output_folder(out)
    twice = [str(output) for output, n in collections.Counter(outputs).items() if n > 1]
    if twice:
        raise ValueError(
            f"several videos of {source} would be written to {', '.join(twice)}: give their files "
            "different names."
        )
    sources = {resolved(path) for path, *_ in named}
    over = [str(output) for output in outputs if resolved(output) in sources]
    if over:
        raise ValueError(
            f"{', '.join(over)} would be written over what is read: choose another output."
        )
    return [
        Job(path, output, prompt, output.with_stem(f"{output.stem}{COMPARED}") if compare else None)
        for path, prompt, output in named
    ]


def _is_video(path: Path) -> bool:
    """Whether a file has the suffix of a video or picture, and moves."""
    known = path.suffix.lower() in (*video.VIDEOS, *video.PICTURES)
    return known and not video.is_picture(path)


def _listed(path: Path) -> Iterator[tuple[Path, str | None]]:
    """(video, prompt) of every row of a list; paths are relative to its folder."""
    rows = list(read_records(path, COLUMNS))
    if not rows:
        raise ValueError(f"list {str(path)!r} is empty: it needs {NAME} and perhaps {TEXT}.")
    mistaken = [f"{where} {row[MISTAKE]}" for where, row in rows if MISTAKE in row]
    lacking = [where for where, row in rows if MISTAKE not in row and not _first(row, NAMES)]
    if lacking:
        mistaken.append(
            f"{', '.join(lacking)}: no video; each needs a column {NAME}, and perhaps {TEXT} with "
            "its prompt"
        )
    if mistaken:
        raise ValueError(f"list {str(path)!r}: {'; '.join(mistaken)}.")
    for _, row in rows:
        yield path.parent / _first(row, NAMES), _first(row, TEXTS) or None


def _first(row: Mapping[str, Any], columns: Sequence[str]) -> str:
    """The first text in one of the columns; empty if there is none."""
    texts = (row[name].strip() for name in columns if isinstance(row.get(name), str))
    return next(filter(None, texts), "")


def enhance_file(
    pipeline: EnhancerPipeline,
    job: Job,
    request: EnhanceRequest,
    *,
    blur: bool = False,
    progress: bool = True,
    traced: bool = True,
) -> tuple[Enhanced, str | None]:
    """Writes the enhanced video, with the length, size, pixel aspect, rate and sound of the input.

    blur: halve and double the size of the input first, to show what is restored; PSNR refers
        to the original input, and the comparison shows the blurred one.
    traced: write how the video was made, and how its source was, into the file.

    Returns the result, and a note on a change of the input (a variable rate), or None.

    Raises:
        ValueError: a video that cannot be read, or an output that cannot be written.
    """
    if job.prompt is not None:
        request = dataclasses.replace(request, prompt=job.prompt)
    for path in (job.output, job.compared):
        if path is not None:
            video.prepare_output(path)
    held = collections.deque()  # frames whose results are not there yet
    frames, squared, values = 0, 0.0, 0
    with video.open_frames(job.source) as stream, contextlib.ExitStack() as outputs:
        record = None
        if traced:
            record = request.record(pipeline.models, pipeline.tiling, job.source, blur=blur)
        write_pair = None
        if job.compared is not None:
            write_pair = outputs.enter_context(
                video.writing(job.compared, stream.fps, pixel_aspect=stream.pixel_aspect)
            )
        write = outputs.enter_context(
            video.writing(
                job.output,
                stream.fps,
                audio_from=job.source,
                pixel_aspect=stream.pixel_aspect,
                record=record,
            )
        )
        given = _remembered(stream.frames, held, blur=blur)
        for made in pipeline.run(given, request, progress=progress):
            pairs = [held.popleft() for _ in made]
            original, shown = (np.stack(each) for each in zip(*pairs))
            difference = original.astype(np.float32) - made
            squared += float(np.sum(np.square(difference), dtype=np.float64))
            frames, values = frames + len(made), values + made.size
            write(made)
            if write_pair is not None:
                write_pair(video.side_by_side(shown, made))
        note = stream.resampled
    psnr = -10 * math.log10(max(squared / values / 255**2, 1e-12))  # 120 for equal videos
    return Enhanced(frames, float(stream.fps), psnr), note


def _remembered(
    frames: Iterable[UInt8[np.ndarray, "h w 3"]], held: collections.deque, *, blur: bool
) -> Iterator[UInt8[np.ndarray, "h w 3"]]:
    """Input of the enhancer; appends (original frame, input frame) to `held`."""
    for frame in frames:
        seen = _blurred(frame) if blur else frame
        held.append((frame, seen))
        yield seen


def _blurred(frame: UInt8[np.ndarray, "h w 3"]) -> UInt8[np.ndarray, "h w 3"]:
    """The frame after halving and doubling its size, bicubic."""
    height, width = frame.shape[:2]
    half = max(1, width // 2), max(1, height // 2)
    small = Image.fromarray(frame).resize(half, Image.Resampling.BICUBIC)
    return np.asarray(small.resize((width, height), Image.Resampling.BICUBIC))
