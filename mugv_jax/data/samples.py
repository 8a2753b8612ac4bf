# Copyright 2026 The mugv_jax Authors
# SPDX-License-Identifier: Apache-2.0
"""What training reads: encoded samples, by index, whatever format they are stored in.

open_samples("folder")            a published train.csv, or a packed ArrayRecord data set
open_samples("folder")[3].latent  (f, h, w, c) float32, normalised
"""

import dataclasses
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Protocol, runtime_checkable

import numpy as np

from mugv_jax.axes import Bool, Float, Int
from mugv_jax.nn.vae.statistics import LATENT_SHIFT

CHANNELS = len(LATENT_SHIFT)
CSV = "train.csv"
PACKED_MARKER = "dataset_info.json"  # of TFDS
EMPTY_TEXT = "empty_text.pt"  # text states of the empty caption, where they were encoded too
DEFAULT_FPS = 24.0  # what the published trainer feeds where nothing says otherwise


class BadSample(ValueError):
    """One sample cannot be used; the message names its file and what is wrong with it."""


@dataclasses.dataclass(frozen=True)
class Sample:
    """One clip or picture as the DiT is trained on it.

    latent: normalised.
    text, text_mask: states of the caption. How many differs from sample to sample: the padding
        behind the last valid token is not there.
    fps: frames per second of the clip.
    name: says which sample it is, in messages.
    """

    latent: Float[np.ndarray, "f h w c"]
    text: Float[np.ndarray, "s d"]
    text_mask: Bool[np.ndarray, "s"]
    fps: float
    name: str


@runtime_checkable
class SampleSource(Protocol):
    """Samples by index. Safe to read from several threads, and to send to other processes.

    names: of every sample.
    shapes: int32 (n, 3), the latent's (f, h, w) of every sample, known without reading it.
    text_dim: width of the text states.
    bad: one line for each sample that was left out when the source was opened.
    """

    names: Sequence[str]
    shapes: Int[np.ndarray, "n 3"]
    text_dim: int
    bad: Sequence[str]

    def __len__(self) -> int:
        """How many samples there are."""

    def __getitem__(self, index: int) -> Sample:
        """Sample `index`, from 0.

        Raises:
            BadSample: its files are missing, damaged, or not what they were.
            IndexError: there is no such sample.
        """


def open_samples(path: str | os.PathLike) -> SampleSource:
    """The samples at `path`: a `train.csv` or the folder of one, or a packed data set.

    Raises:
        ValueError: there is none, or one without a sample that can be used.
    """
    path = Path(path).expanduser()
    if path.is_dir() and (path / PACKED_MARKER).is_file():
        from mugv_jax.data.packed import PackedSamples

        return PackedSamples(path)
    csv = path / CSV if path.is_dir() else path
    if not csv.is_file():
        reason = f"holds neither {CSV} nor {PACKED_MARKER}" if path.is_dir() else "does not exist"
        raise ValueError(
            f"samples {str(path)!r}: {reason}; give a {CSV}, its folder, or a folder made by "
            "`mugv-jax data pack`."
        )
    from mugv_jax.data.published import PublishedSamples

    return PublishedSamples(csv)


def checked_sample(
    file: object,
    latent: np.ndarray,
    text: np.ndarray,
    text_mask: np.ndarray,
    *,
    fps: float,
    name: str,
    shape: Int[np.ndarray, "3"],
    text_dim: int,
) -> Sample:
    """A sample of what was read, the padding of its text cut off.

    file: what to name in messages.  shape: (f, h, w) that the latent was announced with.

    Raises:
        BadSample: the arrays do not fit together, or hold NaN or infinities.
    """
    expected = (*(int(size) for size in shape), CHANNELS)
    if latent.shape != expected:
        raise BadSample(
            f"{file}: the latent (f, h, w, c) of {name} is {latent.shape}, but was {expected} when "
            "the samples were opened: open them again."
        )
    if text.ndim != 2 or text.shape[1] != text_dim or text_mask.shape != text.shape[:1]:
        raise BadSample(
            f"{file}: the text of {name} is {text.shape} with a mask of {text_mask.shape}; it must "
            f"be (s, {text_dim}) and (s,), as wide as the other samples'."
        )
    valid = np.flatnonzero(text_mask)
    if not valid.size:
        raise BadSample(f"{file}: the text mask of {name} leaves no token; encode it again.")
    length = int(valid[-1]) + 1
    text_mask = text_mask[:length].astype(bool)
    # Padding may hold anything, and is never read: zero, so that equal samples are equal.
    text = np.where(text_mask[:, None], text[:length].astype(np.float32), np.float32(0))
    latent = np.ascontiguousarray(latent, np.float32)
    for what, array in (("latent", latent), ("text", text)):
        if not np.isfinite(array).all():
            raise BadSample(
                f"{file}: the {what} of {name} holds NaN or infinities; encode it again, in "
                "float32 if it overflowed."
            )
    return Sample(latent=latent, text=text, text_mask=text_mask, fps=float(fps), name=name)
