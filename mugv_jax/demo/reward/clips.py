# Copyright 2026 The mugv_jax Authors
# SPDX-License-Identifier: Apache-2.0
"""Clips and captions with labels, for the training of the demo's reward model.

Rendered clips come from the small world, every second one with a physical error: what they show is
known. Of sampled videos, which show what a decoder makes of clips, the labels of the checker say
whether each part is what the caption asks for.
"""

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Float, Int

from mugv_jax import video
from mugv_jax.axes import Bool, Frames
from mugv_jax.demo.eval.answers import FIELDS
from mugv_jax.demo.eval.score import PHYSICS
from mugv_jax.demo.reward.model import CLASSES, mean_state
from mugv_jax.demo.reward.object_features import features
from mugv_jax.demo.world.captions import caption
from mugv_jax.demo.world.render import render
from mugv_jax.demo.world.scene import WORLDS, Format, Scene, draw
from mugv_jax.nn.text import tokenizer
from mugv_jax.nn.text.t5 import T5Encoder
from mugv_jax.progress import over
from mugv_jax.systems.mugv.models import demo_weights
from mugv_jax.systems.text import text_batches
from mugv_jax.weights.load import load

WORLDS_DRAWN = (WORLDS["small"], WORLDS["errors"])  # they draw the same scenes
FRAMES = Format().frames
TOKENS = 48  # more than any caption of the world has
TEXT_BATCH, CLIP_BATCH = 64, 16
NOISE, CONTRAST = 0.1, 0.1  # largest deviation of noise; largest change of contrast
HELD_OUT = 5  # of so many prompts the samples of one are not trained on


class Clips(NamedTuple):
    """Labelled clips.

    shown: features of the frames of each copy of a clip.
    words: number in CLASSES of a word of each part.
    right: whether the clip shows this word, or does not.
    """

    shown: Float[np.ndarray, "r n f k"]
    words: Int[np.ndarray, "n p"]
    right: Bool[np.ndarray, "n p"]


class Captions(NamedTuple):
    """Labelled captions.

    text: mean state of each.  words: numbers of words in CLASSES, by FIELDS.
    """

    text: Float[np.ndarray, "n d"]
    words: Int[np.ndarray, "n p"]


def rendered(split: str, count: int, *, seed: int) -> Clips:
    """Clips of the first scenes of a split, every second one with a physical error."""
    worlds = (WORLDS_DRAWN[number % len(WORLDS_DRAWN)] for number in range(count))
    scenes = [draw(split, n, seed=seed, world=world) for n, world in enumerate(worlds)]
    words = [_shown(scene) for scene in scenes]
    frames = (render(scene) for scene in over(scenes, "rendering", unit="clip"))
    return Clips(_features(frames, seed), _numbers(words), np.ones((count, len(CLASSES)), bool))


def sampled(
    folder: Path, rows: Sequence[Mapping[str, str]], labels: Mapping[str, Mapping[str, float]]
) -> Clips:
    """Clips of samples.

    rows: samples in `folder`, with the columns of `mugv-jax demo world`.
    labels: by id, 1 or 0 for each of CLASSES, as `post label --by demo` writes them.

    Raises:
        ValueError: rows without video or words, no label, or videos of another length than clips.
    """
    words = [_asked(row) for row in rows]
    right = []
    for row in rows:
        found = labels.get(row["sample_id"], {})
        if not {*CLASSES} <= found.keys():
            raise ValueError(
                f"{row['sample_id']} has no labels of {', '.join(CLASSES)}: label the samples with "
                "mugv-jax post label --by demo."
            )
        right.append([found[part] > 0.5 for part in CLASSES])
    frames = (_read(folder, row) for row in over(rows, "reading", unit="video"))
    return Clips(_features(frames, len(rows)), _numbers(words), np.array(right))


def split_by_prompt(
    rows: Sequence[Mapping[str, str]],
) -> tuple[list[Mapping[str, str]], list[Mapping[str, str]]]:
    """Samples to train on, and those of every HELD_OUT-th prompt."""
    prompts = [*dict.fromkeys(row["prompt"] for row in rows)]
    held_out = {*prompts[HELD_OUT - 1 :: HELD_OUT]}
    seen = [row for row in rows if row["prompt"] not in held_out]
    return seen, [row for row in rows if row["prompt"] in held_out]


def captions(split: str, count: int, *, seed: int) -> Captions:
    """Captions of the first scenes of a split."""
    scenes = [draw(split, number, seed=seed, world=WORLDS_DRAWN[0]) for number in range(count)]
    states, mask = read_captions([caption(scene) for scene in scenes])
    text = mean_state(jnp.asarray(states), jnp.asarray(mask))
    words = _numbers([_shown(scene) for scene in scenes])[:, : len(FIELDS)]
    return Captions(np.asarray(text), words)


def read_captions(
    texts: Sequence[str],
) -> tuple[Float[np.ndarray, "b s d"], Bool[np.ndarray, "b s"]]:
    """States of the demo's own text encoder, which is part of the package, and their mask."""
    folder = demo_weights() / "text_encoder"
    ids, mask = tokenizer.load(str(folder)).tokenize(texts, TOKENS)
    config, variables = load(folder, "t5_encoder", dtype="float32")
    encoder = T5Encoder(config, jnp.float32)
    batches = text_batches(encoder, variables, ids, mask, batch_size=TEXT_BATCH)
    return np.concatenate(list(batches)), mask


def _features(clips: Iterable[Frames], seed: int) -> Float[np.ndarray, "r n f k"]:
    """Features of every clip as it is, and with random noise and contrast."""
    rng, found, read = np.random.default_rng(seed), [], jax.jit(features)
    for frames in clips:
        clean = frames.astype(np.float32) / 127.5 - 1
        noise = rng.uniform(0, NOISE) * rng.standard_normal(clean.shape, np.float32)
        disturbed = clean * rng.uniform(1 - CONTRAST, 1 + CONTRAST) + noise
        found.append(np.asarray(read(np.stack([clean, disturbed], dtype=np.float32))))
    return np.stack(found, axis=1)


def _read(folder: Path, row: Mapping[str, str]) -> Frames:
    if not row.get("video_path"):
        raise ValueError(f"{row['sample_id']} has no video: sample with --videos lossless.")
    frames = video.read_video(folder / row["video_path"]).frames
    if len(frames) != FRAMES:
        raise ValueError(f"{row['sample_id']} has {len(frames)} frames, must have {FRAMES}.")
    return frames


def _shown(scene: Scene) -> dict[str, str]:
    thing, fault = scene.main.thing, scene.fault.kind if scene.fault else ""
    words = (thing.shape, thing.colour, scene.motion)
    return dict(zip(FIELDS, words, strict=True)) | {PHYSICS: fault}


def _asked(row: Mapping[str, str]) -> dict[str, str]:
    """The words that the caption of a sample asks for, and no physical error."""
    words = {part: row.get(part, "") for part in FIELDS}
    words["motion"] = row.get("told") or words["motion"]
    for part, word in words.items():
        if not word or word not in CLASSES[part]:
            raise ValueError(
                f"{row['sample_id']}: {part}={word!r} must be one of {', '.join(CLASSES[part])}: "
                "sample from captions of `mugv-jax demo world`."
            )
    return words | {PHYSICS: ""}


def _numbers(words: Sequence[Mapping[str, str]]) -> Int[np.ndarray, "n p"]:
    return np.array([[CLASSES[part].index(row[part]) for part in CLASSES] for row in words])
