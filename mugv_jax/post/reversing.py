# Copyright 2026 The mugv_jax Authors
# SPDX-License-Identifier: Apache-2.0
"""A folder of pairs from a folder of real clips, by the DiT alone; see `reversal.py`.

    latents, text states of `mugv-jax data encode` -> batches of one shape -> win, lose, train.csv

Each pair depends on its own clip, text and seed alone, so it is the same for any batch size and
any number of processes.
"""

import collections
import dataclasses
import logging
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from mugv_jax.axes import Array
from mugv_jax.bounds import require_at_least, require_seed
from mugv_jax.data.captions import ID as VALID_ID
from mugv_jax.data.captions import LONGEST_ID
from mugv_jax.data.data_config import Shape
from mugv_jax.data.empty_text import read_empty_text
from mugv_jax.data.encoded import COLUMNS, LATENTS, NORMALISED
from mugv_jax.data.fields import BatchSizes, Text, flow_fields
from mugv_jax.data.pt_files import latent_bytes
from mugv_jax.data.published import ID, PublishedSamples
from mugv_jax.data.samples import CSV, EMPTY_TEXT, Sample
from mugv_jax.files import SAMPLES, check_output_folder, existing_file, removed_on_error
from mugv_jax.flow.guidance import Guidance
from mugv_jax.flow.reversal import check_level
from mugv_jax.flow.schedule import check_shift, sample_times, shift_ratio
from mugv_jax.post.folder import SETTINGS, Row, SampleFolder, read_rows
from mugv_jax.post.pairs import LOSE, MARGIN, link
from mugv_jax.post.prompts import NUMBER_BYTES
from mugv_jax.post.reversal import ReversedPairs, reversed_pairs
from mugv_jax.post.sampling import Sampled, seed_of
from mugv_jax.progress import Bar
from mugv_jax.sharding import mesh as meshes
from mugv_jax.systems.mugv.denoiser import MugvDenoiser
from mugv_jax.systems.mugv.size import MAX_TOKENS, STRIDE
from mugv_jax.systems.mugv.transformer import MugvTransformer
from mugv_jax.systems.sampling import rows_at_a_time
from mugv_jax.systems.text import padded_length

log = logging.getLogger(__name__)

LEVEL = 0.84  # share of the steps that is reversed by default: 42 of 50
REAL, DISTANCE, ERROR = "real_path", "distance", "reversal_error"  # columns of a pair


@dataclasses.dataclass(frozen=True, kw_only=True)
class ReverseConfig:
    """How clips become pairs, and this process's share of them.

    steps: steps of a whole sample (N).
    level: steps that are reversed (s), 1 to N; None is LEVEL of them.
    shift: shift of times towards noise; None is by size, as published.
    guidance: that of all steps, those of the reversal included.
    candidates: noises among which the loser is chosen (C).
    batch: clips that are computed together.
    seed: seed of all noise; a candidate's own seed follows from it, the clip's id and its number.
    shard_index, shard_count: this process, and the number of processes that share the clips.

    Raises:
        ValueError: values out of range.
    """

    steps: int
    level: int | None = None
    shift: float | None = None
    guidance: Guidance
    candidates: int = 4
    batch: int = 32
    seed: int = 0
    shard_index: int = 0
    shard_count: int = 1

    def __post_init__(self):
        require_at_least(1, self, "steps", "candidates", "batch")
        check_level(self.reversed_steps, self.steps)
        check_shift(self.shift)
        require_seed("seed", self.seed)

    @property
    def reversed_steps(self) -> int:
        """The level (s)."""
        return max(1, round(LEVEL * self.steps)) if self.level is None else self.level

    def times(self, shape: Shape) -> np.ndarray:
        """Times of a whole sample whose latents are (f, h, w)."""
        frames, height, width = shape
        ratio = self.shift or shift_ratio(height * STRIDE, width * STRIDE, frames)
        return sample_times(self.steps, ratio)


def reverse_clips(real: Path, out: Path, models: MugvTransformer, config: ReverseConfig) -> Sampled:
    """Makes a pair of every clip in the folder `real` of `mugv-jax data encode`, into `out`.

    Pairs that are there already are not made again, so that an interrupted run goes on.

    Raises:
        ValueError: folders that cannot be used, clips that the model cannot read, no empty
            caption where guidance needs it, or latents that are not finite.
    """
    check_output_folder(out, SAMPLES)
    work = _Work.of(real, models, config)
    share = work.clips[config.shard_index :: config.shard_count]
    with removed_on_error(out) as kept:
        folder = SampleFolder(
            out,
            [clip.id for clip in work.clips],
            _settings(models, config),
            shard_index=config.shard_index,
            shard_count=config.shard_count,
            videos=False,
        )
        with folder.only_process():
            done = [row for clip in share if (row := _recalled(folder, clip)) is not None]
            finished = {row[ID] for row in done}
            todo = [clip for clip in share if clip.id not in finished]
            log.info("%d of %d pairs are to be made.", len(todo), len(share))
            kept += [True] * bool(todo)
            if (real / EMPTY_TEXT).is_file() and not folder.has(EMPTY_TEXT):
                link(real / EMPTY_TEXT, out / EMPTY_TEXT)
            try:
                folder.finish(done)
                with Bar("reversing", total=len(share), done=len(done), unit="pair") as bar:
                    for rows in work.made(folder, todo):
                        folder.finish(rows)
                        bar.update(len(rows))
            finally:
                listed = folder.merge()
    return Sampled(made=len(todo), finished=len(share), rows=listed)


@dataclasses.dataclass(frozen=True)
class _Clip:
    """One real clip.

    number: its place among the samples.  latent, text: its files, relative to their folder.
    """

    number: int
    id: str
    shape: Shape
    latent: str
    text: str


@dataclasses.dataclass(frozen=True)
class _Work:
    """All that pairs are made of; `empty` is the text that guidance leads away from."""

    real: Path
    samples: PublishedSamples
    clips: Sequence[_Clip]
    empty: Text | None
    models: MugvTransformer
    config: ReverseConfig

    @classmethod
    def of(cls, real: Path, models: MugvTransformer, config: ReverseConfig) -> "_Work":
        """The clips of a folder, checked for this model."""
        if (real / SETTINGS).exists():
            raise ValueError(
                f"{real} holds videos of a model, from `mugv-jax post`, which would win: give real "
                "clips, from `mugv-jax data encode`."
            )
        dit, statistics = models.config.dit, models.system.statistics
        fields = flow_fields(channels=dit.in_channels, text_dim=dit.text_dim, statistics=statistics)
        csv = existing_file(real / CSV, "real clips")
        rows = read_rows(real, "latent_path", "text_feat_path", of="mugv-jax data encode")
        samples, empty = PublishedSamples(csv, fields), _empty(real, config.guidance)
        return cls(real, samples, _clips(csv, rows, samples), empty, models, config)

    def made(self, folder: SampleFolder, todo: Sequence[_Clip]) -> Iterator[list[Row]]:
        """Makes and writes the pairs of some clips; yields the rows of each batch.

        The clips of a batch have one shape, and one program serves all batches of a shape.
        """
        if not todo:
            return  # without loading the model
        by_shape = collections.defaultdict(list)
        for clip in todo:
            by_shape[clip.shape].append(clip)
        mesh, available = self.models.mesh, collections.Counter(clip.shape for clip in self.clips)
        with meshes.use(mesh), self.models.model("dit") as (dit, variables):
            denoiser = MugvDenoiser(dit)
            for shape, clips in by_shape.items():
                rows = rows_at_a_time(mesh, min(self.config.batch, available[shape]))
                for first in range(0, len(clips), rows):
                    batch = clips[first : first + rows]
                    read = [self.samples[clip.number] for clip in batch]
                    filled = read + [read[-1]] * (rows - len(read))
                    inputs = self._inputs(denoiser, filled, shape)
                    pairs = reversed_pairs(denoiser, variables, mesh, **inputs)
                    yield [
                        self._write(folder, clip, sample, pairs, place)
                        for place, (clip, sample) in enumerate(zip(batch, read, strict=True))
                    ]

    def _inputs(
        self, denoiser: MugvDenoiser, clips: Sequence[Sample], shape: Shape
    ) -> dict[str, Any]:
        """Arguments of `reversed_pairs` for some clips."""
        config, empty = self.config, self.empty
        texts = [clip["text"] for clip in clips] + [empty] * (empty is not None)
        sizes = BatchSizes(shape, padded_length((text.states for text in texts), MAX_TOKENS))

        def stacked(values: Sequence[Mapping[str, Any]]) -> dict[str, Array]:
            batch = {}
            for field in self.samples.fields:
                batch |= field.stack([each[field.name] for each in values], sizes)
            return jax.tree.map(jnp.asarray, batch)

        batch, seeds = stacked([clip.values for clip in clips]), range(config.candidates)
        negative = None
        if empty is not None:
            negative = denoiser.condition(
                stacked([{**clip.values, "text": empty} for clip in clips])
            )
        return {
            "clips": batch["latent"],
            "seeds": [[seed_of(config.seed, clip.name, k) for k in seeds] for clip in clips],
            "times": config.times(shape),
            "level": config.reversed_steps,
            "positive": denoiser.condition(batch),
            "negative": negative,
            "guidance": config.guidance,
        }

    def _write(
        self, folder: SampleFolder, clip: _Clip, sample: Sample, pairs: ReversedPairs, place: int
    ) -> Row:
        """Writes the files of one pair and returns its row."""
        win, lose = pairs.win[place], pairs.lose[place]
        if not (np.isfinite(win).all() and np.isfinite(lose).all()):
            raise ValueError(
                f"the latents made of {clip.id} are not finite: reverse in float32 (--dtype), or "
                "with a smaller --guidance."
            )
        chosen = int(pairs.chosen[place])
        values = (clip.id, NORMALISED, f"{LATENTS}/{clip.id}-win.pt", clip.text)
        row = dict(zip(COLUMNS, (*values, repr(float(sample["fps"]))), strict=True)) | {
            LOSE: f"{LATENTS}/{clip.id}-lose.pt",
            "win": clip.id,
            "lose": f"{clip.id}-{chosen:03d}",
            MARGIN: "",
            "tie": "0",
            "prompt": clip.id,
            "seed": str(seed_of(self.config.seed, clip.id, chosen)),
            REAL: clip.latent,
            DISTANCE: f"{pairs.distance[place]:.6g}",
            ERROR: f"{np.sqrt(np.mean(np.square(win - sample['latent']))):.6g}",
        }
        link(self.real / clip.text, folder.path / clip.text)
        folder.write(row["latent_path"], latent_bytes(win))
        folder.write(row[LOSE], latent_bytes(lose))
        return row


def _clips(csv: Path, rows: Sequence[Row], samples: PublishedSamples) -> list[_Clip]:
    files = {row[ID]: row for row in rows}
    clips = []
    for number, (name, shape) in enumerate(zip(samples.names, samples.shapes, strict=True)):
        if not VALID_ID.fullmatch(name) or len(name.encode()) > LONGEST_ID - NUMBER_BYTES:
            raise ValueError(
                f"{csv}: {ID}={name[:20]!r} must be letters, digits, '.', '-' and '_' only, "
                f"at most {LONGEST_ID - NUMBER_BYTES} bytes: files are named after it."
            )
        own, (f, h, w) = files[name], shape.tolist()
        clips.append(_Clip(number, name, (f, h, w), own["latent_path"], own["text_feat_path"]))
    return clips


def _empty(real: Path, guidance: Guidance) -> Text | None:
    """The text that guidance leads away from, or None without guidance."""
    if guidance.scale == 1:
        return None
    if not (real / EMPTY_TEXT).is_file():
        raise ValueError(
            f"{real} has no {EMPTY_TEXT}, the caption that guidance leads away from: encode the "
            "clips with `mugv-jax data encode`, or turn guidance off with --guidance 1."
        )
    return Text(*read_empty_text(real / EMPTY_TEXT))


def _settings(models: MugvTransformer, config: ReverseConfig) -> dict[str, Any]:
    """Everything besides the clip that a pair depends on."""
    return {
        "steps": config.steps,
        "level": config.reversed_steps,
        "shift": config.shift,
        "guidance": dataclasses.asdict(config.guidance),
        "candidates": config.candidates,
        "seed": config.seed,
        "weights": models.digests() or models.arguments,
        "dtype": jnp.dtype(models.dtype).name,
        "quantize": models.quantize,
    }


def _recalled(folder: SampleFolder, clip: _Clip) -> Row | None:
    """The row of an earlier run of the same clip and text, if its files are there."""
    row = folder.known.get(clip.id)
    if row is None or (row.get(REAL), row["text_feat_path"]) != (clip.latent, clip.text):
        return None
    files = (row["latent_path"], row[LOSE], row["text_feat_path"])
    return row if all(map(folder.has, files)) else None
