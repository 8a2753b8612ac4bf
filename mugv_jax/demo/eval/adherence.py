# Copyright 2026 The mugv_jax Authors
# SPDX-License-Identifier: Apache-2.0
"""Adherence on the demo world: clips are generated for held-out captions and read by its checker.

    truth   the clips that the captions describe: the score of a perfect model
    vae     reconstructions of those clips, with PSNR and SSIM
    t2v     text to video
    i2v     image to video, from the first frame of the described clip
    diversity   text to video, several of each caption, and how far apart they are

Each task is scored on combinations of shape, colour and motion that training has seen (in newly
drawn scenes) and on combinations that it has not. Physical errors are counted beside. The clips of
several seeds are scored as one sample.
"""

import dataclasses
import itertools
import json
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, Protocol, runtime_checkable

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import UInt8

from mugv_jax import video
from mugv_jax.axes import Array, Float
from mugv_jax.bounds import MAX_SEED, require_at_least
from mugv_jax.data.folder_lock import only_process
from mugv_jax.data.whole_files import write_whole
from mugv_jax.demo.eval.answers import FIELDS, Answer, AnswerFile, Words
from mugv_jax.demo.eval.score import DISTANCE, QUALITIES, SPLITS, score
from mugv_jax.demo.world.clips import DemoClips
from mugv_jax.demo.world.physics import find_fault
from mugv_jax.demo.world.reading import read
from mugv_jax.demo.world.scene import WORLDS, Format
from mugv_jax.flow.guidance import Guidance
from mugv_jax.flow.schedule import check_shift, check_times
from mugv_jax.nn import quality
from mugv_jax.progress import Bar
from mugv_jax.systems.frames import Videos
from mugv_jax.systems.mugv.request import Request

TASKS = ("truth", "vae", "t2v", "i2v", "diversity")
USUAL_TASKS = TASKS[:4]
SEVERAL = 4  # videos of a caption whose distances are taken
CHECKER = 3  # number of the checker; answers of another one cannot be mixed with its own
ASKED = ("shape", "colour", "told")  # attributes of a clip that its caption names
ANSWERS, SCORES = "answers.jsonl", "scores.json"

Pictures = UInt8[np.ndarray, "b _h _w 3"]  # sizes in pixels


@runtime_checkable
class Generator(Protocol):
    """Makes the videos that are measured."""

    def generate(
        self, captions: Sequence[str], seeds: Sequence[int], first: Pictures | None = None
    ) -> Videos:
        """One video per caption, from noise of its seed, that begins with its picture, if any."""
        ...

    def reconstruct(self, videos: Videos) -> Videos:
        """The videos after encoding and decoding."""
        ...


@dataclasses.dataclass(frozen=True, kw_only=True)
class DemoEval:
    """Settings of one measurement.

    clips: number of clips per seed, task and split.
    batch: clips generated at a time.
    seeds: seeds of the drawn clips; the noise of clip n (from 0) has seed + n, for diversity
        seed + SEVERAL n and those that follow. Training draws with 0.
    format: size and frame rate of the clips; the model is conditioned on this rate.

    Raises:
        ValueError: a field out of range.
    """

    world: str = "small"
    format: Format = dataclasses.field(default_factory=Format)
    tasks: tuple[str, ...] = USUAL_TASKS
    clips: int = 100
    seeds: tuple[int, ...] = (1,)
    steps: int = Request.steps
    shift: float | None = Request.shift
    times: tuple[float, ...] | None = None
    renoise: bool = Request.renoise
    guidance: float = Guidance.scale
    batch: int = 20

    def __post_init__(self):
        if self.world not in WORLDS:
            raise ValueError(f"world={self.world!r} must be one of {', '.join(WORLDS)}.")
        if not self.tasks or not set(self.tasks) <= set(TASKS):
            raise ValueError(f"tasks={','.join(self.tasks)} must be some of {', '.join(TASKS)}.")
        if self.clips < 2:
            raise ValueError(f"clips={self.clips} must be at least 2, to have an interval.")
        require_at_least(1, self, "steps", "batch")
        most = MAX_SEED - SEVERAL * self.clips
        for seed in self.seeds:
            if not 0 <= seed <= most:
                raise ValueError(f"seed={seed} must lie in 0 to {most}.")
        if not self.seeds or len(set(self.seeds)) != len(self.seeds):
            raise ValueError(f"seeds={self.seeds} must be one or more, each once.")
        check_shift(self.shift)
        check_times(self.times)
        Guidance(scale=self.guidance)  # raises if it is out of range

    def settings(self) -> dict[str, Any]:
        """The fields that all answers depend on; newer ones only where they are set."""
        values = dataclasses.asdict(self)
        apart = {"tasks", "clips", "batch", "seeds"}
        apart |= {k for k in ("times", "renoise") if not values[k]}
        return {k: v for k, v in values.items() if k not in apart}


def evaluate(
    config: DemoEval, generator: Generator, weights: Mapping[str, Any], folder: Path
) -> dict[str, Any]:
    """Scores a generator and writes `folder/scores.json`; returns that report without answers.

    weights: identity of the weights (`demo/eval/identity.py`).
    Answers of the same measurement that are in the folder already are reused.

    Raises:
        ValueError: the folder has answers of another measurement, or another process fills it.
    """
    digests = {name: file["sha256"] for name, file in weights["files"].items()}
    about = {
        "settings": config.settings(),
        "checker": CHECKER,
        "weights": {**weights, "files": digests},
    }
    with only_process(folder):
        answers = measure(config, generator, AnswerFile(folder / ANSWERS, about))
    report = {
        "settings": dataclasses.asdict(config),
        "weights": weights,
        "scores": score(answers),
    }
    head = json.dumps(report, indent=2).removesuffix("\n}")
    lines = ",\n".join(f"    {json.dumps(answer.to_dict())}" for answer in answers)
    text = f'{head},\n  "answers": [\n{lines}\n  ]\n}}\n'
    write_whole(folder / SCORES, text.encode())
    return report


def measure(config: DemoEval, generator: Generator, kept: AnswerFile) -> list[Answer]:
    """Answers to the clips of all tasks and splits; each batch is saved as soon as it is read."""
    answers = []
    for seed, task, split in itertools.product(config.seeds, config.tasks, SPLITS):
        keys = [(seed, task, split, number) for number in range(config.clips)]
        missing = [key[-1] for key in keys if key not in kept.answers]
        of_seed = f", seed {seed}" if len(config.seeds) > 1 else ""
        done = len(keys) - len(missing)
        with Bar(f"{task}, {split}{of_seed}", total=len(keys), done=done, unit="clip") as bar:
            for start in range(0, len(missing), config.batch):
                numbers = missing[start : start + config.batch]
                kept.add(_answer(config, generator, seed, task, split, numbers))
                bar.update(len(numbers))
        answers += [kept.answers[key] for key in keys]
    return answers


def _answer(
    config: DemoEval,
    generator: Generator,
    seed: int,
    task: str,
    split: str,
    numbers: Sequence[int],
) -> list[Answer]:
    source = DemoClips(
        split=split,
        count=config.clips,
        seed=seed,
        format=config.format,
        world=WORLDS[config.world],
    )
    clips = [source[number] for number in numbers]
    videos, qualities = np.stack([clip.video for clip in clips]), [{}] * len(clips)
    if task == "truth":
        made = videos
    elif task == "vae":
        made = generator.reconstruct(videos)
        qualities = _qualities(videos, made)
    elif task == "diversity":
        captions = [clip.caption for clip in clips for _ in range(SEVERAL)]
        seeds = [seed + SEVERAL * n + k for n in numbers for k in range(SEVERAL)]
        groups = generator.generate(captions, seeds).reshape(-1, SEVERAL, *videos.shape[1:])
        made, qualities = groups[:, 0], [{DISTANCE: distance(each)} for each in groups]
    else:
        captions, seeds = [clip.caption for clip in clips], [seed + n for n in numbers]
        made = generator.generate(captions, seeds, videos[:, 0] if task == "i2v" else None)
    return [
        Answer(
            seed=seed,
            task=task,
            split=split,
            clip=number,
            caption=clip.caption,
            asked=_words(clip.attributes[field] for field in ASKED),
            read=reading and _words(getattr(reading, field).name for field in FIELDS),
            fault=fault,
            **quality,
        )
        for number, clip, reading, fault, quality in zip(
            numbers, clips, map(read, made), map(find_fault, made), qualities, strict=True
        )
    ]


def distance(videos: Videos) -> float:
    """Mean over all pairs of the root mean square difference of their pixels in [0, 1]."""
    pairs = itertools.combinations(videos.astype(np.float64) / 255, 2)
    return float(np.mean([np.sqrt(np.mean(np.square(a - b))) for a, b in pairs]))


def _words(words: Iterable[str]) -> Words:
    shape, colour, motion = words
    return shape, colour, motion


def _qualities(videos: Videos, made: Videos) -> list[dict[str, float]]:
    """PSNR and SSIM of each clip, means over its frames of 8-bit colour."""
    x, y = (jnp.asarray(video.to_pixels(each)) for each in (videos, made))
    means = (np.mean(each, axis=1).tolist() for each in _frame_qualities(x, y))
    return [dict(zip(QUALITIES, values)) for values in zip(*means, strict=True)]


@jax.jit
def _frame_qualities(
    x: Float[Array, "b f h w 3"], y: Float[Array, "b f h w 3"]
) -> tuple[Float[Array, "b f"], Float[Array, "b f"]]:
    return quality.psnr(x, y), quality.ssim(x, y)
