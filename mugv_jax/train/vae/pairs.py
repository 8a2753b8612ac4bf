# Copyright 2026 The mugv_jax Authors
# SPDX-License-Identifier: Apache-2.0
"""What a tiny decoder learns from: latents of clips, and what the full decoder makes of them.

The full decoder takes a hundred times longer than the tiny one, so each clip passes it once, before
the first step, and every step reads the results from files:

FOLDER/latents.npy   float32 (n f h w c)    normalised
FOLDER/frames.npy    uint8   (n f h w 3)    of the full decoder
"""

import dataclasses
import logging
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import jax.numpy as jnp
import numpy as np

from mugv_jax.axes import Frames
from mugv_jax.bounds import require_at_least
from mugv_jax.data.pixels import JoinedPixels, PixelConfig, PixelSteps
from mugv_jax.progress import Bar
from mugv_jax.systems.mugv.clips import decode_frames, encode_clips
from mugv_jax.weights.load import load
from mugv_jax.weights.registry import MODELS
from mugv_jax.weights.staging import temporary_folder

log = logging.getLogger(__name__)

VAE = "mugv_vae"
AT_A_TIME = 4  # clips that pass the VAE together
FILES = ("latents.npy", "frames.npy")


@dataclasses.dataclass(frozen=True, kw_only=True)
class PairConfig(PixelConfig):
    """Data that a tiny decoder is trained on; `PixelConfig` without its pictures.

    clips: clips of `frames` frames that pass the VAE before the first step.

    Raises:
        ValueError: values out of range.
    """

    clips: int = 2000

    def __post_init__(self):
        super().__post_init__()
        require_at_least(1, self, "clips")


class Pairs(NamedTuple):
    """Latents of clips of one length, and the frames that the full decoder makes of them."""

    latents: np.ndarray
    frames: np.ndarray


@dataclasses.dataclass(frozen=True)
class FullDecoder:
    """The VAE at a path, as generation runs it; its weights are read by every call of `pairs`.

    dtype: of its arithmetic.
    """

    path: str
    dtype: Any

    def pairs(self, clips: Iterator[Frames] | Sequence[Frames], count: int) -> Iterator[Pairs]:
        """The pairs of the first `count` clips, a few at a time; shows a progress bar."""
        config, variables = load(self.path, VAE)
        vae, clips = MODELS[VAE].build(config, self.dtype), iter(clips)
        with Bar("decoding with the VAE", total=count, unit="clip") as bar:
            for start in range(0, count, AT_A_TIME):
                part = [next(clips) for _ in range(min(AT_A_TIME, count - start))]
                padded = part + [part[-1]] * (AT_A_TIME - len(part))  # one program for all
                latents = np.stack(
                    encode_clips(vae, variables, padded, rows=AT_A_TIME, tiling=None)
                )
                image = len(part[0]) % config.time_factor == 1
                frames = decode_frames(
                    vae, variables, jnp.asarray(latents), starts_with_image=image
                )
                decoded = np.concatenate([*frames], axis=1)
                yield Pairs(latents[: len(part)], decoded[: len(part)])
                bar.update(len(part))


def stored_pairs(
    folder: Path, decoder: FullDecoder, source: JoinedPixels, config: PairConfig, seed: int
) -> Pairs:
    """The pairs of a run, read from `folder`, or made and written there first.

    Clips are drawn from `source` as for the steps of a VAE's training.

    Raises:
        ValueError: samples that cannot be used.
    """
    if not folder.is_dir():
        log.info("%d clips pass the VAE once; the results are kept in %s.", config.clips, folder)
        with temporary_folder(folder.parent, f".{folder.name}-") as partial:
            _write(partial, decoder, _drawn(source, config, seed), config.clips)
            (partial / "whole").mkdir()
            for name in FILES:
                (partial / name).rename(partial / "whole" / name)
            (partial / "whole").rename(folder)
    return Pairs(*(np.load(folder / name, mmap_mode="r") for name in FILES))


def _drawn(source: JoinedPixels, config: PairConfig, seed: int) -> Iterator[Frames]:
    """Clips, drawn as for the steps of one data shard."""
    config = dataclasses.replace(config, rows=1, picture_share=0.0)
    steps = PixelSteps(source, config, (0,), config.clips, seed)
    return (steps[number]["frames"][0] for number in range(len(steps)))


def _write(folder: Path, decoder: FullDecoder, clips: Iterator[Frames], count: int) -> None:
    files: list[np.memmap] = []
    done = 0
    for pairs in decoder.pairs(clips, count):
        if not files:
            files = [
                np.lib.format.open_memmap(
                    folder / name, "w+", dtype=array.dtype, shape=(count, *array.shape[1:])
                )
                for name, array in zip(FILES, pairs, strict=True)
            ]
        for file, array in zip(files, pairs, strict=True):
            file[done : done + len(array)] = array
        done += len(pairs.latents)
    for file in files:
        file.flush()


@dataclasses.dataclass(frozen=True)
class PairSteps:
    """The batch of every step, by its number: only the rows of the data shards `local`.

    latent    float32 (b f h w c)
    frames    uint8   (b k h w 3)    k frames of each clip, the same in all rows
    seen      int32   (b k)          their numbers
    sample, step      int32 (b)

    count: k; None for all frames.
    total: number of steps.
    seed: draws clips and frames.
    """

    pairs: Pairs
    rows: int
    count: int | None
    local: Sequence[int]
    total: int
    seed: int

    def __len__(self) -> int:
        return self.total

    def __getitem__(self, step: int) -> dict[str, np.ndarray]:
        clips, frames = self.pairs.frames.shape[:2]
        count = min(self.count or frames, frames)
        seen = np.random.default_rng((self.seed, step)).choice(frames, count, replace=False)
        seen.sort()
        drawn = np.array(
            [
                np.random.default_rng((self.seed, step, shard, row)).integers(clips)
                for shard in self.local
                for row in range(self.rows)
            ]
        )
        return {
            "latent": np.stack([self.pairs.latents[row] for row in drawn]),
            "frames": np.stack([self.pairs.frames[row][seen] for row in drawn]),
            "seen": np.tile(seen.astype(np.int32), (len(drawn), 1)),
            "sample": drawn.astype(np.int32),
            "step": np.full(len(drawn), step, np.int32),
        }
