# Copyright 2026 The mugv_jax Authors
# SPDX-License-Identifier: Apache-2.0
"""Rows of the table for VAEs that reconstruct clips, and for folders of paired videos."""

import contextlib
import functools
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

import jax.numpy as jnp
from jax.typing import DTypeLike

from mugv_jax.eval.clips import Checked, Clip, ClipSettings, check_clip, scaled_size
from mugv_jax.eval.measuring import Job, Load, Row
from mugv_jax.eval.pairs import FileFrames, VideoPair
from mugv_jax.eval.vae import Reconstruct, Vae
from mugv_jax.problems import Problems
from mugv_jax.progress import over

OWN = "own size"  # resolution of videos that are measured as they are


def check_clips(clips: Sequence[Clip], settings: ClipSettings) -> tuple[list[Checked], list[str]]:
    """The clips that can be measured, and a line for each that cannot."""
    checked, bad = [], []
    for clip in over(clips, "looking at clips", unit="clip"):
        try:
            checked.append(check_clip(clip, settings))
        except ValueError as error:
            bad.append(f"{error}")
    return checked, bad


def vae_row(
    vae: Vae,
    clips: Sequence[Checked],
    settings: ClipSettings,
    dtype: DTypeLike,
    opened: Callable[[Vae], AbstractContextManager[Reconstruct]],
) -> Row:
    """The row of a VAE; `opened` loads it."""
    by_job = {
        Job(each.clip.name, each.digest, f"{side}p"): (each, side)
        for each in clips
        for side in each.resolutions
    }

    @contextlib.contextmanager
    def loading() -> Iterator[Load]:
        with opened(vae) as reconstruct:

            def load(job: Job) -> tuple[Any, Any]:
                clip, side = by_job[job]
                frames = clip.read(side, settings.frames)
                return frames, reconstruct(frames)

            yield load

    identity = {**vae.identity(), "dtype": jnp.dtype(dtype).name}
    return Row(vae.label, identity, list(by_job), loading)


def videos_row(
    folder: Path, pairs: Sequence[VideoPair], resolutions: Sequence[int], frames: int | None
) -> Row:
    """The row of a folder's videos, at their own size if there are no resolutions.

    frames: number of frames that are taken; None for all.

    Raises:
        ValueError: videos that are smaller than all resolutions.
    """
    by_job, problems = {}, Problems()
    for pair in pairs:
        has = [side for side in resolutions if side <= min(pair.size)]
        with problems:
            if resolutions and not has:
                raise ValueError(
                    f"{pair.name} has {pair.size[0]}x{pair.size[1]} pixels, less than "
                    f"{min(resolutions)}p: nothing is enlarged; give a smaller resolution."
                )
        digest = pair.digest()
        for side in has or [None]:
            name = OWN if side is None else f"{side}p"
            size = None if side is None else scaled_size(*pair.size, side)
            by_job[Job(pair.name, digest, name)] = pair, size
    problems.check()

    def load(job: Job) -> tuple[Any, Any]:
        pair, size = by_job[job]
        of = functools.partial(FileFrames, count=pair.count, size=size, most=frames)
        return of(pair.reference), of(pair.made)

    return Row(folder.name, {}, list(by_job), lambda: contextlib.nullcontext(load))
