# Copyright 2026 The mugv_jax Authors
# SPDX-License-Identifier: Apache-2.0
"""Training of the demo's reward model: deterministic, about a minute on one core.

    loss = mean over parts of -log p(word)          where the clip shows the word
                              -log (1 - p(word))    where it does not
         + mean over parts of -log q(word)          of the captions

Frames of a step are all of a clip, every second, or every fourth; clips are mirrored, with the word
of their motion, by changing the features of their frames, which are disturbed a little.
"""

import dataclasses
from collections.abc import Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax

from mugv_jax.axes import Array, Float
from mugv_jax.bounds import require_at_least
from mugv_jax.demo.eval.answers import FIELDS
from mugv_jax.demo.eval.score import PHYSICS
from mugv_jax.demo.reward.clips import Captions, Clips, captions, rendered
from mugv_jax.demo.reward.model import CLASSES, CaptionReader, ClipReader, Judge, init
from mugv_jax.demo.reward.object_features import CENTRE
from mugv_jax.progress import over

STRIDES, SHARES = (1, 2, 4), (0.4, 0.3, 0.3)
SAMPLED = 0.4  # share of sampled videos in a batch, if there are any
SMOOTHED = 0.01  # least probability of what is wrong: rewards keep a gradient where all is right
WARMUP_STEPS, WEIGHT_DECAY = 100, 0.1
CAPTIONS = 4096

JITTER = 0.02  # deviation of the noise of features
MOTION = (*CLASSES,).index("motion")


def _swapped(*pairs: tuple[str, str]) -> np.ndarray:
    """Number of every word of motion after words of these pairs have been exchanged."""
    other = {a: b for pair in pairs for a, b in (pair, pair[::-1])}
    return np.array([CLASSES["motion"].index(other.get(x, x)) for x in CLASSES["motion"]])


MIRRORS = {
    "across": _swapped(("left", "right")),
    "down": _swapped(("up", "down")),
    "diagonal": _swapped(("left", "up"), ("right", "down")),
}

Batch = dict[str, np.ndarray]


@dataclasses.dataclass(frozen=True, kw_only=True)
class RewardTrainConfig:
    """Settings of one training run of the reward model.

    clips: rendered clips to train on; held_out: rendered clips of the split validation to score.

    Raises:
        ValueError: values out of range.
    """

    clips: int = 2000
    held_out: int = 240
    steps: int = 2500
    batch_size: int = 64
    learning_rate: float = 3e-3
    seed: int = 0

    def __post_init__(self):
        require_at_least(1, self, "clips", "held_out", "steps")
        require_at_least(4, self, "batch_size")  # so that sampled videos have a place in it
        require_at_least(0, self, "seed")
        if not self.learning_rate > 0:
            raise ValueError(f"learning_rate={self.learning_rate} must be above 0.")


def train(config: RewardTrainConfig, samples: Clips | None = None) -> Any:
    """Params of a trained `Judge`; samples: videos to train on besides rendered clips."""
    sources = [rendered("train", config.clips, seed=config.seed)]
    sources += [] if samples is None else [samples]
    return fit(config, sources, captions("train", CAPTIONS, seed=config.seed))


def fit(config: RewardTrainConfig, sources: Sequence[Clips], texts: Captions) -> Any:
    """Params fitted to clips of one or two sources and to captions."""
    warmup = min(WARMUP_STEPS, max(1, config.steps // 10))
    rate = optax.warmup_cosine_decay_schedule(0.0, config.learning_rate, warmup, config.steps)
    optimizer = optax.adamw(rate, weight_decay=WEIGHT_DECAY)
    params = init(jax.random.key(config.seed))
    state = optimizer.init(params)

    @jax.jit
    def update(params: Any, state: Any, batch: Any) -> tuple[Any, Any]:
        gradient = jax.grad(_loss)(params, batch)
        with jax.numpy_dtype_promotion("standard"):  # Optax mixes step counts and floats
            updates, state = optimizer.update(gradient, state, params)
            return optax.apply_updates(params, updates), state

    for step in over(range(config.steps), "reward model", unit="step"):
        rng = np.random.default_rng((config.seed, step))
        params, state = update(params, state, _batch(sources, texts, config.batch_size, rng))
    return params["params"]


def _batch(
    sources: Sequence[Clips], texts: Captions, count: int, rng: np.random.Generator
) -> Batch:
    """Random clips of all sources, and captions, with their labels."""
    of_samples = round(SAMPLED * count) if len(sources) > 1 else 0
    stride = int(rng.choice(STRIDES, p=SHARES))
    parts = []
    for clips, size in zip(sources, (count - of_samples, of_samples)):
        copies, total = clips.shown.shape[:2]
        row, copy = rng.integers(total, size=size), rng.integers(copies, size=size)
        parts.append((clips.shown[copy, row, ::stride], clips.words[row], clips.right[row]))
    shown, words, right = (np.concatenate(each) for each in zip(*parts, strict=True))
    shown, words = _mirrored(shown, words, rng)
    row = rng.integers(len(texts.text), size=count)
    text = {"text": texts.text[row], "asked": texts.words[row]}
    jitter = JITTER * rng.standard_normal(shown.shape, np.float32)
    return {"shown": shown + jitter, "words": words, "right": right, **text}


def _mirrored(
    shown: np.ndarray, words: np.ndarray, rng: np.random.Generator
) -> tuple[np.ndarray, np.ndarray]:
    """Clips mirrored left to right, top to bottom and about the diagonal, each at random."""
    shown, words = shown.copy(), words.copy()
    x, y = (shown[..., k].copy() for k in CENTRE)
    motion = words[:, MOTION]
    for name, mirror in MIRRORS.items():
        chosen = rng.random(len(shown)) < 0.5
        motion = np.where(chosen, mirror[motion], motion)
        if name == "diagonal":
            x, y = np.where(chosen[:, None], y, x), np.where(chosen[:, None], x, y)
        elif name == "across":
            x = np.where(chosen[:, None], -x, x)
        else:
            y = np.where(chosen[:, None], -y, y)
    words[:, MOTION] = motion
    for k, value in zip(CENTRE, (x, y)):
        shown[..., k] = value
    return shown, words


def _loss(params: Any, batch: Any) -> Float[Array, ""]:
    shown, asked = Judge().apply(params, batch["shown"], batch["text"])
    right = [
        jnp.where(batch["right"][:, k], log_p, jnp.log(-jnp.expm1(jnp.minimum(log_p, -1e-4))))
        for k, log_p in enumerate(_of_words(shown, batch["words"], tuple(CLASSES)))
    ]
    spread = sum(jnp.mean(shown[part], axis=-1) for part in CLASSES)
    told = _of_words(asked, batch["asked"], FIELDS)
    total = (1 - SMOOTHED) * sum(right) + SMOOTHED * spread
    return -jnp.mean(total) / len(CLASSES) - jnp.mean(sum(told)) / len(FIELDS)


def _of_words(log_p: Any, words: Array, parts: Sequence[str]) -> list[Float[Array, "b"]]:
    """Logarithm of the probability of a word of each part."""
    return [
        jnp.take_along_axis(log_p[part], words[:, k, None], axis=1)[:, 0]
        for k, part in enumerate(parts)
    ]


def scores(
    params: Any, config: RewardTrainConfig, samples: Clips | None = None
) -> dict[str, dict[str, float]]:
    """Accuracy on rendered clips, on samples if there are any, and of captions.

    The names of clips say how many of their frames are seen.
    """
    count, seed = config.held_out, config.seed
    found = {"captions": caption_accuracy(params, captions("validation", count, seed=seed))}
    sources = {"rendered": rendered("validation", count, seed=seed)}
    sources |= {} if samples is None else {"samples": samples}
    for name, clips in sources.items():
        for stride in STRIDES:
            frames = clips.shown[0, 0, ::stride].shape[0]
            found[f"{name}, {frames} frames"] = accuracy(params, clips, stride)
    return found


def accuracy(params: Any, clips: Clips, stride: int = 1) -> dict[str, float]:
    """Share of clips, by part, that are judged as their labels say, from every stride-th frame.

    A word is judged right where its probability is above 1/2; of a rendered clip, which is known to
    have its error, physics is judged by whether there is one.
    """
    frames = jnp.asarray(clips.shown[0, :, ::stride])
    shown: Any = jax.jit(ClipReader().apply)({"params": params["clip"]}, frames)
    found = {}
    for k, part in enumerate(CLASSES):
        words, right = clips.words[:, k], clips.right[:, k]
        if part == PHYSICS:
            words, right = np.zeros_like(words), right & (words == 0)
        p = np.asarray(jax.nn.softmax(shown[part]))[np.arange(len(words)), words]
        found[part] = float(np.mean((p > 0.5) == right))
    return found


def caption_accuracy(params: Any, texts: Captions) -> dict[str, float]:
    """Share of captions of which each part is read right."""
    asked: Any = CaptionReader().apply({"params": params["caption"]}, jnp.asarray(texts.text))
    right = {part: np.asarray(jnp.argmax(asked[part], axis=-1)) for part in FIELDS}
    return {part: float(np.mean(right[part] == texts.words[:, k])) for k, part in enumerate(FIELDS)}
